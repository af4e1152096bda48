//! How the program ends: with a status, or by the signal that ended the recorded program.

use crate::messages::Messages;
use crate::messages::failure;
use std::process::exit;

/// How the program ends after a subcommand.
#[derive(Debug)]
pub enum Outcome {
    /// End with this status.
    Status(i32),
    /// End by this signal, as the recorded program did.
    Signal(i32),
    /// Say what went wrong and end with this status.
    Failed(anyhow::Error, i32),
}

impl Outcome {
    /// Ends the process with this outcome; prints the error if it failed.
    pub fn end(self, messages: &Messages) -> ! {
        match self {
            Self::Status(status) => exit(status),
            Self::Signal(signal) => capture::exit_by_signal(signal),
            // The reader of our output has seen enough (`| head`).
            Self::Failed(error, _) if is_broken_pipe(&error) => exit(0),
            Self::Failed(error, status) => {
                messages.error(&failure::error_text(&error), failure::advice_of(&error));
                exit(status)
            }
        }
    }
}

impl From<anyhow::Result<()>> for Outcome {
    fn from(result: anyhow::Result<()>) -> Self {
        match result {
            Ok(()) => Self::Status(0),
            Err(error) => Self::Failed(error, failure::error_status()),
        }
    }
}

impl From<anyhow::Result<Outcome>> for Outcome {
    fn from(result: anyhow::Result<Outcome>) -> Self {
        result.unwrap_or_else(|error| Self::Failed(error, failure::error_status()))
    }
}

/// Returns whether the error is that the reader of a pipe has closed it.
fn is_broken_pipe(error: &anyhow::Error) -> bool {
    error.chain().any(|cause| {
        cause
            .downcast_ref::<std::io::Error>()
            .is_some_and(|e| e.kind() == std::io::ErrorKind::BrokenPipe)
            || cause
                .downcast_ref::<serde_json::Error>()
                .is_some_and(|e| e.io_error_kind() == Some(std::io::ErrorKind::BrokenPipe))
    })
}
