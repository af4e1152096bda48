//! The errors of this crate. A text is a lowercase fragment; the command line prints an error with
//! its causes on one line and adds what to do next.

use std::io;
use std::path::{Path, PathBuf};

/// Why a trace could not be written or read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The operating system returned an error.
    #[error("cannot {doing} {}", path.display())]
    Io {
        /// A verb: `create`, `write`, `read`.
        doing: &'static str,
        /// The file or directory.
        path: PathBuf,
        /// The cause.
        source: io::Error,
    },
    /// The disk filled up while a journal was being sealed. The journal is still complete.
    #[error(
        "no space left to finish {0}: the recording is safe in its journal; free space, then run \
         `reanimator recover {0}`",
        trace.display()
    )]
    Full {
        /// The path of the trace.
        trace: PathBuf,
    },
    /// The trace to be created exists already.
    #[error("{} exists", .0.display())]
    Exists(PathBuf),
    /// The path is not a trace, or its `trace.json` cannot be understood.
    #[error("{} is not a trace: {why}", path.display())]
    NotATrace {
        /// The path that was opened.
        path: PathBuf,
        /// What is wrong.
        why: String,
    },
    /// Another process is recording into the trace.
    #[error("{} is being written by another process: wait for the recording to end", .0.display())]
    Busy(PathBuf),
    /// The trace is not sealed, so that it cannot be read yet.
    #[error(
        "{} is not finished: its recorder was killed; run `reanimator recover {}`",
        .0.display(),
        .0.display()
    )]
    Unfinished(PathBuf),
    /// A later version of this program wrote the trace.
    #[error(
        "{} has format {major}.{minor}, but this reanimator reads {}.x: use a newer one",
        path.display(),
        crate::format::version::MAJOR
    )]
    Newer {
        /// The path of the trace.
        path: PathBuf,
        /// The major version of the trace.
        major: u32,
        /// The minor version of the trace.
        minor: u32,
    },
    /// The trace needs recovery, and its journal has the format of another version of this program.
    #[error(
        "the journal of {} has version {digit}, but this reanimator reads {}: recover it with the \
         one that recorded it",
        path.display(),
        crate::format::version::JOURNAL as char
    )]
    OtherJournal {
        /// The path of the trace.
        path: PathBuf,
        /// The version of the journal.
        digit: char,
    },
    /// A file of the trace has invalid content.
    #[error("{file} is damaged: {what}")]
    Damaged {
        /// The name of the file in the trace.
        file: String,
        /// What is wrong.
        what: String,
    },
    /// An engine wrote a record that is longer than a journal allows; the number is its length in
    /// bytes.
    #[error("a record of {0} bytes is too long for a journal")]
    RecordTooLong(usize),
    /// An earlier write to the journal failed, so that nothing more is written to it.
    #[error("an earlier write to the journal failed")]
    JournalFailed,
    /// An I/O error without a file name.
    #[error(transparent)]
    Plain(#[from] io::Error),
}

impl Error {
    /// Returns a function that makes an [`Error::Io`] of an I/O error. `doing` is a verb, `path`
    /// the file.
    pub(crate) fn io(
        doing: &'static str,
        path: impl AsRef<Path>,
    ) -> impl FnOnce(io::Error) -> Self {
        let path = path.as_ref().to_owned();
        move |source| Self::Io { doing, path, source }
    }
    /// Returns an [`Error::Damaged`]: `file` is the name of a file of the trace, `what` says what
    /// is wrong.
    pub fn damaged(file: impl Into<String>, what: impl Into<String>) -> Self {
        Self::Damaged { file: file.into(), what: what.into() }
    }
    /// Returns whether the cause is a missing permission or a read-only file system.
    pub fn is_refused(&self) -> bool {
        use io::ErrorKind::{PermissionDenied, ReadOnlyFilesystem};
        match self {
            Self::Io { source, .. } | Self::Plain(source) => {
                matches!(source.kind(), PermissionDenied | ReadOnlyFilesystem)
            }
            _ => false,
        }
    }
    /// Returns whether the cause is a full disk, an exhausted quota, or a file at the limit
    /// RLIMIT_FSIZE.
    pub fn is_full(&self) -> bool {
        match self {
            Self::Full { .. } => true,
            Self::Io { source, .. } | Self::Plain(source) => crate::storage::is_full(source),
            _ => false,
        }
    }
}

/// Returns the text of an error and of its causes, separated by colons, on one line.
pub fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text = format!("{text}: {cause}");
        source = cause.source();
    }
    text
}
