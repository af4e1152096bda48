//! A BPF ring, mapped: what the kernel put there since the last time is one stretch of memory (its pages are mapped twice in a row, so that nothing wraps).
//!
//! Layout and protocol: kernel/bpf/ringbuf.c. One page holds the consumer's position, one the producer's, then come the data, twice. A record's head is 8 bytes:
//! a length whose upper bits say that it is not finished (31) or is to be skipped (30).

use crate::Error;
use rustix::mm::{MapFlags, ProtFlags, mmap, munmap};
use std::io;
use std::os::fd::AsFd;
use std::ptr;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use trace::journal::{RING_DISCARD, RING_HEAD};

const BUSY: u32 = 1 << 31;

/// A mapped stretch of memory.
pub(super) struct Mapped {
    at: *mut u8,
    len: usize,
}

// SAFETY: the memory is shared with the kernel, and read and written through atomics or after they said that it is ours.
unsafe impl Send for Mapped {}
// SAFETY: as above.
unsafe impl Sync for Mapped {}

impl Mapped {
    /// Maps `len` bytes of a map from `offset`.
    pub fn new(map: impl AsFd, offset: usize, len: usize, writable: bool) -> Result<Self, Error> {
        let access = if writable { ProtFlags::READ | ProtFlags::WRITE } else { ProtFlags::READ };
        // SAFETY: a new mapping at an address of the kernel's choice.
        let at =
            unsafe { mmap(ptr::null_mut(), len, access, MapFlags::SHARED, map, offset as u64) };
        at.map(|at| Self { at: at.cast(), len })
            .map_err(|e| Error::refused("map a ring buffer")(io::Error::from(e)))
    }
    /// The 8-byte word at a byte offset.
    pub fn word(&self, offset: usize) -> &AtomicU64 {
        assert!(offset.is_multiple_of(8) && offset + 8 <= self.len, "a word lies in its mapping");
        // SAFETY: within the mapping, aligned, and shared through atomics only.
        unsafe { &*self.at.add(offset).cast::<AtomicU64>() }
    }
}

impl Drop for Mapped {
    fn drop(&mut self) {
        // SAFETY: what `new` mapped; nothing borrows from it any more.
        let _ = unsafe { munmap(self.at.cast(), self.len) };
    }
}

/// A ring.
pub(super) struct Ring {
    ours: Mapped,
    theirs: Mapped,
    page: usize,
    mask: u64,
}

/// What lies in a ring, finished and not taken yet.
pub(super) struct Span<'r> {
    pub bytes: &'r [u8],
    /// Sequence number of the first record, and the one after the last; equal if there is none.
    pub seqs: (u64, u64),
    end: u64,
}

impl Ring {
    /// Maps a ring of `bytes`.
    pub fn new(map: impl AsFd, bytes: usize) -> Result<Self, Error> {
        let page = rustix::param::page_size();
        let ours = Mapped::new(&map, 0, page, true)?;
        let theirs = Mapped::new(&map, page, page + 2 * bytes, false)?;
        Ok(Self { ours, theirs, page, mask: bytes as u64 - 1 })
    }

    /// What is finished, up to about `most` bytes.
    pub fn span(&self, most: u64) -> Option<Span<'_>> {
        let begin = self.ours.word(0).load(Ordering::Relaxed);
        let produced = self.theirs.word(0).load(Ordering::Acquire);
        let mut end = begin;
        let mut seqs = None;
        while end < produced && end - begin < most {
            let at = self.page + (end & self.mask) as usize;
            // SAFETY: within the mapping, aligned to 8; the kernel writes it with a release store.
            let word =
                unsafe { &*self.theirs.at.add(at).cast::<AtomicU32>() }.load(Ordering::Acquire);
            if word & BUSY != 0 {
                break;
            }
            if word & RING_DISCARD == 0 {
                // A record's sequence number: the 8 bytes at 8.
                let seq = self.theirs.word(at + RING_HEAD + 8).load(Ordering::Relaxed);
                seqs = Some(seqs.map_or((seq, seq + 1), |(first, _)| (first, seq + 1)));
            }
            end += (RING_HEAD as u64 + u64::from(word & !RING_DISCARD)).next_multiple_of(8);
        }
        if end == begin {
            return None;
        }
        // SAFETY: finished records lie there, which the kernel does not touch until we move our position; the mapping is as long as two rings.
        let bytes = unsafe {
            std::slice::from_raw_parts(
                self.theirs.at.add(self.page + (begin & self.mask) as usize),
                (end - begin) as usize,
            )
        };
        Some(Span { bytes, seqs: seqs.unwrap_or_default(), end })
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

impl Span<'_> {
    /// What [`Ring::taken`] wants to know.
    pub fn end(&self) -> u64 {
        self.end
    }
}
