//! Order and pace: which calls a call waits for when it is performed again, and until when.
//!
//! Each call is a list of claims (module `claims`): for each resource that it uses, the state in
//! which it found and left the resource. The [`OrderBuilder`] turns them into edges (the calls that
//! must be done before) and races (calls whose order the recording leaves open). Where the results
//! of overlapping calls prove another order than that of their returns, the proven one is kept
//! (module `proofs`, [`ReorderBuffer`]).
//!
//! When a call is due is another matter (module `pace`).
//!
//! How calls are performed is not known here. Of what stands for a recorded descriptor, only the
//! call that opens it is known ([`Readiness`]).
#![forbid(unsafe_code)]

mod aliases;
mod claims;
mod data_access;
mod directory_changes;
mod edges;
mod in_flight;
mod pace;
mod proofs;
mod races;
mod reorder;
mod undetermined;

pub use in_flight::{Alternatives, InFlight};
pub use pace::{Due, Pace, Pacer, too_long};
pub use reorder::ReorderBuffer;

use abi::{CallSpec, Effect};
use ahash::{HashMap, HashSet};
use aliases::Aliases;
use claims::{Claim, claims};
use directory_changes::DirectoryChanges;
use edges::LastUses;
use in_flight::InFlightCalls;
use model::processes::{Descriptor, LinkRoute, LinkTarget, Operands, Processes, TimelineItem};
use std::collections::BTreeSet;
use std::sync::Arc;
use trace::Call;
use undetermined::Undetermined;

/// What stands, in the process that performs calls, for a recorded descriptor or directory.
pub trait Readiness: Default {
    /// Returns the number below which all dispatched calls must be done before the descriptor or
    /// directory can be used: one more than the number of the call that opens it, or 0 if none
    /// does.
    fn ready_after(&self) -> u64;
}

/// Calls remembered as races.
const RACES: usize = 1 << 20;

/// Which calls must be done before a call is issued. `docs/replay-semantics.md` has the rules.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Order {
    /// Those of its thread, of the thread's parent before it was born, and those that opened its
    /// descriptors: what else depends on the order is a race.
    Thread,
    /// All that had returned before it began.
    #[default]
    Overlap,
    /// Those of its thread, and those on the same file, name, directory, offset or descriptor that
    /// it conflicts with.
    Resource,
    /// All that returned before it did: one at a time.
    Strict,
}

impl Order {
    /// Returns whether in this order a call waits for single calls, rather than for all calls
    /// before one.
    pub const fn waits_for_single_calls(self) -> bool {
        matches!(self, Self::Thread | Self::Resource)
    }
}

/// What a call waits for.
#[derive(Default)]
pub struct Edges {
    /// So many of the calls before it must be done.
    pub after: u64,
    /// Single calls before it that must be done.
    pub calls: Vec<u64>,
    /// The directory that it lists changed since its listing began.
    pub listing_changed: bool,
}

/// A call that returns, and is performed.
pub struct ReturningCall<'a, R> {
    /// The call, as it is issued.
    pub call: &'a Call,
    /// What the table says of it.
    pub spec: &'static CallSpec,
    /// What is known of it since it began.
    pub in_flight_call: &'a InFlight<R>,
}

/// The position of the dispatcher.
pub struct DispatchPosition<'a> {
    /// The number of the call that returns.
    pub number: u64,
    /// All calls below this number are done.
    pub first_pending: u64,
    /// The threads of calls that are not done, by their numbers.
    pub lane_of: &'a dyn Fn(u64) -> u32,
}

/// What the recording does not determine.
#[derive(Default)]
pub struct Races {
    /// Numbers of calls.
    pub raced: HashSet<u64>,
    /// In the order `thread`: the first call that another thread's could overtake though they
    /// conflict.
    pub undetermined_from: Option<u64>,
    /// Files with bytes that the recording does not determine.
    pub undetermined: BTreeSet<Box<[u8]>>,
}

/// Turns claims into edges and races.
pub struct OrderBuilder<R> {
    rule: Order,
    in_flight: InFlightCalls<R>,
    last_uses: LastUses,
    aliases: Aliases,
    /// The last call of each thread, and the one that must be done before a thread's first: its
    /// parent's.
    last_call: HashMap<u32, u64>,
    undetermined: Undetermined,
    directory_changes: DirectoryChanges,
    races: Races,
    /// The claims of the call that returns.
    claims: Vec<Claim>,
}

/// Returns the descriptors that a call uses, including those that its paths lead through.
fn descriptors_of<R>(operands: &Operands<R>) -> impl Iterator<Item = &Arc<Descriptor<R>>> {
    operands.fds.iter().flatten().chain(operands.through.values().filter_map(LinkRoute::descriptor))
}

impl<R: Readiness> OrderBuilder<R> {
    /// Creates the state for this order, without calls.
    pub fn new(rule: Order) -> Self {
        Self {
            rule,
            in_flight: InFlightCalls::default(),
            last_uses: LastUses::default(),
            aliases: Aliases::default(),
            last_call: HashMap::default(),
            undetermined: Undetermined::default(),
            directory_changes: DirectoryChanges::default(),
            races: Races::default(),
            claims: Vec::new(),
        }
    }

    /// Adds a call that begins, under the number `slot`, and that `lane` performs. `dispatched` is
    /// the number of calls dispatched before. `early` is whether it only makes the state for the
    /// selected calls.
    #[inline]
    pub fn enter(
        &mut self,
        slot: usize,
        call: &Arc<Call>,
        operands: Operands<R>,
        lane: u32,
        dispatched: u64,
        early: bool,
    ) {
        self.in_flight.enter(slot, call, operands, lane, dispatched, early);
    }

    /// Removes the call in `slot`, which is no longer in flight.
    #[inline]
    pub fn close(&mut self, slot: usize) -> Option<InFlight<R>> {
        self.in_flight.close(slot)
    }

    /// Returns the number of slots in use or free.
    pub fn slots(&self) -> usize {
        self.in_flight.slots()
    }

    /// Returns whether the call in `slot`, which returns now, must have acted after one that is
    /// still under way. Then its return is postponed until that one's.
    pub fn postpones<I: Iterator<Item = Result<TimelineItem, E>>, E>(
        &self,
        processes: &Processes<R>,
        reorder: &mut ReorderBuffer<I>,
        slot: usize,
        call: &Arc<Call>,
    ) -> bool {
        proofs::proven_predecessor(&self.in_flight, processes, slot).is_some_and(|other| {
            !proofs::read_saw_later_write(&self.in_flight, reorder, slot, other)
                && reorder.postpone(slot, call, other)
        })
    }

    /// Notes which descriptors calls in flight may also have meant, after a call opened new ones.
    pub fn reinterpret(&mut self, processes: &Processes<R>, operands: &Operands<R>) {
        self.in_flight.reinterpret(processes, operands);
    }

    /// Notes that a thread began, which waits for what its parent did before.
    pub fn thread_started(&mut self, tid: u32, parent: u32) {
        match self.last_call.get(&parent).copied() {
            Some(number) => self.last_call.insert(tid, number),
            None => self.last_call.remove(&tid),
        };
    }

    /// Notes that call `number` of thread `tid` was dispatched.
    pub fn dispatched(&mut self, tid: u32, number: u64) {
        if self.rule.waits_for_single_calls() {
            self.last_call.insert(tid, number);
        }
    }

    /// Returns the last call of thread `tid`, if calls wait for single calls.
    pub fn last_call(&self, tid: u32) -> Option<u64> {
        self.last_call.get(&tid).copied()
    }

    /// Returns the races, when all calls are done.
    pub fn into_races(self) -> Races {
        Races { undetermined: self.undetermined.into_paths(), ..self.races }
    }

    /// Returns the calls that a returning call must wait for. Notes results that the recording does
    /// not determine.
    pub fn edges(
        &mut self,
        processes: &Processes<R>,
        position: &DispatchPosition<'_>,
        returning: &ReturningCall<'_, R>,
    ) -> Edges {
        let ReturningCall { call, spec, in_flight_call } = *returning;
        let operands = &in_flight_call.operands;
        let overlaps = self.in_flight.any_may_be_issued()
            || in_flight_call.dispatched_before < position.number;
        if overlaps && self.meaning_changed(processes, returning) {
            self.mark_race([position.number]);
        }
        let mut list = std::mem::take(&mut self.claims);
        list.clear();
        let single = self.rule.waits_for_single_calls();
        if overlaps || single || !self.undetermined.is_empty() {
            claims(&mut list, call, spec, operands);
        }
        if overlaps || single {
            self.aliases.claims(&mut list, position.number, call, spec, operands);
        }
        let mut edges = Edges::default();
        match self.rule {
            Order::Thread | Order::Resource => edges.calls = self.calls(position, returning, &list),
            Order::Overlap => edges.after = self.after(position, returning, overlaps, &list),
            Order::Strict => {
                self.after(position, returning, overlaps, &list);
                edges.after = position.number;
            }
        }
        if self.note_races(processes, returning, &list) {
            self.mark_race([position.number]);
        }
        edges.listing_changed = self.directory_changes.returned(call, spec, operands);
        self.claims = list;
        edges
    }

    /// Returns whether a descriptor's number changed its meaning while the call was under way, so
    /// that the call may have used the other file.
    fn meaning_changed(&self, processes: &Processes<R>, returning: &ReturningCall<'_, R>) -> bool {
        let ReturningCall { call, spec, in_flight_call } = *returning;
        let mut fds = in_flight_call
            .operands
            .fds
            .iter()
            .enumerate()
            .filter_map(|(i, d)| Some((i, d.as_ref()?)));
        let same = |i: usize, d| {
            let number = call.args[i] as i32;
            let now = processes.descriptor(call.tid, number);
            abi::registered_index(number).is_some() || now.is_some_and(|now| Arc::ptr_eq(now, d))
        };
        !matches!(spec.effect, Effect::Close { .. }) && !fds.all(|(i, d)| same(i, d))
    }

    /// Marks calls as racing, so that differences in them are counted as races.
    fn mark_race(&mut self, calls: impl IntoIterator<Item = u64>) {
        if self.races.raced.len() < RACES {
            self.races.raced.extend(calls);
        }
    }

    /// Returns the number below which all calls must be done first: those that had returned when
    /// this one began, those that it conflicts with, and those that opened its descriptors.
    fn after(
        &mut self,
        position: &DispatchPosition<'_>,
        returning: &ReturningCall<'_, R>,
        overlaps: bool,
        claims: &[Claim],
    ) -> u64 {
        let InFlight { operands, alternatives, dispatched_before, .. } = returning.in_flight_call;
        let dispatched_before = *dispatched_before;
        let mut after = dispatched_before;
        if overlaps {
            let conflict = self.last_uses.after(position.number, claims);
            if conflict > dispatched_before {
                after = conflict;
                self.mark_race([position.number, conflict - 1]);
            }
            // It may have opened its descriptor after this call began.
            after = descriptors_of(operands)
                .map(|d| d.real.ready_after())
                .max()
                .unwrap_or(0)
                .max(after);
            let oldest =
                self.in_flight.all().map(|o| o.dispatched_before).min().unwrap_or(position.number);
            self.last_uses.forget_below(oldest.min(position.first_pending));
        }
        alternatives.iter().map(|(_, d)| d.real.ready_after()).max().unwrap_or(0).max(after)
    }

    /// Returns the single calls that must be done first: the last ones of its thread and its
    /// parent, those that opened its descriptors and its working directory, and, in the order
    /// `resource`, those that it conflicts with.
    fn calls(
        &mut self,
        position: &DispatchPosition<'_>,
        returning: &ReturningCall<'_, R>,
        claims: &[Claim],
    ) -> Vec<u64> {
        let InFlight { operands, alternatives, dispatched_before, .. } = returning.in_flight_call;
        let lane = returning.in_flight_call.lane;
        let (number, first_pending) = (position.number, position.first_pending);
        let dispatched_before = *dispatched_before;
        let conflicts = self.last_uses.calls(number, first_pending, claims);
        self.last_uses.forget_below(first_pending);
        let descriptors_of = descriptors_of(operands)
            .chain(alternatives.iter().map(|(_, d)| d))
            .chain(operands.inner.iter().map(|(_, _, d)| d));
        let through = operands.through.values().filter_map(|way| match &way.to {
            LinkTarget::Directory(directory) => Some(directory.real.ready_after()),
            LinkTarget::File(_)
            | LinkTarget::Name
            | LinkTarget::Virtual
            | LinkTarget::Elsewhere => None,
        });
        let opened = descriptors_of
            .map(|d| d.real.ready_after())
            .chain(operands.cwd.as_ref().map(|d| d.real.ready_after()))
            .chain(through)
            .filter_map(|after| after.checked_sub(1));
        let before = [lane, returning.call.tid];
        let mut calls: Vec<u64> =
            opened.chain(before.into_iter().filter_map(|lane| self.last_call(lane))).collect();
        if self.rule == Order::Thread {
            // Where one of them is another thread's, it is overtaken perhaps, and with it whatever
            // that thread has not done before it: what comes out is left open from the first call
            // on that is not done.
            if conflicts.iter().any(|n| (position.lane_of)(*n) != lane) {
                let first = self
                    .races
                    .undetermined_from
                    .map_or(first_pending, |first| first.min(first_pending));
                self.races.undetermined_from = Some(first);
            }
        } else {
            let overlapping = conflicts.iter().copied().filter(|n| *n >= dispatched_before);
            self.mark_race(overlapping.clone().chain(overlapping.map(|_| number)));
            calls.extend(conflicts);
        }
        calls.retain(|n| *n >= first_pending && *n < number);
        calls.sort_unstable();
        calls.dedup();
        calls
    }
}
