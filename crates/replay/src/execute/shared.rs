//! What the dispatcher and all executors share.

use super::frontier::Frontier;
use super::unperformed::Unperformed;
use crate::Options;
use crate::issue::Real;
use crate::issue::thread::Common;
use crate::report::Times;
use crate::report::{Divergence, histogram};
use crate::sandbox::Powers;
use hdrhistogram::Histogram;
use model::world::{Bound, Mounts};
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Instant;
use trace::Call;

/// Divergences that are kept; more are counted.
pub(crate) const KEPT: usize = 10_000;

/// What came out differently.
#[derive(Default)]
pub(crate) struct Found {
    /// With the numbers of their calls.
    pub kept: Vec<(u64, Divergence)>,
    /// More than are kept.
    pub more: u64,
    /// All, by what differed.
    pub by_kind: BTreeMap<String, u64>,
}

/// What all executors and the dispatcher share.
pub(crate) struct Shared {
    pub frontier: Frontier,
    pub common: Arc<Common>,
    pub powers: Powers,
    pub options: Options,
    /// When the first call that was due at some time was dispatched.
    pub begun: OnceLock<Instant>,
    /// Executors wait until this is so.
    pub open: AtomicBool,
    /// What calls took, if they are measured.
    pub times: Mutex<Times>,
    /// How late calls began, if they were due at some time.
    pub late: Mutex<Option<Histogram<u64>>>,
    pub found: Mutex<Found>,
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
    pub alone: bool,
    /// No call is to begin any more.
    pub stop: AtomicBool,
    /// Beginnings of threads may be missing.
    pub torn: bool,
    /// Calls that returned later may follow from some that are missing.
    pub complete_until: Option<u64>,
    /// What went wrong inside.
    pub broken: Mutex<Option<String>>,
}

impl Shared {
    /// Whether executors may begin.
    pub fn is_open(&self) -> bool {
        self.open.load(Relaxed)
    }

    /// Whether the replay is to end before its last call.
    pub fn stopping(&self) -> bool {
        self.stop.load(Relaxed)
    }

    /// A call that was dispatched is not performed.
    pub fn refuse(&self, why: &'static str) {
        *self.refused.lock().unwrap_or_else(PoisonError::into_inner).entry(why).or_default() += 1;
    }

    /// A call is not performed as the replay ends.
    pub fn left_undone(&self) {
        self.refuse("the replay ended");
    }

    pub fn add_late(&self, late: &Histogram<u64>) {
        if !late.is_empty() {
            let mut all = self.late.lock().unwrap_or_else(PoisonError::into_inner);
            // Both have the same bounds.
            let _ = all.get_or_insert_with(histogram).add(late);
        }
    }

    /// Something went wrong inside: nobody goes on.
    pub fn break_off(&self, why: String) {
        self.broken.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(why);
        self.frontier.break_off();
    }

    /// A call is performed by no one.
    pub fn left_out(&self, call: &Call, bound: &Bound<Real>, why: &str) {
        self.unperformed.lock().unwrap_or_else(PoisonError::into_inner).note(
            call,
            bound,
            &self.mounts,
            why,
        );
    }
}

/// The kind of a difference: which byte it begins at is not among it.
pub(crate) fn kind(what: &str) -> &str {
    if what.starts_with("byte ") { "data" } else { what }
}
