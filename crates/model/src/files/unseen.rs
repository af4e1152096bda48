//! What can have happened to files without a recorded call, and how the verdict says it.

use crate::files::row::{Content, Final, Row};
use processes::{BY_OPERATIONS, BY_STORES, Unrecorded};

/// What can have happened to files without a recorded call, as far as calls show.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Unseen {
    /// The number of operations of io_uring and libaio that are not recorded.
    pub operations: u64,
    /// The number of io_uring rings from which the kernel takes operations without a call
    /// (`IORING_SETUP_SQPOLL`).
    pub polled: u64,
    /// Paths of files that may exist at the end and that such operations can have written.
    pub reached: Vec<Vec<u8>>,
    /// Paths of files that may exist at the end and were mapped shared and writable.
    pub mapped: Vec<Vec<u8>>,
}

impl Unseen {
    /// Collects the files whose final state is unknown as they can have changed without a recorded
    /// call.
    pub(super) fn collect(unrecorded: &Unrecorded, rows: &[Row]) -> Self {
        let paths_unknown_because = |reason| {
            let unknown = rows.iter().filter(move |row| is_unknown_because(&row.last, reason));
            unknown.map(|row| row.path.clone()).collect()
        };
        Self {
            operations: unrecorded.operations + unrecorded.missing_rows(),
            polled: unrecorded.polled,
            reached: paths_unknown_because(BY_OPERATIONS),
            mapped: paths_unknown_because(BY_STORES),
        }
    }

    /// Returns the reasons why the trace is incomplete because of that, one sentence each.
    pub fn reasons(&self) -> Vec<String> {
        let mut reasons = Vec::new();
        let reached = match summarize_paths(&self.reached) {
            paths if paths.is_empty() => paths,
            paths => format!(" and can have changed {paths}"),
        };
        if self.operations > 0 {
            reasons.push(format!(
                "{} operations went through io_uring or aio, which is not recorded{reached}",
                self.operations
            ));
        }
        if self.polled > 0 {
            reasons.push(format!(
                "{} rings of io_uring took operations without a call, which are not \
                 recorded{reached}",
                self.polled
            ));
        }
        if !self.mapped.is_empty() {
            reasons.push(format!(
                "what was stored through shared mappings of files is not recorded: {}",
                summarize_paths(&self.mapped)
            ));
        }
        reasons
    }
}

/// Returns a text with the first of some paths, and how many more there are; empty for no paths.
fn summarize_paths(files: &[Vec<u8>]) -> String {
    match files {
        [] => String::new(),
        [one] => trace::text::escape(one),
        [first, others @ ..] => format!("{} and {} more", trace::text::escape(first), others.len()),
    }
}

/// Returns whether the final state, or the final content, is unknown for this reason.
fn is_unknown_because(final_state: &Final, reason: &str) -> bool {
    match final_state {
        Final::Unknown(why) | Final::Present(_, Content::Not(why)) => why == reason,
        Final::Absent | Final::Present(..) => false,
    }
}
