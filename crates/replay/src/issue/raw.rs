//! System calls by number.

use linux_raw_sys::general as linux;
use rustix::fd::BorrowedFd;
use rustix::fs::{AtFlags, FileType, OFlags, StatxFlags, makedev};
use rustix::io::Errno;
use rustix::thread::{CapabilitySet, CapabilitySets, UnshareFlags, unshare_unsafe};
use std::cell::Cell;
use std::ffi::CStr;
use std::sync::OnceLock;
use std::time::Instant;
use syscalls::Sysno;
use trace::Call;

/// The flags of open(2) with which a recorded open file is opened again.
pub(crate) const OPEN_FLAGS: u32 = linux::O_ACCMODE
    | linux::O_APPEND
    | linux::O_NONBLOCK
    | linux::O_DIRECT
    | linux::O_DIRECTORY
    | linux::O_NOATIME
    | linux::O_PATH;
const PATH_DIRECTORY: u32 = linux::O_PATH | linux::O_DIRECTORY | linux::O_CLOEXEC;

/// Returns this machine's number of the call that has number `nr` on x86-64. Returns `None` if it
/// does not have that call.
pub fn native_number(nr: u32) -> Option<Sysno> {
    static NATIVE: OnceLock<Vec<Option<Sysno>>> = OnceLock::new();
    let table = NATIVE.get_or_init(|| {
        let rows = abi::table();
        let last = rows.iter().map(|r| r.number).filter(|n| *n < 1024).max().unwrap_or(0);
        let mut native_number = vec![None; last as usize + 1];
        for row in rows.iter().filter(|r| r.number <= last) {
            native_number[row.number as usize] = row.name().parse::<Sysno>().ok();
        }
        native_number
    });
    table.get(nr as usize).copied().flatten()
}

/// This machine's number of the call that does what an operation that is no system call does
/// ([`abi::OPERATIONS`]), with the same arguments; `None` if there is no such call.
pub fn native_operation(call: &Call) -> Option<Sysno> {
    let row = abi::by_number(call.nr)?;
    let operation = row.operation?;
    let at_own_offset = row.spec.uses.pos.is_some_and(|i| call.args[usize::from(i)] as i64 == -1);
    let own = operation.call_at_own_offset.filter(|_| at_own_offset);
    native_number(own.or(operation.call)? as u32)
}

/// Prefetches up to four cache lines at `what`.
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

/// Starts to measure the time of this thread's calls.
pub(crate) fn start_timing() {
    TIMED.set(Some(0));
}

/// Returns the nanoseconds that the calls of this thread took since this function was last called.
/// Returns `None` if they are not measured.
pub(crate) fn take_elapsed() -> Option<u64> {
    let took = TIMED.get()?;
    TIMED.set(Some(0));
    Some(took)
}

/// Performs a call whose arguments [`super::Arguments`] or [`super::PreparedCall`] hold. Returns
/// the result, or a negative errno. This function and those that lead here for most calls are to be
/// inlined into one: each return after a call costs
/// (docs/decisions/0022-calls-are-translated-at-dispatch.md).
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

/// Makes a system call. Returns the result, or a negative errno.
fn syscall(nr: Sysno, args: [usize; 6]) -> i64 {
    let [a, b, c, d, e, f] = args;
    // SAFETY: called below with calls that take numbers, or pointers to slices that live until the
    // call returns, that the kernel only reads, or that are borrowed mutably and written up to
    // their length.
    let result = unsafe { syscalls::raw::syscall6(nr as usize, a, b, c, d, e, f) };
    result as i64
}

/// Makes a system call for a ring (`super::ring`).
///
/// # Safety
///
/// Pointers among the arguments must be valid for what the call does with them.
pub(super) unsafe fn call(nr: Sysno, args: [usize; 6]) -> rustix::io::Result<usize> {
    let [a, b, c, d, e, f] = args;
    // SAFETY: promised by the caller.
    let result = unsafe { syscalls::raw::syscall6(nr as usize, a, b, c, d, e, f) };
    match abi::errno_of(result as i64) {
        Some(errno) => Err(Errno::from_raw_os_error(errno)),
        None => Ok(result),
    }
}

/// Returns what the kernel returns for a call that fails with `errno`.
pub(crate) fn result_of(errno: Errno) -> i64 {
    -i64::from(errno.raw_os_error())
}

/// close(2).
pub(crate) fn close(fd: i32) -> i64 {
    syscall(Sysno::close, [fd as usize, 0, 0, 0, 0, 0])
}

/// Gives this thread a descriptor table of its own, a copy of the process's (unshare(2),
/// `CLONE_FILES`). Returns whether the kernel allowed it.
pub(crate) fn unshare_descriptors() -> bool {
    // SAFETY: only executors do this, before their first call. From then on they use their table
    // alone, and the other threads use the shared one.
    unsafe { unshare_unsafe(UnshareFlags::FILES) }.is_ok()
}

/// Closes all descriptors of this thread's table but the standard ones.
pub(crate) fn close_all_descriptors() -> i64 {
    syscall(Sysno::close_range, [3, u32::MAX as usize, 0, 0, 0, 0])
}

/// Duplicates `fd` to the lowest free number, close-on-exec or not. Returns the number, or a
/// negative errno.
pub(crate) fn dup(fd: i32, cloexec: bool) -> i64 {
    let command = if cloexec { linux::F_DUPFD_CLOEXEC } else { linux::F_DUPFD };
    syscall(Sysno::fcntl, [fd as usize, command as usize, 0, 0, 0, 0])
}

/// fchdir(2) of this thread.
pub(crate) fn fchdir(fd: i32) -> i64 {
    syscall(Sysno::fchdir, [fd as usize, 0, 0, 0, 0, 0])
}

/// umask(2) of this thread.
pub(crate) fn umask(mask: u32) -> i64 {
    syscall(Sysno::umask, [mask as usize, 0, 0, 0, 0, 0])
}

/// lseek(2).
pub(crate) fn lseek(fd: i32, offset: u64, whence: usize) -> i64 {
    syscall(Sysno::lseek, [fd as usize, offset as usize, whence, 0, 0, 0])
}

/// Writes with pwrite(2) at `offset`, or with write(2). Returns the number of bytes, or a negative
/// errno.
pub(crate) fn write(fd: i32, bytes: &[u8], offset: Option<u64>) -> i64 {
    let (start, len) = (bytes.as_ptr() as usize, bytes.len());
    match offset {
        Some(offset) => syscall(Sysno::pwrite64, [fd as usize, start, len, offset as usize, 0, 0]),
        None => syscall(Sysno::write, [fd as usize, start, len, 0, 0, 0]),
    }
}

/// Reads with pread(2) at `offset`, or with read(2). Returns the number of bytes, or a negative
/// errno.
pub(crate) fn read(fd: i32, bytes: &mut [u8], offset: Option<u64>) -> i64 {
    let (start, len) = (bytes.as_mut_ptr() as usize, bytes.len());
    match offset {
        Some(offset) => syscall(Sysno::pread64, [fd as usize, start, len, offset as usize, 0, 0]),
        None => syscall(Sysno::read, [fd as usize, start, len, 0, 0, 0]),
    }
}

/// Opens a path, which need not end in a NUL, with openat(2). A path that is too long for the
/// kernel is opened in several steps. Returns the descriptor, or a negative errno.
pub(crate) fn open(path: &[u8], flags: u32) -> i64 {
    /// Longest part of a path that is given to the kernel at once (`PATH_MAX` is 4096).
    const MAX_PATH_PART: usize = 2048;
    let (mut rest, mut at) = (path, i64::from(abi::AT_FDCWD));
    while rest.len() > MAX_PATH_PART
        && let Some(end) =
            rest[..MAX_PATH_PART].iter().rposition(|&b| b == b'/').filter(|end| *end > 0)
    {
        let below = openat(at, &rest[..end], PATH_DIRECTORY);
        close_intermediate(at);
        if below < 0 {
            return below;
        }
        (at, rest) = (below, &rest[end + 1..]);
    }
    let opened = openat(at, rest, flags);
    close_intermediate(at);
    opened
}

/// Opens a directory (`O_PATH`) for a later fchdir.
pub(crate) fn open_directory(path: &[u8]) -> i64 {
    open(path, PATH_DIRECTORY)
}

/// Opens a directory with openat(2). `path` is the address of its name, which [`super::Arguments`]
/// holds.
pub(crate) fn open_directory_at(dir: i32, path: usize, follow: bool) -> i64 {
    let flags = OFlags::DIRECTORY | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let flags = if follow { flags } else { flags | OFlags::NOFOLLOW };
    syscall(Sysno::openat, [dir as isize as usize, path, flags.bits() as usize, 0, 0, 0])
}

/// Changes the mode with fchmod(2) if `fd` is a directory. Returns `None` if it is not. What an
/// open descriptor refers to cannot change in between.
pub(crate) fn chmod_if_directory(fd: i32, mode: u32) -> Option<i64> {
    if fd < 0 {
        return None;
    }
    // SAFETY: nothing is closed meanwhile; a number that is no descriptor gives EBADF.
    let stat = rustix::fs::fstat(unsafe { BorrowedFd::borrow_raw(fd) }).ok()?;
    (FileType::from_raw_mode(stat.st_mode) == FileType::Directory)
        .then(|| syscall(Sysno::fchmod, [fd as usize, mode as usize, 0, 0, 0, 0]))
}

/// Opens a path, which need not end in a NUL, from the directory `dir`. Returns the descriptor, or
/// a negative errno.
fn openat(dir: i64, path: &[u8], flags: u32) -> i64 {
    let mut name = path.to_vec();
    name.push(0);
    syscall(Sysno::openat, [dir as usize, name.as_ptr() as usize, flags as usize, 0, 0, 0])
}

/// Closes a directory that was opened on the way to another one.
fn close_intermediate(dir: i64) {
    if let Ok(fd @ 0..) = i32::try_from(dir) {
        close(fd);
    }
}

/// Returns the target of a symbolic link; `None` if it cannot be read.
pub(crate) fn readlink(path: &[u8]) -> Option<Vec<u8>> {
    rustix::fs::readlink(path, Vec::new()).ok().map(std::ffi::CString::into_bytes)
}

/// Creates a file with mknodat(2). `path` need not end in a NUL, and starts from the directory
/// `start`.
pub(crate) fn mknodat(start: i32, path: &[u8], mode: u32) -> i64 {
    let mut name = path.to_vec();
    name.push(0);
    syscall(
        Sysno::mknodat,
        [start as isize as usize, name.as_ptr() as usize, mode as usize, 0, 0, 0],
    )
}

/// What statx(2) says of a file.
pub(crate) struct FileStatus {
    /// Type and permissions.
    pub mode: u32,
    pub size: u64,
    /// Device and inode.
    pub file: (u64, u64),
}

/// Returns the status of `name`, which ends in a NUL, in the directory `fd`; of `fd` itself if
/// `name` is empty.
pub(crate) fn statx(fd: i32, name: &[u8], follow: bool) -> rustix::io::Result<FileStatus> {
    let name = CStr::from_bytes_until_nul(name).map_err(|_| Errno::INVAL)?;
    let mut flags = if name.is_empty() { AtFlags::EMPTY_PATH } else { AtFlags::empty() };
    if !follow {
        flags |= AtFlags::SYMLINK_NOFOLLOW;
    }
    if fd < 0 && fd != abi::AT_FDCWD {
        return Err(Errno::BADF);
    }
    // SAFETY: the number is not -1, and nothing is closed meanwhile; one that is no descriptor
    // gives EBADF.
    let dir = unsafe { BorrowedFd::borrow_raw(fd) };
    let status = rustix::fs::statx(dir, name, flags, StatxFlags::BASIC_STATS)?;
    let device = makedev(status.stx_dev_major, status.stx_dev_minor);
    Ok(FileStatus {
        mode: status.stx_mode.into(),
        size: status.stx_size,
        file: (device, status.stx_ino),
    })
}

/// Checks access to `name`, which ends in a NUL, as the effective user, with faccessat2(2).
pub(crate) fn faccessat(fd: i32, name: &[u8], mode: u32) -> i64 {
    debug_assert!(name.ends_with(b"\0"));
    let (dir, name) = (fd as isize as usize, name.as_ptr() as usize);
    syscall(Sysno::faccessat2, [dir, name, mode as usize, linux::AT_EACCESS as usize, 0, 0])
}

/// ftruncate(2).
pub(crate) fn ftruncate(fd: i32, size: u64) -> i64 {
    syscall(Sysno::ftruncate, [fd as usize, size as usize, 0, 0, 0, 0])
}

/// fallocate(2).
pub(crate) fn fallocate(fd: i32, mode: u32, offset: u64, len: u64) -> i64 {
    syscall(Sysno::fallocate, [fd as usize, mode as usize, offset as usize, len as usize, 0, 0])
}

/// Returns the status flags of an open file, or a negative errno.
pub(crate) fn status_flags(fd: i32) -> i64 {
    syscall(Sysno::fcntl, [fd as usize, linux::F_GETFL as usize, 0, 0, 0, 0])
}

/// Sets the status flags of an open file.
pub(crate) fn set_status_flags(fd: i32, flags: i64) -> i64 {
    syscall(Sysno::fcntl, [fd as usize, linux::F_SETFL as usize, flags as usize, 0, 0, 0])
}

/// syncfs(2).
pub(crate) fn syncfs(fd: i32) -> i64 {
    syscall(Sysno::syncfs, [fd as usize, 0, 0, 0, 0, 0])
}

/// Makes this thread (not its whole process) act as these users and groups. User 0 stays the saved
/// one, so that it can be resumed.
pub(crate) fn set_credentials(who: &model::processes::Credentials) -> i64 {
    let root = syscall(Sysno::setresuid, [0; 6]);
    if root < 0 {
        return root;
    }
    let groups =
        syscall(Sysno::setgroups, [who.groups.len(), who.groups.as_ptr() as usize, 0, 0, 0, 0]);
    let group = syscall(Sysno::setresgid, [who.gid as usize, who.egid as usize, 0, 0, 0, 0]);
    let user = syscall(Sysno::setresuid, [who.uid as usize, who.euid as usize, 0, 0, 0, 0]);
    groups.min(group).min(user)
}

/// Gives up all capabilities of this thread and of the threads it starts.
pub(crate) fn drop_capabilities() -> i64 {
    let none = CapabilitySet::empty();
    let sets = CapabilitySets { effective: none, permitted: none, inheritable: none };
    rustix::thread::set_capabilities(None, sets).map_or_else(result_of, |()| 0)
}
