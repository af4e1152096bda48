//! Converting errors of libbpf.

use crate::Error;
use std::io;

/// Returns a function that makes [`Error::EbpfUnavailable`] of a libbpf error, for `map_err`.
/// `doing` says what failed, as it follows "cannot".
pub(super) fn refused(doing: &'static str) -> impl FnOnce(libbpf_rs::Error) -> Error {
    move |e| {
        let kind = match e.kind() {
            libbpf_rs::ErrorKind::PermissionDenied => io::ErrorKind::PermissionDenied,
            libbpf_rs::ErrorKind::NotFound => io::ErrorKind::NotFound,
            _ => io::ErrorKind::Other,
        };
        Error::EbpfUnavailable { doing, source: io::Error::new(kind, format!("{e}")), hint: None }
    }
}
