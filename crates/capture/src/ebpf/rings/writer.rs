//! From a ring to its journal: at once, or by way of memory.
//!
//! A call that waits for room in its ring keeps its CPU to itself, and on that CPU's queue may be
//! the very thread of the kernel that holds what a write to a file system needs. So the thread that
//! empties a ring for a call that is longer than the ring waits for memory only, and another thread
//! writes. The memory is bounded; beyond it, rings fill.

use super::backlog::Backlog;
use crate::Error;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;
use trace::journal::Journal;

/// How many bytes wait in memory, for all rings together, and how many may.
pub(in crate::ebpf) struct MemoryBudget {
    waiting: AtomicU64,
    most: u64,
    /// Chunks that wait, of each ring.
    queued: Vec<AtomicU64>,
    /// A journal could not be written.
    failed: AtomicBool,
}

impl MemoryBudget {
    /// A share of the memory.
    pub fn new(rings: usize) -> Self {
        let memory = rustix::system::sysinfo();
        let share = memory.totalram * u64::from(memory.mem_unit) / 32;
        Self {
            waiting: AtomicU64::new(0),
            most: share.clamp(96 << 20, 512 << 20),
            queued: (0..rings).map(|_| AtomicU64::new(0)).collect(),
            failed: AtomicBool::new(false),
        }
    }
    /// Bytes that wait in memory.
    pub fn waiting(&self) -> u64 {
        self.waiting.load(Ordering::Acquire)
    }
    /// Whether the journal of some ring has failed: what is taken then is thrown away.
    pub fn has_failed(&self) -> bool {
        self.failed.load(Ordering::Acquire)
    }
    /// The journal of some ring has failed.
    pub fn fail(&self) {
        self.failed.store(true, Ordering::Release);
    }
    /// Chunks of a ring that wait.
    pub fn queued(&self, ring: usize) -> u64 {
        self.queued[ring].load(Ordering::Acquire)
    }
}

/// What both the thread that empties the ring and the writing thread write.
struct Target {
    journal: Mutex<Result<Journal, trace::Error>>,
    ring: usize,
    budget: Arc<MemoryBudget>,
    backlog: Backlog,
    /// Nothing more comes.
    last: AtomicBool,
}

impl Target {
    /// Writes records, or nothing once that has failed: no call is to wait for a journal that
    /// cannot be written.
    fn write(&self, records: &[u8], first: u64, next: u64) {
        let mut journal = self.journal.lock().unwrap_or_else(PoisonError::into_inner);
        if let Ok(writable) = &mut *journal
            && let Err(e) = writable.write_ring(records, first, next)
        {
            *journal = Err(e);
            self.budget.fail();
        }
    }
}

/// A journal that is being written.
pub(in crate::ebpf) struct Writer {
    target: Arc<Target>,
    thread: JoinHandle<()>,
}

impl Writer {
    /// Starts its thread.
    pub fn start(ring: usize, journal: Journal, budget: Arc<MemoryBudget>) -> Result<Self, Error> {
        let backlog = Backlog::new(budget.most as usize)?;
        let target = Arc::new(Target {
            journal: Mutex::new(Ok(journal)),
            ring,
            budget,
            backlog,
            last: AtomicBool::new(false),
        });
        let ours = Arc::clone(&target);
        let thread = std::thread::Builder::new()
            .name(format!("journal {ring}"))
            .spawn(move || write(&ours))
            .map_err(Error::refused("start a thread"))?;
        Ok(Self { target, thread })
    }

    /// Takes records; `memory_only`: whatever the disk does. Waits while too much waits in memory.
    pub fn take(&self, records: &[u8], first: u64, next: u64, memory_only: bool) {
        let Target { ring, budget, backlog, .. } = &*self.target;
        if !memory_only && budget.queued(*ring) == 0 {
            backlog.give_back();
            return self.target.write(records, first, next);
        }
        while budget.waiting.load(Ordering::Acquire) > budget.most {
            std::thread::sleep(Duration::from_millis(1));
        }
        budget.waiting.fetch_add(records.len() as u64, Ordering::AcqRel);
        budget.queued[*ring].fetch_add(1, Ordering::AcqRel);
        while !backlog.put(records, first, next) {
            std::thread::sleep(Duration::from_millis(1));
        }
        self.thread.thread().unpark();
    }

    /// Nothing comes for a while.
    pub fn rest(&self) {
        self.target.backlog.give_back();
    }

    /// Ends it when everything is written.
    pub fn finish(self) -> Result<(), trace::Error> {
        self.target.last.store(true, Ordering::Release);
        self.thread.thread().unpark();
        self.thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic));
        let target = Arc::into_inner(self.target).expect("the thread has ended");
        target.journal.into_inner().unwrap_or_else(PoisonError::into_inner)?.finish()
    }
}

fn write(target: &Target) {
    loop {
        // Asked before the backlog is: what comes after is nothing.
        let last = target.last.load(Ordering::Acquire);
        if let Some(chunk) = target.backlog.first() {
            let len = chunk.records.len() as u64;
            target.write(chunk.records, chunk.first, chunk.next);
            target.backlog.take(&chunk);
            target.budget.waiting.fetch_sub(len, Ordering::AcqRel);
            target.budget.queued[target.ring].fetch_sub(1, Ordering::AcqRel);
        } else if last {
            return;
        } else {
            std::thread::park();
        }
    }
}
