//! What an argument means. Everything that the project does with a call follows from these kinds.

use crate::{Flags, Form, Layout};

/// Where the length of a buffer comes from, in bytes once multiplied by its unit.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[allow(missing_docs, reason = "a variant says what its fields are")]
pub enum Len {
    /// A fixed number of bytes.
    Fixed(u32),
    /// Argument `n`, in units of `unit` bytes.
    Arg { n: u8, unit: u32 },
    /// The call's result in units of `unit` bytes, at most argument `max` (same unit) where there
    /// is one.
    Ret { max: Option<u8>, unit: u32 },
    /// The `u32` that argument `n` points to (a `socklen_t *`), in units of `unit` bytes, read when
    /// the buffer is read.
    Deref { n: u8, unit: u32 },
    /// `base` bytes and the buffer's own `u32` at byte `at`, in units of `unit` bytes (`struct
    /// file_handle`, `struct fiemap`).
    Head { at: u8, base: u32, unit: u32 },
    /// As many bits as argument `n` says, in whole words of 8 bytes (`fd_set`, node masks).
    Bits { n: u8 },
}

/// What a path argument does to the name it names.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Role {
    /// The name is looked up; on success it exists.
    Lookup,
    /// The name is opened, and created if the flags say so.
    Open(OpenFlags),
    /// The name comes into being (mkdir, mknod, bind, the new name of link and symlink).
    Create,
    /// The name goes (unlink; unlinkat, whose flags may mean a directory).
    Remove,
    /// The name, of a directory, goes (rmdir).
    RemoveDirectory,
    /// The old name of a rename.
    Source,
    /// The new name of a rename.
    Target,
}

/// Where the `O_*` flags of an open stand.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum OpenFlags {
    /// In argument `n`.
    Arg(u8),
    /// In the first `u64` of the struct that argument `n` points to (`struct open_how`).
    InStruct(u8),
    /// Always these (creat).
    Implied(u32),
}

/// Whether a symbolic link in the last component is followed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[allow(missing_docs, reason = "a variant says what its fields are")]
pub enum Follow {
    /// Always.
    Always,
    /// Never.
    Never,
    /// Unless argument `arg` has `bit` (`AT_SYMLINK_NOFOLLOW`, `O_NOFOLLOW`).
    Unless { arg: u8, bit: u64 },
    /// Only if argument `arg` has `bit` (`AT_SYMLINK_FOLLOW`).
    If { arg: u8, bit: u64 },
}

/// How a path argument is used. A null path, or an empty one where the call succeeds
/// (`AT_EMPTY_PATH`), means what the directory descriptor itself is open on.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct PathUse {
    /// The argument with the directory descriptor that a relative path starts from; the working
    /// directory if there is none.
    pub dir: Option<u8>,
    /// What happens to the name.
    pub role: Role,
    /// Whether a link in the last component is followed.
    pub follow: Follow,
}

/// One argument.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Arg {
    /// The kernel's name for it (`/sys/kernel/tracing/events/syscalls/*/format`).
    pub name: &'static str,
    /// What it means.
    pub kind: Kind,
}

/// What an argument means.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[allow(missing_docs, reason = "a variant says what its fields are")]
pub enum Kind {
    /// A signed number (`int`, `long`).
    Int,
    /// An unsigned number.
    Uint,
    /// A number that reads best in hexadecimal.
    Hex,
    /// A signed offset that is not where data moves (lseek).
    Off,
    /// The byte of the file where the call's data move or its work starts (`loff_t pos`); -1 means
    /// the descriptor's own offset where the call allows it.
    Pos,
    /// The high half of a [`Kind::Pos`] on 32-bit kernels; ignored on 64-bit ones.
    PosHigh,
    /// A number of bytes or of elements.
    Size,
    /// A file's length (truncate).
    Length,
    /// A file descriptor.
    Fd,
    /// A directory descriptor or `AT_FDCWD`.
    DirFd,
    /// A process or thread.
    Pid,
    /// A user id.
    Uid,
    /// A group id.
    Gid,
    /// A file's mode (`mode_t`), to which the umask applies where the call creates something.
    Mode,
    /// A device number.
    Dev,
    /// A signal number.
    Signal,
    /// An address that is not followed.
    Addr,
    /// A set of bits, or one value of an enumeration.
    Flags(&'static Flags),
    /// A path, NUL-terminated.
    Path(PathUse),
    /// A NUL-terminated string that is no path (an attribute's name, a link's target, a file system
    /// type).
    Str,
    /// A NULL-terminated vector of strings (argv, envp).
    StrVec,
    /// Bytes going in, read at entry, or at exit where they are bulk data and the call does not
    /// change them.
    In(Len, &'static Layout),
    /// Bytes coming out, read at exit.
    Out(Len, &'static Layout),
    /// Bytes going in and out: read at both ends.
    InOut(Len, &'static Layout),
    /// Vectors of buffers going in (`struct iovec[count]`); how many bytes moved is the result, or
    /// all of them.
    InIov { count: u8 },
    /// Vectors of buffers coming out; the result says how many bytes.
    OutIov { count: u8 },
    /// A `struct msghdr` going in: name, vectors, control.
    InMsg,
    /// A `struct msghdr` coming out.
    OutMsg,
    /// `struct mmsghdr[count]` going in; the result says how many were sent.
    InMsgs { count: u8 },
    /// `struct mmsghdr[count]` coming out; the result says how many were received.
    OutMsgs { count: u8 },
    /// `struct iocb *[count]`, and the buffers of those that write.
    Iocbs { count: u8 },
    /// Present in the kernel's signature, without meaning.
    Unused,
}

/// Whether memory is read by the call, written by it, or both.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Direction {
    /// The call reads it.
    In,
    /// The call writes it.
    Out,
    /// The call reads and writes it.
    InOut,
}

/// What an argument leads to in the program's memory, by how it is captured and printed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[allow(missing_docs, reason = "a variant says what its fields are")]
pub enum Pointee {
    /// Nothing: the register holds all that there is, or an address that is not followed.
    Nothing,
    /// A NUL-terminated string.
    String,
    /// A NULL-terminated vector of strings.
    Strings,
    /// Bytes with a layout.
    Buffer(Direction, Len, &'static Layout),
    /// `struct iovec[count]`; `count` is an argument.
    Iovecs { count: u8 },
    /// A `struct msghdr`.
    Message(Direction),
    /// As many `struct mmsghdr` as the argument says.
    Messages(Direction, u8),
    /// `struct iocb *[count]`; `count` is an argument.
    Iocbs { count: u8 },
}

impl Kind {
    /// How the argument is used if it names a file: a path, or the address that a socket gets.
    pub const fn path_use(self) -> Option<PathUse> {
        match self {
            Self::Path(used) => Some(used),
            Self::In(_, layout) if matches!(layout.form, Form::SocketName) => {
                Some(PathUse { dir: None, role: Role::Create, follow: Follow::Never })
            }
            _ => None,
        }
    }
    /// What the argument leads to in the program's memory.
    pub const fn pointee(self) -> Pointee {
        match self {
            Self::Path(_) | Self::Str => Pointee::String,
            Self::StrVec => Pointee::Strings,
            Self::In(len, layout) => Pointee::Buffer(Direction::In, len, layout),
            Self::Out(len, layout) => Pointee::Buffer(Direction::Out, len, layout),
            Self::InOut(len, layout) => Pointee::Buffer(Direction::InOut, len, layout),
            Self::InIov { count } | Self::OutIov { count } => Pointee::Iovecs { count },
            Self::InMsg => Pointee::Message(Direction::In),
            Self::OutMsg => Pointee::Message(Direction::Out),
            Self::InMsgs { count } => Pointee::Messages(Direction::In, count),
            Self::OutMsgs { count } => Pointee::Messages(Direction::Out, count),
            Self::Iocbs { count } => Pointee::Iocbs { count },
            Self::Int | Self::Uint | Self::Hex | Self::Off | Self::Pos | Self::PosHigh => {
                Pointee::Nothing
            }
            Self::Size | Self::Length | Self::Fd | Self::DirFd | Self::Pid => Pointee::Nothing,
            Self::Uid | Self::Gid | Self::Mode | Self::Dev | Self::Signal => Pointee::Nothing,
            Self::Addr | Self::Flags(_) | Self::Unused => Pointee::Nothing,
        }
    }
    /// Whether the argument is a pointer in the kernel's signature that the capture plan follows.
    pub const fn is_followed(self) -> bool {
        !matches!(self.pointee(), Pointee::Nothing)
    }
}

impl PathUse {
    /// Whether a link in the last component is followed, given the call's arguments and, for an
    /// open, its flags (wherever they stand): `O_NOFOLLOW` and `O_CREAT | O_EXCL` take the link
    /// itself.
    pub fn follows_symlink(&self, args: &[u64; 6], open_flags: Option<u64>) -> bool {
        let bits = |arg: u8| args[arg as usize];
        let opened_itself = open_flags.is_some_and(|f| {
            let exclusive =
                u64::from(linux_raw_sys::general::O_CREAT | linux_raw_sys::general::O_EXCL);
            f & u64::from(linux_raw_sys::general::O_NOFOLLOW) != 0 || f & exclusive == exclusive
        });
        !opened_itself
            && match self.follow {
                Follow::Always => true,
                Follow::Never => false,
                Follow::Unless { arg, bit } => bits(arg) & bit == 0,
                Follow::If { arg, bit } => bits(arg) & bit != 0,
            }
    }
}
