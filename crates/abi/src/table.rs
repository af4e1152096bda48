//! The table: every system call of Linux 6.18 on x86-64, one row each, sorted by number.

use crate::flags::Flags;
use crate::kind::Kind::*;
use crate::kind::{Follow, Len, OpenFlags, PathUse, Role};
use crate::layout::*;
use crate::row::{Arg, Effect, Groups, Ret, Row, Shape};
use syscalls::x86_64::Sysno as X;

const fn arg(name: &'static str, kind: crate::Kind) -> Arg {
    Arg { name, kind }
}
const fn fd(name: &'static str) -> Arg {
    arg(name, Fd)
}
const fn dirfd(name: &'static str) -> Arg {
    arg(name, DirFd)
}
const fn size(name: &'static str) -> Arg {
    arg(name, Size)
}
const fn mode(name: &'static str) -> Arg {
    arg(name, Mode)
}
const fn flags(name: &'static str, set: &'static crate::Flags) -> Arg {
    arg(name, Flags(set))
}
const fn ret_upto(n: u8) -> Len {
    Len::Ret { max: Some(n), unit: 1 }
}
const fn by(n: u8) -> Len {
    Len::Arg { n, unit: 1 }
}
const fn opened(dir: Option<u8>, name: &'static str, f: u8) -> Arg {
    arg(name, Path(PathUse { dir, role: Role::Open(OpenFlags::Arg(f)), follow: Follow::Unless { arg: f, bit: 0o400000 } }))
}

static OPEN: crate::Flags = Flags::bits("O_", &[(0o100, "O_CREAT"), (0o200, "O_EXCL"), (0o1000, "O_TRUNC"), (0o2000, "O_APPEND"), (0o2000000, "O_CLOEXEC")])
    .with_field(3, &[(0, "O_RDONLY"), (1, "O_WRONLY"), (2, "O_RDWR")])
    .with_cloexec(0o2000000);

static TABLE: &[Row] = &[
    Row::new(X::read, &[fd("fd"), arg("buf", Out(ret_upto(2), &DATA)), size("count")]).returns(Ret::Bytes).groups(Groups::DESC),
    Row::new(X::write, &[fd("fd"), arg("buf", In(by(2), &DATA)), size("count")]).returns(Ret::Bytes).groups(Groups::DESC).changes(),
    Row::new(X::close, &[fd("fd")]).does(Effect::Close { fd: 0 }).groups(Groups::DESC),
    Row::new(X::openat, &[dirfd("dfd"), opened(Some(0), "filename", 2), flags("flags", &OPEN), mode("mode")])
        .returns(Ret::Fd)
        .groups(Groups::DESC.or(Groups::FILE))
        .changes(),
];
const _: () = crate::check::check(TABLE);

/// All rows, by number.
pub fn table() -> &'static [Row] {
    TABLE
}

/// The row with this x86-64 number.
pub fn by_number(number: u32) -> Option<&'static Row> {
    TABLE.binary_search_by_key(&number, |r| r.number).ok().map(|i| &TABLE[i])
}

/// The row with this name.
pub fn by_name(name: &str) -> Option<&'static Row> {
    TABLE.iter().find(|r| r.name() == name)
}

/// The shape of a call: its row's or its variant's; `None` if the table does not know the number.
pub fn shape(number: u32, args: &[u64; 6]) -> Option<&'static Shape> {
    by_number(number).map(|r| r.shape(args))
}
