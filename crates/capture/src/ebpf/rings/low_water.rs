//! Until when the journals hold everything, for the thread that seals ahead: all records of the
//! rings until some time, and the file data that those calls asked for.
//!
//! Invariant: a record made before [`LowWaterMark::written_until`] is in its file, except one whose
//! call waits for room in its ring for longer than `MARGIN_NS`; that one is sealed as a late
//! record. A record that caused another one is never later than it: it was in its ring before the
//! other one was made.

use super::written_until::WrittenUntil;
use crate::ebpf::mapped::Mapped;
use crate::ebpf::skel::types::common_state;
use crate::threads::seal_ahead::JournalProgress;
use std::mem::offset_of;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// How many nanoseconds the mark stays behind: the time in a record is when its call returned, but
/// the call may be delayed (bpf/back_pressure.h), or wait until a file was read for it, before the
/// record is in the ring. This is more than the margin of [`super::written_until`]. Records that
/// come later still are sealed as late ones.
const MARGIN_NS: u64 = 100_000_000;

/// The progress of all journals.
pub(in crate::ebpf) struct LowWaterMark {
    written: Arc<WrittenUntil>,
    common: Arc<Mapped>,
    ring_bytes: u64,
    /// A time until which the rings were written, and how many file requests had been made then.
    asked: Option<(u64, u64)>,
    /// The last such time at which all those requests were answered.
    until: u64,
}

impl LowWaterMark {
    /// Creates the mark, which is the time 0 until [`Self::written_until`] is called.
    pub fn new(written: Arc<WrittenUntil>, common: Arc<Mapped>, ring_bytes: usize) -> Self {
        Self { written, common, ring_bytes: ring_bytes as u64, asked: None, until: 0 }
    }

    /// Returns a word of `struct common_state`.
    fn word(&self, offset: usize) -> &AtomicU64 {
        self.common.word(offset)
    }
}

impl JournalProgress for LowWaterMark {
    fn written_until(&mut self) -> u64 {
        let until = self.written.until();
        // Read after that, so that all requests of records until then are counted.
        let asked = self.word(offset_of!(common_state, asked)).load(Ordering::Acquire);
        let (until, asked) = *self.asked.get_or_insert((until, asked));
        let answered = [offset_of!(common_state, kept), offset_of!(common_state, refused)]
            .map(|word| self.word(word).load(Ordering::Acquire));
        if answered.iter().sum::<u64>() >= asked {
            self.asked = None;
            self.until = until.saturating_sub(MARGIN_NS);
        }
        self.until
    }

    fn is_busy(&self) -> bool {
        self.written.waiting_bytes() > 0 || self.written.fullest_ring_bytes() >= self.ring_bytes / 4
    }
}
