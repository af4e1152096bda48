//! What a ring performs one after the other.

use crate::execute::clock::Due;
use crate::execute::shared::Shared;
use crate::issue::Scratch;
use crate::issue::prepared::Submission;
use crate::issue::ring::{Entry, Ring};
use std::collections::VecDeque;
use std::time::{Duration, Instant};

/// An operation that was submitted.
pub(super) struct UnderWay {
    /// The position of its job.
    pub position: u64,
    pub submission: Submission,
    /// When it was submitted, if that is measured.
    pub submitted: Option<Instant>,
}

/// Jobs that follow each other, of which one is under way at most.
pub(super) struct Lane {
    /// The positions of its jobs that have not begun.
    pub waiting: VecDeque<u64>,
    pub under_way: Option<UnderWay>,
    /// The memory of the operation that is under way.
    pub scratch: Scratch,
    /// Whether that memory is a registered buffer of the ring, once that was tried.
    pub is_registered: Option<bool>,
    /// When its last job was done, from which the next one's time is counted.
    pub ended: Option<Instant>,
    /// Its next job had to wait until it was due.
    pub is_early: bool,
}

impl Lane {
    /// Makes a lane without jobs. Fails if there is no memory for it.
    pub fn new() -> Result<Self, String> {
        Ok(Self {
            waiting: VecDeque::new(),
            under_way: None,
            scratch: Scratch::new().ok_or("no memory for an operation")?,
            is_registered: None,
            ended: None,
            is_early: false,
        })
    }

    /// Makes an operation that took a registered buffer take one here, if its memory is in the
    /// lane's part that stays. `index` is that of the lane.
    pub fn take_buffer(&mut self, ring: &mut Ring, index: usize, entry: &mut Entry) {
        let memory = self.scratch.lasting();
        if index >= Ring::BUFFERS || !entry.may_take_buffer(&memory) {
            return;
        }
        let registered = || ring.set_buffer(index as u16, &memory).is_ok();
        if *self.is_registered.get_or_insert_with(registered) {
            entry.set_buffer(index as u16);
        }
    }

    /// Returns the position of the job that may begin next, if none is under way.
    pub fn next(&self) -> Option<u64> {
        self.waiting.front().copied().filter(|_| self.under_way.is_none())
    }

    /// Returns when a job of this lane is due, or `None` if that is at any time.
    pub fn due_at(&mut self, due: Due, shared: &Shared) -> Option<Instant> {
        match due {
            Due::Now => None,
            Due::At(ns) => {
                let started = *shared.started.get_or_init(Instant::now);
                Some(started + Duration::from_nanos(ns))
            }
            Due::After(ns) => {
                let ended = *self.ended.get_or_insert_with(Instant::now);
                Some(ended + Duration::from_nanos(ns))
            }
        }
    }
}
