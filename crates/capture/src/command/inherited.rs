//! What the recorder was started with, and what the command must be started with: the dispositions
//! of signals that we change, and the signal mask.
//!
//! A handler is reset by execve(2), but an ignored signal stays ignored, and so does the mask. The
//! Rust runtime ignores SIGPIPE before `main`, so we look before that.
use std::ptr::null_mut;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};

/// The signals whose dispositions are changed in this process: by the Rust runtime,
/// [`prepare_for_resource_limits`], and [`crate::signals`].
const CHANGED: [i32; 4] = [libc::SIGPIPE, libc::SIGXFSZ, libc::SIGXCPU, crate::signals::NUDGE];

/// Bit N: the N-th of [`CHANGED`] was ignored when the recorder was started.
static IGNORED: AtomicU32 = AtomicU32::new(0);

/// The signal mask (`kernel_sigset_t`, 8 bytes) that it was started with.
static MASK: AtomicU64 = AtomicU64::new(0);

/// The C library calls it before `main`.
#[used]
#[unsafe(link_section = ".init_array")]
static SAVE: extern "C" fn() = save;

extern "C" fn save() {
    let mut ignored = 0;
    for (bit, signal) in CHANGED.iter().enumerate() {
        // SAFETY: all zeros is a value of the struct, which is a valid place for the answer.
        let was = unsafe {
            let mut was: libc::sigaction = std::mem::zeroed();
            libc::sigaction(*signal, std::ptr::null(), &mut was);
            was.sa_sigaction
        };
        ignored |= u32::from(was == libc::SIG_IGN) << bit;
    }
    IGNORED.store(ignored, Ordering::Relaxed);
    let mut mask = 0u64;
    set_mask(libc::SIG_BLOCK, std::ptr::null(), &mut mask);
    MASK.store(mask, Ordering::Relaxed);
    DESCRIPTORS.store(limit().rlim_cur, Ordering::Relaxed);
}

/// rt_sigprocmask(2) itself: nothing but a system call.
fn set_mask(how: i32, new: *const u64, old: *mut u64) {
    // SAFETY: both are null or point to a whole mask of the size that is told.
    unsafe { libc::syscall(libc::SYS_rt_sigprocmask, how, new, old, size_of::<u64>()) };
}

/// The calling thread hears this signal, whatever it was started with.
pub(crate) fn unblock(signal: i32) {
    set_mask(libc::SIG_UNBLOCK, &(1 << (signal - 1)), null_mut());
}

/// The soft RLIMIT_NOFILE that it was started with.
static DESCRIPTORS: AtomicU64 = AtomicU64::new(0);

fn limit() -> libc::rlimit {
    let mut limit = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: `limit` is a valid place for the answer.
    unsafe { libc::getrlimit(libc::RLIMIT_NOFILE, &mut limit) };
    limit
}

fn set_limit(soft: u64) {
    let limit = libc::rlimit { rlim_cur: soft, ..limit() };
    // SAFETY: `limit` is a whole limit.
    unsafe { libc::setrlimit(libc::RLIMIT_NOFILE, &limit) };
}

/// From now on a resource limit is an error of the call that met it, as a full disk is, and not the
/// end of this process: SIGXFSZ (RLIMIT_FSIZE) and SIGXCPU (the soft RLIMIT_CPU) are ignored. And
/// we may have as many descriptors as the hard limit allows; the soft one is for programs that do
/// not ask.
pub fn prepare_for_resource_limits() {
    for signal in [libc::SIGXFSZ, libc::SIGXCPU] {
        // SAFETY: SIG_IGN runs no code of ours.
        unsafe { libc::signal(signal, libc::SIG_IGN) };
    }
    set_limit(limit().rlim_max);
}

/// A program with file capabilities (setcap(8)) is not dumpable, and its files in /proc are root's:
/// it could neither look at its child nor map a user namespace of its own. They are its own again;
/// to trace it still takes its capabilities (ptrace(2)).
pub fn set_dumpable() {
    use rustix::process::{DumpableBehavior, set_dumpable_behavior};
    let _best = set_dumpable_behavior(DumpableBehavior::Dumpable);
}

/// Gives the calling process the dispositions, the mask and the limit that we were started with.
/// Only system calls: this runs between fork and exec.
pub(crate) fn restore() {
    let ignored = IGNORED.load(Ordering::Relaxed);
    for (bit, signal) in CHANGED.iter().enumerate() {
        let how = if ignored & 1 << bit == 0 { libc::SIG_DFL } else { libc::SIG_IGN };
        // SAFETY: neither runs code of ours.
        unsafe { libc::signal(*signal, how) };
    }
    set_limit(DESCRIPTORS.load(Ordering::Relaxed));
    set_mask(libc::SIG_SETMASK, &MASK.load(Ordering::Relaxed), null_mut());
}
