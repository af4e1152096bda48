//! How operations of a ring complete.

use super::lane::UnderWay;
use super::{LONGEST, RingExecutor, SHORTEST};
use crate::execute::clock::Due;
use crate::execute::job::Work;
use crate::execute::shared::Shared;
use crate::issue::raw;
use crate::issue::ring::Ring;
use rustix::io::Errno;
use std::time::Instant;

/// What a ring may say where a call says something else: it does not wait, an operation before it
/// failed, or this kernel's rings cannot do it.
const OF_RING: [Errno; 5] =
    [Errno::AGAIN, Errno::INTR, Errno::CANCELED, Errno::INVAL, Errno::OPNOTSUPP];

impl RingExecutor {
    /// Submits what was added, waits for completions, but not until after the next job is due, and
    /// takes them.
    pub(super) fn take_completions(&mut self, shared: &Shared, next_due: Option<Instant>) {
        let mut taken = false;
        if let Some(ring) = &mut self.ring {
            let left = next_due.map(|due| due.saturating_duration_since(Instant::now()));
            ring.enter(left.map_or(self.patience, |left| left.min(self.patience)));
        }
        while let Some((lane, got)) = self.ring.as_mut().and_then(Ring::take) {
            taken = true;
            self.complete(shared, lane as usize, got);
        }
        self.patience = if taken { SHORTEST } else { (self.patience * 2).min(LONGEST) };
    }

    /// Compares the result of an operation that has completed.
    fn complete(&mut self, shared: &Shared, lane: usize, got: i64) {
        let Some(lane) = self.lanes.get_mut(lane) else { return };
        let Some(UnderWay { position, submission, submitted }) = lane.under_way.take() else {
            return;
        };
        let job = &mut self.pending[(position - self.first) as usize].job;
        let bytes = job.bytes();
        if let Work::Call(call) = &mut job.work {
            let base = &mut self.base;
            std::mem::swap(&mut base.thread.scratch, &mut lane.scratch);
            base.descriptor = call.descriptor.take();
            let of_ring = OF_RING.map(raw::result_of);
            let result = if of_ring.contains(&got) && got != call.expected.ret {
                base.thread.scratch.clear();
                let fd = base.descriptor.as_ref().map_or(-1, |descriptor| descriptor.real.get());
                let result = call.perform(base.descriptor.is_some(), fd, &mut base.thread);
                // It is part of the time that the operation took.
                raw::take_elapsed();
                result
            } else {
                call.completed(&submission, got, &base.thread)
            };
            if let Some(submitted) = submitted {
                let took = submitted.elapsed().as_nanos();
                let name = call.expected.spec.name;
                base.times.record(name, u64::try_from(took).unwrap_or(u64::MAX));
            }
            base.finish_call(shared, job.number, job.tid, call, result);
            call.let_go();
            base.descriptor = None;
            std::mem::swap(&mut base.thread.scratch, &mut lane.scratch);
        }
        if matches!(job.due(), Due::After(_)) {
            lane.ended = Some(Instant::now());
        }
        self.finish(shared, position, bytes);
    }
}
