//! Programs that fail on purpose, and threads that take descriptors away from each other.

use crate::harness::place::number;
use crate::harness::proof::Program;
use crate::harness::tracee::tracee;
use std::os::unix::fs::PermissionsExt;

fn path(name: &str) -> String {
    tracee(name).to_str().unwrap().to_owned()
}

#[test]
fn every_errno_comes_back() {
    // An ordinary user may not be able to reach the build directory.
    let reachable = tempfile::Builder::new()
        .prefix("reanimator-e2e-")
        .permissions(std::fs::Permissions::from_mode(0o755))
        .tempdir_in("/tmp")
        .unwrap();
    let program = reachable.path().join("fails");
    std::fs::copy(tracee("fails"), &program).unwrap();
    let proved = Program::new([program.to_str().unwrap()]).ordinary().proved();
    assert_eq!(proved.recorded.end(), (Some(7), None), "{}", proved.recorded.stdout);
    let failed = proved.place.rows(&proved.trace, &["-e", "status=failed"]);
    for errno in [
        "EACCES",
        "ENOENT",
        "EEXIST",
        "ENOTEMPTY",
        "ELOOP",
        "ENAMETOOLONG",
        "EBADF",
        "ENOSPC",
        "ENOTDIR",
        "EISDIR",
        "ENODATA",
        "ERANGE",
        "EFAULT",
        "ESPIPE",
    ] {
        assert!(failed.iter().any(|row| row["error"] == errno), "no call failed with {errno}");
    }
}

#[test]
fn threads_share_and_close_descriptors() {
    let proved = Program::new([path("share")]).proved();
    assert_eq!(proved.recorded.end(), (Some(0), None), "{}", proved.recorded.stdout);
    assert_eq!(number(&proved.info, "threads"), 5);
}

/// Threads that are given each other's numbers: each call finds the file that it found.
#[test]
fn threads_take_numbers_from_each_other() {
    let proved = Program::new([path("numbers")]).proved();
    assert_eq!(proved.recorded.end(), (Some(0), None), "{}", proved.recorded.stdout);
    assert_eq!(
        (number(&proved.report, "races"), number(&proved.report, "state.raced")),
        (0, 0),
        "{}",
        proved.report
    );
}

#[test]
fn many_kinds_of_calls() {
    let proved = Program::new([path("calls")]).proved();
    assert_eq!(proved.recorded.end(), (Some(0), None), "{}", proved.recorded.stdout);
}
