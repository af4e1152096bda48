//! How the table writes an argument or a row: one short word for each kind.

use crate::Kind::{self, *};
use crate::kind::Arg;
use crate::row::{CallSpec, Class, CopyEnd, CopyOffset, Groups, Row};
use crate::{Flags, Follow, Layout, Len, OpenFlags, PathUse, Role};
use syscalls::x86_64::Sysno;

pub const fn arg(name: &'static str, kind: Kind) -> Arg {
    Arg { name, kind }
}
pub const fn fd(name: &'static str) -> Arg {
    arg(name, Fd)
}
pub const fn dirfd(name: &'static str) -> Arg {
    arg(name, DirFd)
}
pub const fn int(name: &'static str) -> Arg {
    arg(name, Int)
}
pub const fn uint(name: &'static str) -> Arg {
    arg(name, Uint)
}
pub const fn hex(name: &'static str) -> Arg {
    arg(name, Hex)
}
pub const fn off(name: &'static str) -> Arg {
    arg(name, Off)
}
pub const fn pos(name: &'static str) -> Arg {
    arg(name, Pos)
}
pub const fn poshigh(name: &'static str) -> Arg {
    arg(name, PosHigh)
}
pub const fn size(name: &'static str) -> Arg {
    arg(name, Size)
}
pub const fn length(name: &'static str) -> Arg {
    arg(name, Length)
}
pub const fn mode(name: &'static str) -> Arg {
    arg(name, Mode)
}
pub const fn addr(name: &'static str) -> Arg {
    arg(name, Addr)
}
pub const fn pid(name: &'static str) -> Arg {
    arg(name, Pid)
}
pub const fn uid(name: &'static str) -> Arg {
    arg(name, Uid)
}
pub const fn gid(name: &'static str) -> Arg {
    arg(name, Gid)
}
pub const fn dev(name: &'static str) -> Arg {
    arg(name, Dev)
}
pub const fn sig(name: &'static str) -> Arg {
    arg(name, Signal)
}
pub const fn unused(name: &'static str) -> Arg {
    arg(name, Unused)
}
/// Bits or one of an enumeration.
pub const fn fl(name: &'static str, set: &'static Flags) -> Arg {
    arg(name, Kind::Flags(set))
}
/// A string that is no path.
pub const fn text(name: &'static str) -> Arg {
    arg(name, Str)
}
pub const fn texts(name: &'static str) -> Arg {
    arg(name, StrVec)
}

/// A name that is looked up from the working directory, links followed.
pub const fn path(name: &'static str) -> Arg {
    at(name, None, Role::Lookup, Follow::Always)
}
/// The same without following a link at the end.
pub const fn lpath(name: &'static str) -> Arg {
    at(name, None, Role::Lookup, Follow::Never)
}
/// A name that is looked up from the descriptor in argument `dir`, links followed.
pub const fn path_at(name: &'static str, dir: u8) -> Arg {
    at(name, Some(dir), Role::Lookup, Follow::Always)
}
/// The same, unless argument `flags` has `AT_SYMLINK_NOFOLLOW`.
pub const fn lpath_at(name: &'static str, dir: u8, flags: u8) -> Arg {
    at(
        name,
        Some(dir),
        Role::Lookup,
        Follow::Unless { arg: flags, bit: linux_raw_sys::general::AT_SYMLINK_NOFOLLOW as u64 },
    )
}
/// A name in `role`, at which a link is taken for itself.
pub const fn name(name: &'static str, dir: Option<u8>, role: Role) -> Arg {
    at(name, dir, role, Follow::Never)
}
/// A name that is opened with the flags of argument `f`.
pub const fn opened(name: &'static str, dir: Option<u8>, f: u8) -> Arg {
    at(
        name,
        dir,
        Role::Open(OpenFlags::Arg(f)),
        Follow::Unless { arg: f, bit: linux_raw_sys::general::O_NOFOLLOW as u64 },
    )
}
pub const fn at(name: &'static str, dir: Option<u8>, role: Role, follow: Follow) -> Arg {
    arg(name, Path(PathUse { dir, role, follow }))
}

/// Bytes going in.
pub const fn input(name: &'static str, len: Len, layout: &'static Layout) -> Arg {
    arg(name, In(len, layout))
}
/// Bytes coming out.
pub const fn output(name: &'static str, len: Len, layout: &'static Layout) -> Arg {
    arg(name, Out(len, layout))
}
/// Bytes going both ways.
pub const fn inout(name: &'static str, len: Len, layout: &'static Layout) -> Arg {
    arg(name, InOut(len, layout))
}
/// One struct going in.
pub const fn ins(name: &'static str, layout: &'static Layout) -> Arg {
    input(name, Len::Fixed(layout.size), layout)
}
/// One struct coming out.
pub const fn outs(name: &'static str, layout: &'static Layout) -> Arg {
    output(name, Len::Fixed(layout.size), layout)
}
/// One struct going both ways.
pub const fn inouts(name: &'static str, layout: &'static Layout) -> Arg {
    inout(name, Len::Fixed(layout.size), layout)
}
/// As many bytes as argument `n` says.
pub const fn by(n: u8) -> Len {
    Len::Arg { n, unit: 1 }
}
/// As many structs as argument `n` says.
pub const fn each(n: u8, layout: &'static Layout) -> Len {
    Len::Arg { n, unit: layout.size }
}
/// As many bytes as the result says, at most argument `n`.
pub const fn ret(n: u8) -> Len {
    Len::Ret { max: Some(n), unit: 1 }
}
/// As many structs as the result says, at most argument `n`.
pub const fn ret_each(n: u8, layout: &'static Layout) -> Len {
    Len::Ret { max: Some(n), unit: layout.size }
}
/// As many bytes as the `u32` behind argument `n` says.
pub const fn deref(n: u8) -> Len {
    Len::Deref { n, unit: 1 }
}
/// As many bytes as the struct's own first `u32` says.
pub const fn own_size() -> Len {
    Len::Head { at: 0, base: 0, unit: 1 }
}

/// The file of descriptor `fd`, at its own offset.
pub const fn own(fd: u8) -> CopyEnd {
    CopyEnd { fd, at: CopyOffset::Own }
}
/// The file of descriptor `fd`, at the offset that argument `off` points to.
pub const fn pointed(fd: u8, off: u8) -> CopyEnd {
    CopyEnd { fd, at: CopyOffset::Pointed(off) }
}
/// The file of descriptor `fd` (an argument, or a field of a struct), at the offset at byte `at` of
/// struct `arg`.
pub const fn told(fd: u8, arg: u8, at: usize) -> CopyEnd {
    CopyEnd { fd, at: CopyOffset::Field { arg, at: at as u8 } }
}
/// The file of descriptor `fd`, from its beginning.
pub const fn whole(fd: u8) -> CopyEnd {
    CopyEnd { fd, at: CopyOffset::Start }
}

pub const D: Groups = Groups::DESC;
pub const F: Groups = Groups::FILE;
pub const DF: Groups = Groups::DESC.or(Groups::FILE);
pub const STATS: Groups = Groups::STAT;
pub const XA: Groups = Groups::XATTR;

/// A call that takes descriptors.
pub const fn desc(sysno: Sysno, args: &'static [Arg]) -> Row {
    Row::new(sysno, args).groups(D)
}
/// A call that takes paths.
pub const fn file(sysno: Sysno, args: &'static [Arg]) -> Row {
    Row::new(sysno, args).groups(F)
}
/// A call that takes both.
pub const fn both(sysno: Sysno, args: &'static [Arg]) -> Row {
    Row::new(sysno, args).groups(DF)
}
/// A call on the address space.
pub const fn mem(sysno: Sysno, args: &'static [Arg]) -> Row {
    Row::new(sysno, args).skipped(Class::Memory).groups(Groups::MEMORY)
}
/// A call on sockets.
pub const fn net(sysno: Sysno, args: &'static [Arg]) -> Row {
    Row::new(sysno, args).skipped(Class::Network).groups(Groups::NET.or(D))
}
/// A call on System V or POSIX objects of communication.
pub const fn ipc(sysno: Sysno, args: &'static [Arg]) -> Row {
    Row::new(sysno, args).skipped(Class::Ipc).groups(Groups::IPC)
}
/// A call that makes or uses descriptors without anything on disk.
pub const fn pipe(sysno: Sysno, args: &'static [Arg]) -> Row {
    Row::new(sysno, args).skipped(Class::Ipc).groups(D)
}
/// A call on signals.
pub const fn signal(sysno: Sysno, args: &'static [Arg]) -> Row {
    Row::new(sysno, args).skipped(Class::Signal).groups(Groups::SIGNAL)
}
/// A call that makes, ends or waits for processes.
pub const fn process(sysno: Sysno, args: &'static [Arg]) -> Row {
    Row::new(sysno, args).skipped(Class::Process).groups(Groups::PROCESS)
}
/// A call on a process's attributes.
pub const fn attr(sysno: Sysno, args: &'static [Arg]) -> Row {
    Row::new(sysno, args).skipped(Class::Process)
}
/// A call that waits.
pub const fn wait(sysno: Sysno, args: &'static [Arg]) -> Row {
    Row::new(sysno, args).skipped(Class::Wait)
}
/// A call on clocks.
pub const fn clock(sysno: Sysno, args: &'static [Arg]) -> Row {
    wait(sysno, args).groups(Groups::CLOCK)
}
/// A call on users, groups and capabilities.
pub const fn cred(sysno: Sysno, args: &'static [Arg]) -> Row {
    Row::new(sysno, args).skipped(Class::Credentials).groups(Groups::CREDS)
}
/// A call on mounts.
pub const fn mount(sysno: Sysno, args: &'static [Arg]) -> Row {
    Row::new(sysno, args).skipped(Class::Mounts)
}
/// A call on the machine.
pub const fn system(sysno: Sysno, args: &'static [Arg]) -> Row {
    Row::new(sysno, args).skipped(Class::System).groups(Groups::SYSTEM)
}
/// A call that watches files.
pub const fn watch(sysno: Sysno, args: &'static [Arg]) -> Row {
    Row::new(sysno, args).skipped(Class::Watch).groups(D)
}
/// A call on rings of asynchronous I/O.
pub const fn aio(sysno: Sysno, args: &'static [Arg]) -> Row {
    Row::new(sysno, args).skipped(Class::Async).groups(Groups::AIO)
}
/// A call that kernels no longer have: it fails with ENOSYS.
pub const fn gone(sysno: Sysno, args: &'static [Arg]) -> Row {
    system(sysno, args)
}
/// A variant.
pub const fn var(name: &'static str, args: &'static [Arg]) -> CallSpec {
    CallSpec::new(name, args)
}
