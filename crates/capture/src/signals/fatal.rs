//! Signals that kill the recorder.

use rustix::process::{Resource, Rlimit, setrlimit};
use std::ptr::{null, null_mut};

/// Kills this process with `signal`, the one that killed the recorded program, so that the caller
/// of the recorder sees the same wait status. No core is dumped, since the program's is the one
/// that matters. A signal that does not kill makes this process exit with 128 plus its number, as
/// shells do.
pub fn exit_by_signal(signal: i32) -> ! {
    let _best = setrlimit(Resource::Core, Rlimit { current: Some(0), maximum: Some(0) });
    // SAFETY: the default action runs no code of ours; `set` is a whole set, and zeros are one.
    unsafe {
        libc::signal(signal, libc::SIG_DFL);
        let mut set: libc::sigset_t = std::mem::zeroed();
        libc::sigaddset(&mut set, signal);
        libc::sigprocmask(libc::SIG_UNBLOCK, &set, null_mut());
        libc::raise(signal);
    }
    std::process::exit(128 + signal)
}

/// While this exists, a signal that kills this process erases the current line of the terminal
/// first, such as a progress bar. Signals that are handled or ignored are not changed.
#[derive(Debug)]
pub struct LineWiper {
    /// The previous dispositions.
    before: Vec<(i32, libc::sigaction)>,
}

/// Handles a fatal signal: erases the line, then raises the signal again with its default action.
extern "C" fn wipe(signal: i32) {
    const WIPE: &[u8] = b"\r\x1b[2K";
    // SAFETY: write(2) and raise(3) may be called from handlers; the disposition is the default
    // again (SA_RESETHAND), so that the signal kills this process when the handler returns.
    unsafe {
        libc::write(2, WIPE.as_ptr().cast(), WIPE.len());
        libc::raise(signal);
    }
}

impl LineWiper {
    /// Installs the handlers.
    pub fn install() -> Self {
        let ends = [libc::SIGINT, libc::SIGTERM, libc::SIGHUP, libc::SIGQUIT];
        Self {
            before: ends
                .into_iter()
                .filter_map(|signal| Some((signal, install_wipe(signal)?)))
                .collect(),
        }
    }
}

/// Makes [`wipe`] the handler of a signal that would kill this process. Returns the previous
/// disposition, or `None` if the signal is handled or ignored, which is left unchanged.
fn install_wipe(signal: i32) -> Option<libc::sigaction> {
    // SAFETY: all zeros is a value of the struct; `wipe` does what handlers may.
    unsafe {
        let mut old: libc::sigaction = std::mem::zeroed();
        let mut action = old;
        if libc::sigaction(signal, null(), &mut old) != 0 || old.sa_sigaction != libc::SIG_DFL {
            return None;
        }
        action.sa_sigaction = wipe as extern "C" fn(i32) as usize;
        action.sa_flags = libc::SA_RESETHAND;
        (libc::sigaction(signal, &action, null_mut()) == 0).then_some(old)
    }
}

impl Drop for LineWiper {
    fn drop(&mut self) {
        for (signal, before) in &self.before {
            // SAFETY: what sigaction gave.
            unsafe { libc::sigaction(*signal, before, null_mut()) };
        }
    }
}
