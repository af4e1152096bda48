//! What the dispatcher hands to an executor.

use super::clock::Due;
use super::completion::Dependency;
use super::ring::RingStart;
use crate::issue::{PreparedCall, RealFd};
use model::processes::{Credentials, Descriptor};
use std::sync::Arc;

/// One thing to do, in the order of its number. Executors read many of them, so what most jobs do
/// not need is in [`JobExtras`].
pub(crate) struct Job {
    /// Its position in the order in which calls returned.
    pub number: u64,
    /// All jobs below this number must be done first.
    pub after: u64,
    pub extras: Option<Box<JobExtras>>,
    /// The traced thread.
    pub tid: u32,
    pub work: Work,
}

/// What only few jobs need.
#[derive(Default)]
pub(crate) struct JobExtras {
    /// Single earlier calls that must be done first.
    pub dependencies: Vec<Dependency>,
    /// The operation of the same ring behind which this one was linked, which is one of those.
    pub follows: Option<u64>,
    /// When it is due.
    pub due: Due,
    /// The user that the executor must become first, if that changed.
    pub credentials: Option<Arc<Credentials>>,
}

impl Job {
    /// Returns how many recorded bytes the job keeps in memory.
    pub fn bytes(&self) -> u64 {
        match &self.work {
            Work::Call(call) => call.bytes(),
            Work::Release(_) | Work::StartRing(_) => 0,
        }
    }

    /// Returns when the job is due.
    pub fn due(&self) -> Due {
        self.extras.as_ref().map_or(Due::Now, |extras| extras.due)
    }
}

pub(crate) enum Work {
    /// To issue a call.
    Call(PreparedCall),
    /// Drops descriptors that were closed by an event or by a call that is not performed.
    Release(Vec<Arc<Descriptor<RealFd>>>),
    /// Starts the thread of a ring, with the descriptors of the executor.
    StartRing(Option<Box<RingStart>>),
}
