//! A recorded call's arguments in this process: each translated by its kind, and nothing else.

mod paths;
pub(crate) mod procfs;

use super::scratch::{MOST, Room};
use super::{Real, Scratch, raw};
use abi::{AT_FDCWD, Effect, Form, Kind, Len, Ret, Shape};
use model::world::{Bound, Descriptor};
use std::sync::Arc;
use trace::record::{PieceKind, UNREADABLE};
use trace::{Call, Piece};

/// Bytes that a read may bring beyond what was recorded: enough to see that there are more.
const BEYOND: usize = 64 << 10;
/// Counts of lists (names, entries) are passed on up to this.
const LIST: usize = 16 << 20;
/// The most vectors that the kernel takes.
const IOV_MAX: usize = 1024;
const EFAULT: i32 = 14;
/// An address that faults.
const NOWHERE: usize = 8;
const O_DIRECT: u32 = 0o40000;

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

/// What an argument still lacks when its call has been translated: what only the thread has that performs it.
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

/// A call's arguments, each translated by its kind. What depends on the thread that performs it and on the calls before it is left open. This is done once for a
/// call, beforehand where little is left open ([`super::Ready`]).
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

/// Translated arguments, ready to be performed once.
pub(crate) struct Arguments {
    nr: syscalls::Sysno,
    values: [usize; 6],
    /// Where each argument's bytes come back.
    rooms: [Option<Room>; 6],
    /// The same of the argument that is a list of buffers.
    vector: Vec<Room>,
    vector_of: usize,
    faults: bool,
    /// It is made in procfs.
    detour: Option<procfs::Detour>,
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
        let mut pieces =
            call.pieces.iter().filter(|p| p.arg as usize == i && p.kind == PieceKind::Data);
        if let (Some(first), None, false) = (pieces.next(), pieces.next(), direct)
            && first.bytes.len() >= moved
        {
            // The kernel only reads from it, and the piece outlives the call.
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
            |piece: &&Piece| call.errno() == Some(EFAULT) && piece.flags & UNREADABLE != 0;
        let Some(piece) = given(call, i).filter(|piece| !faulted(piece)) else {
            self.nowhere(i);
            return Ok(());
        };
        let due = self.length(call, i, len).ok_or(Refused::Size)?;
        self.holes[i] = Hole::Input { len: due.max(piece.bytes.len()) };
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

    /// What the kernel may read or write at argument `i`, given the values passed; `None`: more than memory.
    fn length(&self, call: &Call, i: usize, len: Len) -> Option<usize> {
        let word = |arg: usize, at: usize| {
            let bytes =
                call.piece(arg as u8, PieceKind::Bytes).map_or(&[][..], |p| p.bytes.as_slice());
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

impl Arguments {
    /// Translates the arguments of `call` and fills in what they lack.
    pub fn build(
        call: &Call,
        shape: &Shape,
        bound: &Bound<Real>,
        scratch: &mut Scratch,
    ) -> Result<Self, Refused> {
        let Translation { nr, values, holes, faults, detour } =
            Translation::of(call, shape, bound)?;
        let detour = if detour {
            let back = bound.cwd.as_ref().map_or(-1, |cwd| cwd.real.get());
            let stays = shape.effect == Effect::Chdir;
            Some(procfs::Detour::new(back, stays).ok_or(Refused::Procfs)?)
        } else {
            None
        };
        let mut this = Self {
            nr,
            values,
            rooms: [None; 6],
            vector: Vec::new(),
            vector_of: usize::MAX,
            faults,
            detour,
        };
        let real = |d: &Option<Arc<Descriptor<Real>>>| {
            d.as_ref().map_or(-1, |d| d.real.get()) as isize as usize
        };
        for (i, hole) in holes.into_iter().enumerate() {
            match hole {
                Hole::None | Hole::Recorded => {}
                Hole::Real => this.values[i] = real(&bound.fds[i]),
                Hole::Viewed => {
                    let path = Self::viewed(call, shape, bound, i)?.unwrap_or_default();
                    this.text(&path, i, scratch)?;
                }
                Hole::Through | Hole::Beside => {
                    let (real, rest) = paths::start(call, bound, i);
                    let path = procfs::path(real, rest);
                    this.text(&path, i, scratch)?;
                }
                Hole::Room { len, clean } => this.room(i, len, clean, scratch)?,
                Hole::Text => this.text(string(call, bound, i), i, scratch)?,
                Hole::Input { len } => this.input(call, shape, bound, i, len, scratch)?,
                Hole::Data { len } => {
                    let room = scratch.take(len).ok_or(Refused::Size)?;
                    fill(call, i, scratch.bytes_mut(room));
                    this.values[i] = room.address();
                }
                Hole::Gather { count } => this.gather(call, i, count as usize, scratch)?,
                Hole::Scatter { count } => {
                    this.scatter(call, i, count as usize, bound.cut, scratch)?;
                }
            }
        }
        Ok(this)
    }

    /// Performs the call: the result, or a negative errno.
    pub fn perform(&self) -> i64 {
        self.in_place(|| raw::perform(self.nr, self.values))
    }

    /// Makes a call where the paths among the arguments lead from.
    pub fn in_place(&self, make: impl FnOnce() -> i64) -> i64 {
        match &self.detour {
            None => make(),
            Some(detour) => detour.make(make),
        }
    }

    /// Whether its paths lead through links of procfs, and mean nothing where the thread is.
    pub fn is_elsewhere(&self) -> bool {
        self.detour.is_some()
    }

    /// The real descriptor in an argument.
    pub fn fd(&self, i: usize) -> i32 {
        self.values[i] as i32
    }

    /// Whether an argument is an address that faults.
    pub fn faults(&self) -> bool {
        self.faults
    }

    /// An argument as it is passed.
    pub fn value(&self, i: usize) -> usize {
        self.values[i]
    }

    /// The buffers that argument `i` brought back, in order; of a string, where it stands.
    pub fn rooms(&self, i: usize) -> &[Room] {
        if i == self.vector_of { &self.vector } else { self.rooms[i].as_slice() }
    }

    fn room(
        &mut self,
        i: usize,
        len: usize,
        clean: bool,
        scratch: &mut Scratch,
    ) -> Result<(), Refused> {
        let room = scratch.take(len).ok_or(Refused::Size)?;
        if clean {
            freshen(scratch.bytes_mut(room));
        }
        self.values[i] = room.address();
        self.rooms[i] = Some(room);
        Ok(())
    }

    fn text(&mut self, text: &[u8], i: usize, scratch: &mut Scratch) -> Result<(), Refused> {
        let room = scratch.take(text.len() + 1).ok_or(Refused::Size)?;
        let bytes = scratch.bytes_mut(room);
        bytes[..text.len()].copy_from_slice(text);
        bytes[text.len()] = 0;
        self.values[i] = room.address();
        self.rooms[i] = Some(room);
        Ok(())
    }

    fn input(
        &mut self,
        call: &Call,
        shape: &Shape,
        bound: &Bound<Real>,
        i: usize,
        len: usize,
        scratch: &mut Scratch,
    ) -> Result<(), Refused> {
        let room = scratch.take(len).ok_or(Refused::Size)?;
        let bytes = scratch.bytes_mut(room);
        let known = given(call, i).map_or(&[][..], |p| p.bytes.as_slice());
        bytes[..known.len()].copy_from_slice(known);
        clean(&mut bytes[known.len()..]);
        for (arg, at, descriptor) in bound.inner.iter().filter(|inner| inner.0 as usize == i) {
            debug_assert!(*arg as usize == i);
            let size = shape.args[i].kind.field_size(*at);
            let real = i64::from(descriptor.real.get()).to_le_bytes();
            if let Some(place) = bytes.get_mut(*at as usize..*at as usize + size) {
                place.copy_from_slice(&real[..size]);
            }
        }
        self.values[i] = room.address();
        self.rooms[i] = Some(room);
        Ok(())
    }

    /// `iovec`s going in: one after the other in one room.
    fn gather(
        &mut self,
        call: &Call,
        i: usize,
        count: usize,
        scratch: &mut Scratch,
    ) -> Result<(), Refused> {
        let mut lengths = lengths(call, i, call.args[count] as usize);
        let moved = call.ret.max(0) as usize;
        if call.errno().is_some() || lengths.is_empty() {
            lengths =
                vec![usize::from(call.args[count] != 0); (call.args[count] as usize).min(IOV_MAX)];
        } else {
            clip(&mut lengths, moved);
        }
        let total = lengths.iter().sum::<usize>();
        let room = scratch.take(total).ok_or(Refused::Size)?;
        fill(call, i, scratch.bytes_mut(room));
        let mut at = room.address();
        let mut list = Vec::with_capacity(lengths.len());
        for len in lengths {
            list.push((at, len));
            at += len;
        }
        self.list(i, count, call, &list, scratch)
    }

    /// `iovec`s coming out: a room each.
    fn scatter(
        &mut self,
        call: &Call,
        i: usize,
        count: usize,
        cut: bool,
        scratch: &mut Scratch,
    ) -> Result<(), Refused> {
        let mut lengths = lengths(call, i, call.args[count] as usize);
        if lengths.is_empty() {
            lengths =
                vec![usize::from(call.args[count] != 0); (call.args[count] as usize).min(IOV_MAX)];
        }
        let moved = (call.ret.max(0) as usize).min(MOST);
        clip(&mut lengths, if cut { moved } else { moved.next_multiple_of(4096) + BEYOND });
        let mut list = Vec::with_capacity(lengths.len());
        for len in lengths {
            let room = scratch.take(len).ok_or(Refused::Size)?;
            list.push((room.address(), len));
            self.vector.push(room);
        }
        self.vector_of = i;
        self.list(i, count, call, &list, scratch)
    }

    fn list(
        &mut self,
        i: usize,
        count: usize,
        call: &Call,
        list: &[(usize, usize)],
        scratch: &mut Scratch,
    ) -> Result<(), Refused> {
        let room = scratch.take(list.len() * 16).ok_or(Refused::Size)?;
        for ((address, len), place) in list.iter().zip(scratch.bytes_mut(room).chunks_exact_mut(16))
        {
            place[..8].copy_from_slice(&address.to_ne_bytes());
            place[8..].copy_from_slice(&len.to_ne_bytes());
        }
        self.values[i] = room.address();
        // A count that no kernel takes is passed on: it is refused before the list is read.
        if call.args[count] as usize <= IOV_MAX {
            self.values[count] = list.len();
        }
        Ok(())
    }
}

/// The string of argument `i`, if it could be read.
pub(super) fn text(call: &Call, i: usize) -> Option<&[u8]> {
    call.piece(i as u8, PieceKind::String)
        .filter(|p| p.flags & UNREADABLE == 0)
        .map(|p| p.bytes.as_slice())
}

/// The struct, or the other small buffer, that argument `i` pointed to.
fn given(call: &Call, i: usize) -> Option<&Piece> {
    call.piece(i as u8, PieceKind::Bytes).or_else(|| call.piece(i as u8, PieceKind::Data))
}

/// The string of argument `i` as it is passed here.
pub(super) fn string<'a>(call: &'a Call, bound: &'a Bound<Real>, i: usize) -> &'a [u8] {
    let through = bound.through[i].as_ref();
    match (&bound.paths[i], through) {
        (Some(path), Some(_)) => path,
        _ => text(call, i).unwrap_or_default(),
    }
}

/// Copies the captured data of argument `i`; the rest becomes zeros.
fn fill(call: &Call, i: usize, bytes: &mut [u8]) {
    let mut at = 0;
    for piece in call.pieces.iter().filter(|p| p.arg as usize == i && p.kind == PieceKind::Data) {
        let n = piece.bytes.len().min(bytes.len() - at);
        bytes[at..at + n].copy_from_slice(&piece.bytes.as_slice()[..n]);
        at += n;
        if short(piece) {
            break;
        }
    }
    clean(&mut bytes[at..]);
}

fn short(piece: &Piece) -> bool {
    (piece.bytes.len() as u64) < piece.len
}

/// Zeros what comes back, as far as it is looked at.
pub(super) fn freshen(bytes: &mut [u8]) {
    let stale = bytes.len().min(BEYOND);
    clean(&mut bytes[..stale]);
}

/// Zeros what may hold something of an earlier call, without touching pages that are zero already.
fn clean(bytes: &mut [u8]) {
    // Larger rooms are mappings of their own and fresh.
    if bytes.len() > LIST {
        return;
    }
    for page in bytes.chunks_mut(4096) {
        if page.iter().any(|b| *b != 0) {
            page.fill(0);
        }
    }
}

/// The lengths of the recorded vectors.
fn lengths(call: &Call, i: usize, count: usize) -> Vec<usize> {
    let bytes = call.piece(i as u8, PieceKind::Iovecs).map_or(&[][..], |p| p.bytes.as_slice());
    let length = |v: &[u8]| {
        usize::try_from(u64::from_le_bytes(v[8..16].try_into().expect("eight bytes")))
            .unwrap_or(usize::MAX)
            .min(MOST)
    };
    bytes.chunks_exact(16).take(count.min(IOV_MAX)).map(length).collect()
}

/// Shortens the last vectors so that all together have at most `total` bytes.
fn clip(lengths: &mut [usize], total: usize) {
    let mut left = total;
    for len in lengths {
        *len = (*len).min(left);
        left -= *len;
    }
}

/// The width of the descriptor at byte `at` of a struct that goes in.
trait FieldSize {
    fn field_size(&self, at: u32) -> usize;
}

impl FieldSize for Kind {
    fn field_size(&self, at: u32) -> usize {
        match self {
            Kind::In(_, layout) | Kind::InOut(_, layout) => {
                layout.fields.iter().find(|f| f.at == at).map_or(4, |f| usize::from(f.size.min(8)))
            }
            _ => 4,
        }
    }
}
