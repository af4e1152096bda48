//! Hands jobs to executors. The number and the size of pending jobs are bounded.

use super::{Dispatched, Dispatcher};
use crate::Error;
use crate::execute::{Dependency, Due, Job, JobExtras, Work};
use crate::issue::RealFd;
use model::processes::Descriptor;
use std::sync::Arc;

/// The share of the memory that the recorded bytes of dispatched calls may take; the reader's
/// segments take the most of the rest.
const MEMORY_SHARE: u64 = 8;

impl Dispatcher<'_> {
    /// Releases descriptors once the calls below `after` are done; those without another owner are
    /// closed then.
    pub(super) fn release(
        &mut self,
        tid: u32,
        mut closed: Vec<Arc<Descriptor<RealFd>>>,
        after: u64,
    ) -> Result<(), Error> {
        closed.retain(|d| d.file.is_stored());
        if closed.is_empty() {
            return Ok(());
        }
        let after = if self.options.order.waits_for_single_calls() { 0 } else { after };
        let dependencies =
            self.order.last_call(tid).map(|last| self.dependency(last)).into_iter().collect();
        let dispatched = Dispatched { seq: 0, thread: tid, lane: tid, call: "exit", executor: 0 };
        self.dispatch(dispatched, after, dependencies, None, Due::Now, Work::Release(closed))
    }

    /// Returns the dependency on call `number`, which may not be done yet.
    pub(super) fn dependency(&self, number: u64) -> Dependency {
        (self.dispatched[self.shared.completion.index(number)].executor, number)
    }

    /// Returns the number of the oldest call that is not done.
    pub(super) fn first_pending(&mut self) -> u64 {
        self.first_pending = self.shared.completion.first_pending(self.number - self.pool.queued());
        self.first_pending
    }

    /// Dispatches the next job. It waits for all calls below `after`, for the calls in
    /// `dependencies`, and until it is due. `follows` is the operation behind which it was linked.
    pub(super) fn dispatch(
        &mut self,
        dispatched: Dispatched,
        after: u64,
        mut dependencies: Vec<Dependency>,
        follows: Option<u64>,
        due: Due,
        work: Work,
    ) -> Result<(), Error> {
        let (thread, tid, number) = (dispatched.thread, dispatched.lane, self.number);
        self.wait_for_room()?;
        let executor = self.pool.executor_of(tid)?;
        self.dispatched[self.shared.completion.index(number)] =
            Dispatched { executor: executor as u16, ..dispatched };
        // Its own executor does those first anyway, unless it performs several calls at once.
        if !self.pool.is_ring(executor) {
            dependencies.retain(|(of, _)| usize::from(*of) != executor);
        }
        let extras = (due != Due::Now || !dependencies.is_empty())
            .then(|| Box::new(JobExtras { dependencies, follows, due, credentials: None }));
        let job = Job { number, after, extras, tid, work };
        self.bytes_held += job.bytes();
        self.number += 1;
        self.order.dispatched(tid, number);
        let credentials = self.processes.credentials(thread);
        self.pool
            .send(executor, job, credentials, |credentials| self.traversed.open_for(credentials));
        Ok(())
    }

    /// Waits until one more job may be dispatched: the number of calls and the bytes in memory are
    /// limited.
    fn wait_for_room(&mut self) -> Result<(), Error> {
        let (number, window) = (self.number, self.shared.completion.window());
        // A dispatcher that has to wait waits until there is room for many jobs, so that it is not
        // woken for each.
        if number - self.first_pending >= window && number - self.first_pending() >= window {
            self.start_executors();
            self.wait(number - window / 2)?;
        }
        while self.shared.has_begun()
            && self.bytes_held - self.bytes_freed > self.options.memory / MEMORY_SHARE
        {
            self.bytes_freed = self.shared.completion.bytes_freed();
            let in_flight = number - self.first_pending();
            if self.bytes_held - self.bytes_freed <= self.options.memory / MEMORY_SHARE
                || in_flight == 0
            {
                break;
            }
            self.wait(number - in_flight / 2)?;
        }
        Ok(())
    }
}
