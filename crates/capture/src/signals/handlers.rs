//! The signal handlers of the recorder. They only count signals; the engine reads the counts when
//! it is ready.
//!
//! Invariant: a signal that was ignored when the recorder started (nohup(1)) stays ignored, and
//! dropping [`Handlers`] restores all dispositions. A handler is reset by execve(2), so the command
//! inherits none.
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};

/// A signal has arrived since the counts were last read.
static ARRIVED: AtomicBool = AtomicBool::new(false);
/// How many SIGINT and SIGQUIT have arrived.
static INTERRUPTS: AtomicU32 = AtomicU32::new(0);
/// The last SIGTERM or SIGHUP, or 0.
static TERMINATE: AtomicU32 = AtomicU32::new(0);
/// How many signals of job control have arrived.
static STOPS: AtomicU32 = AtomicU32::new(0);

/// The signal that only interrupts a blocking system call of an engine's thread.
pub(crate) const WAKE_SIGNAL: i32 = libc::SIGALRM;

/// Signals that ask the recorder to end.
const END_SIGNALS: [i32; 4] = [libc::SIGINT, libc::SIGQUIT, libc::SIGTERM, libc::SIGHUP];
/// Signals by which a terminal stops the recorder.
const STOP_SIGNALS: [i32; 3] = [libc::SIGTSTP, libc::SIGTTIN, libc::SIGTTOU];

/// Counts a signal. This is the handler of all of them.
extern "C" fn count_signal(signal: i32) {
    match signal {
        libc::SIGINT | libc::SIGQUIT => drop(INTERRUPTS.fetch_add(1, Ordering::Relaxed)),
        libc::SIGTERM | libc::SIGHUP => TERMINATE.store(signal as u32, Ordering::Relaxed),
        WAKE_SIGNAL => {}
        _ => drop(STOPS.fetch_add(1, Ordering::Relaxed)),
    }
    ARRIVED.store(true, Ordering::Release);
}

/// The signals that have arrived since the counts were last read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct ReceivedSignals {
    /// How many SIGINT and SIGQUIT arrived. They come from the terminal, which sends them to the
    /// command as well.
    pub interrupts: u32,
    /// The SIGTERM or SIGHUP that asked the recorder to end.
    pub terminate: Option<i32>,
    /// Whether the terminal stops the process group of the recorder.
    pub stop: bool,
}

/// Counts signals until it is dropped, so that an engine that starts meanwhile sees those that
/// arrived before.
#[derive(Debug)]
pub struct SignalListener {
    _handlers: Handlers,
}

impl SignalListener {
    /// Starts counting for the recording of a command, which gets signals of the terminal itself.
    /// Ignored signals stay ignored.
    pub fn for_command() -> Self {
        Self::install(&[])
    }
    /// Starts counting for the recording of other processes. SIGINT and SIGQUIT are counted even if
    /// they were ignored: shells have background jobs ignore them, but one that is sent to the
    /// recorder is meant to end it.
    pub fn for_observer() -> Self {
        Self::install(&[libc::SIGINT, libc::SIGQUIT])
    }
    /// Sets all counts to 0 and installs the handlers.
    fn install(even_if_ignored: &[i32]) -> Self {
        INTERRUPTS.store(0, Ordering::Relaxed);
        TERMINATE.store(0, Ordering::Relaxed);
        STOPS.store(0, Ordering::Relaxed);
        ARRIVED.store(false, Ordering::Relaxed);
        Self { _handlers: Handlers::install_for(even_if_ignored) }
    }
}

/// Installed signal handlers. Dropping this restores the previous dispositions.
#[derive(Debug)]
pub(crate) struct Handlers {
    /// The signals, with their previous dispositions.
    before: Vec<(i32, libc::sigaction)>,
}

impl Handlers {
    /// Installs the handlers. Signals that a [`SignalListener`] has counted before are kept.
    pub fn install() -> Self {
        Self::install_for(&[])
    }

    /// Installs the handlers for signals that are not ignored, and for those in `even_if_ignored`.
    fn install_for(even_if_ignored: &[i32]) -> Self {
        let mut before = Vec::new();
        for signal in END_SIGNALS.into_iter().chain(STOP_SIGNALS).chain([WAKE_SIGNAL]) {
            // SAFETY: all zeros is a value of the struct; the handler only stores to atomics.
            unsafe {
                let (mut action, mut old): (libc::sigaction, libc::sigaction) =
                    (std::mem::zeroed(), std::mem::zeroed());
                action.sa_sigaction = count_signal as extern "C" fn(i32) as usize;
                if libc::sigaction(signal, &action, &mut old) != 0 {
                    continue;
                }
                let ignored = old.sa_sigaction == libc::SIG_IGN;
                if ignored && signal != WAKE_SIGNAL && !even_if_ignored.contains(&signal) {
                    libc::sigaction(signal, &old, std::ptr::null_mut());
                    continue;
                }
                before.push((signal, old));
            }
        }
        Self { before }
    }
    /// Returns the signal that asked to end before there was a command, if there was one. Resets
    /// the counts.
    pub fn take_end_signal(&self) -> Option<i32> {
        let arrived =
            if self.has_received() { self.take_received() } else { ReceivedSignals::default() };
        arrived.terminate.or((arrived.interrupts > 0).then_some(libc::SIGINT))
    }
    /// Returns whether a signal may have arrived. This is one atomic load.
    pub fn has_received(&self) -> bool {
        ARRIVED.load(Ordering::Relaxed)
    }
    /// Returns the signals that have arrived, and resets the counts.
    pub fn take_received(&self) -> ReceivedSignals {
        ARRIVED.swap(false, Ordering::Acquire);
        let terminate = TERMINATE.swap(0, Ordering::Relaxed);
        ReceivedSignals {
            interrupts: INTERRUPTS.swap(0, Ordering::Relaxed),
            terminate: (terminate != 0).then_some(terminate as i32),
            stop: STOPS.swap(0, Ordering::Relaxed) != 0,
        }
    }
}

impl Drop for Handlers {
    fn drop(&mut self) {
        for (signal, old) in &self.before {
            // SAFETY: `old` is what sigaction gave.
            unsafe { libc::sigaction(*signal, old, std::ptr::null_mut()) };
        }
    }
}

/// Returns whether this process ignores a signal, as after nohup(1) or in a background job of a
/// shell.
pub fn is_signal_ignored(signal: i32) -> bool {
    // SAFETY: all zeros is a value of the struct, which is a valid place for the answer.
    unsafe {
        let mut now: libc::sigaction = std::mem::zeroed();
        libc::sigaction(signal, std::ptr::null(), &mut now) == 0
            && now.sa_sigaction == libc::SIG_IGN
    }
}

/// Stops this process with SIGSTOP, so that the shell sees it stopped. Returns when it is
/// continued.
pub(crate) fn stop_recorder() {
    // SAFETY: takes numbers.
    unsafe { libc::kill(libc::getpid(), libc::SIGSTOP) };
}
