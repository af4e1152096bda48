//! The dispatcher waits for the executors, tells how far it is, and hears whether it is to end.

use super::{Dispatcher, Flying};
use crate::Error;
use std::path::Path;
use std::sync::atomic::Ordering::Relaxed;
use std::time::{Duration, Instant};

/// So often it tells how far it is while it waits.
const TICK: Duration = Duration::from_millis(250);

impl Dispatcher<'_> {
    /// Does what others did before this call, when all that was dispatched is done.
    #[cold]
    pub(super) fn others(&mut self, seq: u64) -> Result<(), Error> {
        self.open_gate();
        self.wait(self.number)?;
        self.outside.happen(seq, Path::new("/"))
    }

    /// Lets the executors begin, if they have not: everything is dispatched, or no more can be.
    pub(super) fn open_gate(&mut self) {
        if !self.shared.is_open() {
            self.shared.open.store(true, Relaxed);
            self.tally.begun = Some(Instant::now());
            self.pool.wake();
        }
    }

    /// Tells how many calls are done. Of what is on its way a part of the bytes has been moved.
    pub(super) fn tell(&mut self) {
        let skipped: u64 = self.tally.skipped_by.values().sum();
        let (sent, waiting) = (self.tally.dispatched, self.number - self.reached());
        let done = if self.shared.is_open() { sent.saturating_sub(waiting) } else { 0 };
        let moved = self.tally.moved as f64 * done as f64 / sent.max(1) as f64;
        self.progress.calls(skipped + done, moved as u64);
    }

    /// Hears whether the user wants the replay to end.
    pub(super) fn hear(&self) {
        if self.progress.is_unwanted() {
            self.shared.stop.store(true, Relaxed);
        }
    }

    /// Waits until all calls below `number` are done, unless nothing moves any more.
    pub(super) fn wait(&mut self, number: u64) -> Result<(), Error> {
        self.pool.hand_over();
        let mut last = (self.reached(), Instant::now());
        while !self.shared.frontier.wait_for(number, Some(Instant::now() + TICK)) {
            let reached = self.reached();
            self.tell();
            self.hear();
            if reached != last.0 || self.options.is_paced() {
                last = (reached, Instant::now());
            } else if last.1.elapsed() >= self.options.patience {
                let Flying { seq, tid, call, .. } = self.flying[self.shared.frontier.slot(reached)];
                return Err(Error::Stuck { seq, call, tid, waited_s: last.1.elapsed().as_secs() });
            }
        }
        self.reached();
        self.check()
    }

    pub(super) fn check(&self) -> Result<(), Error> {
        match &*self.shared.broken.lock().unwrap_or_else(std::sync::PoisonError::into_inner) {
            Some(why) => Err(Error::Inside(why.clone())),
            None => Ok(()),
        }
    }
}
