//! How a running program is watched.
//!
//! An engine watches a program and puts what it sees into a journal, as the plans of `abi` say.
//! There is one way in for every engine, [`Engine`]; what they emit is the same, so that nothing
//! behind the journal knows which one it was. A program that is watched behaves as if it were not:
//! its output, its signals and its end are its own, and should the recorder fail or die, it goes on
//! unwatched.

mod command;
mod ebpf;
mod error;
mod inspect;
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

/// A way of watching.
pub trait Engine {
    /// Its name, as `--engine` and traces have it.
    fn name(&self) -> &'static str;
    /// Runs a command and watches it until it and all its descendants have ended, or until the user
    /// interrupts twice.
    fn record_command(
        &self,
        command: &Command,
        options: &Options,
        recording: &Recording,
    ) -> Result<Outcome, Error>;
    /// Watches running processes until they have ended, or until the user interrupts.
    fn record_attach(
        &self,
        pids: &[i32],
        options: &Options,
        recording: &Recording,
    ) -> Result<Outcome, Error>;
    /// Watches all processes in the cgroup (v2) with this directory, or, without one, on the whole
    /// machine except this recorder, until the user interrupts.
    fn record_system_wide(
        &self,
        cgroup: Option<&std::path::Path>,
        options: &Options,
        recording: &Recording,
    ) -> Result<Outcome, Error>;
}

/// How the main program ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ProgramEnd {
    /// It exited with this status.
    Exited(i32),
    /// This signal killed it.
    Signaled(i32),
    /// It goes on: we left it, or it was one of several that we joined.
    Running,
}

/// What an engine tells when it is done.
#[derive(Debug)]
pub struct Outcome {
    /// How the command ended (with several processes joined: [`ProgramEnd::Running`]).
    pub end: ProgramEnd,
    /// What the user should know, once each.
    pub notes: Vec<String>,
    /// How long calls were delayed, all together, as the trace could not be written as fast.
    pub delay: std::time::Duration,
    /// Whether we left while something was still running.
    pub detached: bool,
    /// Why the journal could not be written; the program was left to itself then.
    pub journal_error: Option<trace::Error>,
    /// What the engine knows that it did not see, a sentence each: the trace is incomplete.
    pub missing: Vec<String>,
}
