//! Traces made to do harm, and traces damaged at random: nothing outside the root is touched, nothing panics, memory stays bounded.

use crate::forge::{Forge, PID, Part};
use crate::place::Place;
use crate::run::{Ran, run};
use crate::tree;
use nix::sys::resource::{UsageWho, getrusage};
use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use syscalls::x86_64::Sysno as X;
use trace::record::{AT_EXIT, PieceKind, RecordKind};
use trace::{Identity, Item, Trace, Want};
use zerocopy::IntoBytes;

const CWD: u64 = -100i64 as u64;
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
        let script = r#"mount -t tmpfs -o size=64m none "$1" && timeout -k 1 40 "$2" -q replay --json --root "$1/r" "$3"; status=$?
                        find "$1" -type b -o -type c >&2; exit $status"#;
        let namespace = if nix::unistd::Uid::effective().is_root() { "-m" } else { "-rm" };
        let arguments = [root.as_os_str(), crate::place::REANIMATOR.as_ref(), trace.as_os_str()];
        let ran = run(self.place.command(["unshare", namespace, "/bin/sh", "-c", script, "sh"]).args(arguments));
        assert!(matches!(ran.code, Some(0..=2)), "{what}: {ran:?}");
        assert!(!ran.stderr.contains("panicked"), "{what}: {ran:?}");
        assert!(!ran.stderr.lines().any(|l| l.starts_with('/')), "{what} made a device: {ran:?}");
        self.unchanged(what);
        ran
    }
    #[track_caller]
    fn unchanged(&mut self, what: &str) {
        let now = tree::describe(&self.place.path("outside"));
        assert_eq!(now, self.before, "{what} changed what is outside:\n{}", tree::difference(&self.before, &now));
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

fn string(arg: u8, text: &[u8]) -> Part<'_> {
    (arg, PieceKind::String, 0, text)
}
fn opened(path: &[u8], mode: u32) -> Vec<u8> {
    [Identity { mode, magic: 0xef53, links: 1, ino: 99, dev: 1, size: 5, ..Identity::default() }.as_bytes(), path].concat()
}

impl Forge {
    fn nr(&mut self, nr: X, args: [u64; 6], ret: i64, parts: &[Part<'_>]) {
        self.call(PID, nr as u32, args, ret, parts);
    }
    /// Opens a path for writing, writes to it, and cuts it.
    fn spoil(&mut self, path: &[u8], flags: u64, fd: u64) {
        let identity = opened(path, 0o100_644);
        self.nr(X::openat, [CWD, 1, flags, 0o644, 0, 0], fd as i64, &[string(1, path), (abi::plan::RESULT, PieceKind::Identity, AT_EXIT, &identity)]);
        self.nr(X::write, [fd, 1, 4, 0, 0, 0], 4, &[(1, PieceKind::Data, AT_EXIT, b"evil")]);
        self.nr(X::ftruncate, [fd, 2, 0, 0, 0, 0], 0, &[]);
        self.nr(X::fchmod, [fd, 0o777, 0, 0, 0, 0], 0, &[]);
        self.nr(X::close, [fd, 0, 0, 0, 0, 0], 0, &[]);
    }
}

/// An attack: its name, and what it puts into the trace.
type Attack = (&'static str, fn(&mut Forge, &Outside));

const ATTACKS: &[Attack] = &[
    ("a link to outside, then a file through it", |f, o| {
        f.nr(X::symlink, [1, 2, 0, 0, 0, 0], 0, &[string(0, &o.path("directory")), string(1, b"/w/l")]);
        f.spoil(b"/w/l/canary", 0o1, 3);
        f.spoil(b"/w/l/new", 0o101, 3);
    }),
    ("a relative link upwards", |f, o| {
        let up = [b"../../../../../../../..".as_slice(), &o.path("directory")].concat();
        f.nr(X::symlink, [1, 2, 0, 0, 0, 0], 0, &[string(0, &up), string(1, b"/w/l")]);
        f.spoil(b"/w/l/canary", 0o1, 3);
    }),
    ("a chain of dots", |f, o| {
        let up = [b"/w/../../../../../../../../..".as_slice(), &o.path("canary")].concat();
        f.spoil(&up, 0o1, 3);
        let relative = [b"../../../../../../../../..".as_slice(), &o.path("directory/new")].concat();
        f.spoil(&relative, 0o101, 3);
    }),
    ("files that were there before, through links that were there before", |f, o| {
        let out = o.path("directory");
        f.nr(X::readlink, [1, 2, 4096, 0, 0, 0], out.len() as i64, &[string(0, b"/w/l"), (1, PieceKind::Bytes, AT_EXIT, &out)]);
        let identity = opened(b"/w/l/canary", 0o100_644);
        f.nr(X::openat, [CWD, 1, 0, 0, 0, 0], 3, &[string(1, b"/w/l/canary"), (abi::plan::RESULT, PieceKind::Identity, AT_EXIT, &identity)]);
        f.nr(X::read, [3, 1, 4, 0, 0, 0], 4, &[(1, PieceKind::Data, AT_EXIT, b"evil")]);
        f.spoil(b"/w/l/canary", 0o2, 4);
    }),
    ("names with dots that were there before", |f, o| {
        let up = [b"/w/../../../../../..".as_slice(), &o.path("canary")].concat();
        let identity = opened(&up, 0o100_644);
        f.nr(X::openat, [CWD, 1, 0, 0, 0, 0], 3, &[string(1, &up), (abi::plan::RESULT, PieceKind::Identity, AT_EXIT, &identity)]);
        f.nr(X::read, [3, 1, 4, 0, 0, 0], 4, &[(1, PieceKind::Data, AT_EXIT, b"evil")]);
    }),
    ("identities that lie about their paths", |f, o| {
        for path in [[b"../../../../../..".as_slice(), &o.path("canary")].concat(), o.path("canary"), b"".to_vec(), b"/".to_vec(), b"/w/../..".to_vec()] {
            let identity = opened(&path, 0o100_644);
            f.nr(X::openat, [CWD, 1, 0o2, 0, 0, 0], 3, &[string(1, b"f"), (abi::plan::RESULT, PieceKind::Identity, AT_EXIT, &identity)]);
            f.nr(X::pread64, [3, 1, 4, 0, 0, 0], 4, &[(1, PieceKind::Data, AT_EXIT, b"evil")]);
            f.nr(X::pwrite64, [3, 1, 4, 0, 0, 0], 4, &[(1, PieceKind::Data, AT_EXIT, b"evil")]);
        }
    }),
    ("a way out of chroot", |f, o| {
        f.nr(X::mkdir, [1, 0o755, 0, 0, 0, 0], 0, &[string(0, b"/w/sub")]);
        f.nr(X::chroot, [1, 0, 0, 0, 0, 0], 0, &[string(0, b"/w/sub")]);
        for _ in 0..20 {
            f.nr(X::chdir, [1, 0, 0, 0, 0, 0], 0, &[string(0, b"..")]);
        }
        f.nr(X::chroot, [1, 0, 0, 0, 0, 0], 0, &[string(0, b".")]);
        f.spoil(&o.path("canary"), 0o1, 3);
    }),
    ("renames, links and removals outside", |f, o| {
        let canary = o.path("canary");
        f.nr(X::link, [1, 2, 0, 0, 0, 0], 0, &[string(0, &canary), string(1, b"/w/h")]);
        f.spoil(b"/w/h", 0o1, 3);
        f.nr(X::rename, [1, 2, 0, 0, 0, 0], 0, &[string(0, &canary), string(1, b"/w/stolen")]);
        f.nr(X::unlink, [1, 0, 0, 0, 0, 0], 0, &[string(0, &o.path("directory/canary"))]);
        f.nr(X::rmdir, [1, 0, 0, 0, 0, 0], 0, &[string(0, &o.path("directory"))]);
    }),
    ("a device of the host", |f, _| {
        for (mode, dev) in [(0o60666u64, 0xfe00u64), (0o20666, 0x103), (0o60666, 0x700)] {
            f.nr(X::mknod, [1, mode, dev, 0, 0, 0], 0, &[string(0, b"/w/dev")]);
            f.spoil(b"/w/dev", 0o1, 3);
        }
        let identity = [Identity { mode: 0o60666, rdev: 0xfe00, magic: 0xef53, links: 1, ..Identity::default() }.as_bytes(), b"/w/old".as_slice()].concat();
        f.nr(X::openat, [CWD, 1, 0o1, 0, 0, 0], 3, &[string(1, b"/w/old"), (abi::plan::RESULT, PieceKind::Identity, AT_EXIT, &identity)]);
        f.nr(X::write, [3, 1, 4, 0, 0, 0], 4, &[(1, PieceKind::Data, AT_EXIT, b"evil")]);
    }),
    ("files by handle", |f, o| {
        let (size, kind, bytes) = handle(Path::new(std::ffi::OsStr::new(std::str::from_utf8(&o.path("canary")).unwrap())));
        let head = [size.to_le_bytes().as_slice(), &kind.to_le_bytes(), &bytes].concat();
        let identity = opened(b"/w", 0o40755);
        f.nr(X::openat, [CWD, 1, 0o200_000, 0, 0, 0], 3, &[string(1, b"/w"), (abi::plan::RESULT, PieceKind::Identity, AT_EXIT, &identity)]);
        let identity = opened(b"/w/by handle", 0o100_644);
        f.nr(X::open_by_handle_at, [3, 1, 0o2, 0, 0, 0], 4, &[(1, PieceKind::Bytes, 0, &head), (abi::plan::RESULT, PieceKind::Identity, AT_EXIT, &identity)]);
        f.nr(X::write, [4, 1, 4, 0, 0, 0], 4, &[(1, PieceKind::Data, AT_EXIT, b"evil")]);
    }),
    ("descriptors that it brought along", |f, o| {
        for fd in 3..8 {
            let identity = opened(&o.path("canary"), 0o100_644);
            f.event(RecordKind::Descriptor, PID, [fd, 0, fd, 0, 0, 0], &[(0, PieceKind::Identity, 0, &identity)]);
        }
        for fd in 0..200 {
            f.nr(X::write, [fd, 1, 4, 0, 0, 0], 4, &[(1, PieceKind::Data, AT_EXIT, b"evil")]);
            f.nr(X::ftruncate, [fd, 1, 0, 0, 0, 0], 0, &[]);
        }
    }),
    ("everything but files", |f, o| {
        let pid = u64::from(o.process.id());
        f.nr(X::kill, [pid, 9, 0, 0, 0, 0], 0, &[]);
        f.nr(X::tkill, [pid, 9, 0, 0, 0, 0], 0, &[]);
        f.nr(X::tgkill, [pid, pid, 9, 0, 0, 0], 0, &[]);
        f.nr(X::umount2, [1, 2, 0, 0, 0, 0], 0, &[string(0, &o.path("directory"))]);
        f.nr(X::mount, [1, 2, 3, 4096, 0, 0], 0, &[string(0, b"/"), string(1, &o.path("directory")), string(2, b"none")]);
        f.nr(X::acct, [1, 0, 0, 0, 0, 0], 0, &[string(0, b"/w/acct")]);
        f.nr(X::sethostname, [1, 4, 0, 0, 0, 0], 0, &[(0, PieceKind::Bytes, 0, b"evil")]);
        f.nr(X::ptrace, [16, pid, 0, 0, 0, 0], 0, &[]);
        f.nr(X::setns, [3, 0, 0, 0, 0, 0], 0, &[]);
        f.nr(X::exit_group, [0, 0, 0, 0, 0, 0], 0, &[]);
    }),
    ("huge lengths", |f, _| {
        f.create(b"/w/huge", 3);
        for n in [1 << 30, 1 << 40, 1 << 62, i64::MAX as u64, u64::MAX, u64::MAX - 4095] {
            f.nr(X::read, [3, 1, n, 0, 0, 0], n as i64, &[(1, PieceKind::Data, AT_EXIT, b"short")]);
            f.nr(X::pread64, [3, 1, n, n, 0, 0], 5, &[(1, PieceKind::Data, AT_EXIT, b"short")]);
            f.nr(X::write, [3, 1, n, 0, 0, 0], n as i64, &[(1, PieceKind::Data, AT_EXIT, b"short")]);
            f.nr(X::pwrite64, [3, 1, 5, n, 0, 0], 5, &[(1, PieceKind::Data, AT_EXIT, b"short")]);
            f.nr(X::ftruncate, [3, n, 0, 0, 0, 0], 0, &[]);
            f.nr(X::fallocate, [3, 0, 0, n, 0, 0], 0, &[]);
            f.nr(X::lseek, [3, n, 0, 0, 0, 0], n as i64, &[]);
            f.nr(X::getdents64, [3, 1, n, 0, 0, 0], n as i64, &[(1, PieceKind::Bytes, AT_EXIT, b"short")]);
            f.nr(X::fgetxattr, [3, 1, 1, n, 0, 0], n as i64, &[string(1, b"user.x"), (2, PieceKind::Bytes, AT_EXIT, b"short")]);
            f.nr(X::fsetxattr, [3, 1, 1, n, 0, 0], 0, &[string(1, b"user.x"), (2, PieceKind::Bytes, 0, b"short")]);
            f.nr(X::copy_file_range, [3, 0, 3, 0, n, 0], n as i64, &[]);
            f.nr(X::sendfile, [3, 3, 0, n, 0, 0], n as i64, &[]);
            f.nr(X::readv, [3, 1, n, 0, 0, 0], n as i64, &[(1, PieceKind::Iovecs, 0, &[0xff; 64]), (1, PieceKind::Data, AT_EXIT, b"short")]);
            f.nr(X::writev, [3, 1, n, 0, 0, 0], n as i64, &[(1, PieceKind::Iovecs, 0, &[0x7f; 64]), (1, PieceKind::Data, AT_EXIT, b"short")]);
            f.nr(X::mmap, [0, n, 3, 1, 3, 0], 0x7000_0000, &[]);
            f.nr(X::dup2, [3, n & 0x7fff_ffff, 0, 0, 0, 0], (n & 0x7fff_ffff) as i64, &[]);
            f.nr(X::close_range, [3000, n, 0, 0, 0, 0], 0, &[]);
        }
    }),
    ("long and strange names", |f, _| {
        let long = [b"/w/".as_slice(), &[b'n'; 5000]].concat();
        let deep = [b"/w".as_slice(), &b"/d".repeat(3000)].concat();
        for path in [long.as_slice(), &deep, b"", b"/", b".", b"..", b"/w/\xff\xfe\n\x01", b"a\0b", b"//////", b"/w/./././f"] {
            f.nr(X::mkdir, [1, 0o755, 0, 0, 0, 0], 0, &[string(0, path)]);
            f.spoil(path, 0o101, 3);
            let stat = [0x41u8; 144];
            f.nr(X::stat, [1, 2, 0, 0, 0, 0], 0, &[string(0, path), (1, PieceKind::Bytes, AT_EXIT, &stat)]);
        }
    }),
    ("calls that would wait for ever", |f, _| {
        f.nr(X::mknod, [1, 0o10644, 0, 0, 0, 0], 0, &[string(0, b"/w/fifo")]);
        f.nr(X::openat, [CWD, 1, 0, 0, 0, 0], 3, &[string(1, b"/w/fifo")]);
        f.create(b"/w/locked", 4);
        f.create(b"/w/locked", 5);
        f.nr(X::flock, [4, 2, 0, 0, 0, 0], 0, &[]);
        f.nr(X::flock, [5, 2, 0, 0, 0, 0], 0, &[]);
    }),
];

/// The kernel's handle of a file.
fn handle(path: &Path) -> (u32, i32, Vec<u8>) {
    let said = run(std::process::Command::new(crate::tracee::tracee("handle")).arg(path)).ok("handle").stdout;
    let mut words = said.split_whitespace();
    let kind = words.next().unwrap().parse().unwrap();
    let bytes: Vec<u8> = words.map(|w| u8::from_str_radix(w, 16).unwrap()).collect();
    (u32::try_from(bytes.len()).unwrap(), kind, bytes)
}

#[test]
fn attacks_stay_inside() {
    let mut outside = Outside::new();
    for (i, (what, attack)) in ATTACKS.iter().enumerate() {
        let trace = outside.place.trace(&format!("attack{i}"));
        let mut forge = Forge::new(&trace, 1);
        attack(&mut forge, &outside);
        forge.end();
        outside.survives(what, &trace);
    }
}

/// A directory that is called a trace, in which names lead elsewhere.
#[test]
fn a_trace_directory_that_leads_elsewhere() {
    let mut outside = Outside::new();
    for name in ["trace.json", "journal", "calls-00000.parquet", "files.parquet", "processes.parquet", "events.parquet", "initial.parquet"] {
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
            symlink(PathBuf::from(std::str::from_utf8(&outside.path(target)).unwrap()), &there).unwrap();
            let what = format!("{name} that leads to {target}");
            let ran = run(outside.place.reanimator(["recover"]).arg(&trace));
            assert!(matches!(ran.code, Some(0..=2)), "{what}: {ran:?}");
            outside.unchanged(&what);
            outside.survives(&what, &trace);
        }
    }
}

/// A source of numbers that look random.
struct Random(u64);

impl Random {
    fn below(&mut self, n: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % n.max(1)
    }
    /// A number that somebody may have forgotten.
    fn odd(&mut self) -> u64 {
        match self.below(8) {
            0 => u64::MAX,
            1 => 1 << self.below(64),
            2 => (1 << self.below(64)) - 1,
            3 => i64::MIN as u64,
            4 => CWD,
            5 => self.below(1 << 32) << self.below(33),
            _ => self.below(70),
        }
    }
    /// Damages some bytes.
    fn damage(&mut self, bytes: &mut Vec<u8>) {
        for _ in 0..=self.below(3) {
            let at = self.below(bytes.len() as u64) as usize;
            match self.below(6) {
                0 => bytes.truncate(at),
                1 => {
                    let odd = self.odd().to_le_bytes();
                    let n = odd.len().min(bytes.len() - at);
                    bytes[at..at + n].copy_from_slice(&odd[..n]);
                }
                2 => bytes.extend_from_within(at..),
                3 => drop(bytes.drain(at..(at + self.below(64) as usize).min(bytes.len()))),
                _ if !bytes.is_empty() => bytes[at] ^= 1 << self.below(8),
                _ => {}
            }
            if bytes.is_empty() {
                return;
            }
        }
    }
}

/// Opens a trace and reads all of it; errors are fine, panics are not.
fn read_through(trace: &Path) -> (u64, bool) {
    let Ok(trace) = Trace::open(trace) else { return (0, false) };
    let mut calls = 0;
    for item in trace.read(Want { data: true }) {
        match item {
            Ok(Item::Call(_)) => calls += 1,
            Ok(Item::Event(_)) => {}
            Err(_) => return (calls, false),
        }
    }
    (calls, trace.files().is_ok())
}

/// 6,000 damages to the files of a real, sealed trace.
#[test]
fn damaged_files() {
    let place = Place::new();
    let trace = place.trace("t");
    run(&mut place.record(&trace, &[], ["/bin/dash", "-c", "mkdir d; echo x > d/f; cat d/f > g; ln -s g h; ls -l; rm g"])).ok("record");
    let (whole, fine) = read_through(&trace);
    assert!(whole > 50 && fine);
    let files: Vec<(PathBuf, Vec<u8>)> =
        fs::read_dir(&trace).unwrap().map(|e| e.unwrap().path()).filter(|p| p.is_file()).map(|p| (p.clone(), fs::read(&p).unwrap())).collect();
    let mut random = Random(4711);
    let mut noticed = 0;
    for _ in 0..6000 {
        let (path, content) = &files[random.below(files.len() as u64) as usize];
        let mut damaged = content.clone();
        random.damage(&mut damaged);
        fs::write(path, &damaged).unwrap();
        let (calls, fine) = read_through(&trace);
        noticed += u32::from(!fine || calls != whole);
        fs::write(path, content).unwrap();
    }
    assert_eq!(read_through(&trace), (whole, true), "the trace as it was can still be read");
    assert!(noticed > 3000, "{noticed} damages of 6,000 were noticed");
    let most = getrusage(UsageWho::RUSAGE_SELF).unwrap().max_rss();
    assert!(most < GIB_IN_KIB, "{most} KiB");
}

/// A trace whose frames are sound and whose records are nonsense: every number in it may be odd, every text damaged.
fn nonsense(path: &Path, random: &mut Random) {
    const CALLS: &[X] = &[
        X::openat, X::open, X::close, X::read, X::write, X::pread64, X::pwrite64, X::readv, X::writev, X::lseek, X::dup, X::dup2, X::dup3, X::fcntl, X::rename,
        X::renameat2, X::link, X::symlink, X::unlink, X::mkdir, X::rmdir, X::mknod, X::getdents64, X::stat, X::fstat, X::statx, X::readlink, X::chdir, X::fchdir,
        X::getcwd, X::ftruncate, X::fallocate, X::copy_file_range, X::sendfile, X::splice, X::setxattr, X::getxattr, X::fchmod, X::fchown, X::utimensat, X::flock,
        X::mmap, X::clone, X::clone3, X::execve, X::pipe2, X::socketpair, X::close_range, X::memfd_create, X::openat2, X::io_submit, X::sendmsg, X::recvmsg,
        X::chroot, X::umask, X::unshare, X::ioctl, X::name_to_handle_at, X::open_by_handle_at, X::fsync, X::preadv2, X::pwritev2, X::vfork, X::exit_group,
    ];
    let mut forge = Forge::new(path, 2);
    forge.create(b"/w/data", 3);
    for _ in 0..30 {
        let tid = PID + random.below(3) as u32;
        let nr = if random.below(20) == 0 { random.odd() as u32 } else { CALLS[random.below(CALLS.len() as u64) as usize] as u32 };
        let args = std::array::from_fn(|_| if random.below(3) == 0 { random.odd() } else { random.below(6) });
        let ret = if random.below(3) == 0 { random.odd() as i64 } else { random.below(6) as i64 };
        let texts: Vec<Vec<u8>> = (0..6)
            .map(|_| {
                let choice = [b"/w/data".as_slice(), b"d", b"../..", b"/w/d/e/f", b"/", b"user.x", &[7; 144], &opened(b"/w/data", 0o100_644), &[1; 64]];
                let mut bytes = choice[random.below(choice.len() as u64) as usize].to_vec();
                if random.below(4) == 0 {
                    random.damage(&mut bytes);
                }
                bytes
            })
            .collect();
        let mut parts: Vec<Part<'_>> = Vec::new();
        for text in texts.iter().take(random.below(6) as usize) {
            let arg = if random.below(4) == 0 { 252 + random.below(4) as u8 } else { random.below(7) as u8 };
            let kind = PieceKind::from_number(random.below(10) as u8).unwrap();
            parts.push((arg, kind, random.below(16) as u8, text));
        }
        if random.below(8) == 0 {
            let kind = RecordKind::from_number(random.below(10) as u8).unwrap();
            forge.event(kind, tid, args, &parts);
        } else {
            forge.call(tid, nr, args, ret, &parts);
        }
        if random.below(10) == 0 {
            forge.now = random.odd() >> 1;
        }
    }
    forge.end();
}

/// 4,000 traces of nonsense sealed and read.
#[test]
fn sound_frames_full_of_nonsense() {
    let place = Place::new();
    let mut random = Random(815);
    for i in 0..4000 {
        let seed = random.0;
        let trace = place.trace("t");
        nonsense(&trace, &mut random);
        if i % 3 == 0 {
            // And the journal itself damaged.
            for entry in fs::read_dir(trace.join("journal")).unwrap() {
                let path = entry.unwrap().path();
                let mut bytes = fs::read(&path).unwrap();
                random.damage(&mut bytes);
                fs::write(&path, bytes).unwrap();
            }
        }
        let outcome = std::panic::catch_unwind(|| read_through(&trace));
        assert!(outcome.is_ok(), "trace {i}, seed {seed}");
        fs::remove_dir_all(&trace).unwrap();
    }
    let most = getrusage(UsageWho::RUSAGE_SELF).unwrap().max_rss();
    assert!(most < GIB_IN_KIB, "{most} KiB");
}

/// Nonsense performed.
#[test]
fn nonsense_replayed() {
    let mut outside = Outside::new();
    let mut random = Random(1234);
    for i in 0..150 {
        let what = format!("nonsense {i} (seed {})", random.0);
        let trace = outside.place.trace(&format!("n{i}"));
        nonsense(&trace, &mut random);
        outside.survives(&what, &trace);
        fs::remove_dir_all(&trace).unwrap();
    }
}
