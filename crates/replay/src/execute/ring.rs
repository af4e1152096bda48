//! A thread that performs the operations of a recorded ring of io_uring, or of a recorded context
//! of libaio, by a ring or a context of its own: as many at once as were under way at once.
//!
//! Its jobs are those of several lanes. The next job of each lane begins once all that it waits for
//! is done, so that jobs do not begin in the order of their numbers. What is published is how far
//! the oldest job is that is not done. Since jobs wait only for jobs with smaller numbers, whoever
//! waits for more than it must (for all jobs of a ring below a number) cannot be in a circle.

mod begin;
mod chain;
mod complete;
mod files;
mod lane;
mod start;

pub(crate) use start::{RingStart, refused};

use super::clock::Due;
use super::executor::Executor;
use super::job::{Job, Work};
use super::shared::Shared;
use crate::issue::ring::Ring;
use crate::report::RingCounts;
use ahash::HashMap;
use crossbeam_channel::{Receiver, Sender};
use files::Files;
use lane::Lane;
use std::collections::VecDeque;
use std::time::{Duration, Instant};

/// How long a thread waits for a completion before it looks whether other jobs may begin: first,
/// and at most. It doubles while nothing happens.
const SHORTEST: Duration = Duration::from_micros(50);
const LONGEST: Duration = Duration::from_millis(1);
/// Jobs that are returned at once.
const RETURNED: usize = 64;

/// A job, from its arrival until it and all before it are done.
struct Pending {
    job: Job,
    is_done: bool,
    /// The position of the operation that was linked behind it, if that is here.
    next: Option<u64>,
}

pub(crate) struct RingExecutor {
    /// The first field, so that it is dropped first: that waits for what is under way, which uses
    /// the memory of what follows. `None`: the kernel refused it, and calls are made.
    ring: Option<Ring>,
    /// Its table of files.
    files: Files,
    lanes: Vec<Lane>,
    /// The index of each lane, by its number.
    lane_of: HashMap<u32, usize>,
    /// Jobs that are not done, and those after them, in the order of their numbers.
    pending: VecDeque<Pending>,
    /// How many jobs came before those.
    first: u64,
    /// The numbers of jobs before which the thread becomes another user. Nothing is under way then.
    changing_user: VecDeque<u64>,
    /// The numbers of linked operations that are being added.
    chain: Vec<u64>,
    base: Executor,
    done: Vec<Job>,
    returned: Sender<Vec<Job>>,
    patience: Duration,
    counts: RingCounts,
}

impl RingExecutor {
    /// Performs jobs until their sender is gone or the replay is aborted.
    fn run(&mut self, shared: &Shared, jobs: &Receiver<Vec<Job>>) -> Result<(), String> {
        loop {
            if self.pending.is_empty() {
                if let Some(ring) = &mut self.ring {
                    self.files.remove_closed(ring);
                }
                match jobs.recv() {
                    Ok(batch) => self.accept(shared, batch)?,
                    Err(_) => return Ok(()),
                }
            }
            while let Ok(batch) = jobs.try_recv() {
                self.accept(shared, batch)?;
            }
            let next_due = self.begin_ready(shared);
            if shared.completion.is_aborted() {
                return Ok(());
            }
            if self.ring.as_ref().is_some_and(|ring| ring.under_way() > 0) {
                self.take_completions(shared, next_due);
            } else if let Some(oldest) = self.pending.front() {
                self.wait(shared, &oldest.job, next_due);
            }
        }
    }

    /// Adds jobs to the queues of their lanes.
    fn accept(&mut self, shared: &Shared, mut batch: Vec<Job>) -> Result<(), String> {
        if let Some(first) = batch.first().filter(|_| self.pending.is_empty()) {
            shared.completion.advance(self.base.index, first.number, 0);
        }
        for job in batch.drain(..) {
            let position = self.first + self.pending.len() as u64;
            let next = self.lanes.len();
            let lane = *self.lane_of.entry(job.tid).or_insert(next);
            if lane == next {
                self.lanes.push(Lane::new()?);
            }
            self.lanes[lane].waiting.push_back(position);
            let credentials = job.extras.as_ref().and_then(|extras| extras.credentials.as_ref());
            if credentials.is_some() && shared.privileges.any_user {
                self.changing_user.push_back(job.number);
            }
            if let Some(before) = job.extras.as_ref().and_then(|extras| extras.follows)
                && let Ok(at) = self.pending.binary_search_by_key(&before, |p| p.job.number)
            {
                self.pending[at].next = Some(position);
            }
            self.pending.push_back(Pending { job, is_done: false, next: None });
        }
        if self.done.capacity() == 0 {
            self.done = batch;
        }
        Ok(())
    }

    /// Performs a job by a call.
    fn perform(&mut self, shared: &Shared, lane: usize, position: u64) {
        let job = &mut self.pending[(position - self.first) as usize].job;
        let bytes = job.bytes();
        match &mut job.work {
            Work::Call(call) => {
                if let Some(result) = self.base.call(shared, call) {
                    self.base.finish_call(shared, job.number, job.tid, call, result);
                }
                call.let_go();
                self.base.descriptor = None;
            }
            Work::Release(released) => released.clear(),
            Work::StartRing(_) => {}
        }
        if matches!(job.due(), Due::After(_)) {
            self.lanes[lane].ended = Some(Instant::now());
        }
        self.finish(shared, position, bytes);
    }

    /// Notes that a job is done, and publishes how far the oldest is that is not.
    fn finish(&mut self, shared: &Shared, position: u64, bytes: u64) {
        self.pending[(position - self.first) as usize].is_done = true;
        let mut next = self.pending.front().map_or(0, |oldest| oldest.job.number);
        while let Some(Pending { job, .. }) = self.pending.pop_front_if(|oldest| oldest.is_done) {
            next = self.pending.front().map_or(job.number + 1, |oldest| oldest.job.number);
            self.first += 1;
            self.done.push(job);
        }
        shared.completion.advance(self.base.index, next, bytes);
        if self.done.len() >= RETURNED {
            let _ended = self.returned.send(std::mem::take(&mut self.done));
        }
        if self.pending.is_empty() {
            shared.completion.idle(self.base.index);
        }
    }

    /// Waits for what the oldest job waits for, while nothing is under way, or until the next job
    /// is due. Not for long: other jobs may come, or become ready.
    fn wait(&self, shared: &Shared, oldest: &Job, next_due: Option<Instant>) {
        let end = Instant::now() + LONGEST;
        if let Some(due) = next_due {
            std::thread::sleep(due.min(end).saturating_duration_since(Instant::now()));
            return;
        }
        let completion = &shared.completion;
        completion.wait_below_until(oldest.after, Some(end));
        let extras = oldest.extras.iter().flat_map(|extras| &extras.dependencies);
        for other in extras.filter(|(executor, _)| usize::from(*executor) != self.base.index) {
            completion.wait_for_call_until(*other, end);
        }
    }
}
