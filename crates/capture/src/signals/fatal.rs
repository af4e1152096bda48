//! Dying as the recorded program died, so that whoever waits for the recorder sees what it would
//! have seen.

use nix::sys::resource::{Resource, setrlimit};
use nix::sys::signal::{
    SaFlags, SigAction, SigHandler, SigSet, SigmaskHow, Signal, sigaction, sigprocmask,
};

/// Ends this process by `signal`, without a core dump: that was the program's. A signal that does
/// not kill gives the status that shells give for it.
pub fn exit_by_signal(signal: i32) -> ! {
    if let Ok(known) = Signal::try_from(signal) {
        let _best = setrlimit(Resource::RLIMIT_CORE, 0, 0);
        // SAFETY: the default action runs no code of ours.
        let _best = unsafe { nix::sys::signal::signal(known, SigHandler::SigDfl) };
        let mut set = SigSet::empty();
        set.add(known);
        let _best = sigprocmask(SigmaskHow::SIG_UNBLOCK, Some(&set), None);
        let _best = nix::sys::signal::raise(known);
    } else {
        // A real-time signal, which `Signal` does not know. SAFETY: raise(3) takes any number; the
        // disposition is the default, as we never change it.
        unsafe { nix::libc::raise(signal) };
    }
    std::process::exit(128 + signal)
}

/// While it exists, a signal that ends this process wipes the terminal's line first: one that is
/// drawn again and again, like a progress bar. Signals that are handled or ignored are left alone.
#[derive(Debug)]
pub struct LineWiper {
    before: Vec<(Signal, SigAction)>,
}

extern "C" fn wipe(signal: i32) {
    const WIPE: &[u8] = b"\r\x1b[2K";
    // SAFETY: write(2) and raise(3) may be called from handlers; the disposition is the default
    // again (SA_RESETHAND), so that the signal ends us when this handler returns.
    unsafe {
        nix::libc::write(2, WIPE.as_ptr().cast(), WIPE.len());
        nix::libc::raise(signal);
    }
}

impl LineWiper {
    /// Begins.
    pub fn begin() -> Self {
        let action =
            SigAction::new(SigHandler::Handler(wipe), SaFlags::SA_RESETHAND, SigSet::empty());
        let ends = [Signal::SIGINT, Signal::SIGTERM, Signal::SIGHUP, Signal::SIGQUIT];
        let set = |signal| {
            // SAFETY: `wipe` does what handlers may.
            let before = unsafe { sigaction(signal, &action) }.ok()?;
            if matches!(before.handler(), SigHandler::SigDfl) {
                return Some((signal, before));
            }
            // SAFETY: what sigaction gave.
            let _best = unsafe { sigaction(signal, &before) };
            None
        };
        Self { before: ends.into_iter().filter_map(set).collect() }
    }
}

impl Drop for LineWiper {
    fn drop(&mut self) {
        for (signal, before) in &self.before {
            // SAFETY: what sigaction gave.
            let _best = unsafe { sigaction(*signal, before) };
        }
    }
}
