//! Operations that are not system calls, but are described by rows like them.

use syscalls::x86_64::Sysno;

/// Rows with numbers from here on describe operations that are not system calls. No system call has
/// such a number: the kernel takes it for a negative one.
pub const OPERATIONS: u32 = 0x8000_0000;
/// The number of io_uring's operation with opcode 0 (`IORING_OP_NOP`); that of another one is as
/// much larger as its opcode.
pub const URING: u32 = OPERATIONS;
/// How many opcodes io_uring can have (`io_uring_sqe.opcode` is a byte).
pub const URING_OPCODES: u32 = 256;
/// The number of libaio's operation with opcode 0 (`IOCB_CMD_PREAD`); that of another one is as
/// much larger as its opcode.
pub const AIO: u32 = URING + URING_OPCODES;
/// How many opcodes libaio has (`IOCB_CMD_PWRITEV` is the last).
pub const AIO_OPCODES: u32 = 9;
/// The number of the row that says what a program stored through a shared mapping of a file; the
/// next one ends the mapping.
pub const MAPPINGS: u32 = AIO + AIO_OPCODES;

/// A field of `struct io_uring_sqe`, from which an argument is taken; or the field of
/// `struct iocb` that means the same: `aio_fildes`, `aio_offset`, `aio_buf`, `aio_nbytes` and
/// `aio_rw_flags`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u8)]
pub enum SqeField {
    /// No field: the argument is 0.
    Zero = 0,
    /// `fd`, a signed number of 32 bits. With `IOSQE_FIXED_FILE` it is the index of a file that is
    /// registered with the ring; see [`registered_file`].
    Fd = 1,
    /// `off`, which is also `addr2`.
    Off = 2,
    /// `addr`, which is also `splice_off_in`.
    Addr = 3,
    /// `len`, 32 bits.
    Len = 4,
    /// `rw_flags` and the other flags in its place, 32 bits.
    OpFlags = 5,
    /// `splice_fd_in`, which is also `file_index`, a signed number of 32 bits.
    FileIndex = 6,
    /// `addr3`.
    Addr3 = 7,
    /// `fd`, or the registered file of the slot before `file_index` if that is not 0.
    FdOrSlot = 8,
}

/// How a row relates to `struct io_uring_sqe` or `struct iocb`, and to a system call.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Operation {
    /// The field from which each argument is taken.
    pub fields: &'static [SqeField],
    /// The system call that does the same with the same arguments in the same order, or `None`.
    pub call: Option<Sysno>,
    /// The system call that does the same if the argument of kind [`crate::Kind::Pos`] is -1, which
    /// means the file offset of the open file; `None` if `call` takes -1.
    pub call_at_own_offset: Option<Sysno>,
    /// Whether one submission may complete many times.
    pub multishot: bool,
    /// The opcode that does the same with ordinary buffers, if this one takes a buffer that is
    /// registered with the ring, or that the ring selects.
    pub with_own_buffer: Option<u8>,
}

/// What the arguments of an operation do not say of its entry: argument 5 of a row with fewer
/// arguments than six, as `bpf/uring_operation.h` makes it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct SqeWord(pub u64);

impl SqeWord {
    /// In the bits of `file_index`: any slot that is free (`IORING_FILE_INDEX_ALLOC`).
    const ANY_SLOT: u64 = 0xf_ffff;

    /// Returns `io_uring_sqe.flags` (`IOSQE_*`).
    pub const fn flags(self) -> u8 {
        self.0 as u8
    }
    /// Returns the index of the registered buffer, or the group from which a buffer is selected.
    pub const fn buffer(self) -> u16 {
        (self.0 >> 8) as u16
    }
    /// Returns the slot of the ring's registered files into which a file is opened or from which it
    /// is closed: `None` if it is an ordinary descriptor, `Some(None)` if the kernel chooses one.
    pub const fn slot(self) -> Option<Option<u32>> {
        match self.0 >> 24 & 0xf_ffff {
            0 => None,
            Self::ANY_SLOT => Some(None),
            index => Some(Some(index as u32 - 1)),
        }
    }
    /// Returns the number of the ring, counted from 1.
    pub const fn ring(self) -> u32 {
        (self.0 >> 44) as u32
    }
}

/// Returns the value of a descriptor argument that means file `index` of the ring's registered
/// files. As a descriptor it is negative and below all that the kernel uses.
pub const fn registered_file(index: u32) -> i32 {
    i32::MIN.wrapping_add(index as i32)
}

/// Returns the index among a ring's registered files that a descriptor argument means, or `None` if
/// it is an ordinary descriptor.
pub const fn registered_index(fd: i32) -> Option<u32> {
    /// A ring has at most this many registered files (`IORING_MAX_FIXED_FILES`, io_uring/rsrc.c).
    const MOST: i32 = 1 << 20;
    if fd < i32::MIN + MOST { Some(fd.wrapping_sub(i32::MIN) as u32) } else { None }
}

/// Mapped files have the descriptor arguments from here on: above registered files, and below what
/// the kernel uses.
const FIRST_MAPPED: i32 = i32::MIN + (1 << 20);
/// So many shared mappings can be told apart.
const MAPPED: u32 = 1 << 30;

/// Returns the value of a descriptor argument that means the file behind shared mapping `number`,
/// counted from 1 in each recording.
pub const fn mapped_file(number: u32) -> i32 {
    FIRST_MAPPED + (number % MAPPED) as i32
}

/// Returns the number of the shared mapping whose file a descriptor argument means, or `None` if it
/// is another descriptor.
pub const fn mapping_number(fd: i32) -> Option<u32> {
    let number = fd.wrapping_sub(FIRST_MAPPED);
    if number > 0 && (number as u32) < MAPPED { Some(number as u32) } else { None }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn registered_files_are_told_from_descriptors() {
        assert_eq!(registered_index(registered_file(3)), Some(3));
        assert_eq!(registered_index(registered_file(0)), Some(0));
        for fd in [0, 3, -1, crate::AT_FDCWD, i32::MAX] {
            assert_eq!(registered_index(fd), None);
            assert_eq!(mapping_number(fd), None);
        }
        for number in [1, 77, MAPPED - 1] {
            assert_eq!(mapping_number(mapped_file(number)), Some(number));
            assert_eq!(registered_index(mapped_file(number)), None);
        }
        assert_eq!(mapping_number(registered_file((1 << 20) - 1)), None);
    }
}
