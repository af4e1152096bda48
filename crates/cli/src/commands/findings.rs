//! `reanimator findings`: what in a trace costs time or can lose data.

mod document;
mod list;
mod text;

use crate::filter::{Filter, Status};
use crate::messages::{Messages, Outcome, failure};
use crate::options::TraceArg;
use crate::output::stdout;
use crate::traces::reading;
use analyze::{Findings, Recorded, Settings};
use anyhow::Result;
use trace::Trace;

/// Say what in a trace costs time, or can lose data in a crash.
///
/// Each finding says in a sentence what the program does, what that costs and how the cost is
/// computed, up to ten places with the numbers of calls, a query to look further, and a remedy.
/// Rules of safety come first. Rules of speed follow, those that cost most first; they are shown
/// from 1 % of the time on during which at least one thread was in a call on files, or from 100 ms
/// on (`--set floor.share=0.01`, `--set floor.time=100ms`).
///
/// The exit status is 0 if nothing is found, 1 if something is, 2 for trouble. A rule that the
/// trace does not let decide is named, with the reason.
#[derive(clap::Args, Debug)]
#[command(after_help = "\
Examples:
  reanimator findings
      Say what stands out in the newest trace
  reanimator findings --rule sync-per-record --rule small-io app.ra
      Apply two rules
  reanimator findings --set small-io.size=512 --set floor.time=10ms app.ra
      Apply the rules with other thresholds
  reanimator findings --json app.ra | jq '.findings[].sentence'
      Write one sentence for each finding
  reanimator findings --list
      Show all rules with their thresholds")]
pub struct Args {
    #[command(flatten)]
    pub trace: TraceArg,
    /// Apply only this rule; may be given several times
    #[arg(long, value_name = "NAME")]
    pub rule: Vec<String>,
    /// Leave out this rule; may be given several times
    #[arg(long, value_name = "NAME")]
    pub ignore: Vec<String>,
    /// Set a threshold, like small-io.size=512; may be given several times
    #[arg(long, value_name = "RULE.KEY=VALUE")]
    pub set: Vec<String>,
    /// List all rules with their definitions and thresholds, and read no trace
    #[arg(long, conflicts_with_all = ["trace", "rule", "ignore", "set"])]
    pub list: bool,
    /// Print a JSON document
    #[arg(long)]
    pub json: bool,
}

/// Runs `reanimator findings`.
pub fn run(a: &Args, messages: &Messages) -> Outcome {
    find_and_print(a, messages).into()
}

/// Prints the findings or the rules, and returns the exit status.
fn find_and_print(a: &Args, messages: &Messages) -> Result<Outcome> {
    if a.list {
        match a.json {
            true => stdout::print_json(&list::to_json())?,
            false => stdout::print_text(&list::to_text(text::width()))?,
        }
        return Ok(Outcome::Status(0));
    }
    let settings = settings(a)?;
    let trace = reading::open_trace(&a.trace, messages)?;
    let findings = find(&trace, &settings)?;
    match a.json {
        true => stdout::print_json(&document::to_json(&trace, &findings))?,
        false => stdout::print_text(&text::to_text(&trace, &findings))?,
    }
    Ok(Outcome::Status(i32::from(!findings.found.is_empty())))
}

/// Parses the options that choose and set rules.
fn settings(a: &Args) -> Result<Settings> {
    let mut settings = Settings::default();
    a.rule.iter().try_for_each(|rule| settings.only(rule))?;
    a.ignore.iter().try_for_each(|rule| settings.ignore(rule))?;
    a.set.iter().try_for_each(|text| settings.set(text))?;
    Ok(settings)
}

/// Applies the rules to a trace.
fn find(trace: &Trace, settings: &Settings) -> Result<Findings> {
    // A filter of another program's (imported traces) selects nothing that is known here.
    let filter = Filter::from_line(&trace.recording_info().filter).unwrap_or_default();
    let number = |nr: u32| filter.has_number(nr);
    let outcomes = [Status::Successful, Status::Failed, Status::Unfinished];
    let chosen = filter.needs_paths() || !outcomes.iter().all(|s| filter.has_status(*s));
    let recorded = Recorded { number: &number, chosen };
    failure::with_advice(analyze::find(trace, settings, &recorded), trace.path())
}
