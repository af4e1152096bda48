//! What can go wrong before a program is watched.

use std::io;
use std::path::PathBuf;

/// Why nothing was recorded.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// No such program.
    #[error("{0}: command not found")]
    NotFound(String),
    /// It is there and cannot be executed.
    #[error("cannot execute {}", program.display())]
    NotExecutable {
        /// The program.
        program: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A process could not be joined.
    #[error("cannot attach to process {pid}")]
    Attach {
        /// The process.
        pid: i32,
        /// Why.
        source: io::Error,
    },
    /// The eBPF engine does not work here, or not for us; nothing has happened yet.
    #[error("eBPF cannot be used: cannot {doing}")]
    EbpfUnavailable {
        /// What was tried.
        doing: &'static str,
        /// Why.
        source: io::Error,
        /// What helps, if that is known.
        hint: Option<&'static str>,
    },
    /// A signal came before the command was started.
    #[error("interrupted before the command was started")]
    Interrupted {
        /// The signal.
        signal: i32,
    },
    /// There is nowhere to write.
    #[error("cannot create the trace's journal")]
    Journal(#[source] trace::Error),
    /// The machine refuses to let one process watch another.
    #[error("cannot {doing}")]
    Refused {
        /// What was tried.
        doing: &'static str,
        /// Why.
        source: io::Error,
    },
}

impl Error {
    pub(crate) fn refused(doing: &'static str) -> impl FnOnce(io::Error) -> Self {
        move |source| Self::Refused { doing, source }
    }
    /// The exit status that shells give in this case: 127 not found, 126 not executable, 125
    /// otherwise.
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
