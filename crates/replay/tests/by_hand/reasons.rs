//! Why calls are left out: each reason of the report's `skipped_by` that a call by itself gives.

use crate::RDWR_CREATE;
use crate::script::{Script, file_of, payload};
use abi::plan::{RESULT, WORKING_DIRECTORY};
use trace::record::{AT_EXIT, NO_ENTRY, PayloadKind};
use trace::{Identity, Item, Payload, RecordKind};
use zerocopy::IntoBytes;

const HERE: u64 = -100i64 as u64;
const SOMEWHERE: u64 = 4096;

/// A path, or another string.
fn text(arg: u8, text: &str) -> Payload {
    payload(arg, PayloadKind::String, 0, text.as_bytes())
}

#[test]
fn every_call_is_counted_once_and_for_its_reason() {
    let mut s = Script::default();
    s.open(1, "/f", RDWR_CREATE, 3, 10);
    let path = |name| vec![text(0, name)];
    s.call(1, "munmap", &[SOMEWHERE, 4096], 0, vec![]);
    s.call(1, "getpid", &[], 1, vec![]).nr = 999;
    let fds = [5i32, 6].map(i32::to_le_bytes).concat();
    s.call(1, "pipe2", &[SOMEWHERE, 0], 0, vec![payload(0, PayloadKind::Bytes, AT_EXIT, &fds)]);
    s.write(1, 6, b"x");
    s.open(1, "/proc/version", 0, 7, 11);
    s.call(1, "unlink", &[SOMEWHERE], 0, vec![]);
    s.call(1, "openat", &[HERE, SOMEWHERE, 1, 0], -6, vec![text(1, "/fifo")]);
    s.call(1, "mknod", &[SOMEWHERE, 0o020_600, 0x103], 0, path("/null"));
    s.call(1, "sync", &[], 0, vec![]).flags = NO_ENTRY;
    s.call(1, "fsync", &[3], -4, vec![]);
    s.call(1, "mkdir", &[SOMEWHERE, 0o755], -28, path("/full"));
    s.call(1, "mkdir", &[SOMEWHERE, 0o755], -30, path("/read-only"));
    s.call(1, "truncate", &[SOMEWHERE, 1 << 50], -27, path("/f"));
    s.call(1, "fcntl", &[3, 6, SOMEWHERE], -11, vec![]);
    let attribute =
        |name| vec![text(0, "/f"), text(1, name), payload(2, PayloadKind::Bytes, 0, b"v")];
    let set = [SOMEWHERE, SOMEWHERE, SOMEWHERE, 1, 0];
    s.call(1, "setxattr", &set, 0, attribute("security.selinux"));
    s.call(1, "setxattr", &set, 0, attribute("trusted.SGI_ACL_FILE"));
    s.call(1, "fsync", &[77], 0, vec![]);
    s.call(1, "mkdir", &[SOMEWHERE, 0o755], 0, path("/d"));
    let directory = Identity { dev: 1, ino: 12, mode: 0o040_755, ..Identity::default() };
    let shown =
        payload(RESULT, PayloadKind::Identity, AT_EXIT, &[directory.as_bytes(), b"/d"].concat());
    let open = [HERE, SOMEWHERE, 0o200_000, 0];
    s.call(1, "openat", &open, 8, vec![text(1, "/d"), shown]);
    s.call(1, "lseek", &[8, 5, 0], 5, vec![]);
    s.call(1, "openat", &[HERE, SOMEWHERE, 0, 0], 9, vec![text(1, "/f"), file_of("/f", 10, 0)]);
    let (_root, report) = s.run();
    let reasons = [
        "memory",
        "unknown call",
        "ipc",
        "descriptor without stored state",
        "virtual file",
        "argument not recorded",
        "special file",
        "device",
        "begun before the recording",
        "interrupted",
        "limit of the recorded machine",
        "refused by the recorded file system",
        "refused from outside the file system",
        "lock held by another process",
        "security module",
        "attribute of the recorded file system",
        "unknown descriptor",
        "position in a directory",
    ];
    let wanted = reasons.iter().map(|reason| (*reason, 1)).collect();
    assert_eq!(report.skipped_by, wanted, "{report:#?}");
    assert_eq!((report.calls, report.divergences), (report.issued + report.skipped, 0));
    assert_eq!(report.issued, 4, "{report:#?}");
}

/// What a call changed that nobody performs is not called equal without a word.
#[test]
fn a_file_changed_by_what_is_not_performed_is_told() {
    let mut s = Script::default();
    let name = payload(1, PayloadKind::String, 0, b"/changed");
    let attributes = payload(2, PayloadKind::Bytes, 0, &[0; 24]);
    s.call(1, "file_setattr", &[-100i64 as u64, 4096, 8192, 24, 0], 0, vec![name, attributes]);
    let (_root, report) = s.run();
    assert_eq!((report.issued, report.state.excluded), (0, 1), "{report:#?}");
    assert!(
        report.state.excluded_lines[0]
            .starts_with("/changed: file_setattr of call 0 was not performed"),
        "{report:#?}"
    );
}

/// A process whose directory is gone before its first call with a name: nothing is done elsewhere.
#[test]
fn what_starts_in_a_directory_that_is_gone_is_not_performed() {
    let mut s = Script::default();
    let path = |text: &[u8]| vec![payload(0, PayloadKind::String, 0, text)];
    s.call(1, "mkdir", &[4096, 0o755], 0, path(b"/d"));
    s.call(1, "rmdir", &[4096], 0, path(b"/d"));
    let directory = Identity { dev: 1, ino: 5, mode: 0o40755, ..Identity::default() };
    let cwd = [directory.as_bytes(), b"/d"].concat();
    s.event(2, RecordKind::State, &[0o022]);
    let Some(Item::Event(state)) = s.items.last_mut() else { panic!("just pushed") };
    state.payloads = vec![payload(WORKING_DIRECTORY, PayloadKind::Identity, 0, &cwd)];
    s.call(2, "mkdir", &[4096, 0o755], 0, path(b"inside"));
    s.open(2, "/f", RDWR_CREATE, 3, 10);
    s.write(2, 3, b"kept");
    let inside = payload(1, PayloadKind::String, 0, b"g");
    s.call(2, "mknodat", &[-100i64 as u64, 4096, 0o100_644, 0], 0, vec![inside]);
    let (root, report) = s.run();
    assert_eq!(report.skipped_by.get("no working directory"), Some(&2), "{report:#?}");
    let names: Vec<_> = std::fs::read_dir(root.path()).expect("the root").flatten().collect();
    assert!(names.len() == 1 && root.path().join("f").exists(), "{names:?} {report:#?}");
}
