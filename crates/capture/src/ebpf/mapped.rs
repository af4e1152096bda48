//! Memory that is shared with the kernel: a map of the probe, or a file.

use crate::Error;
use rustix::mm::{MapFlags, ProtFlags, mmap, munmap};
use std::io;
use std::os::fd::AsFd;
use std::ptr;
use std::sync::atomic::{AtomicU32, AtomicU64};

/// A mapping of shared memory.
pub(super) struct Mapped {
    address: *mut u8,
    len: usize,
}

// SAFETY: the memory is shared with the kernel, and read and written through atomics or after they
// said that it is ours.
unsafe impl Send for Mapped {}
// SAFETY: as above.
unsafe impl Sync for Mapped {}

impl Mapped {
    /// Maps `len` bytes of a map or file from `offset` on.
    pub fn new(map: impl AsFd, offset: usize, len: usize, writable: bool) -> Result<Self, Error> {
        let access = if writable { ProtFlags::READ | ProtFlags::WRITE } else { ProtFlags::READ };
        // SAFETY: a new mapping at an address of the kernel's choice.
        let address =
            unsafe { mmap(ptr::null_mut(), len, access, MapFlags::SHARED, map, offset as u64) };
        address
            .map(|address| Self { address: address.cast(), len })
            .map_err(|e| Error::refused("map a ring buffer")(io::Error::from(e)))
    }
    /// Returns the 64-bit word at this byte offset. Panics if it is not aligned or not in the
    /// mapping.
    pub fn word(&self, offset: usize) -> &AtomicU64 {
        assert!(offset.is_multiple_of(8) && offset + 8 <= self.len, "a word lies in its mapping");
        // SAFETY: within the mapping, aligned, and shared through atomics only.
        unsafe { &*self.address.add(offset).cast::<AtomicU64>() }
    }
    /// Returns the 32-bit word at this byte offset. Panics if it is not aligned or not in the
    /// mapping.
    pub fn word32(&self, offset: usize) -> &AtomicU32 {
        assert!(offset.is_multiple_of(4) && offset + 4 <= self.len, "a word lies in its mapping");
        // SAFETY: within the mapping, aligned, and shared through atomics only.
        unsafe { &*self.address.add(offset).cast::<AtomicU32>() }
    }
    /// Returns `len` bytes from `offset` on. Panics if they are not in the mapping.
    ///
    /// # Safety
    ///
    /// Nothing writes there while the slice is used.
    pub unsafe fn bytes(&self, offset: usize, len: usize) -> &[u8] {
        assert!(offset + len <= self.len, "the bytes lie in their mapping");
        // SAFETY: within the mapping; the rest is the caller's promise.
        unsafe { std::slice::from_raw_parts(self.address.add(offset), len) }
    }
}

impl Drop for Mapped {
    fn drop(&mut self) {
        // SAFETY: what `new` mapped; nothing borrows from it any more.
        let _ = unsafe { munmap(self.address.cast(), self.len) };
    }
}
