//! What the recording does not determine: into which file and where calls wrote, and which of two
//! overlapping writes came last. What calls find there, if it differs, is a race.

use super::claims::{Claim, depends_on_status};
use super::data_access::DataAccess;
use super::in_flight::{Alternatives, InFlight};
use super::{OrderBuilder, ReturningCall};
use crate::issue::RealFd;
use abi::plan::RESULT;
use abi::{Effect, Kind, Ret, Shape};
use linux_raw_sys::general::O_APPEND;
use model::world::{Bound, Descriptor, OpenFile, World};
use rustix::io::Errno;
use std::sync::Arc;
use trace::Call;

/// Inode and name.
type NewMeaning = ((u64, u64), Box<[u8]>);

/// The file behind the descriptor that a call under way gives out. One that takes any free number
/// had not done so while its number was `taken`.
fn new_meaning(open: &InFlight, taken: bool) -> Option<NewMeaning> {
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
fn file(bound: &Bound<RealFd>) -> Option<&OpenFile> {
    bound.fds.iter().flatten().map(|d| &*d.file).find(|file| file.is_stored())
}

/// Whether such a call, which sets flags, changes where writes go.
fn changes_append(call: &Call, bound: &Bound<RealFd>) -> bool {
    call.succeeded() && (bound.status[0] ^ call.args[2] as u32) & O_APPEND != 0
}

fn writes(call: &Call, shape: &Shape) -> bool {
    shape.uses.writes_data && call.succeeded() && call.ret > 0
}

impl OrderBuilder {
    /// Enters what a call that returns leaves undecided. Whether it depends on something undecided
    /// itself.
    pub(super) fn note_races(
        &mut self,
        world: &World<RealFd>,
        leaving: &ReturningCall<'_>,
        claims: &[Claim],
    ) -> bool {
        let ReturningCall { call, shape, in_flight_call } = *leaving;
        let InFlight { bound, alternatives, contested, .. } = in_flight_call;
        let writes = shape.changes && shape.ret == Ret::Bytes && call.succeeded() && call.ret > 0;
        let mut races = !alternatives.is_empty() | self.flags_are_ambiguous(call, shape, bound);
        if races && writes {
            self.write_location_unknown(call, bound, alternatives);
        }
        races |= self.number_is_ambiguous(world, call, shape, bound, writes);
        if races && writes {
            return true;
        }
        let Some(mine) = DataAccess::of(call, claims) else {
            let of = |d: &Arc<Descriptor<RealFd>>| {
                self.undetermined.touches(d.file.inode.key, 0, u64::MAX)
            };
            return races || (!self.undetermined.is_empty() && bound.fds.iter().flatten().any(of));
        };
        let span = mine.span;
        if !mine.writes {
            let end = span.end.max(span.start + 1);
            return races || self.undetermined.touches(span.file, span.start, end);
        }
        // Where an append went depends on what stood there before.
        if !self.undetermined.is_empty() && !contested && !mine.appends {
            self.undetermined.settle(span.file, span.start, span.end);
        }
        if !self.in_flight.any_may_be_issued() {
            return races;
        }
        races | self.note_contested_writes(&mine, bound)
    }

    /// Into which file a call wrote is not known; where in it, only of the one whose offset and
    /// flags were asked.
    fn write_location_unknown(
        &mut self,
        call: &Call,
        bound: &Bound<RealFd>,
        alternatives: &Alternatives,
    ) {
        let end = |start: u64| start.saturating_add(call.ret as u64);
        for file in bound.fds.iter().flatten().map(|d| &d.file) {
            let slot =
                bound.offset.filter(|start| end(*start) < file.inode.size() && !file.appends());
            let (start, end) = (slot.unwrap_or(0), slot.map_or(u64::MAX, end));
            self.undetermined.add(file.inode.key, &file.path, start, end);
        }
        for file in alternatives.iter().map(|(_, d)| &d.file) {
            self.undetermined.add(file.inode.key, &file.path, 0, u64::MAX);
        }
    }

    /// Whether a call under way gives a number of this call out anew: it may have done so already.
    fn number_is_ambiguous(
        &mut self,
        world: &World<RealFd>,
        call: &Call,
        shape: &Shape,
        bound: &Bound<RealFd>,
        writes: bool,
    ) -> bool {
        if !self.in_flight.any_may_be_issued()
            || !call.returned()
            || call.errno() == Some(Errno::BADF.raw_os_error())
        {
            return false;
        }
        let mut open = false;
        for (i, _) in shape.args.iter().enumerate().filter(|(_, a)| a.kind == Kind::Fd) {
            let (number, Some(meant)) = (call.args[i] as i32, &bound.fds[i]) else { continue };
            let taken = world.descriptor(call.tid, number).is_some();
            let givers = self.in_flight.givers(world, usize::MAX, call.tid, number);
            for (inode, path) in givers.filter_map(|(_, o)| new_meaning(o, taken)) {
                open = true;
                if writes {
                    self.undetermined.add(inode, &path, 0, u64::MAX);
                    let meant = &meant.file;
                    self.undetermined.add(meant.inode.key, &meant.path, 0, u64::MAX);
                }
            }
        }
        open
    }

    /// Whether writes under way may have written the same bytes differently.
    fn note_contested_writes(&mut self, mine: &DataAccess<'_>, bound: &Bound<RealFd>) -> bool {
        let Some(file) = bound.fds.iter().flatten().next().map(|d| &d.file) else { return false };
        let mut races = false;
        let writes = |o: &&mut InFlight| {
            let writes = |s: &Shape| s.changes && s.ret == Ret::Bytes;
            o.shape().is_some_and(writes) && o.call.succeeded()
        };
        for open in self.in_flight.all_mut().filter(writes) {
            let other = DataAccess::of(&open.call, open.claims());
            let known = other.and_then(|other| mine.contested_range(&other));
            // It may have written here, if its descriptor came to mean this file while it ran;
            // where is not known.
            let meant =
                |(_, d): &(usize, Arc<Descriptor<RealFd>>)| d.file.inode.key == mine.span.file;
            let perhaps = || open.alternatives.iter().any(meant).then_some((0, u64::MAX));
            if let Some((start, end)) = known.or_else(perhaps) {
                self.undetermined.add(file.inode.key, &file.path, start, end);
                open.contested = true;
                races = true;
            }
        }
        races
    }

    /// Whether a call that returns found status flags that another call, still under way, sets.
    /// Enters where writes may have gone, also for the writes under way if the call sets flags.
    fn flags_are_ambiguous(&mut self, call: &Call, shape: &Shape, bound: &Bound<RealFd>) -> bool {
        let sets = shape.effect == Effect::SetStatusFlags;
        let uses = self.in_flight.any_sets_flags() && depends_on_status(shape);
        let counts = self.in_flight.any_may_be_issued();
        let Some(mine) = file(bound).filter(|_| counts && (sets || uses)) else { return false };
        let mut open_writes = false;
        let mut found = false;
        let same =
            |open: &&mut InFlight| file(&open.bound).is_some_and(|other| other.id == mine.id);
        for open in self.in_flight.all_mut().filter(same) {
            if open.sets_flags {
                found = true;
                open_writes |= writes(call, shape) && changes_append(&open.call, &open.bound);
            } else if sets
                && changes_append(call, bound)
                && open.shape().is_some_and(|shape| writes(&open.call, shape))
            {
                open.contested = true;
                open_writes = true;
            }
            // Whether it appends follows from them.
            open.claims.take();
        }
        if open_writes {
            self.undetermined.add(mine.inode.key, &mine.path, 0, u64::MAX);
        }
        found
    }
}
