//! Random file operations, done for real in one place and told as calls: what inference and
//! preparation make of them must let the same operations come out the same in another place.

mod cases;
mod op;
mod place;
mod search;

use super::*;
use ::model::files::{InferenceInput, Machine, RenamedNames, infer};
use capture::ThisMachine;
use nix::time::ClockId;
use op::{Op, op};
use place::{Outcome, Place, pattern};
use proptest::prelude::*;
use rustix::fs::{self, AtFlags, Mode, OFlags, Stat};
use std::os::fd::AsFd;
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;
use std::sync::Arc;
use trace::record::{AT_EXIT, PayloadKind, RecordKind};
use trace::{Buffer, Call, Event, Identity, Payload};
use zerocopy::IntoBytes;

const FIRST_FD: usize = 3;

/// Tells operations as an engine would.
struct Teller {
    items: Vec<Item>,
    clock: u64,
}

const PID: u32 = 77;
const AT_FDCWD: u64 = -100i64 as u64;

fn payload(arg: u8, kind: PayloadKind, bytes: &[u8]) -> Payload {
    Payload {
        arg,
        kind,
        flags: AT_EXIT,
        len: bytes.len() as u64,
        wanted: bytes.len() as u64,
        bytes: Buffer::from(bytes),
    }
}

fn identity(path: &Path, stat: &Stat, born: u64) -> Vec<u8> {
    let identity = Identity {
        dev: stat.st_dev,
        ino: stat.st_ino,
        size: stat.st_size as u64,
        mode: stat.st_mode,
        links: stat.st_nlink as u32,
        uid: stat.st_uid,
        gid: stat.st_gid,
        fs_type: 0xef53,
        born,
        ..Identity::default()
    };
    [identity.as_bytes(), path.as_os_str().as_bytes()].concat()
}

/// What a call tells of a file.
fn told(stat: Option<&Stat>) -> Vec<u8> {
    let mut bytes = vec![0u8; 144];
    if let Some(s) = stat {
        for (at, value) in [(0, s.st_dev), (8, s.st_ino), (16, s.st_nlink), (48, s.st_size as u64)]
        {
            bytes[at..at + 8].copy_from_slice(&value.to_le_bytes());
        }
        for (at, value) in [(24, s.st_mode), (28, s.st_uid), (32, s.st_gid)] {
            bytes[at..at + 4].copy_from_slice(&value.to_le_bytes());
        }
    }
    bytes
}

/// What an engine tells of a file that was opened.
fn opened(file: &Option<OwnedFd>, stat: &Stat) -> Payload {
    use rustix::fd::AsRawFd;
    let file = file.as_ref().unwrap();
    let shown = std::fs::read_link(format!("/proc/self/fd/{}", file.as_raw_fd())).unwrap();
    let s = fs::statx(file, c"", AtFlags::EMPTY_PATH, fs::StatxFlags::BTIME).unwrap();
    let born = s.stx_btime.tv_sec as u64 * 1_000_000_000 + u64::from(s.stx_btime.tv_nsec);
    payload(abi::plan::RESULT, PayloadKind::Identity, &identity(&shown, stat, born))
}

impl Teller {
    fn new(base: &Path) -> Self {
        let stat = fs::stat(base).unwrap();
        let event = |kind, args, payloads| {
            Item::Event(Event { time: 0, kind, pid: PID, tid: PID, args, payloads })
        };
        let cwd =
            payload(abi::plan::WORKING_DIRECTORY, PayloadKind::Identity, &identity(base, &stat, 1));
        let state = event(RecordKind::State, [0o22, 0, 0, 0, 0, 0], vec![cwd]);
        Self { items: vec![event(RecordKind::Start, [0; 6], Vec::new()), state], clock: 10 }
    }

    fn tell(&mut self, op: &Op, out: &Outcome, place: &Place) {
        let at = AT_FDCWD;
        let fd = |slot: usize| (slot + FIRST_FD) as u64;
        let path = |arg, path: &str| payload(arg, PayloadKind::String, path.as_bytes());
        let (name, args, mut payloads): (&str, [u64; 6], Vec<Payload>) = match op {
            Op::Open(p, flags) => {
                ("openat", [at, 1, u64::from(*flags), 0o640, 0, 0], vec![path(1, p)])
            }
            Op::Read(slot, len, None) => (
                "read",
                [fd(*slot), 1, *len as u64, 0, 0, 0],
                vec![payload(1, PayloadKind::Data, &out.bytes)],
            ),
            Op::Read(slot, len, Some(p)) => (
                "pread64",
                [fd(*slot), 1, *len as u64, *p, 0, 0],
                vec![payload(1, PayloadKind::Data, &out.bytes)],
            ),
            Op::Write(slot, len, p) => {
                let data = payload(1, PayloadKind::Data, &pattern(*len)[..out.ret.max(0) as usize]);
                (
                    if p.is_some() { "pwrite64" } else { "write" },
                    [fd(*slot), 1, *len as u64, p.unwrap_or(0), 0, 0],
                    vec![data],
                )
            }
            Op::Seek(slot, to) => ("lseek", [fd(*slot), *to, 0, 0, 0, 0], vec![]),
            Op::Resize(slot, len) => ("ftruncate", [fd(*slot), *len, 0, 0, 0, 0], vec![]),
            Op::Truncate(p, len) => ("truncate", [1, *len, 0, 0, 0, 0], vec![path(0, p)]),
            Op::Mkdir(p) => ("mkdirat", [at, 1, 0o750, 0, 0, 0], vec![path(1, p)]),
            Op::Rmdir(p) => ("rmdir", [1, 0, 0, 0, 0, 0], vec![path(0, p)]),
            Op::Unlink(p) => ("unlink", [1, 0, 0, 0, 0, 0], vec![path(0, p)]),
            Op::Rename(a, b) => ("rename", [1, 1, 0, 0, 0, 0], vec![path(0, a), path(1, b)]),
            Op::Link(a, b) => ("linkat", [at, 1, at, 1, 0, 0], vec![path(1, a), path(3, b)]),
            Op::Symlink(a, b) => ("symlink", [1, 1, 0, 0, 0, 0], vec![path(0, a), path(1, b)]),
            Op::Readlink(p) => (
                "readlink",
                [1, 1, 4096, 0, 0, 0],
                vec![path(0, p), payload(1, PayloadKind::Bytes, &out.bytes)],
            ),
            Op::Stat(p, follow) => {
                let bytes = told(place.raw.as_ref());
                (
                    if *follow { "stat" } else { "lstat" },
                    [1, 1, 0, 0, 0, 0],
                    vec![path(0, p), payload(1, PayloadKind::Bytes, &bytes)],
                )
            }
            Op::List(slot) => (
                "getdents64",
                [fd(*slot), 1, 1 << 16, 0, 0, 0],
                vec![payload(1, PayloadKind::Bytes, &place.listing)],
            ),
            Op::Chmod(p, mode) => ("chmod", [1, u64::from(*mode), 0, 0, 0, 0], vec![path(0, p)]),
            Op::Close(slot) => ("close", [fd(*slot), 0, 0, 0, 0, 0], vec![]),
        };
        if out.ret < 0 {
            payloads.retain(|p| p.kind == PayloadKind::String);
        } else if let (Op::Open(..), Some(stat)) = (op, &place.raw) {
            payloads.push(opened(&place.fds[out.ret as usize - FIRST_FD], stat));
        }
        let nr = abi::by_name(name).unwrap_or_else(|| panic!("no row for {name}")).number;
        self.clock += 10;
        let (entered, seq) = (self.clock, self.clock);
        self.items.push(Item::Call(Call {
            seq,
            entered,
            exited: Some(entered + 5),
            pid: PID,
            tid: PID,
            nr,
            flags: 0,
            args,
            ret: out.ret,
            fd_snapshot: Default::default(),
            payloads,
        }));
    }
}

/// Links lead one directory up at most.
const DEPTH: &str = "1/2";

/// A directory as it was when a recording begins.
struct Staged {
    _home: tempfile::TempDir,
    base: PathBuf,
}

impl Staged {
    fn new(before: &[Op]) -> Self {
        let home = tempfile::tempdir().unwrap();
        let base = home.path().canonicalize().unwrap().join(DEPTH);
        std::fs::create_dir_all(&base).unwrap();
        for op in [Op::Mkdir("a".into()), Op::Mkdir("a/b".into())].iter().chain(before) {
            Place::new(&base).perform(op);
        }
        let mut stager = Place::new(&base);
        for op in before {
            stager.perform(op);
        }
        Self { _home: home, base }
    }
}

/// Waits until the clock by which files get their times has moved on for sure, and returns it.
fn begin() -> u64 {
    let coarse = || {
        nix::time::clock_gettime(ClockId::CLOCK_REALTIME_COARSE)
            .map(std::time::Duration::from)
            .unwrap()
    };
    let staged = coarse();
    while coarse() < staged + std::time::Duration::from_millis(25) {
        std::thread::sleep(std::time::Duration::from_millis(5));
    }
    coarse().as_nanos() as u64
}

fn run(before: &[Op], ops: &[Op], live: bool) -> Result<(), TestCaseError> {
    let staged = Staged::new(before);
    check(&staged.base, begin(), ops, live)
}

/// Infers the state at `began`, before `items`, and makes it in `root`. Returns its files.
fn make_again(items: &[Item], began: u64, live: bool, root: &Path) -> Vec<Row> {
    let trace = tempfile::tempdir().unwrap();
    let dir = fs::open(trace.path(), OFlags::RDONLY | OFlags::DIRECTORY, Mode::empty()).unwrap();
    let mut moved = RenamedNames::default();
    for item in items {
        if let Item::Call(call) = item {
            moved.add(call);
        }
    }
    let machine = live.then(|| Arc::new(ThisMachine) as Arc<dyn Machine>);
    let about =
        InferenceInput { began, machine, moved, final_state: live, ..InferenceInput::default() };
    infer(&trace::storage::Disk, dir.as_fd(), items.iter().cloned().map(Ok), &about).unwrap();
    let open = |name| std::fs::File::open(trace.path().join(name)).unwrap();
    let rows = ::model::files::read_rows(open("files.parquet")).unwrap();
    let origins: Vec<Origin> = ::model::files::Origins::open(open("initial.parquet"))
        .unwrap()
        .map(Result::unwrap)
        .collect();

    prepare_from(
        &rows,
        None,
        Contents {
            copied: std::iter::empty(),
            origins: origins.into_iter().map(Ok),
            items: || Ok(items.iter().cloned().map(Ok)),
        },
        root,
        CreateOptions::default(),
        &crate::Quiet,
    )
    .unwrap();
    rows
}

/// Does the operations in a directory that was staged before `began`, infers how it was, makes
/// that again and does them there.
fn check(base: &Path, began: u64, ops: &[Op], live: bool) -> Result<(), TestCaseError> {
    let mut there = Place::new(base);
    let mut teller = Teller::new(base);
    let mut outcomes = Vec::new();
    for op in ops {
        let out = there.perform(op);
        teller.tell(op, &out, &there);
        outcomes.push(out);
    }

    let root = tempfile::tempdir().unwrap();
    let rows = make_again(&teller.items, began, live, root.path());
    let mut here: PathBuf = root.path().to_owned();
    here.push(base.strip_prefix("/").unwrap());
    let mut here = Place::new(&here);
    for (op, expected) in ops.iter().zip(&outcomes) {
        let mut got = here.perform(op);
        let mut expected = expected.clone();
        // A listing's length depends on the file system; link counts on names that the trace did
        // not touch.
        if matches!(op, Op::List(_)) && got.ret >= 0 && expected.ret >= 0 {
            got.ret = expected.ret;
        }
        // Where a path led nowhere and nothing else was ever seen of it, the trace does not tell
        // which component was missing or no directory.
        let nowhere = [-2, -20, -40];
        if nowhere.contains(&got.ret) && nowhere.contains(&expected.ret)
            || !live && got.ret < 0 && expected.ret < 0
        {
            continue;
        }
        for out in [&mut got, &mut expected] {
            out.stat = out.stat.map(|s| (s.0, s.1, 0));
        }
        prop_assert_eq!(got, expected, "{:?}", op);
    }
    if live {
        let report = crate::verify::state::compare_tree(
            &rows,
            root.path(),
            crate::verify::state::CompareOptions { owners: true, withhold: false },
            &mut |_, _| {},
        )
        .unwrap();
        let differences: Vec<String> = report.differences.iter().map(ToString::to_string).collect();
        prop_assert_eq!(differences, Vec::<String>::new());
    }
    Ok(())
}
