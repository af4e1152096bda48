//! Order: which calls a call waits for.
//!
//! Each call is a list of claims ([`claims`]): what it found of the things that it has to do with,
//! and how it left them. The [`Builder`] turns them into edges (the calls that must be done before)
//! and races (calls whose order the recording leaves open). Where the results of overlapping calls
//! prove another order than that of their returns, the proven one is kept ([`proofs`],
//! [`Moments`]).

mod bytes;
mod claims;
mod edges;
mod listings;
mod moments;
mod names;
mod proofs;
mod races;
mod undecided;
mod under_way;

pub(crate) use moments::Moments;
pub(crate) use under_way::Open;

use crate::issue::Real;
use abi::{Effect, Shape};
use ahash::{HashMap, HashSet};
use claims::{Claim, claims};
use edges::Latest;
use listings::Listings;
use model::world::{Bound, Descriptor, Moment, To, Way, World};
use names::Names;
use std::collections::BTreeSet;
use std::sync::Arc;
use trace::Call;
use undecided::Undecided;
use under_way::UnderWay;

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
    /// Whether a call waits for single calls, and not for all before one.
    pub(crate) const fn waits_for_single_calls(self) -> bool {
        matches!(self, Self::Thread | Self::Resource)
    }
}

/// What a call waits for.
#[derive(Default)]
pub(crate) struct Edges {
    /// So many of the calls before it must be done.
    pub after: u64,
    /// Single calls before it that must be done.
    pub needs: Vec<u64>,
    /// The directory that it lists changed since its listing began.
    pub disturbed: bool,
}

/// A call that returns, and is performed.
#[derive(Clone, Copy)]
pub(crate) struct Leaving<'a> {
    /// As it is issued.
    pub call: &'a Call,
    pub shape: &'static Shape,
    pub open: &'a Open,
}

/// How far the dispatcher is.
pub(crate) struct At<'a> {
    /// The number of the call that returns.
    pub number: u64,
    /// All calls below this number are done.
    pub reached: u64,
    /// The threads of calls that are not done, by their numbers.
    pub thread: &'a dyn Fn(u64) -> u32,
}

/// What the recording leaves open.
#[derive(Default)]
pub(crate) struct Races {
    /// Numbers of calls.
    pub raced: HashSet<u64>,
    /// In the order `thread`: the first call that another thread's could overtake though they
    /// conflict.
    pub left_open: Option<u64>,
    /// Files with bytes that nobody knows.
    pub undecided: BTreeSet<Box<[u8]>>,
}

/// Turns claims into edges and races.
pub(crate) struct Builder {
    order: Order,
    under_way: UnderWay,
    latest: Latest,
    names: Names,
    /// The last call of each thread, and the one that must be done before a thread's first: its
    /// parent's.
    last: HashMap<u32, u64>,
    undecided: Undecided,
    listings: Listings,
    races: Races,
    /// The claims of the call that returns.
    claims: Vec<Claim>,
}

/// The descriptors that a call means, those among them that its paths lead through.
fn meant(bound: &Bound<Real>) -> impl Iterator<Item = &Arc<Descriptor<Real>>> {
    bound.fds.iter().flatten().chain(bound.through.values().filter_map(Way::descriptor))
}

impl Builder {
    pub fn new(order: Order) -> Self {
        Self {
            order,
            under_way: UnderWay::default(),
            latest: Latest::default(),
            names: Names::default(),
            last: HashMap::default(),
            undecided: Undecided::default(),
            listings: Listings::default(),
            races: Races::default(),
            claims: Vec::new(),
        }
    }

    /// A call begins at `place`; `dispatched`: so many were before it. `early`: it only makes the
    /// state for those that were chosen.
    #[inline]
    pub fn enter(
        &mut self,
        place: usize,
        call: &Arc<Call>,
        bound: Bound<Real>,
        dispatched: u64,
        early: bool,
    ) {
        self.under_way.enter(place, call, bound, dispatched, early);
    }

    /// The call at `place` is under way no more.
    #[inline]
    pub fn close(&mut self, place: usize) -> Option<Open> {
        self.under_way.close(place)
    }

    /// How many places calls have had.
    pub fn places(&self) -> usize {
        self.under_way.places()
    }

    /// Whether the call at `place`, which returns now, acted after one that is still under way.
    /// Then its return is held until that one's.
    pub fn postpones<I: Iterator<Item = Result<Moment, E>>, E>(
        &self,
        world: &World<Real>,
        moments: &mut Moments<I>,
        place: usize,
        call: &Arc<Call>,
    ) -> bool {
        proofs::came_first(&self.under_way, world, place).is_some_and(|other| {
            !proofs::brought_by_a_later(&self.under_way, moments, place, other)
                && moments.postpone(place, call, other)
        })
    }

    /// Descriptors that came into being give calls under way another possible meaning.
    pub fn reinterpret(&mut self, world: &World<Real>, bound: &Bound<Real>) {
        self.under_way.reinterpret(world, bound);
    }

    /// A thread began: what its parent did before comes first.
    pub fn born(&mut self, tid: u32, parent: u32) {
        match self.last.get(&parent).copied() {
            Some(number) => self.last.insert(tid, number),
            None => self.last.remove(&tid),
        };
    }

    /// Call `number` of thread `tid` was dispatched.
    pub fn dispatched(&mut self, tid: u32, number: u64) {
        if self.order.waits_for_single_calls() {
            self.last.insert(tid, number);
        }
    }

    /// The last call of thread `tid`, if calls wait for single calls.
    pub fn last(&self, tid: u32) -> Option<u64> {
        self.last.get(&tid).copied()
    }

    /// What is known when all calls are done.
    pub fn into_races(self) -> Races {
        Races { undecided: self.undecided.into_paths(), ..self.races }
    }

    /// What a call that returns waits for. Notes what the recording leaves open.
    pub fn leave(&mut self, world: &World<Real>, at: &At<'_>, leaving: &Leaving<'_>) -> Edges {
        let Leaving { call, shape, open } = *leaving;
        let bound = &open.bound;
        let overlaps = self.under_way.any_counts() || open.overlapped < at.number;
        if overlaps && self.meaning_changed(world, leaving) {
            self.race([at.number]);
        }
        let mut list = std::mem::take(&mut self.claims);
        list.clear();
        let single = self.order.waits_for_single_calls();
        if overlaps || single || !self.undecided.is_empty() {
            claims(&mut list, call, shape, bound);
        }
        if overlaps || single {
            self.names.claims(&mut list, at.number, call, shape, bound);
        }
        let mut edges = Edges::default();
        match self.order {
            Order::Thread | Order::Resource => edges.needs = self.needs(at, leaving, &list),
            Order::Overlap => edges.after = self.after(at, leaving, overlaps, &list),
            Order::Strict => {
                self.after(at, leaving, overlaps, &list);
                edges.after = at.number;
            }
        }
        if self.weigh(world, leaving, &list) {
            self.race([at.number]);
        }
        edges.disturbed = self.listings.returned(call, shape, bound);
        self.claims = list;
        edges
    }

    /// Whether a descriptor's number changed its meaning while the call was under way: it may have
    /// meant the other.
    fn meaning_changed(&self, world: &World<Real>, leaving: &Leaving<'_>) -> bool {
        let Leaving { call, shape, open } = *leaving;
        let mut fds = open.bound.fds.iter().enumerate().filter_map(|(i, d)| Some((i, d.as_ref()?)));
        let same = |i: usize, d| {
            let now = world.descriptor(call.tid, call.args[i] as i32);
            now.is_some_and(|now| Arc::ptr_eq(now, d))
        };
        !matches!(shape.effect, Effect::Close { .. }) && !fds.all(|(i, d)| same(i, d))
    }

    fn race(&mut self, calls: impl IntoIterator<Item = u64>) {
        if self.races.raced.len() < RACES {
            self.races.raced.extend(calls);
        }
    }

    /// All calls that had returned when it began, those that it conflicts with, and those that
    /// opened its descriptors.
    fn after(
        &mut self,
        at: &At<'_>,
        leaving: &Leaving<'_>,
        overlaps: bool,
        claims: &[Claim],
    ) -> u64 {
        let Open { bound, others, overlapped, .. } = leaving.open;
        let overlapped = *overlapped;
        let mut after = overlapped;
        if overlaps {
            let conflict = self.latest.after(at.number, claims);
            if conflict > overlapped {
                after = conflict;
                self.race([at.number, conflict - 1]);
            }
            // It may have opened its descriptor after this call began.
            after = meant(bound).map(|d| d.real.after()).max().unwrap_or(0).max(after);
            let oldest = self.under_way.all().map(|o| o.overlapped).min().unwrap_or(at.number);
            self.latest.forget(oldest.min(at.reached));
        }
        others.iter().map(|(_, d)| d.real.after()).max().unwrap_or(0).max(after)
    }

    /// Its thread's last call and its parent's, those that opened its descriptors and its working
    /// directory, and, in the order `resource`, those that it conflicts with. In the order `thread`
    /// nobody waits for those.
    fn needs(&mut self, at: &At<'_>, leaving: &Leaving<'_>, claims: &[Claim]) -> Vec<u64> {
        let Open { bound, others, overlapped, .. } = leaving.open;
        let (number, reached, tid) = (at.number, at.reached, leaving.call.tid);
        let overlapped = *overlapped;
        let conflicts = self.latest.needs(number, reached, claims);
        self.latest.forget(reached);
        let meant = meant(bound)
            .chain(others.iter().map(|(_, d)| d))
            .chain(bound.inner.iter().map(|(_, _, d)| d));
        let through = bound.through.values().filter_map(|way| match &way.to {
            To::Directory(directory) => Some(directory.real.after()),
            To::File(_) | To::Name | To::Virtual | To::Elsewhere => None,
        });
        let opened = meant
            .map(|d| d.real.after())
            .chain(bound.cwd.as_ref().map(|d| d.real.after()))
            .chain(through)
            .filter_map(|after| after.checked_sub(1));
        let mut needs: Vec<u64> = opened.chain(self.last(tid)).collect();
        if self.order == Order::Thread {
            // Where one of them is another thread's, it is overtaken perhaps, and with it whatever
            // that thread has not done before it: what comes out is left open from the first call
            // on that is not done.
            if conflicts.iter().any(|n| (at.thread)(*n) != tid) {
                let first = self.races.left_open.map_or(reached, |first| first.min(reached));
                self.races.left_open = Some(first);
            }
        } else {
            let overlapping = conflicts.iter().copied().filter(|n| *n >= overlapped);
            self.race(overlapping.clone().chain(overlapping.map(|_| number)));
            needs.extend(conflicts);
        }
        needs.retain(|n| *n >= reached && *n < number);
        needs.sort_unstable();
        needs.dedup();
        needs
    }
}
