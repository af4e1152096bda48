//! Records that wait in memory for a slow disk: a queue in one range of address space, which one
//! thread fills and another one empties.
//!
//! Invariant: adding records takes no lock and does not allocate. A probe that waits for room in
//! its ring keeps its CPU, and in that CPU's run queue may be a thread of the recorder that holds
//! the lock on its memory map. Threads that waited for that lock, to map memory or in `malloc`,
//! lost calls (1 to 4 of 70 recordings of `dd bs=5M count=3`). Pages are added when they are
//! touched: faults in anonymous memory whose first page exists take a lock of their own (Linux 6.4
//! and later). They are freed when the queue is empty.

use crate::Error;
use rustix::mm::{Advice, MapFlags, ProtFlags, madvise, mmap_anonymous, munmap};
use std::io;
use std::ptr::NonNull;
use std::sync::atomic::{AtomicU64, Ordering};

/// The size in bytes of a chunk's header: the length of its records, the sequence number of the
/// first one, and the one after the last.
const HEADER_BYTES: usize = 24;
/// Instead of a length: the next chunk is at the beginning of the memory.
const WRAP: u64 = u64::MAX;
/// When the queue is empty and this many bytes of the memory were used, the next chunk goes to the
/// beginning again, so that no more memory is touched than needed.
const RESTART_BYTES: usize = 4 << 20;
/// Memory is freed after this many bytes have been added since it was last freed.
const FREE_AFTER_BYTES: u64 = 1 << 20;

/// The queue. Positions in it only grow; modulo `len` they are offsets in the memory.
pub(in crate::ebpf) struct Backlog {
    memory: NonNull<u8>,
    /// The size of the memory in bytes.
    len: usize,
    /// The position at which the next chunk is added.
    end: AtomicU64,
    /// The position of the first chunk that was not removed.
    consumed: AtomicU64,
    /// The value of `end` when memory was last freed.
    freed_at: AtomicU64,
}

// SAFETY: one thread writes behind `end` and then moves it, another one reads what is between
// `consumed` and `end`.
unsafe impl Send for Backlog {}
// SAFETY: as above.
unsafe impl Sync for Backlog {}

/// Records of the queue that were added together.
pub(in crate::ebpf) struct Chunk<'b> {
    pub records: &'b [u8],
    /// The sequence number of the first record.
    pub first: u64,
    /// The sequence number after that of the last record.
    pub next: u64,
    /// The position after the chunk.
    end: u64,
}

impl Backlog {
    /// Reserves address space for a queue of `max_bytes`, without using memory. If the kernel does
    /// not permit as much, halves the size until it does. Fails if it refuses a size of 16 MiB or
    /// less.
    pub fn new(max_bytes: usize) -> Result<Self, Error> {
        let mut len = max_bytes.next_multiple_of(1 << 20);
        loop {
            // SAFETY: a new private mapping at an address of the kernel's choice.
            match unsafe {
                mmap_anonymous(
                    std::ptr::null_mut(),
                    len,
                    ProtFlags::READ | ProtFlags::WRITE,
                    MapFlags::PRIVATE | MapFlags::NORESERVE,
                )
            } {
                Ok(memory) => {
                    let memory =
                        NonNull::new(memory.cast::<u8>()).expect("a mapping has an address");
                    // The first page is added now, so that later page faults take another lock (see
                    // the module's invariant).
                    // SAFETY: the mapping's first byte.
                    unsafe { memory.write_volatile(0) };
                    return Ok(Self {
                        memory,
                        len,
                        end: AtomicU64::new(0),
                        consumed: AtomicU64::new(0),
                        freed_at: AtomicU64::new(0),
                    });
                }
                Err(_) if len > 16 << 20 => len /= 2,
                Err(e) => return Err(Error::refused("reserve memory")(io::Error::from(e))),
            }
        }
    }

    /// Returns the offset in the memory of a position.
    fn offset(&self, position: u64) -> usize {
        (position % self.len as u64) as usize
    }

    /// Returns the address of the 64-bit word at this offset in the memory, a multiple of 8.
    fn word(&self, offset: usize) -> *mut u64 {
        assert!(offset.is_multiple_of(8) && offset + 8 <= self.len, "a word lies in its mapping");
        // SAFETY: within the mapping.
        unsafe { self.memory.as_ptr().add(offset).cast() }
    }

    /// Returns whether the queue is empty.
    pub fn is_empty(&self) -> bool {
        self.consumed.load(Ordering::Acquire) == self.end.load(Ordering::Acquire)
    }

    /// Adds a chunk of records, whose sequence numbers are `first..next`, to the queue. Returns
    /// false if there is no room. Only one thread may call this.
    pub fn add(&self, records: &[u8], first: u64, next: u64) -> bool {
        let (mut end, consumed) =
            (self.end.load(Ordering::Relaxed), self.consumed.load(Ordering::Acquire));
        let chunk_bytes = HEADER_BYTES + records.len().next_multiple_of(8);
        let left_at_end = self.len - self.offset(end);
        let restarts = end == consumed && self.offset(end) >= chunk_bytes.max(RESTART_BYTES);
        let skipped = if left_at_end < chunk_bytes || restarts { left_at_end } else { 0 };
        if (end - consumed) as usize + skipped + chunk_bytes > self.len {
            return false;
        }
        if skipped > 0 {
            // SAFETY: nothing reads what is not between `consumed` and `end`.
            unsafe { self.word(self.offset(end)).write(WRAP) };
            end += skipped as u64;
        }
        let start = self.offset(end);
        // SAFETY: as above, and `chunk_bytes` from here lie within the mapping.
        unsafe {
            self.word(start).write(records.len() as u64);
            self.word(start + 8).write(first);
            self.word(start + 16).write(next);
            self.memory
                .as_ptr()
                .add(start + HEADER_BYTES)
                .copy_from_nonoverlapping(records.as_ptr(), records.len());
        }
        self.end.store(end + chunk_bytes as u64, Ordering::Release);
        true
    }

    /// Returns the first chunk of the queue, or `None` if it is empty. Only one thread may call
    /// this.
    pub fn first(&self) -> Option<Chunk<'_>> {
        let (mut consumed, queue_end) =
            (self.consumed.load(Ordering::Relaxed), self.end.load(Ordering::Acquire));
        if consumed == queue_end {
            return None;
        }
        // SAFETY: what is between `consumed` and `end` was written before `end` was moved, and
        // stays until `consumed` is.
        let word = |offset: usize| unsafe { self.word(offset).read() };
        if word(self.offset(consumed)) == WRAP {
            consumed += (self.len - self.offset(consumed)) as u64;
        }
        let start = self.offset(consumed);
        let len = word(start) as usize;
        assert!(len <= self.len - start - HEADER_BYTES, "records lie in their mapping");
        // SAFETY: as above, and within the mapping.
        let records = unsafe {
            std::slice::from_raw_parts(self.memory.as_ptr().add(start + HEADER_BYTES), len)
        };
        Some(Chunk {
            records,
            first: word(start + 8),
            next: word(start + 16),
            end: consumed + (HEADER_BYTES + len.next_multiple_of(8)) as u64,
        })
    }

    /// Removes the chunk that [`Backlog::first`] returned.
    pub fn remove(&self, chunk: &Chunk<'_>) {
        self.consumed.store(chunk.end, Ordering::Release);
    }

    /// Frees the memory if the queue is empty and [`FREE_AFTER_BYTES`] were added since this was
    /// last done. The address space stays reserved. Only the thread that adds records may call
    /// this.
    pub fn free_memory(&self) {
        let end = self.end.load(Ordering::Relaxed);
        if end - self.freed_at.load(Ordering::Relaxed) > FREE_AFTER_BYTES && self.is_empty() {
            // SAFETY: nothing is read from an empty queue, and only the caller writes.
            let _best =
                unsafe { madvise(self.memory.as_ptr().cast(), self.len, Advice::LinuxDontNeed) };
            self.freed_at.store(end, Ordering::Relaxed);
        }
    }
}

impl Drop for Backlog {
    fn drop(&mut self) {
        // SAFETY: what `new` mapped; nothing borrows from it any more.
        let _ = unsafe { munmap(self.memory.as_ptr().cast(), self.len) };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn records_come_out_as_they_went_in() {
        let backlog = Backlog::new(1 << 20).expect("memory");
        let records = |n: u64| vec![n as u8; (n * 7919 % 300_000) as usize];
        std::thread::scope(|scope| {
            scope.spawn(|| {
                for n in 0..500 {
                    while !backlog.add(&records(n), n, n + 1) {
                        std::thread::yield_now();
                    }
                }
            });
            for n in 0..500 {
                let chunk = loop {
                    if let Some(chunk) = backlog.first() {
                        break chunk;
                    }
                    std::thread::yield_now();
                };
                assert!(
                    chunk.records == records(n) && (chunk.first, chunk.next) == (n, n + 1),
                    "chunk {n}"
                );
                backlog.remove(&chunk);
            }
        });
        assert!(backlog.is_empty() && backlog.first().is_none());
        backlog.free_memory();
        assert!(
            backlog.add(&records(5), 5, 6)
                && backlog.first().is_some_and(|c| c.records == records(5)),
            "after memory was freed"
        );
    }

    /// However much passes, no more is touched than waits at a time.
    #[test]
    fn it_begins_at_the_beginning_again() {
        let backlog = Backlog::new(64 << 20).expect("memory");
        for n in 0..200 {
            assert!(backlog.add(&vec![n as u8; 1 << 20], n, n + 1));
            let chunk = backlog.first().expect("what was added");
            assert!(
                chunk.records[0] == n as u8
                    && chunk.records.as_ptr() as usize - backlog.memory.as_ptr() as usize
                        <= RESTART_BYTES + HEADER_BYTES
            );
            backlog.remove(&chunk);
        }
    }

    #[test]
    fn no_more_than_there_is_room_for() {
        let backlog = Backlog::new(1 << 20).expect("memory");
        assert!(!backlog.add(&vec![0; (1 << 20) - 16], 0, 1));
        assert!(backlog.add(&vec![1; (1 << 20) - 24], 5, 6) && !backlog.add(&[], 6, 7));
        assert_eq!(backlog.first().map(|c| (c.records.len(), c.first)), Some(((1 << 20) - 24, 5)));
    }
}
