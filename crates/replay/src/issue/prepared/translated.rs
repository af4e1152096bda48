//! A call that is translated beforehand, with all that it needs but a descriptor and the room for
//! what comes back.
//!
//! It is no second way of translating: it holds what [`Translation`] made of the kinds, where that
//! leaves no more open than these two and strings.

use crate::issue::arguments::{Hole, Refused, Translation, freshen, string};
use crate::issue::scratch::Room;
use crate::issue::{Real, Scratch, raw};
use crate::verify::{Recorded, brought};
use abi::Shape;
use model::world::Bound;
use trace::Buffer;
use trace::record::PayloadKind;
use trace::{Call, Payload};

const NONE: u8 = u8::MAX;

pub(crate) struct Translated {
    nr: syscalls::Sysno,
    values: [usize; 6],
    /// The argument that is a descriptor.
    fd: u8,
    /// The argument that is room for what comes back,
    room: u8,
    /// which must not hold what an earlier call left,
    clean: bool,
    /// and how much.
    len: u32,
    /// The recorded data: they go in, or are what should come back.
    data: Option<Buffer>,
    /// They are all that there were.
    whole: bool,
}

impl Translated {
    /// The call, if it is one of these, and its strings, which it points to: they are to be kept
    /// with it. `compared`: what comes back will be compared with the recorded data; `mapped`: as
    /// far as it is no bulk data.
    pub fn of(
        call: &Call,
        shape: &Shape,
        bound: &Bound<Real>,
        compared: bool,
        mapped: bool,
    ) -> Option<(Self, Box<[u8]>)> {
        let Translation { nr, values, holes, detour, .. } =
            Translation::of(call, shape, bound).ok()?;
        if detour {
            return None;
        }
        let mut this = Self {
            nr,
            values,
            fd: NONE,
            room: NONE,
            clean: false,
            len: 0,
            data: None,
            whole: true,
        };
        let mut strings = Vec::new();
        for (i, hole) in holes.into_iter().enumerate() {
            match hole {
                Hole::None => {}
                Hole::Real if this.fd == NONE => this.fd = i as u8,
                Hole::Recorded if this.data.is_none() && this.room == NONE => {
                    this.hold(
                        call.payloads
                            .iter()
                            .find(|p| usize::from(p.arg) == i && p.kind == PayloadKind::Data)?,
                    );
                }
                Hole::Room { len, clean } if this.data.is_none() && this.room == NONE => {
                    (this.room, this.clean, this.len) = (i as u8, clean, u32::try_from(len).ok()?);
                    let mut data = brought(call, i, false);
                    let payload = match clean {
                        true => brought(call, i, true).next(),
                        false => data.next().filter(|_| !mapped),
                    };
                    payload.filter(|_| compared).into_iter().for_each(|payload| this.hold(payload));
                    if data.next().is_some() {
                        return None;
                    }
                }
                Hole::Text => {
                    this.values[i] = strings.len();
                    strings.extend_from_slice(string(call, bound, i));
                    strings.push(0);
                }
                _ => return None,
            }
        }
        let strings = strings.into_boxed_slice();
        for (i, _) in holes.iter().enumerate().filter(|(_, hole)| **hole == Hole::Text) {
            this.values[i] += strings.as_ptr() as usize;
        }
        Some((this, strings))
    }

    fn hold(&mut self, payload: &Payload) {
        (self.data, self.whole) = (Some(payload.bytes.clone()), Recorded::from(payload).whole);
    }

    /// The argument that is a descriptor.
    pub fn descriptor(&self) -> Option<usize> {
        (self.fd != NONE).then_some(usize::from(self.fd))
    }

    /// The argument that is room for what comes back.
    pub fn room(&self) -> usize {
        usize::from(self.room)
    }

    /// The recorded data that it holds.
    pub fn data(&self) -> Option<Recorded<'_>> {
        self.data.as_ref().map(|bytes| Recorded { bytes: bytes.as_slice(), whole: self.whole })
    }

    /// Performs it with the descriptor `real`: the result, or a negative errno, and where its bytes
    /// came back.
    #[inline(always)]
    pub fn perform(
        &self,
        real: i32,
        scratch: &mut Scratch,
    ) -> Result<(i64, Option<Room>), Refused> {
        let mut values = self.values;
        if let Some(value) = values.get_mut(usize::from(self.fd)) {
            *value = real as isize as usize;
        }
        let mut room = None;
        if let Some(value) = values.get_mut(usize::from(self.room)) {
            let taken = scratch.take(self.len as usize).ok_or(Refused::Size)?;
            if self.clean {
                freshen(scratch.bytes_mut(taken));
            }
            *value = taken.address();
            room = Some(taken);
        }
        Ok((raw::perform(self.nr, values), room))
    }
}
