//! Compares what a call brought back with what was recorded: result, errno and every byte, by kind
//! and layout. What cannot be equal is told by the layout's fields (times, inodes, devices, ...),
//! never by the call's name; `docs/replay-semantics.md` lists it.

mod bytes;
mod layout;
mod listing;
pub mod state;

pub(crate) use bytes::{Recorded, brought, compare_argument, compare_bytes, differing};
pub(crate) use layout::made_up;
pub(crate) use listing::{Listed, Listings, lists};

use abi::{Form, Kind, Ret, Shape};
use ahash::HashMap;

/// A difference.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Difference {
    pub what: String,
    pub expected: String,
    pub got: String,
    /// The call failed, and did not in the recording, or with another error.
    pub failed: bool,
}

impl Difference {
    pub fn new(
        what: impl Into<String>,
        expected: impl Into<String>,
        got: impl Into<String>,
    ) -> Self {
        Self { what: what.into(), expected: expected.into(), got: got.into(), failed: false }
    }
}

fn failed(result: i64) -> bool {
    (-4095..0).contains(&result)
}

/// A result as people read it.
pub(crate) fn result(value: i64) -> String {
    match value {
        -4095..0 => errno(-value as i32),
        value => value.to_string(),
    }
}

fn errno(number: i32) -> String {
    match nix::errno::Errno::from_raw(number) {
        nix::errno::Errno::UnknownErrno => format!("errno {number}"),
        known => format!("{known:?}"),
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
    pub shape: &'static Shape,
    /// The file is written through a mapping.
    pub mapped: bool,
}

impl Expected {
    /// A call that failed otherwise than recorded.
    pub fn failure(&self, got: i64) -> Option<Difference> {
        (failed(got) && got != self.ret).then(|| Difference {
            failed: true,
            ..Difference::new("result", result(self.ret), result(got))
        })
    }

    /// Compares a result by its meaning.
    pub fn compare(&self, got: i64) -> Option<Difference> {
        let same = match (failed(self.ret), failed(got)) {
            (true, true) => self.ret == got,
            (false, false) => match self.shape.ret {
                Ret::Zero | Ret::Off | Ret::Int => {
                    self.ret == got || reads_descriptor_flags(self.shape)
                }
                Ret::Bytes => self.ret == got || self.mapped,
                Ret::Count => {
                    self.ret == got || self.shape.args.iter().any(|a| counts_freely(a.kind))
                }
                Ret::Fd | Ret::Pid | Ret::Addr | Ret::Host | Ret::Never => true,
            },
            _ => false,
        };
        (!same).then(|| Difference {
            failed: failed(got),
            ..Difference::new("result", result(self.ret), result(got))
        })
    }
}

/// Close-on-exec of a descriptor belongs to each process that inherited it; replay has one
/// descriptor for all of them.
fn reads_descriptor_flags(shape: &Shape) -> bool {
    shape.name == "F_GETFD"
}

/// Buffers whose contents are compared as sets: how many bytes they take is the file system's
/// affair.
fn counts_freely(kind: Kind) -> bool {
    match kind {
        Kind::Out(_, l) => {
            matches!(l.form, Form::Dirents | Form::Dirents64 | Form::Names | Form::Host)
        }
        _ => false,
    }
}

fn text(bytes: &[u8]) -> String {
    let shown: String = bytes
        .iter()
        .take(80)
        .flat_map(|b| std::ascii::escape_default(*b))
        .map(char::from)
        .collect();
    format!("\"{shown}\"{}", if bytes.len() > 80 { "..." } else { "" })
}
