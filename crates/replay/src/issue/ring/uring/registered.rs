//! What is registered with a ring of io_uring, and what a ring can do.

use super::{OPCODES, Uring};
use crate::issue::raw;
use crate::issue::ring::Ring;
use linux_raw_sys::io_uring as linux;
use linux_raw_sys::io_uring::io_uring_register_op::{
    IORING_REGISTER_BUFFERS_UPDATE, IORING_REGISTER_BUFFERS2, IORING_REGISTER_FILES,
    IORING_REGISTER_FILES_UPDATE, IORING_REGISTER_PROBE,
};
use rustix::fd::OwnedFd;
use rustix::io;
use std::ops::Range;
use std::os::fd::AsRawFd;
use syscalls::Sysno;

/// `struct io_uring_probe` with all operations.
#[repr(C)]
#[derive(Clone, Copy)]
struct Probe {
    last_op: u8,
    ops_len: u8,
    unused: [u16; 7],
    /// Of each: opcode, a reserved byte, flags (two bytes), four reserved bytes.
    ops: [[u8; 8]; OPCODES],
}
impl Uring {
    /// Puts a file into a slot of the table, or takes out the one that is there if `fd` is -1.
    pub fn set_file(&mut self, slot: u32, fd: i32) -> io::Result<()> {
        if !self.has_files {
            let none = [-1i32; Ring::FILES];
            self.register(IORING_REGISTER_FILES, none.as_ptr() as usize, none.len())?;
            self.has_files = true;
        }
        // `struct io_uring_files_update`, where the machine is little-endian: the first slot, the
        // address of the descriptors.
        let update = [u64::from(slot), &raw const fd as u64];
        self.register(IORING_REGISTER_FILES_UPDATE, update.as_ptr() as usize, 1)
    }

    /// Registers `memory` as a buffer.
    pub fn set_buffer(&mut self, index: u16, memory: &Range<usize>) -> io::Result<()> {
        if !self.has_buffers {
            let table = linux::io_uring_rsrc_register {
                nr: Ring::BUFFERS as u32,
                flags: linux::IORING_RSRC_REGISTER_SPARSE,
                resv2: 0,
                data: 0,
                tags: 0,
            };
            let address = &raw const table as usize;
            self.register(IORING_REGISTER_BUFFERS2, address, size_of_val(&table))?;
            self.has_buffers = true;
        }
        let vector = [memory.start, memory.len()];
        let update = linux::io_uring_rsrc_update2 {
            offset: index.into(),
            resv: 0,
            data: vector.as_ptr() as u64,
            tags: 0,
            nr: 1,
            resv2: 0,
        };
        let address = &raw const update as usize;
        self.register(IORING_REGISTER_BUFFERS_UPDATE, address, size_of_val(&update))
    }

    /// io_uring_register(2) of this ring, with `count` elements at `address`, which the kernel only
    /// reads.
    fn register(
        &self,
        what: linux::io_uring_register_op,
        address: usize,
        count: usize,
    ) -> io::Result<()> {
        let arguments = [self.fd.as_raw_fd() as usize, what as usize, address, count, 0, 0];
        // SAFETY: the callers pass arrays that live until the call returns.
        unsafe { raw::call(Sysno::io_uring_register, arguments) }.map(|_| ())
    }
}

/// Asks which operations the kernel knows.
pub(super) fn supported(ring: &OwnedFd) -> io::Result<Box<[bool; OPCODES]>> {
    let mut probe = Box::new(Probe { last_op: 0, ops_len: 0, unused: [0; 7], ops: [[0; 8]; 256] });
    let arguments = [
        ring.as_raw_fd() as usize,
        IORING_REGISTER_PROBE as usize,
        (&raw mut *probe) as usize,
        OPCODES,
        0,
        0,
    ];
    // SAFETY: the kernel writes to `probe`, which has room for so many operations.
    unsafe { raw::call(Sysno::io_uring_register, arguments) }?;
    let known = |op: &[u8; 8]| u32::from(op[2]) & linux::IO_URING_OP_SUPPORTED != 0;
    let mut supported = Box::new([false; OPCODES]);
    for op in &probe.ops[..usize::from(probe.ops_len).min(OPCODES)] {
        supported[usize::from(op[0])] = known(op);
    }
    Ok(supported)
}
