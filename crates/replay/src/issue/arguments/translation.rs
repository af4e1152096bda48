//! The first step: each argument translated by its kind. What only the thread has that performs the
//! call is left open, as holes.

use crate::issue::scratch::MOST;
use crate::issue::{Real, raw};
use abi::{AT_FDCWD, Form, Kind, Len, Ret, Shape};
use model::world::Bound;
use trace::record::{PayloadKind, UNREADABLE};
use trace::{Call, Payload};

/// Bytes that a read may bring beyond what was recorded: enough to see that there are more.
pub(super) const BEYOND: usize = 64 << 10;
/// Counts of lists (names, entries) are passed on up to this.
pub(super) const LIST: usize = 16 << 20;
const EFAULT: i32 = 14;
/// An address that faults.
const NOWHERE: usize = 8;
const O_DIRECT: u32 = 0o40000;

/// Why names below the program's own mounts are left alone: what is there has no place in the root.
pub(crate) const MOUNTED: &str = "mounted by the program";

/// Why a call cannot be performed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Refused {
    /// It means more than files (a kind that replay does not translate).
    Kind,
    /// It would need more memory than any call can move.
    Size,
    /// This machine does not have the call.
    Missing,
    /// There is no procfs here, through which the call reaches its file.
    Procfs,
    /// What its path leads to has no place here: the program mounted it.
    Elsewhere,
}

impl Refused {
    /// The report's words for it.
    pub fn why(self) -> &'static str {
        match self {
            Self::Kind => "means more than files",
            Self::Size => "larger than any call",
            Self::Missing => "not a call of this machine",
            Self::Elsewhere => MOUNTED,
            Self::Procfs => "no procfs on this machine",
        }
    }
}

/// What an argument still lacks when its call has been translated: what only the thread has that
/// performs it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Hole {
    /// Nothing.
    None,
    /// Nothing, as long as the recorded data are there, to which it points.
    Recorded,
    /// The real descriptor that it means.
    Real,
    /// A path through a link of procfs: through the real descriptor of what that leads to.
    Through,
    /// A path of a process with mounts or a root of its own: what it stands for.
    Viewed,
    /// A path from the working directory, of a call that is made elsewhere for the sake of another.
    Beside,
    /// Room for so many bytes that come back; `clean`: it must not hold what an earlier call left.
    Room { len: usize, clean: bool },
    /// A string.
    Text,
    /// A struct that goes in (and out), in so many bytes.
    Input { len: usize },
    /// Bulk data that do not stand in one piece, so many bytes.
    Data { len: usize },
    /// `iovec`s going in.
    Gather { count: u8 },
    /// `iovec`s coming out.
    Scatter { count: u8 },
}

/// A call's arguments, each translated by its kind. What depends on the thread that performs it and
/// on the calls before it is left open. This is done once for a call, beforehand where little is
/// left open ([`crate::issue::Prepared`]).
#[derive(Clone, Copy, Debug)]
pub(crate) struct Translation {
    pub nr: syscalls::Sysno,
    pub values: [usize; 6],
    pub holes: [Hole; 6],
    /// An argument is an address that faults.
    pub faults: bool,
    /// It is made in procfs: paths lead through links there.
    pub detour: bool,
}

impl Translation {
    /// Translates the arguments of `call`.
    pub fn of(call: &Call, shape: &Shape, bound: &Bound<Real>) -> Result<Self, Refused> {
        let nr = raw::native(call.nr).ok_or(Refused::Missing)?;
        let mut this =
            Self { nr, values: [0; 6], holes: [Hole::None; 6], faults: false, detour: false };
        for i in 0..shape.args.len() {
            this.values[i] = call.args[i] as usize;
        }
        for (i, arg) in shape.args.iter().enumerate() {
            let pointer = call.args[i];
            match arg.kind {
                Kind::Int
                | Kind::Uint
                | Kind::Hex
                | Kind::Off
                | Kind::Pos
                | Kind::PosHigh
                | Kind::Size
                | Kind::Length
                | Kind::Mode => {}
                // What came at once then need not be there at once now.
                Kind::Flags(set) if call.succeeded() => this.values[i] &= !(set.hasty as usize),
                Kind::Uid | Kind::Gid | Kind::Dev | Kind::Flags(_) | Kind::Unused => {}
                Kind::DirFd if call.args[i] as i32 == AT_FDCWD => {
                    this.values[i] = AT_FDCWD as isize as usize;
                }
                Kind::Fd | Kind::DirFd => this.holes[i] = Hole::Real,
                Kind::Pid | Kind::Signal | Kind::StrVec | Kind::InMsg | Kind::OutMsg => {
                    return Err(Refused::Kind);
                }
                Kind::InMsgs { .. } | Kind::OutMsgs { .. } | Kind::Iocbs { .. } => {
                    return Err(Refused::Kind);
                }
                Kind::Addr => this.values[i] = 0,
                _ if pointer == 0 => {}
                Kind::Path(_) | Kind::Str => this.string(call, i),
                Kind::In(len, layout) if layout.form == Form::Data => {
                    this.data(call, shape, i, len, bound)?;
                }
                Kind::In(len, _) => this.input(call, i, len)?,
                Kind::InOut(len, _) => this.input(call, i, len)?,
                Kind::Out(len, layout) => {
                    this.output(call, shape, i, len, layout.form, bound.cut)?;
                }
                Kind::InIov { .. } | Kind::OutIov { .. } if call.errno() == Some(EFAULT) => {
                    this.nowhere(i);
                }
                Kind::InIov { count } => this.holes[i] = Hole::Gather { count },
                Kind::OutIov { count } => this.holes[i] = Hole::Scatter { count },
            }
        }
        for i in abi::arguments(shape.uses.paths) {
            if this.holes[i] == Hole::Text
                && bound.viewed[i].is_some()
                && bound.through[i].is_none()
            {
                this.holes[i] = Hole::Viewed;
            }
        }
        if bound.through.any() {
            this.detour(call, shape, bound);
        }
        // Data that move inside the kernel: no more than moved then.
        if shape.copies.is_some()
            && call.succeeded()
            && call.ret > 0
            && let Some(i) = shape.args.iter().position(|a| a.kind == Kind::Size)
        {
            this.values[i] = call.ret as usize;
        }
        Ok(this)
    }

    /// Argument `i` faults.
    fn nowhere(&mut self, i: usize) {
        (self.values[i], self.faults) = (NOWHERE, true);
    }

    fn string(&mut self, call: &Call, i: usize) {
        match text(call, i) {
            Some(_) => self.holes[i] = Hole::Text,
            None => self.nowhere(i),
        }
    }

    /// Bulk data that go in: as many bytes as moved. What was not captured is zeros.
    fn data(
        &mut self,
        call: &Call,
        shape: &Shape,
        i: usize,
        len: Len,
        bound: &Bound<Real>,
    ) -> Result<(), Refused> {
        let count = match len {
            Len::Arg { n, unit: 1 } => Some(n as usize),
            _ => None,
        };
        let due = self.length(call, i, len).ok_or(Refused::Size)?;
        let (moved, failed) = match call.errno() {
            None if shape.ret == Ret::Bytes => (due.min(call.ret.max(0) as usize), false),
            None => (due, false),
            Some(_) => (due.min(LIST), true),
        };
        if let Some(n) = count {
            self.values[n] = moved;
        } else if moved != due {
            return Err(Refused::Size);
        }
        if failed && call.errno() == Some(EFAULT) {
            self.nowhere(i);
            return Ok(());
        }
        let direct = bound.status.iter().any(|status| status & O_DIRECT != 0);
        let mut payloads =
            call.payloads.iter().filter(|p| p.arg as usize == i && p.kind == PayloadKind::Data);
        if let (Some(first), None, false) = (payloads.next(), payloads.next(), direct)
            && first.bytes.len() >= moved
        {
            // The kernel only reads from it, and the payload outlives the call.
            self.values[i] = first.bytes.as_ptr() as usize;
            self.holes[i] = Hole::Recorded;
            return Ok(());
        }
        self.holes[i] = Hole::Data { len: moved };
        Ok(())
    }

    /// A struct or another small buffer that goes in (and out).
    fn input(&mut self, call: &Call, i: usize, len: Len) -> Result<(), Refused> {
        let faulted =
            |payload: &&Payload| call.errno() == Some(EFAULT) && payload.flags & UNREADABLE != 0;
        let Some(payload) = given(call, i).filter(|payload| !faulted(payload)) else {
            self.nowhere(i);
            return Ok(());
        };
        let due = self.length(call, i, len).ok_or(Refused::Size)?;
        self.holes[i] = Hole::Input { len: due.max(payload.bytes.len()) };
        Ok(())
    }

    fn output(
        &mut self,
        call: &Call,
        shape: &Shape,
        i: usize,
        len: Len,
        form: Form,
        cut: bool,
    ) -> Result<(), Refused> {
        if call.errno() == Some(EFAULT) {
            self.nowhere(i);
            return Ok(());
        }
        let mut due = self.length(call, i, len).unwrap_or(MOST).min(MOST);
        if let Len::Arg { n, unit } | Len::Ret { max: Some(n), unit } = len {
            let recorded = call.ret.max(0) as usize;
            let most = match (form, shape.ret) {
                (Form::Data, Ret::Bytes) if cut => recorded.min(MOST),
                (Form::Data, Ret::Bytes) => {
                    recorded.min(MOST).next_multiple_of(4096).saturating_add(BEYOND)
                }
                _ => LIST,
            };
            let unit = unit.max(1) as usize;
            if due > most {
                due = most / unit * unit;
                self.values[n as usize] = due / unit;
            }
        } else if self.length(call, i, len).is_none() {
            return Err(Refused::Size);
        }
        self.holes[i] = Hole::Room { len: due, clean: form != Form::Data };
        Ok(())
    }

    /// What the kernel may read or write at argument `i`, given the values passed; `None`: more
    /// than memory.
    fn length(&self, call: &Call, i: usize, len: Len) -> Option<usize> {
        let word = |arg: usize, at: usize| {
            let bytes =
                call.payload(arg as u8, PayloadKind::Bytes).map_or(&[][..], |p| p.bytes.as_slice());
            bytes.get(at..at + 4).and_then(|b| b.try_into().ok()).map_or(0, u32::from_le_bytes)
                as usize
        };
        let length = match len {
            Len::Fixed(n) => n as usize,
            Len::Bits { n } => self.values[n as usize].div_ceil(64).checked_mul(8)?,
            Len::Arg { n, unit } | Len::Ret { max: Some(n), unit } => {
                self.values[n as usize].checked_mul(unit as usize)?
            }
            Len::Ret { max: None, unit } => {
                (call.ret.max(0) as usize).checked_mul(unit as usize)?.max(4096)
            }
            Len::Deref { n, unit } => word(n as usize, 0).checked_mul(unit as usize)?,
            Len::Head { at, base, unit } => {
                word(i, at as usize).checked_mul(unit as usize)?.checked_add(base as usize)?
            }
        };
        Some(length)
    }
}

/// The string of argument `i`, if it could be read.
pub(super) fn text(call: &Call, i: usize) -> Option<&[u8]> {
    call.payload(i as u8, PayloadKind::String)
        .filter(|p| p.flags & UNREADABLE == 0)
        .map(|p| p.bytes.as_slice())
}

/// The struct, or the other small buffer, that argument `i` pointed to.
pub(super) fn given(call: &Call, i: usize) -> Option<&Payload> {
    call.payload(i as u8, PayloadKind::Bytes).or_else(|| call.payload(i as u8, PayloadKind::Data))
}
