//! A call returns: whether it is performed, after which others, and how.

use super::{Dispatched, Dispatcher};
use crate::Error;
use crate::execute::{Due, Work};
use crate::issue::handled::HandledCall;
use crate::issue::refusal::may_be_outside;
use crate::issue::withhold::{Withheld, withheld};
use crate::issue::{PreparedCall, RealFd, raw};
use crate::schedule::InFlight;
use crate::schedule::skip::{DEVICE, RING, check_performed};
use crate::verify::Expected;
use abi::{CallSpec, Class, Replay, Ret};
use model::processes::Descriptor;
use order::{DispatchPosition, ReturningCall};
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use trace::Call;
use trace::record::TAKEN;

/// The most calls remembered as explained.
const EXPLAINED: usize = 1 << 20;

impl Dispatcher<'_> {
    /// Handles the return of a call: applies it to the processes, and dispatches it unless it is
    /// skipped.
    pub(super) fn call_returned(&mut self, slot: usize, call: Arc<Call>) -> Result<(), Error> {
        let Some(mut in_flight_call) = self.order.close(slot) else { return Ok(()) };
        if self.outside.has_changes_before(call.seq) {
            self.apply_outside_changes(call.seq)?;
        }
        self.pacer.returned(&call, in_flight_call.lane);
        self.update_world(&call, &mut in_flight_call)?;
        match self.choose(&call, &in_flight_call) {
            Some(spec) => self.issue(call, spec, &mut in_flight_call),
            None => {
                let closed = std::mem::take(&mut in_flight_call.operands.closed);
                self.release(call.tid, closed, in_flight_call.dispatched_before)
            }
        }
    }

    /// Applies a call that returned to the model of the processes.
    fn update_world(&mut self, call: &Call, in_flight_call: &mut InFlight) -> Result<(), Error> {
        let InFlight { operands, alternatives, .. } = in_flight_call;
        if call.spec().is_some_and(|s| s.replay == Replay::Skip(Class::Mounts)) {
            // Where its paths lead may depend on links that calls before it make.
            if self.shared.has_begun() {
                self.wait(self.number)?;
            }
            self.processes.leave_with(call, operands, &mut raw::readlink);
        } else {
            self.processes.leave(call, operands);
        }
        self.rings.returned(call);
        self.order.reinterpret(&self.processes, operands);
        for (i, d) in alternatives.iter().filter(|_| call.succeeded()) {
            if operands.fds[*i].is_none() {
                (operands.fds[*i], operands.status[*i]) = (Some(d.clone()), d.file.status());
            }
        }
        alternatives.retain(|(i, d)| {
            operands.fds[*i]
                .as_ref()
                .is_some_and(|meant| !Arc::ptr_eq(meant, d) && d.file.is_stored())
        });
        // What is read from files that can change from now on without a call cannot be compared.
        let changed = self.unrecorded.after_return(&self.processes, call, operands);
        self.unseen_writes.extend(changed.into_iter().map(|(file, _)| file.inode.key));
        Ok(())
    }

    /// Returns the specification of a call that is to be performed. Counts a call that is not, with
    /// its reason, and returns `None`.
    fn choose(&mut self, call: &Call, in_flight_call: &InFlight) -> Option<&'static CallSpec> {
        let operands = &in_flight_call.operands;
        if let Some(why) = self.options.selection.exclusion(call, operands) {
            if let Some(spec) = call.spec() {
                self.skipped_changes.add_excluded(call, spec, operands);
            }
            self.skip(why);
            return None;
        }
        // Its working directory and its descriptors are not known.
        let start_is_lost = self.shared.recovered
            && !self.known_threads.is_empty()
            && in_flight_call.lane == call.tid
            && !self.known_threads.contains(&call.tid);
        let why = match check_performed(call, operands, &self.shared) {
            Ok(_) if start_is_lost => "start of its thread lost",
            Ok(_) if call.is_after(self.shared.complete_until) => "after lost calls",
            Ok(spec) => return Some(spec),
            Err(_) if self.is_ring_call(call) => RING,
            Err(why) => why,
        };
        self.skip(why);
        self.shared.note_unperformed(call, operands, why);
        operands.opened.iter().for_each(|(_, d)| d.real.mark_unperformed(why));
        if let Some(directory) = &operands.directory {
            directory.real.mark_unperformed(why);
        }
        if let (DEVICE, Some(spec)) = (why, call.spec()) {
            self.skipped_changes.add_excluded(call, spec, operands);
        }
        None
    }

    /// Returns whether a call only serves rings of io_uring or contexts of libaio whose operations
    /// are recorded.
    fn is_ring_call(&self, call: &Call) -> bool {
        call.spec().is_some_and(|spec| {
            spec.replay == Replay::Skip(Class::Async) && self.unrecorded.are_recorded(spec)
        })
    }

    /// Dispatches a call to the executor of its thread, with the calls that it must wait for.
    fn issue(
        &mut self,
        call: Arc<Call>,
        spec: &'static CallSpec,
        in_flight_call: &mut InFlight,
    ) -> Result<(), Error> {
        let (call, full_mode) = match self.withheld(&call, spec) {
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
            &self.processes,
            &DispatchPosition { number, first_pending, lane_of: lane },
            &ReturningCall { call: &call, spec, in_flight_call },
        );
        let operands = &in_flight_call.operands;
        operands.opened.iter().for_each(|(_, d)| d.real.set_opened_by(number));
        if let Some(directory) = &operands.directory {
            directory.real.set_opened_by(number);
        }
        let is_written_unseen = |d: &Arc<Descriptor<RealFd>>| {
            !self.unseen_writes.is_empty() && self.unseen_writes.contains(&d.file.inode.key)
                || self.unrecorded.is_mapped(&d.file)
        };
        // Data that the program could have changed are perhaps not what was read.
        let unseen_writes = call.flags & TAKEN != 0
            || operands.shares_buffer
            || operands.fds.iter().flatten().any(is_written_unseen);
        if self.skipped_changes.is_affected(operands) && self.counts.explained.len() < EXPLAINED {
            self.counts.explained.insert(number);
        }
        let due = if early {
            Due::Now
        } else {
            self.pacer.due(&call, own_lane, self.counts.recorded.map_or(0, |(first, _)| first))
        };
        self.count(&call, spec, in_flight_call);
        let follows = self.rings.follows(&call, number);
        let dispatched =
            Dispatched { seq: call.seq, thread, lane: own_lane, call: spec.name, executor: 0 };
        let expected = Expected { ret: call.ret, spec, unseen_writes };
        let work = Work::Call(self.prepare(
            call,
            expected,
            in_flight_call,
            full_mode,
            edges.listing_changed,
        )?);
        let dependencies =
            edges.calls.into_iter().chain(follows).map(|n| self.dependency(n)).collect();
        self.dispatch(dispatched, edges.after, dependencies, follows, due, work)
    }

    /// Prepares a call for its executor: translated beforehand if possible, else with what its
    /// handler needs.
    #[inline]
    fn prepare(
        &mut self,
        call: Arc<Call>,
        expected: Expected,
        in_flight_call: &mut InFlight,
        full_mode: Option<u32>,
        listing_changed: bool,
    ) -> Result<PreparedCall, Error> {
        let InFlight { operands, alternatives, early, .. } = in_flight_call;
        let early = *early;
        let Expected { spec, unseen_writes, .. } = expected;
        let complete = self.leaves_out
            || !alternatives.is_empty()
            || full_mode.is_some()
            || may_be_outside(&call, spec);
        let translated = if complete {
            None
        } else {
            PreparedCall::translated(&call, expected, operands, early, self.options.verify)
        };
        if let Some(mut prepared) = translated {
            let executor = self.pool.executor_of(in_flight_call.lane)?;
            if let Some(context) = prepared.context() {
                *context = self.pool.changed_context(executor, operands);
            }
            return Ok(prepared);
        }
        let bytes_held = call.payloads.iter().map(|p| p.bytes.len() as u64).sum();
        Ok(PreparedCall::handled(HandledCall {
            call,
            spec,
            operands: std::mem::take(operands),
            alternatives: std::mem::take(alternatives),
            listing_changed,
            unseen_writes,
            early,
            full_mode,
            bytes_held,
        }))
    }

    /// Counts a call that is dispatched.
    fn count(&mut self, call: &Call, spec: &'static CallSpec, in_flight_call: &InFlight) {
        let (counts, early) = (&mut self.counts, in_flight_call.early);
        counts.dispatched += 1;
        counts.early += u64::from(early);
        counts.chosen +=
            u64::from(!early && self.options.selection.is_requested(&in_flight_call.operands));
        if spec.ret == Ret::Bytes && call.ret > 0 {
            counts.moved_bytes += call.ret as u64;
        }
        if self.options.timing {
            let took = call.exited.unwrap_or(call.entered).saturating_sub(call.entered);
            counts.times.record(spec.name, took);
        }
    }

    /// Returns the call with the mode bits removed that would let others act as the file's owner.
    /// Returns `None` if there are none, or others cannot reach the root.
    #[inline]
    fn withheld(&self, call: &Arc<Call>, spec: &CallSpec) -> Option<Withheld> {
        if spec.uses.mode_args == 0 || !self.shared.context.rules.withhold {
            return None;
        }
        let reduced = withheld(call, spec)?;
        self.shared.withheld.fetch_add(u64::from(reduced.counts), Relaxed);
        Some(reduced)
    }
}
