//! System calls by number.

use rustix::fd::BorrowedFd;
use rustix::fs::{FileType, OFlags};
use std::cell::Cell;
use std::sync::OnceLock;
use std::time::Instant;
use syscalls::Sysno;

/// What an open file keeps of its open's flags: access mode, append, non-blocking, direct,
/// directory, no access time, path only.
pub(crate) const OPEN_FLAGS: u32 =
    0o3 | 0o2000 | 0o4000 | 0o40000 | 0o200_000 | 0o1_000_000 | 0o10_000_000;
/// O_PATH, O_DIRECTORY, O_CLOEXEC.
const O_PATH_DIRECTORY: u32 = 0o10_000_000 | 0o200_000 | 0o2_000_000;

/// This machine's number of the call that has number `nr` on x86-64; `None` if it does not have it.
pub fn native(nr: u32) -> Option<Sysno> {
    static NATIVE: OnceLock<Vec<Option<Sysno>>> = OnceLock::new();
    let table = NATIVE.get_or_init(|| {
        let rows = abi::table();
        let last = rows.iter().map(|r| r.number).filter(|n| *n < 1024).max().unwrap_or(0);
        let mut native = vec![None; last as usize + 1];
        for row in rows.iter().filter(|r| r.number <= last) {
            native[row.number as usize] = row.name().parse::<Sysno>().ok();
        }
        native
    });
    table.get(nr as usize).copied().flatten()
}

/// Asks for the first lines of what is there, which will be read soon.
pub(crate) fn prefetch<T>(what: *const T) {
    #[cfg(target_arch = "x86_64")]
    for line in 0..(what.addr() % 64 + size_of::<T>()).div_ceil(64).min(4) {
        // SAFETY: a hint; no address is wrong.
        unsafe {
            std::arch::x86_64::_mm_prefetch::<{ std::arch::x86_64::_MM_HINT_T0 }>(
                what.cast::<i8>().wrapping_add(line * 64),
            );
        };
    }
}

thread_local! {
    /// What this thread's calls have taken, nanoseconds; `None`: they are not measured.
    static TIMED: Cell<Option<u64>> = const { Cell::new(None) };
}

/// From now on the calls that this thread performs are measured.
pub(crate) fn measure() {
    TIMED.set(Some(0));
}

/// What the calls since the last question have taken, nanoseconds, if they are measured.
pub(crate) fn measured() -> Option<u64> {
    let took = TIMED.get()?;
    TIMED.set(Some(0));
    Some(took)
}

/// Performs a call whose arguments [`super::Arguments`] or [`super::Prepared`] hold: the result, or
/// a negative errno. This and what leads here for most calls is to be one function: each return
/// after a call costs (docs/decisions/0022-calls-are-translated-at-dispatch.md).
#[inline(always)]
pub(super) fn perform(nr: Sysno, args: [usize; 6]) -> i64 {
    let [a, b, c, d, e, f] = args;
    // SAFETY: both pass only pointers to memory that outlives the call and that is at least as long
    // as the lengths passed along (see the module above), descriptors that belong to this replay,
    // and no call whose effect goes beyond files (`decide` refuses the others).
    let make = || unsafe { syscalls::raw::syscall6(nr as usize, a, b, c, d, e, f) as i64 };
    if TIMED.get().is_none() {
        return make();
    }
    let begun = Instant::now();
    let result = make();
    TIMED.set(Some(TIMED.get().unwrap_or(0) + begun.elapsed().as_nanos() as u64));
    result
}

fn plain(nr: Sysno, args: [usize; 6]) -> i64 {
    let [a, b, c, d, e, f] = args;
    // SAFETY: called below with calls that take numbers, or pointers to slices that live until the
    // call returns, that the kernel only reads, or that are borrowed mutably and written up to
    // their length.
    let result = unsafe { syscalls::raw::syscall6(nr as usize, a, b, c, d, e, f) };
    result as i64
}

/// close(2).
pub(crate) fn close(fd: i32) -> i64 {
    plain(Sysno::close, [fd as usize, 0, 0, 0, 0, 0])
}

/// A descriptor table of this thread alone, a copy of that which it had (unshare(2)). Whether that
/// was allowed.
pub(crate) fn own_table() -> bool {
    const CLONE_FILES: usize = 0x400;
    plain(Sysno::unshare, [CLONE_FILES, 0, 0, 0, 0, 0]) == 0
}

/// Closes all descriptors of this thread's table but the standard ones.
pub(crate) fn close_all() -> i64 {
    plain(Sysno::close_range, [3, u32::MAX as usize, 0, 0, 0, 0])
}

/// A duplicate of `fd`; the lowest free number.
pub(crate) fn duplicate(fd: i32, cloexec: bool) -> i64 {
    const F_DUPFD: usize = 0;
    const F_DUPFD_CLOEXEC: usize = 1030;
    plain(Sysno::fcntl, [fd as usize, if cloexec { F_DUPFD_CLOEXEC } else { F_DUPFD }, 0, 0, 0, 0])
}

/// fchdir(2) of this thread.
pub(crate) fn fchdir(fd: i32) -> i64 {
    plain(Sysno::fchdir, [fd as usize, 0, 0, 0, 0, 0])
}

/// umask(2) of this thread.
pub(crate) fn umask(mask: u32) -> i64 {
    plain(Sysno::umask, [mask as usize, 0, 0, 0, 0, 0])
}

/// lseek(2).
pub(crate) fn seek(fd: i32, offset: u64, whence: usize) -> i64 {
    plain(Sysno::lseek, [fd as usize, offset as usize, whence, 0, 0, 0])
}

/// pwrite(2) at `offset`, or write(2).
pub(crate) fn write(fd: i32, bytes: &[u8], offset: Option<u64>) -> i64 {
    let (start, len) = (bytes.as_ptr() as usize, bytes.len());
    match offset {
        Some(offset) => plain(Sysno::pwrite64, [fd as usize, start, len, offset as usize, 0, 0]),
        None => plain(Sysno::write, [fd as usize, start, len, 0, 0, 0]),
    }
}

/// pread(2) at `offset`, or read(2).
pub(crate) fn read(fd: i32, bytes: &mut [u8], offset: Option<u64>) -> i64 {
    let (start, len) = (bytes.as_mut_ptr() as usize, bytes.len());
    match offset {
        Some(offset) => plain(Sysno::pread64, [fd as usize, start, len, offset as usize, 0, 0]),
        None => plain(Sysno::read, [fd as usize, start, len, 0, 0, 0]),
    }
}

/// openat(2) of an absolute or relative path (a NUL is added).
pub(crate) fn open(path: &[u8], flags: u32) -> i64 {
    /// Longest piece of a path that is given to the kernel at once (`PATH_MAX` is 4096).
    const PIECE: usize = 2048;
    let (mut rest, mut at) = (path, i64::from(abi::AT_FDCWD));
    while rest.len() > PIECE
        && let Some(end) = rest[..PIECE].iter().rposition(|&b| b == b'/').filter(|end| *end > 0)
    {
        let below = open_at(at, &rest[..end], O_PATH_DIRECTORY);
        leave(at);
        if below < 0 {
            return below;
        }
        (at, rest) = (below, &rest[end + 1..]);
    }
    let opened = open_at(at, rest, flags);
    leave(at);
    opened
}

/// Opens a directory to go back to later.
pub(crate) fn open_directory(path: &[u8]) -> i64 {
    open(path, O_PATH_DIRECTORY)
}

/// openat(2) of a directory, whose name stands at the address `path`: one that
/// [`super::Arguments`] holds.
pub(crate) fn open_directory_at(dir: i32, path: usize, follow: bool) -> i64 {
    let flags = OFlags::DIRECTORY | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let flags = if follow { flags } else { flags | OFlags::NOFOLLOW };
    plain(Sysno::openat, [dir as isize as usize, path, flags.bits() as usize, 0, 0, 0])
}

/// fchmod(2), if `fd` is a directory: what a descriptor leads to does not change.
pub(crate) fn mode_of_directory(fd: i32, mode: u32) -> Option<i64> {
    if fd < 0 {
        return None;
    }
    // SAFETY: nothing is closed meanwhile; a number that is no descriptor gives EBADF.
    let stat = rustix::fs::fstat(unsafe { BorrowedFd::borrow_raw(fd) }).ok()?;
    (FileType::from_raw_mode(stat.st_mode) == FileType::Directory)
        .then(|| plain(Sysno::fchmod, [fd as usize, mode as usize, 0, 0, 0, 0]))
}

fn open_at(dir: i64, path: &[u8], flags: u32) -> i64 {
    let mut name = path.to_vec();
    name.push(0);
    plain(Sysno::openat, [dir as usize, name.as_ptr() as usize, flags as usize, 0, 0, 0])
}

/// Closes a directory on the way.
fn leave(dir: i64) {
    if let Ok(fd @ 0..) = i32::try_from(dir) {
        close(fd);
    }
}

/// Where the link with this name leads.
pub(crate) fn read_link(path: &[u8]) -> Option<Vec<u8>> {
    rustix::fs::readlink(path, Vec::new()).ok().map(std::ffi::CString::into_bytes)
}

/// mknodat(2) of a name (a NUL is added), from the directory `start`.
pub(crate) fn make_node(start: i32, path: &[u8], mode: u32) -> i64 {
    let mut name = path.to_vec();
    name.push(0);
    plain(Sysno::mknodat, [start as isize as usize, name.as_ptr() as usize, mode as usize, 0, 0, 0])
}

/// What stands under a name, or behind a descriptor.
pub(crate) struct Found {
    /// Its type and permissions.
    pub mode: u32,
    pub size: u64,
    /// Device (major and minor) and inode.
    pub file: (u64, u64),
}

/// statx(2) of `name`, which ends in a NUL, from directory `fd`; of `fd` itself if it is empty.
/// The error, if there is one.
pub(crate) fn look(fd: i32, name: &[u8], follow: bool) -> Result<Found, i32> {
    const AT_SYMLINK_NOFOLLOW: usize = 0x100;
    const AT_EMPTY_PATH: usize = 0x1000;
    const BASIC: usize = 0x7ff;
    debug_assert!(name.ends_with(b"\0"));
    let mut bytes = [0u8; 256];
    let flags = if name == b"\0" { AT_EMPTY_PATH } else { 0 }
        | if follow { 0 } else { AT_SYMLINK_NOFOLLOW };
    let (dir, name) = (fd as isize as usize, name.as_ptr() as usize);
    let got = plain(Sysno::statx, [dir, name, flags, BASIC, bytes.as_mut_ptr() as usize, 0]);
    if got < 0 {
        return Err(-got as i32);
    }
    // struct statx: stx_mode, stx_ino, stx_size, stx_dev_major and minor.
    let word = |at: usize| {
        bytes.get(at..at + 8).and_then(|b| b.try_into().ok()).map_or(0, u64::from_ne_bytes)
    };
    let mode = u32::from(u16::from_ne_bytes([bytes[28], bytes[29]]));
    Ok(Found { mode, size: word(40), file: (word(136), word(32)) })
}

/// faccessat2(2) of `name`, which ends in a NUL, as the effective user.
pub(crate) fn access(fd: i32, name: &[u8], mode: usize) -> i64 {
    const AT_EACCESS: usize = 0x200;
    debug_assert!(name.ends_with(b"\0"));
    let (dir, name) = (fd as isize as usize, name.as_ptr() as usize);
    plain(Sysno::faccessat2, [dir, name, mode, AT_EACCESS, 0, 0])
}

/// ftruncate(2).
pub(crate) fn resize(fd: i32, size: u64) -> i64 {
    plain(Sysno::ftruncate, [fd as usize, size as usize, 0, 0, 0, 0])
}

/// fallocate(2).
pub(crate) fn allocate(fd: i32, mode: u64, offset: u64, len: u64) -> i64 {
    plain(Sysno::fallocate, [fd as usize, mode as usize, offset as usize, len as usize, 0, 0])
}

/// The status flags of an open file, or a negative errno.
pub(crate) fn status(fd: i32) -> i64 {
    const F_GETFL: usize = 3;
    plain(Sysno::fcntl, [fd as usize, F_GETFL, 0, 0, 0, 0])
}

/// Sets the status flags of an open file.
pub(crate) fn set_status(fd: i32, flags: i64) -> i64 {
    const F_SETFL: usize = 4;
    plain(Sysno::fcntl, [fd as usize, F_SETFL, flags as usize, 0, 0, 0])
}

/// syncfs(2).
pub(crate) fn sync(fd: i32) -> i64 {
    plain(Sysno::syncfs, [fd as usize, 0, 0, 0, 0, 0])
}

/// Makes this thread (not its process) act as these users and groups, keeping 0 in reserve.
pub(crate) fn become_user(who: &model::world::Credentials) -> i64 {
    let root = plain(Sysno::setresuid, [0; 6]);
    if root < 0 {
        return root;
    }
    let groups =
        plain(Sysno::setgroups, [who.groups.len(), who.groups.as_ptr() as usize, 0, 0, 0, 0]);
    let group = plain(Sysno::setresgid, [who.gid as usize, who.egid as usize, 0, 0, 0, 0]);
    let user = plain(Sysno::setresuid, [who.uid as usize, who.euid as usize, 0, 0, 0, 0]);
    groups.min(group).min(user)
}

/// Gives up all capabilities of this thread and of the threads it starts.
pub(crate) fn drop_capabilities() -> i64 {
    const VERSION_3: u32 = 0x2008_0522;
    let head = [VERSION_3, 0];
    let sets = [0u32; 6];
    plain(Sysno::capset, [head.as_ptr() as usize, sets.as_ptr() as usize, 0, 0, 0, 0])
}
