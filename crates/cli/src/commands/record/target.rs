//! What is recorded: a command, processes, a cgroup or the machine; and how messages name it.

use super::advice::with_advice;
use super::args::Args;
use super::sudo;
use crate::messages::{Messages, failure};
use anyhow::{Context, Result};
use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};

/// What is recorded.
pub enum Target {
    Command(Box<capture::Command>),
    Processes(Vec<i32>),
    Cgroup(PathBuf),
    Machine,
}

/// Returns what to record: a command (run as the user that called sudo, under sudo), processes, a
/// cgroup, or the whole machine.
pub fn from_args(a: &Args, caller: Option<&sudo::Caller>, messages: &Messages) -> Result<Target> {
    if !a.pid.is_empty() {
        let pids = a
            .pid
            .iter()
            .map(|pid| i32::try_from(*pid).with_context(|| format!("{pid} is not a process id")));
        return Ok(Target::Processes(pids.collect::<Result<_>>()?));
    }
    if a.all {
        return Ok(Target::Machine);
    }
    if let Some(cgroup) = &a.cgroup {
        return Ok(Target::Cgroup(cgroup.clone()));
    }
    let mut command = with_advice(capture::Command::new(&a.command), false)?;
    if let Some(caller) = caller {
        messages.detail(format_args!(
            "running {} as user {}, who called sudo",
            command.program.display(),
            caller.uid
        ));
        command.credentials = Some(capture::Credentials {
            uid: caller.uid,
            gid: caller.gid,
            groups: caller.groups.clone(),
        });
        command.environment = Some(caller.environment());
    }
    Ok(Target::Command(Box::new(command)))
}

/// Returns the name of the recorded program, from which the trace's name is made.
pub fn program_name(target: &Target) -> OsString {
    match target {
        Target::Command(command) => command.argv.first().cloned().unwrap_or_default(),
        Target::Cgroup(cgroup) => cgroup.file_name().unwrap_or_default().to_owned(),
        Target::Machine => "machine".into(),
        Target::Processes(pids) => {
            let pid = pids.first().copied().unwrap_or_default();
            let name = fs::read_to_string(format!("/proc/{pid}/comm")).unwrap_or_default();
            let name = name.trim().replace('/', "_");
            if name.is_empty() { pid.to_string().into() } else { name.into() }
        }
    }
}

/// Describes the processes that are attached to, for messages. Returns `None` for a command, which
/// is not attached to.
pub fn describe_attached(target: &Target) -> Option<String> {
    let name = |pid: i32| {
        let name = fs::read_to_string(format!("/proc/{pid}/comm")).unwrap_or_default();
        failure::printable(name.trim())
    };
    match target {
        Target::Command(_) => None,
        Target::Processes(pids) => match &pids[..] {
            [pid] => Some(format!("process {pid} ({})", name(*pid))),
            pids => Some(format!("{} processes", pids.len())),
        },
        Target::Cgroup(cgroup) => Some(format!("the cgroup {}", cgroup.display())),
        Target::Machine => Some("the whole machine".to_owned()),
    }
}

/// Describes which recorded processes go on running, or have ended. Returns `None` for a command
/// that has ended. `joined` is from [`describe_attached`].
pub fn describe_end(
    target: &Target,
    joined: Option<&str>,
    watched: &capture::Outcome,
) -> Option<String> {
    match (target, joined) {
        (Target::Processes(pids), Some(joined)) => {
            let runs = |pid: &&i32| Path::new(&format!("/proc/{pid}")).exists();
            let left = pids.iter().filter(runs).count();
            let ended = format!("{joined} {} ended", if pids.len() == 1 { "has" } else { "have" });
            Some(match left {
                _ if !watched.detached => ended,
                0 => format!("{ended}; left child processes running"),
                n if n == pids.len() => format!("left {joined} running"),
                n => format!("left {n} of {joined} running"),
            })
        }
        (Target::Command(_), _) if watched.detached => Some("left the program running".to_owned()),
        _ => None,
    }
}
