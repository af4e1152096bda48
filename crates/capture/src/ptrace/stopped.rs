//! A stopped thread, and why it stopped.
//!
//! Invariant: a [`Stopped`] is made by [`wait`] alone and used up by what lets the thread go on.
//! While it exists the thread stands still, unless it was killed: then every request answers
//! [`Gone`], which is a result like any other, and the thread's end comes from [`wait`] later.

use crate::inspect::procfs;
use std::collections::HashSet;
use std::io;

/// The thread died under our hands, or is no longer ours.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Gone;

/// A thread that stands still until this value is used up.
#[derive(Debug)]
#[must_use = "a stopped thread stands still until it is resumed"]
pub(crate) struct Stopped(i32);

/// Why a thread stopped (ptrace(2), "Stopped states").
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stop {
    /// At the entry or the exit of a call; [`CallInfo::op`] says at which.
    Call,
    /// At the entry of a call that the seccomp filter sends to us.
    Seccomp,
    /// It made a thread or a process; [`Stopped::message`] is its tid.
    Fork,
    /// It runs a new program; [`Stopped::message`] is the tid that it had before.
    Exec,
    /// It is about to end.
    Ending,
    /// Its vforked child has let go of its memory.
    VforkDone,
    /// This signal stopped its whole process.
    Group(i32),
    /// It was interrupted by us, has just been born, or its process was continued.
    Trap,
    /// It is about to receive this signal.
    Signal(i32),
}

/// What [`wait`] tells.
#[derive(Debug)]
pub(crate) enum WaitResult {
    /// A thread stopped.
    Stopped(Stopped, Stop),
    /// A thread ended, with this wait status.
    Ended(i32, i32),
    /// A signal came for us.
    Interrupted,
    /// Nothing has changed (only when we do not wait).
    Nothing,
    /// There is no thread left to wait for.
    NoTracees,
}

/// How a thread goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ResumeUntil {
    /// To the next call's entry or exit.
    Call,
    /// To the next event.
    Event,
}

/// `struct ptrace_syscall_info` (`include/uapi/linux/ptrace.h`): 88 bytes.
#[derive(Clone, Copy, Debug, Default)]
#[repr(C)]
pub(crate) struct CallInfo {
    pub op: u8,
    pad: [u8; 3],
    pub arch: u32,
    ip: u64,
    sp: u64,
    /// At entry: number, six arguments. At exit: result.
    pub words: [u64; 8],
}

/// [`CallInfo::op`] at entry.
pub(crate) const ENTRY: u8 = libc::PTRACE_SYSCALL_INFO_ENTRY;
/// [`CallInfo::op`] at exit.
pub(crate) const EXIT: u8 = libc::PTRACE_SYSCALL_INFO_EXIT;
/// [`CallInfo::op`] at a seccomp stop.
pub(crate) const SECCOMP: u8 = libc::PTRACE_SYSCALL_INFO_SECCOMP;

/// The requests with which we take hold of a thread.
pub(crate) const TRACE_OPTIONS: i32 = libc::PTRACE_O_TRACESYSGOOD
    | libc::PTRACE_O_TRACECLONE
    | libc::PTRACE_O_TRACEFORK
    | libc::PTRACE_O_TRACEVFORK
    | libc::PTRACE_O_TRACEEXEC
    | libc::PTRACE_O_TRACEEXIT;

/// And with a filter of ours. Without this request the kernel itself answers ENOSYS to a call that
/// a filter of the program sends to its tracer, as it does without a tracer (seccomp(2)).
pub(crate) const TRACE_OPTIONS_SECCOMP: i32 = TRACE_OPTIONS | libc::PTRACE_O_TRACESECCOMP;

/// No request: new threads of a held thread are not ours.
pub(crate) const NO_OPTIONS: i32 = 0;

fn request(request: u32, tid: i32, address: usize, data: usize) -> io::Result<i64> {
    // SAFETY: every request passed here takes numbers, or a pointer in `data` to memory that its
    // caller owns and that is as large as the request writes.
    let result = unsafe { libc::ptrace(request, tid, address, data) };
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(result) }
}

/// Takes hold of a thread without stopping it. There is no `PTRACE_O_EXITKILL`: should we die, it
/// goes on.
pub(crate) fn seize(tid: i32, requests: i32) -> io::Result<()> {
    request(libc::PTRACE_SEIZE, tid, 0, requests as usize).map(drop)
}

/// Asks a thread to stop.
pub(crate) fn interrupt(tid: i32) -> Result<(), Gone> {
    request(libc::PTRACE_INTERRUPT, tid, 0, 0).map(drop).or(Err(Gone))
}

/// Seizes, with these requests, and interrupts all threads of a process but those that are `ours`
/// already: which it took hold of. An error if there was none.
pub(crate) fn seize_threads(
    process: i32,
    requests: i32,
    ours: impl Fn(i32) -> bool,
) -> io::Result<HashSet<i32>> {
    let (mut held, mut refusal) = (HashSet::new(), None);
    loop {
        // Threads that a thread made before we held it are found by the next look.
        let before = held.len();
        for tid in procfs::threads(process)? {
            if held.contains(&tid) || ours(tid) {
                continue;
            }
            match seize(tid, requests) {
                Ok(()) => {
                    let _ = interrupt(tid);
                    held.insert(tid);
                }
                // One that was born of a thread that we hold is ours from its birth; one that has
                // just ended cannot be seized.
                Err(e) => refusal = refusal.or(Some(e)),
            }
        }
        if held.len() == before {
            break;
        }
    }
    if held.is_empty() {
        Err(refusal.unwrap_or_else(|| io::Error::from_raw_os_error(libc::ESRCH)))
    } else {
        Ok(held)
    }
}

/// Waits for any thread that the calling thread holds or made; with `block` until something
/// happens.
pub(crate) fn wait(block: bool) -> WaitResult {
    let mut status = 0;
    let flags = libc::__WALL | libc::__WNOTHREAD | if block { 0 } else { libc::WNOHANG };
    // SAFETY: `status` is a valid place for the status; no usage is asked for.
    let tid = unsafe { libc::wait4(-1, &mut status, flags, std::ptr::null_mut()) };
    match tid {
        0 => WaitResult::Nothing,
        -1 if io::Error::last_os_error().raw_os_error() == Some(libc::EINTR) => {
            WaitResult::Interrupted
        }
        -1 => WaitResult::NoTracees,
        tid if libc::WIFSTOPPED(status) => {
            WaitResult::Stopped(Stopped(tid), Stop::from_status(status))
        }
        tid if libc::WIFEXITED(status) || libc::WIFSIGNALED(status) => {
            WaitResult::Ended(tid, status)
        }
        // Continued: only reported if asked for.
        _ => WaitResult::Nothing,
    }
}

impl Stop {
    fn from_status(status: i32) -> Self {
        let signal = libc::WSTOPSIG(status);
        // "Syscall-stops can be distinguished if PTRACE_O_TRACESYSGOOD is set: bit 7 of the signal
        // number."
        if signal == libc::SIGTRAP | 0x80 {
            return Self::Call;
        }
        match status >> 16 {
            // "Signal-delivery-stop": nothing in the upper half.
            0 => Self::Signal(signal),
            libc::PTRACE_EVENT_FORK | libc::PTRACE_EVENT_VFORK | libc::PTRACE_EVENT_CLONE => {
                Self::Fork
            }
            libc::PTRACE_EVENT_EXEC => Self::Exec,
            libc::PTRACE_EVENT_EXIT => Self::Ending,
            libc::PTRACE_EVENT_VFORK_DONE => Self::VforkDone,
            libc::PTRACE_EVENT_SECCOMP => Self::Seccomp,
            // "If PTRACE_SEIZE was used: PTRACE_EVENT_STOP. Group-stop if the signal is a stopping
            // one", else SIGTRAP: PTRACE_INTERRUPT, a new child, or the end of a group-stop.
            libc::PTRACE_EVENT_STOP
                if matches!(
                    signal,
                    libc::SIGSTOP | libc::SIGTSTP | libc::SIGTTIN | libc::SIGTTOU
                ) =>
            {
                Self::Group(signal)
            }
            _ => Self::Trap,
        }
    }
}

impl Stopped {
    /// The thread.
    pub fn tid(&self) -> i32 {
        self.0
    }
    /// Fills in what the thread is calling.
    pub fn call_info(&self, info: &mut CallInfo) -> Result<(), Gone> {
        // The answer's size is in `address`, as ptrace(2) says of PTRACE_GET_SYSCALL_INFO.
        request(
            libc::PTRACE_GET_SYSCALL_INFO as _,
            self.0,
            size_of::<CallInfo>(),
            std::ptr::from_mut(info) as usize,
        )
        .map(drop)
        .or(Err(Gone))
    }
    /// The number that an event carries. A thread that was killed may have gone on to its last stop
    /// ([`Stop::Ending`]), whose number means something else: then it is gone.
    pub fn message(&self) -> Result<i32, Gone> {
        let mut message: libc::c_ulong = 0;
        request(libc::PTRACE_GETEVENTMSG, self.0, 0, std::ptr::from_mut(&mut message) as usize)
            .or(Err(Gone))?;
        // "SIGTRAP | PTRACE_EVENT_foo << 8" (ptrace(2)).
        match self.signal_info()?.si_code >> 8 {
            libc::PTRACE_EVENT_EXIT => Err(Gone),
            _ => Ok(message as i32),
        }
    }
    fn signal_info(&self) -> Result<libc::siginfo_t, Gone> {
        // SAFETY: all zeros is a value of the struct.
        let mut info: libc::siginfo_t = unsafe { std::mem::zeroed() };
        request(libc::PTRACE_GETSIGINFO, self.0, 0, std::ptr::from_mut(&mut info) as usize)
            .or(Err(Gone))?;
        Ok(info)
    }
    /// Whether a seccomp filter has sent SIGSYS in place of the call `number`, which ends now.
    pub fn ends_in_seccomp_sigsys(&self, number: u32) -> bool {
        /// `SYS_SECCOMP` (`asm-generic/siginfo.h`).
        const REFUSED: i32 = 1;
        for at in 0.. {
            let from = libc::ptrace_peeksiginfo_args { off: at, flags: 0, nr: 1 };
            // SAFETY: all zeros is a value of the struct.
            let mut info: libc::siginfo_t = unsafe { std::mem::zeroed() };
            let (asked, told) = (std::ptr::from_ref(&from), std::ptr::from_mut(&mut info));
            let found =
                request(libc::PTRACE_PEEKSIGINFO as _, self.0, asked as usize, told as usize);
            if !matches!(found, Ok(1)) {
                return false;
            }
            if (info.si_signo, info.si_code) == (libc::SIGSYS, REFUSED) {
                // Behind the address of the call in the struct (`_sigsys`): its number.
                const NUMBER: usize = 24;
                // SAFETY: the struct has 128 bytes.
                let of = unsafe { told.cast::<u8>().add(NUMBER).cast::<u32>().read() };
                return of == number;
            }
        }
        false
    }
    /// Number and arguments of the call that the thread is in, from its registers.
    #[cfg(target_arch = "x86_64")]
    pub fn registers(&self) -> Result<(u64, [u64; 6]), Gone> {
        let r = self.all_registers()?;
        Ok((r.orig_rax, [r.rdi, r.rsi, r.rdx, r.r10, r.r8, r.r9]))
    }
    fn all_registers(&self) -> Result<libc::user_regs_struct, Gone> {
        // SAFETY: all zeros is a value of the struct.
        let mut r: libc::user_regs_struct = unsafe { std::mem::zeroed() };
        request(libc::PTRACE_GETREGS, self.0, 0, std::ptr::from_mut(&mut r) as usize)
            .or(Err(Gone))?;
        Ok(r)
    }
    /// Changes its registers.
    pub fn change(&self, change: impl FnOnce(&mut libc::user_regs_struct)) -> Result<(), Gone> {
        let mut r = self.all_registers()?;
        change(&mut r);
        request(libc::PTRACE_SETREGS, self.0, 0, std::ptr::from_mut(&mut r) as usize)
            .map(drop)
            .or(Err(Gone))
    }
    /// Answers the call that a seccomp filter asks us about, which is then not made.
    #[cfg(target_arch = "x86_64")]
    pub fn answer(&self, errno: i32) -> Result<(), Gone> {
        // "The system call number may be changed to -1 to skip the call" (seccomp(2)).
        self.change(|r| (r.orig_rax, r.rax) = (u64::MAX, i64::from(-errno) as u64))
    }
    /// Stores a word in its memory, read-only pages of its own included.
    pub fn poke(&self, address: u64, word: u64) -> Result<(), Gone> {
        request(libc::PTRACE_POKEDATA, self.0, address as usize, word as usize)
            .map(drop)
            .or(Err(Gone))
    }
    /// `si_code` and the sender of the signal that is being delivered.
    pub fn sender(&self) -> Result<(i32, i32), Gone> {
        let info = self.signal_info()?;
        let sender = if info.si_code <= 0 || info.si_signo == libc::SIGCHLD {
            // SAFETY: with these codes (sigaction(2)) and with SIGCHLD the kernel tells a sender.
            unsafe { info.si_pid() }
        } else {
            0
        };
        Ok((info.si_code, sender))
    }
    /// Lets it go on, and delivers `signal` unless that is 0.
    pub fn resume(self, until: ResumeUntil, signal: i32) {
        let how = match until {
            ResumeUntil::Call => libc::PTRACE_SYSCALL,
            ResumeUntil::Event => libc::PTRACE_CONT,
        };
        // If it has died meanwhile, its end is reported by `wait`.
        let _ = request(how, self.0, 0, signal as usize);
    }
    /// Leaves it stopped with its process, and is told when that is continued.
    pub fn listen(self) {
        let _ = request(libc::PTRACE_LISTEN, self.0, 0, 0);
    }
    /// Lets go of it for good.
    pub fn detach(self, signal: i32) {
        let _ = request(libc::PTRACE_DETACH, self.0, 0, signal as usize);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn statuses() {
        let stopped = |signal: i32, event: i32| Stop::from_status(event << 16 | signal << 8 | 0x7f);
        assert_eq!(stopped(libc::SIGTRAP | 0x80, 0), Stop::Call);
        assert_eq!(stopped(libc::SIGTRAP, 0), Stop::Signal(libc::SIGTRAP));
        assert_eq!(stopped(libc::SIGTRAP, libc::PTRACE_EVENT_STOP), Stop::Trap);
        assert_eq!(stopped(libc::SIGTTIN, libc::PTRACE_EVENT_STOP), Stop::Group(libc::SIGTTIN));
        assert_eq!(stopped(libc::SIGSTOP, 0), Stop::Signal(libc::SIGSTOP));
        assert_eq!(stopped(libc::SIGTRAP, libc::PTRACE_EVENT_VFORK), Stop::Fork);
        assert_eq!(size_of::<CallInfo>(), 88);
    }
}
