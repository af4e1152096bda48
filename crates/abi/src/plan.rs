//! The capture plan of a call: what to copy, when, and how much, derived from its kinds. Every
//! engine interprets these steps and nothing else.
//!
//! A step whose pointer is null yields no payload: the program passed nothing.

use crate::kind::{Direction, Pointee};
use crate::{At, Effect, Form, Kind, Len, Ret, Shape};

/// What a step copies.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u8)]
pub enum What {
    /// The bytes that the argument points to.
    Bytes = 0,
    /// The string that the argument points to, without its NUL.
    String = 1,
    /// The strings of a NULL-terminated vector of pointers.
    StrVec = 2,
    /// A vector of buffers: its `struct iovec`s, and the data.
    Iov = 3,
    /// A `struct msghdr`, and what it points to.
    Msg = 4,
    /// An array of `struct mmsghdr`, likewise.
    Msgs = 5,
    /// An array of pointers to `struct iocb`, and the buffers of those that write.
    Iocbs = 6,
    /// Data from a file, which the kernel moved itself: from the descriptor in `arg`, at the offset
    /// that argument `arg2` pointed to before the call.
    File = 7,
    /// What a descriptor is: `arg` is an argument, [`RESULT`] or [`WORKING_DIRECTORY`].
    Identity = 8,
    /// Data that the kernel moved into a file, read from there: as [`What::File`], but taken only
    /// where argument `arg3` is no descriptor of a regular file that holds them (they came out of a
    /// pipe, a socket, a file that the kernel makes up).
    Landed = 9,
    /// Data from a file that a struct names: `arg` points to its descriptor (`s64`), the offset
    /// there (`u64`) and how many bytes (`u64`; 0: to the file's end), as `struct file_clone_range`
    /// has them.
    Range = 10,
}

/// When a step is taken.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u8)]
pub enum When {
    /// Before the call.
    Entry = 0,
    /// After it, if it succeeded.
    Exit = 1,
    /// After it, also if it failed.
    ExitAlways = 2,
}

/// Where a step's length comes from; the numbers are [`Len`]'s, flat.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u8)]
pub enum From {
    /// `unit` bytes.
    Fixed = 0,
    /// Argument `len_arg` times `unit`.
    Arg = 1,
    /// The result times `unit`, at most argument `len_arg` times `unit` unless that is [`NONE`].
    Ret = 2,
    /// The `u32` at the address in argument `len_arg`, times `unit`.
    Deref = 3,
    /// `base` and the buffer's own `u32` at byte `len_arg` times `unit`.
    Head = 4,
    /// Argument `len_arg` bits, in whole words of 8 bytes.
    Bits = 5,
}

/// No such argument.
pub const NONE: u8 = 255;
/// In [`Step::arg`]: the call's result.
pub const RESULT: u8 = 254;
/// In [`Step::arg2`]: the descriptor's own offset.
pub const OWN: u8 = 254;
/// In [`Step::arg`]: the working directory after the call.
pub const WORKING_DIRECTORY: u8 = 253;
/// In [`Step::arg`]: the root directory after the call.
pub const ROOT_DIRECTORY: u8 = 252;

/// The step's bytes are the data that the call moves.
pub const DATA: u8 = 1;
/// The step is at most as long as the result says (a write's data).
pub const CLAMP: u8 = 2;
/// The messages came in: what each descriptor is that came with them (unix(7), `SCM_RIGHTS`) is
/// told after them.
pub const RECEIVED: u8 = 4;

/// One step: 16 bytes, the same in a BPF map and in user space.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(C)]
pub struct Step {
    /// What to copy.
    pub what: What,
    /// When.
    pub when: When,
    /// The argument that leads to it.
    pub arg: u8,
    /// Where the length comes from.
    pub from: From,
    /// The argument that `from` means.
    pub len_arg: u8,
    /// A second argument: the offset of [`What::File`] and [`What::Landed`]; or [`OWN`]; [`NONE`]:
    /// from byte 0.
    pub arg2: u8,
    /// [`DATA`], [`CLAMP`], [`RECEIVED`].
    pub flags: u8,
    /// A third argument: the source's descriptor of [`What::Landed`].
    pub arg3: u8,
    /// Bytes per unit, or the fixed number of bytes.
    pub unit: u32,
    /// Bytes before the counted ones ([`From::Head`]).
    pub base: u32,
}

/// The steps of one shape, in argument order.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Plan {
    /// Taken at entry.
    pub entry: Vec<Step>,
    /// Taken at exit.
    pub exit: Vec<Step>,
}

impl Plan {
    /// Derives the plan of `shape`.
    pub fn of(shape: &Shape) -> Self {
        let mut plan = Self::default();
        let moved = matches!(shape.ret, Ret::Bytes);
        for (i, a) in shape.args.iter().enumerate() {
            plan.argument(i as u8, a.kind, moved);
        }
        if let Some(c) = shape.copies {
            let what = if matches!(c.from.at, At::Field { .. }) { What::Range } else { What::File };
            plan.exit.push(Step {
                arg2: place(c.from.at),
                ..step(what, When::Exit, c.from.fd, c.len, DATA)
            });
            // What a call takes from a file wholly cannot come from anything else.
            if moved {
                plan.exit.push(Step {
                    arg2: place(c.to.at),
                    arg3: c.from.fd,
                    ..step(What::Landed, When::Exit, c.to.fd, c.len, DATA)
                });
            }
        }
        if shape.ret == Ret::Fd {
            plan.exit.push(step(What::Identity, When::Exit, RESULT, Len::Fixed(0), 0));
        }
        match shape.effect {
            Effect::Chdir | Effect::Fchdir => plan.exit.push(step(
                What::Identity,
                When::Exit,
                WORKING_DIRECTORY,
                Len::Fixed(0),
                0,
            )),
            Effect::Chroot => {
                plan.exit.push(step(What::Identity, When::Exit, ROOT_DIRECTORY, Len::Fixed(0), 0));
            }
            _ => {}
        }
        plan
    }

    /// What is taken for an argument; `moved`: the call's result is how many bytes it moved.
    fn argument(&mut self, arg: u8, kind: Kind, moved: bool) {
        let counted = |count: u8| Len::Arg { n: count, unit: 1 };
        let clamp = if moved { CLAMP } else { 0 };
        match kind.pointee() {
            Pointee::Nothing => {}
            Pointee::String => {
                self.entry.push(step(What::String, When::Entry, arg, Len::Fixed(0), 0));
            }
            Pointee::Strings => {
                self.entry.push(step(What::StrVec, When::Entry, arg, Len::Fixed(0), 0));
            }
            Pointee::Buffer(Direction::In, len, layout) if layout.form == Form::Data => {
                self.exit.push(step(What::Bytes, When::Exit, arg, len, DATA | clamp));
            }
            Pointee::Buffer(Direction::In, len, _) => {
                self.entry.push(step(What::Bytes, When::Entry, arg, len, 0));
            }
            Pointee::Buffer(Direction::Out, len, layout) => {
                self.exit.push(step(What::Bytes, When::Exit, arg, len, data(layout.form)));
            }
            Pointee::Buffer(Direction::InOut, len, layout) => {
                self.entry.push(step(What::Bytes, When::Entry, arg, len, 0));
                self.exit.push(step(What::Bytes, When::ExitAlways, arg, len, data(layout.form)));
            }
            Pointee::Iovecs { count } => {
                self.exit.push(step(What::Iov, When::Exit, arg, counted(count), DATA | CLAMP));
            }
            Pointee::Message(direction) => {
                let flags = DATA | CLAMP | received(direction);
                self.exit.push(step(What::Msg, When::Exit, arg, Len::Fixed(1), flags));
            }
            Pointee::Messages(direction, count) => {
                let len = Len::Ret { max: Some(count), unit: 1 };
                let flags = DATA | received(direction);
                self.exit.push(step(What::Msgs, When::Exit, arg, len, flags));
            }
            Pointee::Iocbs { count } => {
                self.entry.push(step(What::Iocbs, When::Entry, arg, counted(count), DATA));
            }
        }
    }
}

const fn place(at: At) -> u8 {
    match at {
        At::Start | At::Field { .. } => NONE,
        At::Own => OWN,
        At::Pointed(arg) => arg,
    }
}

const fn received(direction: Direction) -> u8 {
    if matches!(direction, Direction::Out) { RECEIVED } else { 0 }
}

const fn data(form: Form) -> u8 {
    if matches!(form, Form::Data) { DATA } else { 0 }
}

const fn step(what: What, when: When, arg: u8, len: Len, flags: u8) -> Step {
    let (from, len_arg, unit, base) = match len {
        Len::Fixed(n) => (From::Fixed, NONE, n, 0),
        Len::Arg { n, unit } => (From::Arg, n, unit, 0),
        Len::Ret { max: Some(n), unit } => (From::Ret, n, unit, 0),
        Len::Ret { max: None, unit } => (From::Ret, NONE, unit, 0),
        Len::Deref { n, unit } => (From::Deref, n, unit, 0),
        Len::Head { at, base, unit } => (From::Head, at, unit, base),
        Len::Bits { n } => (From::Bits, n, 0, 0),
    };
    Step { what, when, arg, from, len_arg, arg2: NONE, flags, arg3: NONE, unit, base }
}
