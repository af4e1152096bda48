//! The threads that have not ended, by id and by process.

use crate::Thread;
use ahash::HashMap;
use std::collections::BTreeSet;

/// The threads that have not ended. The time to find the threads of a process does not depend on
/// how many others there are.
#[derive(Default)]
pub(crate) struct Threads {
    by_tid: HashMap<u32, Thread>,
    /// The ids of the threads of each process.
    tids_by_pid: HashMap<u32, BTreeSet<u32>>,
}

impl Threads {
    /// Returns the thread with this id.
    pub fn get(&self, tid: &u32) -> Option<&Thread> {
        self.by_tid.get(tid)
    }

    /// Returns the thread with this id, to change it. Its process must stay the same.
    pub fn get_mut(&mut self, tid: &u32) -> Option<&mut Thread> {
        self.by_tid.get_mut(tid)
    }

    /// Returns whether there is a thread with this id.
    pub fn contains_key(&self, tid: &u32) -> bool {
        self.by_tid.contains_key(tid)
    }

    /// Returns the number of threads.
    pub fn len(&self) -> usize {
        self.by_tid.len()
    }

    /// Adds a thread. It replaces an earlier one with this id.
    pub fn insert(&mut self, tid: u32, thread: Thread) {
        self.remove(&tid);
        self.tids_by_pid.entry(thread.pid).or_default().insert(tid);
        self.by_tid.insert(tid, thread);
    }

    /// Removes and returns the thread with this id.
    pub fn remove(&mut self, tid: &u32) -> Option<Thread> {
        let thread = self.by_tid.remove(tid)?;
        if let Some(tids) = self.tids_by_pid.get_mut(&thread.pid) {
            tids.remove(tid);
            if tids.is_empty() {
                self.tids_by_pid.remove(&thread.pid);
            }
        }
        Some(thread)
    }

    /// Returns all threads with their ids.
    pub fn iter(&self) -> impl Iterator<Item = (&u32, &Thread)> {
        self.by_tid.iter()
    }

    /// Returns all threads.
    pub fn values(&self) -> impl Iterator<Item = &Thread> {
        self.by_tid.values()
    }

    /// Returns the ids of the threads of a process, in order.
    pub fn of_process(&self, pid: u32) -> impl Iterator<Item = u32> {
        self.tids_by_pid.get(&pid).into_iter().flatten().copied()
    }
}
