//! What mutants are made of: traces and journals recorded for this run, and the logs of
//! `tests/fixtures`.

use crate::forge;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// What the program takes it for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Kind {
    /// A trace that is sealed.
    Sealed,
    /// A trace whose recorder was killed.
    Journal,
    /// A log of another tool.
    Log,
}

/// Something sound.
pub struct Seed {
    pub kind: Kind,
    pub name: String,
    /// What the program is given, in a directory that holds nothing else.
    pub input: PathBuf,
    /// The files, relative to that directory.
    pub files: Vec<(PathBuf, Vec<u8>)>,
}

/// All of them.
pub struct Corpus {
    pub seeds: Vec<Seed>,
}

const KINDS: [(Kind, &str); 3] =
    [(Kind::Sealed, "sealed"), (Kind::Journal, "journal"), (Kind::Log, "log")];

const SCRIPT: &str = "umask 22; mkdir d; echo content >d/f; cat d/f >g; ln -s g h; ln g i; \
    mv g d/g; ls -l . d; chmod 4755 d/f; dd if=d/f of=j bs=2 count=2 2>/dev/null; \
    truncate -s 1000000 k; touch -d @5 k; rm h; cat ../../outside/canary >copy; cd d; \
    echo more >>f; rm g nothing 2>/dev/null; mkfifo p; (cd ..; ls >/dev/null)";

impl Corpus {
    /// Makes it in `top`.
    pub fn record(program: &Path, top: &Path) {
        fs::create_dir_all(top.join("outside/directory")).expect("the directory is writable");
        for name in ["outside/canary", "outside/directory/canary"] {
            fs::write(top.join(name), "sings").expect("the directory is writable");
        }
        let place = |name: &str| {
            let place = top.join("corpus").join(name);
            fs::create_dir_all(&place).expect("the directory is writable");
            place.join("t.ra")
        };
        let killed = format!("{SCRIPT}; sleep 2; kill -9 $PPID");
        record(program, top, &place("sealed/shell"), "ptrace", SCRIPT);
        record(program, top, &place("journal/ptrace"), "ptrace", &killed);
        if nix::unistd::Uid::effective().is_root() {
            record(program, top, &place("sealed/ebpf"), "ebpf", SCRIPT);
            record(program, top, &place("journal/ebpf"), "ebpf", &killed);
        }
        forge::generate(&place("journal/threads"), 100);
        let threads = place("sealed/threads");
        forge::generate(&threads, 300);
        run(Command::new(program).args(["-q", "recover"]).arg(&threads));
        for name in [
            "strace.txt",
            "perf-script.txt",
            "perf-trace.txt",
            "kdump.txt",
            "blkparse.txt",
            "blk_classic.txt",
        ] {
            let to = place(&format!("log/{name}")).with_file_name("input");
            fs::copy(fixtures().join(name), to).expect("the fixture is there");
        }
        for name in ["dd", "meta"] {
            let to = place(&format!("log/dataseries-{name}")).with_file_name("input");
            let packed = fixtures().join(format!("dataseries/{name}.ds.gz"));
            let output = Command::new("gzip").arg("-dc").arg(packed).output();
            fs::write(to, output.expect("gzip is there").stdout).expect("writable");
            let tree = place(&format!("log/ctf-{name}-tree"));
            let into = tree.parent().expect("it has one");
            let packed = fixtures().join(format!("ctf/{name}.tar.gz"));
            run(Command::new("tar").arg("xzf").arg(packed).arg("-C").arg(into));
        }
    }

    /// Reads what [`Corpus::record`] made.
    pub fn load(top: &Path) -> Self {
        let mut seeds = Vec::new();
        for (kind, name) in KINDS {
            for place in listed(&top.join("corpus").join(name)) {
                let input = listed(&place).into_iter().next().expect("a seed has one file");
                let mut files = Vec::new();
                collect(&input, &place, &mut files);
                seeds.push(Seed {
                    kind,
                    name: place.file_name().unwrap_or_default().to_string_lossy().into_owned(),
                    input: input.strip_prefix(&place).expect("it is there").to_owned(),
                    files,
                });
            }
        }
        Self { seeds }
    }
}

fn fixtures() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/fixtures")
}

/// Names in a directory, in order.
fn listed(path: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
    let mut all: Vec<PathBuf> = entries.map(|e| e.expect("it can be listed").path()).collect();
    all.sort();
    all
}

fn collect(path: &Path, top: &Path, files: &mut Vec<(PathBuf, Vec<u8>)>) {
    if path.is_dir() {
        listed(path).iter().for_each(|path| collect(path, top, files));
    } else {
        let name = path.strip_prefix(top).expect("it is below").to_owned();
        files.push((name, fs::read(path).expect("it can be read")));
    }
}

/// Records a shell script in a directory of its own; it may kill its recorder.
fn record(program: &Path, top: &Path, trace: &Path, engine: &str, script: &str) {
    let name = trace.parent().and_then(Path::file_name).expect("it has one");
    let kind = trace.parent().and_then(Path::parent).and_then(Path::file_name).expect("it has one");
    let work = top.join("work").join(format!("{}-{}", kind.display(), name.display()));
    fs::create_dir_all(&work).expect("the directory is writable");
    let mut command = Command::new(program);
    command.args(["-q", "record", "--engine", engine, "-o"]).arg(trace);
    command.args(["--", "/bin/sh", "-c", script]).current_dir(work);
    let _status = command.stdin(Stdio::null()).stdout(Stdio::null()).status();
    assert!(trace.join("trace.json").exists(), "{command:?} made no trace");
}

fn run(command: &mut Command) {
    let status = command.status().unwrap_or_else(|e| panic!("cannot run {command:?}: {e}"));
    assert!(status.success(), "{command:?}: {status}");
}
