//! unshare(2).

use rustix::io;
use rustix::thread::{UnshareFlags, unshare_unsafe};

/// Gives the calling thread namespaces, or a working directory, of its own.
pub(crate) fn unshare(flags: UnshareFlags) -> io::Result<()> {
    // SAFETY: this crate unshares no descriptor table (`FILES`), the only flag for which
    // descriptors would change under their owners.
    unsafe { unshare_unsafe(flags) }
}

/// Gives the calling thread a working directory, a root and a umask of its own.
pub fn unshare_directory() -> io::Result<()> {
    unshare(UnshareFlags::FS)
}
