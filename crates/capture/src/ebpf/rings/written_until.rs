//! Until when all journals together hold everything, kept where it outlives us: what one CPU's
//! journal has of later times may follow from what another's has not
//! ([`trace::journal::COMPLETE`]).

use super::ring::Ring;
use super::writer::MemoryBudget;
use crate::Error;
use crate::ebpf::mapped::Mapped;
use crate::records::now;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// A call says when it returned, and waits until we have read a file for it, or is delayed, before
/// its record is in the ring: so long, in nanoseconds, and with some to spare.
const LATE: u64 = 20_000_000;

/// All rings, and what is written of them.
pub(in crate::ebpf) struct WrittenUntil {
    pub rings: Vec<Ring>,
    budget: Arc<MemoryBudget>,
    /// What each ring got before this is written.
    upto: Vec<AtomicU64>,
    /// What all of them got.
    all: Mapped,
}

/// A look at a ring: what lies before the position came before the time, or soon after it.
pub(in crate::ebpf) struct Mark {
    time: u64,
    position: u64,
}

impl WrittenUntil {
    /// Nothing is written yet.
    pub fn new(
        rings: Vec<Ring>,
        budget: Arc<MemoryBudget>,
        file: &std::fs::File,
    ) -> Result<Self, Error> {
        let all = Mapped::new(file, 0, size_of::<u64>(), true)?;
        let begun = now();
        all.word(0).store(begun, Ordering::Release);
        let upto = rings.iter().map(|_| AtomicU64::new(begun)).collect();
        Ok(Self { rings, budget, upto, all })
    }

    /// Looks at a CPU's ring.
    pub fn mark(&self, cpu: usize) -> Mark {
        let time = now();
        Mark { time, position: self.rings[cpu].produced() }
    }

    /// How many bytes wait in the ring that holds most.
    pub fn fullest(&self) -> u64 {
        let fill = |ring: &Ring| ring.produced().saturating_sub(ring.consumed());
        self.rings.iter().map(fill).max().unwrap_or(0)
    }

    /// How many bytes wait behind the rings.
    pub fn waiting(&self) -> u64 {
        self.budget.waiting()
    }

    /// What a ring holds is thrown away.
    pub fn fail(&self) {
        self.budget.fail();
    }

    /// Whether the journal of some ring has failed.
    pub fn has_failed(&self) -> bool {
        self.budget.has_failed()
    }

    /// Until when all journals together hold what the rings got.
    pub fn until(&self) -> u64 {
        self.all.word(0).load(Ordering::Acquire)
    }

    /// Whether what was seen then is taken; if it is written, too, that is noted. To be asked by
    /// the thread that empties the ring, when it has handed on what it took.
    pub fn has_passed(&self, cpu: usize, mark: &Mark) -> bool {
        if self.rings[cpu].consumed() < mark.position {
            return false;
        }
        if self.budget.queued(cpu) == 0 {
            self.upto[cpu].store(mark.time, Ordering::Release);
            let of = |(i, ring): (usize, &Ring)| {
                let upto = self.upto[i].load(Ordering::Acquire);
                // An empty ring's consumer may sleep.
                if ring.consumed() == ring.produced() && self.budget.queued(i) == 0 {
                    mark.time.max(upto)
                } else {
                    upto
                }
            };
            let all = self.rings.iter().enumerate().map(of).min();
            // What is taken when a journal has failed is thrown away.
            if let Some(all) = all.filter(|_| !self.budget.has_failed()) {
                self.all.word(0).fetch_max(all.saturating_sub(LATE), Ordering::AcqRel);
            }
        }
        true
    }
}
