//! The capture plan of a call: what to copy, when, and how many bytes. It is derived from the kinds
//! of the call's arguments. Each engine executes the steps of the plan and nothing else.
//!
//! A step whose pointer is null yields no payload.

use crate::kind::{Direction, Pointee};
use crate::{CallSpec, CopyOffset, Effect, Form, Kind, Len, Ret};

/// What a step captures.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u8)]
pub enum StepKind {
    /// The bytes that the argument points to.
    Bytes = 0,
    /// The string that the argument points to, without its NUL.
    String = 1,
    /// The strings of a NULL-terminated vector of pointers.
    StrVec = 2,
    /// A vector of buffers: its `struct iovec`s, and the data.
    Iov = 3,
    /// A `struct msghdr` and what it points to.
    Msg = 4,
    /// An array of `struct mmsghdr` and what these point to.
    Msgs = 5,
    /// An array of pointers to `struct iocb`, and what these point to. The data belong to the
    /// operations.
    Iocbs = 6,
    /// Data that the kernel transferred itself, read from the source file: from the descriptor in
    /// `arg`, at the offset that argument `arg2` pointed to before the call.
    SourceFile = 7,
    /// What a descriptor refers to: device, inode, type, path and so on. `arg` is an argument,
    /// [`RESULT`], [`WORKING_DIRECTORY`] or [`ROOT_DIRECTORY`].
    Identity = 8,
    /// Data that the kernel transferred itself, read from the destination file, as for
    /// [`StepKind::SourceFile`]. The step is only taken if argument `arg3`, the source, is not a
    /// regular file that keeps its data (a pipe, a socket, a virtual file).
    DestinationFile = 9,
    /// Data of a file range that a struct describes, read from the source file. `arg` points to the
    /// descriptor (`s64`), the offset (`u64`) and the length (`u64`; 0 means to the end of the
    /// file), as in `struct file_clone_range`.
    SourceRange = 10,
}

/// When a step is taken.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u8)]
pub enum When {
    /// When the call is entered.
    Entry = 0,
    /// When the call returns, if it succeeded.
    Exit = 1,
    /// When the call returns, even if it failed.
    ExitAlways = 2,
}

/// How the length of a step is computed, in bytes. The fields of [`Step`] hold the operands that
/// [`Len`] has.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u8)]
pub enum LengthSource {
    /// `unit` bytes.
    Fixed = 0,
    /// The value of argument `len_arg`, times `unit`.
    Arg = 1,
    /// The result times `unit`, at most argument `len_arg` times `unit` unless that is [`NONE`].
    Ret = 2,
    /// The `u32` at the address in argument `len_arg`, times `unit`.
    Deref = 3,
    /// `base` plus `unit` times the `u32` at byte `len_arg` of the buffer itself.
    Head = 4,
    /// The number of bits in argument `len_arg`, rounded up to whole words of 8 bytes.
    Bits = 5,
}

/// In [`Step::len_arg`], [`Step::arg2`] and [`Step::arg3`]: there is no such argument.
pub const NONE: u8 = 255;
/// In [`Step::arg`]: the descriptor that the call returned.
pub const RESULT: u8 = 254;
/// In [`Step::arg2`]: the file offset of the open file.
pub const OWN_OFFSET: u8 = 254;
/// In [`Step::arg`]: the working directory after the call.
pub const WORKING_DIRECTORY: u8 = 253;
/// In [`Step::arg`]: the root directory after the call.
pub const ROOT_DIRECTORY: u8 = 252;

/// In a payload's argument: the number of the ring of io_uring that the call created (`u32`). It is
/// no step of a plan.
pub const RING: u8 = 251;
/// In a payload's argument: the number of the shared mapping that the call created (`u32`), stores
/// through which have rows ([`crate::MAPPINGS`]). It is no step of a plan.
pub const MAPPING: u8 = 250;

/// In [`Step::flags`]: the bytes are data that the call transferred.
pub const DATA: u8 = 1;
/// In [`Step::flags`]: at most as many bytes as the result says are captured, as for the data of a
/// write.
pub const CLAMP: u8 = 2;
/// In [`Step::flags`]: the messages were received. The identity of each descriptor that came with
/// them (unix(7), `SCM_RIGHTS`) is captured after them.
pub const RECEIVED: u8 = 4;

/// One step, 16 bytes. It has the same layout in a BPF map and in user space.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(C)]
pub struct Step {
    /// What is captured.
    pub kind: StepKind,
    /// When the step is taken.
    pub when: When,
    /// The argument with the address or the descriptor, or [`RESULT`], [`WORKING_DIRECTORY`] or
    /// [`ROOT_DIRECTORY`].
    pub arg: u8,
    /// How the length is computed.
    pub from: LengthSource,
    /// The argument that the length depends on, or [`NONE`].
    pub len_arg: u8,
    /// For [`StepKind::SourceFile`] and [`StepKind::DestinationFile`]: the argument that points to
    /// the offset in the file; [`OWN_OFFSET`]; or [`NONE`], which means byte 0.
    pub arg2: u8,
    /// A set of [`DATA`], [`CLAMP`] and [`RECEIVED`].
    pub flags: u8,
    /// For [`StepKind::DestinationFile`]: the argument with the source's descriptor.
    pub arg3: u8,
    /// The number of bytes per unit of length, or the fixed length.
    pub unit: u32,
    /// The number of bytes added for [`LengthSource::Head`].
    pub base: u32,
}

/// The capture steps of one call (or variant), in the order of its arguments.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Plan {
    /// The steps that are taken when the call is entered.
    pub entry: Vec<Step>,
    /// The steps that are taken when the call returns.
    pub exit: Vec<Step>,
}

impl Plan {
    /// Derives the capture plan of an operation that `spec` describes, which may complete long
    /// after it was submitted: what it reads from the program's memory is captured at its
    /// submission, since the program may use the memory again before the completion is seen.
    pub fn derive_operation(spec: &CallSpec) -> Self {
        let Self { mut entry, exit } = Self::derive(spec);
        let reads_memory = |step: &Step| {
            let kind = spec.args.get(usize::from(step.arg)).map(|a| a.kind.pointee());
            let inward = match kind {
                Some(Pointee::Buffer(direction, ..) | Pointee::Message(direction)) => {
                    direction == Direction::In
                }
                Some(Pointee::Iovecs { .. }) => spec.uses.writes_data,
                _ => false,
            };
            inward && matches!(step.kind, StepKind::Bytes | StepKind::Iov | StepKind::Msg)
        };
        let (inward, exit) = exit.into_iter().partition(reads_memory);
        entry.extend(Vec::into_iter(inward).map(|step| Step { when: When::Entry, ..step }));
        Self { entry, exit }
    }

    /// Derives the capture plan of `spec`.
    pub fn derive(spec: &CallSpec) -> Self {
        let mut plan = Self::default();
        let returns_bytes = matches!(spec.ret, Ret::Bytes);
        for (i, a) in spec.args.iter().enumerate() {
            plan.add_argument(i as u8, a.kind, returns_bytes);
        }
        if let Some(c) = spec.copies {
            let kind = if matches!(c.from.at, CopyOffset::Field { .. }) {
                StepKind::SourceRange
            } else {
                StepKind::SourceFile
            };
            plan.exit.push(Step {
                arg2: offset_argument(c.from.at),
                ..new_step(kind, When::Exit, c.from.fd, c.len, DATA)
            });
            // The result says how much was transferred, so that the data may have come from a pipe
            // or a socket. A call without such a result only accepts regular files as source.
            if returns_bytes {
                plan.exit.push(Step {
                    arg2: offset_argument(c.to.at),
                    arg3: c.from.fd,
                    ..new_step(StepKind::DestinationFile, When::Exit, c.to.fd, c.len, DATA)
                });
            }
        }
        if spec.ret == Ret::Fd {
            plan.exit.push(new_step(StepKind::Identity, When::Exit, RESULT, Len::Fixed(0), 0));
        }
        match spec.effect {
            Effect::Chdir | Effect::Fchdir => plan.exit.push(new_step(
                StepKind::Identity,
                When::Exit,
                WORKING_DIRECTORY,
                Len::Fixed(0),
                0,
            )),
            Effect::Chroot => {
                plan.exit.push(new_step(
                    StepKind::Identity,
                    When::Exit,
                    ROOT_DIRECTORY,
                    Len::Fixed(0),
                    0,
                ));
            }
            _ => {}
        }
        plan
    }

    /// Adds the steps for an argument. `returns_bytes`: the result of the call is the number of
    /// bytes that it transferred.
    fn add_argument(&mut self, arg: u8, kind: Kind, returns_bytes: bool) {
        let counted = |count: u8| Len::Arg { n: count, unit: 1 };
        let clamp = if returns_bytes { CLAMP } else { 0 };
        match kind.pointee() {
            Pointee::Nothing => {}
            Pointee::String => {
                self.entry.push(new_step(StepKind::String, When::Entry, arg, Len::Fixed(0), 0));
            }
            Pointee::Strings => {
                self.entry.push(new_step(StepKind::StrVec, When::Entry, arg, Len::Fixed(0), 0));
            }
            Pointee::Buffer(Direction::In, len, layout) if layout.form == Form::Data => {
                self.exit.push(new_step(StepKind::Bytes, When::Exit, arg, len, DATA | clamp));
            }
            Pointee::Buffer(Direction::In, len, _) => {
                self.entry.push(new_step(StepKind::Bytes, When::Entry, arg, len, 0));
            }
            Pointee::Buffer(Direction::Out, len, layout) => {
                self.exit.push(new_step(
                    StepKind::Bytes,
                    When::Exit,
                    arg,
                    len,
                    data_flag(layout.form),
                ));
            }
            Pointee::Buffer(Direction::InOut, len, layout) => {
                self.entry.push(new_step(StepKind::Bytes, When::Entry, arg, len, 0));
                self.exit.push(new_step(
                    StepKind::Bytes,
                    When::ExitAlways,
                    arg,
                    len,
                    data_flag(layout.form),
                ));
            }
            Pointee::Iovecs { count } => {
                self.exit.push(new_step(
                    StepKind::Iov,
                    When::Exit,
                    arg,
                    counted(count),
                    DATA | CLAMP,
                ));
            }
            Pointee::Message(direction) => {
                let flags = DATA | CLAMP | received_flag(direction);
                self.exit.push(new_step(StepKind::Msg, When::Exit, arg, Len::Fixed(1), flags));
            }
            Pointee::Messages(direction, count) => {
                let len = Len::Ret { max: Some(count), unit: 1 };
                let flags = DATA | received_flag(direction);
                self.exit.push(new_step(StepKind::Msgs, When::Exit, arg, len, flags));
            }
            Pointee::Iocbs { count } => {
                self.entry.push(new_step(StepKind::Iocbs, When::Entry, arg, counted(count), 0));
            }
        }
    }
}

/// Returns [`Step::arg2`] for an offset.
const fn offset_argument(at: CopyOffset) -> u8 {
    match at {
        CopyOffset::Start | CopyOffset::Field { .. } => NONE,
        CopyOffset::Own => OWN_OFFSET,
        CopyOffset::Pointed(arg) => arg,
    }
}

/// Returns [`RECEIVED`] if the messages come from the kernel, else no flag.
const fn received_flag(direction: Direction) -> u8 {
    if matches!(direction, Direction::Out) { RECEIVED } else { 0 }
}

/// Returns [`DATA`] if the buffer holds data that the call transfers, else no flag.
const fn data_flag(form: Form) -> u8 {
    if matches!(form, Form::Data) { DATA } else { 0 }
}

/// Builds a step of a capture plan: what argument `arg` points to is copied at the time `when`, and
/// `len` says how long it is. The fields for other arguments (`arg2`, `arg3`) are unset.
const fn new_step(kind: StepKind, when: When, arg: u8, len: Len, flags: u8) -> Step {
    let (from, len_arg, unit, base) = match len {
        Len::Fixed(n) => (LengthSource::Fixed, NONE, n, 0),
        Len::Arg { n, unit } => (LengthSource::Arg, n, unit, 0),
        Len::Ret { max: Some(n), unit } => (LengthSource::Ret, n, unit, 0),
        Len::Ret { max: None, unit } => (LengthSource::Ret, NONE, unit, 0),
        Len::Deref { n, unit } => (LengthSource::Deref, n, unit, 0),
        Len::Head { at, base, unit } => (LengthSource::Head, at, unit, base),
        Len::Bits { n } => (LengthSource::Bits, n, 0, 0),
    };
    Step { kind, when, arg, from, len_arg, arg2: NONE, flags, arg3: NONE, unit, base }
}
