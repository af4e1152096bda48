//! System calls by number.

use std::cell::Cell;
use std::sync::OnceLock;
use std::time::Instant;
use syscalls::Sysno;

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
            )
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

/// Performs a call whose arguments [`super::Arguments`] or [`super::Ready`] hold: the result, or a negative errno. This and what leads here for most calls is to be one
/// function: each return after a call costs (docs/design.md, 3.8).
#[inline(always)]
pub(super) fn perform(nr: Sysno, args: [usize; 6]) -> i64 {
    let [a, b, c, d, e, f] = args;
    // SAFETY: both pass only pointers to memory that outlives the call and that is at least as long as the lengths passed along (see the module above),
    // descriptors that belong to this replay, and no call whose effect goes beyond files (`decide` refuses the others).
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
    // SAFETY: called below with calls that take numbers, or pointers to slices that live until the call returns, that the kernel only reads, or that are borrowed
    // mutably and written up to their length.
    let result = unsafe { syscalls::raw::syscall6(nr as usize, a, b, c, d, e, f) };
    result as i64
}

/// close(2).
pub(crate) fn close(fd: i32) -> i64 {
    plain(Sysno::close, [fd as usize, 0, 0, 0, 0, 0])
}

/// A descriptor table of this thread alone, a copy of that which it had (unshare(2)). Whether that was allowed.
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
    let mut name = path.to_vec();
    name.push(0);
    plain(
        Sysno::openat,
        [abi::AT_FDCWD as isize as usize, name.as_ptr() as usize, flags as usize, 0, 0, 0],
    )
}

/// Where the link with this name leads.
pub(crate) fn read_link(path: &[u8]) -> Option<Vec<u8>> {
    rustix::fs::readlink(path, Vec::new()).ok().map(|target| target.into_bytes())
}

/// mknodat(2) of a name (a NUL is added), from the directory `start`.
pub(crate) fn make_node(start: i32, path: &[u8], mode: u32) -> i64 {
    let mut name = path.to_vec();
    name.push(0);
    plain(Sysno::mknodat, [start as isize as usize, name.as_ptr() as usize, mode as usize, 0, 0, 0])
}

/// Makes this thread (not its process) act as these users and groups, keeping 0 in reserve.
pub(crate) fn become_user(who: &trace::world::Credentials) -> i64 {
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
