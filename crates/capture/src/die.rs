//! Dying as the recorded program died, so that whoever waits for the recorder sees what it would have seen.

use nix::sys::resource::{Resource, setrlimit};
use nix::sys::signal::{SigHandler, SigSet, SigmaskHow, Signal, sigprocmask};

/// Ends this process by `signal`, without a core dump: that was the program's. A signal that does not kill gives the status that shells give for it.
pub fn die_of(signal: i32) -> ! {
    if let Ok(known) = Signal::try_from(signal) {
        let _best = setrlimit(Resource::RLIMIT_CORE, 0, 0);
        // SAFETY: the default action runs no code of ours.
        let _best = unsafe { nix::sys::signal::signal(known, SigHandler::SigDfl) };
        let mut set = SigSet::empty();
        set.add(known);
        let _best = sigprocmask(SigmaskHow::SIG_UNBLOCK, Some(&set), None);
        let _best = nix::sys::signal::raise(known);
    } else {
        // A real-time signal, which `Signal` does not know. SAFETY: raise(3) takes any number; the disposition is the default, as we never change it.
        unsafe { nix::libc::raise(signal) };
    }
    std::process::exit(128 + signal)
}
