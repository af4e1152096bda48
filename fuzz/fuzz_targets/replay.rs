//! A recovered trace is replayed by the program that `REANIMATOR` names, in a mount namespace and
//! on a small file system of its own. The program must end with a status of its own, and leave what
//! is outside of the root as it is. libFuzzer sees the coverage of recovery alone.
#![no_main]

use reanimator_fuzz::{allow_caught_panics, recover, scratch};
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::process::{Command, Stdio};

/// Replays `$3` with `$2` in `$1`, and prints the names of devices in it.
const SCRIPT: &str = "mount -t tmpfs -o size=64m none \"$1\" || exit 99
    timeout -k 1 40 \"$2\" -q replay --json --root \"$1/r\" \"$3\"; status=$?
    find \"$1\" -type b -o -type c >&2; exit $status";

libfuzzer_sys::fuzz_target!(init: allow_caught_panics(), |input: &[u8]| {
    let dir = scratch();
    if let Some(path) = recover(input, dir.path()) {
        replay(dir.path(), &path);
    }
});

fn replay(dir: &Path, trace: &Path) {
    let program = std::env::var_os("REANIMATOR").expect("REANIMATOR names the program");
    let (root, outside) = (dir.join("root"), dir.join("outside"));
    fs::create_dir(&root).expect("there is room");
    fs::create_dir_all(outside.join("directory")).expect("there is room");
    fs::write(outside.join("file"), "content").expect("there is room");
    let before = state(&outside);
    // An ordinary user may mount in a user namespace.
    let is_root = dir.metadata().is_ok_and(|meta| meta.uid() == 0);
    let output = Command::new("unshare")
        .arg(if is_root { "-m" } else { "-rm" })
        .args(["sh", "-c", SCRIPT, "sh"])
        .args([root.as_os_str(), &program, trace.as_os_str()])
        .current_dir(&outside)
        .stdin(Stdio::null())
        .output()
        .expect("unshare can be started");
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(matches!(output.status.code(), Some(0..=2)), "{:?}: {stderr}", output.status);
    assert!(!stderr.contains("panicked"), "{stderr}");
    assert!(!stderr.lines().any(|line| line.starts_with('/')), "it made a device: {stderr}");
    assert_eq!(before, state(&outside), "what is outside of the root has changed");
}

/// What a change of a tree's names, content or metadata changes.
fn state(dir: &Path) -> Vec<String> {
    let paths = [dir.to_owned(), dir.join("file"), dir.join("directory")];
    let mut lines: Vec<String> = paths
        .iter()
        .map(|path| path.symlink_metadata().expect("it is still there"))
        .map(|m| format!("{:o} {} {} {}.{}", m.mode(), m.uid(), m.len(), m.ctime(), m.ctime_nsec()))
        .collect();
    let names = fs::read_dir(dir).expect("it can be listed").flatten();
    lines.extend(names.map(|entry| entry.file_name().to_string_lossy().into_owned()));
    lines.sort();
    lines
}
