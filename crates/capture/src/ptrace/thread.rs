//! What we know of a traced thread.

use super::clone::{CloneCall, PatchedFlags};
use crate::records::EntryPayloads;

/// Where a thread is.
#[derive(Debug)]
pub(super) enum Phase {
    /// Born or joined, and not seen at a call yet: the exit of the call that made it is its
    /// parent's story.
    New,
    /// In its own code.
    RecordWriter,
    /// In a call that is not recorded.
    Skipped,
    /// In a call that we record.
    InCall(PendingCall),
}

/// A call under way.
#[derive(Clone, Copy, Debug)]
pub(super) struct PendingCall {
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
    pub entry_payloads: EntryPayloads,
    /// It has stopped with its process.
    pub stopped: bool,
    /// What it makes, in a call that makes threads.
    pub clone_call: Option<CloneCall>,
    /// What is to be put back at its first stop.
    pub to_restore: Option<(PatchedFlags, u64)>,
    /// It has a seccomp filter that is not ours, and stops at every call: what such a filter
    /// answers never comes to ours.
    pub filtered: bool,
}

impl Thread {
    pub fn new(pid: i32, tid: i32) -> Self {
        Self {
            tid,
            pid,
            phase: Phase::New,
            entry_payloads: EntryPayloads::default(),
            stopped: false,
            clone_call: None,
            to_restore: None,
            filtered: false,
        }
    }
    /// Whether it may be about to tell of a child that was there at `time`.
    pub fn may_tell(&self, time: u64) -> bool {
        self.clone_call.is_some_and(|m| !m.reported && m.entered <= time)
    }
}
