//! A BPF ring, mapped: what the kernel put there since the last time is one stretch of memory
//! (behind its pages, the first ones are mapped once more, so that no record wraps).
//!
//! Mapped pages count as memory of ours from the beginning, so only the first ones of a long ring
//! are mapped before records come to the others.
//!
//! Layout and protocol: kernel/bpf/ringbuf.c. One page holds the consumer's position, one the
//! producer's, then come the data, twice. A record's head is 8 bytes: a length whose upper bits say
//! that it is not finished (31) or is to be skipped (30).

use crate::Error;
use crate::ebpf::mapped::Mapped;
use libbpf_rs::MapHandle;
use std::os::fd::AsFd;
use std::sync::atomic::Ordering;
use trace::record::{RING_DISCARD, RING_HEAD, SEQ, ring_step};

const BUSY: u32 = 1 << 31;

/// How far a ring is filled and emptied.
pub(in crate::ebpf) struct Ring {
    ours: Mapped,
    theirs: Mapped,
}

/// What lies in a ring, for the one that empties it.
pub(in crate::ebpf) struct View {
    map: MapHandle,
    data: Mapped,
    /// Bytes of the ring that are mapped; those of [`TAIL`] come on top.
    mapped: usize,
    bytes: usize,
}

/// No record is longer: the greatest copy, its heads and the ring's own.
const TAIL: usize = 2 << 20;
/// So much of a longer ring is mapped at first, and the rest when half of that has come. A call
/// that waits for room keeps its CPU, and on that CPU's queue may be a thread of ours that holds
/// the lock on our memory map: so it is done while most of the ring is empty, and no call waits.
const AT_FIRST: usize = 8 << 20;

/// What lies in a ring, finished and not taken yet.
pub(in crate::ebpf) struct Span<'r> {
    pub bytes: &'r [u8],
    /// Sequence number of the first record, and the one after the last; equal if there is none.
    pub seqs: (u64, u64),
    end: u64,
}

impl Ring {
    /// Maps the words of a ring.
    pub fn new(map: impl AsFd) -> Result<Self, Error> {
        let page = rustix::param::page_size();
        let ours = Mapped::new(&map, 0, page, true)?;
        let theirs = Mapped::new(&map, page, page, false)?;
        Ok(Self { ours, theirs })
    }

    /// Up to where the kernel's program has reserved room, and up to where it was given back.
    pub fn produced(&self) -> u64 {
        self.theirs.word(0).load(Ordering::Acquire)
    }
    /// See [`Ring::produced`].
    pub fn consumed(&self) -> u64 {
        self.ours.word(0).load(Ordering::Acquire)
    }

    /// Gives the span's room back.
    pub fn taken(&self, end: u64) {
        self.ours.word(0).store(end, Ordering::Release);
    }
}

impl View {
    /// Maps the first records of a ring of `bytes`.
    pub fn new(map: MapHandle, bytes: usize) -> Result<Self, Error> {
        let mapped = bytes.min(AT_FIRST);
        let data = Self::map(&map, mapped, bytes)?;
        Ok(Self { map, data, mapped, bytes })
    }

    fn map(map: &MapHandle, mapped: usize, bytes: usize) -> Result<Mapped, Error> {
        // The kernel has all pages of the ring twice in a row.
        let len = mapped + TAIL.min(2 * bytes - mapped);
        Mapped::new(map, 2 * rustix::param::page_size(), len, false)
    }

    /// What is finished, up to about `most` bytes.
    pub fn span(&mut self, ring: &Ring, most: u64) -> Result<Option<Span<'_>>, Error> {
        let begin = ring.consumed();
        let produced = ring.produced();
        let mask = self.bytes as u64 - 1;
        let place = |position: u64| (position & mask) as usize;
        if self.mapped < self.bytes {
            let is_early = produced - begin < self.bytes as u64 / 2;
            if place(begin) >= self.mapped || (is_early && produced >= AT_FIRST as u64 / 2) {
                self.data = Self::map(&self.map, self.bytes, self.bytes)?;
                self.mapped = self.bytes;
            }
        }
        // A stretch ends where the ring does, or with the record that begins before.
        let most = most.min((self.mapped - place(begin)) as u64);
        let mut end = begin;
        let mut seqs = None;
        while end < produced && end - begin < most {
            let at = place(begin) + (end - begin) as usize;
            // The kernel writes it with a release store.
            let word = self.data.word32(at).load(Ordering::Acquire);
            if word & BUSY != 0 {
                break;
            }
            if word & RING_DISCARD == 0 {
                let seq = self.data.word(at + RING_HEAD + SEQ).load(Ordering::Relaxed);
                seqs = Some(seqs.map_or((seq, seq + 1), |(first, _)| (first, seq + 1)));
            }
            end += ring_step(word) as u64;
        }
        if end == begin {
            return Ok(None);
        }
        let len = (end - begin) as usize;
        // SAFETY: finished records lie there, which the kernel does not touch until we move our
        // position.
        let bytes = unsafe { self.data.bytes(place(begin), len) };
        Ok(Some(Span { bytes, seqs: seqs.unwrap_or_default(), end }))
    }
}

impl Span<'_> {
    /// What [`Ring::taken`] wants to know.
    pub fn end(&self) -> u64 {
        self.end
    }
}
