//! A thread that performs the operations of a recorded ring of io_uring, or of a recorded context
//! of libaio, by a ring or a context of its own: as many at once as were under way at once.
//!
//! Its jobs are those of several lanes. The next job of each lane begins once all that it waits for
//! is done, so that jobs do not begin in the order of their numbers. What is published is how far
//! the oldest job is that is not done. Since jobs wait only for jobs with smaller numbers, whoever
//! waits for more than it must (for all jobs of a ring below a number) cannot be in a circle.

mod chain;
mod files;
mod lane;
mod start;

pub(crate) use start::{RingStart, refused};

use super::clock::Due;
use super::completion::Dependency;
use super::executor::Executor;
use super::job::{Job, Work};
use super::shared::Shared;
use crate::issue::prepared::Submission;
use crate::issue::ring::Ring;
use crate::report::RingCounts;
use ahash::HashMap;
use crossbeam_channel::{Receiver, Sender};
use files::Files;
use lane::{Lane, UnderWay};
use rustix::io::Errno;
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

/// Whether a job may begin.
enum Readiness {
    Ready,
    /// Not before this time.
    Due(Instant),
    /// It waits for others.
    Blocked,
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
                self.take_completions(shared);
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

    /// Begins all jobs that may begin. Returns when the next one is due, if one only waits for that.
    fn begin_ready(&mut self, shared: &Shared) -> Option<Instant> {
        loop {
            let (mut performed, mut next_due) = (false, None::<Instant>);
            for lane in 0..self.lanes.len() {
                while let Some(position) = self.lanes[lane].next() {
                    match self.readiness(shared, lane, position) {
                        Readiness::Ready => {
                            self.lanes[lane].waiting.pop_front();
                            performed |= self.begin(shared, lane, position);
                        }
                        Readiness::Due(at) => {
                            next_due = Some(next_due.map_or(at, |due| due.min(at)));
                            break;
                        }
                        Readiness::Blocked => break,
                    }
                }
            }
            // What was performed at once may be what others wait for.
            if !performed || shared.completion.is_aborted() {
                return next_due;
            }
        }
    }

    /// Returns whether the job at `position`, the next of its lane, may begin.
    fn readiness(&mut self, shared: &Shared, lane: usize, position: u64) -> Readiness {
        let job = &self.pending[(position - self.first) as usize].job;
        if self.ring.as_ref().is_some_and(|ring| !ring.has_room()) {
            return Readiness::Blocked;
        }
        if let Some(changing) = self.changing_user.front()
            && (job.number > *changing || job.number == *changing && position > self.first)
        {
            return Readiness::Blocked;
        }
        if job.after > self.base.done_below {
            if !shared.completion.is_done_below(job.after) {
                return Readiness::Blocked;
            }
            self.base.done_below = job.after;
        }
        let Some(extras) = &job.extras else { return Readiness::Ready };
        if !extras.dependencies.iter().all(|other| self.is_done(shared, *other)) {
            return Readiness::Blocked;
        }
        let lane = &mut self.lanes[lane];
        match lane.due_at(extras.due, shared) {
            Some(at) if at > Instant::now() && !shared.stopping() => {
                lane.is_early = true;
                Readiness::Due(at)
            }
            _ => Readiness::Ready,
        }
    }

    /// Returns whether a job is done, of this executor or of another one.
    fn is_done(&self, shared: &Shared, dependency: Dependency) -> bool {
        let (executor, number) = dependency;
        if usize::from(executor) != self.base.index {
            return shared.completion.is_done(dependency);
        }
        let found = self.pending.binary_search_by_key(&number, |pending| pending.job.number);
        found.map_or(true, |at| self.pending[at].is_done)
    }

    /// Begins a job: adds it to what is submitted next, or performs it. Returns whether it is done.
    fn begin(&mut self, shared: &Shared, lane: usize, position: u64) -> bool {
        let job = &mut self.pending[(position - self.first) as usize].job;
        let due = job.due();
        let was_early = std::mem::take(&mut self.lanes[lane].is_early);
        if (was_early || matches!(due, Due::At(_)))
            && let Some(at) = self.lanes[lane].due_at(due, shared)
        {
            self.base.clock.note_lateness(at);
        }
        if self.changing_user.pop_front_if(|number| *number == job.number).is_some()
            && let Some(extras) = &job.extras
            && let Some(credentials) = &extras.credentials
        {
            crate::issue::raw::set_credentials(credentials);
        }
        match self.translate(shared, lane, position) {
            Some(submission) => {
                self.add(shared, lane, position, submission);
                false
            }
            None => {
                self.perform(shared, lane, position);
                true
            }
        }
    }

    /// Translates an operation with the scratch memory of its lane. Returns `None` if a call
    /// performs the job.
    fn translate(&mut self, shared: &Shared, lane: usize, position: u64) -> Option<Submission> {
        let job = &mut self.pending[(position - self.first) as usize].job;
        let (Work::Call(call), Some(ring)) = (&mut job.work, &mut self.ring) else { return None };
        if shared.stopping() {
            return None;
        }
        let (thread, index) = (&mut self.base.thread, lane);
        let lane = &mut self.lanes[lane];
        std::mem::swap(&mut thread.scratch, &mut lane.scratch);
        let fd = call.descriptor.as_ref().map_or(-1, |descriptor| descriptor.real.get());
        let mut submission = call.submission(fd, thread).filter(|s| ring.supports(&s.entry));
        match &mut submission {
            Some(Submission { entry, .. }) if entry.is_of_table() => {
                let slot = call.file().and_then(|file| self.files.slot(ring, file));
                slot.into_iter().for_each(|slot| entry.set_slot(slot));
            }
            Some(_) => {}
            None => thread.scratch.clear(),
        }
        std::mem::swap(&mut thread.scratch, &mut lane.scratch);
        if let Some(submission) = &mut submission
            && call.has_one_buffer()
        {
            lane.take_buffer(ring, index, &mut submission.entry);
        }
        submission
    }

    /// Adds an operation to what is submitted next, and those that were linked behind it, as far as
    /// they can begin with it.
    fn add(
        &mut self,
        shared: &Shared,
        mut lane: usize,
        mut position: u64,
        mut submission: Submission,
    ) {
        self.chain.clear();
        loop {
            self.chain.push(self.pending[(position - self.first) as usize].job.number);
            let next = self.linked(shared, position, &submission.entry).and_then(|next| {
                let translated = self.translate(shared, next.0, next.1)?;
                Some((next, translated))
            });
            let Some(ring) = &mut self.ring else { return };
            match &next {
                Some(_) if self.chain.len() == 1 => ring.make_room_for_chain(chain::LONGEST),
                _ => {}
            }
            let entry =
                if next.is_some() { submission.entry.with_link() } else { submission.entry };
            ring.add(&entry, lane as u32);
            self.counts.add(ring.under_way());
            let submitted = shared.options.timing.then(Instant::now);
            self.lanes[lane].under_way = Some(UnderWay { position, submission, submitted });
            let Some((following, translated)) = next else { return };
            ((lane, position), submission) = (following, translated);
            self.lanes[lane].waiting.pop_front();
        }
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

    /// Submits what was added, waits for completions, and takes them.
    fn take_completions(&mut self, shared: &Shared) {
        let mut taken = false;
        if let Some(ring) = &mut self.ring {
            ring.enter(self.patience);
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
            let again =
                [Errno::AGAIN, Errno::INTR, Errno::CANCELED].map(crate::issue::raw::result_of);
            let result = if again.contains(&got) && got != call.expected.ret {
                // The ring may say so where a call waits, or where an operation before it failed.
                base.thread.scratch.clear();
                let fd = base.descriptor.as_ref().map_or(-1, |descriptor| descriptor.real.get());
                call.perform(base.descriptor.is_some(), fd, &mut base.thread)
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

#[cfg(test)]
mod tests;
