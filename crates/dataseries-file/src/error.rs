//! What can go wrong.

use std::path::{Path, PathBuf};

/// Why a file could not be read.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The operating system refused.
    #[error("cannot {what} {}", path.display())]
    Io {
        /// What was tried.
        what: &'static str,
        /// The file.
        path: PathBuf,
        /// The cause.
        #[source]
        source: std::io::Error,
    },
    /// A part of the file contradicts the format or its own checksum.
    #[error("{} is damaged at byte {at}: {what}", path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// The offset in bytes.
        at: u64,
        /// What is wrong.
        what: String,
    },
    /// The file is not a DataSeries file.
    #[error("{} is not a DataSeries file: {what}", path.display())]
    Alien {
        /// The file.
        path: PathBuf,
        /// Why it is not: the rest of the message.
        what: String,
    },
}

impl Error {
    /// Returns a function that makes an error of a failure to do `what` with `path`.
    pub(crate) fn io(what: &'static str, path: &Path) -> impl FnOnce(std::io::Error) -> Self {
        move |source| Self::Io { what, path: path.to_owned(), source }
    }
    /// Returns the error for damage of a file at byte `at`.
    pub(crate) fn damage(path: &Path, at: u64, what: impl Into<String>) -> Self {
        Self::Damaged { path: path.to_owned(), at, what: what.into() }
    }
}
