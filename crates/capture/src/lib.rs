//! How a running program is watched.
//!
//! An engine watches a program and puts what it sees into a journal, as the plans of `abi` say. There is one way in for every engine, [`Engine`]; what they
//! emit is the same, so that nothing behind the journal knows which one it was. A program that is watched behaves as if it were not: its output, its
//! signals and its end are its own, and should the recorder fail or die, it goes on unwatched.

mod along;
mod climb;
mod command;
mod die;
mod ebpf;
mod error;
mod identity;
mod inherited;
mod launch;
mod machine;
mod memory;
mod options;
mod out;
mod outcome;
mod plans;
mod policy;
mod present;
mod ptrace;
mod seccomp;
mod source;
mod spare;
mod user;

pub use command::{Command, Credentials, resolve};
pub use die::{Wiped, die_of};
pub use ebpf::{Ebpf, Path as CopyPath, usable as ebpf_usable};
pub use error::Error;
pub use inherited::{outlive_limits, own_proc_files};
pub use machine::ThisMachine;
pub use options::{Begun, DataLimit, Options, Outcomes, Wanted};
pub use outcome::{End, Outcome};
pub use ptrace::Ptrace;
pub use user::{Listening, ignores};

use trace::Recording;

/// A way of watching.
pub trait Engine {
    /// Its name, as `--engine` and traces have it.
    fn name(&self) -> &'static str;
    /// Runs a command and watches it until it and all its descendants have ended, or until the user interrupts twice.
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
    /// Watches whoever makes calls in the cgroup (v2) with this directory, or, without one, on the whole machine except ourselves, until the user interrupts.
    fn record_everybody(
        &self,
        cgroup: Option<&std::path::Path>,
        options: &Options,
        recording: &Recording,
    ) -> Result<Outcome, Error>;
}
