//! What we know of a traced thread.

use crate::out::Waiting;

/// Where a thread is.
#[derive(Debug)]
pub(super) enum Phase {
    /// Born or joined, and not seen at a call yet: the exit of the call that made it is its maker's story.
    New,
    /// In its own code.
    Out,
    /// In a call that nobody asked for.
    Skipped(u64, [u64; 6]),
    /// In a call that we record.
    In(Pending),
}

/// A call under way.
#[derive(Clone, Copy, Debug)]
pub(super) struct Pending {
    /// The thread that made it: an exec changes its number.
    pub tid: i32,
    pub number: u32,
    pub flags: u8,
    /// Its plan.
    pub steps: u32,
    pub args: [u64; 6],
    pub entered: u64,
}

/// A thread.
pub(super) struct Thread {
    pub tid: i32,
    /// Its process.
    pub pid: i32,
    pub phase: Phase,
    /// What was read at the entry of the call under way.
    pub waiting: Waiting,
    /// It has stopped with its process.
    pub stopped: bool,
}

impl Thread {
    pub fn new(pid: i32, tid: i32) -> Self {
        Self { tid, pid, phase: Phase::New, waiting: Waiting::default(), stopped: false }
    }
    /// The call that it is in, as far as we know.
    pub fn call(&self) -> Option<(u64, [u64; 6])> {
        match &self.phase {
            Phase::In(p) => Some((u64::from(p.number), p.args)),
            Phase::Skipped(number, args) => Some((*number, *args)),
            Phase::New | Phase::Out => None,
        }
    }
}
