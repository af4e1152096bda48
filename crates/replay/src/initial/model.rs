//! Random file operations, done for real in one place and told as calls: what inference and preparation make of them must let the same operations come out
//! the same in another place.

mod cases;
mod search;

use super::*;
use ::model::files::{Circumstances, infer};
use arrow::buffer::Buffer;
use nix::time::ClockId;
use proptest::prelude::*;
use rustix::fs::{self, Mode, OFlags};
use rustix::io::Errno;
use std::collections::BTreeSet;
use std::path::PathBuf;
use trace::record::{AT_EXIT, RecordKind};
use trace::{Call, Event, Identity, Piece};
use zerocopy::IntoBytes;

const FIRST_FD: usize = 3;

#[derive(Clone, Debug)]
enum Op {
    Open(String, u32),
    Read(usize, usize, Option<u64>),
    Write(usize, usize, Option<u64>),
    Seek(usize, u64),
    Resize(usize, u64),
    Truncate(String, u64),
    Mkdir(String),
    Rmdir(String),
    Unlink(String),
    Rename(String, String),
    Link(String, String),
    Symlink(String, String),
    Readlink(String),
    Stat(String, bool),
    List(usize),
    Chmod(String, u32),
    Close(usize),
}

/// What an operation shows to the program.
#[derive(Clone, Debug, Default, PartialEq)]
struct Outcome {
    ret: i64,
    bytes: Vec<u8>,
    names: BTreeSet<(Vec<u8>, u8)>,
    /// Type and mode, size (of files), links (of files).
    stat: Option<(u32, i64, u64)>,
}

/// A place where operations are done: a working directory and descriptors.
struct Place {
    base: OwnedFd,
    fds: Vec<Option<OwnedFd>>,
    raw: Option<Stat>,
    listing: Vec<u8>,
}
use rustix::fs::Stat;

impl Place {
    fn new(base: &Path) -> Self {
        Self {
            base: fs::open(base, OFlags::PATH | OFlags::DIRECTORY, Mode::empty()).unwrap(),
            fds: Vec::new(),
            raw: None,
            listing: Vec::new(),
        }
    }

    fn fd(&self, slot: usize) -> Result<&OwnedFd, Errno> {
        self.fds.get(slot).and_then(Option::as_ref).ok_or(Errno::BADF)
    }

    fn perform(&mut self, op: &Op) -> Outcome {
        let mut out = Outcome::default();
        match self.attempt(op, &mut out) {
            Ok(ret) => out.ret = ret,
            Err(e) => out.ret = -i64::from(e.raw_os_error()),
        }
        out
    }

    fn attempt(&mut self, op: &Op, out: &mut Outcome) -> Result<i64, Errno> {
        self.raw = None;
        match op {
            Op::Open(path, flags) => {
                let fd = fs::openat(
                    &self.base,
                    path,
                    OFlags::from_bits_retain(*flags) | OFlags::CLOEXEC,
                    Mode::from_raw_mode(0o640),
                )?;
                self.raw = Some(fs::fstat(&fd)?);
                let slot = self.fds.iter().position(Option::is_none).unwrap_or(self.fds.len());
                self.fds.resize_with(self.fds.len().max(slot + 1), || None);
                self.fds[slot] = Some(fd);
                return Ok((slot + FIRST_FD) as i64);
            }
            Op::Read(slot, len, at) => {
                let mut buffer = vec![0; *len];
                let n = match at {
                    Some(at) => rustix::io::pread(self.fd(*slot)?, &mut buffer[..], *at)?,
                    None => rustix::io::read(self.fd(*slot)?, &mut buffer[..])?,
                };
                buffer.truncate(n);
                out.bytes = buffer;
                return Ok(n as i64);
            }
            Op::Write(slot, len, at) => {
                let bytes = pattern(*len);
                let n = match at {
                    Some(at) => rustix::io::pwrite(self.fd(*slot)?, &bytes, *at)?,
                    None => rustix::io::write(self.fd(*slot)?, &bytes)?,
                };
                return Ok(n as i64);
            }
            Op::Seek(slot, to) => {
                return Ok(fs::seek(self.fd(*slot)?, fs::SeekFrom::Start(*to))? as i64);
            }
            Op::Resize(slot, len) => fs::ftruncate(self.fd(*slot)?, *len)?,
            Op::Truncate(path, len) => {
                let path = std::ffi::CString::new(path.as_bytes()).unwrap();
                // truncate(2) takes no directory descriptor.
                let fd = fs::openat(
                    &self.base,
                    &*path,
                    OFlags::WRONLY | OFlags::CLOEXEC | OFlags::NONBLOCK,
                    Mode::empty(),
                )?;
                fs::ftruncate(fd, *len)?;
            }
            Op::Mkdir(path) => fs::mkdirat(&self.base, path, Mode::from_raw_mode(0o750))?,
            Op::Rmdir(path) => fs::unlinkat(&self.base, path, AtFlags::REMOVEDIR)?,
            Op::Unlink(path) => fs::unlinkat(&self.base, path, AtFlags::empty())?,
            Op::Rename(from, to) => fs::renameat(&self.base, from, &self.base, to)?,
            Op::Link(from, to) => fs::linkat(&self.base, from, &self.base, to, AtFlags::empty())?,
            Op::Symlink(target, path) => fs::symlinkat(target, &self.base, path)?,
            Op::Readlink(path) => {
                out.bytes = fs::readlinkat(&self.base, path, Vec::new())?.into_bytes();
                return Ok(out.bytes.len() as i64);
            }
            Op::Stat(path, follow) => {
                let stat = fs::statat(
                    &self.base,
                    path,
                    if *follow { AtFlags::empty() } else { AtFlags::SYMLINK_NOFOLLOW },
                )?;
                let directory = stat.st_mode & 0o170_000 == 0o040_000;
                out.stat = Some((
                    stat.st_mode,
                    if directory { 0 } else { stat.st_size },
                    if directory { 0 } else { stat.st_nlink },
                ));
                self.raw = Some(stat);
            }
            Op::List(slot) => {
                // From its beginning, whatever was read before.
                let fd = fs::openat(
                    self.fd(*slot)?,
                    ".",
                    OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC,
                    Mode::empty(),
                )?;
                self.listing.clear();
                let mut buffer = vec![std::mem::MaybeUninit::uninit(); 1 << 16];
                let mut raw = fs::RawDir::new(&fd, &mut buffer);
                while let Some(entry) = raw.next() {
                    let entry = entry?;
                    let name = entry.file_name().to_bytes();
                    let kind = entry.file_type() as u8;
                    let kind = [
                        (fs::FileType::Directory, 4),
                        (fs::FileType::RegularFile, 8),
                        (fs::FileType::Symlink, 10),
                    ]
                    .into_iter()
                    .find(|k| k.0 == entry.file_type())
                    .map_or(kind, |k| k.1);
                    let len = (19 + name.len() + 1).next_multiple_of(8);
                    let start = self.listing.len();
                    self.listing.extend_from_slice(&entry.ino().to_le_bytes());
                    self.listing.extend_from_slice(&[0; 8]);
                    self.listing.extend_from_slice(&(len as u16).to_le_bytes());
                    self.listing.push(kind);
                    self.listing.extend_from_slice(name);
                    self.listing.resize(start + len, 0);
                    out.names.insert((name.to_vec(), kind));
                }
                return Ok(self.listing.len() as i64);
            }
            Op::Chmod(path, mode) => {
                fs::chmodat(&self.base, path, Mode::from_raw_mode(*mode), AtFlags::empty())?;
            }
            Op::Close(slot) => {
                self.fd(*slot)?;
                self.fds[*slot] = None;
            }
        }
        Ok(0)
    }
}

fn pattern(len: usize) -> Vec<u8> {
    (0..len).map(|i| (len * 7 + i * 13) as u8 | 1).collect()
}

/// Tells operations as an engine would.
struct Teller {
    items: Vec<Item>,
    clock: u64,
}

const PID: u32 = 77;
const AT_FDCWD: u64 = -100i64 as u64;

fn piece(arg: u8, kind: PieceKind, bytes: &[u8]) -> Piece {
    Piece {
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
        magic: 0xef53,
        born,
        ..Identity::default()
    };
    [identity.as_bytes(), path.as_os_str().as_bytes()].concat()
}

impl Teller {
    fn new(base: &Path) -> Self {
        let stat = fs::stat(base).unwrap();
        let event = |kind, args, pieces| {
            Item::Event(Event { time: 0, kind, pid: PID, tid: PID, args, pieces })
        };
        let cwd =
            piece(abi::plan::WORKING_DIRECTORY, PieceKind::Identity, &identity(base, &stat, 1));
        let state = event(RecordKind::State, [0o22, 0, 0, 0, 0, 0], vec![cwd]);
        Self { items: vec![event(RecordKind::Start, [0; 6], Vec::new()), state], clock: 10 }
    }

    fn tell(&mut self, op: &Op, out: &Outcome, place: &Place) {
        let at = AT_FDCWD;
        let fd = |slot: usize| (slot + FIRST_FD) as u64;
        let path = |arg, path: &str| piece(arg, PieceKind::String, path.as_bytes());
        let (name, args, mut pieces): (&str, [u64; 6], Vec<Piece>) = match op {
            Op::Open(p, flags) => {
                ("openat", [at, 1, u64::from(*flags), 0o640, 0, 0], vec![path(1, p)])
            }
            Op::Read(slot, len, None) => (
                "read",
                [fd(*slot), 1, *len as u64, 0, 0, 0],
                vec![piece(1, PieceKind::Data, &out.bytes)],
            ),
            Op::Read(slot, len, Some(p)) => (
                "pread64",
                [fd(*slot), 1, *len as u64, *p, 0, 0],
                vec![piece(1, PieceKind::Data, &out.bytes)],
            ),
            Op::Write(slot, len, p) => {
                let data = piece(1, PieceKind::Data, &pattern(*len)[..out.ret.max(0) as usize]);
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
                vec![path(0, p), piece(1, PieceKind::Bytes, &out.bytes)],
            ),
            Op::Stat(p, follow) => {
                let mut bytes = vec![0u8; 144];
                if let Some(s) = &place.raw {
                    for (at, value) in
                        [(0, s.st_dev), (8, s.st_ino), (16, s.st_nlink), (48, s.st_size as u64)]
                    {
                        bytes[at..at + 8].copy_from_slice(&value.to_le_bytes());
                    }
                    for (at, value) in [(24, s.st_mode), (28, s.st_uid), (32, s.st_gid)] {
                        bytes[at..at + 4].copy_from_slice(&value.to_le_bytes());
                    }
                }
                (
                    if *follow { "stat" } else { "lstat" },
                    [1, 1, 0, 0, 0, 0],
                    vec![path(0, p), piece(1, PieceKind::Bytes, &bytes)],
                )
            }
            Op::List(slot) => (
                "getdents64",
                [fd(*slot), 1, 1 << 16, 0, 0, 0],
                vec![piece(1, PieceKind::Bytes, &place.listing)],
            ),
            Op::Chmod(p, mode) => ("chmod", [1, u64::from(*mode), 0, 0, 0, 0], vec![path(0, p)]),
            Op::Close(slot) => ("close", [fd(*slot), 0, 0, 0, 0, 0], vec![]),
        };
        if out.ret < 0 {
            pieces.retain(|p| p.kind == PieceKind::String);
        } else if let (Op::Open(..), Some(stat)) = (op, &place.raw) {
            use rustix::fd::AsRawFd;
            let file = place.fds[out.ret as usize - FIRST_FD].as_ref().unwrap();
            let shown = std::fs::read_link(format!("/proc/self/fd/{}", file.as_raw_fd())).unwrap();
            let s = fs::statx(file, c"", AtFlags::EMPTY_PATH, fs::StatxFlags::BTIME).unwrap();
            let born = s.stx_btime.tv_sec as u64 * 1_000_000_000 + u64::from(s.stx_btime.tv_nsec);
            pieces.push(piece(
                abi::plan::RESULT,
                PieceKind::Identity,
                &identity(&shown, stat, born),
            ));
        }
        let nr = abi::by_name(name).unwrap_or_else(|| panic!("no row for {name}")).number;
        self.clock += 10;
        let (entered, seq) = (self.clock, self.clock);
        self.items.push(Item::Call(Call {
            seq,
            entered,
            left: Some(entered + 5),
            pid: PID,
            tid: PID,
            nr,
            flags: 0,
            args,
            ret: out.ret,
            seen: Default::default(),
            pieces,
        }));
    }
}

fn path() -> impl Strategy<Value = String> {
    let part = prop_oneof![4 => Just("a"), 4 => Just("b"), 3 => Just("c"), 1 => Just(".")];
    (
        prop_oneof![Just("a"), Just("b"), Just("c"), Just("d")],
        proptest::collection::vec(part, 0..3),
        prop::bool::weighted(0.05),
    )
        .prop_map(|(first, rest, slash)| {
            let mut path = first.to_owned();
            for part in rest {
                path = path + "/" + part;
            }
            if slash { path + "/" } else { path }
        })
}

fn target() -> impl Strategy<Value = String> {
    prop_oneof![path(), path().prop_map(|p| format!("../{p}"))]
}

fn op() -> impl Strategy<Value = Op> {
    let flags = prop::sample::select(vec![
        0, 2, 1, 0o102, 0o302, 0o1102, 0o1001, 0o2001, 0o2101, 0o200_000, 0o400_000,
    ]);
    let at = || prop::option::of(0u64..50);
    prop_oneof![
        6 => (path(), flags).prop_map(|(p, f)| Op::Open(p, f)),
        5 => (0usize..4, 1usize..40, at()).prop_map(|(s, n, at)| Op::Read(s, n, at)),
        5 => (0usize..4, 1usize..40, at()).prop_map(|(s, n, at)| Op::Write(s, n, at)),
        1 => (0usize..4, 0u64..40).prop_map(|(s, to)| Op::Seek(s, to)),
        1 => (0usize..4, 0u64..40).prop_map(|(s, to)| Op::Resize(s, to)),
        1 => (path(), 0u64..40).prop_map(|(p, to)| Op::Truncate(p, to)),
        2 => path().prop_map(Op::Mkdir),
        1 => path().prop_map(Op::Rmdir),
        2 => path().prop_map(Op::Unlink),
        3 => (path(), path()).prop_map(|(a, b)| Op::Rename(a, b)),
        2 => (path(), path()).prop_map(|(a, b)| Op::Link(a, b)),
        1 => (target(), path()).prop_map(|(a, b)| Op::Symlink(a, b)),
        1 => path().prop_map(Op::Readlink),
        4 => (path(), any::<bool>()).prop_map(|(p, f)| Op::Stat(p, f)),
        2 => (0usize..4).prop_map(Op::List),
        1 => (path(), prop::sample::select(vec![0o600u32, 0o755, 0o4711])).prop_map(|(p, m)| Op::Chmod(p, m)),
        2 => (0usize..4).prop_map(Op::Close),
    ]
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

    let trace = tempfile::tempdir().unwrap();
    let dir = fs::open(trace.path(), OFlags::RDONLY | OFlags::DIRECTORY, Mode::empty()).unwrap();
    let moved =
        ::model::files::moved(teller.items.iter().cloned().map(Ok::<_, std::convert::Infallible>))
            .unwrap();
    let about = Circumstances { began, live, moved, final_state: live, ..Circumstances::default() };
    use std::os::fd::AsFd;
    infer(&trace::storage::Disk, dir.as_fd(), teller.items.iter().cloned().map(Ok), &about)
        .unwrap();
    let open = |name| std::fs::File::open(trace.path().join(name)).unwrap();
    let rows = ::model::files::read_rows(open("files.parquet")).unwrap();
    let origins: Vec<Origin> = ::model::files::Origins::open(open("initial.parquet"))
        .unwrap()
        .map(Result::unwrap)
        .collect();

    let root = tempfile::tempdir().unwrap();
    prepare_from(
        &rows,
        None,
        Contents {
            copied: std::iter::empty(),
            origins: origins.into_iter().map(Ok),
            items: || Ok(teller.items.iter().cloned().map(Ok)),
        },
        root.path(),
        How::default(),
        &crate::Quiet,
    )
    .unwrap();
    let mut here: PathBuf = root.path().to_owned();
    here.push(base.strip_prefix("/").unwrap());
    let mut here = Place::new(&here);
    for (op, expected) in ops.iter().zip(&outcomes) {
        let mut got = here.perform(op);
        let mut expected = expected.clone();
        // A listing's length depends on the file system; link counts on names that the trace did not touch.
        if matches!(op, Op::List(_)) && got.ret >= 0 && expected.ret >= 0 {
            got.ret = expected.ret;
        }
        // Where a path led nowhere and nothing else was ever seen of it, the trace does not tell which component was missing or no directory.
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
        let report = crate::verify::state::compare(
            &rows,
            root.path(),
            crate::verify::state::How { owners: true, withhold: false },
            &mut |_, _| {},
        )
        .unwrap();
        let differences: Vec<String> = report.differences.iter().map(ToString::to_string).collect();
        prop_assert_eq!(differences, Vec::<String>::new());
    }
    Ok(())
}
