//! The state of a traced thread.

use super::clone::{CloneCall, PatchedFlags};
use crate::records::EntryPayloads;

/// What a thread is doing.
#[derive(Debug)]
pub(super) enum Phase {
    /// It is new or was just attached to, and has not been seen at a call: the exit of the call
    /// that made it is recorded for its parent.
    New,
    /// It runs its own code.
    UserCode,
    /// It is in a call that is not recorded.
    Skipped,
    /// It is in a call that is recorded.
    InCall(PendingCall),
}

/// A call that has been entered and has not returned.
#[derive(Clone, Copy, Debug)]
pub(super) struct PendingCall {
    /// The thread that made it. An exec may change the thread's ID.
    pub tid: i32,
    /// The system call number.
    pub number: u32,
    /// Flags of its record.
    pub flags: u8,
    /// The index of its plan.
    pub plan: u32,
    pub args: [u64; 6],
    /// When it was entered, in nanoseconds.
    pub entered: u64,
}

/// A traced thread.
pub(super) struct Thread {
    pub tid: i32,
    /// Its process.
    pub pid: i32,
    pub phase: Phase,
    /// Payloads that were captured at the entry of the pending call.
    pub entry_payloads: EntryPayloads,
    /// Whether it is in a group-stop.
    pub stopped: bool,
    /// The pending call, if that makes a thread or a process.
    pub clone_call: Option<CloneCall>,
    /// Clone flags to restore at its first stop.
    pub flags_to_restore: Option<(PatchedFlags, u64)>,
    /// Whether it has a seccomp filter of the program, and therefore stops at every call: a call
    /// that such a filter denies does not reach the recorder's filter.
    pub has_program_filter: bool,
    /// Whether its memory is another process's, too (vfork).
    pub shares_memory: bool,
}

impl Thread {
    /// Returns the state of a thread that is new.
    pub fn new(pid: i32, tid: i32) -> Self {
        Self {
            tid,
            pid,
            phase: Phase::New,
            entry_payloads: EntryPayloads::default(),
            stopped: false,
            clone_call: None,
            flags_to_restore: None,
            has_program_filter: false,
            shares_memory: false,
        }
    }
    /// Returns whether the thread may yet report a child that existed at `time`.
    pub fn may_report_child(&self, time: u64) -> bool {
        self.clone_call.is_some_and(|call| !call.reported && call.entered <= time)
    }
}
