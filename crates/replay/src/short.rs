//! Calls that are translated when they are dispatched: those that move data, or nothing, through one descriptor. Little is left for the executor to do, and what it
//! needs lies in its queue, one call behind the other.

use crate::Verify;
use crate::handlers::is_plain;
use crate::issue::arguments::Refused;
use crate::issue::scratch::Room;
use crate::issue::{Ready, Real, Scratch, raw};
use crate::verify::{Difference, Expected, compare_data};
use std::sync::Arc;
use trace::Call;
use trace::world::{Bound, Descriptor};

/// The descriptor of a short call.
pub(crate) enum Meant {
    /// It has none.
    None,
    /// That of the job before it in its executor's queue.
    Same,
    /// This one.
    This(Arc<Descriptor<Real>>),
}

pub(crate) struct Short {
    /// Its number in the trace.
    pub seq: u64,
    pub expected: Expected,
    ready: Ready,
    pub meant: Meant,
    /// It makes the state that later calls find: it is not compared.
    pub early: bool,
}

/// What a call brought: its result, or a negative errno, and where its bytes came back.
pub(crate) type Come = Result<(i64, Option<Room>), Refused>;

impl Short {
    /// A call that was left so, if no more need be known of it. Takes its descriptor.
    pub fn of(call: &Call, expected: Expected, bound: &mut Bound<Real>, early: bool, verify: Verify) -> Option<Self> {
        let shape = expected.shape;
        let lonely = bound.inner.is_empty() && bound.opened.is_empty() && bound.closed.is_empty() && bound.directory.is_none();
        if !is_plain(shape) || shape.copies.is_some() || shape.uses.paths != 0 || !lonely {
            return None;
        }
        let ready = Ready::of(call, shape, bound, verify == Verify::Data && call.succeeded() && !expected.mapped && !early)?;
        let meant = ready.descriptor().and_then(|fd| bound.fds[fd].take()).map_or(Meant::None, Meant::This);
        Some(Self { seq: call.seq, expected, ready, meant, early })
    }

    /// Recorded bytes that it holds.
    pub fn bytes(&self) -> u64 {
        self.ready.data().map_or(0, |p| p.bytes.len() as u64)
    }

    /// Asks for the beginning of its data.
    pub fn prefetch(&self) {
        if let Some(piece) = self.ready.data() {
            raw::prefetch(piece.bytes.as_ptr().cast::<[u8; 256]>());
        }
    }

    /// Performs it on the real descriptor.
    pub fn perform(&self, real: i32, scratch: &mut Scratch) -> Come {
        self.ready.perform(real, scratch)
    }

    /// Compares what it brought.
    pub fn compare(&self, come: Come, scratch: &Scratch, verify: Verify) -> Result<Option<Difference>, Refused> {
        let (got, room) = come?;
        if verify == Verify::None || self.early {
            return Ok(None);
        }
        let bytes = || room.iter().map(|room| scratch.bytes(*room));
        Ok(self.expected.compare(got).or_else(|| compare_data(self.ready.data().filter(|_| room.is_some()).into_iter(), bytes, false, got)))
    }
}
