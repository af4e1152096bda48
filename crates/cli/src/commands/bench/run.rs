//! One replay on one target, by a process of its own: each begins with nothing left over from
//! another.

use super::{Args, Target, value_name};
use crate::commands::replay::progress::LINE;
use crate::commands::replay::temporary::TemporaryRoot;
use ::replay::Root;
use anyhow::{Context, Result, anyhow};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read};
use std::os::fd::{AsFd, AsRawFd};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::thread;
use std::time::Duration;

/// How often an interruption is looked for.
const TICK: Duration = Duration::from_millis(100);

/// What a replay brought.
pub struct Run {
    pub elapsed_s: f64,
    pub calls: f64,
    pub bytes: f64,
    /// It did not come out as the recording.
    pub different: bool,
    /// The first call that failed otherwise than recorded, and how many did.
    pub failed: Option<String>,
    /// Times of the calls, by name.
    pub latency: BTreeMap<String, Value>,
    /// The whole report.
    pub report: Value,
}

/// How far a replay is: what it does, and how much of it is done.
pub type Heard<'a> = &'a mut dyn FnMut(&str, u64, u64);

/// Returns the path of the directory in which this process replays on a target.
fn replay_directory(target: &Target) -> PathBuf {
    target.dir.join(format!("reanimator-bench.{}", std::process::id()))
}

/// Replays the trace once in a new directory on the target, and removes the directory. `hear` is
/// called with the progress.
pub fn replay_once(
    a: &Args,
    trace: &Path,
    target: &Target,
    stop: &AtomicBool,
    hear: Heard<'_>,
) -> Result<Run> {
    let path = replay_directory(target);
    let made =
        TemporaryRoot::create(&path).with_context(|| format!("cannot make {}", path.display()));
    let (root, temporary) = made?;
    let done = prepare_and_replay(a, trace, &root, stop, hear);
    temporary.remove().with_context(|| format!("cannot remove {}", path.display()))?;
    done
}

/// Prepares the root, writes all cached data to the disk, drops the page cache if `--cold` was
/// given, and replays. Both steps run in child processes of this program.
fn prepare_and_replay(
    a: &Args,
    trace: &Path,
    root: &Root,
    stop: &AtomicBool,
    hear: Heard<'_>,
) -> Result<Run> {
    hear("preparing", 0, 1);
    let trace = &std::path::absolute(trace).context("cannot find the current directory")?;
    let mut prepare = command_in_root(root)?;
    prepare.args(["-q", "prepare", "--json", "--root", "."]).arg(trace);
    run_and_parse(&mut prepare, stop, hear)?;
    rustix::fs::sync();
    if a.cold {
        std::fs::write(DROP_CACHES, "3").with_context(|| format!("cannot write {DROP_CACHES}"))?;
    }
    let (order, pace, verify) = (value_name(&a.order), a.pace.to_string(), value_name(&a.verify));
    let options = ["-q", "replay", "--json", "--timing", "--prepared", "--progress-lines"];
    let mut replay = command_in_root(root)?;
    replay.args(options).args(["--order", &order, "--pace", &pace, "--verify", &verify]);
    replay.args(a.trust.then_some("--trust")).args(["--root", "."]).arg(trace);
    let report = run_and_parse(&mut replay, stop, hear)?;
    let number = |name: &str| report[name].as_f64().unwrap_or(0.0);
    Ok(Run {
        elapsed_s: number("elapsed_s"),
        calls: number("performed"),
        bytes: number("moved_bytes"),
        different: number("divergences") > 0.0 || report["state"]["different"].as_u64() != Some(0),
        failed: describe_failure(&report),
        latency: report["latency"]
            .as_object()
            .map(|o| o.iter().map(|(k, v)| (k.clone(), v.clone())).collect())
            .unwrap_or_default(),
        report,
    })
}

/// Where the kernel is told to drop the page cache.
pub const DROP_CACHES: &str = "/proc/sys/vm/drop_caches";

/// Describes the first call that failed here and had not failed when it was recorded. Returns
/// `None` if there is none.
fn describe_failure(report: &Value) -> Option<String> {
    let first = report["first_failed"].as_object()?;
    let text = |name: &str| first[name].as_str().unwrap_or_default().to_owned();
    let file = Some(text("file")).filter(|file| !file.is_empty());
    let more = report["failed"].as_u64().unwrap_or(1).saturating_sub(1);
    Some(format!(
        "#{} {}{}: {}, and {} when recorded{}",
        first["seq"],
        text("call"),
        file.map(|file| format!(" {file}")).unwrap_or_default(),
        text("got"),
        text("expected"),
        if more > 0 { format!("; so did {more} more calls") } else { String::new() }
    ))
}

/// Returns a command that runs this program with the root as working directory.
///
/// The root is not passed by name: if this process is killed before the child opens the root, the
/// root is removed, and a name would create it again.
fn command_in_root(root: &Root) -> Result<Command> {
    let mut command = Command::new(std::env::current_exe().context("cannot find this program")?);
    command.current_dir(format!("/proc/self/fd/{}", root.as_fd().as_raw_fd()));
    Ok(command)
}

/// Runs this program as `command` and returns the JSON document that it prints. Its progress lines
/// go to `hear`. Once `stop` is set, the child gets SIGTERM. Fails with the child's error message
/// if it has no document.
fn run_and_parse(command: &mut Command, stop: &AtomicBool, hear: Heard<'_>) -> Result<Value> {
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().context("cannot run this program again")?;
    let (Some(mut out), Some(err)) = (child.stdout.take(), child.stderr.take()) else {
        return Err(anyhow!("cannot read from this program"));
    };
    let out = thread::spawn(move || {
        let mut text = Vec::new();
        out.read_to_end(&mut text).map(|_| text)
    });
    let (sender, lines) = channel();
    let err = thread::spawn(move || {
        for line in BufReader::new(err).split(b'\n').map_while(Result::ok) {
            let _gone = sender.send(String::from_utf8_lossy(&line).into_owned());
        }
    });
    let mut said = Vec::new();
    let mut told = false;
    loop {
        match lines.recv_timeout(TICK) {
            Ok(line) => match line.strip_prefix(LINE).map(parse_progress) {
                Some(Some((phase, done, of))) => hear(phase, done, of),
                Some(None) => {}
                None => said.push(line),
            },
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => break,
        }
        if stop.load(Relaxed) && !told {
            told = true;
            let _gone = kill_process(Pid::from_child(&child), Signal::TERM);
        }
    }
    let status = child.wait().context("cannot wait for this program")?;
    let _ended = err.join();
    let text = out.join().ok().and_then(Result::ok).unwrap_or_default();
    match serde_json::from_slice(&text) {
        Ok(report) if matches!(status.code(), Some(0 | 1)) => Ok(report),
        _ => match said.iter().find_map(|line| line.strip_prefix("error: ")) {
            Some(error) => Err(anyhow!("{error}")),
            None => Err(anyhow!("a replay ended without a report ({status})")),
        },
    }
}

/// Parses a progress line, `PHASE DONE OF`.
fn parse_progress(line: &str) -> Option<(&str, u64, u64)> {
    let mut words = line.split(' ');
    let phase = words.next()?;
    Some((phase, words.next()?.parse().ok()?, words.next()?.parse().ok()?))
}
