//! The threads that have not ended, and their processes.

use ahash::HashMap;
use std::collections::BTreeSet;

/// The threads that have not ended, by id and by process.
#[derive(Default)]
pub(super) struct Threads {
    pid_by_tid: HashMap<u32, u32>,
    tids_by_pid: HashMap<u32, BTreeSet<u32>>,
}

impl Threads {
    /// Returns the process of a thread, if the thread is known and has not ended.
    pub fn process_of(&self, tid: u32) -> Option<u32> {
        self.pid_by_tid.get(&tid).copied()
    }

    /// Adds a thread that starts. It replaces an earlier one with this id.
    pub fn add(&mut self, tid: u32, pid: u32) {
        self.remove(tid);
        self.pid_by_tid.insert(tid, pid);
        self.tids_by_pid.entry(pid).or_default().insert(tid);
    }

    /// Removes a thread that ends. Returns its process, and whether it was the last thread of it.
    /// Returns `None` if the thread is not known.
    pub fn remove(&mut self, tid: u32) -> Option<(u32, bool)> {
        let pid = self.pid_by_tid.remove(&tid)?;
        let remaining = self.tids_by_pid.get_mut(&pid)?;
        remaining.remove(&tid);
        let was_last = remaining.is_empty();
        if was_last {
            self.tids_by_pid.remove(&pid);
        }
        Some((pid, was_last))
    }

    /// Returns the ids of the threads of a process, in order.
    pub fn of_process(&self, pid: u32) -> Vec<u32> {
        self.tids_by_pid.get(&pid).into_iter().flatten().copied().collect()
    }

    /// Removes all threads but the first of a process that replaces its program.
    pub fn apply_exec(&mut self, pid: u32) {
        for tid in self.of_process(pid) {
            if tid != pid {
                self.remove(tid);
            }
        }
    }
}
