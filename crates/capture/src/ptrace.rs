//! The ptrace engine: works everywhere, stops the program twice a call.

use crate::{Command, Engine, Error, Options, Outcome};
use trace::journal::Journal;

/// The ptrace engine.
#[derive(Clone, Copy, Debug)]
pub struct Ptrace;

impl Engine for Ptrace {
    fn name(&self) -> &'static str {
        "ptrace"
    }
    fn record_command(&self, command: &Command, options: &Options, journal: Journal) -> Result<Outcome, Error> {
        let _ = (command, options, journal);
        Err(Error::Refused { doing: "record", source: std::io::ErrorKind::Unsupported.into() })
    }
    fn record_attach(&self, pids: &[i32], options: &Options, journal: Journal) -> Result<Outcome, Error> {
        let _ = (pids, options, journal);
        Err(Error::Refused { doing: "record", source: std::io::ErrorKind::Unsupported.into() })
    }
}
