//! A stopped thread, and why it stopped.
//!
//! Invariant: only [`wait_for_tracee`] makes a [`Stopped`], and whatever resumes the thread
//! consumes it. While it exists the thread is stopped, unless it was killed: then every request
//! returns [`Gone`], and [`wait_for_tracee`] reports the thread's end later.

use crate::inspect::procfs;
use std::collections::HashSet;
use std::io;

/// The thread has been killed, or is no longer traced.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Gone;

/// A thread (its ID) that is stopped until this value is consumed.
#[derive(Debug)]
#[must_use = "a stopped thread stands still until it is resumed"]
pub(crate) struct Stopped(i32);

/// Why a thread stopped (ptrace(2), "Stopped states").
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stop {
    /// It is at the entry or the exit of a call; [`CallInfo::op`] says at which.
    Call,
    /// It is at the entry of a call that a seccomp filter sends to the tracer.
    Seccomp,
    /// It has made a thread or a process, whose ID [`Stopped::event_message`] returns.
    Fork,
    /// It has executed a program; [`Stopped::event_message`] returns the thread ID that it had
    /// before.
    Exec,
    /// It is about to exit.
    Ending,
    /// Its child of vfork(2) has exited or executed a program.
    VforkDone,
    /// This signal stopped its whole process.
    Group(i32),
    /// The tracer has interrupted it, it is new, or its process was continued.
    Trap,
    /// It is about to receive this signal.
    Signal(i32),
}

/// Whether [`wait_for_tracee`] blocks until a thread changes its state.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum WaitMode {
    Block,
    Poll,
}

/// What [`wait_for_tracee`] returns.
#[derive(Debug)]
pub(crate) enum WaitResult {
    /// A thread stopped.
    Stopped(Stopped, Stop),
    /// A thread ended: its ID and its wait status.
    Ended(i32, i32),
    /// A signal for the calling thread interrupted the wait.
    Interrupted,
    /// No thread has changed its state (only with [`WaitMode::Poll`]).
    Nothing,
    /// There are no tracees and no children.
    NoTracees,
}

/// Where a thread that is resumed stops next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ResumeUntil {
    /// At the next entry or exit of a call, or at the next event.
    Call,
    /// At the next event: a signal, fork, exec, exit or seccomp stop.
    Event,
}

/// `struct ptrace_syscall_info` (`include/uapi/linux/ptrace.h`), 88 bytes.
#[derive(Clone, Copy, Debug, Default)]
#[repr(C)]
pub(crate) struct CallInfo {
    /// At which point of a call the thread is: [`ENTRY`], [`EXIT`] or [`SECCOMP`].
    pub op: u8,
    pad: [u8; 3],
    /// The architecture, an `AUDIT_ARCH_*`.
    pub arch: u32,
    ip: u64,
    sp: u64,
    /// At the entry: the number and six arguments. At the exit: the result.
    pub words: [u64; 8],
}

/// [`CallInfo::op`] at entry.
pub(crate) const ENTRY: u8 = libc::PTRACE_SYSCALL_INFO_ENTRY;
/// [`CallInfo::op`] at exit.
pub(crate) const EXIT: u8 = libc::PTRACE_SYSCALL_INFO_EXIT;
/// [`CallInfo::op`] at a seccomp stop.
pub(crate) const SECCOMP: u8 = libc::PTRACE_SYSCALL_INFO_SECCOMP;

/// The ptrace options for threads that are recorded.
pub(crate) const TRACE_OPTIONS: i32 = libc::PTRACE_O_TRACESYSGOOD
    | libc::PTRACE_O_TRACECLONE
    | libc::PTRACE_O_TRACEFORK
    | libc::PTRACE_O_TRACEVFORK
    | libc::PTRACE_O_TRACEEXEC
    | libc::PTRACE_O_TRACEEXIT;

/// The same, with a seccomp filter of the recorder. Without this option the kernel itself returns
/// ENOSYS for a call that a filter of the program sends to its tracer, as it does without a tracer
/// (seccomp(2)).
pub(crate) const TRACE_OPTIONS_SECCOMP: i32 = TRACE_OPTIONS | libc::PTRACE_O_TRACESECCOMP;

/// No ptrace options: new threads of a traced thread are not traced.
pub(crate) const NO_OPTIONS: i32 = 0;

/// Makes a ptrace(2) request. Returns its result, or errno.
fn request(request: u32, tid: i32, address: usize, data: usize) -> io::Result<i64> {
    // SAFETY: every request passed here takes numbers, or a pointer in `data` to memory that its
    // caller owns and that is as large as the request writes.
    let result = unsafe { libc::ptrace(request, tid, address, data) };
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(result) }
}

/// Starts to trace a thread without stopping it. `PTRACE_O_EXITKILL` is not set, so the thread goes
/// on if the recorder is killed.
pub(crate) fn seize(tid: i32, options: i32) -> io::Result<()> {
    request(libc::PTRACE_SEIZE, tid, 0, options as usize).map(drop)
}

/// Makes a traced thread stop. Does not wait until it has.
pub(crate) fn interrupt(tid: i32) -> Result<(), Gone> {
    request(libc::PTRACE_INTERRUPT, tid, 0, 0).map(drop).or(Err(Gone))
}

/// Seizes with these ptrace options, and interrupts, all threads of a process, except those for
/// which `is_traced` returns true. Repeats that until there are no new threads. Returns the threads
/// that were seized; fails if there are none.
pub(crate) fn seize_threads(
    process: i32,
    options: i32,
    is_traced: impl Fn(i32) -> bool,
) -> io::Result<HashSet<i32>> {
    let (mut seized, mut refusal) = (HashSet::new(), None);
    loop {
        // Threads that were made before their creator was seized are found by the next pass.
        let before = seized.len();
        for tid in procfs::list_threads(process)? {
            if seized.contains(&tid) || is_traced(tid) {
                continue;
            }
            match seize(tid, options) {
                Ok(()) => {
                    let _ = interrupt(tid);
                    seized.insert(tid);
                }
                // A new thread of a traced thread is traced already; a thread that has just ended
                // cannot be seized.
                Err(e) => refusal = refusal.or(Some(e)),
            }
        }
        if seized.len() == before {
            break;
        }
    }
    if seized.is_empty() {
        Err(refusal.unwrap_or_else(|| io::Error::from_raw_os_error(libc::ESRCH)))
    } else {
        Ok(seized)
    }
}

/// Waits for a state change of any tracee or child of the calling thread, as `mode` says.
pub(crate) fn wait_for_tracee(mode: WaitMode) -> WaitResult {
    let mut status = 0;
    let flags =
        libc::__WALL | libc::__WNOTHREAD | if mode == WaitMode::Block { 0 } else { libc::WNOHANG };
    // SAFETY: `status` is a valid place for the status; no resource usage is asked for.
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
        // Continued: only reported if asked for (WCONTINUED).
        _ => WaitResult::Nothing,
    }
}

impl Stop {
    /// Decodes the wait status of a stopped thread.
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
    /// Returns the thread's ID.
    pub fn tid(&self) -> i32 {
        self.0
    }
    /// Fills `info` with the call that the thread is in.
    pub fn call_info(&self, info: &mut CallInfo) -> Result<(), Gone> {
        // The size of the result is in `address` (ptrace(2), PTRACE_GET_SYSCALL_INFO).
        request(
            libc::PTRACE_GET_SYSCALL_INFO as _,
            self.0,
            size_of::<CallInfo>(),
            std::ptr::from_mut(info) as usize,
        )
        .map(drop)
        .or(Err(Gone))
    }
    /// Returns the number that a fork or exec event carries. A thread that was killed may have
    /// moved on to its exit stop ([`Stop::Ending`]), whose number means something else; then this
    /// returns [`Gone`].
    pub fn event_message(&self) -> Result<i32, Gone> {
        let mut message: libc::c_ulong = 0;
        request(libc::PTRACE_GETEVENTMSG, self.0, 0, std::ptr::from_mut(&mut message) as usize)
            .or(Err(Gone))?;
        // "SIGTRAP | PTRACE_EVENT_foo << 8" (ptrace(2)).
        match self.signal_info()?.si_code >> 8 {
            libc::PTRACE_EVENT_EXIT => Err(Gone),
            _ => Ok(message as i32),
        }
    }
    /// Returns the siginfo of the signal that caused the stop.
    fn signal_info(&self) -> Result<libc::siginfo_t, Gone> {
        // SAFETY: all zeros is a value of the struct.
        let mut info: libc::siginfo_t = unsafe { std::mem::zeroed() };
        request(libc::PTRACE_GETSIGINFO, self.0, 0, std::ptr::from_mut(&mut info) as usize)
            .or(Err(Gone))?;
        Ok(info)
    }
    /// Returns whether a seccomp filter has sent SIGSYS instead of making call `number`, at whose
    /// exit the thread is.
    pub fn ends_in_seccomp_sigsys(&self, number: u32) -> bool {
        /// `SYS_SECCOMP` (`asm-generic/siginfo.h`).
        const SYS_SECCOMP: i32 = 1;
        for index in 0.. {
            let request_args = libc::ptrace_peeksiginfo_args { off: index, flags: 0, nr: 1 };
            // SAFETY: all zeros is a value of the struct.
            let mut info: libc::siginfo_t = unsafe { std::mem::zeroed() };
            let (args_pointer, info_pointer) =
                (std::ptr::from_ref(&request_args), std::ptr::from_mut(&mut info));
            let count = request(
                libc::PTRACE_PEEKSIGINFO as _,
                self.0,
                args_pointer as usize,
                info_pointer as usize,
            );
            if !matches!(count, Ok(1)) {
                return false;
            }
            if (info.si_signo, info.si_code) == (libc::SIGSYS, SYS_SECCOMP) {
                // The offset of `_sigsys._syscall`, the number of the call, in the struct.
                const SYSCALL_OFFSET: usize = 24;
                // SAFETY: the struct has 128 bytes.
                let signal_number =
                    unsafe { info_pointer.cast::<u8>().add(SYSCALL_OFFSET).cast::<u32>().read() };
                return signal_number == number;
            }
        }
        false
    }
    /// Returns number and arguments of the call that the thread is in, from its registers.
    #[cfg(target_arch = "x86_64")]
    pub fn registers(&self) -> Result<(u64, [u64; 6]), Gone> {
        let regs = self.all_registers()?;
        Ok((regs.orig_rax, [regs.rdi, regs.rsi, regs.rdx, regs.r10, regs.r8, regs.r9]))
    }
    /// Returns all general registers of the thread.
    fn all_registers(&self) -> Result<libc::user_regs_struct, Gone> {
        // SAFETY: all zeros is a value of the struct.
        let mut r: libc::user_regs_struct = unsafe { std::mem::zeroed() };
        request(libc::PTRACE_GETREGS, self.0, 0, std::ptr::from_mut(&mut r) as usize)
            .or(Err(Gone))?;
        Ok(r)
    }
    /// Reads the thread's registers, calls `change` with them, and writes them back.
    pub fn change_registers(
        &self,
        change: impl FnOnce(&mut libc::user_regs_struct),
    ) -> Result<(), Gone> {
        let mut r = self.all_registers()?;
        change(&mut r);
        request(libc::PTRACE_SETREGS, self.0, 0, std::ptr::from_mut(&mut r) as usize)
            .map(drop)
            .or(Err(Gone))
    }
    /// Makes the call that the thread is about to make fail with `errno`, without being made.
    #[cfg(target_arch = "x86_64")]
    pub fn fail_call(&self, errno: i32) -> Result<(), Gone> {
        // "The system call number may be changed to -1 to skip the call" (seccomp(2)).
        self.change_registers(|r| (r.orig_rax, r.rax) = (u64::MAX, i64::from(-errno) as u64))
    }
    /// Writes a word into the thread's memory, even if the page is read-only.
    pub fn poke(&self, address: u64, word: u64) -> Result<(), Gone> {
        request(libc::PTRACE_POKEDATA, self.0, address as usize, word as usize)
            .map(drop)
            .or(Err(Gone))
    }
    /// Returns `si_code` and the sending process of the signal that is being delivered; 0 if the
    /// kernel names no sender.
    pub fn signal_origin(&self) -> Result<(i32, i32), Gone> {
        let info = self.signal_info()?;
        let sender = if info.si_code <= 0 || info.si_signo == libc::SIGCHLD {
            // SAFETY: with these codes (sigaction(2)) and with SIGCHLD the kernel sets si_pid.
            unsafe { info.si_pid() }
        } else {
            0
        };
        Ok((info.si_code, sender))
    }
    /// Resumes the thread, and delivers `signal` unless it is 0.
    pub fn resume(self, until: ResumeUntil, signal: i32) {
        let how = match until {
            ResumeUntil::Call => libc::PTRACE_SYSCALL,
            ResumeUntil::Event => libc::PTRACE_CONT,
        };
        // If the thread was killed meanwhile, `wait_for_tracee` reports its end.
        let _ = request(how, self.0, 0, signal as usize);
    }
    /// Leaves the thread in its group-stop. It stops again when its process is continued.
    pub fn listen(self) {
        let _ = request(libc::PTRACE_LISTEN, self.0, 0, 0);
    }
    /// Stops tracing the thread, which goes on. Delivers `signal` unless it is 0.
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
