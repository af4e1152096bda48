//! unshare(2).

use rustix::io;
use rustix::thread::{UnshareFlags, unshare_unsafe};

/// Gives the calling thread namespaces, a working directory or a descriptor table of its own.
pub(crate) fn unshare(flags: UnshareFlags) -> io::Result<()> {
    // SAFETY: only executors unshare their descriptor table (`FILES`), before their first call.
    // From then on they use it alone, and the other threads use the shared one.
    unsafe { unshare_unsafe(flags) }
}
