//! What the journals hold, for the thread that seals ahead: everything that the rings got until
//! some moment, with what was read from files for it.
//!
//! Invariant: a record made before [`LowWaterMark::written_until`] is in its file, but for one
//! whose call waits for room in its ring for longer than `SLACK`; that one comes late, and is
//! sealed as what comes late is. What caused another record is never behind it: it was in its ring
//! before the other one was made.

use super::written_until::WrittenUntil;
use crate::ebpf::mapped::Mapped;
use crate::ebpf::skel::types::common_state;
use crate::threads::seal_ahead::JournalProgress;
use std::mem::offset_of;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// A call says when it returned, and is delayed then (bpf/ring.h), or waits until we have read a
/// file for it: in nanoseconds, and with more to spare than there is in what is complete
/// ([`super::written_until`]). What comes later still is sealed as what comes late is.
const SLACK: u64 = 100_000_000;

/// All journals.
pub(in crate::ebpf) struct LowWaterMark {
    written: Arc<WrittenUntil>,
    common: Arc<Mapped>,
    ring_bytes: u64,
    /// Until when the rings were written when so many files had been asked for,
    asked: Option<(u64, u64)>,
    /// and were read.
    until: u64,
}

impl LowWaterMark {
    pub fn new(written: Arc<WrittenUntil>, common: Arc<Mapped>, ring_bytes: usize) -> Self {
        Self { written, common, ring_bytes: ring_bytes as u64, asked: None, until: 0 }
    }

    fn word(&self, offset: usize) -> &AtomicU64 {
        self.common.word(offset)
    }
}

impl JournalProgress for LowWaterMark {
    fn written_until(&mut self) -> u64 {
        let until = self.written.until();
        // Asked after that: what the records until then want read has been asked for.
        let asked = self.word(offset_of!(common_state, asked)).load(Ordering::Acquire);
        let (until, asked) = *self.asked.get_or_insert((until, asked));
        let answered = [offset_of!(common_state, kept), offset_of!(common_state, refused)]
            .map(|word| self.word(word).load(Ordering::Acquire));
        if answered.iter().sum::<u64>() >= asked {
            self.asked = None;
            self.until = until.saturating_sub(SLACK);
        }
        self.until
    }

    fn is_busy(&self) -> bool {
        self.written.waiting() > 0 || self.written.fullest() >= self.ring_bytes / 4
    }
}
