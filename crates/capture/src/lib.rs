//! Recording engines: how the system calls of running programs are observed.
//!
//! An engine ([`Engine`]) observes programs and writes one record for each system call and process
//! event to the journal. Which bytes a record holds follows from the capture plans of `abi`, so all
//! engines write the same records, and nothing that reads the journal depends on the engine. A
//! recorded program behaves as it does without a recorder: output, signals and exit status are its
//! own, and it goes on unrecorded if the recorder fails or is killed.

mod command;
mod ebpf;
mod error;
mod inspect;
mod mapped_files;
mod options;
mod plans;
mod ptrace;
mod records;
mod signals;
mod threads;

pub use command::inherited::{prepare_for_resource_limits, set_dumpable};
pub use command::{Command, Credentials, find_executable};
pub use ebpf::{CopyMethod, Ebpf, check_ebpf};
pub use error::Error;
pub use inspect::recorded_on::collect_host_facts;
pub use inspect::this_machine::ThisMachine;
pub use options::{CallSet, DataLimit, OnStart, Options, OutcomeFilter};
pub use ptrace::Ptrace;
pub use signals::{LineWiper, SignalListener, exit_by_signal, is_signal_ignored};

use trace::Recording;

/// An engine: one way of observing programs.
pub trait Engine {
    /// Returns the name of the engine, as in `--engine` and in traces.
    fn name(&self) -> &'static str;
    /// Starts a command and records it until it and all its descendants have ended, or until the
    /// user has interrupted twice. Fails if nothing could be recorded; the command has not been
    /// executed then.
    fn record_command(
        &self,
        command: &Command,
        options: &Options,
        recording: &Recording,
    ) -> Result<Outcome, Error>;
    /// Records the running processes `pids` until they have ended, or until the user interrupts.
    /// Fails if one of them cannot be attached to.
    fn record_attach(
        &self,
        pids: &[i32],
        options: &Options,
        recording: &Recording,
    ) -> Result<Outcome, Error>;
    /// Records all processes in the cgroup (version 2) with this directory, or all processes of the
    /// machine except this recorder if `cgroup` is `None`, until the user interrupts.
    fn record_system_wide(
        &self,
        cgroup: Option<&std::path::Path>,
        options: &Options,
        recording: &Recording,
    ) -> Result<Outcome, Error>;
}

/// How the main program ended: the command, or the only process that was attached to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ProgramEnd {
    /// It exited with this status.
    Exited(i32),
    /// It was killed by this signal.
    Signaled(i32),
    /// It still runs, since the recording ended before it; or several processes were attached to.
    Running,
}

/// The result of a recording, apart from the trace itself.
#[derive(Debug)]
pub struct Outcome {
    /// How the main program ended.
    pub end: ProgramEnd,
    /// Messages for the user, each one once.
    pub notes: Vec<String>,
    /// For how long calls were delayed in total, since the trace could not be written as fast.
    pub delay: std::time::Duration,
    /// Whether recorded threads were still running when the recording ended.
    pub detached: bool,
    /// Why the journal could not be written. Recording stopped then, and the program went on.
    pub journal_error: Option<trace::Error>,
    /// What the engine failed to observe, one sentence each. If there is any, the trace is
    /// incomplete.
    pub missing: Vec<String>,
}
