//! Memory for what calls bring back, and for inputs that must be copied: reserved once per
//! executor, touched only as far as it is used.

use rustix::mm::{Advice, MapFlags, ProtFlags, madvise, mmap_anonymous, munmap};
use std::ops::Range;
use std::ptr::NonNull;

const ARENA: usize = 16 << 20;
/// Pages beyond this are given back after each call.
const KEPT: usize = 256 << 10;
const PAGE: usize = 4096;
/// The most that one buffer can have: what the kernel moves at most in one call (`MAX_RW_COUNT`).
pub(crate) const MAX_RW_COUNT: usize = 0x7fff_f000;
/// Unused bytes behind each buffer.
const SLACK: usize = PAGE;

/// Memory of one call.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ScratchBuffer {
    start: NonNull<u8>,
    len: usize,
}

impl ScratchBuffer {
    /// Returns the address of the buffer.
    pub fn address(self) -> usize {
        self.start.as_ptr() as usize
    }
}

/// An arena that is emptied between calls.
pub(crate) struct Scratch {
    arena: NonNull<u8>,
    used: usize,
    large: Vec<(NonNull<u8>, usize)>,
}

// SAFETY: the mappings belong to this value alone; nothing about them is bound to a thread.
unsafe impl Send for Scratch {}

/// Maps `len` bytes of anonymous memory. Returns `None` if there is no memory.
fn map(len: usize) -> Option<NonNull<u8>> {
    // SAFETY: a new private anonymous mapping touches no memory that exists.
    let mapping = unsafe {
        mmap_anonymous(
            std::ptr::null_mut(),
            len,
            ProtFlags::READ | ProtFlags::WRITE,
            MapFlags::PRIVATE | MapFlags::NORESERVE,
        )
    };
    NonNull::new(mapping.ok()?.cast())
}

impl Scratch {
    /// Creates the scratch memory of a thread. Returns `None` if there is no memory.
    pub fn new() -> Option<Self> {
        Some(Self { arena: map(ARENA)?, used: 0, large: Vec::new() })
    }

    /// Returns the memory that stays where it is, with its pages, until this is dropped. What is
    /// allocated first is there.
    pub fn lasting(&self) -> Range<usize> {
        let start = self.arena.as_ptr() as usize;
        start..start + KEPT
    }

    /// Allocates `len` bytes, page-aligned. They are zero, unless an earlier call left data in
    /// them. Returns `None` if that is more than a call can move, or there is no memory.
    pub fn alloc(&mut self, len: usize) -> Option<ScratchBuffer> {
        if len > MAX_RW_COUNT {
            return None;
        }
        let size = (len + SLACK).next_multiple_of(PAGE);
        if size <= ARENA - self.used {
            // SAFETY: `used + size` stays within the arena.
            let start = unsafe { self.arena.add(self.used) };
            self.used += size;
            return Some(ScratchBuffer { start, len });
        }
        let start = map(size)?;
        self.large.push((start, size));
        Some(ScratchBuffer { start, len })
    }

    /// Returns the bytes of a buffer.
    pub fn bytes(&self, buffer: ScratchBuffer) -> &[u8] {
        // SAFETY: a room is a mapped, initialised part of this scratch until `clear`, which borrows
        // it mutably and whose callers keep no room.
        unsafe { std::slice::from_raw_parts(buffer.start.as_ptr(), buffer.len) }
    }

    /// Returns the bytes of a buffer, to write to them.
    pub fn bytes_mut(&mut self, buffer: ScratchBuffer) -> &mut [u8] {
        // SAFETY: as above; the mutable borrow keeps others away.
        unsafe { std::slice::from_raw_parts_mut(buffer.start.as_ptr(), buffer.len) }
    }

    /// Frees all buffers.
    pub fn clear(&mut self) {
        for (start, len) in self.large.drain(..) {
            // SAFETY: mapped by `alloc`, forgotten here.
            let _ = unsafe { munmap(start.as_ptr().cast(), len) };
        }
        if self.used > KEPT {
            // SAFETY: within the arena; pages given back read as zeros.
            let _ = unsafe {
                madvise(
                    self.arena.add(KEPT).as_ptr().cast(),
                    self.used - KEPT,
                    Advice::LinuxDontNeed,
                )
            };
        }
        self.used = 0;
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        self.clear();
        // SAFETY: mapped by `new`, not used after.
        let _ = unsafe { munmap(self.arena.as_ptr().cast(), ARENA) };
    }
}
