//! Traces of other tools, real ones, in; ours out and in again.

use crate::harness::place::{Place, Watch, number};
use crate::harness::run::run;
use crate::harness::tracee::repository;
use serde_json::Value;
use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

const SCRIPT: &str = "mkdir -p a/b; echo hello > a/one; printf world >> a/one; ln a/one a/two; ln \
    -s one a/sym; mv a/two a/b/three; chmod 600 a/one; \
     touch -d @1000000000 a/b/three; dd if=/dev/zero of=big bs=8192 count=40 status=none; truncate \
     -s 1000 big; sort a/one > c; rm a/b/three; cat missing || true";

/// A fixture, unpacked into `dir`.
fn fixture(dir: &Path, name: &str) -> PathBuf {
    let from = repository().join("tests/fixtures").join(name);
    let to = dir.join(from.file_stem().unwrap());
    match name.strip_suffix(".tar.gz") {
        Some(_) => run(Command::new("tar").arg("-xzf").arg(&from).arg("-C").arg(dir)).ok("tar"),
        None => run(Command::new("sh").arg("-c").arg(format!(
            "gzip -dc {} > {}",
            from.display(),
            to.display()
        )))
        .ok("gzip"),
    };
    to.with_extension(if name.ends_with(".tar.gz") { "" } else { "ds" })
}

fn convert(place: &Place, options: &[&str], from: &Path, to: &Path) -> String {
    run(place.reanimator(["convert"]).args(options).arg(from).arg(to)).ok("convert").stderr.clone()
}

/// All names below `dir`, with what is in files and where links lead.
fn tree(dir: &Path) -> Vec<(PathBuf, String)> {
    let found = run(Command::new("find").arg(".").current_dir(dir)).ok("find").stdout.clone();
    let mut names: Vec<PathBuf> = found.lines().map(PathBuf::from).collect();
    names.sort();
    let told = |name: PathBuf| {
        let path = dir.join(&name);
        let meta = path.symlink_metadata().unwrap();
        let text = match meta.file_type() {
            t if t.is_symlink() => format!("-> {}", fs::read_link(&path).unwrap().display()),
            t if t.is_file() => format!(
                "{} {:?}",
                std::os::unix::fs::PermissionsExt::mode(&meta.permissions()),
                fs::read(&path).unwrap()
            ),
            _ => "directory".to_owned(),
        };
        (name, text)
    };
    names.into_iter().map(told).collect()
}

fn replayed(place: &Place, trace: &Path, name: &str) -> (PathBuf, Value) {
    let root = place.directory(name);
    let (ran, report) = place.replay_with(trace, &root, &[]);
    assert_eq!(
        (number(&report, "divergences"), ran.code),
        (0, Some(0)),
        "{report:#}\n{}",
        ran.stderr
    );
    (root, report)
}

/// What `dd.sh` leaves, as RA-Strace saw the first and LTTng all of it.
#[test]
fn traces_of_the_original_tracers() {
    let place = Place::watched_by(Watch::Ebpf);
    let (dir, to) = (place.directory("fixtures"), place.trace("t"));
    fs::create_dir_all(&dir).unwrap();
    let said =
        convert(&place, &["--directory", "/srv/demo"], &fixture(&dir, "dataseries/dd.ds.gz"), &to);
    assert!(said.contains("163 calls") && said.contains("nanoseconds since 1970"), "{said}");
    let (root, _) = replayed(&place, &to, "ds");
    assert_eq!(fs::read(root.join("srv/demo/big")).unwrap(), vec![0; 4096 * 64]);

    // The rename is worked out; what cp(1) copied without reading it (copy_file_range) is
    // not known.
    let meta = place.trace("meta-ds");
    let said = convert(
        &place,
        &["--directory", "/srv/demo"],
        &fixture(&dir, "dataseries/meta.ds.gz"),
        &meta,
    );
    assert!(said.contains("1 renames that were not recorded"), "{said}");
    let (root, _) = replayed(&place, &meta, "meta-ds-root");
    let left = tree(&root.join("srv/demo"));
    let names: Vec<&str> = left.iter().filter_map(|(name, _)| name.to_str()).collect();
    assert_eq!(
        names,
        [
            ".",
            "./a",
            "./a/one",
            "./a/sym",
            "./big",
            "./c",
            "./c/b",
            "./c/b/three",
            "./c/one",
            "./c/sym",
            "./meta.sh"
        ]
    );
    let is = |name: &str, mode: u32, bytes: &[u8]| {
        left.contains(&(name.into(), format!("{} {bytes:?}", 0o100_000 | mode)))
    };
    assert!(
        is("./a/one", 0o600, b"hello\nworld")
            && is("./big", 0o644, &[0; 1000])
            && is("./c/one", 0o600, b""),
        "{left:?}"
    );

    let meta = place.trace("meta");
    let said = convert(&place, &["--directory", "/root"], &fixture(&dir, "ctf/meta.tar.gz"), &meta);
    assert!(said.contains("LTTng records no data"), "{said}");
    let (root, _) = replayed(&place, &meta, "ctf");
    let names: Vec<String> = tree(&root.join("srv/demo-meta"))
        .into_iter()
        .map(|(name, _)| name.display().to_string())
        .collect();
    assert_eq!(
        names,
        [".", "./all", "./all2", "./fal", "./hard", "./sparse", "./sparse2", "./t.tar"]
    );
    let size = |name: &str| fs::metadata(root.join("srv/demo-meta").join(name)).unwrap().len();
    assert_eq!(
        ["all", "all2", "fal", "hard", "sparse", "t.tar"].map(size),
        [51, 35, 65536, 102, 1 << 20, 10240]
    );

    // What is there is not replaced; what is no trace is refused.
    let ran = run(place.reanimator(["convert"]).arg(dir.join("dd.ds")).arg(&to));
    assert!(ran.code == Some(2) && ran.stderr.contains("exists"), "{ran:?}");
    let ran = run(&mut place.reanimator(["convert", "/etc/passwd", "x.ra"]));
    assert!(ran.code == Some(2) && ran.stderr.contains("unknown input format"), "{ran:?}");
}

/// A program under strace and under us: the same calls, with the same results and data, and the
/// same tree in the end.
#[test]
fn strace_tells_the_same() {
    let place = Place::watched_by(Watch::Ebpf);
    let log = place.path("log");
    let work = place.work();
    let names = ["-f", "-ttt", "-T", "-y", "-xx", "-v", "-s", "999999", "-o"];
    run(place.command(["strace"]).args(names).arg(&log).args(["/bin/sh", "-c", SCRIPT]))
        .ok("strace");
    let left = tree(&work);
    let theirs = place.trace("theirs");
    convert(&place, &[], &log, &theirs);
    let (root, _) = replayed(&place, &theirs, "strace");
    assert_eq!(tree(&root.join(work.strip_prefix("/").unwrap())), left);

    run(Command::new("sh").arg("-c").arg("rm -rf ./*").current_dir(&work)).ok("rm");
    let ours = place.trace("ours");
    run(&mut place.record(&ours, &[], ["/bin/sh", "-c", SCRIPT])).ok("record");
    // By process, in the order of the processes: what hangs on addresses, numbers of processes and
    // times is left out.
    let told = |trace: &Path| {
        let mut of: Vec<(u64, Vec<String>)> = Vec::new();
        for row in place.rows(trace, &[]) {
            let Some(call) = row["call"].as_str() else { continue };
            if ![
                "openat",
                "read",
                "write",
                "pread64",
                "close",
                "dup2",
                "fcntl",
                "linkat",
                "symlinkat",
                "renameat2",
                "mkdir",
                "unlinkat",
                "fchmodat",
                "ftruncate",
                "lseek",
            ]
            .contains(&call)
            {
                continue;
            }
            let pid = row["pid"].as_u64().unwrap();
            let args: Vec<String> = [
                "dfd", "fd", "filename", "pathname", "oldname", "newname", "flags", "buf", "count",
                "offset", "mode", "length",
            ]
            .iter()
            .filter_map(|name| row["args"].get(name).map(|v| format!("{name}={v}")))
            .filter(|text| !text.contains("=\"0x"))
            .collect();
            let line = format!("{call}({}) = {}", args.join(", "), row["result"]);
            match of.iter_mut().find(|(p, _)| *p == pid) {
                Some((_, lines)) => lines.push(line),
                None => of.push((pid, vec![line])),
            }
        }
        of.into_iter().map(|(_, lines)| lines).filter(|l| !l.is_empty()).collect::<Vec<_>>()
    };
    let (theirs, ours) = (told(&theirs), told(&ours));
    assert_eq!(theirs.len(), ours.len());
    for (theirs, ours) in theirs.iter().zip(&ours) {
        for (theirs, ours) in theirs.iter().zip(ours) {
            assert_eq!(theirs, ours);
        }
        assert_eq!(theirs.len(), ours.len());
    }
}

/// Out to DataSeries and strace's text, and in again: what they can express replays to the same
/// tree.
#[test]
fn there_and_back() {
    let place = Place::watched_by(Watch::Ebpf);
    let trace = place.trace("t");
    run(&mut place.record(&trace, &[], ["/bin/sh", "-c", SCRIPT])).ok("record");
    let work = place.work();
    let left = tree(&work);
    let directory = work.to_str().unwrap();
    for name in ["x.ds", "x.strace"] {
        let out = place.path(name);
        convert(&place, &[], &trace, &out);
        let back = place.trace(name);
        convert(&place, &["--directory", directory], &out, &back);
        let (root, _) = replayed(&place, &back, &format!("root-{name}"));
        assert_eq!(tree(&root.join(work.strip_prefix("/").unwrap())), left, "{name}");
    }
}

/// Names below directory descriptors, whose directories move: out to DataSeries, in again, and the
/// same tree, whether or not the directory at the start is told. What was left out is known.
#[test]
fn names_below_descriptors_come_back() {
    Place::each(|place| {
        let trace = place.trace("t");
        let program = repository().join("tests/tracees/below.py");
        let python: [&OsStr; 4] =
            ["/usr/bin/python3".as_ref(), "-S".as_ref(), "-E".as_ref(), program.as_os_str()];
        run(&mut place.record(&trace, &[], python)).ok("record");
        let (work, out) = (place.work(), place.path("x.ds"));
        let left = tree(&work);
        assert!(left.iter().any(|(name, _)| name == Path::new("./moved")), "{left:?}");
        let ran = run(place.reanimator(["-q", "convert"]).arg(&trace).arg(&out));
        assert_eq!((ran.code, ran.stderr.as_str()), (Some(0), ""));
        let mut below = PathBuf::new();
        for options in [&["--directory", work.to_str().unwrap()][..], &[]] {
            let back = place.trace(&format!("back-{}", options.len()));
            let said = convert(&place, options, &out, &back);
            assert!(said.contains("incomplete"), "{said}");
            let (root, _) = replayed(&place, &back, &format!("root-{}", options.len()));
            let verified = run(place.reanimator(["verify"]).arg(&back));
            assert!(verified.stdout.contains("sound"), "{verified:?}");
            if below == Path::new("") {
                below = root.join(work.strip_prefix("/").unwrap());
                assert_eq!(tree(&below), left);
            } else {
                // Relative names are below the root then, beside what has absolute ones.
                let there = tree(&root);
                for entry in left.iter().filter(|(name, _)| name != Path::new(".")) {
                    assert!(there.contains(entry), "{entry:?}");
                }
            }
        }
    });
}

/// fio performs what goes out for it; names that it cannot read are said for what they are.
#[test]
fn fio_reads_what_goes_out_for_it() {
    let place = Place::watched_by(Watch::Ptrace);
    let (trace, log) = (place.trace("t"), place.path("x.iolog"));
    let script =
        "dd if=/dev/zero of=plain bs=4096 count=8 conv=fsync status=none; echo x > 'a name'";
    run(&mut place.record(&trace, &[], ["/bin/sh", "-c", script])).ok("record");
    let said = convert(&place, &[], &trace, &log);
    assert!(
        said.contains("not converted: 1 reads, writes, syncs and trims of files whose"),
        "{said}"
    );
    // Only what the program wrote itself, not the libraries that it read.
    let work = place.work();
    let text = fs::read_to_string(&log).unwrap();
    let ours = |l: &&str| l.starts_with("fio ") || l.contains(work.to_str().unwrap());
    let own: Vec<&str> = text.lines().filter(ours).collect();
    fs::write(&log, own.join("\n") + "\n").unwrap();
    let ran = run(Command::new("fio")
        .args(["--name=x", "--output-format=terse", "--replay_no_stall=1"])
        .arg(format!("--read_iolog={}", log.display()))
        .current_dir(place.work()));
    assert_eq!(ran.code, Some(0), "{ran:?}");
    let fields: Vec<&str> = ran.stdout.split(';').collect();
    // Kilobytes written, in fio's terse format of version 3.
    assert_eq!(fields.get(46), Some(&"32"), "{}", ran.stdout);
}

/// What ran on FreeBSD runs here.
#[test]
fn text_of_kdump_is_performed() {
    let place = Place::new();
    let to = place.trace("t");
    let said = convert(&place, &[], &repository().join("tests/fixtures/kdump.txt"), &to);
    assert!(said.contains("calls of cap_enter"), "{said}");
    let (root, _) = replayed(&place, &to, "root");
    // By way of a trace, of which nothing is said and nothing stays.
    let said =
        convert(&place, &[], &repository().join("tests/fixtures/kdump.txt"), &place.path("t.csv"));
    assert!(said.contains("t.csv") && !said.contains(".ra"), "{said}");
    assert_eq!(fs::read(root.join("d/g")).unwrap(), b"BSD\\\n\n\tta\xff\0\n");
}

/// Requests to a disk are performed on a file as large as it, with as many under way at once.
#[test]
fn text_of_blkparse_is_performed() {
    let place = Place::new();
    let to = place.trace("t");
    convert(&place, &[], &repository().join("tests/fixtures/blkparse.txt"), &to);
    let (root, report) = replayed(&place, &to, "root");
    assert_eq!((number(&report, "skipped"), number(&report, "performed")), (0, 164));
    assert!(fs::metadata(root.join("block/254:0")).unwrap().len() > 100 << 30);
}
