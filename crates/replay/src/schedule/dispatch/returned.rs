//! A call returns: whether it is performed, after which others, and how.

use super::{Dispatched, Dispatcher};
use crate::Error;
use crate::execute::{Due, Work};
use crate::issue::handled::HandledCall;
use crate::issue::refusal::may_be_outside;
use crate::issue::withhold::{Withheld, withheld};
use crate::issue::{PreparedCall, raw};
use crate::schedule::order::{DispatchPosition, InFlight, ReturningCall};
use crate::schedule::skip::{DEVICE, RING, check_performed};
use crate::verify::Expected;
use abi::{Class, Kind, Replay, Ret, Shape};
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use trace::Call;

/// The most calls remembered as explained.
const EXPLAINED: usize = 1 << 20;

impl Dispatcher<'_> {
    pub(super) fn call_returned(&mut self, slot: usize, call: Arc<Call>) -> Result<(), Error> {
        let Some(mut in_flight_call) = self.order.close(slot) else { return Ok(()) };
        if self.outside.has_changes_before(call.seq) {
            self.apply_outside_changes(call.seq)?;
        }
        self.pacer.returned(&call, in_flight_call.lane);
        self.update_world(&call, &mut in_flight_call)?;
        match self.choose(&call, &in_flight_call) {
            Some(shape) => self.issue(call, shape, &mut in_flight_call),
            None => {
                let closed = std::mem::take(&mut in_flight_call.bound.closed);
                self.release(call.tid, closed, in_flight_call.dispatched_before)
            }
        }
    }

    /// Updates the model of the traced processes.
    fn update_world(&mut self, call: &Call, in_flight_call: &mut InFlight) -> Result<(), Error> {
        let InFlight { bound, alternatives, .. } = in_flight_call;
        if call.shape().is_some_and(|s| s.replay == Replay::Skip(Class::Mounts)) {
            // Where its paths lead may depend on links that calls before it make.
            if self.shared.has_begun() {
                self.wait(self.number)?;
            }
            self.world.leave_with(call, bound, &mut raw::readlink);
        } else {
            self.world.leave(call, bound);
        }
        self.order.reinterpret(&self.world, bound);
        for (i, d) in alternatives.iter().filter(|_| call.succeeded()) {
            if bound.fds[*i].is_none() {
                (bound.fds[*i], bound.status[*i]) = (Some(d.clone()), d.file.status());
            }
        }
        alternatives.retain(|(i, d)| {
            bound.fds[*i].as_ref().is_some_and(|meant| !Arc::ptr_eq(meant, d) && d.file.is_stored())
        });
        // What is read from files that can change from now on without a call cannot be compared.
        let changed = self.unrecorded.returned(&self.world, call, bound);
        self.unseen_writes.extend(changed.into_iter().map(|(file, _)| file.inode.key));
        Ok(())
    }

    /// The shape of a call that is performed; counts one that is not, with its reason.
    fn choose(&mut self, call: &Call, in_flight_call: &InFlight) -> Option<&'static Shape> {
        let bound = &in_flight_call.bound;
        if let Some(why) = self.options.selection.exclusion(call, bound) {
            if let Some(shape) = call.shape() {
                self.skipped_changes.note(call, shape, bound);
            }
            self.skip(why);
            return None;
        }
        // Its working directory and its descriptors are not known.
        let start_is_lost = self.shared.recovered
            && !self.known_threads.is_empty()
            && in_flight_call.lane == call.tid
            && !self.known_threads.contains(&call.tid);
        let why = match check_performed(call, bound, &self.shared) {
            Ok(_) if start_is_lost => "start of its thread lost",
            Ok(_) if call.is_after(self.shared.complete_until) => "after lost calls",
            Ok(shape) => return Some(shape),
            Err(_) if self.is_ring_call(call) => RING,
            Err(why) => why,
        };
        self.skip(why);
        self.shared.note_unperformed(call, bound, why);
        bound.opened.iter().for_each(|(_, d)| d.real.mark_unperformed(why));
        if let Some(directory) = &bound.directory {
            directory.real.mark_unperformed(why);
        }
        if let (DEVICE, Some(shape)) = (why, call.shape()) {
            self.skipped_changes.note(call, shape, bound);
        }
        None
    }

    /// Whether a call only serves rings of io_uring whose operations are recorded.
    fn is_ring_call(&self, call: &Call) -> bool {
        self.unrecorded.are_rings_recorded()
            && call.shape().is_some_and(|shape| {
                let submits_blocks = |a: &abi::Arg| matches!(a.kind, Kind::Iocbs { .. });
                shape.replay == Replay::Skip(Class::Async) && !shape.args.iter().any(submits_blocks)
            })
    }

    /// Hands a call to its executor.
    fn issue(
        &mut self,
        call: Arc<Call>,
        shape: &'static Shape,
        in_flight_call: &mut InFlight,
    ) -> Result<(), Error> {
        let (call, full_mode) = match self.withheld(&call, shape) {
            Some(reduced) => (reduced.call, reduced.mode),
            None => (call, None),
        };
        let (number, own_lane, early) = (self.number, in_flight_call.lane, in_flight_call.early);
        let thread = call.tid;
        let first_pending = if self.options.order.waits_for_single_calls() {
            self.first_pending()
        } else {
            self.first_pending
        };
        let (dispatched, completion) = (&self.dispatched, &self.shared.completion);
        let lane = &|number| dispatched[completion.index(number)].lane;
        let edges = self.order.edges(
            &self.world,
            &DispatchPosition { number, first_pending, lane_of: lane },
            &ReturningCall { call: &call, shape, in_flight_call },
        );
        let bound = &in_flight_call.bound;
        bound.opened.iter().for_each(|(_, d)| d.real.set_opened_by(number));
        if let Some(directory) = &bound.directory {
            directory.real.set_opened_by(number);
        }
        let unseen_writes = !self.unseen_writes.is_empty()
            && bound.fds.iter().flatten().any(|d| self.unseen_writes.contains(&d.file.inode.key));
        if self.skipped_changes.explains(bound) && self.counts.explained.len() < EXPLAINED {
            self.counts.explained.insert(number);
        }
        let due = if early {
            Due::Now
        } else {
            self.pacer.due(&call, own_lane, self.counts.recorded.map_or(0, |(first, _)| first))
        };
        self.count(&call, shape, in_flight_call);
        let dispatched =
            Dispatched { seq: call.seq, thread, lane: own_lane, call: shape.name, executor: 0 };
        let expected = Expected { ret: call.ret, shape, unseen_writes };
        let work = Work::Call(self.prepare(
            call,
            expected,
            in_flight_call,
            full_mode,
            edges.listing_changed,
        )?);
        let dependencies = edges.calls.into_iter().map(|number| self.dependency(number)).collect();
        self.dispatch(dispatched, edges.after, dependencies, due, work)
    }

    /// A call as its executor gets it.
    #[inline]
    fn prepare(
        &mut self,
        call: Arc<Call>,
        expected: Expected,
        in_flight_call: &mut InFlight,
        full_mode: Option<u32>,
        listing_changed: bool,
    ) -> Result<PreparedCall, Error> {
        let InFlight { bound, alternatives, early, .. } = in_flight_call;
        let early = *early;
        let Expected { shape, unseen_writes, .. } = expected;
        let complete = self.leaves_out
            || !alternatives.is_empty()
            || full_mode.is_some()
            || may_be_outside(&call, shape);
        let translated = if complete {
            None
        } else {
            PreparedCall::translated(&call, expected, bound, early, self.options.verify)
        };
        if let Some(mut prepared) = translated {
            let executor = self.pool.executor_of(in_flight_call.lane)?;
            if let Some(context) = prepared.context() {
                *context = self.pool.changed_context(executor, bound);
            }
            return Ok(prepared);
        }
        let bytes_held = call.payloads.iter().map(|p| p.bytes.len() as u64).sum();
        Ok(PreparedCall::handled(HandledCall {
            call,
            shape,
            bound: std::mem::take(bound),
            alternatives: std::mem::take(alternatives),
            listing_changed,
            unseen_writes,
            early,
            full_mode,
            bytes_held,
        }))
    }

    /// Counts a call that is dispatched.
    fn count(&mut self, call: &Call, shape: &'static Shape, in_flight_call: &InFlight) {
        let (counts, early) = (&mut self.counts, in_flight_call.early);
        counts.dispatched += 1;
        counts.early += u64::from(early);
        counts.chosen += u64::from(!early && self.options.selection.names(&in_flight_call.bound));
        if shape.ret == Ret::Bytes && call.ret > 0 {
            counts.moved_bytes += call.ret as u64;
        }
        if self.options.timing {
            let took = call.left.unwrap_or(call.entered).saturating_sub(call.entered);
            counts.times.record(shape.name, took);
        }
    }

    /// The call as it is issued, where others can reach the root and it would set what lets them
    /// act as its owner.
    #[inline]
    fn withheld(&self, call: &Arc<Call>, shape: &Shape) -> Option<Withheld> {
        if shape.uses.mode_args == 0 || !self.shared.context.rules.withhold {
            return None;
        }
        let reduced = withheld(call, shape)?;
        self.shared.withheld.fetch_add(u64::from(reduced.counts), Relaxed);
        Some(reduced)
    }
}
