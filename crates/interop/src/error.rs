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
    /// The file is not what it should be.
    #[error("{} is damaged at byte {at}: {what}", path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// Where.
        at: u64,
        /// What is wrong.
        what: String,
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
    /// The trace could not be read or written.
    #[error(transparent)]
    Trace(#[from] trace::Error),
}

impl Error {
    /// Returns a function that makes an error of a failure to do `what` with `path`.
    pub fn io(what: &'static str, path: impl AsRef<Path>) -> impl FnOnce(std::io::Error) -> Self {
        move |source| Self::Io { what, path: path.as_ref().to_owned(), source }
    }
    /// Returns the error for damage of a file at byte `at`.
    pub fn damage(path: &Path, at: u64, what: impl Into<String>) -> Self {
        Self::Damaged { path: path.to_owned(), at, what: what.into() }
    }
}

impl From<dataseries_file::Error> for Error {
    fn from(error: dataseries_file::Error) -> Self {
        use dataseries_file::Error as File;
        match error {
            File::Io { what, path, source } => Self::Io { what, path, source },
            File::Damaged { path, at, what } => Self::Damaged { path, at, what },
            File::Alien { path, what } => Self::Alien { path, format: "DataSeries file", what },
        }
    }
}
