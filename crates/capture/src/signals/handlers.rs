//! Signal handlers of the recorder. They only count; the engine looks at the counts when it likes.
//!
//! Invariant: what was ignored when we came stays ignored (nohup), and everything is as it was once
//! the value is dropped. A handler resets itself in a program that is executed, so that the command
//! inherits nothing from us.
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};

static ARRIVED: AtomicBool = AtomicBool::new(false);
static INTERRUPTS: AtomicU32 = AtomicU32::new(0);
static TERMINATE: AtomicU32 = AtomicU32::new(0);
static STOPS: AtomicU32 = AtomicU32::new(0);

/// The signal that ends our waiting; nothing but a nudge.
pub(crate) const NUDGE: i32 = libc::SIGALRM;

const END_SIGNALS: [i32; 4] = [libc::SIGINT, libc::SIGQUIT, libc::SIGTERM, libc::SIGHUP];
const STOP_SIGNALS: [i32; 3] = [libc::SIGTSTP, libc::SIGTTIN, libc::SIGTTOU];

extern "C" fn note(signal: i32) {
    match signal {
        libc::SIGINT | libc::SIGQUIT => drop(INTERRUPTS.fetch_add(1, Ordering::Relaxed)),
        libc::SIGTERM | libc::SIGHUP => TERMINATE.store(signal as u32, Ordering::Relaxed),
        NUDGE => {}
        _ => drop(STOPS.fetch_add(1, Ordering::Relaxed)),
    }
    ARRIVED.store(true, Ordering::Release);
}

/// What has come since the last time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Arrived {
    /// Interrupts from the terminal, which the program has got as well.
    pub interrupts: u32,
    /// The signal, not from the terminal, that asks us to end.
    pub terminate: Option<i32>,
    /// Whether the terminal stops our process group.
    pub stop: bool,
}

/// What comes from now on is noted, for the engine that begins meanwhile. Ends with the value.
#[derive(Debug)]
pub struct SignalListener {
    _handlers: Handlers,
}

impl SignalListener {
    /// For a recording of a command, which hears signals itself; what was ignored stays ignored.
    pub fn for_command() -> Self {
        Self::install(&[])
    }
    /// For a recording of others. A shell has its jobs in the background ignore interrupts, but an
    /// interrupt that is sent to a recorder which only watches is meant to end it.
    pub fn for_observer() -> Self {
        Self::install(&[libc::SIGINT, libc::SIGQUIT])
    }
    fn install(even_if_ignored: &[i32]) -> Self {
        INTERRUPTS.store(0, Ordering::Relaxed);
        TERMINATE.store(0, Ordering::Relaxed);
        STOPS.store(0, Ordering::Relaxed);
        ARRIVED.store(false, Ordering::Relaxed);
        Self { _handlers: Handlers::of(even_if_ignored) }
    }
}

/// Handlers in place.
#[derive(Debug)]
pub(crate) struct Handlers {
    before: Vec<(i32, libc::sigaction)>,
}

impl Handlers {
    /// What came before, while a [`SignalListener`] was there, counts too.
    pub fn install() -> Self {
        Self::of(&[])
    }

    /// `even_if_ignored`: handled even if they were ignored.
    fn of(even_if_ignored: &[i32]) -> Self {
        let mut before = Vec::new();
        for signal in END_SIGNALS.into_iter().chain(STOP_SIGNALS).chain([NUDGE]) {
            // SAFETY: all zeros is a value of the struct; the handler only stores to atomics.
            unsafe {
                let (mut action, mut old): (libc::sigaction, libc::sigaction) =
                    (std::mem::zeroed(), std::mem::zeroed());
                action.sa_sigaction = note as extern "C" fn(i32) as usize;
                if libc::sigaction(signal, &action, &mut old) != 0 {
                    continue;
                }
                let ignored = old.sa_sigaction == libc::SIG_IGN;
                if ignored && signal != NUDGE && !even_if_ignored.contains(&signal) {
                    libc::sigaction(signal, &old, std::ptr::null_mut());
                    continue;
                }
                before.push((signal, old));
            }
        }
        Self { before }
    }
    /// The signal that came before there was a command to hear it, if any did.
    pub fn early(&self) -> Option<i32> {
        let arrived = if self.any() { self.take() } else { Arrived::default() };
        arrived.terminate.or((arrived.interrupts > 0).then_some(libc::SIGINT))
    }
    /// Whether there may be news; costs nothing.
    pub fn any(&self) -> bool {
        ARRIVED.load(Ordering::Relaxed)
    }
    /// The news.
    pub fn take(&self) -> Arrived {
        ARRIVED.swap(false, Ordering::Acquire);
        let terminate = TERMINATE.swap(0, Ordering::Relaxed);
        Arrived {
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

/// Whether a signal is ignored, as by nohup(1) or by a shell for its jobs in the background.
pub fn is_signal_ignored(signal: i32) -> bool {
    // SAFETY: all zeros is a value of the struct, which is a valid place for the answer.
    unsafe {
        let mut now: libc::sigaction = std::mem::zeroed();
        libc::sigaction(signal, std::ptr::null(), &mut now) == 0
            && now.sa_sigaction == libc::SIG_IGN
    }
}

/// Stops the whole recorder, so that its shell sees it stopped; returns when it is continued.
pub(crate) fn stop_ourselves() {
    // SAFETY: takes numbers.
    unsafe { libc::kill(libc::getpid(), libc::SIGSTOP) };
}
