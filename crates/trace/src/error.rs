//! What can go wrong with a trace. Texts are lowercase fragments; the program puts them into one
//! line and says what to do next.

use std::io;
use std::path::{Path, PathBuf};

/// Why a trace could not be written or read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The operating system refused.
    #[error("cannot {doing} {}", path.display())]
    Io {
        /// A verb: `create`, `write`, `read`.
        doing: &'static str,
        /// The file or directory.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The disk filled up while a journal was being sealed. The journal is whole.
    #[error(
        "no space left to finish {0}: the recording is safe in its journal; free space, then run \
         `reanimator recover {0}`",
        trace.display()
    )]
    Full {
        /// The trace.
        trace: PathBuf,
    },
    /// There is something of this name.
    #[error("{} exists", .0.display())]
    Exists(PathBuf),
    /// No trace, or none that can be understood.
    #[error("{} is not a trace: {why}", path.display())]
    NotATrace {
        /// What was to be opened.
        path: PathBuf,
        /// What is missing.
        why: String,
    },
    /// A process is recording into it.
    #[error("{} is being written by another process: wait for the recording to end", .0.display())]
    Busy(PathBuf),
    /// It is not sealed: nothing can be read yet.
    #[error(
        "{} is not finished: its recorder was killed; run `reanimator recover {}`",
        .0.display(),
        .0.display()
    )]
    Unfinished(PathBuf),
    /// Written by a later version of this program.
    #[error(
        "{} has format {major}.{minor}, but this reanimator reads {}.x: use a newer one",
        path.display(),
        crate::format::version::MAJOR
    )]
    Newer {
        /// The trace.
        path: PathBuf,
        /// Its major version.
        major: u32,
        /// Its minor version.
        minor: u32,
    },
    /// A recorder of another version died over it.
    #[error(
        "the journal of {} has version {digit}, but this reanimator reads {}: recover it with the \
         one that recorded it",
        path.display(),
        crate::format::version::JOURNAL as char
    )]
    OtherJournal {
        /// The trace.
        path: PathBuf,
        /// Its version.
        digit: char,
    },
    /// A file of the trace does not hold what it should.
    #[error("{file} is damaged: {what}")]
    Damaged {
        /// The file's name within the trace.
        file: String,
        /// What is wrong.
        what: String,
    },
    /// An engine gave a record that is longer than a journal takes.
    #[error("a record of {0} bytes is too long for a journal")]
    RecordTooLong(usize),
    /// The journal could not be written earlier and takes nothing more.
    #[error("an earlier write to the journal failed")]
    JournalFailed,
    /// From a part that knows no file.
    #[error(transparent)]
    Plain(#[from] io::Error),
}

impl Error {
    pub(crate) fn io(
        doing: &'static str,
        path: impl AsRef<Path>,
    ) -> impl FnOnce(io::Error) -> Self {
        let path = path.as_ref().to_owned();
        move |source| Self::Io { doing, path, source }
    }
    /// A file of a trace is not what this program wrote.
    pub fn damaged(file: impl Into<String>, what: impl Into<String>) -> Self {
        Self::Damaged { file: file.into(), what: what.into() }
    }
    /// Whether the operating system refused for want of permission, or because the file system is
    /// read-only.
    pub fn is_refused(&self) -> bool {
        use io::ErrorKind::{PermissionDenied, ReadOnlyFilesystem};
        match self {
            Self::Io { source, .. } | Self::Plain(source) => {
                matches!(source.kind(), PermissionDenied | ReadOnlyFilesystem)
            }
            _ => false,
        }
    }
    /// Whether a disk or a quota is full, or a file as long as RLIMIT_FSIZE allows.
    pub fn is_full(&self) -> bool {
        match self {
            Self::Full { .. } => true,
            Self::Io { source, .. } | Self::Plain(source) => crate::storage::is_full(source),
            _ => false,
        }
    }
}

/// An error with its causes, as one line.
pub fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text = format!("{text}: {cause}");
        source = cause.source();
    }
    text
}
