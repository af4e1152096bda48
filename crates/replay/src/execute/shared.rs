//! What the dispatcher and all executors share.

use super::completion::Completion;
use super::unperformed::Unperformed;
use crate::Options;
use crate::issue::RealFd;
use crate::issue::thread::ReplayContext;
use crate::report::LatencyHistograms;
use crate::report::{Divergence, RingCounts, new_histogram};
use hdrhistogram::Histogram;
use model::processes::{Mounts, Operands};
use sandbox::Privileges;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Instant;
use trace::Call;

/// Divergences that are kept; more are counted.
pub(crate) const MAX_DIVERGENCES: usize = 10_000;

/// The differences found so far.
#[derive(Default)]
pub(crate) struct Divergences {
    /// With the numbers of their calls.
    pub kept: Vec<(u64, Divergence)>,
    /// How many were dropped beyond [`MAX_DIVERGENCES`].
    pub dropped: u64,
    /// All, by what differed.
    pub by_kind: BTreeMap<String, u64>,
}

/// What all executors and the dispatcher share.
pub(crate) struct Shared {
    pub completion: Completion,
    pub context: Arc<ReplayContext>,
    pub privileges: Privileges,
    pub options: Options,
    /// When the first paced call was performed.
    pub started: OnceLock<Instant>,
    /// Executors wait until this is set.
    pub may_begin: AtomicBool,
    /// What calls took, if they are measured.
    pub times: Mutex<LatencyHistograms>,
    /// How late calls began, if they were due at some time.
    pub lateness: Mutex<Option<Histogram<u64>>>,
    pub divergences: Mutex<Divergences>,
    /// Reasons why calls could not be issued after all.
    pub refused: Mutex<BTreeMap<&'static str, u64>>,
    /// Files and calls whose bits that let others act as the owner were withheld.
    pub withheld: AtomicU64,
    /// Files that unperformed calls changed in the recording.
    pub unperformed: Mutex<Unperformed>,
    /// The recorded machine's mounts.
    pub mounts: Mounts,
    /// There is one executor, with a descriptor table of its own: looking a descriptor up in a
    /// shared table takes the kernel longer.
    pub single_executor: bool,
    /// No more calls are to begin.
    pub stop: AtomicBool,
    /// The recorder was killed: starts of threads may be missing.
    pub recovered: bool,
    /// Calls that returned later may depend on calls that are missing.
    pub complete_until: Option<u64>,
    /// What rings of io_uring and contexts of libaio performed.
    pub rings: Mutex<RingCounts>,
    /// Things that a reader of the report should know.
    pub notes: Mutex<BTreeSet<String>>,
    /// The internal error that ended the replay.
    pub failure: Mutex<Option<String>>,
}

impl Shared {
    /// Returns whether executors may begin to perform calls.
    pub fn has_begun(&self) -> bool {
        self.may_begin.load(Relaxed)
    }

    /// Returns whether the replay is to end before its last call.
    pub fn stopping(&self) -> bool {
        self.stop.load(Relaxed)
    }

    /// Counts a dispatched call that was not performed.
    pub fn count_refused(&self, why: &'static str) {
        *self.refused.lock().unwrap_or_else(PoisonError::into_inner).entry(why).or_default() += 1;
    }

    /// Counts a call that was not performed because the replay ended.
    pub fn count_not_begun(&self) {
        self.count_refused("the replay ended");
    }

    /// Adds an executor's histogram of how late its calls began.
    pub fn add_lateness(&self, lateness: &Histogram<u64>) {
        if !lateness.is_empty() {
            let mut all = self.lateness.lock().unwrap_or_else(PoisonError::into_inner);
            // Both have the same bounds.
            let _ = all.get_or_insert_with(new_histogram).add(lateness);
        }
    }

    /// Adds a note to the report, once.
    pub fn note(&self, note: String) {
        self.notes.lock().unwrap_or_else(PoisonError::into_inner).insert(note);
    }

    /// Ends the replay with an internal error, whose message is `why`.
    pub fn abort(&self, why: String) {
        self.failure.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(why);
        self.completion.abort();
    }

    /// Notes the files that an unperformed call changed in the recording. `why` is the reason for
    /// not performing it.
    pub fn note_unperformed(&self, call: &Call, operands: &Operands<RealFd>, why: &str) {
        self.unperformed.lock().unwrap_or_else(PoisonError::into_inner).note(
            call,
            operands,
            &self.mounts,
            why,
        );
    }
}

/// Returns the kind of a difference, by which the report counts: its description without the
/// position of the first byte.
pub(crate) fn divergence_kind(what: &str) -> &str {
    if what.starts_with("byte ") { "data" } else { what }
}
