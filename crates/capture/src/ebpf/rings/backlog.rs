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

/// The bytes before the records of a chunk: their length, the sequence number of the first one, and
/// the one after the last.
const HEAD: usize = 24;
/// Instead of a length: the next chunk is at the beginning of the memory.
const AROUND: u64 = u64::MAX;
/// When the queue is empty and this many bytes of the memory were used, the next chunk goes to the
/// beginning again, so that no more memory is touched than needed.
const LOW: usize = 4 << 20;
/// Memory is freed after this many bytes have passed through.
const MUCH: u64 = 1 << 20;

/// The queue.
pub(in crate::ebpf) struct Backlog {
    memory: NonNull<u8>,
    len: usize,
    /// Where the next chunk begins. Positions only grow; modulo `len` they are offsets in the
    /// memory.
    put: AtomicU64,
    /// Where the first chunk begins.
    consumed: AtomicU64,
    /// The value of `put` when memory was last freed.
    given_back: AtomicU64,
}

// SAFETY: one thread writes behind `put` and then moves it, another reads what lies between `taken`
// and `put`.
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
    /// Where the chunk ends.
    end: u64,
}

impl Backlog {
    /// Reserves memory for `most` bytes, or for less if the kernel does not permit as much (at
    /// least 8 MiB).
    pub fn new(most: usize) -> Result<Self, Error> {
        let mut len = most.next_multiple_of(1 << 20);
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
                    // SAFETY: the mapping's first byte.
                    unsafe { memory.write_volatile(0) };
                    return Ok(Self {
                        memory,
                        len,
                        put: AtomicU64::new(0),
                        consumed: AtomicU64::new(0),
                        given_back: AtomicU64::new(0),
                    });
                }
                Err(_) if len > 16 << 20 => len /= 2,
                Err(e) => return Err(Error::refused("reserve memory")(io::Error::from(e))),
            }
        }
    }

    /// Returns the offset in the memory of a position.
    fn place(&self, position: u64) -> usize {
        (position % self.len as u64) as usize
    }

    /// Returns the address of the 8 bytes at `at`, a multiple of 8.
    fn word(&self, at: usize) -> *mut u64 {
        assert!(at.is_multiple_of(8) && at + 8 <= self.len, "a word lies in its mapping");
        // SAFETY: within the mapping.
        unsafe { self.memory.as_ptr().add(at).cast() }
    }

    /// Returns whether the queue is empty.
    pub fn is_empty(&self) -> bool {
        self.consumed.load(Ordering::Acquire) == self.put.load(Ordering::Acquire)
    }

    /// Adds records to the queue. Returns false if there is no room. Only one thread may call this.
    pub fn put(&self, records: &[u8], first: u64, next: u64) -> bool {
        let (mut put, consumed) =
            (self.put.load(Ordering::Relaxed), self.consumed.load(Ordering::Acquire));
        let need = HEAD + records.len().next_multiple_of(8);
        let rest = self.len - self.place(put);
        let skip = if rest < need || (put == consumed && self.place(put) >= need.max(LOW)) {
            rest
        } else {
            0
        };
        if (put - consumed) as usize + skip + need > self.len {
            return false;
        }
        if skip > 0 {
            // SAFETY: nothing reads what is not between `taken` and `put`.
            unsafe { self.word(self.place(put)).write(AROUND) };
            put += skip as u64;
        }
        let at = self.place(put);
        // SAFETY: as above, and `need` bytes from here lie within the mapping.
        unsafe {
            self.word(at).write(records.len() as u64);
            self.word(at + 8).write(first);
            self.word(at + 16).write(next);
            self.memory
                .as_ptr()
                .add(at + HEAD)
                .copy_from_nonoverlapping(records.as_ptr(), records.len());
        }
        self.put.store(put + need as u64, Ordering::Release);
        true
    }

    /// Returns the first chunk of the queue, or `None` if it is empty. Only one thread may call
    /// this.
    pub fn first(&self) -> Option<Chunk<'_>> {
        let (mut consumed, put) =
            (self.consumed.load(Ordering::Relaxed), self.put.load(Ordering::Acquire));
        if consumed == put {
            return None;
        }
        // SAFETY: what lies between `taken` and `put` was written before `put` was moved, and stays
        // until `taken` is.
        let word = |at: usize| unsafe { self.word(at).read() };
        if word(self.place(consumed)) == AROUND {
            consumed += (self.len - self.place(consumed)) as u64;
        }
        let at = self.place(consumed);
        let len = word(at) as usize;
        assert!(len <= self.len - at - HEAD, "records lie in their mapping");
        // SAFETY: as above, and within the mapping.
        let records =
            unsafe { std::slice::from_raw_parts(self.memory.as_ptr().add(at + HEAD), len) };
        Some(Chunk {
            records,
            first: word(at + 8),
            next: word(at + 16),
            end: consumed + (HEAD + len.next_multiple_of(8)) as u64,
        })
    }

    /// Removes the chunk that [`Backlog::first`] returned.
    pub fn take(&self, chunk: &Chunk<'_>) {
        self.consumed.store(chunk.end, Ordering::Release);
    }

    /// Frees the memory if the queue is empty and enough has passed through. Only the thread that
    /// adds records may call this.
    pub fn give_back(&self) {
        let put = self.put.load(Ordering::Relaxed);
        if put - self.given_back.load(Ordering::Relaxed) > MUCH && self.is_empty() {
            // SAFETY: nothing reads here while nothing waits, and only the caller writes.
            let _best =
                unsafe { madvise(self.memory.as_ptr().cast(), self.len, Advice::LinuxDontNeed) };
            self.given_back.store(put, Ordering::Relaxed);
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
                    while !backlog.put(&records(n), n, n + 1) {
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
                backlog.take(&chunk);
            }
        });
        assert!(backlog.is_empty() && backlog.first().is_none());
        backlog.give_back();
        assert!(
            backlog.put(&records(5), 5, 6)
                && backlog.first().is_some_and(|c| c.records == records(5)),
            "after memory was given back"
        );
    }

    /// However much passes, no more is touched than waits at a time.
    #[test]
    fn it_begins_at_the_beginning_again() {
        let backlog = Backlog::new(64 << 20).expect("memory");
        for n in 0..200 {
            assert!(backlog.put(&vec![n as u8; 1 << 20], n, n + 1));
            let chunk = backlog.first().expect("what was put there");
            assert!(
                chunk.records[0] == n as u8
                    && chunk.records.as_ptr() as usize - backlog.memory.as_ptr() as usize
                        <= LOW + HEAD
            );
            backlog.take(&chunk);
        }
    }

    #[test]
    fn no_more_than_there_is_room_for() {
        let backlog = Backlog::new(1 << 20).expect("memory");
        assert!(!backlog.put(&vec![0; (1 << 20) - 16], 0, 1));
        assert!(backlog.put(&vec![1; (1 << 20) - 24], 5, 6) && !backlog.put(&[], 6, 7));
        assert_eq!(backlog.first().map(|c| (c.records.len(), c.first)), Some(((1 << 20) - 24, 5)));
    }
}
