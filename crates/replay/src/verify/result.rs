//! Compares results: numbers, errnos and descriptors.

use super::Mismatch;
use abi::{CallSpec, Form, Kind, Ret, errno_name, errno_of};

/// The recorded result of a call, with which that of the replayed one is compared.
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

/// Formats a result for the report: a number, or the name of the errno.
fn format_result(value: i64) -> String {
    match errno_of(value) {
        Some(errno) => {
            errno_name(errno).map_or_else(|| format!("errno {errno}"), ToOwned::to_owned)
        }
        None => value.to_string(),
    }
}
