//! Status flags of open files (`F_SETFL`) that a call sets while others use the file: what these
//! others found is left open.

use super::{Dispatcher, Open};
use crate::issue::Real;
use crate::schedule::order::conflicts::depends_on_status;
use abi::{Effect, Shape};
use model::world::{Bound, OpenFile};
use trace::Call;

const O_APPEND: u32 = 0o2000;

/// The open file whose flags a call sets or uses.
fn file(bound: &Bound<Real>) -> Option<&OpenFile> {
    bound.fds.iter().flatten().map(|d| &*d.file).find(|file| file.is_stored())
}

/// Whether such a call, which sets flags, changes where writes go.
fn moves_writes(call: &Call, bound: &Bound<Real>) -> bool {
    call.succeeded() && (bound.status[0] ^ call.args[2] as u32) & O_APPEND != 0
}

fn writes(call: &Call, shape: &Shape) -> bool {
    shape.uses.writes && call.succeeded() && call.ret > 0
}

impl Dispatcher<'_> {
    /// Whether a call that returns found status flags that another call, still under way, sets.
    /// Enters where writes may have gone, also for the writes under way if the call sets flags.
    pub(super) fn flags_are_open(
        &mut self,
        call: &Call,
        shape: &Shape,
        bound: &Bound<Real>,
    ) -> bool {
        let sets = shape.effect == Effect::SetStatusFlags;
        let uses = self.setting > 0 && depends_on_status(shape);
        let Some(mine) = file(bound).filter(|_| self.counting > 0 && (sets || uses)) else {
            return false;
        };
        let mut open_writes = false;
        let mut found = false;
        let same = |open: &&mut Open| file(&open.bound).is_some_and(|other| other.id == mine.id);
        for open in self.open.iter_mut().flatten().filter(same) {
            if open.sets_flags {
                found = true;
                open_writes |= writes(call, shape) && moves_writes(&open.call, &open.bound);
            } else if sets
                && moves_writes(call, bound)
                && open.call.shape().is_some_and(|shape| writes(&open.call, shape))
            {
                open.contested = true;
                open_writes = true;
            }
        }
        if open_writes {
            self.undecided.add(mine.inode.key, &mine.path, 0, u64::MAX);
        }
        found
    }
}
