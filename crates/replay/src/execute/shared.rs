//! What the dispatcher and all executors share.

use super::completion::Completion;
use super::unperformed::Unperformed;
use crate::Options;
use crate::issue::RealFd;
use crate::issue::thread::ReplayContext;
use crate::report::LatencyHistograms;
use crate::report::{Divergence, histogram};
use crate::sandbox::Privileges;
use hdrhistogram::Histogram;
use model::world::{Bound, Mounts};
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Instant;
use trace::Call;

/// Divergences that are kept; more are counted.
pub(crate) const MAX_DIVERGENCES: usize = 10_000;

/// What came out differently.
#[derive(Default)]
pub(crate) struct Divergences {
    /// With the numbers of their calls.
    pub kept: Vec<(u64, Divergence)>,
    /// More than are kept.
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
    /// When the first call that was due at some time was dispatched.
    pub started: OnceLock<Instant>,
    /// Executors wait until this is so.
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
    /// Files that calls changed which nobody performed.
    pub unperformed: Mutex<Unperformed>,
    /// The recorded machine's mounts.
    pub mounts: Mounts,
    /// There is one executor, and its descriptor table is its own: to look a descriptor up in a
    /// table that others use, too, takes the kernel longer.
    pub single_executor: bool,
    /// No call is to begin any more.
    pub stop: AtomicBool,
    /// Beginnings of threads may be missing.
    pub recovered: bool,
    /// Calls that returned later may follow from some that are missing.
    pub complete_until: Option<u64>,
    /// What went wrong inside.
    pub failure: Mutex<Option<String>>,
}

impl Shared {
    /// Whether executors may begin.
    pub fn has_begun(&self) -> bool {
        self.may_begin.load(Relaxed)
    }

    /// Whether the replay is to end before its last call.
    pub fn stopping(&self) -> bool {
        self.stop.load(Relaxed)
    }

    /// A call that was dispatched is not performed.
    pub fn count_refused(&self, why: &'static str) {
        *self.refused.lock().unwrap_or_else(PoisonError::into_inner).entry(why).or_default() += 1;
    }

    /// A call is not performed as the replay ends.
    pub fn count_not_begun(&self) {
        self.count_refused("the replay ended");
    }

    pub fn add_lateness(&self, lateness: &Histogram<u64>) {
        if !lateness.is_empty() {
            let mut all = self.lateness.lock().unwrap_or_else(PoisonError::into_inner);
            // Both have the same bounds.
            let _ = all.get_or_insert_with(histogram).add(lateness);
        }
    }

    /// Something went wrong inside: nobody goes on.
    pub fn abort(&self, why: String) {
        self.failure.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(why);
        self.completion.abort();
    }

    /// A call is performed by no one.
    pub fn note_unperformed(&self, call: &Call, bound: &Bound<RealFd>, why: &str) {
        self.unperformed.lock().unwrap_or_else(PoisonError::into_inner).note(
            call,
            bound,
            &self.mounts,
            why,
        );
    }
}

/// The kind of a difference: which byte it begins at is not among it.
pub(crate) fn divergence_kind(what: &str) -> &str {
    if what.starts_with("byte ") { "data" } else { what }
}
