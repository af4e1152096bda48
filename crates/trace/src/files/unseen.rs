//! What happened to files without a call: what of it a verdict must say.

use super::{Content, Final, Row};
use crate::world::{BY_STORES, Unrecorded};

/// What happened to files without a call, as far as calls tell.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Unseen {
    /// Operations of io_uring and libaio that were begun.
    pub operations: u64,
    /// Rings of io_uring whose operations the kernel finds by itself.
    pub polled: u64,
    /// Files that are there at the end and were mapped shared and writable.
    pub mapped: Vec<Vec<u8>>,
}

impl Unseen {
    pub(super) fn of(unrecorded: &Unrecorded, rows: &[Row]) -> Self {
        let stored = |row: &&Row| by_stores(&row.last);
        Self {
            operations: unrecorded.operations,
            polled: unrecorded.polled,
            mapped: rows.iter().filter(stored).map(|row| row.path.clone()).collect(),
        }
    }

    /// What of it is missing in the trace, a sentence each.
    pub fn reasons(&self) -> Vec<String> {
        let mut reasons = Vec::new();
        if self.operations > 0 {
            reasons.push(format!(
                "{} operations went through io_uring or aio, which is not recorded",
                self.operations
            ));
        }
        if self.polled > 0 {
            reasons.push(format!(
                "{} rings of io_uring took operations without a call, which are not recorded",
                self.polled
            ));
        }
        if let [first, others @ ..] = &*self.mapped {
            let others = match others.len() {
                0 => String::new(),
                n => format!(" and {n} more"),
            };
            reasons.push(format!(
                "what was stored through shared mappings of files is not recorded: {}{others}",
                crate::text::escape(first)
            ));
        }
        reasons
    }
}

fn by_stores(last: &Final) -> bool {
    matches!(last, Final::Present(_, Content::Not(why)) if why == BY_STORES)
}
