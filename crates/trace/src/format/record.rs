//! The record: what an engine emits for one call or one event, and what the journal holds.
//!
//! A record is a [`Header`], then [`Header::payloads`] payloads, each a [`PayloadHeader`],
//! [`PayloadHeader::len`] bytes, and zeros up to a multiple of 8. All numbers are little-endian.
//! Every record of a stream carries the stream's next sequence number, so that a gap shows.

mod layout;

pub(crate) use layout::{Payloads, complete, put_payload, whole};
pub use layout::{RING_DISCARD, RING_HEAD, SEQ, padded, ring_step};

use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

/// What a record tells of, in [`Header::kind`]. For events, `entered` is the time, `left` equals
/// it, `nr` and `ret` are 0, and `args` hold what is said here.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u8)]
pub enum RecordKind {
    /// A call.
    Call = 0,
    /// Payloads of a call whose `Call` record follows (same tid and `entered`): a payload longer
    /// than [`PART_BYTES`] comes in several, in order.
    Part = 1,
    /// A thread begins: args = parent pid, parent tid, clone flags, 1 if it is a new process.
    /// Parent 0: it was there when recording began.
    Start = 2,
    /// A thread's process replaced its program: args = the tid that called (it now has `tid` =
    /// `pid`), euid, egid, 1 if these two are known: a set-user-ID or set-group-ID program changes
    /// them. The other threads are gone. Payload: String (executable).
    Exec = 3,
    /// A thread ended: args = wait status (as `waitpid` gives it), 1 if it was the process's last.
    Exit = 4,
    /// A signal was delivered: args = signal, `si_code`, sender pid.
    Signal = 5,
    /// A descriptor that was open when recording began: args = descriptor, `FD_CLOEXEC`, open file
    /// key (equal for descriptors that share an offset). Payload: Identity. With -1 as descriptor:
    /// a file that was mapped shared and writable then: args = -1, 0, 0, first address, end.
    Descriptor = 6,
    /// What a process was when recording began: args = umask, uid, gid, euid, egid, 1 if fsuid is
    /// not root. Payloads: Identity with argument `WORKING_DIRECTORY` and `ROOT_DIRECTORY`, StrVec
    /// (argument 0: the command line; 1: supplementary groups in decimal), String (the executable).
    State = 7,
    /// Records were lost here: args = first missing sequence number, how many, CPU.
    Gap = 8,
    /// The engine says something to the user: args = a code. Payload: String.
    Note = 9,
}

impl RecordKind {
    /// The kind with this number.
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
    /// The word for it in tables.
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

/// Engines split a payload that is longer than this into [`RecordKind::Part`] records.
pub const PART_BYTES: usize = 8 << 20;

/// [`Header::flags`]: the call did not return while we watched (its process died, or we left);
/// `left` and `ret` mean nothing.
pub const NO_EXIT: u8 = 1;
/// [`Header::flags`]: the call was already under way when we came; `entered` is when we came.
pub const NO_ENTRY: u8 = 2;
/// [`Header::flags`]: made through a 32-bit entry; `nr` is of that table and nothing was decoded.
pub const COMPAT: u8 = 4;
/// [`Header::flags`]: the kernel did not carry the call out. A seccomp filter, or the program
/// behind one, answered in its place, and `ret` is what the program was given. With [`NO_EXIT`]
/// there is no such result: the filter sent SIGSYS. Arguments were read as they stood when the call
/// was refused.
pub const NOT_MADE: u8 = 8;

/// The fixed part of a record: 128 bytes.
#[derive(
    Clone, Copy, Debug, Default, FromBytes, IntoBytes, KnownLayout, Immutable, PartialEq, Eq,
)]
#[repr(C)]
pub struct Header {
    /// Bytes of the whole record, a multiple of 8.
    pub len: u32,
    /// A [`RecordKind`].
    pub kind: u8,
    /// [`NO_EXIT`], [`NO_ENTRY`], [`COMPAT`], [`NOT_MADE`].
    pub flags: u8,
    /// How many payloads follow.
    pub payloads: u16,
    /// Position in its stream, from 0, without gaps.
    pub seq: u64,
    /// The process (thread group) in the recorder's pid namespace.
    pub pid: u32,
    /// The thread.
    pub tid: u32,
    /// The call's x86-64 number (above the kernel's for operations that are no system calls).
    pub nr: u32,
    /// The CPU, or the number of the stream.
    pub cpu: u32,
    /// When it was entered: nanoseconds of `CLOCK_MONOTONIC`.
    pub entered: u64,
    /// When it returned.
    pub left: u64,
    /// The result: negative errno from -4095.
    pub ret: i64,
    /// The six argument registers at entry.
    pub args: [u64; 6],
    /// What the call's descriptor led to when it was entered.
    pub fd_snapshot: FdSnapshot,
}

/// What the first descriptor among a call's arguments led to, as the engine saw it in the process
/// itself when the call was entered: 24 bytes. A number that names no open file has none, nor has a
/// call whose engine does not look (ptrace: it would cost two more looks at `/proc` a call).
#[derive(
    Clone, Copy, Debug, Default, FromBytes, IntoBytes, KnownLayout, Immutable, PartialEq, Eq,
)]
#[repr(C)]
pub struct FdSnapshot {
    /// Inode.
    pub ino: u64,
    /// The descriptor's offset (`struct file`'s `f_pos`).
    pub offset: u64,
    /// Device of the file system's superblock (`makedev` form, which has 32 bits).
    pub dev: u32,
    /// Type and mode (`st_mode`); 0: nothing was seen, and the rest means nothing.
    pub mode: u16,
    /// Zero.
    pub pad: u16,
}

impl FdSnapshot {
    /// The same, if something was seen.
    pub fn known(self) -> Option<Self> {
        (self.mode != 0).then_some(self)
    }
}

/// What a payload holds.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
#[repr(u8)]
pub enum PayloadKind {
    /// Bulk data that the call moved (for vectors: the buffers one after the other, as many bytes
    /// as moved).
    Data = 0,
    /// The bytes of a struct or of another buffer that the argument points to.
    Bytes = 1,
    /// A string without its NUL.
    String = 2,
    /// Strings, each with its NUL.
    StrVec = 3,
    /// `struct iovec[]` as the program gave them (addresses and lengths), 16 bytes each.
    Iovecs = 4,
    /// `struct msghdr` (56 bytes), or `struct mmsghdr[]` (64 bytes each).
    Msg = 5,
    /// The `msg_name`s, one after the other.
    Name = 6,
    /// The `msg_control`s, one after the other.
    Control = 7,
    /// `struct iocb[]`, 64 bytes each.
    Iocbs = 8,
    /// An [`Identity`], then the path as `/proc/PID/fd/N` shows it to the recorder.
    Identity = 9,
}

impl PayloadKind {
    /// The kind with this number.
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

/// [`PayloadHeader::flags`]: read after the call (else before it).
pub const AT_EXIT: u8 = 1;
/// [`PayloadHeader::flags`]: memory could not be read; `len` bytes could, `wanted` were due. Never
/// zero-filled.
pub const UNREADABLE: u8 = 2;
/// [`PayloadHeader::flags`]: cut on request (`--data N`); `wanted` were there.
pub const CUT: u8 = 4;
/// [`PayloadHeader::flags`]: read from the source file, as the kernel moved the data itself.
pub const FROM_FILE: u8 = 8;

/// The head of a payload: 16 bytes.
#[derive(
    Clone, Copy, Debug, Default, FromBytes, IntoBytes, KnownLayout, Immutable, PartialEq, Eq,
)]
#[repr(C)]
pub struct PayloadHeader {
    /// The argument that led to it, or `abi::plan::RESULT`, `WORKING_DIRECTORY`, `ROOT_DIRECTORY`.
    pub arg: u8,
    /// A [`PayloadKind`].
    pub kind: u8,
    /// [`AT_EXIT`], [`UNREADABLE`], [`CUT`], [`FROM_FILE`].
    pub flags: u8,
    /// Zero.
    pub pad: u8,
    /// Bytes that follow.
    pub len: u32,
    /// Bytes that were due.
    pub wanted: u64,
}

/// [`Identity::created`]: the engine saw what the kernel noted in the open file, so that
/// [`CREATED`] means something.
pub const CREATED_KNOWN: u64 = 1;
/// [`Identity::created`]: this open made the file (`FMODE_CREATED`, `include/linux/fs.h`).
pub const CREATED: u64 = 2;

/// [`Identity::created`]: an importer made it up: of it only the type, device, inode, offset and
/// path mean something.
pub const MADE_UP: u64 = 4;

/// What the kernel puts behind the path of a file that has lost its name (`d_path` in fs/d_path.c).
pub const GONE: &[u8] = b" (deleted)";
/// [`Identity::created`]: the name is gone: ` (deleted)` stands behind the path that it was.
pub const UNNAMED: u64 = 8;

/// What a descriptor or a directory is, as `statx` tells it right after the call: 88 bytes, then
/// the path.
#[derive(
    Clone, Copy, Debug, Default, FromBytes, IntoBytes, KnownLayout, Immutable, PartialEq, Eq,
)]
#[repr(C)]
pub struct Identity {
    /// Device (`makedev` form).
    pub dev: u64,
    /// Inode.
    pub ino: u64,
    /// Size in bytes.
    pub size: u64,
    /// The descriptor's offset.
    pub offset: u64,
    /// Birth: nanoseconds of `CLOCK_REALTIME`, 0 if the file system does not say.
    pub born: u64,
    /// `struct file`'s flags (`O_*`), from `/proc/PID/fdinfo`; for descriptors present at the start
    /// only, else 0.
    pub status: u32,
    /// Type and mode (`st_mode`); 0: could not be found out.
    pub mode: u32,
    /// Links.
    pub links: u32,
    /// Owner.
    pub uid: u32,
    /// Group.
    pub gid: u32,
    /// File system type (`statfs.f_type`), 0 if unknown.
    pub magic: u32,
    /// Device number of a device node.
    pub rdev: u64,
    /// Of an open: whether it made the file it opened: [`CREATED_KNOWN`], [`CREATED`]. 0: the
    /// engine cannot tell. [`MADE_UP`]. [`UNNAMED`].
    pub created: u64,
    /// Reserved, zero.
    pub spare: u64,
}

impl Identity {
    /// Whether an importer made it up.
    pub const fn is_made_up(&self) -> bool {
        self.created & MADE_UP != 0
    }
    /// The name that the file had, if it has lost it; `path` is what the kernel showed. The text
    /// behind it proves nothing, as a file may be called so: what counts is that the engine saw
    /// the name gone, or that no links are left.
    pub fn lost_name<'a>(&self, path: &'a [u8]) -> Option<&'a [u8]> {
        let told = self.ino != 0 && self.mode != 0 && !self.is_made_up();
        let gone = self.created & UNNAMED != 0 || told && self.links == 0;
        path.strip_suffix(GONE).filter(|_| gone)
    }
    /// Whether this open made the file, if the engine could tell.
    pub const fn was_created(&self) -> Option<bool> {
        if self.created & CREATED_KNOWN != 0 { Some(self.created & CREATED != 0) } else { None }
    }
}
