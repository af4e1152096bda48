//! What the dispatcher counts, and what it returns when all calls are done.

use super::Dispatcher;
use crate::report::LatencyHistograms;
use crate::report::Others;
use crate::source::SkippedChanges;
use ahash::HashSet;
use order::Races;
use std::collections::BTreeMap;
use std::time::{Duration, Instant};

/// Counts.
#[derive(Default)]
pub(crate) struct Counts {
    pub calls: u64,
    pub dispatched: u64,
    pub skipped_by: BTreeMap<&'static str, u64>,
    pub recorded: Option<(u64, u64)>,
    /// Calls that may differ, since others were left out.
    pub explained: HashSet<u64>,
    /// Calls that only made the state for the chosen ones.
    pub early: u64,
    /// Calls that were dispatched as the selection names them.
    pub chosen: u64,
    /// When the first call began in the recording.
    pub first: Option<u64>,
    /// When the replay of the chosen calls began,
    pub started: Option<Instant>,
    /// and how long it took.
    pub elapsed: Duration,
    /// There are calls after the chosen time.
    pub ended_early: bool,
    /// What calls that are performed took in the recording.
    pub times: LatencyHistograms,
    /// Bytes that they moved.
    pub moved_bytes: u64,
}

/// What the dispatcher returns when all calls are done.
pub(crate) struct DispatchResult {
    pub counts: Counts,
    /// Files that calls changed which were left out.
    pub skipped_changes: SkippedChanges,
    /// What the recording leaves open.
    pub races: Races,
    /// What others did.
    pub others: Others,
}

impl Dispatcher<'_> {
    /// Ends the executors, and returns the counts and results.
    pub fn finish(mut self) -> DispatchResult {
        DispatchResult {
            counts: std::mem::take(&mut self.counts),
            skipped_changes: std::mem::take(&mut self.skipped_changes),
            races: self.order.into_races(),
            others: std::mem::take(&mut self.outside.others),
        }
    }
}
