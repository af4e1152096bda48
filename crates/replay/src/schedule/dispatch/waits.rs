//! What a call waits for: in the orders `overlap` and `strict` all calls before a number, in the others single calls.

use super::{Dispatcher, RACES};
use crate::execute::Need;
use crate::issue::Real;
use crate::schedule::Order;
use abi::{Effect, Shape};
use model::world::{Bound, Descriptor, To, Way};
use std::sync::Arc;
use trace::{Call, Event};

/// Other descriptors that a call may have meant, by argument.
type Others = [(usize, Arc<Descriptor<Real>>)];

/// The descriptors that a call means, those among them that its paths lead through.
fn meant(bound: &Bound<Real>) -> impl Iterator<Item = &Arc<Descriptor<Real>>> {
    bound.fds.iter().flatten().chain(bound.through.values().filter_map(Way::descriptor))
}

impl Dispatcher<'_> {
    /// A thread began: what its parent did before comes first.
    pub(super) fn born(&mut self, event: &Event) {
        self.pacer.born(event.tid, event.time);
        let parent = event.args[1] as u32;
        match self.last.get(&parent).copied() {
            Some(number) => self.last.insert(event.tid, number),
            None => self.last.remove(&event.tid),
        };
    }

    /// How many calls must be done before call `number`, and which single ones; `overlapped` were when it began. Notes what the recording leaves open.
    pub(super) fn waits(
        &mut self,
        number: u64,
        overlapped: u64,
        call: &Call,
        shape: &Shape,
        bound: &Bound<Real>,
        others: &Others,
    ) -> (u64, Vec<Need>) {
        if self.counting > 0 || overlapped < number {
            // One whose descriptor's number changed its meaning meanwhile may have meant the other.
            let mut fds = bound.fds.iter().enumerate().filter_map(|(i, d)| Some((i, d.as_ref()?)));
            let same = |i: usize, d| {
                self.world
                    .descriptor(call.tid, call.args[i] as i32)
                    .is_some_and(|now| Arc::ptr_eq(now, d))
            };
            if !matches!(shape.effect, Effect::Close { .. }) && !fds.all(|(i, d)| same(i, d)) {
                self.race([number]);
            }
        }
        match self.options.order {
            Order::Overlap => {
                (self.after(number, overlapped, call, shape, bound, others), Vec::new())
            }
            Order::Strict => {
                self.after(number, overlapped, call, shape, bound, others);
                (number, Vec::new())
            }
            Order::Thread | Order::Resource => {
                (0, self.needs(number, overlapped, call, shape, bound, others))
            }
        }
    }

    fn race(&mut self, calls: impl IntoIterator<Item = u64>) {
        if self.tally.raced.len() < RACES {
            self.tally.raced.extend(calls);
        }
    }

    /// All calls that had returned when it began, those that it conflicts with, and those that opened its descriptors.
    fn after(
        &mut self,
        number: u64,
        overlapped: u64,
        call: &Call,
        shape: &Shape,
        bound: &Bound<Real>,
        others: &Others,
    ) -> u64 {
        let mut after = overlapped;
        if self.counting > 0 || overlapped < number {
            let conflict = self.conflicts.enter(number, overlapped, call, shape, bound);
            if conflict > overlapped {
                after = conflict;
                self.race([number, conflict - 1]);
            }
            // It may have opened its descriptor after this call began.
            after = meant(bound).map(|d| d.real.after()).max().unwrap_or(0).max(after);
            let oldest = self.open.iter().flatten().map(|o| o.overlapped).min().unwrap_or(number);
            self.conflicts.forget(oldest.min(self.reached));
        }
        others.iter().map(|(_, d)| d.real.after()).max().unwrap_or(0).max(after)
    }

    /// Its thread's last call and its parent's, those that opened its descriptors and its working directory, and, in the order `resource`, those that it conflicts with.
    /// In the order `thread` nobody waits for those.
    fn needs(
        &mut self,
        number: u64,
        overlapped: u64,
        call: &Call,
        shape: &Shape,
        bound: &Bound<Real>,
        others: &Others,
    ) -> Vec<Need> {
        let reached = self.reached();
        let conflicts = self.conflicts.needs(number, reached, call, shape, bound);
        self.conflicts.forget(reached);
        let meant = meant(bound)
            .chain(others.iter().map(|(_, d)| d))
            .chain(bound.inner.iter().map(|(_, _, d)| d));
        let opened = meant
            .map(|d| d.real.after())
            .chain(bound.cwd.as_ref().map(|d| d.real.after()))
            .chain(bound.through.values().filter_map(|way| match &way.to {
                To::Directory(directory) => Some(directory.real.after()),
                To::File(_) | To::Name | To::Virtual | To::Elsewhere => None,
            }))
            .filter_map(|after| after.checked_sub(1));
        let mut needs: Vec<u64> = opened.chain(self.last.get(&call.tid).copied()).collect();
        if self.options.order == Order::Thread {
            self.leave_open(reached, &conflicts, call.tid);
        } else {
            let overlapping = conflicts.iter().copied().filter(|n| *n >= overlapped);
            self.race(overlapping.clone().chain(overlapping.map(|_| number)));
            needs.extend(conflicts);
        }
        needs.retain(|n| *n >= reached && *n < number);
        needs.sort_unstable();
        needs.dedup();
        needs.into_iter().map(|number| self.need(number)).collect()
    }

    /// Nobody waits for these. Where one of them is another thread's, it is overtaken perhaps, and with it whatever that thread has not done before it: what comes out is
    /// left open from the first call on that is not done.
    fn leave_open(&mut self, reached: u64, conflicts: &[u64], tid: u32) {
        if conflicts.iter().any(|n| self.flying[self.shared.frontier.slot(*n)].tid != tid) {
            self.tally.left_open =
                Some(self.tally.left_open.map_or(reached, |first| first.min(reached)));
        }
    }
}
