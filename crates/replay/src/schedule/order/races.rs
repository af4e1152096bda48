//! What the recording leaves open: into which file and where calls wrote, and which of two
//! overlapping writes came last. What calls find there, if it differs, is a race.

use super::bytes::Moved;
use super::claims::{Claim, depends_on_status};
use super::under_way::{Open, Others};
use super::{Builder, Leaving};
use crate::issue::Real;
use abi::plan::RESULT;
use abi::{Effect, Kind, Ret, Shape};
use model::world::{Bound, Descriptor, OpenFile, World};
use std::sync::Arc;
use trace::Call;

const EBADF: i32 = 9;
const O_APPEND: u32 = 0o2000;

/// Inode and name.
type Given = ((u64, u64), Box<[u8]>);

/// The file behind the descriptor that a call under way gives out. One that takes any free number
/// had not done so while its number was `taken`.
fn given(open: &Open, taken: bool) -> Option<Given> {
    let copied = |old: u8| {
        let descriptor = open.bound.fds[usize::from(old)].as_ref()?;
        Some((descriptor.file.inode.key, descriptor.file.path.clone()))
    };
    match open.shape()?.effect {
        Effect::DupTo { old, .. } => copied(old),
        _ if taken => None,
        Effect::Dup { old } => copied(old),
        _ => {
            let (identity, path) = open.call.identity(RESULT)?;
            Some(((identity.dev, identity.ino), path.into()))
        }
    }
}

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

impl Builder {
    /// Enters what a call that returns leaves undecided. Whether it depends on something undecided
    /// itself.
    pub(super) fn weigh(
        &mut self,
        world: &World<Real>,
        leaving: &Leaving<'_>,
        claims: &[Claim],
    ) -> bool {
        let Leaving { call, shape, open } = *leaving;
        let Open { bound, others, contested, .. } = open;
        let writes = shape.changes && shape.ret == Ret::Bytes && call.succeeded() && call.ret > 0;
        let mut races = !others.is_empty() | self.flags_are_open(call, shape, bound);
        if races && writes {
            self.went_anywhere(call, bound, others);
        }
        races |= self.numbers_are_open(world, call, shape, bound, writes);
        if races && writes {
            return true;
        }
        let Some(mine) = Moved::of(call, claims) else {
            let of =
                |d: &Arc<Descriptor<Real>>| self.undecided.touches(d.file.inode.key, 0, u64::MAX);
            return races || (!self.undecided.is_empty() && bound.fds.iter().flatten().any(of));
        };
        let span = mine.span;
        if !mine.writes {
            let end = span.end.max(span.start + 1);
            return races || self.undecided.touches(span.file, span.start, end);
        }
        // Where an append went depends on what stood there before.
        if !self.undecided.is_empty() && !contested && !mine.appends {
            self.undecided.settle(span.file, span.start, span.end);
        }
        if !self.under_way.any_counts() {
            return races;
        }
        races | self.contest(&mine, bound)
    }

    /// Into which file a call wrote is not known; where in it, only of the one whose offset and
    /// flags were asked.
    fn went_anywhere(&mut self, call: &Call, bound: &Bound<Real>, others: &Others) {
        let end = |start: u64| start.saturating_add(call.ret as u64);
        for file in bound.fds.iter().flatten().map(|d| &d.file) {
            let place =
                bound.offset.filter(|start| end(*start) < file.inode.size() && !file.appends());
            let (start, end) = (place.unwrap_or(0), place.map_or(u64::MAX, end));
            self.undecided.add(file.inode.key, &file.path, start, end);
        }
        for file in others.iter().map(|(_, d)| &d.file) {
            self.undecided.add(file.inode.key, &file.path, 0, u64::MAX);
        }
    }

    /// Whether a call under way gives a number of this call out anew: it may have done so already.
    fn numbers_are_open(
        &mut self,
        world: &World<Real>,
        call: &Call,
        shape: &Shape,
        bound: &Bound<Real>,
        writes: bool,
    ) -> bool {
        if !self.under_way.any_counts() || !call.returned() || call.errno() == Some(EBADF) {
            return false;
        }
        let mut open = false;
        for (i, _) in shape.args.iter().enumerate().filter(|(_, a)| a.kind == Kind::Fd) {
            let (number, Some(meant)) = (call.args[i] as i32, &bound.fds[i]) else { continue };
            let taken = world.descriptor(call.tid, number).is_some();
            let givers = self.under_way.givers(world, usize::MAX, call.tid, number);
            for (inode, path) in givers.filter_map(|(_, o)| given(o, taken)) {
                open = true;
                if writes {
                    self.undecided.add(inode, &path, 0, u64::MAX);
                    let meant = &meant.file;
                    self.undecided.add(meant.inode.key, &meant.path, 0, u64::MAX);
                }
            }
        }
        open
    }

    /// Whether writes under way may have written the same bytes differently.
    fn contest(&mut self, mine: &Moved<'_>, bound: &Bound<Real>) -> bool {
        let Some(file) = bound.fds.iter().flatten().next().map(|d| &d.file) else { return false };
        let mut races = false;
        let writes = |o: &&mut Open| {
            let writes = |s: &Shape| s.changes && s.ret == Ret::Bytes;
            o.shape().is_some_and(writes) && o.call.succeeded()
        };
        for open in self.under_way.all_mut().filter(writes) {
            let other = Moved::of(&open.call, open.claims());
            let known = other.and_then(|other| mine.contests(&other));
            // It may have written here by a number that came to mean this file while it ran: nobody
            // knows where.
            let meant =
                |(_, d): &(usize, Arc<Descriptor<Real>>)| d.file.inode.key == mine.span.file;
            let perhaps = || open.others.iter().any(meant).then_some((0, u64::MAX));
            if let Some((start, end)) = known.or_else(perhaps) {
                self.undecided.add(file.inode.key, &file.path, start, end);
                open.contested = true;
                races = true;
            }
        }
        races
    }

    /// Whether a call that returns found status flags that another call, still under way, sets.
    /// Enters where writes may have gone, also for the writes under way if the call sets flags.
    fn flags_are_open(&mut self, call: &Call, shape: &Shape, bound: &Bound<Real>) -> bool {
        let sets = shape.effect == Effect::SetStatusFlags;
        let uses = self.under_way.any_sets_flags() && depends_on_status(shape);
        let counts = self.under_way.any_counts();
        let Some(mine) = file(bound).filter(|_| counts && (sets || uses)) else { return false };
        let mut open_writes = false;
        let mut found = false;
        let same = |open: &&mut Open| file(&open.bound).is_some_and(|other| other.id == mine.id);
        for open in self.under_way.all_mut().filter(same) {
            if open.sets_flags {
                found = true;
                open_writes |= writes(call, shape) && moves_writes(&open.call, &open.bound);
            } else if sets
                && moves_writes(call, bound)
                && open.shape().is_some_and(|shape| writes(&open.call, shape))
            {
                open.contested = true;
                open_writes = true;
            }
            // Whether it appends follows from them.
            open.claims.take();
        }
        if open_writes {
            self.undecided.add(mine.inode.key, &mine.path, 0, u64::MAX);
        }
        found
    }
}
