//! The thread that makes a call: where it is, and what all such threads have in common.

use super::call::{Handled, tells_a_path};
use super::{Real, Scratch, raw};
use crate::Verify;
use crate::verify::{Listings, Rules};
use abi::{AT_FDCWD, PathUse};
use model::world::{Bound, Directory};
use std::collections::BTreeMap;
use std::sync::atomic::AtomicU64;
use std::sync::{Arc, Mutex};

/// What all calls of a replay have in common.
pub(crate) struct Common {
    /// What is compared.
    pub verify: Verify,
    pub rules: Rules,
    /// Calls are left out, so that a descriptor may have to be opened first.
    pub leaves_out: bool,
    pub listings: Listings,
    /// Clones that were performed by copying.
    pub copied: AtomicU64,
    /// What the file system of the root cannot do and was done by other calls, by operation.
    pub emulated: Mutex<BTreeMap<&'static str, u64>>,
}

/// Where a thread is, and what it takes from the modes of what it makes.
#[derive(Clone)]
pub(crate) struct Place {
    /// `None`: not known.
    pub cwd: Option<Arc<Directory<Real>>>,
    pub umask: u32,
}

impl Place {
    /// Where a call was made.
    pub fn of(bound: &Bound<Real>) -> Self {
        Self { cwd: bound.cwd.clone(), umask: bound.umask }
    }

    /// Whether it is where this call was made.
    pub fn is_of(&self, bound: &Bound<Real>) -> bool {
        self.umask == bound.umask
            && self.cwd.as_ref().map(Arc::as_ptr) == bound.cwd.as_ref().map(Arc::as_ptr)
    }
}

/// A thread that makes calls as a traced thread.
pub(crate) struct Thread {
    pub common: Arc<Common>,
    pub scratch: Scratch,
    /// Where this thread is; `None`: not known.
    pub cwd: Option<Arc<Directory<Real>>>,
    pub umask: u32,
    /// It could not go where the traced thread was.
    pub astray: bool,
}

impl Thread {
    /// A thread of which nothing is known. `None`: there is no memory for it.
    pub fn new(common: Arc<Common>) -> Option<Self> {
        let scratch = Scratch::new()?;
        Some(Self { common, scratch, cwd: None, umask: u32::MAX, astray: false })
    }

    /// Goes where the traced thread was, if that can be reached.
    pub fn go_to(&mut self, cwd: Option<&Arc<Directory<Real>>>, umask: u32) {
        if let Some(cwd) = cwd
            && (self.astray || !self.cwd.as_ref().is_some_and(|c| Arc::ptr_eq(c, cwd)))
        {
            reach(cwd);
            self.astray = raw::fchdir(cwd.real.get()) < 0;
            self.cwd = Some(cwd.clone());
        }
        if umask != self.umask {
            raw::umask(umask);
            self.umask = umask;
        }
    }
}

/// Opens a directory by its path if nobody has come to it yet.
pub(crate) fn reach(directory: &Directory<Real>) {
    if directory.real.get() < 0 {
        let fd = raw::open_directory(&directory.path);
        if fd >= 0 {
            directory.real.set(fd as i32);
        }
    }
}

/// Opens descriptors whose open was left out.
pub(crate) fn reopen(issue: &Handled) {
    let bound = &issue.bound;
    let meant =
        bound.fds.iter().zip(bound.status).filter_map(|(d, status)| Some((d.as_ref()?, status)));
    for (descriptor, status) in
        meant.filter(|(d, _)| d.real.get() < 0 && d.real.after() == 0 && d.file.is_stored())
    {
        let fd = raw::open(&descriptor.file.path, status & raw::OPEN_FLAGS);
        if fd >= 0 {
            raw::seek(fd as i32, issue.bound.offset.unwrap_or(0), 0);
            descriptor.real.set(fd as i32);
        }
    }
}

/// Whether a call is about its thread's working directory, or names something from there.
pub(crate) fn starts_here(issue: &Handled) -> bool {
    let (call, bound) = (&issue.call, &issue.bound);
    let args = issue.shape.args.iter().enumerate();
    let mut paths = args.filter_map(|(i, a)| Some((i, a.kind.path()?)));
    let relative = |(i, used): (usize, PathUse)| {
        bound.through[i].is_none()
            && used.dir.is_none_or(|dir| call.args[usize::from(dir)] as i32 == AT_FDCWD)
            && call.path(i as u8).is_some_and(|path| !path.starts_with(b"/"))
    };
    tells_a_path(issue.shape) || paths.any(relative)
}
