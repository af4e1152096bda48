//! Which threads live, and whose they are.

use ahash::HashMap;
use std::collections::BTreeSet;

/// The living threads by number, and by process.
#[derive(Default)]
pub(super) struct Threads {
    process: HashMap<u32, u32>,
    threads: HashMap<u32, BTreeSet<u32>>,
}

impl Threads {
    /// The process of a thread that lives.
    pub fn process(&self, tid: u32) -> Option<u32> {
        self.process.get(&tid).copied()
    }

    /// A thread begins.
    pub fn add(&mut self, tid: u32, pid: u32) {
        self.remove(tid);
        self.process.insert(tid, pid);
        self.threads.entry(pid).or_default().insert(tid);
    }

    /// A thread ends. Its process, and whether that has none left.
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

    /// The threads of a process.
    pub fn of(&self, pid: u32) -> Vec<u32> {
        self.threads.get(&pid).into_iter().flatten().copied().collect()
    }

    /// A new program runs in the process: its first thread is the only one.
    pub fn exec(&mut self, pid: u32) {
        for tid in self.of(pid) {
            if tid != pid {
                self.remove(tid);
            }
        }
    }
}
