//! Compares what a call brought back with what was recorded: result, errno and every byte, by kind
//! and layout. What cannot be equal is told by the layout's fields (times, inodes, devices, ...),
//! never by the call's name; `docs/replay-semantics.md` lists it.

mod bytes;
mod layout;
mod listing;
pub mod state;

pub(crate) use bytes::{
    RecordedBytes, compare_argument, compare_outputs, first_difference, output_payloads,
};
pub(crate) use layout::incomparable_xattr;
pub(crate) use listing::{ListingCall, Listings, listing_argument};

use abi::{CallSpec, Form, Kind, Ret, errno_name, errno_of};
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

/// Formats a result for the report: a number, or the name of the errno.
pub(crate) fn format_result(value: i64) -> String {
    match errno_of(value) {
        Some(errno) => {
            errno_name(errno).map_or_else(|| format!("errno {errno}"), ToOwned::to_owned)
        }
        None => value.to_string(),
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

/// What a call is to bring.
#[derive(Clone, Copy)]
pub(crate) struct Expected {
    pub ret: i64,
    pub spec: &'static CallSpec,
    /// The file is written through a mapping.
    pub unseen_writes: bool,
}

impl Expected {
    /// Returns the mismatch of a call that failed here, and not with the recorded error. Returns
    /// `None` if it succeeded or failed as recorded.
    pub fn compare_failure(&self, got: i64) -> Option<Mismatch> {
        (errno_of(got).is_some() && got != self.ret).then(|| Mismatch {
            failed: true,
            ..Mismatch::new("result", format_result(self.ret), format_result(got))
        })
    }

    /// Compares a result by its meaning: a number of bytes must be equal, a descriptor must only be
    /// valid.
    pub fn compare_result(&self, got: i64) -> Option<Mismatch> {
        let same = match (errno_of(self.ret).is_some(), errno_of(got).is_some()) {
            (true, true) => self.ret == got,
            (false, false) => match self.spec.ret {
                Ret::Zero | Ret::Off | Ret::Int => self.ret == got,
                Ret::Bytes => self.ret == got || self.unseen_writes,
                Ret::Count => {
                    self.ret == got || self.spec.args.iter().any(|a| has_free_length(a.kind))
                }
                Ret::Fd | Ret::Pid | Ret::Addr | Ret::Host | Ret::Never => true,
            },
            _ => false,
        };
        (!same).then(|| Mismatch {
            failed: errno_of(got).is_some(),
            ..Mismatch::new("result", format_result(self.ret), format_result(got))
        })
    }
}

/// Returns whether an argument is a buffer that is compared as a set. Its length depends on the
/// file system, and is not compared.
fn has_free_length(kind: Kind) -> bool {
    match kind {
        Kind::Out(_, l) => {
            matches!(l.form, Form::Dirents | Form::Dirents64 | Form::Names | Form::Host)
        }
        _ => false,
    }
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
