//! Replays of traces made by hand, as root in a root of their own.

mod arguments;
mod counts;
mod reasons;
mod script;

use reanimator_replay::Error;
use script::{Script, file_of, payload};
use std::time::Duration;
use trace::RecordKind;
use trace::record::{AT_EXIT, FROM_FILE, NO_EXIT, PayloadKind};

const RDWR_CREATE: u64 = 0o102;

#[test]
fn what_was_written_is_read_back() {
    let mut s = Script::default();
    s.open(1, "/f", RDWR_CREATE, 3, 10);
    s.write(1, 3, b"hello");
    s.call(1, "lseek", &[3, 0, 0], 0, vec![]);
    s.read(1, 3, 100, b"hello");
    s.read(1, 3, 100, b"");
    s.call(1, "close", &[3], 0, vec![]);
    s.call(1, "close", &[3], -9, vec![]);
    let (root, report) = s.run();
    assert_eq!((report.calls, report.issued, report.divergences), (7, 7, 0), "{report:#?}");
    assert_eq!(std::fs::read(root.path().join("f")).expect("the file"), b"hello");
}

#[test]
fn differences_are_told() {
    let mut s = Script::default();
    s.open(1, "/f", RDWR_CREATE, 3, 10);
    s.write(1, 3, b"hello");
    s.call(1, "lseek", &[3, 0, 0], 0, vec![]);
    s.read(1, 3, 100, b"hexlo");
    s.call(1, "unlink", &[4096], 0, vec![payload(0, PayloadKind::String, 0, b"/nothing")]);
    let (_root, report) = s.run();
    assert_eq!((report.divergences, report.exit_code()), (2, 1), "{report:#?}");
    assert_eq!(report.shown[0].what, "byte 2 of the data");
    assert_eq!((report.shown[1].expected.as_str(), report.shown[1].got.as_str()), ("0", "ENOENT"));
}

/// Calls that follow each other on one descriptor, which replay translates beforehand.
#[test]
fn differences_are_told_in_a_row_of_reads() {
    let read = |s: &mut Script, at: u64, bytes: &[u8]| {
        s.call(
            1,
            "pread64",
            &[3, 4096, 100, at],
            bytes.len() as i64,
            vec![payload(1, PayloadKind::Data, AT_EXIT, bytes)],
        );
    };
    let mut s = Script::default();
    s.open(1, "/f", RDWR_CREATE, 3, 10);
    s.write(1, 3, b"hello world");
    for round in 0..100 {
        read(&mut s, 6, b"world");
        match round {
            10 => read(&mut s, 6, b"worLd"),
            // Its memory ended before the file did: no more is asked for.
            20 => read(&mut s, 6, b"wor"),
            30 => read(&mut s, 6, b"worlds"),
            40 => read(&mut s, 100, b"x"),
            // The kernel says EFAULT, and nothing is written anywhere.
            50 => {
                s.call(1, "pread64", &[3, 4096, 100, 6], -14, vec![]);
            }
            60 => {
                s.call(1, "fsync", &[3], -22, vec![]);
            }
            _ => read(&mut s, 6, b"world"),
        }
    }
    let (_root, report) = s.run();
    assert_eq!((report.issued, report.divergences), (202, 4), "{report:#?}");
    let told: Vec<_> =
        report.shown.iter().map(|d| (d.what.as_str(), d.got.as_str(), d.file.as_str())).collect();
    let expected =
        [("byte 3 of the data", "6c 64"), ("result", "5"), ("result", "0"), ("result", "0")];
    assert_eq!(told, expected.map(|(what, got)| (what, got, "/f")));
}

#[test]
fn a_descriptor_that_a_child_inherits_outlives_the_parents_close() {
    let mut s = Script::default();
    s.open(1, "/f", RDWR_CREATE, 3, 10);
    s.event(2, RecordKind::Start, &[1, 1, 17, 1]);
    s.write(1, 3, b"parent ");
    s.call(1, "close", &[3], 0, vec![]);
    s.open(1, "/g", RDWR_CREATE, 3, 11);
    s.write(2, 3, b"child");
    s.write(1, 3, b"other");
    s.event(2, RecordKind::Exit, &[0, 1]);
    let (root, report) = s.run();
    assert_eq!(report.divergences, 0, "{report:#?}");
    assert_eq!(std::fs::read(root.path().join("f")).expect("the file"), b"parent child");
    assert_eq!(std::fs::read(root.path().join("g")).expect("the file"), b"other");
}

#[test]
fn a_read_outlives_the_close_that_overlaps_it() {
    let mut s = Script::default();
    s.open(1, "/f", RDWR_CREATE, 3, 10);
    s.write(1, 3, b"hello");
    s.event(2, RecordKind::Start, &[1, 1, 0x10f00, 0]);
    let begun = s.call(
        2,
        "pread64",
        &[3, 4096, 100, 0],
        5,
        vec![payload(1, PayloadKind::Data, AT_EXIT, b"hello")],
    );
    begun.exited = Some(begun.entered + 1000);
    s.call(1, "close", &[3], 0, vec![]);
    // It returned the number while the read was still under way.
    s.open(1, "/g", RDWR_CREATE, 3, 11);
    // Entered after the number was freed and taken again: this one means the new file.
    s.write(2, 3, b"new");
    let (root, report) = s.run();
    assert_eq!(report.divergences + report.races, 0, "{report:#?}");
    assert_eq!(std::fs::read(root.path().join("g")).expect("the file"), b"new");
}

/// It may have gone into either of two files, at the place that each of them makes of it: what is
/// found there is a race of the recorded program.
#[test]
fn a_write_whose_number_changes_its_file() {
    const APPEND: u64 = 0o2000;
    let mut s = Script::default();
    s.open(1, "/log", RDWR_CREATE | APPEND, 3, 10);
    s.write(1, 3, b"0123456789");
    s.open(1, "/g", RDWR_CREATE, 4, 11);
    s.write(1, 4, &[b'x'; 300]);
    s.event(2, RecordKind::Start, &[1, 1, 0x10f00, 0]);
    let begun = s.call(
        2,
        "pwrite64",
        &[3, 4096, 2, 100],
        2,
        vec![payload(1, PayloadKind::Data, AT_EXIT, b"ab")],
    );
    begun.exited = Some(begun.entered + 1000);
    s.call(1, "close", &[3], 0, vec![]);
    s.open(1, "/g", RDWR_CREATE, 3, 11).payloads[1] = file_of("/g", 11, 300);
    s.time += 2000;
    s.call(
        1,
        "pread64",
        &[4, 4096, 2, 100],
        2,
        vec![payload(1, PayloadKind::Data, AT_EXIT, b"ab")],
    );
    let (_root, report) = s.run();
    assert_eq!((report.divergences, report.races), (0, 1), "{report:#?}");
}

#[test]
fn nothing_leads_out() {
    let outside = tempfile::tempdir().expect("a temporary directory");
    let victim = outside.path().join("victim");
    let mut s = Script::default();
    let target = outside.path().as_os_str().as_encoded_bytes();
    s.call(
        1,
        "symlink",
        &[4096, 4096],
        0,
        vec![
            payload(0, PayloadKind::String, 0, target),
            payload(1, PayloadKind::String, 0, b"/out"),
        ],
    );
    s.open(1, "/out/victim", RDWR_CREATE, 3, 10);
    s.open(1, &format!("/../../../../../..{}", victim.display()), RDWR_CREATE, 4, 11);
    s.call(
        1,
        "mknod",
        &[4096, 0o020_666, 0x103],
        0,
        vec![payload(0, PayloadKind::String, 0, b"/null")],
    );
    s.call(1, "chdir", &[4096], 0, vec![payload(0, PayloadKind::String, 0, b"..")]);
    s.open(1, "../victim", RDWR_CREATE, 5, 12);
    s.write(1, 5, b"inside");
    let (root, report) = s.run();
    assert!(!victim.exists());
    assert_eq!(std::fs::read(root.path().join("victim")).expect("inside"), b"inside");
    assert_eq!(report.skipped_by.get("device"), Some(&1));
}

#[test]
fn huge_lengths_take_no_memory() {
    let mut s = Script::default();
    s.open(1, "/f", RDWR_CREATE, 3, 10);
    let mut cut = payload(1, PayloadKind::Data, AT_EXIT, b"x");
    (cut.len, cut.wanted) = (1, 1 << 20);
    s.call(1, "write", &[3, 4096, u64::MAX], 1 << 20, vec![cut]);
    s.call(
        1,
        "pread64",
        &[3, 4096, u64::MAX / 2, 0],
        1 << 20,
        vec![payload(1, PayloadKind::Data, AT_EXIT, b"x")],
    );
    s.call(1, "pread64", &[3, 4096, 1 << 40, 1 << 62], 0, vec![]);
    let (root, report) = s.run();
    assert_eq!(report.divergences, 0, "{report:#?}");
    assert_eq!(std::fs::metadata(root.path().join("f")).expect("the file").len(), 1 << 20);
}

#[test]
fn a_trace_that_blocks_for_ever_is_given_up() {
    let root = tempfile::tempdir().expect("a temporary directory");
    let mut s = Script::default();
    s.open(1, "/f", RDWR_CREATE, 3, 10);
    s.open(1, "/f", RDWR_CREATE, 4, 10);
    s.call(1, "flock", &[3, 2], 0, vec![]);
    s.call(1, "flock", &[4, 2], 0, vec![]);
    match s.run_in(root.path(), Duration::from_secs(2)) {
        Err(Error::Stuck { call: "flock", seq: 3, .. }) => {}
        other => panic!("{other:?}"),
    }
}

#[test]
fn calls_that_never_returned_are_counted() {
    let mut s = Script::default();
    let lost = s.call(1, "fsync", &[3], 0, vec![]);
    (lost.exited, lost.flags) = (None, NO_EXIT);
    let (_root, report) = s.run();
    assert_eq!((report.calls, report.skipped_by.get("never returned")), (1, Some(&1)));
}

/// Out of a pipe into a file, and out of a file into a pipe: the file takes what the other end
/// gave, and its offset moves.
#[test]
fn one_end_of_a_move_is_performed() {
    let from_file = |arg, bytes: &[u8]| payload(arg, PayloadKind::Data, AT_EXIT | FROM_FILE, bytes);
    let mut s = Script::default();
    let fds = [4i32, 5].map(i32::to_le_bytes).concat();
    s.call(1, "pipe", &[4096], 0, vec![payload(0, PayloadKind::Bytes, AT_EXIT, &fds)]);
    s.open(1, "/f", RDWR_CREATE, 3, 10);
    s.call(1, "splice", &[4, 0, 3, 0, 100, 0], 5, vec![from_file(2, b"hello")]);
    let at = payload(3, PayloadKind::Bytes, 0, &9u64.to_le_bytes());
    s.call(1, "splice", &[4, 0, 3, 8192, 100, 0], 3, vec![at, from_file(2, b"end")]);
    s.call(1, "lseek", &[3, 0, 1], 5, vec![]);
    s.call(1, "lseek", &[3, 1, 0], 1, vec![]);
    s.call(1, "splice", &[3, 0, 5, 0, 3, 0], 3, vec![from_file(0, b"ell")]);
    s.read(1, 3, 100, b"o\0\0\0\0end");
    // Into a pipe from a pipe: nothing to perform.
    s.call(1, "splice", &[4, 0, 5, 0, 100, 0], 3, vec![]);
    let (root, report) = s.run();
    assert_eq!((report.divergences, report.skipped), (0, 2), "{report:#?}");
    assert_eq!(std::fs::read(root.path().join("f")).expect("the file"), b"hello\0\0\0\0end");
}

/// A range of one file is cloned into another: where the file system here cannot share blocks, the
/// bytes are copied, and the report says so.
#[test]
fn a_clone_is_a_copy_where_blocks_cannot_be_shared() {
    const FICLONERANGE: u64 = 0x4020_940d;
    let mut s = Script::default();
    s.open(1, "/from", RDWR_CREATE, 3, 10);
    s.write(1, 3, &[b'x'; 5000]);
    s.open(1, "/to", RDWR_CREATE, 4, 11);
    let range = [3u64, 1, 4000, 7].map(u64::to_le_bytes).concat();
    let bytes = payload(2, PayloadKind::Data, AT_EXIT | FROM_FILE, &[b'x'; 4000]);
    s.call(
        1,
        "ioctl",
        &[4, FICLONERANGE, 4096],
        0,
        vec![payload(2, PayloadKind::Bytes, 0, &range), bytes],
    );
    let (root, report) = s.run();
    // Such a range no file system shares.
    assert_eq!((report.divergences, report.copied), (0, 1), "{report:#?}");
    assert_eq!(
        std::fs::read(root.path().join("to")).expect("the file"),
        [&[0; 7][..], &[b'x'; 4000][..]].concat()
    );
}
