//! `reanimator verify`: is the trace sound, and does a directory look as the program left its
//! files?

use crate::messages::Messages;
use crate::messages::Outcome;
use crate::messages::failure;
use crate::options::TraceArg;
use crate::output::stdout;
use crate::output::units::{format_bytes, format_count};
use crate::traces::reading;
use anyhow::{Context, Result};
use model::Tables;
use replay::state::{self, CompareOptions};
use serde_json::json;
use std::path::{Path, PathBuf};
use trace::record::RecordKind;
use trace::{Item, ReadOptions, Summary, Trace};

/// Check a trace for damage and gaps, or compare a directory with its final state
///
/// A trace is checked for wrong checksums, data that cannot be read, missing calls and calls
/// without a return.
///
/// Exit status: 0 if nothing is wrong, 1 if something is missing or different, 2 if the check
/// failed.
#[derive(clap::Args, Debug)]
#[command(after_help = "\
Examples:
  reanimator verify make.ra
      Check the trace
  reanimator verify make.ra --against /mnt/new/r
      List the files that differ from those that the program left")]
pub struct Args {
    #[command(flatten)]
    pub trace: TraceArg,
    /// Compare the files in this directory with the final state in the trace
    #[arg(long, value_name = "DIR", value_hint = clap::ValueHint::DirPath)]
    pub against: Option<PathBuf>,
    /// Print at most this many differences
    #[arg(long, value_name = "N", default_value_t = 20)]
    pub show: usize,
    /// Print the result as a JSON document
    #[arg(long)]
    pub json: bool,
}

/// Runs `reanimator verify`: checks a trace, or compares a directory with the trace's final state.
pub fn run(a: &Args, messages: &Messages) -> Outcome {
    let done = reading::open_trace(&a.trace, messages).and_then(|trace| match &a.against {
        None => verify_trace(a, &trace, messages),
        Some(dir) => compare_directory(a, &trace, dir, messages),
    });
    done.into()
}

/// What reading all of a trace shows.
#[derive(Default)]
struct Findings {
    calls: u64,
    events: u64,
    unreturned: u64,
    /// Calls that are missing, by the numbers of the records around them.
    gaps: u64,
    bytes: u64,
    /// Calls that stand after a later one, or that returned before they began.
    backwards: u64,
    wrong: Vec<String>,
}

/// Reads the whole trace, checks it against its checksums and counts, and prints the result. The
/// exit status is 0 if the trace is undamaged and complete, else 1.
fn verify_trace(a: &Args, trace: &Trace, messages: &Messages) -> Result<Outcome> {
    let summary = trace.summary();
    let mut findings = Findings::default();
    check_calls(trace, &mut findings, messages)?;
    check_files(trace, &mut findings)?;
    let (calls, events) = (findings.calls, findings.events);
    if findings.wrong.is_empty() && (calls, events) != (summary.calls, summary.events) {
        findings.wrong.push(format!(
            "trace.json says {} calls and {} events, but there are {calls} and {events}",
            summary.calls, summary.events
        ));
    }
    if findings.backwards > 0 {
        findings.wrong.push(format!("{} calls are out of order", format_count(findings.backwards)));
    }
    let is_sound = findings.wrong.is_empty();
    let is_whole = is_sound && summary.verdict == trace::Verdict::Complete;
    if a.json {
        stdout::print_json(&json!({
            "sound": is_sound,
            "verdict": summary.verdict.to_string(),
            "wrong": findings.wrong,
            "reasons": summary.reasons,
            "calls": findings.calls,
            "events": findings.events,
            "unreturned": findings.unreturned,
            "gaps": findings.gaps,
            "bytes": findings.bytes,
        }))?;
    } else {
        stdout::print_text(&findings_table(&findings, summary, is_whole))?;
    }
    Ok(Outcome::Status(i32::from(!is_whole)))
}

/// Reads all calls and events, and counts what is wrong. Damage is a finding; fails only if the
/// trace's files may not be read.
fn check_calls(trace: &Trace, findings: &mut Findings, messages: &Messages) -> Result<()> {
    let summary = trace.summary();
    let progress = messages.progress("verifying");
    // A call without data is work, too.
    let work = |calls: u64, bytes: u64| bytes.saturating_add(calls.saturating_mul(256));
    let all = work(summary.calls, summary.bytes_captured);
    let mut last = 0;
    for item in trace.read(ReadOptions { data: true }) {
        match item {
            Ok(Item::Call(call)) => {
                findings.calls += 1;
                findings.unreturned += u64::from(call.was_executed() && !call.returned());
                findings.backwards += u64::from(
                    call.entered < last || call.exited.is_some_and(|left| left < call.entered),
                );
                last = call.entered;
                findings.bytes += call.payloads.iter().map(|p| p.bytes.len() as u64).sum::<u64>();
                if findings.calls.is_multiple_of(64) {
                    progress.set_position(work(findings.calls, findings.bytes).min(all), all);
                }
            }
            Ok(Item::Event(event)) => {
                findings.events += 1;
                let gap = if event.kind == RecordKind::Gap { event.args[1].max(1) } else { 0 };
                findings.gaps = findings.gaps.saturating_add(gap);
            }
            // What may not be read is not damaged.
            Err(e) if e.is_refused() => return Err(e.into()),
            Err(e) => {
                findings.wrong.push(failure::causes(&e));
                break;
            }
        }
    }
    Ok(())
}

/// Reads the tables about files. Damage is a finding; fails only if they may not be read.
fn check_files(trace: &Trace, findings: &mut Findings) -> Result<()> {
    for (name, read) in [
        ("the manifest", trace.files().map(drop)),
        ("the initial content", trace.origins().and_then(|mut o| o.try_for_each(|o| o.map(drop)))),
    ] {
        if let Err(e) = read {
            if e.is_refused() {
                return Err(e.into());
            }
            findings.wrong.push(format!("{name}: {}", failure::causes(&e)));
        }
    }
    // Some tables are only for queries.
    for table in trace.sealed().skip(trace.segments().len()) {
        match trace.check_file(table) {
            Err(e) if e.is_refused() => return Err(e.into()),
            Err(e) => {
                let causes = failure::causes(&e);
                if !findings.wrong.iter().any(|wrong| wrong.ends_with(&causes)) {
                    findings.wrong.push(causes);
                }
            }
            Ok(()) => {}
        }
    }
    Ok(())
}

/// Returns the result of the check as text.
fn findings_table(findings: &Findings, summary: &Summary, is_whole: bool) -> String {
    let mut text = String::new();
    for wrong in &findings.wrong {
        text.push_str(&format!("damaged: {wrong}\n"));
    }
    for reason in &summary.reasons {
        text.push_str(&format!("incomplete: {reason}\n"));
    }
    let (calls, events) = (format_count(findings.calls), format_count(findings.events));
    let data = format_bytes(findings.bytes);
    text.push_str(&format!(
        "read         {calls} calls and {events} events with {data}, all checksums compared\n"
    ));
    let (unreturned, gaps) = (format_count(findings.unreturned), format_count(findings.gaps));
    text.push_str(&format!(
        "pairing      {unreturned} calls that never returned, {gaps} calls lost in gaps\n"
    ));
    let outcome = match is_whole {
        _ if !findings.wrong.is_empty() => "damaged",
        true => "sound and complete",
        false => "sound, but incomplete",
    };
    text.push_str(&format!("outcome      {outcome}\n"));
    text
}

/// Compares the directory `dir` with the final state of the trace's files, and prints the
/// differences. The exit status is 1 if there are any.
fn compare_directory(a: &Args, trace: &Trace, dir: &Path, messages: &Messages) -> Result<Outcome> {
    let rows = trace.files().context("cannot read the manifest")?;
    let owners = rustix::process::geteuid().is_root();
    // A replay in a root that others can reach has set none of the bits that let them act as owner.
    let withhold = replay::Root::open(dir).is_ok_and(|root| !root.is_secluded());
    let bar = messages.progress("comparing");
    let progress = &mut |done, of| bar.set_position(done, of);
    let outcome = state::compare_tree(&rows, dir, CompareOptions { owners, withhold }, progress)
        .with_context(|| format!("cannot compare {}", dir.display()))?;
    drop(bar);
    let excluded = outcome.excluded.len() as u64;
    let mut names: Vec<&[u8]> = outcome.differences.iter().map(|d| &*d.path).collect();
    names.dedup();
    if a.json {
        let lines: Vec<String> = outcome.differences.iter().map(ToString::to_string).collect();
        stdout::print_json(&json!({
            "compared": outcome.compared,
            "different": names.len(),
            "differences": lines,
            "only_in_part": excluded,
        }))?;
    } else {
        let mut text = String::new();
        for difference in outcome.differences.iter().take(a.show) {
            text.push_str(&format!("{difference}\n"));
        }
        let part = if excluded > 0 {
            format!(", {} only in part", format_count(excluded))
        } else {
            String::new()
        };
        text.push_str(&format!(
            "final tree   {} names compared, {} different{part}\n",
            format_count(outcome.compared),
            format_count(names.len() as u64)
        ));
        text.push_str(&format!(
            "outcome      {}\n",
            if names.is_empty() { "the same" } else { "different" }
        ));
        stdout::print_text(&text)?;
    }
    Ok(Outcome::Status(i32::from(!names.is_empty())))
}
