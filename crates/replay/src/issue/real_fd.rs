//! Real descriptors.

use super::raw::close;
use order::Readiness;
use std::cell::Cell;
use std::sync::OnceLock;
use std::sync::atomic::{
    AtomicI32, AtomicU64, Ordering::AcqRel, Ordering::Acquire, Ordering::Relaxed,
};

/// A real descriptor that stands for a traced one: -1 until there is one. Closed when it is
/// dropped.
#[derive(Debug)]
pub struct RealFd {
    fd: AtomicI32,
    /// How many calls must be done for it to be there: one more than the number of the call that
    /// opens it.
    ready_after: AtomicU64,
    /// Why there is none: the call that opened it is not performed.
    unperformed: OnceLock<&'static str>,
}

impl Default for RealFd {
    fn default() -> Self {
        Self {
            fd: AtomicI32::new(-1),
            ready_after: AtomicU64::new(0),
            unperformed: OnceLock::new(),
        }
    }
}

impl RealFd {
    /// Returns the number of the descriptor, or -1 if there is none.
    pub fn get(&self) -> i32 {
        self.fd.load(Acquire)
    }
    /// Takes ownership of `fd`. If there is a descriptor already, that one stays, and `fd` is
    /// closed.
    pub(crate) fn set(&self, fd: i32) {
        if self.fd.compare_exchange(-1, fd, AcqRel, Relaxed).is_err() {
            close(fd);
        }
    }
    /// Returns the descriptor and gives up its ownership.
    pub(crate) fn take(&self) -> i32 {
        self.fd.swap(-1, AcqRel)
    }
    /// Notes that call `number` opens this descriptor.
    pub(crate) fn set_opened_by(&self, number: u64) {
        self.ready_after.store(number + 1, Relaxed);
    }
    /// Notes that the call that opened it is not performed, for this reason. Has no effect if it is
    /// open already.
    pub(crate) fn mark_unperformed(&self, why: &'static str) {
        if self.get() < 0 && self.ready_after() == 0 {
            let _ = self.unperformed.set(why);
        }
    }
    /// Returns why calls on it cannot be performed. Returns `None` if they can.
    pub(crate) fn unperformed_reason(&self) -> Option<&'static str> {
        self.unperformed.get().copied()
    }
}

impl Readiness for RealFd {
    fn ready_after(&self) -> u64 {
        self.ready_after.load(Relaxed)
    }
}

impl Drop for RealFd {
    fn drop(&mut self) {
        let fd = self.take();
        if fd >= 0 && !CLOSED_WITH_TABLE.get() {
            close(fd);
        }
    }
}

thread_local! {
    static CLOSED_WITH_TABLE: Cell<bool> = const { Cell::new(false) };
}

/// Notes that real descriptors are in another descriptor table than this thread's. Those that are
/// dropped from now on are closed together with that table.
pub(crate) fn close_with_table() {
    CLOSED_WITH_TABLE.set(true);
}
