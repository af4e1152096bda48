//! What the user and the terminal tell the recorder: signals. Handlers note, the engine looks when it likes.
//!
//! Invariant: what was ignored when we came stays ignored (nohup), and everything is as it was once the value is dropped. A handler resets itself in a program that
//! is executed, so that the command inherits nothing from us.

use nix::libc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};

static NEWS: AtomicBool = AtomicBool::new(false);
static INTERRUPTS: AtomicU32 = AtomicU32::new(0);
static TERMINATE: AtomicU32 = AtomicU32::new(0);
static STOPS: AtomicU32 = AtomicU32::new(0);

/// The signal that ends our waiting; nothing but a nudge.
pub(crate) const NUDGE: i32 = libc::SIGALRM;

const ASK: [i32; 4] = [libc::SIGINT, libc::SIGQUIT, libc::SIGTERM, libc::SIGHUP];
const STOP: [i32; 3] = [libc::SIGTSTP, libc::SIGTTIN, libc::SIGTTOU];

extern "C" fn note(signal: i32) {
    match signal {
        libc::SIGINT | libc::SIGQUIT => drop(INTERRUPTS.fetch_add(1, Ordering::Relaxed)),
        libc::SIGTERM | libc::SIGHUP => TERMINATE.store(signal as u32, Ordering::Relaxed),
        NUDGE => {}
        _ => drop(STOPS.fetch_add(1, Ordering::Relaxed)),
    }
    NEWS.store(true, Ordering::Release);
}

/// What has come since the last time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct News {
    /// Interrupts from the terminal, which the program has got as well.
    pub interrupts: u32,
    /// The signal, not from the terminal, that asks us to end.
    pub terminate: Option<i32>,
    /// Whether the terminal stops our process group.
    pub stop: bool,
}

/// How often we were asked to end.
#[derive(Default)]
pub(crate) struct Asked {
    times: u32,
}

impl Asked {
    /// Counts what came. `command`: the program that is ours and still runs; it has heard what came from the terminal, and gets what came to us alone the first time.
    /// Whether we are to leave: without a command that would hear it, the first request is for us.
    pub fn hear(&mut self, news: News, command: Option<i32>) -> bool {
        self.times += news.interrupts;
        if let Some(signal) = news.terminate {
            self.times += 1;
            if let (1, Some(pid)) = (self.times, command) {
                send(pid, signal);
            }
        }
        self.times > u32::from(command.is_some())
    }
    /// How often.
    pub fn times(&self) -> u32 {
        self.times
    }
}

/// Handlers in place.
pub(crate) struct Handlers {
    before: Vec<(i32, libc::sigaction)>,
}

impl Handlers {
    pub fn install() -> Self {
        let mut before = Vec::new();
        for signal in ASK.into_iter().chain(STOP).chain([NUDGE]) {
            // SAFETY: all zeros is a value of the struct; the handler only stores to atomics.
            unsafe {
                let (mut action, mut old): (libc::sigaction, libc::sigaction) =
                    (std::mem::zeroed(), std::mem::zeroed());
                action.sa_sigaction = note as extern "C" fn(i32) as usize;
                if libc::sigaction(signal, &action, &mut old) != 0 {
                    continue;
                }
                if old.sa_sigaction == libc::SIG_IGN && signal != NUDGE {
                    libc::sigaction(signal, &old, std::ptr::null_mut());
                    continue;
                }
                before.push((signal, old));
            }
        }
        INTERRUPTS.store(0, Ordering::Relaxed);
        TERMINATE.store(0, Ordering::Relaxed);
        STOPS.store(0, Ordering::Relaxed);
        Self { before }
    }
    /// Whether there may be news; costs nothing.
    pub fn any(&self) -> bool {
        NEWS.load(Ordering::Relaxed)
    }
    /// The news.
    pub fn take(&self) -> News {
        NEWS.swap(false, Ordering::Acquire);
        let terminate = TERMINATE.swap(0, Ordering::Relaxed);
        News {
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

/// Stops the whole recorder, so that its shell sees it stopped; returns when it is continued.
pub(crate) fn stop_ourselves() {
    // SAFETY: takes numbers.
    unsafe { libc::kill(libc::getpid(), libc::SIGSTOP) };
}

/// Passes a signal on.
fn send(pid: i32, signal: i32) {
    // SAFETY: takes numbers.
    unsafe { libc::kill(pid, signal) };
}
