//! A BPF ring buffer, mapped. The records that are in it are one range of memory: its first pages
//! are mapped once more behind its last ones, so that no record wraps.
//!
//! Mapped pages count as the recorder's memory at once, so only the first pages of a long ring are
//! mapped until records come to the others.
//!
//! Layout and protocol: kernel/bpf/ringbuf.c. One page holds the consumer position, one the
//! producer position, then follow the data, twice. A record begins with 8 bytes: a length, whose
//! upper bits say that it is not finished (31) or is to be skipped (30).

use crate::Error;
use crate::ebpf::mapped::Mapped;
use libbpf_rs::MapHandle;
use std::os::fd::AsFd;
use std::sync::atomic::Ordering;
use trace::record::{RING_DISCARD, RING_HEAD, SEQ, ring_step};

/// The bit of an unfinished record.
const BUSY: u32 = 1 << 31;

/// The positions of a ring.
pub(in crate::ebpf) struct Ring {
    /// The page with the consumer position.
    consumer_page: Mapped,
    /// The page with the producer position.
    producer_page: Mapped,
}

/// The contents of a ring, for its consumer.
pub(in crate::ebpf) struct View {
    map: MapHandle,
    data: Mapped,
    /// How many bytes of the ring are mapped; [`MAX_RECORD_BYTES`] more are.
    mapped: usize,
    /// The size of the ring in bytes.
    bytes: usize,
}

/// No record is longer than this: the longest payload, its headers and the ring's own.
const MAX_RECORD_BYTES: usize = 2 << 20;
/// How many bytes of a longer ring are mapped at first. The rest is mapped when half of that has
/// arrived: a call that waits for room keeps its CPU, in whose run queue may be a thread of the
/// recorder that holds the lock on its memory map, so it is done while most of the ring is empty
/// and no call waits.
const FIRST_MAPPED_BYTES: usize = 8 << 20;

/// Finished records in a ring that have not been consumed.
pub(in crate::ebpf) struct Span<'r> {
    pub bytes: &'r [u8],
    /// The sequence number of the first record, and the one after the last; equal if there is none.
    pub seqs: (u64, u64),
    /// The position after the last one.
    end: u64,
}

impl Ring {
    /// Maps the positions of a ring.
    pub fn new(map: impl AsFd) -> Result<Self, Error> {
        let page = rustix::param::page_size();
        let consumer_page = Mapped::new(&map, 0, page, true)?;
        let producer_page = Mapped::new(&map, page, page, false)?;
        Ok(Self { consumer_page, producer_page })
    }

    /// Returns the position up to which the probe has reserved room.
    pub fn produced(&self) -> u64 {
        self.producer_page.word(0).load(Ordering::Acquire)
    }
    /// Returns the position up to which records have been consumed.
    pub fn consumed(&self) -> u64 {
        self.consumer_page.word(0).load(Ordering::Acquire)
    }

    /// Sets the consumer position: the probe may write new records where the ones before it were.
    pub fn set_consumed(&self, end: u64) {
        self.consumer_page.word(0).store(end, Ordering::Release);
    }
}

impl View {
    /// Maps the beginning of a ring of this many bytes.
    pub fn new(map: MapHandle, bytes: usize) -> Result<Self, Error> {
        let mapped = bytes.min(FIRST_MAPPED_BYTES);
        let data = Self::map(&map, mapped, bytes)?;
        Ok(Self { map, data, mapped, bytes })
    }

    /// Maps the first `mapped` bytes of the ring, and the bytes behind them that a record may have.
    fn map(map: &MapHandle, mapped: usize, bytes: usize) -> Result<Mapped, Error> {
        // The kernel has all pages of the ring twice in a row.
        let len = mapped + MAX_RECORD_BYTES.min(2 * bytes - mapped);
        Mapped::new(map, 2 * rustix::param::page_size(), len, false)
    }

    /// Returns the finished records from the consumer position on, of about `max_bytes`; `None` if
    /// there are none. They remain in the ring. Fails if the rest of the ring cannot be mapped.
    pub fn span(&mut self, ring: &Ring, max_bytes: u64) -> Result<Option<Span<'_>>, Error> {
        let begin = ring.consumed();
        let produced = ring.produced();
        let mask = self.bytes as u64 - 1;
        let offset = |position: u64| (position & mask) as usize;
        if self.mapped < self.bytes {
            let has_room = produced - begin < self.bytes as u64 / 2;
            if offset(begin) >= self.mapped
                || (has_room && produced >= FIRST_MAPPED_BYTES as u64 / 2)
            {
                self.data = Self::map(&self.map, self.bytes, self.bytes)?;
                self.mapped = self.bytes;
            }
        }
        // The span ends at the end of the ring, or with the record that begins before it.
        let max_bytes = max_bytes.min((self.mapped - offset(begin)) as u64);
        let mut end = begin;
        let mut seqs = None;
        while end < produced && end - begin < max_bytes {
            let record = offset(begin) + (end - begin) as usize;
            // The record's length and flags, which the kernel writes with a release store.
            let word = self.data.word32(record).load(Ordering::Acquire);
            if word & BUSY != 0 {
                break;
            }
            if word & RING_DISCARD == 0 {
                let seq = self.data.word(record + RING_HEAD + SEQ).load(Ordering::Relaxed);
                seqs = Some(seqs.map_or((seq, seq + 1), |(first, _)| (first, seq + 1)));
            }
            end += ring_step(word) as u64;
        }
        if end == begin {
            return Ok(None);
        }
        let len = (end - begin) as usize;
        // SAFETY: these are finished records, which the kernel does not change until the consumer
        // position is moved.
        let bytes = unsafe { self.data.bytes(offset(begin), len) };
        Ok(Some(Span { bytes, seqs: seqs.unwrap_or_default(), end }))
    }
}

impl Span<'_> {
    /// Returns the position behind the records, for [`Ring::set_consumed`].
    pub fn end(&self) -> u64 {
        self.end
    }
}
