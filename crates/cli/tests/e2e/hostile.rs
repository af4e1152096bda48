//! Traces made to do harm, and traces damaged at random: nothing outside the root is touched,
//! nothing panics, memory stays bounded.

use crate::harness::forge::Forge;
use crate::harness::place::{Place, Watch};
use crate::harness::run::{Ran, run};
use crate::harness::tree;
use nix::sys::resource::{UsageWho, getrusage};
use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

mod attacks;
mod forgeries;
mod nonsense;
pub mod random;
mod random_records;

/// What no program may take, in KiB.
const GIB_IN_KIB: i64 = 1 << 20;

/// A place with things outside the root that must stay as they are.
struct Outside {
    place: Place,
    before: String,
    process: std::process::Child,
}

impl Outside {
    fn new() -> Self {
        let place = Place::new();
        fs::create_dir_all(place.path("outside/directory")).unwrap();
        for name in ["outside/canary", "outside/directory/canary"] {
            place.file(name, "sings");
        }
        let process = std::process::Command::new("sleep").arg("1000").spawn().unwrap();
        Self { before: tree::describe(&place.path("outside")), place, process }
    }
    fn path(&self, name: &str) -> Vec<u8> {
        self.place.path("outside").join(name).into_os_string().into_encoded_bytes()
    }
    /// Performs a trace on a small disk of its own, and looks whether anything happened outside.
    #[track_caller]
    fn survives(&mut self, what: &str, trace: &Path) -> Ran {
        let root = self.place.path("root");
        fs::create_dir_all(&root).unwrap();
        let script = r#"mount -t tmpfs -o size=64m none "$1" &&
                            timeout -k 1 40 "$2" -q replay --json --root "$1/r" "$3"; status=$?
                        find "$1" -type b -o -type c >&2; exit $status"#;
        let namespace = if nix::unistd::Uid::effective().is_root() { "-m" } else { "-rm" };
        let arguments =
            [root.as_os_str(), crate::harness::place::REANIMATOR.as_ref(), trace.as_os_str()];
        let ran = run(self
            .place
            .command(["unshare", namespace, "/bin/sh", "-c", script, "sh"])
            .args(arguments));
        assert!(matches!(ran.code, Some(0..=2)), "{what}: {ran:?}");
        assert!(!ran.stderr.contains("panicked"), "{what}: {ran:?}");
        assert!(!ran.stderr.lines().any(|l| l.starts_with('/')), "{what} made a device: {ran:?}");
        self.unchanged(what);
        ran
    }
    #[track_caller]
    fn unchanged(&mut self, what: &str) {
        let now = tree::describe(&self.place.path("outside"));
        assert_eq!(
            now,
            self.before,
            "{what} changed what is outside:\n{}",
            tree::difference(&self.before, &now)
        );
        assert!(self.process.try_wait().unwrap().is_none(), "{what} ended a process");
        let most = getrusage(UsageWho::RUSAGE_CHILDREN).unwrap().max_rss();
        assert!(most < GIB_IN_KIB, "{what} took {most} KiB");
    }
}

impl Drop for Outside {
    fn drop(&mut self) {
        self.process.kill().unwrap();
        self.process.wait().unwrap();
    }
}

#[test]
fn attacks_stay_inside() {
    let mut outside = Outside::new();
    for (i, (what, attack)) in attacks::ATTACKS.iter().enumerate() {
        let trace = outside.place.trace(&format!("attack{i}"));
        let mut forge = Forge::new(&trace, 1);
        attack(&mut forge, &outside);
        forge.end();
        outside.survives(what, &trace);
    }
}

/// `verify` notices each file that is missing or has another byte.
#[test]
fn verify_reads_every_file() {
    let place = Place::watched_by(Watch::Ebpf);
    let trace = place.trace("whole");
    run(&mut place.record(&trace, &[], ["/bin/ls", "/"])).ok("record");
    let verify = |trace: &Path| run(place.reanimator(["verify"]).arg(trace)).code;
    assert_eq!(verify(&trace), Some(0));
    let mut files = 0;
    for entry in fs::read_dir(&trace).unwrap() {
        let file = entry.unwrap().path();
        let whole = fs::read(&file).unwrap();
        // trace.json has the hashes of the others, and none of its own.
        if !file.ends_with("trace.json") {
            let mut damaged = whole.clone();
            damaged[whole.len() / 2] ^= 1;
            fs::write(&file, damaged).unwrap();
            assert_ne!(verify(&trace), Some(0), "{}: another byte", file.display());
        }
        fs::remove_file(&file).unwrap();
        assert_ne!(verify(&trace), Some(0), "{}: missing", file.display());
        fs::write(&file, whole).unwrap();
        files += 1;
    }
    assert!(files > 4 && verify(&trace) == Some(0), "{files}");
}

/// A directory that is called a trace, in which names lead elsewhere.
#[test]
fn a_trace_directory_that_leads_elsewhere() {
    let mut outside = Outside::new();
    for name in [
        "trace.json",
        "journal",
        "calls-00000.parquet",
        "files.parquet",
        "processes.parquet",
        "events.parquet",
        "initial.parquet",
    ] {
        for target in ["canary", "directory", "directory/new"] {
            let trace = outside.place.trace(&format!("{name}-{}", target.replace('/', "-")));
            let mut forge = Forge::new(&trace, 1);
            forge.spoil(b"/w/f", 0o101, 3);
            forge.end();
            let there = trace.join(name);
            if there.is_dir() {
                fs::remove_dir_all(&there).unwrap();
            } else if there.exists() {
                fs::remove_file(&there).unwrap();
            }
            symlink(PathBuf::from(std::str::from_utf8(&outside.path(target)).unwrap()), &there)
                .unwrap();
            let what = format!("{name} that leads to {target}");
            let ran = run(outside.place.reanimator(["recover"]).arg(&trace));
            assert!(matches!(ran.code, Some(0..=2)), "{what}: {ran:?}");
            outside.unchanged(&what);
            outside.survives(&what, &trace);
        }
    }
}
