//! A recorded call's arguments in this process: each translated by its kind, and nothing else.

mod paths;
pub(crate) mod procfs;
mod translation;

pub(crate) use translation::{Hole, MOUNTED, Refused, Translation};

use super::scratch::{MOST, Room};
use super::{Real, Scratch, raw};
use abi::{Effect, Kind, Shape};
use model::world::{Bound, Descriptor};
use std::sync::Arc;
use trace::record::PayloadKind;
use trace::{Call, Payload};
use translation::{BEYOND, LIST, given, text};

/// The most vectors that the kernel takes.
const IOV_MAX: usize = 1024;

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
    for payload in
        call.payloads.iter().filter(|p| p.arg as usize == i && p.kind == PayloadKind::Data)
    {
        let n = payload.bytes.len().min(bytes.len() - at);
        bytes[at..at + n].copy_from_slice(&payload.bytes.as_slice()[..n]);
        at += n;
        if short(payload) {
            break;
        }
    }
    clean(&mut bytes[at..]);
}

fn short(payload: &Payload) -> bool {
    (payload.bytes.len() as u64) < payload.len
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
    let bytes = call.payload(i as u8, PayloadKind::Iovecs).map_or(&[][..], |p| p.bytes.as_slice());
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
