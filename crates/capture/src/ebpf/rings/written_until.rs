//! The time until which all journals together hold all records. It is stored in a mapped file, so
//! that it survives the recorder: later records of one CPU may depend on records of another CPU
//! that were not written ([`trace::journal::COMPLETE`]).

use super::ring::Ring;
use super::writer::MemoryBudget;
use crate::Error;
use crate::ebpf::mapped::Mapped;
use crate::records::monotonic_ns;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// How many nanoseconds the time stays behind: the time in a record is when its call returned, but
/// the call may be delayed, or wait until a file was read for it, before the record is in the ring.
const LATE: u64 = 20_000_000;

/// All rings, and until when their records have been written.
pub(in crate::ebpf) struct WrittenUntil {
    pub rings: Vec<Ring>,
    budget: Arc<MemoryBudget>,
    /// For each ring, the time until which its records are in its journal.
    cpu_until: Vec<AtomicU64>,
    /// The least of these times, less [`LATE`]; in the file.
    all: Mapped,
}

/// The producer position of a ring at some time: records before the position were made before the
/// time or within [`LATE`] after it.
pub(in crate::ebpf) struct Mark {
    time: u64,
    position: u64,
}

impl WrittenUntil {
    /// Sets all times to now. `file` keeps the result.
    pub fn new(
        rings: Vec<Ring>,
        budget: Arc<MemoryBudget>,
        file: &std::fs::File,
    ) -> Result<Self, Error> {
        let all = Mapped::new(file, 0, size_of::<u64>(), true)?;
        let begun = monotonic_ns();
        all.word(0).store(begun, Ordering::Release);
        let cpu_until = rings.iter().map(|_| AtomicU64::new(begun)).collect();
        Ok(Self { rings, budget, cpu_until, all })
    }

    /// Returns the present producer position of a CPU's ring.
    pub fn mark(&self, cpu: usize) -> Mark {
        let time = monotonic_ns();
        Mark { time, position: self.rings[cpu].produced() }
    }

    /// Returns how many bytes are in the fullest ring.
    pub fn fullest(&self) -> u64 {
        let fill = |ring: &Ring| ring.produced().saturating_sub(ring.consumed());
        self.rings.iter().map(fill).max().unwrap_or(0)
    }

    /// Returns how many bytes wait in memory for the disk.
    pub fn waiting(&self) -> u64 {
        self.budget.waiting()
    }

    /// Notes that records were discarded.
    pub fn fail(&self) {
        self.budget.fail();
    }

    /// Returns whether the journal of some ring has failed.
    pub fn has_failed(&self) -> bool {
        self.budget.has_failed()
    }

    /// Returns the time (nanoseconds of CLOCK_MONOTONIC) until which all journals together hold all
    /// records.
    pub fn until(&self) -> u64 {
        self.all.word(0).load(Ordering::Acquire)
    }

    /// Returns whether all records before `mark` have been consumed. If they are written as well,
    /// advances the time. Only the consumer of the ring may call this, after it has handed over
    /// what it consumed.
    pub fn has_passed(&self, cpu: usize, mark: &Mark) -> bool {
        if self.rings[cpu].consumed() < mark.position {
            return false;
        }
        if self.budget.queued(cpu) == 0 {
            self.cpu_until[cpu].store(mark.time, Ordering::Release);
            let of = |(i, ring): (usize, &Ring)| {
                let cpu_until = self.cpu_until[i].load(Ordering::Acquire);
                // An empty ring's consumer may sleep.
                if ring.consumed() == ring.produced() && self.budget.queued(i) == 0 {
                    mark.time.max(cpu_until)
                } else {
                    cpu_until
                }
            };
            let all = self.rings.iter().enumerate().map(of).min();
            // Records are discarded when a journal has failed.
            if let Some(all) = all.filter(|_| !self.budget.has_failed()) {
                self.all.word(0).fetch_max(all.saturating_sub(LATE), Ordering::AcqRel);
            }
        }
        true
    }
}
