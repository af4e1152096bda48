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
const MARGIN_NS: u64 = 20_000_000;

/// All rings, and until when their records have been written.
pub(in crate::ebpf) struct WrittenUntil {
    pub rings: Vec<Ring>,
    budget: Arc<MemoryBudget>,
    /// For each ring, the time until which its records are in its journal.
    cpu_until: Vec<AtomicU64>,
    /// The least of these times, less [`MARGIN_NS`]; in the file.
    all_until: Mapped,
}

/// The producer position of a ring at some time: records before the position were made before the
/// time or within [`MARGIN_NS`] after it.
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
        let all_until = Mapped::new(file, 0, size_of::<u64>(), true)?;
        let begun = monotonic_ns();
        all_until.word(0).store(begun, Ordering::Release);
        let cpu_until = rings.iter().map(|_| AtomicU64::new(begun)).collect();
        Ok(Self { rings, budget, cpu_until, all_until })
    }

    /// Returns the present producer position of a CPU's ring.
    pub fn mark(&self, cpu: usize) -> Mark {
        let time = monotonic_ns();
        Mark { time, position: self.rings[cpu].produced() }
    }

    /// Returns how many bytes are in the fullest ring.
    pub fn fullest_ring_bytes(&self) -> u64 {
        let fill = |ring: &Ring| ring.produced().saturating_sub(ring.consumed());
        self.rings.iter().map(fill).max().unwrap_or(0)
    }

    /// Returns how many bytes wait in memory for the disk.
    pub fn waiting_bytes(&self) -> u64 {
        self.budget.waiting_bytes()
    }

    /// Notes that records were discarded, so that the time is not advanced any more.
    pub fn note_discarded(&self) {
        self.budget.fail();
    }

    /// Returns whether the journal of some ring has failed.
    pub fn has_failed(&self) -> bool {
        self.budget.has_failed()
    }

    /// Returns the time (nanoseconds of CLOCK_MONOTONIC) until which all journals together hold all
    /// records.
    pub fn until(&self) -> u64 {
        self.all_until.word(0).load(Ordering::Acquire)
    }

    /// Returns whether all records before `mark` have been consumed. If they are written as well,
    /// advances the ring's time to that of the mark, and the time of all rings if that one was the
    /// least. Only the consumer of the ring may call this, after it has handed over what it
    /// consumed.
    pub fn advance_past(&self, cpu: usize, mark: &Mark) -> bool {
        if self.rings[cpu].consumed() < mark.position {
            return false;
        }
        if self.budget.queued_chunks(cpu) == 0 {
            self.cpu_until[cpu].store(mark.time, Ordering::Release);
            let until_of = |(i, ring): (usize, &Ring)| {
                let cpu_until = self.cpu_until[i].load(Ordering::Acquire);
                // The consumer of an empty ring may sleep, and advance no time.
                if ring.consumed() == ring.produced() && self.budget.queued_chunks(i) == 0 {
                    mark.time.max(cpu_until)
                } else {
                    cpu_until
                }
            };
            let least = self.rings.iter().enumerate().map(until_of).min();
            // Records are discarded when a journal has failed.
            if let Some(least) = least.filter(|_| !self.budget.has_failed()) {
                self.all_until.word(0).fetch_max(least.saturating_sub(MARGIN_NS), Ordering::AcqRel);
            }
        }
        true
    }
}
