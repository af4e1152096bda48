//! What can go wrong.

use std::path::{Path, PathBuf};

/// Why a conversion could not be done, or not to its end.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A file could not be read or written.
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
    /// The file is none of this format.
    #[error("{} is not a {format}: {what}", path.display())]
    Alien {
        /// The file.
        path: PathBuf,
        /// The format's name.
        format: &'static str,
        /// What is missing.
        what: String,
    },
    /// A DataSeries file could not be read.
    #[error(transparent)]
    DataSeries(#[from] dataseries_file::Error),
    /// The trace could not be read or written.
    #[error(transparent)]
    Trace(#[from] trace::Error),
}

impl Error {
    /// Returns a function that makes an error of a failure to do `what` with `path`.
    pub fn io(what: &'static str, path: impl AsRef<Path>) -> impl FnOnce(std::io::Error) -> Self {
        move |source| Self::Io { what, path: path.as_ref().to_owned(), source }
    }
}
