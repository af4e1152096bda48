//! One row of the table: the name of a call, its arguments and result, its effect on the process,
//! and how replay treats it.

mod groups;
mod io_class;
mod operation;
mod sync_scope;
mod unrecorded;
mod uses;

pub use groups::Groups;
pub use io_class::IoClass;
pub use operation::{
    AIO, AIO_OPCODES, MAPPINGS, OPERATIONS, Operation, SqeField, SqeWord, URING, URING_OPCODES,
    mapped_file, mapping_number, registered_file, registered_index,
};
pub use sync_scope::SyncScope;
pub use unrecorded::UnrecordedEffect;
pub use uses::{Uses, argument_indices};

use crate::{Arg, Kind, Len};
use syscalls::x86_64::Sysno;

/// What the result of a successful call means.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Ret {
    /// It is always 0.
    Zero,
    /// The number of bytes of data that were transferred.
    Bytes,
    /// A number of bytes or entries that are not file data, as for a directory listing. It is
    /// compared unless the layout excludes that.
    Count,
    /// A new descriptor.
    Fd,
    /// A file offset.
    Off,
    /// A process or thread id. It is not compared.
    Pid,
    /// An address. It is not compared.
    Addr,
    /// A number that is compared.
    Int,
    /// A number that depends on the machine. It is not compared.
    Host,
    /// The call does not return if it succeeds.
    Never,
}

/// What a call does with a context of libaio.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u8)]
pub enum AioUse {
    /// It creates one. Argument 1 points to where its address is stored.
    Create = 1,
    /// It submits operations to the one in argument 0: as many as argument 1 says, whose
    /// `struct iocb`s the array in argument 2 points to.
    Submit = 2,
    /// It removes the one in argument 0.
    Destroy = 3,
    /// It takes completions from the one in argument 0, and puts them where argument 3 points.
    Reap = 4,
    /// It cancels an operation.
    Cancel = 5,
}

/// How a successful call changes the state of the process, beyond what the kinds of its arguments
/// and result say.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[allow(missing_docs, reason = "a variant says what its fields are")]
pub enum Effect {
    /// It does not change it.
    None,
    /// The descriptor in argument `fd` is closed, also if the call fails with an error other than
    /// EBADF.
    Close { fd: u8 },
    /// The descriptors from argument 0 to argument 1 are closed, or get close-on-exec; the flags in
    /// argument 2 say which.
    CloseRange,
    /// The result is another descriptor of the open file of argument `old`.
    Dup { old: u8 },
    /// Argument `new` becomes a descriptor of the open file of argument `old`.
    DupTo { old: u8, new: u8 },
    /// A process or a thread starts. The engine's `Start` event says which one, when, and what it
    /// shares.
    Fork,
    /// The program is replaced, and close-on-exec descriptors are closed.
    Exec,
    /// The thread ends.
    Exit,
    /// All threads of the process end.
    ExitGroup,
    /// The working directory becomes the directory at the path argument.
    Chdir,
    /// The working directory becomes the directory of the descriptor in argument 0.
    Fchdir,
    /// The root directory becomes the directory at the path argument.
    Chroot,
    /// A file system is mounted: its source is argument 0, the mount point argument 1, the flags
    /// argument 3.
    Mount,
    /// The mount at the path argument is removed; the flags are argument 1.
    Unmount,
    /// The directory at the path in argument 0 becomes the root; the old root is mounted at the
    /// path in argument 1.
    PivotRoot,
    /// The mount at the first path argument, or of the descriptor in argument 0, is moved to the
    /// second path argument.
    MoveMount,
    /// The result is a descriptor of the mount tree at the path argument; the flags are argument 2.
    OpenTree,
    /// The result is a descriptor of a new mount that is not attached yet.
    MakeMount,
    /// A file system context gets a parameter: its name is argument 2, its value argument 3.
    Configure,
    /// The thread enters the namespaces of the descriptor in argument 0; argument 1 says which
    /// ones.
    EnterSpace,
    /// The umask becomes argument 0.
    Umask,
    /// The file offset of the open file becomes the result.
    Seek,
    /// Bit 0 of argument 2 becomes the close-on-exec flag of the descriptor in argument 0.
    SetFdFlags,
    /// The close-on-exec flag of the descriptor in argument 0 becomes `on`.
    Cloexec { on: bool },
    /// The status flags of the open file in argument 0 become argument 2.
    SetStatusFlags,
    /// `O_NONBLOCK` of the open file in argument 0 is set if the `int` that argument 2 points to is
    /// not 0, else cleared.
    SetNonblocking,
    /// All file systems are written back.
    Sync,
    /// Two new descriptors are stored in the array of argument `fds`; the flags are in argument
    /// `flags`, if there is one.
    Pair { fds: u8, flags: Option<u8> },
    /// The control messages of argument 1 may contain new descriptors.
    Receive,
    /// The result is another descriptor of the open file that is descriptor `fd` of the process
    /// whose pidfd is argument `process`.
    Fetch { process: u8, fd: u8 },
    /// It uses a context of libaio.
    Aio(AioUse),
    /// A mapping is created. Argument 4 is a descriptor unless the flags in argument 3 say that the
    /// mapping is anonymous; argument 2 is the protection.
    Map,
    /// The process stops sharing what the flags in argument 0 list.
    Unshare,
    /// The length of the file becomes the argument of kind `Length`.
    Truncate,
    /// Space in the file is allocated, zeroed or removed: argument 1 is the mode, 2 the offset, 3
    /// the length.
    Allocate,
    /// The socket in argument 0 gets the address in argument 1, which may be the name of a file.
    Bind,
    /// The files of a ring of io_uring become those whose descriptors are in the array of argument
    /// 2, or none if the call has no such argument. Argument 0 is the ring.
    RegisterFiles,
    /// The mappings in the range from argument 0, argument 1 bytes long, are moved or get another
    /// length.
    MoveMapping,
    /// What was stored through shared mappings is to reach the disk.
    SyncMapping,
    /// Bytes were stored through the shared mapping whose file is argument 0.
    Store,
    /// Nothing is stored any more through the shared mapping whose file is argument 0.
    EndMapping,
    /// The file in argument 0 gets the content of the file in argument `from`, by sharing extents.
    Clone { from: u8 },
}

/// Why replay does not perform a call.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Class {
    /// Address space: mmap, brk, mprotect.
    Memory,
    /// Sockets and the network.
    Network,
    /// Pipes, terminals, event and timer descriptors, which store nothing on disk.
    Ipc,
    /// Signals.
    Signal,
    /// Processes and threads: ids, limits, scheduling, waiting for children.
    Process,
    /// Waiting for descriptors or time, and clocks.
    Wait,
    /// Users, groups, capabilities.
    Credentials,
    /// Mounts, roots, quotas, namespaces.
    Mounts,
    /// The machine as a whole: modules, reboot, logs, keys, bpf.
    System,
    /// Watching files: inotify, fanotify, leases.
    Watch,
    /// Submission of asynchronous I/O. The submitted operations have rows of their own.
    Async,
    /// The table does not have the call.
    Unknown,
}

/// Whether replay performs a call.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Replay {
    /// Replay translates each argument by its kind and issues the call. Some effects ([`Effect`])
    /// have a handler that does more.
    Issue,
    /// Replay does not perform the call, for this reason.
    Skip(Class),
}

/// Where in a file a transfer inside the kernel begins.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum CopyOffset {
    /// At byte 0.
    Start,
    /// At the file offset of the open file.
    Own,
    /// At the offset that the argument points to (`loff_t *`), which the call advances. A null
    /// pointer means the file offset of the open file.
    Pointed(u8),
    /// At the `u64` at byte `at` of the struct that argument `arg` points to.
    Field {
        /// The argument that points to the struct.
        arg: u8,
        /// The offset of the field in bytes.
        at: u8,
    },
}

/// The source or the destination of a transfer inside the kernel.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct CopyEnd {
    /// The argument that is the descriptor, or that points to a struct with a field of kind
    /// [`crate::FieldKind::Fd`].
    pub fd: u8,
    /// The offset in the file.
    pub at: CopyOffset,
}

/// A transfer of data from one file to another inside the kernel. The data do not pass through the
/// program's memory, so that the engine reads them from the source file, or from the destination if
/// the source does not keep them (a pipe or a socket).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Copies {
    /// The source.
    pub from: CopyEnd,
    /// The destination.
    pub to: CopyEnd,
    /// The number of bytes. `Len::Fixed(u32::MAX)` stands for up to the end of the file, or for the
    /// number in the struct that has the source's descriptor.
    pub len: Len,
}

/// The arguments, result and treatment of a call, or of one variant of it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct CallSpec {
    /// The name of the call, or of the variant (`F_DUPFD`).
    pub name: &'static str,
    /// The arguments, at most six.
    pub args: &'static [Arg],
    /// What the result means.
    pub ret: Ret,
    /// The effect on the process.
    pub effect: Effect,
    /// Whether replay performs it.
    pub replay: Replay,
    /// Whether the call changes the content or attributes of a file or directory. Calls that
    /// overlap in time keep their order if they use the same object and one of them changes it.
    pub changes: bool,
    /// The transfer inside the kernel, if the call makes one.
    pub copies: Option<Copies>,
    /// How the call can change files without further calls.
    pub unrecorded: UnrecordedEffect,
    /// Facts about the arguments.
    pub uses: Uses,
    /// The sort of work for statistics, where the other facts do not tell it.
    pub counted_as: Option<IoClass>,
}

/// The description of one system call.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Row {
    /// The number on x86-64. Operations that are not system calls (of io_uring and libaio) have
    /// numbers above the kernel's.
    pub number: u32,
    /// The spec, if no variant is selected.
    pub spec: CallSpec,
    /// The filter groups that contain the call.
    pub groups: Groups,
    /// The index of the argument that selects a variant.
    pub selector: u8,
    /// The bits of the selecting argument that are compared.
    pub mask: u32,
    /// The variants of a multiplexed call, by the value of the selecting argument. Other values
    /// select the row's own spec.
    pub variants: &'static [(u64, CallSpec)],
    /// How the row's arguments relate to an entry of a submission queue, if it describes an
    /// operation of io_uring.
    pub operation: Option<Operation>,
}

impl CallSpec {
    /// Creates a spec that returns 0, has no effect on the process, and is issued by replay.
    pub const fn new(name: &'static str, args: &'static [Arg]) -> Self {
        Self {
            name,
            args,
            ret: Ret::Zero,
            effect: Effect::None,
            replay: Replay::Issue,
            changes: false,
            copies: None,
            unrecorded: UnrecordedEffect::Nothing,
            uses: Uses::from_args(args),
            counted_as: None,
        }
    }
    /// Sets what the result means.
    pub const fn returns(mut self, ret: Ret) -> Self {
        self.ret = ret;
        self
    }
    /// Sets the effect on the process.
    pub const fn does(mut self, effect: Effect) -> Self {
        self.effect = effect;
        self
    }
    /// Says that replay does not perform the call, and why.
    pub const fn skipped(mut self, class: Class) -> Self {
        self.replay = Replay::Skip(class);
        self
    }
    /// Says that the call changes a file or directory.
    pub const fn changes(mut self) -> Self {
        self.changes = true;
        self
    }
    /// Sets the transfer inside the kernel.
    pub const fn copies(mut self, from: CopyEnd, to: CopyEnd, len: Len) -> Self {
        self.copies = Some(Copies { from, to, len });
        self
    }
}

impl Row {
    /// Returns the names of all filter groups: those in [`Groups::NAMES`], and `replay`, which is
    /// derived from the rows.
    pub fn group_names() -> impl Iterator<Item = &'static str> {
        Groups::NAMES.iter().map(|(name, _)| *name).chain(["replay"])
    }
    /// Returns whether the filter group with this name contains the call.
    pub fn is_in(&self, group: &str) -> bool {
        let named = |(name, bits): &(&str, Groups)| *name == group && self.groups.has(*bits);
        Groups::NAMES.iter().any(named) || group == "replay" && self.needed_for_replay()
    }
    /// Returns whether a trace must contain the call to be replayed: replay performs it, or it
    /// changes the descriptors, memory, directories, users or children of a process, or it passes
    /// descriptors on.
    pub fn needed_for_replay(&self) -> bool {
        let passes = |arg: &Arg| matches!(arg.kind, Kind::InMsg | Kind::InMsgs { .. });
        let serves = |spec: &CallSpec| {
            spec.replay == Replay::Issue
                || spec.effect != Effect::None
                || spec.ret == Ret::Fd
                || spec.unrecorded == UnrecordedEffect::AsyncOperations
                || spec.args.iter().any(passes)
        };
        self.groups.has(Groups::CREDS)
            || std::iter::once(&self.spec)
                .chain(self.variants.iter().map(|(_, spec)| spec))
                .any(serves)
    }
    /// Creates a row whose spec has the name of the call.
    pub const fn new(sysno: Sysno, args: &'static [Arg]) -> Self {
        Self {
            number: sysno as u32,
            spec: CallSpec::new(sysno.name(), args),
            groups: Groups::NONE,
            selector: 0,
            mask: u32::MAX,
            variants: &[],
            operation: None,
        }
    }
    /// Says that replay performs the call, although others of its class are skipped.
    pub const fn issued(mut self) -> Self {
        self.spec.replay = Replay::Issue;
        self
    }
    /// Sets what the result means.
    pub const fn returns(mut self, ret: Ret) -> Self {
        self.spec.ret = ret;
        self
    }
    /// Sets the effect on the process.
    pub const fn does(mut self, effect: Effect) -> Self {
        self.spec.effect = effect;
        self
    }
    /// Says that replay does not perform the call, and why.
    pub const fn skipped(mut self, class: Class) -> Self {
        self.spec.replay = Replay::Skip(class);
        self
    }
    /// Says that the call changes a file or directory.
    pub const fn changes(mut self) -> Self {
        self.spec.changes = true;
        self
    }
    /// Sets the transfer inside the kernel.
    pub const fn copies(mut self, from: CopyEnd, to: CopyEnd, len: Len) -> Self {
        self.spec.copies = Some(Copies { from, to, len });
        self
    }
    /// Says how the call can change files without further calls.
    pub const fn leaves_unrecorded(mut self, unrecorded: UnrecordedEffect) -> Self {
        self.spec.unrecorded = unrecorded;
        self
    }
    /// Adds filter groups.
    pub const fn groups(mut self, groups: Groups) -> Self {
        self.groups = self.groups.or(groups);
        self
    }
    /// Sets the variants; argument `selector` selects one.
    pub const fn variants(mut self, selector: u8, variants: &'static [(u64, CallSpec)]) -> Self {
        self.selector = selector;
        self.variants = variants;
        self
    }
    /// Sets the bits of the selecting argument that are compared, so that modifier flags are
    /// ignored.
    pub const fn masked(mut self, mask: u32) -> Self {
        self.mask = mask;
        self
    }
    /// Returns the name of the call.
    pub const fn name(&self) -> &'static str {
        self.spec.name
    }
    /// Returns the spec that these arguments select.
    pub fn spec(&self, args: &[u64; 6]) -> &CallSpec {
        if self.variants.is_empty() {
            return &self.spec;
        }
        let value = args[self.selector as usize] & u64::from(self.mask);
        self.variants.iter().find(|(v, _)| *v == value).map_or(&self.spec, |(_, s)| s)
    }
}
