//! The thread that performs a call: its working directory and umask, and what all such threads
//! share.

use super::handled::HandledCall;
use super::{RealFd, Scratch, raw};
use crate::Verify;
use crate::verify::{Listings, Rules};
use abi::{AT_FDCWD, PathUse};
use model::processes::{Directory, Operands};
use order::Readiness;
use std::collections::BTreeMap;
use std::sync::atomic::AtomicU64;
use std::sync::{Arc, Mutex};

/// What all threads of a replay share.
pub(crate) struct ReplayContext {
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
pub(crate) struct FsContext {
    /// `None`: not known.
    pub cwd: Option<Arc<Directory<RealFd>>>,
    pub umask: u32,
}

impl FsContext {
    /// Returns the working directory and umask of a call.
    pub fn of(operands: &Operands<RealFd>) -> Self {
        Self { cwd: operands.cwd.clone(), umask: operands.umask }
    }

    /// Returns whether these are the working directory and umask of this call.
    pub fn applies_to(&self, operands: &Operands<RealFd>) -> bool {
        self.umask == operands.umask
            && self.cwd.as_ref().map(Arc::as_ptr) == operands.cwd.as_ref().map(Arc::as_ptr)
    }
}

/// A thread that makes calls as a traced thread.
pub(crate) struct ExecutorThread {
    pub context: Arc<ReplayContext>,
    pub scratch: Scratch,
    /// Where this thread is; `None`: not known.
    pub cwd: Option<Arc<Directory<RealFd>>>,
    pub umask: u32,
    /// It could not enter the working directory of the traced thread.
    pub cwd_unreachable: bool,
}

impl ExecutorThread {
    /// Creates the state of a thread whose working directory is not known. Returns `None` if there
    /// is no memory for it.
    pub fn new(context: Arc<ReplayContext>) -> Option<Self> {
        let scratch = Scratch::new()?;
        Some(Self { context, scratch, cwd: None, umask: u32::MAX, cwd_unreachable: false })
    }

    /// Enters the working directory of the traced thread, if it can be reached, and sets its umask.
    pub fn enter_context(&mut self, cwd: Option<&Arc<Directory<RealFd>>>, umask: u32) {
        if let Some(cwd) = cwd
            && (self.cwd_unreachable || !self.cwd.as_ref().is_some_and(|c| Arc::ptr_eq(c, cwd)))
        {
            open_directory(cwd);
            self.cwd_unreachable = raw::fchdir(cwd.real.get()) < 0;
            self.cwd = Some(cwd.clone());
        }
        if umask != self.umask {
            raw::umask(umask);
            self.umask = umask;
        }
    }
}

/// Opens a directory by its path, unless it is open.
pub(crate) fn open_directory(directory: &Directory<RealFd>) {
    if directory.real.get() < 0 {
        let fd = raw::open_directory(&directory.path);
        if fd >= 0 {
            directory.real.set(fd as i32);
        }
    }
}

/// Opens descriptors of the call whose own open was left out by choice.
pub(crate) fn open_skipped_descriptors(handled: &HandledCall) {
    let operands = &handled.operands;
    let meant = operands
        .fds
        .iter()
        .zip(operands.status)
        .filter_map(|(d, status)| Some((d.as_ref()?, status)));
    for (descriptor, status) in
        meant.filter(|(d, _)| d.real.get() < 0 && d.real.ready_after() == 0 && d.file.is_stored())
    {
        let fd = raw::open(&descriptor.file.path, status & raw::OPEN_FLAGS);
        if fd >= 0 {
            raw::lseek(fd as i32, handled.operands.offset.unwrap_or(0), 0);
            descriptor.real.set(fd as i32);
        }
    }
}

/// Returns whether a call depends on its thread's working directory.
pub(crate) fn uses_cwd(handled: &HandledCall) -> bool {
    let (call, operands) = (&handled.call, &handled.operands);
    let args = handled.spec.args.iter().enumerate();
    let mut paths = args.filter_map(|(i, a)| Some((i, a.kind.path_use()?)));
    let relative = |(i, path_use): (usize, PathUse)| {
        operands.through[i].is_none()
            && path_use.dir.is_none_or(|dir| call.args[usize::from(dir)] as i32 == AT_FDCWD)
            && call.path(i as u8).is_some_and(|path| !path.starts_with(b"/"))
    };
    handled.spec.returns_a_path() || paths.any(relative)
}
