//! The dispatcher waits for the executors, reports its progress, and checks whether it is to end.

use super::{Dispatched, Dispatcher};
use crate::Error;
use std::path::Path;
use std::sync::atomic::Ordering::Relaxed;
use std::time::{Duration, Instant};

/// How often it reports its progress while it waits.
const TICK: Duration = Duration::from_millis(250);

impl Dispatcher<'_> {
    /// Waits for all dispatched calls, then makes the outside changes that came before this call.
    #[cold]
    pub(super) fn apply_outside_changes(&mut self, seq: u64) -> Result<(), Error> {
        self.start_executors();
        self.wait(self.number)?;
        self.outside.apply(seq, Path::new("/"))
    }

    /// Starts the executors, if they have not begun.
    pub(super) fn start_executors(&mut self) {
        if !self.shared.has_begun() {
            self.shared.may_begin.store(true, Relaxed);
            self.counts.started = Some(Instant::now());
            self.pool.wake();
        }
    }

    /// Reports how many calls are done, and an estimate of the bytes moved.
    pub(super) fn report_progress(&mut self) {
        let skipped: u64 = self.counts.skipped_by.values().sum();
        let (sent, waiting) = (self.counts.dispatched, self.number - self.first_pending());
        let finish = if self.shared.has_begun() { sent.saturating_sub(waiting) } else { 0 };
        let moved_bytes = self.counts.moved_bytes as f64 * finish as f64 / sent.max(1) as f64;
        self.progress.calls(skipped + finish, moved_bytes as u64);
    }

    /// Ends the replay if the user wants that.
    pub(super) fn check_cancelled(&self) {
        if self.progress.is_unwanted() {
            self.shared.stop.store(true, Relaxed);
        }
    }

    /// Waits until all calls below `number` are done. Fails if none is completed for a long time.
    pub(super) fn wait(&mut self, number: u64) -> Result<(), Error> {
        self.pool.hand_over();
        let mut last = (self.first_pending(), Instant::now());
        while !self.shared.completion.wait_below_until(number, Some(Instant::now() + TICK)) {
            let first_pending = self.first_pending();
            self.report_progress();
            self.check_cancelled();
            if first_pending != last.0 || self.options.is_paced() {
                last = (first_pending, Instant::now());
            } else if last.1.elapsed() >= self.options.patience {
                let Dispatched { seq, thread: tid, call, .. } =
                    self.dispatched[self.shared.completion.index(first_pending)];
                return Err(Error::Stuck { seq, call, tid, waited_s: last.1.elapsed().as_secs() });
            }
        }
        self.first_pending();
        self.check()
    }

    /// Fails if an executor ended with an internal error.
    pub(super) fn check(&self) -> Result<(), Error> {
        match &*self.shared.failure.lock().unwrap_or_else(std::sync::PoisonError::into_inner) {
            Some(why) => Err(Error::Inside(why.clone())),
            None => Ok(()),
        }
    }
}
