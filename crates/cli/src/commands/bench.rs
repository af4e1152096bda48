//! `reanimator bench`: one's own workload on several file systems or disks, in turn, side by side.

mod canvas;
mod plot;
mod run;
mod spread;
pub mod table;

use crate::commands::replay;
use crate::commands::replay::levels::{Order, Verify};
use crate::messages::Messages;
use crate::messages::Outcome;
use crate::messages::failure::{self, Advise};
use crate::options::TraceArg;
use crate::output::colour::Colours;
use crate::output::{json, stdout};
use crate::traces::reading;
use ::replay::Pace;
use anyhow::{Context, Result, bail};
use clap::builder::{OsStringValueParser, TypedValueParser};
use plot::{Plot, Theme};
use run::Run;
use rustix::fs::{Access, access};
use serde_json::json;
use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::flag;
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use trace::Trace;

/// Replay a trace on several targets and compare their speed
///
/// Each replay gets a new directory on its target, which is removed afterwards. The initial files
/// are created and written to disk before the clock starts. The targets take turns, so that other
/// load on the machine affects all of them alike.
///
/// Exit status: 0 if all replays were the same as the recording, 1 if one was different, 2 if one
/// failed.
#[derive(clap::Args, Debug)]
#[command(after_help = "\
Examples:
  reanimator bench app.ra --target ext4=/mnt/a --target xfs=/mnt/b
      Compare two file systems
  reanimator bench app.ra --target hdd=/mnt/a --target ssd=/mnt/b --cold
      Compare two disks, starting with an empty page cache
  reanimator bench app.ra --target here=. --repeat 5 --plot latency.svg
      Replay five times, and draw the distribution of times")]
pub struct Args {
    #[command(flatten)]
    pub trace: TraceArg,
    /// A directory to replay in, and its name in the report
    #[arg(
        long = "target",
        value_name = "NAME=DIR",
        required = true,
        value_parser = OsStringValueParser::new().try_map(|text| parse_target(&text))
    )]
    pub targets: Vec<Target>,
    /// How many times to replay on each target
    #[arg(long, value_name = "N", default_value_t = 3)]
    #[arg(value_parser = clap::value_parser!(u32).range(1..=1000))]
    pub repeat: u32,
    /// Drop the page cache before each replay (needs root)
    #[arg(long)]
    pub cold: bool,
    /// Which calls a call waits for: as for `replay`
    #[arg(long, value_enum, value_name = "ORDER", default_value_t = Order::Overlap)]
    #[arg(hide_possible_values = true)]
    pub order: Order,
    /// When calls start: as for `replay`
    #[arg(long, value_name = "PACE", default_value = "asap")]
    pub pace: Pace,
    /// What to compare: as for `replay`
    #[arg(long, value_enum, value_name = "LEVEL", default_value_t = Verify::Result)]
    #[arg(hide_possible_values = true)]
    pub verify: Verify,
    /// Run without Landlock: as for `replay`
    #[arg(long)]
    pub trust: bool,
    /// Draw a plot of elapsed times and the calls' times: FILE.svg or FILE.png
    #[arg(long, value_name = "FILE", value_hint = clap::ValueHint::FilePath)]
    pub plot: Option<PathBuf>,
    /// Colours of the plot
    #[arg(long, value_enum, value_name = "THEME", default_value_t = Theme::Light)]
    pub plot_theme: Theme,
    /// Print all figures as a JSON document
    #[arg(long)]
    pub json: bool,
}

/// A place to replay in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target {
    pub name: String,
    pub dir: PathBuf,
}

/// Parses a `--target NAME=DIR`.
fn parse_target(text: &OsStr) -> Result<Target, String> {
    let bytes = text.as_bytes();
    let at = bytes.iter().position(|b| *b == b'=').unwrap_or_default();
    let (name, dir) = (&bytes[..at], bytes.get(at + 1..).unwrap_or_default());
    match std::str::from_utf8(name) {
        Ok(name) if !name.is_empty() && !dir.is_empty() => {
            Ok(Target { name: name.to_owned(), dir: OsStr::from_bytes(dir).into() })
        }
        _ => Err("expected NAME=DIR, like ext4=/mnt/a".to_owned()),
    }
}

/// Returns the word that a user types to select this value of an option.
fn value_name(choice: &impl clap::ValueEnum) -> String {
    choice.to_possible_value().map(|v| v.get_name().to_owned()).unwrap_or_default()
}

/// A target's replays.
pub struct Measured<'a> {
    pub target: &'a Target,
    pub runs: Vec<Run>,
    /// Why it has no times: a call failed otherwise than recorded, or replay could not be done.
    pub failed: Option<String>,
}

/// All that was measured.
pub struct Bench<'a> {
    /// The trace's name,
    pub trace: String,
    /// the host that it was recorded on, by which engine, and how long that took.
    pub host: String,
    pub engine: String,
    pub recorded_s: f64,
    /// On each target.
    pub repeats: usize,
    /// Results were compared.
    pub compared: bool,
    pub measured: Vec<Measured<'a>>,
}

impl Bench<'_> {
    /// Returns the targets that have times: those whose replays did not fail.
    fn timed(&self) -> Vec<&Measured<'_>> {
        self.measured.iter().filter(|m| m.failed.is_none() && !m.runs.is_empty()).collect()
    }
}

/// Runs `reanimator bench`: replays the trace several times on each target, and prints a
/// comparison. The exit status is 1 if a replay failed or differed from the recording.
pub fn run(a: &Args, messages: &Messages) -> Result<Outcome> {
    let trace = reading::open_trace(&a.trace, messages)?;
    replay::warn_if_not_replayable(&trace, messages);
    let stop = Arc::new(AtomicBool::new(false));
    for signal in [SIGINT, SIGTERM] {
        flag::register(signal, stop.clone()).context("cannot catch signals")?;
    }
    check_args(a)?;
    let plot = a.plot.as_deref().map(|file| Plot::new(file, a.plot_theme)).transpose()?;
    let (about, summary) = (trace.recording_info(), trace.summary());
    let span = summary.first.zip(summary.last).map_or(0, |(a, b)| b.saturating_sub(a));
    let file = trace.path().file_name().unwrap_or(trace.path().as_os_str());
    let measured = a.targets.iter();
    let mut bench = Bench {
        trace: file.to_string_lossy().into_owned(),
        host: about.host.clone(),
        engine: about.engine.clone(),
        recorded_s: span as f64 / 1e9,
        repeats: a.repeat as usize,
        compared: a.verify != Verify::None,
        measured: measured
            .map(|t| Measured { target: t, runs: Vec::new(), failed: None })
            .collect(),
    };
    let (done, trouble) = measure(a, messages, &trace, &mut bench.measured, &stop);

    let all = a.repeat as usize * a.targets.len();
    if stop.load(Relaxed) && done == 0 {
        bail!("the benchmark was interrupted before the first of {all} replays was done");
    }
    if a.json {
        stdout::print_json(&to_json(a, &trace, &bench))?;
    } else {
        stdout::print_text(&table::report(&bench, Colours::for_stream(&std::io::stdout())))?;
    }
    if stop.load(Relaxed) {
        bail!("the benchmark was interrupted after {done} of {all} replays");
    }
    if let Some(plot) = plot {
        if bench.timed().is_empty() {
            bail!("no plot is drawn, as no target has times");
        }
        let shown = plot.path().display().to_string();
        plot.draw(&bench)?;
        messages.say(format_args!("the plot is in {shown}"));
    }
    if let Some(trouble) = trouble {
        bail!("{trouble}");
    }
    let is_different =
        |m: &Measured<'_>| m.failed.is_some() || m.runs.iter().any(|run| run.different);
    Ok(Outcome::Status(i32::from(bench.measured.iter().any(is_different))))
}

/// Replays on each target in turn, `--repeat` times. Returns the number of replays that were done,
/// and the first error that kept a target from being measured.
fn measure(
    a: &Args,
    messages: &Messages,
    trace: &Trace,
    measured: &mut [Measured<'_>],
    stop: &AtomicBool,
) -> (usize, Option<String>) {
    let (targets, calls) = (measured.len(), trace.summary().calls);
    let all = calls * u64::from(a.repeat) * targets as u64;
    let progress = messages.progress("measuring");
    let (mut turns, mut done, mut trouble) = (0, 0, None);
    for round in 0..a.repeat as usize {
        // No target is always the first.
        for turn in 0..targets {
            let of = &mut measured[(round + turn) % targets];
            let before = calls * turns;
            turns += 1;
            if stop.load(Relaxed) || of.failed.is_some() {
                continue;
            }
            let mut hear = |phase: &str, done: u64, of_all: u64| {
                let (name, round) = (&of.target.name, round + 1);
                let done = match phase {
                    "replaying" => done.min(of_all),
                    "comparing" => calls,
                    _ => 0,
                };
                progress.set_position(before + done, all);
                progress.set_detail(format_args!("{phase} on {name}, {round} of {}", a.repeat));
            };
            match run::replay_once(a, trace.path(), of.target, stop, &mut hear) {
                _ if stop.load(Relaxed) => {}
                Ok(run) => {
                    of.failed.clone_from(&run.failed);
                    of.runs.push(run);
                    done += 1;
                }
                Err(error) => {
                    let why = failure::error_text(&error);
                    trouble.get_or_insert(format!("replaying on {}: {why}", of.target.name));
                    of.failed = Some(why);
                }
            }
        }
    }
    (done, trouble)
}

/// Checks what would otherwise fail only after minutes of measuring: that the targets' names
/// differ, that their directories are writable, and that `--cold` can drop the page cache.
fn check_args(a: &Args) -> Result<()> {
    for (i, target) in a.targets.iter().enumerate() {
        if a.targets[..i].iter().any(|t| t.name == target.name) {
            bail!("two targets have the name {}", target.name);
        }
        // A file is no directory, whatever may be done with it.
        access(target.dir.join("."), Access::WRITE_OK | Access::EXEC_OK)
            .with_context(|| format!("cannot make a directory in {}", target.dir.display()))
            .advise("--target names a directory that exists and that you may write to")?;
    }
    if a.cold {
        let written = std::fs::OpenOptions::new().write(true).open(run::DROP_CACHES);
        written
            .with_context(|| format!("--cold cannot write {}", run::DROP_CACHES))
            .advise("only root can drop the page cache: run it with sudo, or without --cold")?;
    }
    Ok(())
}

/// Returns the document that `--json` prints.
fn to_json(a: &Args, trace: &Trace, bench: &Bench<'_>) -> serde_json::Value {
    let target = |m: &Measured<'_>| {
        let elapsed = (m.failed.is_none() && !m.runs.is_empty()).then(|| m.elapsed());
        json!({
            "name": m.target.name,
            "dir": json::bytes_to_json(m.target.dir.as_os_str().as_bytes()),
            "elapsed_s": elapsed,
            "failed": m.failed,
            "runs": m.runs.iter().map(|run| &run.report).collect::<Vec<_>>(),
        })
    };
    json!({
        "trace": json::bytes_to_json(trace.path().as_os_str().as_bytes()),
        "host": bench.host,
        "engine": bench.engine,
        "recorded_s": bench.recorded_s,
        "repeat": a.repeat,
        "cold": a.cold,
        "order": value_name(&a.order),
        "pace": a.pace.to_string(),
        "quantiles": &::replay::report::QUANTILES[..],
        "targets": bench.measured.iter().map(target).collect::<Vec<_>>(),
    })
}

impl Measured<'_> {
    /// Returns the median duration of this target's replays, in seconds.
    pub fn elapsed(&self) -> f64 {
        median(self.runs.iter().map(|r| r.elapsed_s))
    }
}

/// Returns the median of the values, or 0 if there are none.
pub fn median(values: impl Iterator<Item = f64>) -> f64 {
    let mut values: Vec<f64> = values.collect();
    values.sort_by(f64::total_cmp);
    match values.len() {
        0 => 0.0,
        n if n % 2 == 1 => values[n / 2],
        n => f64::midpoint(values[n / 2 - 1], values[n / 2]),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn targets_have_names() {
        let target = |text: &str| parse_target(text.as_ref());
        assert_eq!(target("a=/b=c"), Ok(Target { name: "a".to_owned(), dir: "/b=c".into() }));
        assert!(["/mnt/a", "=x", "x=", ""].iter().all(|text| target(text).is_err()));
    }

    #[test]
    fn medians() {
        assert_eq!(
            (
                median([3.0, 1.0, 2.0].into_iter()),
                median([4.0, 1.0].into_iter()),
                median([].into_iter())
            ),
            (2.0, 2.5, 0.0)
        );
    }
}
