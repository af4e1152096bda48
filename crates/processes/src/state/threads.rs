//! The living threads, by number and by process.

use crate::Thread;
use ahash::HashMap;
use std::collections::BTreeSet;

/// The living threads. What is asked of one thread or process does not depend on how many others
/// there are.
#[derive(Default)]
pub(crate) struct Threads {
    all: HashMap<u32, Thread>,
    of: HashMap<u32, BTreeSet<u32>>,
}

impl Threads {
    /// Returns the thread with this number.
    pub fn get(&self, tid: &u32) -> Option<&Thread> {
        self.all.get(tid)
    }

    /// Returns the thread with this number, to change it. Its process must stay the same.
    pub fn get_mut(&mut self, tid: &u32) -> Option<&mut Thread> {
        self.all.get_mut(tid)
    }

    pub fn contains_key(&self, tid: &u32) -> bool {
        self.all.contains_key(tid)
    }

    pub fn len(&self) -> usize {
        self.all.len()
    }

    /// Adds a thread, and removes an earlier one with this number.
    pub fn insert(&mut self, tid: u32, thread: Thread) {
        self.remove(&tid);
        self.of.entry(thread.pid).or_default().insert(tid);
        self.all.insert(tid, thread);
    }

    /// Removes and returns the thread with this number.
    pub fn remove(&mut self, tid: &u32) -> Option<Thread> {
        let thread = self.all.remove(tid)?;
        if let Some(of) = self.of.get_mut(&thread.pid) {
            of.remove(tid);
            if of.is_empty() {
                self.of.remove(&thread.pid);
            }
        }
        Some(thread)
    }

    /// Returns all threads with their numbers.
    pub fn iter(&self) -> impl Iterator<Item = (&u32, &Thread)> {
        self.all.iter()
    }

    /// Returns all threads.
    pub fn values(&self) -> impl Iterator<Item = &Thread> {
        self.all.values()
    }

    /// Returns the numbers of a process's threads, in order.
    pub fn of_process(&self, pid: u32) -> impl Iterator<Item = u32> {
        self.of.get(&pid).into_iter().flatten().copied()
    }
}
