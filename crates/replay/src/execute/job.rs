//! What a dispatcher hands to an executor.

use super::clock::Due;
use super::completion::Dependency;
use crate::issue::{PreparedCall, RealFd};
use model::world::{Credentials, Descriptor};
use std::sync::Arc;

/// One thing to do, in the order of its number. Executors go through many of them that they have
/// not made: what most do not need stands elsewhere.
pub(crate) struct Job {
    /// Its place in the order of exits.
    pub number: u64,
    /// How many of the calls before it must be done first.
    pub after: u64,
    pub extras: Option<Box<JobExtras>>,
    /// The traced thread.
    pub tid: u32,
    pub work: Work,
}

/// What few jobs need.
#[derive(Default)]
pub(crate) struct JobExtras {
    /// Single calls before it that must be done first.
    pub dependencies: Vec<Dependency>,
    /// When it is due.
    pub due: Due,
    /// Who the thread is, if its executor must be told.
    pub credentials: Option<Arc<Credentials>>,
}

impl Job {
    /// Recorded bytes that it holds.
    pub fn bytes(&self) -> u64 {
        match &self.work {
            Work::Call(call) => call.bytes(),
            Work::Release(_) => 0,
        }
    }

    /// When it is due.
    pub fn due(&self) -> Due {
        self.extras.as_ref().map_or(Due::Now, |extras| extras.due)
    }
}

pub(crate) enum Work {
    /// To issue a call.
    Call(PreparedCall),
    /// To let go descriptors that a call or an event which is performed by no one has closed.
    Release(Vec<Arc<Descriptor<RealFd>>>),
}
