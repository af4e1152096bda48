//! Which jobs of a ring may begin, and how they do.

use super::lane::UnderWay;
use super::{RingExecutor, chain};
use crate::execute::clock::Due;
use crate::execute::completion::Dependency;
use crate::execute::job::Work;
use crate::execute::shared::Shared;
use crate::issue::prepared::Submission;
use crate::issue::raw;
use std::time::Instant;

/// Whether a job may begin.
enum Readiness {
    Ready,
    /// Not before this time.
    Due(Instant),
    /// It waits for others.
    Blocked,
}

impl RingExecutor {
    /// Begins all jobs that may begin. Returns when the next one is due, if one only waits for
    /// that.
    pub(super) fn begin_ready(&mut self, shared: &Shared) -> Option<Instant> {
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
    pub(super) fn is_done(&self, shared: &Shared, dependency: Dependency) -> bool {
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
            raw::set_credentials(credentials);
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
}
