//! Errors of libbpf.

use crate::Error;
use std::io;

/// An error of libbpf's as ours.
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
