//! The calls that are under way in the recording.

use super::claims::{Claim, claims, gives};
use crate::issue::Real;
use abi::{Effect, Replay, Shape};
use model::world::{Bound, Descriptor, World};
use std::cell::OnceCell;
use std::sync::Arc;
use trace::Call;

/// Other descriptors that a call may have meant, by argument.
pub(crate) type Others = Vec<(usize, Arc<Descriptor<Real>>)>;

/// A call that is under way in the recording.
pub(crate) struct Open {
    pub call: Arc<Call>,
    pub bound: Bound<Real>,
    /// Other descriptors that its arguments may have meant: the numbers were closed and given out
    /// again meanwhile.
    pub others: Others,
    /// An overlapping call wrote some of the bytes that it writes, differently.
    pub contested: bool,
    /// Its claims as far as they are known while it is under way, once somebody has asked.
    pub(super) claims: OnceCell<Vec<Claim>>,
    /// Calls dispatched when it began.
    pub overlapped: u64,
    /// It may be issued, so that others may conflict with it.
    counts: bool,
    /// It sets an open file's status flags.
    pub(super) sets_flags: bool,
    /// It only makes the state for those that were chosen.
    pub early: bool,
}

impl Open {
    pub(super) fn shape(&self) -> Option<&'static Shape> {
        self.call.shape()
    }

    /// What it has to do with; none of a call that the table does not know.
    pub(super) fn claims(&self) -> &[Claim] {
        self.claims.get_or_init(|| {
            let mut list = Vec::new();
            if let Some(shape) = self.shape() {
                claims(&mut list, &self.call, shape, &self.bound);
            }
            list
        })
    }
}

#[derive(Default)]
pub(super) struct UnderWay {
    open: Vec<Option<Open>>,
    /// Calls that may be issued,
    counting: usize,
    /// and those of them that set an open file's status flags.
    setting: usize,
}

impl UnderWay {
    /// A call begins at `place`; `dispatched`: so many were before it.
    #[inline]
    pub fn enter(
        &mut self,
        place: usize,
        call: &Arc<Call>,
        bound: Bound<Real>,
        dispatched: u64,
        early: bool,
    ) {
        let shape = call.shape().filter(|s| call.returned() && s.replay == Replay::Issue);
        let counts = shape.is_some();
        let sets_flags = shape.is_some_and(|s| s.effect == Effect::SetStatusFlags);
        self.counting += usize::from(counts);
        self.setting += usize::from(sets_flags);
        let open = Open {
            call: call.clone(),
            bound,
            others: Vec::new(),
            contested: false,
            claims: OnceCell::new(),
            overlapped: dispatched,
            counts,
            sets_flags,
            early,
        };
        if self.open.len() <= place {
            self.open.resize_with(place + 1, || None);
        }
        self.open[place] = Some(open);
    }

    #[inline]
    pub fn close(&mut self, place: usize) -> Option<Open> {
        let open = self.open.get_mut(place)?.take()?;
        self.counting -= usize::from(open.counts);
        self.setting -= usize::from(open.sets_flags);
        Some(open)
    }

    /// How many places there are: calls that are under way and others.
    pub fn places(&self) -> usize {
        self.open.len()
    }

    pub fn get(&self, place: usize) -> Option<&Open> {
        self.open.get(place)?.as_ref()
    }

    /// Whether there is one that may be issued.
    pub fn any_counts(&self) -> bool {
        self.counting > 0
    }

    /// Whether there is one that sets an open file's status flags.
    pub fn any_sets_flags(&self) -> bool {
        self.setting > 0
    }

    /// All of them.
    pub fn all(&self) -> impl Iterator<Item = &Open> {
        self.open.iter().flatten()
    }

    /// All of them.
    pub fn all_mut(&mut self) -> impl Iterator<Item = &mut Open> {
        self.open.iter_mut().flatten()
    }

    /// Those with the one at `place`, itself not among them.
    pub fn beside(&self, place: usize) -> impl Iterator<Item = (usize, &Open)> {
        let others = if self.counting > 1 || self.open.len() > 1 { &self.open[..] } else { &[] };
        let others = others.iter().enumerate().filter(move |(p, _)| *p != place);
        others.filter_map(|(p, o)| Some((p, o.as_ref()?)))
    }

    /// Those that give out `number` in the table of thread `tid`.
    pub fn givers(
        &self,
        world: &World<Real>,
        place: usize,
        tid: u32,
        number: i32,
    ) -> impl Iterator<Item = (usize, &Open)> {
        let gives = move |o: &Open| o.shape().and_then(|s| gives(&o.call, s)) == Some(number);
        self.beside(place).filter(move |(_, o)| gives(o) && world.share_table(tid, o.call.tid))
    }

    /// Descriptors that came into being give calls under way another possible meaning of their
    /// numbers.
    pub fn reinterpret(&mut self, world: &World<Real>, bound: &Bound<Real>) {
        if bound.opened.is_empty() || self.counting == 0 {
            return;
        }
        for open in self.open.iter_mut().flatten().filter(|o| o.counts) {
            let Some(shape) = open.shape() else { continue };
            for (i, arg) in shape.args.iter().enumerate() {
                let number = open.call.args[i] as i32;
                let mut opened = bound.opened.iter();
                let Some((_, new)) =
                    opened.find(|(n, _)| arg.kind == abi::Kind::Fd && *n == number)
                else {
                    continue;
                };
                let now = world.descriptor(open.call.tid, number);
                if now.is_some_and(|now| Arc::ptr_eq(now, new)) {
                    open.others.push((i, new.clone()));
                }
            }
        }
    }
}
