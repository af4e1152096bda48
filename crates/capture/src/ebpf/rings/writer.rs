//! Writes the records of a ring to its journal: directly, or through a queue in memory.
//!
//! A call that waits for room in its ring keeps its CPU, and in that CPU's run queue may be the
//! very kernel thread that a write to a file system needs. So the thread that empties a ring for a
//! call that is longer than the ring never waits for the disk: it puts the records into memory, and
//! another thread writes them. The memory is limited; when it is full, the rings fill.

use super::backlog::Backlog;
use crate::Error;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;
use trace::journal::Journal;

/// How many bytes wait in memory for the disk, for all rings together.
pub(in crate::ebpf) struct MemoryBudget {
    waiting_bytes: AtomicU64,
    /// How many may wait.
    max_bytes: u64,
    /// How many chunks of each ring wait.
    queued_chunks: Vec<AtomicU64>,
    /// Whether a journal could not be written.
    failed: AtomicBool,
}

impl MemoryBudget {
    /// Creates the budget for this many rings. The limit is a part of the machine's memory.
    pub fn new(rings: usize) -> Self {
        let info = rustix::system::sysinfo();
        let share = info.totalram * u64::from(info.mem_unit) / 32;
        Self {
            waiting_bytes: AtomicU64::new(0),
            max_bytes: share.clamp(96 << 20, 512 << 20),
            queued_chunks: (0..rings).map(|_| AtomicU64::new(0)).collect(),
            failed: AtomicBool::new(false),
        }
    }
    /// Returns how many bytes wait in memory.
    pub fn waiting_bytes(&self) -> u64 {
        self.waiting_bytes.load(Ordering::Acquire)
    }
    /// Returns whether the journal of some ring has failed. Records are discarded then.
    pub fn has_failed(&self) -> bool {
        self.failed.load(Ordering::Acquire)
    }
    /// Notes that the journal of some ring has failed.
    pub fn fail(&self) {
        self.failed.store(true, Ordering::Release);
    }
    /// Returns how many chunks of a ring wait.
    pub fn queued_chunks(&self, ring: usize) -> u64 {
        self.queued_chunks[ring].load(Ordering::Acquire)
    }
}

/// A journal, which the thread that empties the ring and the writing thread share.
struct Target {
    journal: Mutex<Result<Journal, trace::Error>>,
    ring: usize,
    budget: Arc<MemoryBudget>,
    backlog: Backlog,
    /// Whether no more records come, so that the thread is to end.
    no_more_records: AtomicBool,
}

impl Target {
    /// Writes records, whose sequence numbers are `first..next`. Discards them if the journal has
    /// failed, so that no call waits for it.
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

/// A journal that is being written, and the thread that writes what waits in memory.
pub(in crate::ebpf) struct Writer {
    target: Arc<Target>,
    thread: JoinHandle<()>,
}

impl Writer {
    /// Starts the thread.
    pub fn start(ring: usize, journal: Journal, budget: Arc<MemoryBudget>) -> Result<Self, Error> {
        let backlog = Backlog::new(budget.max_bytes as usize)?;
        let target = Arc::new(Target {
            journal: Mutex::new(Ok(journal)),
            ring,
            budget,
            backlog,
            no_more_records: AtomicBool::new(false),
        });
        let thread_target = Arc::clone(&target);
        let thread = std::thread::Builder::new()
            .name(format!("journal {ring}"))
            .spawn(move || write_backlog(&thread_target))
            .map_err(Error::refused("start a thread"))?;
        Ok(Self { target, thread })
    }

    /// Writes records, whose sequence numbers are `first..next`, to the journal. With
    /// `memory_only`, or if earlier records of the ring wait in memory, adds them to the backlog
    /// instead, and waits while that is full.
    pub fn accept(&self, records: &[u8], first: u64, next: u64, memory_only: bool) {
        let Target { ring, budget, backlog, .. } = &*self.target;
        if !memory_only && budget.queued_chunks(*ring) == 0 {
            backlog.free_memory();
            return self.target.write(records, first, next);
        }
        while budget.waiting_bytes.load(Ordering::Acquire) > budget.max_bytes {
            std::thread::sleep(Duration::from_millis(1));
        }
        budget.waiting_bytes.fetch_add(records.len() as u64, Ordering::AcqRel);
        budget.queued_chunks[*ring].fetch_add(1, Ordering::AcqRel);
        while !backlog.add(records, first, next) {
            std::thread::sleep(Duration::from_millis(1));
        }
        self.thread.thread().unpark();
    }

    /// Frees the backlog's memory if that is empty. Called when no records come for a while.
    pub fn free_memory(&self) {
        self.target.backlog.free_memory();
    }

    /// Ends the thread when everything is written, and completes the journal. Returns the error of
    /// the journal if there was one.
    pub fn finish(self) -> Result<(), trace::Error> {
        self.target.no_more_records.store(true, Ordering::Release);
        self.thread.thread().unpark();
        self.thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic));
        let target = Arc::into_inner(self.target).expect("the thread has ended");
        target.journal.into_inner().unwrap_or_else(PoisonError::into_inner)?.finish()
    }
}

/// Runs the thread's loop: writes what waits in memory, until no more records come.
fn write_backlog(target: &Target) {
    loop {
        // Read before the backlog is checked, so that no records arrive after the last check.
        let last = target.no_more_records.load(Ordering::Acquire);
        if let Some(chunk) = target.backlog.first() {
            let len = chunk.records.len() as u64;
            target.write(chunk.records, chunk.first, chunk.next);
            target.backlog.remove(&chunk);
            target.budget.waiting_bytes.fetch_sub(len, Ordering::AcqRel);
            target.budget.queued_chunks[target.ring].fetch_sub(1, Ordering::AcqRel);
        } else if last {
            return;
        } else {
            std::thread::park();
        }
    }
}
