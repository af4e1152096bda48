//! What happened to files without a call: what of it a verdict must say.

use crate::files::row::{Content, Final, Row};
use processes::{BY_OPERATIONS, BY_STORES, Unrecorded};

/// What happened to files without a call, as far as calls tell.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Unseen {
    /// Operations of io_uring and libaio that were begun.
    pub operations: u64,
    /// Rings of io_uring whose operations the kernel finds by itself.
    pub polled: u64,
    /// Files that may be there at the end and that operations can have written.
    pub reached: Vec<Vec<u8>>,
    /// Files that may be there at the end and were mapped shared and writable.
    pub mapped: Vec<Vec<u8>>,
}

impl Unseen {
    /// Collects the files whose final state is unknown as they could change without a recorded
    /// call.
    pub(super) fn of(unrecorded: &Unrecorded, rows: &[Row]) -> Self {
        let left = |why| {
            let of = rows.iter().filter(move |row| is_left(&row.last, why));
            of.map(|row| row.path.clone()).collect()
        };
        Self {
            operations: unrecorded.operations + unrecorded.missing_rows(),
            polled: unrecorded.polled,
            reached: left(BY_OPERATIONS),
            mapped: left(BY_STORES),
        }
    }

    /// Returns what is missing in the trace because of that, one sentence each.
    pub fn reasons(&self) -> Vec<String> {
        let mut reasons = Vec::new();
        let reached = match few(&self.reached) {
            few if few.is_empty() => few,
            few => format!(" and can have changed {few}"),
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
                few(&self.mapped)
            ));
        }
        reasons
    }
}

/// Returns the first of some paths, and how many more there are.
fn few(files: &[Vec<u8>]) -> String {
    match files {
        [] => String::new(),
        [one] => trace::text::escape(one),
        [first, others @ ..] => format!("{} and {} more", trace::text::escape(first), others.len()),
    }
}

/// Returns whether the final state is unknown for the reason `why`.
fn is_left(last: &Final, why: &str) -> bool {
    match last {
        Final::Unknown(reason) | Final::Present(_, Content::Not(reason)) => reason == why,
        Final::Absent | Final::Present(..) => false,
    }
}
