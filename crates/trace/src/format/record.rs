//! The record: what an engine writes for one call or one event, and what a journal holds.
//!
//! A record is a [`Header`], then [`Header::payloads`] payloads. A payload is a [`PayloadHeader`],
//! [`PayloadHeader::len`] bytes, and zero bytes up to a multiple of 8. All numbers are
//! little-endian. The records of a stream have consecutive sequence numbers, so that a missing
//! record is noticed.

mod layout;

pub(crate) use layout::{Payloads, append_payload, fill_in_header, valid_header};
pub use layout::{RING_DISCARD, RING_HEAD, SEQ, padded, ring_step};

use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

/// What a record describes ([`Header::kind`]). In the record of an event, `entered` is the time of
/// the event, `left` equals it, `nr` and `ret` are 0, and `args` hold what the variant lists.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u8)]
pub enum RecordKind {
    /// A system call.
    Call = 0,
    /// Payloads of a call whose `Call` record follows later (it has the same `tid` and `entered`).
    /// A payload longer than [`PART_BYTES`] is split into several such records, in order.
    Part = 1,
    /// A thread starts. args = pid of the parent, tid of the parent, clone flags, 1 if it is a new
    /// process. A parent of 0 means that the thread existed when recording began.
    Start = 2,
    /// A process replaced its program. args = the tid of the thread that called execve(2)
    /// (afterwards its tid is the pid), the effective uid, the effective gid, 1 if these two ids
    /// are known (a set-user-ID or set-group-ID program changes them). The other threads of the
    /// process have ended. Payload: a String, the path of the executable.
    Exec = 3,
    /// A thread ended. args = wait status as returned by waitpid(2), 1 if it was the last thread of
    /// its process.
    Exit = 4,
    /// A signal was delivered. args = signal number, `si_code`, pid of the sender.
    Signal = 5,
    /// A descriptor that was open when recording began. args = descriptor, `FD_CLOEXEC` or 0, a key
    /// of the open file (equal for descriptors that share one offset). Payload: an Identity. If the
    /// descriptor is -1, the event describes a writable shared file mapping instead: args = -1, 0,
    /// 0, first address, end address.
    Descriptor = 6,
    /// The state of a process when recording began. args = umask, uid, gid, effective uid,
    /// effective gid, 1 if the file system uid is not root. Payloads: an Identity for each of
    /// `WORKING_DIRECTORY` and `ROOT_DIRECTORY`, a StrVec with argument 0 (the command line), a
    /// StrVec with argument 1 (the supplementary groups in decimal), a String (the path of the
    /// executable).
    State = 7,
    /// Records are missing here. args = first missing sequence number, number of missing records,
    /// CPU.
    Gap = 8,
    /// A message from the engine to the user. args = a code. Payload: a String.
    Note = 9,
}

impl RecordKind {
    /// Returns the kind that is stored as `n`, or `None` if there is none.
    pub const fn from_number(n: u8) -> Option<Self> {
        Some(match n {
            0 => Self::Call,
            1 => Self::Part,
            2 => Self::Start,
            3 => Self::Exec,
            4 => Self::Exit,
            5 => Self::Signal,
            6 => Self::Descriptor,
            7 => Self::State,
            8 => Self::Gap,
            9 => Self::Note,
            _ => return None,
        })
    }
}

impl RecordKind {
    /// Returns the name of the kind, as it stands in the column `event`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Call => "call",
            Self::Part => "part",
            Self::Start => "start",
            Self::Exec => "exec",
            Self::Exit => "exit",
            Self::Signal => "signal",
            Self::Descriptor => "descriptor",
            Self::State => "state",
            Self::Gap => "gap",
            Self::Note => "note",
        }
    }
}

/// The longest payload, in bytes, that a `Call` record may hold. Engines split a longer one into
/// [`RecordKind::Part`] records.
pub const PART_BYTES: usize = 8 << 20;

/// In [`Header::flags`]: the call did not return while it was recorded, because its thread ended or
/// recording stopped. `left` and `ret` are meaningless.
pub const NO_EXIT: u8 = 1;
/// In [`Header::flags`]: the call had already been entered when recording began. `entered` is the
/// time at which recording began.
pub const NO_ENTRY: u8 = 2;
/// In [`Header::flags`]: the call came through a 32-bit entry point. `nr` is a number of the 32-bit
/// table, and no argument was decoded.
pub const COMPAT: u8 = 4;
/// In [`Header::flags`]: the kernel did not execute the call, because a seccomp filter, or a
/// supervisor of the filter, refused it or answered it. `ret` is the result that the program
/// received. Together with [`NO_EXIT`] there is no result: the filter sent SIGSYS. The arguments
/// were captured when the call was refused.
pub const NOT_EXECUTED: u8 = 8;
/// In [`Header::flags`]: an operation of io_uring that reports no success
/// (`IOSQE_CQE_SKIP_SUCCESS`) and reported no error. `left` is the latest time at which it can have
/// completed; `ret` is what it returns if it moves all that was asked for.
pub const BY_CONTRACT: u8 = 16;
/// In [`Header::flags`]: an operation of libaio whose completion the program may have taken before
/// the engine saw it. Its data were read when the program could have changed them.
pub const TAKEN: u8 = 32;

/// The fixed part of a record, 128 bytes.
#[derive(
    Clone, Copy, Debug, Default, FromBytes, IntoBytes, KnownLayout, Immutable, PartialEq, Eq,
)]
#[repr(C)]
pub struct Header {
    /// The length of the whole record in bytes, a multiple of 8.
    pub len: u32,
    /// A [`RecordKind`].
    pub kind: u8,
    /// A set of [`NO_EXIT`], [`NO_ENTRY`], [`COMPAT`], [`NOT_EXECUTED`], [`BY_CONTRACT`]
    /// and [`TAKEN`].
    pub flags: u8,
    /// The number of payloads that follow.
    pub payloads: u16,
    /// The sequence number in the stream. It starts at 0 and has no gaps.
    pub seq: u64,
    /// The process (thread group id) in the recorder's pid namespace.
    pub pid: u32,
    /// The thread.
    pub tid: u32,
    /// The x86-64 number of the call. Operations that are not system calls have numbers above the
    /// kernel's.
    pub nr: u32,
    /// The CPU, or the number of the stream.
    pub cpu: u32,
    /// The time of entry, in nanoseconds of `CLOCK_MONOTONIC`.
    pub entered: u64,
    /// The time at which the call returned, in nanoseconds of `CLOCK_MONOTONIC`.
    pub left: u64,
    /// The result. A value from -4095 to -1 is a negated errno.
    pub ret: i64,
    /// The six argument registers at entry.
    pub args: [u64; 6],
    /// What the call's first descriptor referred to at entry.
    pub fd_snapshot: FdSnapshot,
}

/// What the first descriptor among a call's arguments referred to when the call was entered, as the
/// engine saw it inside the kernel. 24 bytes. It is empty ([`FdSnapshot::mode`] is 0) if the
/// descriptor was not open, and for the ptrace engine, which would have to read `/proc` twice more
/// per call.
#[derive(
    Clone, Copy, Debug, Default, FromBytes, IntoBytes, KnownLayout, Immutable, PartialEq, Eq,
)]
#[repr(C)]
pub struct FdSnapshot {
    /// The inode number.
    pub ino: u64,
    /// The file offset of the open file (`f_pos` of `struct file`).
    pub offset: u64,
    /// The device of the file system's superblock, encoded by `makedev` in 32 bits.
    pub dev: u32,
    /// The file type and mode (`st_mode`). 0 means that there is no snapshot and that the other
    /// fields are meaningless.
    pub mode: u16,
    /// Always 0.
    pub pad: u16,
}

impl FdSnapshot {
    /// Returns the snapshot, or `None` if it is empty.
    pub fn known(self) -> Option<Self> {
        (self.mode != 0).then_some(self)
    }
}

/// What the bytes of a payload are.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
#[repr(u8)]
pub enum PayloadKind {
    /// Data that the call moved. For a vector: its buffers, concatenated, as many bytes as were
    /// moved.
    Data = 0,
    /// A struct or another buffer that the argument points to.
    Bytes = 1,
    /// A string without its terminating NUL.
    String = 2,
    /// Strings, each with its terminating NUL.
    StrVec = 3,
    /// `struct iovec[]` as the program passed it: addresses and lengths, 16 bytes each.
    Iovecs = 4,
    /// One `struct msghdr` (56 bytes), or `struct mmsghdr[]` (64 bytes each).
    Msg = 5,
    /// The `msg_name` buffers of the messages, concatenated.
    Name = 6,
    /// The `msg_control` buffers of the messages, concatenated.
    Control = 7,
    /// `struct iocb[]`, 64 bytes each.
    Iocbs = 8,
    /// An [`Identity`], then the path of the file as `/proc/PID/fd/N` showed it to the recorder.
    Identity = 9,
}

impl PayloadKind {
    /// Returns the kind that is stored as `n`, or `None` if there is none.
    pub const fn from_number(n: u8) -> Option<Self> {
        Some(match n {
            0 => Self::Data,
            1 => Self::Bytes,
            2 => Self::String,
            3 => Self::StrVec,
            4 => Self::Iovecs,
            5 => Self::Msg,
            6 => Self::Name,
            7 => Self::Control,
            8 => Self::Iocbs,
            9 => Self::Identity,
            _ => return None,
        })
    }
}

/// In [`PayloadHeader::flags`]: the payload was read when the call returned. Otherwise it was read
/// at entry.
pub const AT_EXIT: u8 = 1;
/// In [`PayloadHeader::flags`]: `wanted` bytes should have been read, but only `len` bytes of the
/// memory were readable. The rest is not filled with zeros.
pub const UNREADABLE: u8 = 2;
/// In [`PayloadHeader::flags`]: the payload had `wanted` bytes and was shortened to `len`, because
/// the user limited the data (`--data N`) or because it was too long for a row.
pub const CUT: u8 = 4;
/// In [`PayloadHeader::flags`]: the kernel moved the data without passing user memory, so that the
/// engine read it from one of the files.
pub const FROM_FILE: u8 = 8;

/// The head of a payload, 16 bytes.
#[derive(
    Clone, Copy, Debug, Default, FromBytes, IntoBytes, KnownLayout, Immutable, PartialEq, Eq,
)]
#[repr(C)]
pub struct PayloadHeader {
    /// The number of the argument that the payload belongs to, or `RESULT`, `WORKING_DIRECTORY` or
    /// `ROOT_DIRECTORY` of `abi::plan`.
    pub arg: u8,
    /// A [`PayloadKind`].
    pub kind: u8,
    /// A set of [`AT_EXIT`], [`UNREADABLE`], [`CUT`] and [`FROM_FILE`].
    pub flags: u8,
    /// Always 0.
    pub pad: u8,
    /// The number of bytes that follow, without padding.
    pub len: u32,
    /// The number of bytes that a complete payload would have.
    pub wanted: u64,
}

/// In [`Identity::created`]: the engine could read whether the open created the file, so that
/// [`CREATED`] is meaningful.
pub const CREATED_KNOWN: u64 = 1;
/// In [`Identity::created`]: this open created the file (`FMODE_CREATED`, `include/linux/fs.h`).
pub const CREATED: u64 = 2;

/// In [`Identity::created`]: an importer or the recorder invented this identity. Only its type,
/// device, inode, offset and path are meaningful.
pub const SYNTHETIC: u64 = 4;

/// What the kernel appends to the path of an open file whose name was removed (`d_path` in
/// fs/d_path.c).
pub const DELETED_SUFFIX: &[u8] = b" (deleted)";
/// In [`Identity::created`]: the name of the file was removed. The path is its last name followed
/// by [`DELETED_SUFFIX`].
pub const NAME_REMOVED: u64 = 8;

/// What a descriptor or a directory refers to, as statx(2) reports it right after the call. 88
/// bytes, followed by the path.
#[derive(
    Clone, Copy, Debug, Default, FromBytes, IntoBytes, KnownLayout, Immutable, PartialEq, Eq,
)]
#[repr(C)]
pub struct Identity {
    /// The device (`makedev` form).
    pub dev: u64,
    /// The inode number.
    pub ino: u64,
    /// The size in bytes.
    pub size: u64,
    /// The file offset of the open file.
    pub offset: u64,
    /// The birth time in nanoseconds of `CLOCK_REALTIME`, or 0 if the file system does not report
    /// it.
    pub born: u64,
    /// The status flags of the open file (`O_*`) from `/proc/PID/fdinfo`. They are only recorded
    /// for descriptors that were open when recording began; otherwise 0.
    pub status: u32,
    /// The file type and mode (`st_mode`), or 0 if the file could not be examined.
    pub mode: u32,
    /// The number of hard links.
    pub links: u32,
    /// The owner.
    pub uid: u32,
    /// The group.
    pub gid: u32,
    /// The file system type (`statfs.f_type`), or 0 if it is unknown.
    pub fs_type: u32,
    /// The device number that a device node stands for.
    pub rdev: u64,
    /// A set of [`CREATED_KNOWN`], [`CREATED`], [`SYNTHETIC`] and [`NAME_REMOVED`].
    pub created: u64,
    /// Always 0.
    pub reserved: u64,
}

impl Identity {
    /// Returns whether an importer or the recorder invented this identity.
    pub const fn is_synthetic(&self) -> bool {
        self.created & SYNTHETIC != 0
    }
    /// Returns the last name of the file if that name was removed, else `None`. `path` is the path
    /// that the kernel showed. A path that ends in [`DELETED_SUFFIX`] is not enough, since a file
    /// may have such a name: either the engine must have found the name gone, or no hard link may
    /// be left.
    pub fn lost_name<'a>(&self, path: &'a [u8]) -> Option<&'a [u8]> {
        let reliable = self.ino != 0 && self.mode != 0 && !self.is_synthetic();
        let name_is_gone = self.created & NAME_REMOVED != 0 || reliable && self.links == 0;
        path.strip_suffix(DELETED_SUFFIX).filter(|_| name_is_gone)
    }
    /// Returns whether this open created the file, or `None` if the engine could not tell.
    pub const fn was_created(&self) -> Option<bool> {
        if self.created & CREATED_KNOWN != 0 { Some(self.created & CREATED != 0) } else { None }
    }
}
