//! `reanimator bench`: one's own workload on several file systems or disks, in turn, side by side.

mod plot;
mod run;
mod table;

use crate::args::TraceArg;
use crate::failure::Advise;
use crate::replay::choices::{Order, Verify};
use crate::talk::Talk;
use crate::{reading, stdout};
use ::replay::Pace;
use anyhow::{Context, Result, bail};
use run::Run;
use serde_json::json;
use std::path::PathBuf;

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
    #[arg(long = "target", value_name = "NAME=DIR", required = true, value_parser = target)]
    pub targets: Vec<Target>,
    /// How many times to replay on each target
    #[arg(long, value_name = "N", default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..=1000))]
    pub repeat: u32,
    /// Drop the page cache before each replay (needs root)
    #[arg(long)]
    pub cold: bool,
    /// Which calls a call waits for: as for `replay`
    #[arg(long, value_enum, value_name = "ORDER", default_value_t = Order::Overlap, hide_possible_values = true)]
    pub order: Order,
    /// When calls start: as for `replay`
    #[arg(long, value_name = "PACE", default_value = "asap")]
    pub pace: Pace,
    /// What to compare: as for `replay`
    #[arg(long, value_enum, value_name = "LEVEL", default_value_t = Verify::Result, hide_possible_values = true)]
    pub verify: Verify,
    /// Run without Landlock: as for `replay`
    #[arg(long)]
    pub trust: bool,
    /// Draw the distributions of the calls' times into this SVG file
    #[arg(long, value_name = "FILE")]
    pub plot: Option<PathBuf>,
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

fn target(text: &str) -> Result<Target, String> {
    match text.split_once('=') {
        Some((name, dir)) if !name.is_empty() && !dir.is_empty() => {
            Ok(Target { name: name.to_owned(), dir: dir.into() })
        }
        _ => Err("expected NAME=DIR, like ext4=/mnt/a".to_owned()),
    }
}

/// What the user types for a choice.
fn name(choice: &impl clap::ValueEnum) -> String {
    choice.to_possible_value().map(|v| v.get_name().to_owned()).unwrap_or_default()
}

/// A target's replays.
pub struct Measured<'a> {
    pub target: &'a Target,
    pub runs: Vec<Run>,
}

/// `reanimator bench`.
pub fn run(a: &Args, talk: &Talk) -> Result<crate::outcome::Outcome> {
    let trace = reading::open(&a.trace, talk)?;
    for (i, target) in a.targets.iter().enumerate() {
        if a.targets[..i].iter().any(|t| t.name == target.name) {
            bail!("two targets are called {}", target.name);
        }
        if !target.dir.is_dir() {
            let missing: Result<()> =
                Err(anyhow::anyhow!("{} is not a directory", target.dir.display()));
            missing.advise("make it, or mount the file system that is to be measured there")?;
        }
    }
    let mut measured: Vec<Measured<'_>> =
        a.targets.iter().map(|target| Measured { target, runs: Vec::new() }).collect();
    let progress = talk.progress("measuring");
    let all = u64::from(a.repeat) * measured.len() as u64;
    for round in 0..a.repeat as usize {
        // Nobody always comes first.
        for turn in 0..measured.len() {
            let place = (round + turn) % measured.len();
            let of = &mut measured[place];
            of.runs.push(
                run::once(a, trace.path(), of.target)
                    .with_context(|| format!("replaying on {}", of.target.name))?,
            );
            progress.at((round * a.targets.len() + turn + 1) as u64, all);
        }
    }
    drop(progress);
    if let Some(file) = &a.plot {
        plot::draw(file, &measured).with_context(|| format!("cannot draw {}", file.display()))?;
    }
    if a.json {
        let targets: Vec<_> =
            measured.iter().map(|m| json!({"name": m.target.name, "dir": m.target.dir, "elapsed_s": m.elapsed(), "runs": m.reports()})).collect();
        stdout::json(
            &json!({"trace": trace.path(), "repeat": a.repeat, "cold": a.cold, "order": name(&a.order), "pace": a.pace.to_string(), "targets": targets}),
        )?;
    } else {
        stdout::text(&table::of(&measured, a.verify != Verify::None))?;
    }
    if let Some(file) = &a.plot {
        talk.say(format_args!("the distributions are in {}", file.display()));
    }
    Ok(crate::outcome::Outcome::Status(i32::from(
        measured.iter().any(|m| m.runs.iter().any(|r| r.different)),
    )))
}

impl Measured<'_> {
    /// Median of the replays' times, seconds.
    pub fn elapsed(&self) -> f64 {
        median(self.runs.iter().map(|r| r.elapsed_s))
    }
    fn reports(&self) -> Vec<&serde_json::Value> {
        self.runs.iter().map(|r| &r.report).collect()
    }
}

/// The median; 0 of nothing.
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
        assert_eq!(target("a=/b=c"), Ok(Target { name: "a".to_owned(), dir: "/b=c".into() }));
        assert!(target("/mnt/a").is_err() && target("=x").is_err() && target("x=").is_err());
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
