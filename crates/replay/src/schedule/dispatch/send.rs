//! Hands jobs to executors. What is on its way is bounded.

use super::{Dispatcher, Flying};
use crate::Error;
use crate::execute::{Due, Job, Need, Rare, Work};
use crate::issue::Real;
use model::world::Descriptor;
use std::sync::Arc;

/// The share of the memory that the recorded bytes of dispatched calls may take; the reader's
/// segments take the most of the rest.
const SHARE: u64 = 8;

impl Dispatcher<'_> {
    /// Lets descriptors go after the calls that were done `after` them; those that nobody else
    /// holds are closed then.
    pub(super) fn release(
        &mut self,
        tid: u32,
        mut gone: Vec<Arc<Descriptor<Real>>>,
        after: u64,
    ) -> Result<(), Error> {
        gone.retain(|d| d.file.is_stored());
        if gone.is_empty() {
            return Ok(());
        }
        let after = if self.options.order.waits_for_single_calls() { 0 } else { after };
        let needs = self.builder.last(tid).map(|last| self.need(last)).into_iter().collect();
        let flying = Flying { seq: 0, tid, call: "exit", lane: 0 };
        self.dispatch(flying, after, needs, Due::Now, Work::Release(gone))
    }

    /// A call that may not be done yet: which one of which executor.
    pub(super) fn need(&self, number: u64) -> Need {
        (self.flying[self.shared.frontier.slot(number)].lane, number)
    }

    /// All calls below this number are done, and the one with it is not.
    pub(super) fn reached(&mut self) -> u64 {
        self.reached = self.shared.frontier.reached(self.number - self.pool.waiting());
        self.reached
    }

    /// Sends the next job on its way: it comes after all calls before one and after single ones,
    /// and is due at some time.
    pub(super) fn dispatch(
        &mut self,
        flying: Flying,
        after: u64,
        mut needs: Vec<Need>,
        due: Due,
        work: Work,
    ) -> Result<(), Error> {
        let (tid, number) = (flying.tid, self.number);
        self.make_room()?;
        let lane = self.pool.lane(tid)?;
        self.flying[self.shared.frontier.slot(number)] = Flying { lane: lane as u16, ..flying };
        // Its own executor does those first anyway.
        needs.retain(|(of, _)| usize::from(*of) != lane);
        let rare = (due != Due::Now || !needs.is_empty())
            .then(|| Box::new(Rare { needs, due, who: None }));
        let job = Job { number, after, rare, tid, work };
        self.held += job.bytes();
        self.number += 1;
        self.builder.dispatched(tid, number);
        let who = self.world.credentials(tid);
        self.pool.send(lane, job, who, |who| self.passages.open_for(who));
        Ok(())
    }

    /// Waits until one more job may be on its way.
    fn make_room(&mut self) -> Result<(), Error> {
        let (number, window) = (self.number, self.shared.frontier.window());
        // Who had to wait waits until there is room for many, so that nobody is woken for each.
        if number - self.reached >= window && number - self.reached() >= window {
            self.open_gate();
            self.wait(number - window / 2)?;
        }
        while self.shared.is_open() && self.held - self.freed > self.options.memory / SHARE {
            self.freed = self.shared.frontier.freed();
            let in_flight = number - self.reached();
            if self.held - self.freed <= self.options.memory / SHARE || in_flight == 0 {
                break;
            }
            self.wait(number - in_flight / 2)?;
        }
        Ok(())
    }
}
