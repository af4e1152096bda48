//! A ring of io_uring.

mod registered;

use super::Entry;
use crate::issue::raw;
use abi::SqeField;
use linux_raw_sys::io_uring as linux;
use rustix::fd::{AsFd, FromRawFd, OwnedFd};
use rustix::io::{self, Errno};
use rustix::mm::{MapFlags, ProtFlags, mmap, munmap};
use std::ffi::c_void;
use std::os::fd::AsRawFd;
use std::ptr::NonNull;
use std::sync::atomic::{AtomicU32, Ordering::Acquire, Ordering::Release};
use std::time::Duration;
use syscalls::Sysno;

/// `struct io_uring_sqe`.
#[repr(C)]
#[derive(Clone, Copy)]
struct Sqe {
    opcode: u8,
    flags: u8,
    ioprio: u16,
    fd: i32,
    off: u64,
    addr: u64,
    len: u32,
    op_flags: u32,
    user_data: u64,
    buf_index: u16,
    personality: u16,
    file_index: i32,
    addr3: u64,
    unused: u64,
}
const _: () = assert!(size_of::<Sqe>() == 64);

/// `struct io_uring_cqe`.
#[repr(C)]
#[derive(Clone, Copy)]
struct Cqe {
    user_data: u64,
    res: i32,
    flags: u32,
}

/// How many opcodes there can be.
const OPCODES: usize = 256;

/// What a ring must offer: Linux 5.11.
const FEATURES: u32 =
    linux::IORING_FEAT_SINGLE_MMAP | linux::IORING_FEAT_NODROP | linux::IORING_FEAT_EXT_ARG;

/// A mapping of a ring's memory.
struct Mapping {
    start: NonNull<c_void>,
    len: usize,
}

impl Mapping {
    /// Maps `len` bytes of the part of the ring that is at `offset`.
    fn new(ring: &OwnedFd, len: usize, offset: u32) -> io::Result<Self> {
        let (access, flags) = (ProtFlags::READ | ProtFlags::WRITE, MapFlags::SHARED);
        // SAFETY: a new mapping touches no memory that exists.
        let start = unsafe {
            mmap(
                std::ptr::null_mut(),
                len,
                access,
                flags | MapFlags::POPULATE,
                ring.as_fd(),
                offset.into(),
            )
        }?;
        Ok(Self { start: NonNull::new(start).ok_or(Errno::NOMEM)?, len })
    }

    /// Returns the value at byte `at`, which the kernel reads and writes too.
    fn word(&self, at: u32) -> &AtomicU32 {
        debug_assert!(at as usize + 4 <= self.len);
        // SAFETY: the kernel says that such a value is there (`sq_off`, `cq_off`), aligned, and
        // the mapping is as long as they require. It stays for as long as `self` does.
        unsafe { AtomicU32::from_ptr(self.start.byte_add(at as usize).as_ptr().cast()) }
    }
}

impl Drop for Mapping {
    fn drop(&mut self) {
        // SAFETY: mapped by `new`; no reference to it outlives `self`.
        let _ = unsafe { munmap(self.start.as_ptr(), self.len) };
    }
}

/// A ring of io_uring.
pub(crate) struct Uring {
    fd: OwnedFd,
    rings: Mapping,
    entries: Mapping,
    params: linux::io_uring_params,
    supported: Box<[bool; OPCODES]>,
    /// It has a table of files.
    has_files: bool,
    /// It has a table of buffers.
    has_buffers: bool,
    /// The position of the next entry.
    tail: u32,
    /// Entries that were added and not submitted,
    added: u32,
    /// and all whose completion was not taken.
    under_way: u32,
}

impl Uring {
    /// Makes a ring with room for so many entries and completions (0: as the kernel chooses), or as
    /// many as the kernel allows.
    pub fn new(entries: u32, completions: u32, flags: u32) -> io::Result<Self> {
        // SAFETY: a struct of numbers.
        let mut params: linux::io_uring_params = unsafe { std::mem::zeroed() };
        params.flags = flags | linux::IORING_SETUP_CLAMP;
        if completions > 0 {
            params.flags |= linux::IORING_SETUP_CQSIZE;
            params.cq_entries = completions.max(entries);
        }
        let address = (&raw mut params) as usize;
        let arguments = [entries as usize, address, 0, 0, 0, 0];
        // SAFETY: the kernel writes to `params`, which has this layout.
        let fd = unsafe { raw::call(Sysno::io_uring_setup, arguments) }?;
        // SAFETY: a new descriptor, which belongs to nobody else.
        let fd = unsafe { OwnedFd::from_raw_fd(fd as i32) };
        if params.features & FEATURES != FEATURES {
            return Err(Errno::NOSYS);
        }
        let (sq, cq) = (params.sq_off, params.cq_off);
        let len = (sq.array as usize + params.sq_entries as usize * 4)
            .max(cq.cqes as usize + params.cq_entries as usize * size_of::<Cqe>());
        let rings = Mapping::new(&fd, len, linux::IORING_OFF_SQ_RING)?;
        let length = params.sq_entries as usize * size_of::<Sqe>();
        let entries = Mapping::new(&fd, length, linux::IORING_OFF_SQES)?;
        for i in 0..params.sq_entries {
            rings.word(sq.array + i * 4).store(i, Release);
        }
        let supported = registered::supported(&fd)?;
        let tail = rings.word(sq.tail).load(Acquire);
        Ok(Self {
            fd,
            rings,
            entries,
            params,
            supported,
            has_files: false,
            has_buffers: false,
            tail,
            added: 0,
            under_way: 0,
        })
    }

    /// Returns whether the kernel knows this operation.
    pub fn supports(&self, opcode: u8) -> bool {
        self.supported[usize::from(opcode)]
    }

    /// Returns whether an operation can be added.
    pub fn has_room(&self) -> bool {
        self.under_way < self.params.cq_entries
    }

    /// Returns whether so many linked operations can be submitted together.
    pub fn has_room_for_chain(&self, operations: usize) -> bool {
        let free = self.params.cq_entries.saturating_sub(self.under_way);
        operations <= self.params.sq_entries.min(free) as usize
    }

    /// Submits what was added, if otherwise a chain of so many operations would be cut.
    pub fn make_room_for_chain(&mut self, operations: usize) {
        let fits = |added: u32| added as usize + operations <= self.params.sq_entries as usize;
        if self.added > 0 && !fits(self.added) {
            self.submit(0, Duration::ZERO);
        }
    }

    /// Returns how many operations were added whose completion was not taken.
    pub fn under_way(&self) -> u32 {
        self.under_way
    }

    /// Adds an operation. There must be room.
    pub fn add(&mut self, entry: &Entry, id: u32) {
        let Some(opcode) = entry.opcode() else { return };
        while self.added == self.params.sq_entries {
            self.submit(0, Duration::ZERO);
        }
        let sqe = Sqe {
            opcode,
            flags: entry.flags(),
            ioprio: 0,
            fd: entry.field(SqeField::Fd) as i32,
            off: entry.field(SqeField::Off),
            addr: entry.field(SqeField::Addr),
            len: entry.field(SqeField::Len) as u32,
            op_flags: entry.field(SqeField::OpFlags) as u32,
            user_data: id.into(),
            buf_index: entry.buffer(),
            personality: 0,
            file_index: entry.field(SqeField::FileIndex) as i32,
            addr3: entry.field(SqeField::Addr3),
            unused: 0,
        };
        let at = self.tail & (self.params.sq_entries - 1);
        // SAFETY: the mapping has `sq_entries` entries, a power of two, and the kernel has taken
        // the one that was here before: fewer than that were added and not submitted.
        unsafe { self.entries.start.cast::<Sqe>().add(at as usize).write(sqe) };
        self.tail = self.tail.wrapping_add(1);
        self.rings.word(self.params.sq_off.tail).store(self.tail, Release);
        self.added += 1;
        self.under_way += 1;
    }

    /// Submits what was added, and waits until a completion is there, but not longer than
    /// `longest`.
    pub fn enter(&mut self, longest: Duration) {
        self.submit(1, longest);
    }

    /// Submits what was added, and waits until so many completions are there, but not longer than
    /// `longest`.
    fn submit(&mut self, completions: usize, longest: Duration) {
        let timeout = [longest.as_secs(), longest.subsec_nanos().into()];
        // `struct io_uring_getevents_arg`: no signal mask.
        let argument = [0, 8, timeout.as_ptr() as u64];
        let flags = linux::IORING_ENTER_GETEVENTS | linux::IORING_ENTER_EXT_ARG;
        let arguments = [
            self.fd.as_raw_fd() as usize,
            self.added as usize,
            completions,
            flags as usize,
            argument.as_ptr() as usize,
            size_of_val(&argument),
        ];
        // SAFETY: the argument and the time live until the call returns. What the entries point to
        // stays until their completion is taken (see the module above).
        let taken = unsafe { raw::call(Sysno::io_uring_enter, arguments) };
        // An error means that nothing was submitted, or that no completion came in time. What is
        // left is submitted next time.
        self.added -= taken.map_or(0, |taken| taken as u32).min(self.added);
    }

    /// Takes a completion, if there is one.
    pub fn take(&mut self) -> Option<(u32, i64)> {
        let offsets = self.params.cq_off;
        let head = self.rings.word(offsets.head).load(Acquire);
        if head == self.rings.word(offsets.tail).load(Acquire) {
            return None;
        }
        let at = offsets.cqes as usize
            + (head & (self.params.cq_entries - 1)) as usize * size_of::<Cqe>();
        // SAFETY: the mapping has `cq_entries` completions from `cqes` on, and the kernel has
        // written this one before it moved the tail.
        let cqe = unsafe { self.rings.start.byte_add(at).cast::<Cqe>().read() };
        self.rings.word(offsets.head).store(head.wrapping_add(1), Release);
        self.under_way -= 1;
        Some((cqe.user_data as u32, cqe.res.into()))
    }
}

impl Drop for Uring {
    /// Waits for what is under way, as the kernel may still write to its memory.
    fn drop(&mut self) {
        while self.under_way > 0 {
            if self.take().is_none() {
                self.enter(Duration::from_millis(10));
            }
        }
    }
}
