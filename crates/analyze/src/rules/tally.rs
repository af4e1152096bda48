//! Calls that are counted together.

use crate::findings::evidence::Evidence;
use crate::findings::view::View;

/// A number of calls with what they moved and took.
#[derive(Debug, Clone, Copy, Default)]
pub struct Tally {
    /// The number of the first one.
    pub seq: u64,
    /// How many.
    pub n: u64,
    /// Bytes moved.
    pub bytes: u64,
    /// The sum of their durations in nanoseconds.
    pub time: u64,
}

impl Tally {
    /// Adds a call.
    pub fn add(&mut self, call: &View<'_>) {
        if self.n == 0 {
            self.seq = call.seq();
        }
        self.n += 1;
        self.bytes = self.bytes.saturating_add(call.moved);
        self.time = self.time.saturating_add(call.duration);
    }

    /// Adds calls that came later.
    pub fn merge(&mut self, later: &Self) {
        if self.n == 0 {
            self.seq = later.seq;
        }
        self.n += later.n;
        self.bytes = self.bytes.saturating_add(later.bytes);
        self.time = self.time.saturating_add(later.time);
    }

    /// Returns the bytes per call.
    pub fn mean_bytes(&self) -> u64 {
        self.bytes / self.n.max(1)
    }

    /// Returns the time that is saved if the same bytes move in calls of `size` bytes that take as
    /// long as these.
    pub fn saved_by_calls_of(&self, size: u64) -> u64 {
        self.saved_by(self.bytes.div_ceil(size.max(1)))
    }

    /// Returns the time that is saved if only `needed` of these calls are made.
    pub fn saved_by(&self, needed: u64) -> u64 {
        let share = 1.0 - needed.min(self.n) as f64 / self.n.max(1) as f64;
        (self.time as f64 * share) as u64
    }

    /// Creates the evidence for these calls.
    pub fn place(&self, file: String, text: String, cost: u64) -> Evidence {
        Evidence { seq: self.seq, file, text, cost, weight: self.n }
    }
}
