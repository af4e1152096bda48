//! The calls in flight: entered in the recording, and not yet returned.

use crate::Readiness;
use crate::claims::{Claim, claims, new_descriptor};
use abi::{CallSpec, Effect, Replay, Ret};
use model::processes::{Descriptor, Operands, Processes};
use std::cell::OnceCell;
use std::sync::Arc;
use trace::Call;

/// Other descriptors that a call may have meant, by argument.
pub type Alternatives<R> = Vec<(usize, Arc<Descriptor<R>>)>;

/// A call in flight.
pub struct InFlight<R> {
    /// The call.
    pub call: Arc<Call>,
    /// What performs it: calls of one lane follow each other. The lane of a system call is its
    /// thread; an operation that a thread only submits has one of its ring that is free meanwhile.
    pub lane: u32,
    /// The descriptors, paths and directories that it uses.
    pub operands: Operands<R>,
    /// Other descriptors that its arguments may have meant: the numbers were closed and given out
    /// again meanwhile.
    pub alternatives: Alternatives<R>,
    /// An overlapping call wrote some of the bytes that it writes, differently.
    pub contested: bool,
    /// Its claims, as far as they are known while it is in flight; computed at first use.
    pub(crate) claims: OnceCell<Vec<Claim>>,
    /// Calls dispatched when it began.
    pub dispatched_before: u64,
    /// It may be issued, so that other calls may conflict with it.
    may_be_issued: bool,
    /// It may have claims.
    has_claims: bool,
    /// It sets an open file's status flags.
    pub(crate) sets_flags: bool,
    /// It comes before the chosen time: it is performed for its effects, and not compared.
    pub early: bool,
}

/// Room for the claims of most calls.
const CLAIMS: usize = 8;

/// Returns whether such a call can have claims: it takes a descriptor or a path, or returns a
/// descriptor.
fn may_have_claims(spec: &CallSpec) -> bool {
    spec.uses.fd_args != 0 || spec.uses.path_args != 0 || spec.ret == Ret::Fd
}

impl<R> InFlight<R> {
    /// Returns the call's specification, if the table has it.
    pub(crate) fn spec(&self) -> Option<&'static CallSpec> {
        self.call.spec()
    }

    /// Returns the call's claims. Empty if the table does not have the call.
    pub(crate) fn claims(&self) -> &[Claim] {
        self.claims.get_or_init(|| {
            let mut list = Vec::with_capacity(CLAIMS);
            if let Some(spec) = self.spec() {
                claims(&mut list, &self.call, spec, &self.operands);
            }
            list
        })
    }
}

#[derive(Default)]
pub(crate) struct InFlightCalls<R> {
    calls: Vec<Option<InFlight<R>>>,
    /// Calls that may be issued,
    may_be_issued: usize,
    /// those that may have claims,
    with_claims: usize,
    /// and those that set an open file's status flags.
    setting_flags: usize,
}

impl<R: Readiness> InFlightCalls<R> {
    /// Adds a call that begins, in `slot`, and that `lane` performs. `dispatched` is the number of
    /// calls dispatched before.
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
        let spec = call.spec().filter(|s| call.returned() && s.replay == Replay::Issue);
        let may_be_issued = spec.is_some();
        let sets_flags = spec.is_some_and(|s| s.effect == Effect::SetStatusFlags);
        let has_claims = call.spec().is_some_and(may_have_claims);
        self.may_be_issued += usize::from(may_be_issued);
        self.with_claims += usize::from(has_claims);
        self.setting_flags += usize::from(sets_flags);
        let call_in_flight = InFlight {
            call: call.clone(),
            lane,
            operands,
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

    /// Removes and returns the call in `slot`.
    #[inline]
    pub fn close(&mut self, slot: usize) -> Option<InFlight<R>> {
        let call_in_flight = self.calls.get_mut(slot)?.take()?;
        self.may_be_issued -= usize::from(call_in_flight.may_be_issued);
        self.with_claims -= usize::from(call_in_flight.has_claims);
        self.setting_flags -= usize::from(call_in_flight.sets_flags);
        Some(call_in_flight)
    }

    /// Returns whether a call other than the one in `slot` may have claims. Mostly none has: a
    /// thread that waits for another one (futex, wait) is in flight, and has no claims.
    pub fn others_have_claims(&self, slot: usize) -> bool {
        let own = self.get(slot).is_some_and(|call| call.has_claims);
        self.with_claims > usize::from(own)
    }

    /// Returns the number of slots, used or free.
    pub fn slots(&self) -> usize {
        self.calls.len()
    }

    /// Returns the call in `slot`.
    pub fn get(&self, slot: usize) -> Option<&InFlight<R>> {
        self.calls.get(slot)?.as_ref()
    }

    /// Returns whether a call in flight may be issued.
    pub fn any_may_be_issued(&self) -> bool {
        self.may_be_issued > 0
    }

    /// Returns whether a call in flight sets an open file's status flags.
    pub fn any_sets_flags(&self) -> bool {
        self.setting_flags > 0
    }

    /// Returns all calls in flight.
    pub fn all(&self) -> impl Iterator<Item = &InFlight<R>> {
        self.calls.iter().flatten()
    }

    /// Returns all calls in flight, to change them.
    pub fn all_mut(&mut self) -> impl Iterator<Item = &mut InFlight<R>> {
        self.calls.iter_mut().flatten()
    }

    /// Returns all calls in flight but the one in `slot`, with their slots.
    pub fn others(&self, slot: usize) -> impl Iterator<Item = (usize, &InFlight<R>)> {
        let others =
            if self.may_be_issued > 1 || self.calls.len() > 1 { &self.calls[..] } else { &[] };
        let others = others.iter().enumerate().filter(move |(p, _)| *p != slot);
        others.filter_map(|(p, o)| Some((p, o.as_ref()?)))
    }

    /// Returns the calls in flight that open descriptor `number` in the table of thread `tid`.
    pub fn givers(
        &self,
        processes: &Processes<R>,
        slot: usize,
        tid: u32,
        number: i32,
    ) -> impl Iterator<Item = (usize, &InFlight<R>)> {
        let gives = move |o: &InFlight<R>| {
            o.spec().and_then(|s| new_descriptor(&o.call, s)) == Some(number)
        };
        self.others(slot).filter(move |(_, o)| gives(o) && processes.shares_table(tid, o.call.tid))
    }

    /// Adds a second possible meaning to the descriptors of calls in flight whose numbers were
    /// opened anew by a call that returned.
    pub fn reinterpret(&mut self, processes: &Processes<R>, operands: &Operands<R>) {
        if operands.opened.is_empty() || self.may_be_issued == 0 {
            return;
        }
        for call_in_flight in self.calls.iter_mut().flatten().filter(|o| o.may_be_issued) {
            let Some(spec) = call_in_flight.spec() else { continue };
            for (i, arg) in spec.args.iter().enumerate() {
                let number = call_in_flight.call.args[i] as i32;
                let mut opened = operands.opened.iter();
                let Some((_, new)) =
                    opened.find(|(n, _)| arg.kind == abi::Kind::Fd && *n == number)
                else {
                    continue;
                };
                let now = processes.descriptor(call_in_flight.call.tid, number);
                if now.is_some_and(|now| Arc::ptr_eq(now, new)) {
                    call_in_flight.alternatives.push((i, new.clone()));
                }
            }
        }
    }
}
