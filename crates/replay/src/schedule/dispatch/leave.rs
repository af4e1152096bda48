//! A call returns: whether it is performed, after which others, and how.

use super::{Dispatcher, Flying};
use crate::Error;
use crate::execute::{Due, Work};
use crate::issue::call::Handled;
use crate::issue::refusal::is_unclear;
use crate::issue::withhold::{Withheld, withheld};
use crate::issue::{Prepared, raw};
use crate::schedule::decide::{DEVICE, decide};
use crate::schedule::order::{At, Leaving, Open};
use crate::verify::Expected;
use abi::{Class, Replay, Ret, Shape};
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use trace::Call;

/// Calls remembered that found what calls changed which were left out.
const EXPLAINED: usize = 1 << 20;

impl Dispatcher<'_> {
    pub(super) fn leave(&mut self, place: usize, call: Arc<Call>) -> Result<(), Error> {
        let Some(mut open) = self.builder.close(place) else { return Ok(()) };
        if self.outside.concerns(call.seq) {
            self.others(call.seq)?;
        }
        self.pacer.returned(&call);
        self.follow(&call, &mut open)?;
        match self.chooses(&call, &open) {
            Some(shape) => self.issue(call, shape, &mut open),
            None => {
                let closed = std::mem::take(&mut open.bound.closed);
                self.release(call.tid, closed, open.overlapped)
            }
        }
    }

    /// Moves the world on.
    fn follow(&mut self, call: &Call, open: &mut Open) -> Result<(), Error> {
        let Open { bound, others, .. } = open;
        if call.shape().is_some_and(|s| s.replay == Replay::Skip(Class::Mounts)) {
            // Where its paths lead may depend on links that calls before it make.
            if self.shared.is_open() {
                self.wait(self.number)?;
            }
            self.world.leave_with(call, bound, &mut raw::read_link);
        } else {
            self.world.leave(call, bound);
        }
        self.builder.reinterpret(&self.world, bound);
        for (i, d) in others.iter().filter(|_| call.succeeded()) {
            if bound.fds[*i].is_none() {
                (bound.fds[*i], bound.status[*i]) = (Some(d.clone()), d.file.status());
            }
        }
        others.retain(|(i, d)| {
            bound.fds[*i].as_ref().is_some_and(|meant| !Arc::ptr_eq(meant, d) && d.file.is_stored())
        });
        // What is read from files that can change from now on without a call cannot be compared.
        let changed = self.unrecorded.returned(&self.world, call, bound);
        self.mapped.extend(changed.into_iter().map(|(file, _)| file.inode.key));
        Ok(())
    }

    /// The shape of a call that is performed; counts one that is not, with its reason.
    fn chooses(&mut self, call: &Call, open: &Open) -> Option<&'static Shape> {
        let bound = &open.bound;
        if let Some(why) = self.options.selection.why_not(call, bound) {
            if let Some(shape) = call.shape() {
                self.left_out.note(call, shape, bound);
            }
            self.skip(why);
            return None;
        }
        // Nobody knows where it was, and what its descriptors meant.
        let stranger =
            self.shared.torn && !self.known.is_empty() && !self.known.contains(&call.tid);
        let why = match decide(call, bound, &self.shared) {
            Ok(_) if stranger => "start of its thread lost",
            Ok(_) if call.is_after(self.shared.complete_until) => "after lost calls",
            Ok(shape) => return Some(shape),
            Err(why) => why,
        };
        self.skip(why);
        self.shared.left_out(call, bound, why);
        bound.opened.iter().for_each(|(_, d)| d.real.leave_out(why));
        if let Some(directory) = &bound.directory {
            directory.real.leave_out(why);
        }
        if let (DEVICE, Some(shape)) = (why, call.shape()) {
            self.left_out.note(call, shape, bound);
        }
        None
    }

    /// Hands a call to its executor.
    fn issue(
        &mut self,
        call: Arc<Call>,
        shape: &'static Shape,
        open: &mut Open,
    ) -> Result<(), Error> {
        let (call, whole_mode) = match self.withheld(&call, shape) {
            Some(less) => (less.call, less.mode),
            None => (call, None),
        };
        let (number, tid, early) = (self.number, call.tid, open.early);
        let reached =
            if self.options.order.waits_for_single_calls() { self.reached() } else { self.reached };
        let (flying, frontier) = (&self.flying, &self.shared.frontier);
        let thread = &|number| flying[frontier.slot(number)].tid;
        let edges = self.builder.leave(
            &self.world,
            &At { number, reached, thread },
            &Leaving { call: &call, shape, open },
        );
        let bound = &open.bound;
        bound.opened.iter().for_each(|(_, d)| d.real.opened_by(number));
        if let Some(directory) = &bound.directory {
            directory.real.opened_by(number);
        }
        let mapped = !self.mapped.is_empty()
            && bound.fds.iter().flatten().any(|d| self.mapped.contains(&d.file.inode.key));
        if self.left_out.explains(bound) && self.tally.explained.len() < EXPLAINED {
            self.tally.explained.insert(number);
        }
        let due = if early {
            Due::Now
        } else {
            self.pacer.due(&call, self.tally.recorded.map_or(0, |(first, _)| first))
        };
        self.count(&call, shape, open);
        let flying = Flying { seq: call.seq, tid, call: shape.name, lane: 0 };
        let expected = Expected { ret: call.ret, shape, mapped };
        let work = Work::Call(self.prepare(call, expected, open, whole_mode, edges.disturbed)?);
        let needs = edges.needs.into_iter().map(|number| self.need(number)).collect();
        self.dispatch(flying, edges.after, needs, due, work)
    }

    /// A call as its executor gets it.
    #[inline]
    fn prepare(
        &mut self,
        call: Arc<Call>,
        expected: Expected,
        open: &mut Open,
        whole_mode: Option<u32>,
        disturbed: bool,
    ) -> Result<Prepared, Error> {
        let Open { bound, others, early, .. } = open;
        let early = *early;
        let Expected { shape, mapped, .. } = expected;
        let whole = self.leaves_out
            || !others.is_empty()
            || whole_mode.is_some()
            || is_unclear(&call, shape);
        let translated = if whole {
            None
        } else {
            Prepared::translated(&call, expected, bound, early, self.options.verify)
        };
        if let Some(mut prepared) = translated {
            let lane = self.pool.lane(call.tid)?;
            if let Some(place) = prepared.place() {
                *place = self.pool.place(lane, bound);
            }
            return Ok(prepared);
        }
        let bytes = call.payloads.iter().map(|p| p.bytes.len() as u64).sum();
        Ok(Prepared::handled(Handled {
            call,
            shape,
            bound: std::mem::take(bound),
            others: std::mem::take(others),
            disturbed,
            mapped,
            early,
            whole_mode,
            bytes,
        }))
    }

    /// Counts a call that is dispatched.
    fn count(&mut self, call: &Call, shape: &'static Shape, open: &Open) {
        let (tally, early) = (&mut self.tally, open.early);
        tally.dispatched += 1;
        tally.early += u64::from(early);
        tally.chosen += u64::from(!early && self.options.selection.names(&open.bound));
        if shape.ret == Ret::Bytes && call.ret > 0 {
            tally.moved += call.ret as u64;
        }
        if self.options.timing {
            let took = call.left.unwrap_or(call.entered).saturating_sub(call.entered);
            tally.times.enter(shape.name, took);
        }
    }

    /// The call as it is issued, where others can reach the root and it would set what lets them
    /// act as its owner.
    #[inline]
    fn withheld(&self, call: &Arc<Call>, shape: &Shape) -> Option<Withheld> {
        if shape.uses.modes == 0 || !self.shared.common.rules.withhold {
            return None;
        }
        let less = withheld(call, shape)?;
        self.shared.withheld.fetch_add(u64::from(less.counts), Relaxed);
        Some(less)
    }
}
