//! Errors that keep a recording from beginning.

use std::io;
use std::path::PathBuf;

/// Why nothing was recorded.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// There is no such program.
    #[error("{0}: command not found")]
    NotFound(String),
    /// The program exists and cannot be executed.
    #[error("cannot execute {}", program.display())]
    NotExecutable {
        /// The file of the program.
        program: PathBuf,
        /// The cause.
        source: io::Error,
    },
    /// A process could not be attached to.
    #[error("cannot attach to process {pid}")]
    Attach {
        /// The process.
        pid: i32,
        /// The cause.
        source: io::Error,
    },
    /// The eBPF engine cannot be used on this machine, or not with this user's privileges. Nothing
    /// has been started or changed.
    #[error("eBPF cannot be used: cannot {doing}")]
    EbpfUnavailable {
        /// What failed, as it follows "cannot".
        doing: &'static str,
        /// The cause.
        source: io::Error,
        /// What the user can do about it, if that is known.
        hint: Option<&'static str>,
    },
    /// A signal arrived before the command was started.
    #[error("interrupted before the command was started")]
    Interrupted {
        /// The signal.
        signal: i32,
    },
    /// The journal could not be created.
    #[error("cannot create the trace's journal")]
    Journal(#[source] trace::Error),
    /// An operation of the system that recording needs failed.
    #[error("cannot {doing}")]
    Refused {
        /// What failed, as it follows "cannot".
        doing: &'static str,
        /// The cause.
        source: io::Error,
    },
}

impl Error {
    /// Returns a function that makes [`Error::Refused`] of an I/O error, for `map_err`. `doing`
    /// says what failed, as it follows "cannot".
    pub(crate) fn refused(doing: &'static str) -> impl FnOnce(io::Error) -> Self {
        move |source| Self::Refused { doing, source }
    }
    /// Returns the exit status that a shell gives in this case: 127 if the program was not found,
    /// 126 if it cannot be executed, 125 otherwise.
    pub fn status(&self) -> u8 {
        match self {
            Self::NotFound(_) => 127,
            Self::NotExecutable { .. } => 126,
            Self::Attach { .. }
            | Self::Journal(_)
            | Self::EbpfUnavailable { .. }
            | Self::Interrupted { .. }
            | Self::Refused { .. } => 125,
        }
    }
}
