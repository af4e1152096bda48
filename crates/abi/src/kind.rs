//! What an argument of a system call means. Everything that the project does with an argument
//! follows from its kind.

use crate::{Flags, Form, Layout};

/// How the length of a buffer is computed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[allow(missing_docs, reason = "a variant says what its fields are")]
pub enum Len {
    /// A fixed number of bytes.
    Fixed(u32),
    /// Argument `n`, in units of `unit` bytes.
    Arg { n: u8, unit: u32 },
    /// The result, in units of `unit` bytes, but at most argument `max` if there is one.
    Ret { max: Option<u8>, unit: u32 },
    /// The `u32` that argument `n` points to (a `socklen_t *`), in units of `unit` bytes. It is
    /// read at the same time as the buffer.
    Deref { n: u8, unit: u32 },
    /// `base` bytes, plus the `u32` at byte `at` of the buffer itself in units of `unit` bytes
    /// (`struct file_handle`, `struct fiemap`).
    Head { at: u8, base: u32, unit: u32 },
    /// As many bits as argument `n` says, rounded up to whole words of 8 bytes (`fd_set`, node
    /// masks).
    Bits { n: u8 },
}

/// What the call does with the name that a path argument refers to.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Role {
    /// The name is looked up. If the call succeeds, it exists.
    Lookup,
    /// The name is opened, and created if the flags say so.
    Open(OpenFlags),
    /// The name is created, as by a new directory, a device node, a bound socket, or a new link.
    Create,
    /// The name is removed; it is a file, or a directory if flags say so.
    Remove,
    /// The name of a directory is removed.
    RemoveDirectory,
    /// The old name of a rename.
    Source,
    /// The new name of a rename.
    Target,
}

/// Where the `O_*` flags of an open are.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum OpenFlags {
    /// In argument `n`.
    Arg(u8),
    /// In the first `u64` of the struct that argument `n` points to (`struct open_how`).
    InStruct(u8),
    /// The call always uses these flags.
    Implied(u32),
}

/// Whether a symbolic link in the last component of a path is followed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[allow(missing_docs, reason = "a variant says what its fields are")]
pub enum Follow {
    /// It is followed.
    Always,
    /// It is not followed.
    Never,
    /// It is followed unless argument `arg` has `bit` (`AT_SYMLINK_NOFOLLOW`, `O_NOFOLLOW`).
    Unless { arg: u8, bit: u64 },
    /// It is followed only if argument `arg` has `bit` (`AT_SYMLINK_FOLLOW`).
    If { arg: u8, bit: u64 },
}

/// How a path argument is used. If the path is null, or empty and the call succeeds
/// (`AT_EMPTY_PATH`), the call acts on the file of the directory descriptor itself.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct PathUse {
    /// The argument with the directory descriptor at which a relative path starts, or `None` if it
    /// starts at the working directory.
    pub dir: Option<u8>,
    /// What happens to the name.
    pub role: Role,
    /// Whether a symbolic link in the last component is followed.
    pub follow: Follow,
}

/// An argument of a system call.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Arg {
    /// The kernel's name of it (`/sys/kernel/tracing/events/syscalls/*/format`).
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
    /// An unsigned number that is printed in hexadecimal.
    Hex,
    /// A signed offset at which no data are transferred.
    Off,
    /// The offset in the file at which the call transfers data or begins to work (`loff_t pos`). If
    /// the call allows it, -1 means the file offset of the open file.
    Pos,
    /// The upper half of a [`Kind::Pos`] on 32-bit kernels. 64-bit kernels ignore it.
    PosHigh,
    /// A number of bytes or of elements.
    Size,
    /// The new length of a file.
    Length,
    /// A file descriptor.
    Fd,
    /// A directory descriptor, or `AT_FDCWD`.
    DirFd,
    /// A process or thread id.
    Pid,
    /// A user id.
    Uid,
    /// A group id.
    Gid,
    /// A file mode (`mode_t`). The umask applies if the call creates something.
    Mode,
    /// A device number.
    Dev,
    /// A signal number.
    Signal,
    /// An address that is not dereferenced.
    Addr,
    /// A set of bits, or an enumerated value.
    Flags(&'static Flags),
    /// A NUL-terminated path.
    Path(PathUse),
    /// A NUL-terminated string that is not a path, such as the name of an attribute, the target of
    /// a link, or a file system type.
    Str,
    /// A NULL-terminated vector of strings (argv, envp).
    StrVec,
    /// A buffer that the call reads. It is captured at entry; data that are not changed by the call
    /// are captured when it returns.
    In(Len, &'static Layout),
    /// A buffer that the call writes. It is captured when the call returns.
    Out(Len, &'static Layout),
    /// A buffer that the call reads and writes. It is captured at entry and when the call returns.
    InOut(Len, &'static Layout),
    /// A vector of buffers that the call reads (`struct iovec[count]`, where `count` is an
    /// argument). The result, if it is a number of bytes, says how many were transferred.
    InIov { count: u8 },
    /// A vector of buffers that the call writes. The result says how many bytes.
    OutIov { count: u8 },
    /// A `struct msghdr` to be sent: name, buffers, control messages.
    InMsg,
    /// A `struct msghdr` that the call fills in.
    OutMsg,
    /// `struct mmsghdr[count]` to be sent. The result says how many were sent.
    InMsgs { count: u8 },
    /// `struct mmsghdr[count]` that the call fills in. The result says how many were received.
    OutMsgs { count: u8 },
    /// `struct iocb *[count]`, and the buffers of those that write.
    Iocbs { count: u8 },
    /// An argument that the kernel ignores.
    Unused,
}

/// Whether the call reads or writes the memory that an argument points to.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Direction {
    /// The call reads it.
    In,
    /// The call writes it.
    Out,
    /// The call reads and writes it.
    InOut,
}

/// What an argument points to, for capture and printing.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[allow(missing_docs, reason = "a variant says what its fields are")]
pub enum Pointee {
    /// Nothing: the argument is a number, or an address that is not dereferenced.
    Nothing,
    /// A NUL-terminated string.
    String,
    /// A NULL-terminated vector of strings.
    Strings,
    /// A buffer with a layout.
    Buffer(Direction, Len, &'static Layout),
    /// `struct iovec[count]`, where `count` is an argument.
    Iovecs { count: u8 },
    /// A `struct msghdr`.
    Message(Direction),
    /// `struct mmsghdr[]`; the `u8` is the argument with the number of elements.
    Messages(Direction, u8),
    /// `struct iocb *[count]`, where `count` is an argument.
    Iocbs { count: u8 },
}

impl Kind {
    /// Returns how the argument names a file, if it is a path or the address that a socket is bound
    /// to; else `None`.
    pub const fn path_use(self) -> Option<PathUse> {
        match self {
            Self::Path(used) => Some(used),
            Self::In(_, layout) if matches!(layout.form, Form::SocketName) => {
                Some(PathUse { dir: None, role: Role::Create, follow: Follow::Never })
            }
            _ => None,
        }
    }
    /// Returns what the argument points to.
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
    /// Returns whether the capture plan dereferences the argument.
    pub const fn is_followed(self) -> bool {
        !matches!(self.pointee(), Pointee::Nothing)
    }
}

impl PathUse {
    /// Returns whether the call follows a symbolic link in the last component of the path.
    /// `open_flags` are the flags of an open, wherever they are, else `None`: with `O_NOFOLLOW`, or
    /// with `O_CREAT | O_EXCL`, a link is not followed.
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
