//! What `reanimator replay` prints at its end: each difference, and the outcome as a table.

mod context;
mod lines;
pub mod skipped;
pub mod table;
pub mod timing;

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

/// Prints each difference on lines of its own, and notes on the whole replay.
pub fn differences(a: &Args, messages: &Messages, trace: &Trace, report: &Report) -> Result<()> {
    let before = context::before(trace, &report.shown);
    for divergence in &report.shown {
        show(a.json, messages, &lines::fit(&format!("divergence: {divergence}")))?;
        for line in before.get(&divergence.seq).into_iter().flatten() {
            show(a.json, messages, &lines::shorten(&format!("    before it: {line}")))?;
        }
    }
    for line in &report.state.lines {
        show(a.json, messages, &lines::fit(&format!("state: {line}")))?;
    }
    for explained in &report.explained_shown {
        messages.detail(lines::fit(&format!("explained: {explained}")));
    }
    for race in &report.races_shown {
        messages.detail(lines::fit(&format!("race: {race}")));
    }
    for line in &report.state.raced_lines {
        messages.detail(lines::fit(&format!("race: {line}")));
    }
    for line in &report.state.excluded_lines {
        messages.detail(lines::fit(&format!("compared only in part: {line}")));
    }
    for note in &report.notes {
        messages.say(format_args!("note: {note}"));
    }
    Ok(())
}

/// Lines about differences are data where people read, and messages where a program reads the JSON
/// document.
fn show(json: bool, messages: &Messages, line: &str) -> Result<()> {
    if json {
        messages.say(line);
        Ok(())
    } else {
        stdout::text(&format!("{line}\n"))
    }
}

/// Prints the outcome: a table, or a JSON document. `root` is where the calls were performed;
/// `temporary`, if replay made that directory, is what `rm -r` must remove to be rid of it.
pub fn outcome(
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
        document["root"] = json::text(root.as_os_str().as_bytes());
        document["trace"] = json::text(trace.path().as_os_str().as_bytes());
        document["outcome"] = table::outcome(report, is_compared).0.into();
        document["root_kept"] = (temporary.is_none() || is_kept).into();
        return stdout::json(&document);
    }
    let mut text = table::table(report, is_compared, Colours::of(&std::io::stdout()))?;
    if let Some(all) = temporary.filter(|_| is_kept) {
        let (shown, all) = (root.display(), all.display());
        text += &format!("kept         {shown}, to look at the differences (rm -r {all})\n");
    }
    if a.timing {
        text += &timing::table(&report.latency, &trace.recording_info().engine);
    }
    stdout::text(&text)
}
