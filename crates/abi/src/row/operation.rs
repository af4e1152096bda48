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

/// A field of `struct io_uring_sqe`, from which an argument is taken.
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
}

/// How a row relates to `struct io_uring_sqe` and to a system call.
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn registered_files_are_told_from_descriptors() {
        assert_eq!(registered_index(registered_file(3)), Some(3));
        assert_eq!(registered_index(registered_file(0)), Some(0));
        for fd in [0, 3, -1, crate::AT_FDCWD, i32::MAX] {
            assert_eq!(registered_index(fd), None);
        }
    }
}
