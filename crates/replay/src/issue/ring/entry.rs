//! An operation as it is submitted.

use abi::{AIO, AIO_OPCODES, OPERATIONS, Operation, SqeField, URING, URING_OPCODES};
use std::ops::Range;

/// In the flags of an entry of io_uring: `fd` is a slot of the ring's table of files;
const FIXED_FILE: u8 = 1 << 0;
/// it begins when all before it have completed;
const DRAIN: u8 = 1 << 1;
/// a thread of the kernel carries it out;
const ASYNC: u8 = 1 << 4;
/// the next entry begins when this one has completed: only if it did wholly, or in any case.
pub(crate) const LINKS: u8 = 3 << 2;
/// How many values [`SqeField`] has.
const FIELDS: usize = 9;

/// What stands in the fields of an operation's entry.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Entry {
    /// The number of its row.
    number: u32,
    /// The opcode with an ordinary buffer, if it takes a registered one,
    with_own_buffer: Option<u8>,
    /// which it may take here too.
    may_be_registered: bool,
    /// The registered buffer that it takes.
    buffer: Option<u16>,
    flags: u8,
    /// How it was linked to the one behind it.
    links: u8,
    /// Its file was one of the ring's table.
    is_of_table: bool,
    fields: [u64; FIELDS],
}

impl Entry {
    /// Makes the entry of an operation with these arguments, where `number` and `operation` are
    /// those of its row. `flags` are those with which it was submitted.
    pub fn new(number: u32, operation: &Operation, flags: u8, values: &[usize; 6]) -> Self {
        debug_assert!(number >= OPERATIONS);
        let mut fields = [0; FIELDS];
        for (field, value) in operation.fields.iter().zip(values) {
            fields[*field as usize] = *value as u64;
        }
        Self {
            number,
            with_own_buffer: operation.with_own_buffer,
            // One that completes many times has a buffer that the ring selects.
            may_be_registered: operation.with_own_buffer.is_some() && !operation.multishot,
            buffer: None,
            flags: flags & (DRAIN | ASYNC),
            links: flags & LINKS,
            is_of_table: flags & FIXED_FILE != 0,
            fields,
        }
    }

    /// Returns the opcode of io_uring, or `None` if this is an operation of libaio.
    pub fn opcode(&self) -> Option<u8> {
        let opcode = self.number.checked_sub(URING).filter(|opcode| *opcode < URING_OPCODES)?;
        self.with_own_buffer.filter(|_| self.buffer.is_none()).or(Some(opcode as u8))
    }

    /// Returns whether it moves bytes between its file and `memory`, as the recorded one did with a
    /// registered buffer.
    pub fn may_take_buffer(&self, memory: &Range<usize>) -> bool {
        let start = self.field(SqeField::Addr);
        let end = start.saturating_add(self.field(SqeField::Len));
        self.may_be_registered && start >= memory.start as u64 && end <= memory.end as u64
    }

    /// Makes it take a registered buffer, in which its bytes are.
    pub fn set_buffer(&mut self, index: u16) {
        self.buffer = Some(index);
    }

    /// Returns `io_uring_sqe.buf_index`.
    pub fn buffer(&self) -> u16 {
        self.buffer.unwrap_or(0)
    }

    /// Returns whether this is an operation of libaio.
    pub fn is_of_context(&self) -> bool {
        (AIO..AIO + AIO_OPCODES).contains(&self.number)
    }

    /// Returns the opcode of libaio. The entry must be one of libaio.
    pub fn context_opcode(&self) -> u16 {
        (self.number - AIO) as u16
    }

    /// Returns whether another operation was linked behind it.
    pub fn is_linked(&self) -> bool {
        self.links != 0
    }

    /// Returns the entry with the next one linked behind it, as it was.
    pub fn with_link(self) -> Self {
        Self { flags: self.flags | self.links, ..self }
    }

    /// Returns whether its file was one of the ring's table.
    pub fn is_of_table(&self) -> bool {
        self.is_of_table
    }

    /// Makes its file the one in a slot of the ring's table.
    pub fn set_slot(&mut self, slot: u32) {
        self.flags |= FIXED_FILE;
        self.fields[SqeField::Fd as usize] = slot.into();
    }

    /// Returns `io_uring_sqe.flags`.
    pub fn flags(&self) -> u8 {
        self.flags
    }

    /// Returns what stands in a field.
    pub fn field(&self, field: SqeField) -> u64 {
        self.fields[field as usize]
    }
}
