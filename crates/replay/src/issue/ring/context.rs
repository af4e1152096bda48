//! A context of libaio.

use super::Entry;
use crate::issue::raw;
use abi::SqeField;
use rustix::io::{self, Errno};
use std::collections::VecDeque;
use std::time::Duration;
use syscalls::Sysno;

/// `struct iocb`, where the machine is little-endian.
#[repr(C)]
#[derive(Clone, Copy)]
struct Block {
    data: u64,
    key: u32,
    rw_flags: u32,
    opcode: u16,
    reqprio: i16,
    fildes: u32,
    buf: u64,
    nbytes: u64,
    offset: u64,
    reserved: u64,
    flags: u32,
    resfd: u32,
}
const _: () = assert!(size_of::<Block>() == 64);

/// `struct io_event`.
#[repr(C)]
#[derive(Clone, Copy, Default)]
struct Event {
    data: u64,
    obj: u64,
    res: i64,
    res2: i64,
}

/// The least operations that a context is made for.
const FEWEST: u32 = 8;
/// Completions that are taken by one call.
const EVENTS: usize = 64;

/// A context of libaio.
pub(crate) struct Context {
    id: u64,
    capacity: u32,
    /// What was added and not submitted, and the addresses of the blocks for the kernel.
    added: VecDeque<Block>,
    addresses: Vec<u64>,
    /// Completions that were not taken.
    completed: VecDeque<(u32, i64)>,
    under_way: u32,
}

impl Context {
    /// Makes a context for so many operations, or for fewer if the machine's limit
    /// (`fs.aio-max-nr`) is reached.
    pub fn new(events: u32) -> io::Result<Self> {
        let mut capacity = events.max(FEWEST);
        loop {
            let mut id = 0u64;
            let address = (&raw mut id) as usize;
            // SAFETY: the kernel writes the context's number there.
            match unsafe { raw::call(Sysno::io_setup, [capacity as usize, address, 0, 0, 0, 0]) } {
                Ok(_) => {
                    return Ok(Self {
                        id,
                        capacity,
                        added: VecDeque::new(),
                        addresses: Vec::new(),
                        completed: VecDeque::new(),
                        under_way: 0,
                    });
                }
                Err(Errno::AGAIN | Errno::INVAL | Errno::NOMEM) if capacity > FEWEST => {
                    capacity = (capacity / 2).max(FEWEST);
                }
                Err(why) => return Err(why),
            }
        }
    }

    /// Returns whether an operation can be added.
    pub fn has_room(&self) -> bool {
        self.under_way < self.capacity
    }

    /// Returns how many operations were added whose completion was not taken.
    pub fn under_way(&self) -> u32 {
        self.under_way
    }

    /// Adds an operation. There must be room.
    pub fn add(&mut self, entry: &Entry, id: u32) {
        self.added.push_back(Block {
            data: id.into(),
            key: 0,
            rw_flags: entry.field(SqeField::OpFlags) as u32,
            opcode: entry.context_opcode(),
            reqprio: 0,
            fildes: entry.field(SqeField::Fd) as u32,
            buf: entry.field(SqeField::Addr),
            nbytes: entry.field(SqeField::Len),
            offset: entry.field(SqeField::Off),
            reserved: 0,
            flags: 0,
            resfd: 0,
        });
        self.under_way += 1;
    }

    /// Submits what was added. An operation that the kernel refuses is completed with its errno.
    fn submit(&mut self) {
        while !self.added.is_empty() {
            let blocks = self.added.make_contiguous();
            self.addresses.clear();
            self.addresses.extend(blocks.iter().map(|block| std::ptr::from_ref(block) as u64));
            let list = self.addresses.as_ptr() as usize;
            let arguments = [self.id as usize, blocks.len(), list, 0, 0, 0];
            // SAFETY: the blocks and their addresses live until the call returns, and the kernel
            // has copied the blocks then. What they point to stays until their completion is taken
            // (see the module above).
            let taken = unsafe { raw::call(Sysno::io_submit, arguments) };
            match taken {
                Ok(taken @ 1..) => drop(self.added.drain(..taken.min(self.added.len()))),
                Err(Errno::INTR) => {}
                // No place is free: one may be once a completion is taken.
                Err(Errno::AGAIN) if self.under_way as usize > self.added.len() => return,
                Ok(_) | Err(_) => {
                    let why = taken.err().unwrap_or(Errno::AGAIN);
                    if let Some(block) = self.added.pop_front() {
                        self.completed.push_back((block.data as u32, raw::result_of(why)));
                    }
                }
            }
        }
    }

    /// Submits what was added, and waits until a completion is there, but not longer than
    /// `longest`.
    pub fn enter(&mut self, longest: Duration) {
        self.submit();
        if !self.completed.is_empty() || self.under_way as usize == self.added.len() {
            return;
        }
        let timeout = [longest.as_secs(), longest.subsec_nanos().into()];
        let mut events = [Event::default(); EVENTS];
        let (list, limit) = (events.as_mut_ptr() as usize, timeout.as_ptr() as usize);
        let arguments = [self.id as usize, 1, EVENTS, list, limit, 0];
        // SAFETY: the kernel writes at most so many events, and reads the time.
        let taken = unsafe { raw::call(Sysno::io_getevents, arguments) };
        let taken = taken.unwrap_or(0).min(EVENTS);
        self.completed.extend(events[..taken].iter().map(|event| (event.data as u32, event.res)));
    }

    /// Takes a completion, if there is one.
    pub fn take(&mut self) -> Option<(u32, i64)> {
        let taken = self.completed.pop_front()?;
        self.under_way -= 1;
        Some(taken)
    }
}

impl Drop for Context {
    /// Ends the context. The kernel waits for what is under way.
    fn drop(&mut self) {
        // SAFETY: a number.
        let _ = unsafe { raw::call(Sysno::io_destroy, [self.id as usize, 0, 0, 0, 0, 0]) };
    }
}
