//! A call that is translated beforehand, with all that it needs but a descriptor and the room for what comes back.
//!
//! It is no second way of translating: it holds what [`Translation`] made of the kinds, where that leaves no more open than these two.

use super::arguments::{Hole, Refused, Translation};
use super::scratch::Room;
use super::{Real, Scratch, raw};
use crate::verify::data_of;
use abi::Shape;
use trace::record::PieceKind;
use trace::world::Bound;
use trace::{Call, Piece};

const NONE: u8 = u8::MAX;

pub(crate) struct Ready {
    nr: syscalls::Sysno,
    values: [usize; 6],
    /// The argument that is a descriptor.
    fd: u8,
    /// The argument that is room for what comes back,
    room: u8,
    /// and how much.
    len: usize,
    /// The recorded data: they go in, or are what should come back.
    data: Option<Piece>,
}

impl Ready {
    /// The call, if it is one of these. `compared`: what comes back will be compared with the recorded data.
    pub fn of(call: &Call, shape: &Shape, bound: &Bound<Real>, compared: bool) -> Option<Self> {
        let Translation { nr, values, holes } = Translation::of(call, shape, bound).ok()?;
        let mut this = Self { nr, values, fd: NONE, room: NONE, len: 0, data: None };
        for (i, hole) in holes.into_iter().enumerate() {
            match hole {
                Hole::None => {}
                Hole::Real if this.fd == NONE => this.fd = i as u8,
                Hole::Recorded if this.data.is_none() && this.room == NONE => {
                    this.data = Some(call.pieces.iter().find(|p| usize::from(p.arg) == i && p.kind == PieceKind::Data)?.clone());
                }
                Hole::Room { len, clean: false } if this.data.is_none() && this.room == NONE => {
                    (this.room, this.len) = (i as u8, len);
                    let mut pieces = data_of(call, i);
                    this.data = pieces.next().filter(|_| compared).cloned();
                    if pieces.next().is_some() {
                        return None;
                    }
                }
                _ => return None,
            }
        }
        Some(this)
    }

    /// The argument that is a descriptor.
    pub fn descriptor(&self) -> Option<usize> {
        (self.fd != NONE).then_some(usize::from(self.fd))
    }

    /// The recorded data that it holds.
    pub fn data(&self) -> Option<&Piece> {
        self.data.as_ref()
    }

    /// Performs it with the descriptor `real`: the result, or a negative errno, and where its bytes came back.
    pub fn perform(&self, real: i32, scratch: &mut Scratch) -> Result<(i64, Option<Room>), Refused> {
        let mut values = self.values;
        if let Some(value) = values.get_mut(usize::from(self.fd)) {
            *value = real as isize as usize;
        }
        let mut room = None;
        if let Some(value) = values.get_mut(usize::from(self.room)) {
            let taken = scratch.take(self.len).ok_or(Refused::Size)?;
            *value = taken.address();
            room = Some(taken);
        }
        Ok((raw::perform(self.nr, values), room))
    }
}
