//! What an attacker would write into a trace.

use super::Outside;
use crate::harness::forge::{Forge, PID, Part};
use crate::harness::run::run;
use std::path::Path;
use syscalls::x86_64::Sysno as X;
use trace::Identity;
use trace::record::{AT_EXIT, PayloadKind, RecordKind};
use zerocopy::IntoBytes;

const CWD: u64 = -100i64 as u64;

fn string(arg: u8, text: &[u8]) -> Part<'_> {
    (arg, PayloadKind::String, 0, text)
}
fn opened(path: &[u8], mode: u32) -> Vec<u8> {
    [
        Identity {
            mode,
            fs_type: 0xef53,
            links: 1,
            ino: 99,
            dev: 1,
            size: 5,
            ..Identity::default()
        }
        .as_bytes(),
        path,
    ]
    .concat()
}

impl Forge {
    fn nr(&mut self, nr: X, args: [u64; 6], ret: i64, parts: &[Part<'_>]) {
        self.call(PID, nr as u32, args, ret, parts);
    }
    /// Opens a path for writing, writes to it, and cuts it.
    pub fn spoil(&mut self, path: &[u8], flags: u64, fd: u64) {
        let identity = opened(path, 0o100_644);
        self.nr(
            X::openat,
            [CWD, 1, flags, 0o644, 0, 0],
            fd as i64,
            &[string(1, path), (abi::plan::RESULT, PayloadKind::Identity, AT_EXIT, &identity)],
        );
        self.nr(X::write, [fd, 1, 4, 0, 0, 0], 4, &[(1, PayloadKind::Data, AT_EXIT, b"evil")]);
        self.nr(X::ftruncate, [fd, 2, 0, 0, 0, 0], 0, &[]);
        self.nr(X::fchmod, [fd, 0o777, 0, 0, 0, 0], 0, &[]);
        self.nr(X::close, [fd, 0, 0, 0, 0, 0], 0, &[]);
    }
}

/// An attack: its name, and what it puts into the trace.
pub type Attack = (&'static str, fn(&mut Forge, &Outside));

/// All attacks.
pub const ATTACKS: &[Attack] = &[
    ("a link to outside, then a file through it", |f, o| {
        f.nr(
            X::symlink,
            [1, 2, 0, 0, 0, 0],
            0,
            &[string(0, &o.path("directory")), string(1, b"/w/l")],
        );
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
        let relative =
            [b"../../../../../../../../..".as_slice(), &o.path("directory/new")].concat();
        f.spoil(&relative, 0o101, 3);
    }),
    ("files that were there before, through links that were there before", |f, o| {
        let out = o.path("directory");
        f.nr(
            X::readlink,
            [1, 2, 4096, 0, 0, 0],
            out.len() as i64,
            &[string(0, b"/w/l"), (1, PayloadKind::Bytes, AT_EXIT, &out)],
        );
        let identity = opened(b"/w/l/canary", 0o100_644);
        f.nr(
            X::openat,
            [CWD, 1, 0, 0, 0, 0],
            3,
            &[
                string(1, b"/w/l/canary"),
                (abi::plan::RESULT, PayloadKind::Identity, AT_EXIT, &identity),
            ],
        );
        f.nr(X::read, [3, 1, 4, 0, 0, 0], 4, &[(1, PayloadKind::Data, AT_EXIT, b"evil")]);
        f.spoil(b"/w/l/canary", 0o2, 4);
    }),
    ("names with dots that were there before", |f, o| {
        let up = [b"/w/../../../../../..".as_slice(), &o.path("canary")].concat();
        let identity = opened(&up, 0o100_644);
        f.nr(
            X::openat,
            [CWD, 1, 0, 0, 0, 0],
            3,
            &[string(1, &up), (abi::plan::RESULT, PayloadKind::Identity, AT_EXIT, &identity)],
        );
        f.nr(X::read, [3, 1, 4, 0, 0, 0], 4, &[(1, PayloadKind::Data, AT_EXIT, b"evil")]);
    }),
    ("identities that lie about their paths", |f, o| {
        for path in [
            [b"../../../../../..".as_slice(), &o.path("canary")].concat(),
            o.path("canary"),
            b"".to_vec(),
            b"/".to_vec(),
            b"/w/../..".to_vec(),
        ] {
            let identity = opened(&path, 0o100_644);
            f.nr(
                X::openat,
                [CWD, 1, 0o2, 0, 0, 0],
                3,
                &[string(1, b"f"), (abi::plan::RESULT, PayloadKind::Identity, AT_EXIT, &identity)],
            );
            f.nr(X::pread64, [3, 1, 4, 0, 0, 0], 4, &[(1, PayloadKind::Data, AT_EXIT, b"evil")]);
            f.nr(X::pwrite64, [3, 1, 4, 0, 0, 0], 4, &[(1, PayloadKind::Data, AT_EXIT, b"evil")]);
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
        let identity = [
            Identity {
                mode: 0o60666,
                rdev: 0xfe00,
                fs_type: 0xef53,
                links: 1,
                ..Identity::default()
            }
            .as_bytes(),
            b"/w/old".as_slice(),
        ]
        .concat();
        f.nr(
            X::openat,
            [CWD, 1, 0o1, 0, 0, 0],
            3,
            &[string(1, b"/w/old"), (abi::plan::RESULT, PayloadKind::Identity, AT_EXIT, &identity)],
        );
        f.nr(X::write, [3, 1, 4, 0, 0, 0], 4, &[(1, PayloadKind::Data, AT_EXIT, b"evil")]);
    }),
    ("files by handle", |f, o| {
        let (size, kind, bytes) = handle(Path::new(std::ffi::OsStr::new(
            std::str::from_utf8(&o.path("canary")).unwrap(),
        )));
        let head = [size.to_le_bytes().as_slice(), &kind.to_le_bytes(), &bytes].concat();
        let identity = opened(b"/w", 0o40755);
        f.nr(
            X::openat,
            [CWD, 1, 0o200_000, 0, 0, 0],
            3,
            &[string(1, b"/w"), (abi::plan::RESULT, PayloadKind::Identity, AT_EXIT, &identity)],
        );
        let identity = opened(b"/w/by handle", 0o100_644);
        f.nr(
            X::open_by_handle_at,
            [3, 1, 0o2, 0, 0, 0],
            4,
            &[
                (1, PayloadKind::Bytes, 0, &head),
                (abi::plan::RESULT, PayloadKind::Identity, AT_EXIT, &identity),
            ],
        );
        f.nr(X::write, [4, 1, 4, 0, 0, 0], 4, &[(1, PayloadKind::Data, AT_EXIT, b"evil")]);
    }),
    ("descriptors that it brought along", |f, o| {
        for fd in 3..8 {
            let identity = opened(&o.path("canary"), 0o100_644);
            f.event(
                RecordKind::Descriptor,
                PID,
                [fd, 0, fd, 0, 0, 0],
                &[(0, PayloadKind::Identity, 0, &identity)],
            );
        }
        for fd in 0..200 {
            f.nr(X::write, [fd, 1, 4, 0, 0, 0], 4, &[(1, PayloadKind::Data, AT_EXIT, b"evil")]);
            f.nr(X::ftruncate, [fd, 1, 0, 0, 0, 0], 0, &[]);
        }
    }),
    ("everything but files", |f, o| {
        let pid = u64::from(o.process.id());
        f.nr(X::kill, [pid, 9, 0, 0, 0, 0], 0, &[]);
        f.nr(X::tkill, [pid, 9, 0, 0, 0, 0], 0, &[]);
        f.nr(X::tgkill, [pid, pid, 9, 0, 0, 0], 0, &[]);
        f.nr(X::umount2, [1, 2, 0, 0, 0, 0], 0, &[string(0, &o.path("directory"))]);
        f.nr(
            X::mount,
            [1, 2, 3, 4096, 0, 0],
            0,
            &[string(0, b"/"), string(1, &o.path("directory")), string(2, b"none")],
        );
        f.nr(X::acct, [1, 0, 0, 0, 0, 0], 0, &[string(0, b"/w/acct")]);
        f.nr(X::sethostname, [1, 4, 0, 0, 0, 0], 0, &[(0, PayloadKind::Bytes, 0, b"evil")]);
        f.nr(X::ptrace, [16, pid, 0, 0, 0, 0], 0, &[]);
        f.nr(X::setns, [3, 0, 0, 0, 0, 0], 0, &[]);
        f.nr(X::exit_group, [0, 0, 0, 0, 0, 0], 0, &[]);
    }),
    ("huge lengths", |f, _| {
        f.create(b"/w/huge", 3);
        for n in [1 << 30, 1 << 40, 1 << 62, i64::MAX as u64, u64::MAX, u64::MAX - 4095] {
            f.nr(
                X::read,
                [3, 1, n, 0, 0, 0],
                n as i64,
                &[(1, PayloadKind::Data, AT_EXIT, b"short")],
            );
            f.nr(X::pread64, [3, 1, n, n, 0, 0], 5, &[(1, PayloadKind::Data, AT_EXIT, b"short")]);
            f.nr(
                X::write,
                [3, 1, n, 0, 0, 0],
                n as i64,
                &[(1, PayloadKind::Data, AT_EXIT, b"short")],
            );
            f.nr(X::pwrite64, [3, 1, 5, n, 0, 0], 5, &[(1, PayloadKind::Data, AT_EXIT, b"short")]);
            f.nr(X::ftruncate, [3, n, 0, 0, 0, 0], 0, &[]);
            f.nr(X::fallocate, [3, 0, 0, n, 0, 0], 0, &[]);
            f.nr(X::lseek, [3, n, 0, 0, 0, 0], n as i64, &[]);
            f.nr(
                X::getdents64,
                [3, 1, n, 0, 0, 0],
                n as i64,
                &[(1, PayloadKind::Bytes, AT_EXIT, b"short")],
            );
            f.nr(
                X::fgetxattr,
                [3, 1, 1, n, 0, 0],
                n as i64,
                &[string(1, b"user.x"), (2, PayloadKind::Bytes, AT_EXIT, b"short")],
            );
            f.nr(
                X::fsetxattr,
                [3, 1, 1, n, 0, 0],
                0,
                &[string(1, b"user.x"), (2, PayloadKind::Bytes, 0, b"short")],
            );
            f.nr(X::copy_file_range, [3, 0, 3, 0, n, 0], n as i64, &[]);
            f.nr(X::sendfile, [3, 3, 0, n, 0, 0], n as i64, &[]);
            f.nr(
                X::readv,
                [3, 1, n, 0, 0, 0],
                n as i64,
                &[
                    (1, PayloadKind::Iovecs, 0, &[0xff; 64]),
                    (1, PayloadKind::Data, AT_EXIT, b"short"),
                ],
            );
            f.nr(
                X::writev,
                [3, 1, n, 0, 0, 0],
                n as i64,
                &[
                    (1, PayloadKind::Iovecs, 0, &[0x7f; 64]),
                    (1, PayloadKind::Data, AT_EXIT, b"short"),
                ],
            );
            f.nr(X::mmap, [0, n, 3, 1, 3, 0], 0x7000_0000, &[]);
            f.nr(X::dup2, [3, n & 0x7fff_ffff, 0, 0, 0, 0], (n & 0x7fff_ffff) as i64, &[]);
            f.nr(X::close_range, [3000, n, 0, 0, 0, 0], 0, &[]);
        }
    }),
    ("long and strange names", |f, _| {
        let long = [b"/w/".as_slice(), &[b'n'; 5000]].concat();
        let deep = [b"/w".as_slice(), &b"/d".repeat(3000)].concat();
        // No system call takes such a path; a trace that says so must not cost its square.
        let deeper = [b"/w".as_slice(), &b"/e".repeat(40_000)].concat();
        for path in [
            long.as_slice(),
            &deep,
            &deeper,
            b"",
            b"/",
            b".",
            b"..",
            b"/w/\xff\xfe\n\x01",
            b"a\0b",
            b"//////",
            b"/w/./././f",
        ] {
            f.nr(X::mkdir, [1, 0o755, 0, 0, 0, 0], 0, &[string(0, path)]);
            f.spoil(path, 0o101, 3);
            let stat = [0x41u8; 144];
            f.nr(
                X::stat,
                [1, 2, 0, 0, 0, 0],
                0,
                &[string(0, path), (1, PayloadKind::Bytes, AT_EXIT, &stat)],
            );
        }
    }),
];

/// The kernel's handle of a file.
fn handle(path: &Path) -> (u32, i32, Vec<u8>) {
    let said = run(std::process::Command::new(crate::harness::tracee::tracee("handle")).arg(path))
        .ok("handle")
        .stdout;
    let mut words = said.split_whitespace();
    let kind = words.next().unwrap().parse().unwrap();
    let bytes: Vec<u8> = words.map(|w| u8::from_str_radix(w, 16).unwrap()).collect();
    (u32::try_from(bytes.len()).unwrap(), kind, bytes)
}
