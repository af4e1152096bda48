//! Recording with the first engine that works on this machine.

use super::advice::with_advice;
use super::args::Args;
use super::target::Target;
use crate::filter::Filter;
use crate::messages::Messages;
use crate::messages::failure;
use anyhow::Result;
use capture::{DataLimit, OutcomeFilter, ThisMachine};
use model::Model;
use std::fs;
use std::path::Path;
use std::sync::Arc;
use trace::{Recording, RecordingInfo};

pub type Watched = (&'static dyn capture::Engine, Recording, capture::Outcome);

/// Records the target with the first engine that works here. Returns the engine, the unsealed
/// recording, and how the program ended. Leaves no files if no engine works.
pub fn record_with_engine(
    a: &Args,
    target: &Target,
    options: &capture::Options,
    path: &Path,
    messages: &Messages,
) -> Result<Watched> {
    // Only eBPF sees processes besides the recorded ones, and filters by outcome in the kernel.
    let in_kernel = options.outcomes != OutcomeFilter::ALL
        || matches!(target, Target::Cgroup(_) | Target::Machine);
    let mut candidates = a.engine.candidates(a.seccomp, in_kernel).iter().peekable();
    loop {
        let engine = *candidates.next().expect("the last candidate returns");
        let about = recording_info(a, target, engine.name());
        let recording = Recording::create(path, about, Arc::new(Model::of(ThisMachine)));
        let recording = failure::with_advice(recording, path)?;
        let watched = match target {
            Target::Command(command) => engine.record_command(command, options, &recording),
            Target::Processes(pids) => engine.record_attach(pids, options, &recording),
            Target::Cgroup(cgroup) => engine.record_system_wide(Some(cgroup), options, &recording),
            Target::Machine => engine.record_system_wide(None, options, &recording),
        };
        match watched {
            Ok(watched) => return Ok((engine, recording, watched)),
            Err(error) => {
                // Nothing ran: nothing is left behind.
                drop(recording);
                let _best = fs::remove_dir_all(path);
                match candidates.peek() {
                    Some(next) if matches!(error, capture::Error::EbpfUnavailable { .. }) => {
                        messages.detail(format_args!(
                            "watching with {}, as {}",
                            next.name(),
                            failure::causes(&error)
                        ));
                    }
                    _ => return with_advice(Err(error), in_kernel),
                }
            }
        }
    }
}

/// Collects the facts that the trace keeps about the recording: command, options, and this machine.
fn recording_info(a: &Args, target: &Target, engine: &str) -> RecordingInfo {
    let (command, joined) = match target {
        Target::Command(command) => (command.argv.clone(), Vec::new()),
        Target::Processes(_) | Target::Cgroup(_) | Target::Machine => (Vec::new(), a.pid.clone()),
    };
    RecordingInfo {
        command,
        joined,
        engine: engine.to_owned(),
        filter: Filter::to_line(&a.filter),
        data: match a.data {
            DataLimit::All => "all".to_owned(),
            DataLimit::Writes => "writes".to_owned(),
            DataLimit::None => "none".to_owned(),
            DataLimit::Bytes(n) => n.to_string(),
        },
        snapshot: a.snapshot,
        version: env!("CARGO_PKG_VERSION").to_owned(),
        ..capture::collect_host_facts()
    }
}
