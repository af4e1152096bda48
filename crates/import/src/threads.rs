//! The living threads and their processes.

use ahash::HashMap;
use std::collections::BTreeSet;

/// The living threads by number, and by process.
#[derive(Default)]
pub(super) struct Threads {
    process: HashMap<u32, u32>,
    threads: HashMap<u32, BTreeSet<u32>>,
}

impl Threads {
    /// Returns the process of a living thread.
    pub fn process_of(&self, tid: u32) -> Option<u32> {
        self.process.get(&tid).copied()
    }

    /// Adds a thread that starts.
    pub fn add(&mut self, tid: u32, pid: u32) {
        self.remove(tid);
        self.process.insert(tid, pid);
        self.threads.entry(pid).or_default().insert(tid);
    }

    /// Removes a thread that ends. Returns its process, and whether that has no thread left.
    pub fn remove(&mut self, tid: u32) -> Option<(u32, bool)> {
        let pid = self.process.remove(&tid)?;
        let left = self.threads.get_mut(&pid)?;
        left.remove(&tid);
        let last = left.is_empty();
        if last {
            self.threads.remove(&pid);
        }
        Some((pid, last))
    }

    /// Returns the threads of a process.
    pub fn of_process(&self, pid: u32) -> Vec<u32> {
        self.threads.get(&pid).into_iter().flatten().copied().collect()
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
