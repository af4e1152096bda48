//! What the recorder inherited and changes for itself: dispositions of signals, the signal mask,
//! and the limit of open files. The command is started with the inherited values.
//!
//! A handler is reset by execve(2), but an ignored signal stays ignored, and the mask is kept. The
//! Rust runtime ignores SIGPIPE before `main` runs, so the values are read before that.
use std::ptr::null_mut;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};

/// The signals whose dispositions this process changes: the Rust runtime,
/// [`prepare_for_resource_limits`] and [`crate::signals`] do.
const CHANGED_SIGNALS: [i32; 4] =
    [libc::SIGPIPE, libc::SIGXFSZ, libc::SIGXCPU, crate::signals::WAKE_SIGNAL];

/// Bit N: the N-th signal of [`CHANGED_SIGNALS`] was ignored when the recorder was started.
static IGNORED_AT_START: AtomicU32 = AtomicU32::new(0);

/// The signal mask (`kernel_sigset_t`, 8 bytes) that the recorder was started with.
static MASK_AT_START: AtomicU64 = AtomicU64::new(0);

/// Has the C library call [`save_inherited`] before `main`.
#[used]
#[unsafe(link_section = ".init_array")]
static SAVE: extern "C" fn() = save_inherited;

/// Saves dispositions, mask and limit of this process.
extern "C" fn save_inherited() {
    let mut ignored = 0;
    for (bit, signal) in CHANGED_SIGNALS.iter().enumerate() {
        // SAFETY: all zeros is a value of the struct, which is a valid place for the answer.
        let was = unsafe {
            let mut was: libc::sigaction = std::mem::zeroed();
            libc::sigaction(*signal, std::ptr::null(), &mut was);
            was.sa_sigaction
        };
        ignored |= u32::from(was == libc::SIG_IGN) << bit;
    }
    IGNORED_AT_START.store(ignored, Ordering::Relaxed);
    let mut mask = 0u64;
    rt_sigprocmask(libc::SIG_BLOCK, std::ptr::null(), &mut mask);
    MASK_AT_START.store(mask, Ordering::Relaxed);
    NOFILE_AT_START.store(nofile_limit().rlim_cur, Ordering::Relaxed);
}

/// Calls rt_sigprocmask(2) without the C library. Either pointer may be null.
fn rt_sigprocmask(how: i32, new: *const u64, old: *mut u64) {
    // SAFETY: both are null or point to a whole mask of the given size.
    unsafe { libc::syscall(libc::SYS_rt_sigprocmask, how, new, old, size_of::<u64>()) };
}

/// Unblocks a signal in the calling thread.
pub(crate) fn unblock(signal: i32) {
    rt_sigprocmask(libc::SIG_UNBLOCK, &(1 << (signal - 1)), null_mut());
}

/// The soft RLIMIT_NOFILE that the recorder was started with.
static NOFILE_AT_START: AtomicU64 = AtomicU64::new(0);

/// Returns the RLIMIT_NOFILE of this process.
fn nofile_limit() -> libc::rlimit {
    let mut limit = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: `limit` is a valid place for the answer.
    unsafe { libc::getrlimit(libc::RLIMIT_NOFILE, &mut limit) };
    limit
}

/// Sets the soft RLIMIT_NOFILE of this process.
fn set_nofile_limit(soft: u64) {
    let limit = libc::rlimit { rlim_cur: soft, ..nofile_limit() };
    // SAFETY: `limit` is a whole limit.
    unsafe { libc::setrlimit(libc::RLIMIT_NOFILE, &limit) };
}

/// Ignores SIGXFSZ (RLIMIT_FSIZE) and SIGXCPU (the soft RLIMIT_CPU), so that a call that exceeds a
/// limit fails instead of killing this process, and raises the soft RLIMIT_NOFILE to the hard one.
pub fn prepare_for_resource_limits() {
    for signal in [libc::SIGXFSZ, libc::SIGXCPU] {
        // SAFETY: SIG_IGN runs no code of ours.
        unsafe { libc::signal(signal, libc::SIG_IGN) };
    }
    set_nofile_limit(nofile_limit().rlim_max);
}

/// Makes this process dumpable (prctl(2)), if it is permitted. A program with file capabilities
/// (setcap(8)) is not dumpable, and root owns its files in /proc: it could neither inspect its
/// child nor set up a user namespace. To trace it still takes its capabilities (ptrace(2)).
pub fn set_dumpable() {
    use rustix::process::{DumpableBehavior, set_dumpable_behavior};
    let _best = set_dumpable_behavior(DumpableBehavior::Dumpable);
}

/// Sets dispositions, mask and limit of the calling process to what the recorder was started with.
/// Runs between fork and exec, so it makes only system calls.
pub(crate) fn restore_inherited() {
    let ignored = IGNORED_AT_START.load(Ordering::Relaxed);
    for (bit, signal) in CHANGED_SIGNALS.iter().enumerate() {
        let how = if ignored & 1 << bit == 0 { libc::SIG_DFL } else { libc::SIG_IGN };
        // SAFETY: neither runs code of ours.
        unsafe { libc::signal(*signal, how) };
    }
    set_nofile_limit(NOFILE_AT_START.load(Ordering::Relaxed));
    rt_sigprocmask(libc::SIG_SETMASK, &MASK_AT_START.load(Ordering::Relaxed), null_mut());
}
