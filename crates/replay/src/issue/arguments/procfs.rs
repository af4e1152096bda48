//! Calls on files that only a descriptor leads to: made through that descriptor's link in procfs.
//!
//! Inside the sandbox there is no procfs. One directory descriptor of it is kept from before, and
//! nothing is reached through it but `thread-self/fd/N` of descriptors that stand for traced ones,
//! all of which are inside the root. What a path behind such a link reaches is inside, too: `..`
//! ends at the root, and Landlock looks at the file.

use crate::issue::raw;
use rustix::fd::{AsRawFd, OwnedFd};
use rustix::fs::{CWD, Mode, OFlags, PROC_SUPER_MAGIC, fstatfs, openat};
use std::cell::Cell;
use std::sync::OnceLock;

static PROCFS: OnceLock<Option<OwnedFd>> = OnceLock::new();

thread_local! {
    /// This thread could not go back: it must perform no more calls.
    static CWD_IS_LOST: Cell<bool> = const { Cell::new(false) };
}

/// Returns whether this thread is still in procfs, as it may not enter its former working directory
/// any more.
pub(crate) fn cwd_is_lost() -> bool {
    CWD_IS_LOST.get()
}

/// Opens procfs for later use. Must be called before the sandbox is entered, where procfs cannot be
/// reached.
pub(crate) fn keep() {
    PROCFS.get_or_init(|| {
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let directory = openat(CWD, "/proc", flags, Mode::empty()).ok()?;
        let found = fstatfs(&directory).ok()?;
        (found.f_type == PROC_SUPER_MAGIC).then_some(directory)
    });
}

/// Returns the path from procfs to what the descriptor `real` refers to, with `rest` appended.
pub(super) fn path(real: i32, rest: &[u8]) -> Vec<u8> {
    let mut path = format!("thread-self/fd/{real}").into_bytes();
    if !rest.is_empty() && rest[0] != b'/' {
        path.push(b'/');
    }
    path.extend_from_slice(rest);
    path
}

/// A call with procfs as its working directory.
pub(super) struct ProcfsCwd {
    procfs: i32,
    /// The working directory to go back to.
    cwd: i32,
    /// It changes the working directory itself.
    changes_cwd: bool,
}

impl ProcfsCwd {
    /// Creates a change to procfs and back to the directory of descriptor `cwd`. Returns `None` if
    /// procfs is not open or there is no way back.
    pub fn new(cwd: i32, changes_cwd: bool) -> Option<Self> {
        let procfs = PROCFS.get()?.as_ref()?.as_raw_fd();
        (cwd >= 0).then_some(Self { procfs, cwd, changes_cwd })
    }

    /// Calls `call` with procfs as the working directory, and returns its result.
    pub fn run(&self, call: impl FnOnce() -> i64) -> i64 {
        // A thread that could not come back does not leave.
        for directory in [self.cwd, self.procfs] {
            let result = raw::fchdir(directory);
            if result < 0 {
                return result;
            }
        }
        let result = call();
        if (!self.changes_cwd || result < 0) && raw::fchdir(self.cwd) < 0 {
            CWD_IS_LOST.set(true);
        }
        result
    }
}
