//! One row of the table: what a call is called, takes, returns, does to its process, and how replay
//! treats it.

mod unseen;
mod uses;

pub use unseen::Unseen;
pub use uses::{Uses, arguments};

use crate::{Arg, Kind, Len};
use syscalls::x86_64::Sysno;

/// What a result means when it is not an error.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Ret {
    /// Always 0.
    Zero,
    /// Bytes of data moved.
    Bytes,
    /// Bytes or entries of something that is not data (getdents, listxattr, readlink), compared
    /// unless the layout says otherwise.
    Count,
    /// A new descriptor of the process.
    Fd,
    /// A file offset.
    Off,
    /// A process or thread: never equal.
    Pid,
    /// An address: never equal.
    Addr,
    /// A number that is compared.
    Int,
    /// A number of the system's own, never compared.
    Host,
    /// Does not return on success.
    Never,
}

/// What a successful call does to the traced process's world, beyond what its kinds tell
/// (`Ret::Fd`, path roles).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[allow(missing_docs, reason = "a variant says what its fields are")]
pub enum Effect {
    /// Nothing.
    None,
    /// Descriptor in argument `fd` goes, even when the call fails (close(2), except EBADF).
    Close { fd: u8 },
    /// Descriptors from argument 0 to argument 1 go, or become close-on-exec; flags in argument 2.
    CloseRange,
    /// The result is one more descriptor of the open file of argument `old`.
    Dup { old: u8 },
    /// Argument `new` becomes a descriptor of the open file of argument `old`.
    DupTo { old: u8, new: u8 },
    /// A child or a thread begins (the engine's `Start` event says which, when and sharing what).
    Fork,
    /// The program is replaced: close-on-exec descriptors go.
    Exec,
    /// The thread ends.
    Exit,
    /// All of the process ends.
    ExitGroup,
    /// The working directory becomes the path argument.
    Chdir,
    /// The working directory becomes the descriptor in argument 0.
    Fchdir,
    /// The root becomes the path argument.
    Chroot,
    /// Something is mounted: its name in argument 0, where in 1, flags in 3 (mount).
    Mount,
    /// What is mounted at the path argument is no longer; flags in argument 1.
    Unmount,
    /// The path in argument 0 becomes the root, which is mounted at the path in argument 1.
    PivotRoot,
    /// What is mounted at the first path argument, or argument 0 stands for, is mounted at the
    /// second.
    MoveMount,
    /// The result stands for the tree at the path argument; flags in argument 2 (open_tree).
    OpenTree,
    /// The result stands for a new mount that is nowhere yet.
    MakeMount,
    /// A file system that is about to be made gets a setting: its name is argument 2, its value 3.
    Configure,
    /// The process enters the namespaces that argument 0 stands for; which in argument 1.
    EnterSpace,
    /// The umask becomes argument 0.
    Umask,
    /// The descriptor's offset becomes the result.
    Seek,
    /// Close-on-exec of argument 0 becomes bit 0 of argument 2 (fcntl F_SETFD).
    SetFdFlags,
    /// Close-on-exec of argument 0 becomes `on` (ioctl FIOCLEX and FIONCLEX).
    Cloexec { on: bool },
    /// Status flags of argument 0 become argument 2 (fcntl F_SETFL).
    SetStatusFlags,
    /// `O_NONBLOCK` of argument 0 becomes whether the `int` that argument 2 points to is not 0
    /// (ioctl FIONBIO).
    SetNonblocking,
    /// All file systems are written back (sync).
    Sync,
    /// Two new descriptors stand in the array of argument `fds`; flags in argument `flags` if any.
    Pair { fds: u8, flags: Option<u8> },
    /// Descriptors may arrive in the control messages of argument 1 (recvmsg).
    Receive,
    /// The result is one more descriptor of what argument `fd` is in the process of argument
    /// `process`, a descriptor of one (pidfd_getfd).
    Fetch { process: u8, fd: u8 },
    /// A mapping: argument 4 is a descriptor unless the flags in argument 3 say anonymous;
    /// protection in argument 2.
    Map,
    /// The process stops sharing what the flags of argument 0 say.
    Unshare,
    /// The file's length becomes the argument of kind `Length`.
    Truncate,
    /// Blocks are allocated, punched or moved: mode in argument 1, offset 2, length 3.
    Allocate,
    /// The socket in argument 0 gets the address in argument 1, which may be a file's name.
    Bind,
    /// The file in argument 0 takes the contents of the file in argument `from` (FICLONE and kin).
    Clone { from: u8 },
}

/// Why replay does not perform a call.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Class {
    /// Address space: mmap, brk, mprotect.
    Memory,
    /// Sockets and the network.
    Network,
    /// Pipes, terminals, event and timer descriptors: nothing on disk.
    Ipc,
    /// Signals.
    Signal,
    /// Processes and threads: identity, limits, scheduling, waiting.
    Process,
    /// Waiting for descriptors or time, clocks.
    Wait,
    /// Users, groups, capabilities.
    Credentials,
    /// Mounts, roots, quotas, namespaces.
    Mounts,
    /// The machine: modules, reboot, logs, keys, bpf.
    System,
    /// Watching files: inotify, fanotify, leases.
    Watch,
    /// Asynchronous I/O rings (their operations will be rows of their own).
    Async,
    /// Not known to the table.
    Unknown,
}

/// How replay treats a call.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Replay {
    /// Performed by translating each argument by its kind; its [`Effect`] names the handler, if it
    /// has one.
    Issue,
    /// Not performed.
    Skip(Class),
}

/// Where in a file data come from or go to that the kernel moves itself.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum At {
    /// From byte 0.
    Start,
    /// At the descriptor's own offset.
    Own,
    /// At the offset that the argument points to (`loff_t *`, which the call advances); NULL: the
    /// descriptor's own.
    Pointed(u8),
    /// At the `u64` at byte `at` of the struct that argument `arg` points to.
    Field {
        /// The struct.
        arg: u8,
        /// The byte.
        at: u8,
    },
}

/// One end of such a move.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct End {
    /// The argument with the descriptor, or with the struct whose field of meaning
    /// [`crate::Is::Fd`] it is.
    pub fd: u8,
    /// Where.
    pub at: At,
}

/// Data that the kernel moves without passing the program's memory: read by the engine from the
/// source file itself; from where they went, if the source is no file that keeps them.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Copies {
    /// Where the data come from.
    pub from: End,
    /// Where they go.
    pub to: End,
    /// How many bytes; `Len::Fixed(u32::MAX)` means to the file's end, or as many as the struct
    /// says that has the source's descriptor.
    pub len: Len,
}

/// Sets of calls that filters name (`%file`), as bits; strace's classes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Groups(pub u32);

impl Groups {
    /// No group.
    pub const NONE: Self = Self(0);
    /// Takes a descriptor (`%desc`).
    pub const DESC: Self = Self(1);
    /// Takes a path (`%file`).
    pub const FILE: Self = Self(2);
    /// Sockets (`%network`, `%net`).
    pub const NET: Self = Self(4);
    /// Memory (`%memory`).
    pub const MEMORY: Self = Self(8);
    /// Processes (`%process`).
    pub const PROCESS: Self = Self(16);
    /// Signals (`%signal`).
    pub const SIGNAL: Self = Self(32);
    /// System V and POSIX IPC (`%ipc`).
    pub const IPC: Self = Self(64);
    /// Credentials (`%creds`).
    pub const CREDS: Self = Self(128);
    /// Clocks (`%clock`).
    pub const CLOCK: Self = Self(256);
    /// The stat family (`%stat`).
    pub const STAT: Self = Self(512);
    /// Extended attributes (`%xattr`).
    pub const XATTR: Self = Self(1024);
    /// Asynchronous I/O (`%aio`).
    pub const AIO: Self = Self(2048);
    /// Everything else about the system (`%system`).
    pub const SYSTEM: Self = Self(4096);

    /// Both.
    pub const fn or(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }
    /// Whether any of `other` is in here.
    pub const fn has(self, other: Self) -> bool {
        self.0 & other.0 != 0
    }
    /// The names that filters use, with their bits.
    pub const NAMES: &'static [(&'static str, Self)] = &[
        ("desc", Self::DESC),
        ("file", Self::FILE),
        ("net", Self::NET),
        ("network", Self::NET),
        ("memory", Self::MEMORY),
        ("process", Self::PROCESS),
        ("signal", Self::SIGNAL),
        ("ipc", Self::IPC),
        ("creds", Self::CREDS),
        ("clock", Self::CLOCK),
        ("stat", Self::STAT),
        ("xattr", Self::XATTR),
        ("aio", Self::AIO),
        ("system", Self::SYSTEM),
    ];
}

/// What one call looks like: a row's own, or that of one of its variants.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Shape {
    /// The call's name, or the variant's (`F_DUPFD`).
    pub name: &'static str,
    /// At most six.
    pub args: &'static [Arg],
    /// What the result means.
    pub ret: Ret,
    /// What it does to the process.
    pub effect: Effect,
    /// How replay treats it.
    pub replay: Replay,
    /// Whether it changes a file's or directory's content or attributes (overlapping calls on one
    /// object, of which one changes it, keep their order).
    pub changes: bool,
    /// Data that move inside the kernel.
    pub copies: Option<Copies>,
    /// What it lets happen unseen.
    pub unseen: Unseen,
    /// What its arguments are.
    pub uses: Uses,
}

/// One system call.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Row {
    /// Its number on x86-64 (other architectures go by name); operations that are no system calls
    /// (io_uring's, libaio's) have numbers above the kernel's.
    pub number: u32,
    /// What it looks like.
    pub shape: Shape,
    /// The filters that include it.
    pub groups: Groups,
    /// Which argument's value chooses a variant.
    pub by: u8,
    /// The bits of that value that count.
    pub mask: u32,
    /// The variants of a multiplexed call; values that are not listed take the row's own shape.
    pub variants: &'static [(u64, Shape)],
}

impl Shape {
    /// A shape that returns 0, does nothing to the process and is issued.
    pub const fn new(name: &'static str, args: &'static [Arg]) -> Self {
        Self {
            name,
            args,
            ret: Ret::Zero,
            effect: Effect::None,
            replay: Replay::Issue,
            changes: false,
            copies: None,
            unseen: Unseen::Nothing,
            uses: Uses::of(args),
        }
    }
    /// Sets the result's meaning.
    pub const fn returns(mut self, ret: Ret) -> Self {
        self.ret = ret;
        self
    }
    /// Sets the effect on the process.
    pub const fn does(mut self, effect: Effect) -> Self {
        self.effect = effect;
        self
    }
    /// Not performed.
    pub const fn skipped(mut self, class: Class) -> Self {
        self.replay = Replay::Skip(class);
        self
    }
    /// Changes the file system.
    pub const fn changes(mut self) -> Self {
        self.changes = true;
        self
    }
    /// Moves data inside the kernel.
    pub const fn copies(mut self, from: End, to: End, len: Len) -> Self {
        self.copies = Some(Copies { from, to, len });
        self
    }
}

impl Row {
    /// The groups that filters know: those of [`Groups`], and `replay`, which follows from the
    /// rows.
    pub fn group_names() -> impl Iterator<Item = &'static str> {
        Groups::NAMES.iter().map(|(name, _)| *name).chain(["replay"])
    }
    /// Whether a filter's group includes it.
    pub fn is_in(&self, group: &str) -> bool {
        let named = |(name, bits): &(&str, Groups)| *name == group && self.groups.has(*bits);
        Groups::NAMES.iter().any(named) || group == "replay" && self.serves_replay()
    }
    /// Whether replay needs such calls: those that it performs, and those that change what a
    /// process has (descriptors, memory, directories, users, children) or pass it on.
    pub fn serves_replay(&self) -> bool {
        let passes = |arg: &Arg| matches!(arg.kind, Kind::InMsg | Kind::InMsgs { .. });
        let serves = |shape: &Shape| {
            shape.replay == Replay::Issue
                || shape.effect != Effect::None
                || shape.ret == Ret::Fd
                || shape.unseen == Unseen::Operations
                || shape.args.iter().any(passes)
        };
        self.groups.has(Groups::CREDS)
            || std::iter::once(&self.shape)
                .chain(self.variants.iter().map(|(_, shape)| shape))
                .any(serves)
    }
    /// A row whose shape is named after the call.
    pub const fn new(sysno: Sysno, args: &'static [Arg]) -> Self {
        Self {
            number: sysno as u32,
            shape: Shape::new(sysno.name(), args),
            groups: Groups::NONE,
            by: 0,
            mask: u32::MAX,
            variants: &[],
        }
    }
    /// Performed, unlike others of its kind.
    pub const fn issued(mut self) -> Self {
        self.shape.replay = Replay::Issue;
        self
    }
    /// Sets the result's meaning.
    pub const fn returns(mut self, ret: Ret) -> Self {
        self.shape.ret = ret;
        self
    }
    /// Sets the effect on the process.
    pub const fn does(mut self, effect: Effect) -> Self {
        self.shape.effect = effect;
        self
    }
    /// Not performed.
    pub const fn skipped(mut self, class: Class) -> Self {
        self.shape.replay = Replay::Skip(class);
        self
    }
    /// Changes the file system.
    pub const fn changes(mut self) -> Self {
        self.shape.changes = true;
        self
    }
    /// Moves data inside the kernel.
    pub const fn copies(mut self, from: End, to: End, len: Len) -> Self {
        self.shape.copies = Some(Copies { from, to, len });
        self
    }
    /// Lets something happen to files that no record tells of.
    pub const fn lets(mut self, unseen: Unseen) -> Self {
        self.shape.unseen = unseen;
        self
    }
    /// Adds filter groups.
    pub const fn groups(mut self, groups: Groups) -> Self {
        self.groups = self.groups.or(groups);
        self
    }
    /// Adds variants by the value of argument `by`.
    pub const fn variants(mut self, by: u8, variants: &'static [(u64, Shape)]) -> Self {
        self.by = by;
        self.variants = variants;
        self
    }
    /// Lets only these bits of the choosing value count (futex without its modifiers).
    pub const fn masked(mut self, mask: u32) -> Self {
        self.mask = mask;
        self
    }
    /// The call's name.
    pub const fn name(&self) -> &'static str {
        self.shape.name
    }
    /// The shape that these arguments choose.
    pub fn shape(&self, args: &[u64; 6]) -> &Shape {
        if self.variants.is_empty() {
            return &self.shape;
        }
        let value = args[self.by as usize] & u64::from(self.mask);
        self.variants.iter().find(|(v, _)| *v == value).map_or(&self.shape, |(_, s)| s)
    }
}
