//! The outcome of a replay.

mod latency;
mod rings;
mod spread;

pub(crate) use latency::LatencyHistograms;
pub use latency::{Latency, QUANTILES};
pub use rings::RingCounts;
pub use spread::Spread;
pub(crate) use spread::{MAX_NANOSECONDS, new_histogram};

use serde::Serialize;
use std::collections::BTreeMap;
use std::fmt;

/// A difference between what a call did when it was recorded and when it was replayed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Divergence {
    /// The call's number in the trace.
    pub seq: u64,
    /// Its thread in the recording.
    pub tid: u32,
    /// Its name.
    pub call: &'static str,
    /// The file it was about, as recorded and escaped ([`trace::text::escape`]); empty if none.
    pub file: String,
    /// What differs: `result`, `data`, or a field.
    pub what: String,
    /// What was recorded.
    pub expected: String,
    /// What came back.
    pub got: String,
    /// The call failed here, and did not when it was recorded, or with another error.
    #[serde(skip)]
    pub failed: bool,
}

impl fmt::Display for Divergence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { seq, tid, call, file, what, expected, got, failed: _ } = self;
        write!(f, "#{seq} [{tid}] {call}")?;
        if !file.is_empty() {
            write!(f, " {file}")?;
        }
        write!(f, ": {what}: expected {expected}, got {got}")
    }
}

/// The comparison of the final tree.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct State {
    /// Names compared.
    pub compared: u64,
    /// Names that differ.
    pub different: u64,
    /// The first differences, a line each.
    pub lines: Vec<String>,
    /// Names that differ in bytes which the recording does not determine: overlapping calls wrote
    /// them.
    pub raced: u64,
    /// The first of those, a line each.
    pub raced_lines: Vec<String>,
    /// Names of which something could not be compared.
    pub excluded: u64,
    /// The first of those, with the reason.
    pub excluded_lines: Vec<String>,
}

/// What was made before the first call.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Prepared {
    /// Names, directories included.
    pub files: u64,
    /// Bytes of content.
    pub bytes: u64,
    /// Bytes that no call of the trace brought: zeros without blocks.
    pub assumed: u64,
}

/// What processes that were not recorded did, and was done here.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Others {
    /// Changes made.
    pub changes: u64,
    /// Changes that could not be made here.
    pub failed: u64,
    /// Files that they are about.
    pub files: u64,
    /// The first of these files, with what happened to them and before which call.
    pub lines: Vec<String>,
}

/// What a replay did and found.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Report {
    /// Calls in the trace: all were issued or skipped.
    pub calls: u64,
    /// Calls performed.
    #[serde(rename = "performed")]
    pub issued: u64,
    /// Of those, the calls that the selection names: all after [`crate::Selection::from`] or, where
    /// files are named, those on a file. 0: the selection matches nothing.
    #[serde(skip)]
    pub chosen: u64,
    /// Calls that were not performed.
    pub skipped: u64,
    /// Those, by reason.
    pub skipped_by: BTreeMap<&'static str, u64>,
    /// Calls that came out differently, races left aside.
    pub divergences: u64,
    /// The first of them.
    pub shown: Vec<Divergence>,
    /// Calls that failed here otherwise than recorded, races left aside, among the first ten
    /// thousand differences. They are counted even if nothing is compared. What they took is not
    /// what the recorded calls take.
    pub failed: u64,
    /// The first of those.
    pub first_failed: Option<Divergence>,
    /// Calls that came out differently and whose order the recording does not determine: they
    /// overlapped a call that they conflict with.
    pub races: u64,
    /// The first of those.
    pub races_shown: Vec<Divergence>,
    /// Calls that came out differently as calls were left out that changed what they found.
    pub explained: u64,
    /// The first of those.
    pub explained_shown: Vec<Divergence>,
    /// Of the calls performed, those before the chosen time, which were not compared.
    pub early: u64,
    /// Clones that were performed by copying: the file system of the root cannot share blocks.
    pub copied: u64,
    /// What the file system of the root cannot do and other calls did in its place, by operation
    /// (`zero range`, `collapse range`, ...).
    pub emulated: BTreeMap<&'static str, u64>,
    /// Of the calls that were not performed, those that something refused which is not in the file
    /// system: a filter, a limit, memory. Their errors are taken as recorded.
    pub refused: u64,
    /// What others did to the program's files while it was recorded.
    pub others: Others,
    /// Files and calls whose set-user-ID and set-group-ID bits or file capabilities were withheld,
    /// as others can reach the root.
    pub withheld: u64,
    /// What rings of io_uring and contexts of libaio performed.
    pub rings: RingCounts,
    /// The final tree.
    pub state: State,
    /// What was made before the first call.
    pub prepared: Prepared,
    /// From the first call to the last, in replay.
    pub elapsed_s: f64,
    /// From the first call to the last, when recorded.
    pub recorded_s: f64,
    /// All calls that came out differently, races among them, by what differed: `result`, `data`, a
    /// field.
    pub by_kind: BTreeMap<String, u64>,
    /// The replay ended before the last call: at the first divergence, or it was interrupted.
    pub broken_off: bool,
    /// Divergences do not count for the outcome.
    pub ignored: bool,
    /// Bytes that the performed calls moved when they were recorded.
    pub moved_bytes: u64,
    /// How long calls took, by name, if it was measured.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub latency: BTreeMap<&'static str, Latency>,
    /// How late calls began, where they were due at some time.
    pub lateness: Option<Spread>,
    /// Things a reader should know.
    pub notes: Vec<String>,
}

impl Report {
    /// Returns the exit status: 0 if everything came out the same, 1 if something differs.
    pub fn exit_code(&self) -> i32 {
        i32::from((self.divergences > 0 && !self.ignored) || self.state.different > 0)
    }
}
