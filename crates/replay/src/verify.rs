//! Compares what a call brought back with what was recorded: result, errno and every byte, by kind
//! and layout. What cannot be equal is told by the layout's fields (times, inodes, devices, ...),
//! never by the call's name; `docs/replay-semantics.md` lists it.

mod bytes;
mod layout;
mod listing;
mod result;
pub mod state;

pub(crate) use bytes::{
    RecordedBytes, compare_argument, compare_outputs, first_difference, output_payloads,
};
pub(crate) use layout::incomparable_xattr;
pub(crate) use listing::{ListingCall, Listings, listing_argument};
pub(crate) use result::Expected;

use ahash::HashMap;

/// A difference.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Mismatch {
    pub what: String,
    pub expected: String,
    pub got: String,
    /// The call failed, and did not in the recording, or with another error.
    pub failed: bool,
}

impl Mismatch {
    /// Creates a mismatch: `what` was expected to be `expected`, and is `got`.
    pub fn new(
        what: impl Into<String>,
        expected: impl Into<String>,
        got: impl Into<String>,
    ) -> Self {
        Self { what: what.into(), expected: expected.into(), got: got.into(), failed: false }
    }
}

/// What of the recorded machine can be equal here.
#[derive(Clone, Debug)]
pub(crate) struct Rules {
    /// Owners and groups.
    pub owners: bool,
    /// Others can reach the root: what lets them act as its owner is not set on files.
    pub withhold: bool,
    /// By inode: links under names that the trace does not know, which a file does not have here.
    pub links_elsewhere: HashMap<u64, u64>,
}

/// Formats bytes for the report, shortened if they are long.
fn show_bytes(bytes: &[u8]) -> String {
    let shown: String = bytes
        .iter()
        .take(80)
        .flat_map(|b| std::ascii::escape_default(*b))
        .map(char::from)
        .collect();
    format!("\"{shown}\"{}", if bytes.len() > 80 { "..." } else { "" })
}
