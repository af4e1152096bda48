//! The calls in flight: entered in the recording, and not yet returned.

use super::claims::{Claim, claims, new_descriptor};
use crate::issue::RealFd;
use abi::{Effect, OPERATIONS, Replay, Ret, Shape};
use model::world::{Bound, Descriptor, World};
use std::cell::OnceCell;
use std::sync::Arc;
use trace::Call;

/// Other descriptors that a call may have meant, by argument.
pub(crate) type Alternatives = Vec<(usize, Arc<Descriptor<RealFd>>)>;

/// A call in flight.
pub(crate) struct InFlight {
    pub call: Arc<Call>,
    /// What performs it: calls of one lane follow each other. The lane of a system call is its
    /// thread; an operation that a thread only submits has one of those that are free meanwhile.
    pub lane: u32,
    pub bound: Bound<RealFd>,
    /// Other descriptors that its arguments may have meant: the numbers were closed and given out
    /// again meanwhile.
    pub alternatives: Alternatives,
    /// An overlapping call wrote some of the bytes that it writes, differently.
    pub contested: bool,
    /// Its claims, as far as they are known while it is in flight; computed at first use.
    pub(super) claims: OnceCell<Vec<Claim>>,
    /// Calls dispatched when it began.
    pub dispatched_before: u64,
    /// It may be issued, so that other calls may conflict with it.
    may_be_issued: bool,
    /// It may have claims.
    has_claims: bool,
    /// It sets an open file's status flags.
    pub(super) sets_flags: bool,
    /// It comes before the chosen time: it is performed for its effects, and not compared.
    pub early: bool,
}

/// Lanes from here on are no threads: the kernel's thread numbers are smaller (PID_MAX_LIMIT).
const FIRST_LANE: u32 = 1 << 31;

/// Room for the claims of most calls.
const CLAIMS: usize = 8;

/// Whether such a call can have claims: it takes a descriptor or a path, or returns a descriptor.
fn may_have_claims(shape: &Shape) -> bool {
    shape.uses.fd_args != 0 || shape.uses.path_args != 0 || shape.ret == Ret::Fd
}

impl InFlight {
    pub(super) fn shape(&self) -> Option<&'static Shape> {
        self.call.shape()
    }

    /// What it has to do with; none of a call that the table does not know.
    pub(super) fn claims(&self) -> &[Claim] {
        self.claims.get_or_init(|| {
            let mut list = Vec::with_capacity(CLAIMS);
            if let Some(shape) = self.shape() {
                claims(&mut list, &self.call, shape, &self.bound);
            }
            list
        })
    }
}

#[derive(Default)]
pub(super) struct InFlightCalls {
    calls: Vec<Option<InFlight>>,
    /// Calls that may be issued,
    may_be_issued: usize,
    /// those that may have claims,
    with_claims: usize,
    /// and those that set an open file's status flags.
    setting_flags: usize,
}

impl InFlightCalls {
    /// A call begins at `slot`; `dispatched`: so many were before it.
    #[inline]
    pub fn enter(
        &mut self,
        slot: usize,
        call: &Arc<Call>,
        bound: Bound<RealFd>,
        dispatched: u64,
        early: bool,
    ) {
        let shape = call.shape().filter(|s| call.returned() && s.replay == Replay::Issue);
        let may_be_issued = shape.is_some();
        let sets_flags = shape.is_some_and(|s| s.effect == Effect::SetStatusFlags);
        let has_claims = call.shape().is_some_and(may_have_claims);
        self.may_be_issued += usize::from(may_be_issued);
        self.with_claims += usize::from(has_claims);
        self.setting_flags += usize::from(sets_flags);
        let call_in_flight = InFlight {
            call: call.clone(),
            lane: if call.nr < OPERATIONS { call.tid } else { FIRST_LANE | slot as u32 },
            bound,
            alternatives: Vec::new(),
            contested: false,
            claims: OnceCell::new(),
            dispatched_before: dispatched,
            may_be_issued,
            has_claims,
            sets_flags,
            early,
        };
        if self.calls.len() <= slot {
            self.calls.resize_with(slot + 1, || None);
        }
        self.calls[slot] = Some(call_in_flight);
    }

    #[inline]
    pub fn close(&mut self, slot: usize) -> Option<InFlight> {
        let call_in_flight = self.calls.get_mut(slot)?.take()?;
        self.may_be_issued -= usize::from(call_in_flight.may_be_issued);
        self.with_claims -= usize::from(call_in_flight.has_claims);
        self.setting_flags -= usize::from(call_in_flight.sets_flags);
        Some(call_in_flight)
    }

    /// Whether a call other than the one in `slot` may have claims. Most often none has: a thread
    /// that waits for another (futex, wait) is in flight, and claims nothing.
    pub fn others_have_claims(&self, slot: usize) -> bool {
        let own = self.get(slot).is_some_and(|call| call.has_claims);
        self.with_claims > usize::from(own)
    }

    /// How many slots there are, used or free.
    pub fn slots(&self) -> usize {
        self.calls.len()
    }

    pub fn get(&self, slot: usize) -> Option<&InFlight> {
        self.calls.get(slot)?.as_ref()
    }

    /// Whether there is one that may be issued.
    pub fn any_may_be_issued(&self) -> bool {
        self.may_be_issued > 0
    }

    /// Whether there is one that sets an open file's status flags.
    pub fn any_sets_flags(&self) -> bool {
        self.setting_flags > 0
    }

    /// All calls in flight.
    pub fn all(&self) -> impl Iterator<Item = &InFlight> {
        self.calls.iter().flatten()
    }

    /// All calls in flight.
    pub fn all_mut(&mut self) -> impl Iterator<Item = &mut InFlight> {
        self.calls.iter_mut().flatten()
    }

    /// All but the one in `slot`.
    pub fn others(&self, slot: usize) -> impl Iterator<Item = (usize, &InFlight)> {
        let others =
            if self.may_be_issued > 1 || self.calls.len() > 1 { &self.calls[..] } else { &[] };
        let others = others.iter().enumerate().filter(move |(p, _)| *p != slot);
        others.filter_map(|(p, o)| Some((p, o.as_ref()?)))
    }

    /// Calls that open descriptor `number` in the table of thread `tid`.
    pub fn givers(
        &self,
        world: &World<RealFd>,
        slot: usize,
        tid: u32,
        number: i32,
    ) -> impl Iterator<Item = (usize, &InFlight)> {
        let gives =
            move |o: &InFlight| o.shape().and_then(|s| new_descriptor(&o.call, s)) == Some(number);
        self.others(slot).filter(move |(_, o)| gives(o) && world.share_table(tid, o.call.tid))
    }

    /// Descriptors that came into being give calls under way another possible meaning of their
    /// numbers.
    pub fn reinterpret(&mut self, world: &World<RealFd>, bound: &Bound<RealFd>) {
        if bound.opened.is_empty() || self.may_be_issued == 0 {
            return;
        }
        for call_in_flight in self.calls.iter_mut().flatten().filter(|o| o.may_be_issued) {
            let Some(shape) = call_in_flight.shape() else { continue };
            for (i, arg) in shape.args.iter().enumerate() {
                let number = call_in_flight.call.args[i] as i32;
                let mut opened = bound.opened.iter();
                let Some((_, new)) =
                    opened.find(|(n, _)| arg.kind == abi::Kind::Fd && *n == number)
                else {
                    continue;
                };
                let now = world.descriptor(call_in_flight.call.tid, number);
                if now.is_some_and(|now| Arc::ptr_eq(now, new)) {
                    call_in_flight.alternatives.push((i, new.clone()));
                }
            }
        }
    }
}
