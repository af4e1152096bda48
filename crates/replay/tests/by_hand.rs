//! Replays of traces made by hand, as root in a root of their own.

use abi::plan::RESULT;
use arrow::buffer::Buffer;
use reanimator_replay::source::{Cause, Reading};
use reanimator_replay::{
    Error, Options, Progress, Quiet, Report, Root, Source, Verify, replay_source,
};
use std::os::fd::BorrowedFd;
use std::path::Path;
use std::time::Duration;
use trace::files::{Origin, Row};
use trace::record::{AT_EXIT, FROM_FILE, NO_EXIT, PieceKind};
use trace::world::Mounts;
use trace::{Call, Event, Identity, Item, Piece, RecordKind};
use zerocopy::IntoBytes;

struct Made(Vec<Item>);

impl Source for Made {
    fn items(&self) -> Result<Reading<'_, Item>, Cause> {
        Ok(Box::new(self.0.iter().cloned().map(Ok)))
    }
    fn rows(&self) -> Result<Vec<Row>, Cause> {
        Ok(Vec::new())
    }
    fn origins(&self) -> Result<Reading<'_, Origin>, Cause> {
        Ok(Box::new(std::iter::empty()))
    }
    fn mounts(&self) -> Mounts {
        Mounts::new([(&b"/"[..], "ext4"), (&b"/proc"[..], "proc")])
    }
    fn directory(&self) -> Option<BorrowedFd<'_>> {
        None
    }
}

fn piece(arg: u8, kind: PieceKind, flags: u8, bytes: &[u8]) -> Piece {
    Piece {
        arg,
        kind,
        flags,
        len: bytes.len() as u64,
        wanted: bytes.len() as u64,
        bytes: Buffer::from(bytes),
    }
}

fn file(path: &str, ino: u64) -> Piece {
    file_of(path, ino, 0)
}

fn file_of(path: &str, ino: u64, size: u64) -> Piece {
    let identity = Identity { dev: 1, ino, size, mode: 0o100_644, links: 1, ..Identity::default() };
    let mut bytes = identity.as_bytes().to_vec();
    bytes.extend_from_slice(path.as_bytes());
    piece(RESULT, PieceKind::Identity, AT_EXIT, &bytes)
}

/// A recording under construction: a call follows the other unless it is said to overlap.
#[derive(Default)]
struct Script {
    items: Vec<Item>,
    time: u64,
}

impl Script {
    fn call(
        &mut self,
        tid: u32,
        name: &str,
        args: &[u64],
        ret: i64,
        pieces: Vec<Piece>,
    ) -> &mut Call {
        let mut six = [0; 6];
        six[..args.len()].copy_from_slice(args);
        self.time += 10;
        let row = abi::by_name(name).expect("a call of the table");
        let (seq, entered) = (self.items.len() as u64, self.time);
        let call = Call {
            seq,
            entered,
            left: Some(entered + 5),
            pid: tid,
            tid,
            nr: row.number,
            flags: 0,
            args: six,
            ret,
            seen: Default::default(),
            pieces,
        };
        self.items.push(Item::Call(call));
        match self.items.last_mut() {
            Some(Item::Call(call)) => call,
            _ => unreachable!("just pushed"),
        }
    }
    fn event(&mut self, tid: u32, kind: RecordKind, args: &[u64]) {
        let mut six = [0; 6];
        six[..args.len()].copy_from_slice(args);
        self.time += 10;
        self.items.push(Item::Event(Event {
            time: self.time,
            kind,
            pid: tid,
            tid,
            args: six,
            pieces: Vec::new(),
        }));
    }
    fn open(&mut self, tid: u32, path: &str, flags: u64, fd: i64, ino: u64) -> &mut Call {
        let text = piece(1, PieceKind::String, 0, path.as_bytes());
        self.call(
            tid,
            "openat",
            &[-100i64 as u64, 4096, flags, 0o644],
            fd,
            vec![text, file(path, ino)],
        )
    }
    fn write(&mut self, tid: u32, fd: u64, bytes: &[u8]) -> &mut Call {
        self.call(
            tid,
            "write",
            &[fd, 4096, bytes.len() as u64],
            bytes.len() as i64,
            vec![piece(1, PieceKind::Data, AT_EXIT, bytes)],
        )
    }
    fn read(&mut self, tid: u32, fd: u64, count: u64, bytes: &[u8]) -> &mut Call {
        self.call(
            tid,
            "read",
            &[fd, 4096, count],
            bytes.len() as i64,
            vec![piece(1, PieceKind::Data, AT_EXIT, bytes)],
        )
    }
    fn run_in(self, root: &Path, patience: Duration) -> Result<Report, Error> {
        replay_source(
            &Made(self.items),
            &Options { patience, ..Options::new(Root::open(root).expect("the root is there")) },
            &Quiet,
        )
    }
    fn run(self) -> (tempfile::TempDir, Report) {
        let root = tempfile::tempdir().expect("a temporary directory");
        let report = self.run_in(root.path(), Duration::from_secs(60)).expect("replayed");
        (root, report)
    }
}

fn can() -> bool {
    let root = nix::unistd::geteuid().is_root();
    if !root {
        eprintln!(
            "NOT RUN: replays by hand need root (a test process has threads, which rules a user namespace out)"
        );
    }
    root
}

const RDWR_CREATE: u64 = 0o102;

#[test]
fn what_was_written_is_read_back() {
    if !can() {
        return;
    }
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
    if !can() {
        return;
    }
    let mut s = Script::default();
    s.open(1, "/f", RDWR_CREATE, 3, 10);
    s.write(1, 3, b"hello");
    s.call(1, "lseek", &[3, 0, 0], 0, vec![]);
    s.read(1, 3, 100, b"hexlo");
    s.call(1, "unlink", &[4096], 0, vec![piece(0, PieceKind::String, 0, b"/nothing")]);
    let (_root, report) = s.run();
    assert_eq!((report.divergences, report.exit_code()), (2, 1), "{report:#?}");
    assert_eq!(report.shown[0].what, "byte 2 of the data");
    assert_eq!((report.shown[1].expected.as_str(), report.shown[1].got.as_str()), ("0", "ENOENT"));
}

/// Calls that follow each other on one descriptor, which replay translates beforehand.
#[test]
fn differences_are_told_in_a_row_of_reads() {
    if !can() {
        return;
    }
    let read = |s: &mut Script, at: u64, bytes: &[u8]| {
        s.call(
            1,
            "pread64",
            &[3, 4096, 100, at],
            bytes.len() as i64,
            vec![piece(1, PieceKind::Data, AT_EXIT, bytes)],
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
    if !can() {
        return;
    }
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
    if !can() {
        return;
    }
    let mut s = Script::default();
    s.open(1, "/f", RDWR_CREATE, 3, 10);
    s.write(1, 3, b"hello");
    s.event(2, RecordKind::Start, &[1, 1, 0x10f00, 0]);
    let begun = s.call(
        2,
        "pread64",
        &[3, 4096, 100, 0],
        5,
        vec![piece(1, PieceKind::Data, AT_EXIT, b"hello")],
    );
    begun.left = Some(begun.entered + 1000);
    s.call(1, "close", &[3], 0, vec![]);
    // It returned the number while the read was still under way.
    s.open(1, "/g", RDWR_CREATE, 3, 11);
    // Entered after the number was freed and taken again: this one means the new file.
    s.write(2, 3, b"new");
    let (root, report) = s.run();
    assert_eq!(report.divergences + report.races, 0, "{report:#?}");
    assert_eq!(std::fs::read(root.path().join("g")).expect("the file"), b"new");
}

/// It may have gone into either of two files, at the place that each of them makes of it: what is found there is a race of the recorded program.
#[test]
fn a_write_whose_number_changes_its_file() {
    if !can() {
        return;
    }
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
        vec![piece(1, PieceKind::Data, AT_EXIT, b"ab")],
    );
    begun.left = Some(begun.entered + 1000);
    s.call(1, "close", &[3], 0, vec![]);
    s.open(1, "/g", RDWR_CREATE, 3, 11).pieces[1] = file_of("/g", 11, 300);
    s.time += 2000;
    s.call(1, "pread64", &[4, 4096, 2, 100], 2, vec![piece(1, PieceKind::Data, AT_EXIT, b"ab")]);
    let (_root, report) = s.run();
    assert_eq!((report.divergences, report.races), (0, 1), "{report:#?}");
}

#[test]
fn nothing_leads_out() {
    if !can() {
        return;
    }
    let outside = tempfile::tempdir().expect("a temporary directory");
    let victim = outside.path().join("victim");
    let mut s = Script::default();
    let target = outside.path().as_os_str().as_encoded_bytes();
    s.call(
        1,
        "symlink",
        &[4096, 4096],
        0,
        vec![piece(0, PieceKind::String, 0, target), piece(1, PieceKind::String, 0, b"/out")],
    );
    s.open(1, "/out/victim", RDWR_CREATE, 3, 10);
    s.open(1, &format!("/../../../../../..{}", victim.display()), RDWR_CREATE, 4, 11);
    s.call(
        1,
        "mknod",
        &[4096, 0o020_666, 0x103],
        0,
        vec![piece(0, PieceKind::String, 0, b"/null")],
    );
    s.call(1, "chdir", &[4096], 0, vec![piece(0, PieceKind::String, 0, b"..")]);
    s.open(1, "../victim", RDWR_CREATE, 5, 12);
    s.write(1, 5, b"inside");
    let (root, report) = s.run();
    assert!(!victim.exists());
    assert_eq!(std::fs::read(root.path().join("victim")).expect("inside"), b"inside");
    assert_eq!(report.skipped_by.get("device"), Some(&1));
}

#[test]
fn huge_lengths_take_no_memory() {
    if !can() {
        return;
    }
    let mut s = Script::default();
    s.open(1, "/f", RDWR_CREATE, 3, 10);
    let mut cut = piece(1, PieceKind::Data, AT_EXIT, b"x");
    (cut.len, cut.wanted) = (1, 1 << 20);
    s.call(1, "write", &[3, 4096, u64::MAX], 1 << 20, vec![cut]);
    s.call(
        1,
        "pread64",
        &[3, 4096, u64::MAX / 2, 0],
        1 << 20,
        vec![piece(1, PieceKind::Data, AT_EXIT, b"x")],
    );
    s.call(1, "pread64", &[3, 4096, 1 << 40, 1 << 62], 0, vec![]);
    let (root, report) = s.run();
    assert_eq!(report.divergences, 0, "{report:#?}");
    assert_eq!(std::fs::metadata(root.path().join("f")).expect("the file").len(), 1 << 20);
}

#[test]
fn a_trace_that_blocks_for_ever_is_given_up() {
    if !can() {
        return;
    }
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
    if !can() {
        return;
    }
    let mut s = Script::default();
    let lost = s.call(1, "fsync", &[3], 0, vec![]);
    (lost.left, lost.flags) = (None, NO_EXIT);
    let (_root, report) = s.run();
    assert_eq!((report.calls, report.skipped_by.get("never returned")), (1, Some(&1)));
}

/// What a call changed that nobody performs is not called equal without a word.
#[test]
fn a_file_changed_by_what_is_not_performed_is_told() {
    if !can() {
        return;
    }
    let mut s = Script::default();
    let name = piece(1, PieceKind::String, 0, b"/changed");
    let attributes = piece(2, PieceKind::Bytes, 0, &[0; 24]);
    s.call(1, "file_setattr", &[-100i64 as u64, 4096, 8192, 24, 0], 0, vec![name, attributes]);
    let (_root, report) = s.run();
    assert_eq!((report.issued, report.state.excluded), (0, 1), "{report:#?}");
    assert!(
        report.state.excluded_lines[0]
            .starts_with("/changed: file_setattr of call 0 was not performed"),
        "{report:#?}"
    );
}

/// Out of a pipe into a file, and out of a file into a pipe: the file takes what the other end gave, and its offset moves.
#[test]
fn one_end_of_a_move_is_performed() {
    if !can() {
        return;
    }
    let from_file = |arg, bytes: &[u8]| piece(arg, PieceKind::Data, AT_EXIT | FROM_FILE, bytes);
    let mut s = Script::default();
    let fds = [4i32, 5].map(i32::to_le_bytes).concat();
    s.call(1, "pipe", &[4096], 0, vec![piece(0, PieceKind::Bytes, AT_EXIT, &fds)]);
    s.open(1, "/f", RDWR_CREATE, 3, 10);
    s.call(1, "splice", &[4, 0, 3, 0, 100, 0], 5, vec![from_file(2, b"hello")]);
    let at = piece(3, PieceKind::Bytes, 0, &9u64.to_le_bytes());
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

/// A range of one file is cloned into another: where the file system here cannot share blocks, the bytes are copied, and the report says so.
#[test]
fn a_clone_is_a_copy_where_blocks_cannot_be_shared() {
    if !can() {
        return;
    }
    const FICLONERANGE: u64 = 0x4020_940d;
    let mut s = Script::default();
    s.open(1, "/from", RDWR_CREATE, 3, 10);
    s.write(1, 3, &[b'x'; 5000]);
    s.open(1, "/to", RDWR_CREATE, 4, 11);
    let range = [3u64, 1, 4000, 7].map(u64::to_le_bytes).concat();
    let bytes = piece(2, PieceKind::Data, AT_EXIT | FROM_FILE, &[b'x'; 4000]);
    s.call(
        1,
        "ioctl",
        &[4, FICLONERANGE, 4096],
        0,
        vec![piece(2, PieceKind::Bytes, 0, &range), bytes],
    );
    let (root, report) = s.run();
    // Such a range no file system shares.
    assert_eq!((report.divergences, report.copied), (0, 1), "{report:#?}");
    assert_eq!(
        std::fs::read(root.path().join("to")).expect("the file"),
        [&[0; 7][..], &[b'x'; 4000][..]].concat()
    );
}

/// Progress counts calls that are done. All are read before the first is performed here.
#[test]
fn progress_is_of_calls_that_are_done() {
    #[derive(Default)]
    struct Heard(std::sync::atomic::AtomicU64);
    impl Progress for Heard {
        fn calls(&self, done: u64, _moved: u64) {
            // This is called within the root.
            let made = std::fs::read_dir("/").expect("the root").count() as u64;
            assert!(done <= made, "{done} calls are done, and made {made} directories");
            self.0.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        }
    }
    if !can() {
        return;
    }
    let mut s = Script::default();
    for i in 0..9000 {
        let name = piece(0, PieceKind::String, 0, format!("/d{i}").as_bytes());
        s.call(1, "mkdir", &[4096, 0o755], 0, vec![name]);
    }
    let root = tempfile::tempdir().expect("a temporary directory");
    let (heard, held) = (Heard::default(), Root::open(root.path()).expect("the root is there"));
    let options = Options { preload: true, verify: Verify::None, ..Options::new(held) };
    let report = replay_source(&Made(s.items), &options, &heard).expect("replayed");
    assert_eq!((report.divergences, report.issued), (0, 9000), "{report:#?}");
    assert!(heard.0.into_inner() >= 2);
}

/// Calls that fail here and did not when they were recorded are counted, even if nothing is
/// compared: what they took says nothing.
#[test]
fn failures_are_counted_whatever_is_compared() {
    if !can() {
        return;
    }
    for verify in [Verify::None, Verify::Result, Verify::Data] {
        let mut s = Script::default();
        s.open(1, "/f", RDWR_CREATE, 3, 10);
        s.call(1, "lseek", &[3, 5, 0], 7, vec![]);
        let name = || piece(0, PieceKind::String, 0, b"/nothing");
        s.call(1, "rmdir", &[4096], 0, vec![name()]);
        s.call(1, "rmdir", &[4096], -20, vec![name()]);
        let root = tempfile::tempdir().expect("a temporary directory");
        let held = Root::open(root.path()).expect("the root is there");
        let options = Options { verify, ..Options::new(held) };
        let report = replay_source(&Made(s.items), &options, &Quiet).expect("replayed");
        let compared = u64::from(verify != Verify::None) * 3;
        assert_eq!((report.divergences, report.failed), (compared, 2), "{report:#?}");
        let first = report.first_failed.expect("the first of them");
        assert_eq!((first.call, &*first.got), ("rmdir", "ENOENT"), "{first:?}");
    }
}
