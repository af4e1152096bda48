//! What `reanimator replay` prints at its end: each difference, and the outcome as a table.

mod context;
pub mod skipped;
pub mod table;
pub mod timing;
mod width;

use super::Args;
use super::levels::Verify;
use crate::messages::Messages;
use crate::output::colour::Colours;
use crate::output::{json, stdout};
use ::replay::Report;
use anyhow::Result;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use trace::Trace;

/// Prints each divergence and each difference of the final tree on lines of its own, then notes on
/// the whole replay. Races and explained differences are printed only with `-v`.
pub fn print_differences(
    a: &Args,
    messages: &Messages,
    trace: &Trace,
    report: &Report,
) -> Result<()> {
    let before = context::calls_before(trace, &report.shown);
    for divergence in &report.shown {
        print_line(a.json, messages, &width::fit_to_width(&format!("divergence: {divergence}")))?;
        for line in before.get(&divergence.seq).into_iter().flatten() {
            print_line(a.json, messages, &width::shorten(&format!("    before it: {line}")))?;
        }
    }
    for line in &report.state.lines {
        print_line(a.json, messages, &width::fit_to_width(&format!("state: {line}")))?;
    }
    for explained in &report.explained_shown {
        messages.detail(width::fit_to_width(&format!("explained: {explained}")));
    }
    for race in &report.races_shown {
        messages.detail(width::fit_to_width(&format!("race: {race}")));
    }
    for line in &report.state.raced_lines {
        messages.detail(width::fit_to_width(&format!("race: {line}")));
    }
    for line in &report.state.excluded_lines {
        messages.detail(width::fit_to_width(&format!("compared only in part: {line}")));
    }
    for note in &report.notes {
        messages.say(format_args!("note: {note}"));
    }
    Ok(())
}

/// Prints a line about a difference: to stdout, or as a message on stderr if stdout gets a JSON
/// document.
fn print_line(json: bool, messages: &Messages, line: &str) -> Result<()> {
    if json {
        messages.say(line);
        Ok(())
    } else {
        stdout::print_text(&format!("{line}\n"))
    }
}

/// Prints the outcome as a table or as a JSON document. `root` is where the calls were performed.
/// `temporary` is the directory to remove with `rm -r`, if replay made one.
pub fn print_outcome(
    a: &Args,
    trace: &Trace,
    report: &Report,
    root: &Path,
    temporary: Option<&Path>,
) -> Result<()> {
    let is_compared = a.verify != Verify::None;
    let is_kept = report.exit_code() != 0;
    if a.json {
        let mut document = serde_json::to_value(report)?;
        document["root"] = json::bytes_to_json(root.as_os_str().as_bytes());
        document["trace"] = json::bytes_to_json(trace.path().as_os_str().as_bytes());
        document["outcome"] = table::describe_outcome(report, is_compared).0.into();
        document["root_kept"] = (temporary.is_none() || is_kept).into();
        return stdout::print_json(&document);
    }
    let mut text =
        table::outcome_table(report, is_compared, Colours::for_stream(&std::io::stdout()))?;
    if let Some(all) = temporary.filter(|_| is_kept) {
        let (shown, all) = (root.display(), all.display());
        text += &format!("kept         {shown}, to look at the differences (rm -r {all})\n");
    }
    if a.timing {
        text += &timing::latency_table(&report.latency, &trace.recording_info().engine);
    }
    stdout::print_text(&text)
}
