//! Rings of io_uring and contexts of libaio, with which one thread submits operations and takes
//! their completions.
//!
//! What makes it sound is what the module above says of pointers, and that the memory an entry
//! points to stays where it is until its completion is taken or the ring is dropped, which waits
//! for all that is under way.

#[allow(unsafe_code)]
mod context;
mod entry;
#[allow(unsafe_code)]
mod uring;

pub(crate) use entry::{Entry, LINKS};

use context::Context;
use linux_raw_sys::io_uring::{
    IORING_SETUP_COOP_TASKRUN, IORING_SETUP_DEFER_TASKRUN, IORING_SETUP_SINGLE_ISSUER,
    IORING_SETUP_TASKRUN_FLAG,
};
use rustix::io;
use std::ops::Range;
use std::time::Duration;
use uring::Uring;

/// Which ring to make.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum RingSpec {
    /// A ring of io_uring with room for so many entries and completions (0: as the kernel chooses),
    /// and those of these flags that say how completions reach the thread that submits.
    Uring { entries: u32, completions: u32, flags: u32 },
    /// A context of libaio for so many operations.
    Context { events: u32 },
}

impl RingSpec {
    /// The flags of a ring that replay takes over. The others ask for polling, for memory or
    /// threads of other rings, or for other layouts of entries.
    const FLAGS: u32 = IORING_SETUP_COOP_TASKRUN
        | IORING_SETUP_TASKRUN_FLAG
        | IORING_SETUP_SINGLE_ISSUER
        | IORING_SETUP_DEFER_TASKRUN;

    /// Returns what the system call that makes such a ring is called.
    pub fn call(self) -> &'static str {
        match self {
            Self::Uring { .. } => "io_uring_setup",
            Self::Context { .. } => "io_setup",
        }
    }

    /// Makes the ring. It belongs to the calling thread.
    pub fn make(self) -> io::Result<Ring> {
        match self {
            Self::Uring { entries, completions, flags } => {
                let make = |flags| Uring::new(entries, completions, flags);
                // An older kernel does not know some of them.
                make(flags & Self::FLAGS).or_else(|_| make(0)).map(Ring::Uring)
            }
            Self::Context { events } => Context::new(events).map(Ring::Context),
        }
    }
}

/// A ring of io_uring or a context of libaio.
pub(crate) enum Ring {
    Uring(Uring),
    Context(Context),
}

impl Ring {
    /// How many files a ring's table holds.
    pub const FILES: usize = 64;

    /// Puts a file into a slot of the ring's table, or takes out the one that is there if `fd` is
    /// -1. Operations that are under way keep theirs.
    pub fn set_file(&mut self, slot: u32, fd: i32) -> io::Result<()> {
        match self {
            Self::Uring(uring) => uring.set_file(slot, fd),
            Self::Context(_) => Err(io::Errno::NOSYS),
        }
    }

    /// How many buffers can be registered with a ring.
    pub const BUFFERS: usize = 256;

    /// Registers `memory` as a buffer of the ring. It must be there until the ring is dropped.
    pub fn set_buffer(&mut self, index: u16, memory: &Range<usize>) -> io::Result<()> {
        match self {
            Self::Uring(uring) => uring.set_buffer(index, memory),
            Self::Context(_) => Err(io::Errno::NOSYS),
        }
    }

    /// Returns whether the kernel takes such an operation.
    pub fn supports(&self, entry: &Entry) -> bool {
        match self {
            Self::Uring(uring) => entry.opcode().is_some_and(|opcode| uring.supports(opcode)),
            Self::Context(_) => entry.is_of_context(),
        }
    }

    /// Returns whether one more operation can be submitted before a completion is taken.
    pub fn has_room(&self) -> bool {
        match self {
            Self::Uring(uring) => uring.has_room(),
            Self::Context(context) => context.has_room(),
        }
    }

    /// Returns whether so many linked operations can be submitted together before a completion is
    /// taken.
    pub fn has_room_for_chain(&self, operations: usize) -> bool {
        match self {
            Self::Uring(uring) => uring.has_room_for_chain(operations),
            Self::Context(_) => false,
        }
    }

    /// Submits what was added, if otherwise a chain of so many operations could not be added whole.
    pub fn make_room_for_chain(&mut self, operations: usize) {
        if let Self::Uring(uring) = self {
            uring.make_room_for_chain(operations);
        }
    }

    /// Returns how many operations were added whose completion was not taken.
    pub fn under_way(&self) -> u32 {
        match self {
            Self::Uring(uring) => uring.under_way(),
            Self::Context(context) => context.under_way(),
        }
    }

    /// Adds an operation, to be submitted by the next [`Self::enter`] at the latest. There must be
    /// room.
    /// `id` comes back with its completion.
    pub fn add(&mut self, entry: &Entry, id: u32) {
        match self {
            Self::Uring(uring) => uring.add(entry, id),
            Self::Context(context) => context.add(entry, id),
        }
    }

    /// Submits what was added, and waits until a completion is there, but not longer than
    /// `longest`.
    pub fn enter(&mut self, longest: Duration) {
        match self {
            Self::Uring(uring) => uring.enter(longest),
            Self::Context(context) => context.enter(longest),
        }
    }

    /// Takes a completion, if there is one: the id of the operation, and its result or a negative
    /// errno.
    pub fn take(&mut self) -> Option<(u32, i64)> {
        match self {
            Self::Uring(uring) => uring.take(),
            Self::Context(context) => context.take(),
        }
    }
}

#[cfg(test)]
mod tests;
