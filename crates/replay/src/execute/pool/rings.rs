//! The executors of rings of io_uring and contexts of libaio.

use super::{ExecutorHandle, Pool, STACK_SIZE, no_thread};
use crate::Error;
use crate::execute::completion::MAX_EXECUTORS;
use crate::execute::ring::RingStart;
use crate::issue::ring::RingSpec;
use crossbeam_channel::unbounded;

/// The largest number of rings of io_uring and contexts of libaio. Beyond it, recorded ones share
/// one.
const MAX_RINGS: usize = 32;

impl Pool {
    /// Returns whether an executor performs the operations of a ring, so that its jobs need not
    /// begin in the order of their numbers.
    pub fn is_ring(&self, executor: usize) -> bool {
        self.executors[executor].is_ring
    }

    /// Makes an executor perform what belongs to `lane`.
    pub fn assign(&mut self, lane: u32, executor: usize) {
        self.by_thread.insert(lane, executor);
    }

    /// Starts the executor of a ring, or returns that of another one if there are too many. With
    /// its number returns what an executor of thread `tid` must start, as descriptors are in a
    /// table of its own.
    pub fn start_ring(
        &mut self,
        spec: RingSpec,
        tid: u32,
    ) -> Result<(usize, Option<Box<RingStart>>), Error> {
        if self.rings.len() >= MAX_RINGS || self.executors.len() >= MAX_EXECUTORS {
            let shared = self.rings.get(self.executors.len() % self.rings.len().max(1)).copied();
            return Ok((shared.map_or_else(|| self.executor_of(tid), Ok)?, None));
        }
        if self.shared.single_executor {
            self.executor_of(tid)?;
        }
        let index = self.executors.len();
        self.shared.completion.add_executor(index);
        let (sender, jobs) = unbounded();
        let (shared, returned) = (self.shared.clone(), self.returned_sender.clone());
        let start = RingStart { shared, index, spec, jobs, returned };
        let (thread, start) = if self.shared.single_executor {
            (None, Some(Box::new(start)))
        } else {
            (Some(start.spawn(STACK_SIZE).map_err(no_thread)?), None)
        };
        self.executors.push(ExecutorHandle::new(sender, true, thread));
        self.rings.push(index);
        Ok((index, start))
    }
}
