//! `reanimator recover`: finish a trace whose recorder was killed.

use crate::commands::info;
use crate::messages::Messages;
use crate::options::TraceArg;
use crate::output::stdout;
use crate::output::units::{format_bytes, format_counted};
use crate::traces::reading;
use anyhow::Result;

/// Finish a trace whose recorder was killed
///
/// The calls written before the end become a trace with the verdict "incomplete". Every command
/// that reads a trace does this by itself.
#[derive(clap::Args, Debug)]
#[command(after_help = "\
Examples:
  reanimator recover make.ra
  reanimator recover --json make.ra | jq .calls")]
pub struct Args {
    #[command(flatten)]
    pub trace: TraceArg,
    /// Print a JSON document, like `info --json`
    #[arg(long)]
    pub json: bool,
}

/// Runs `reanimator recover`: seals the journal of a recording that did not end in order, and
/// prints a summary.
pub fn run(a: &Args, messages: &Messages) -> Result<()> {
    let (trace, recovered) = reading::open_or_recover(&a.trace, messages)?;
    let summary = trace.summary();
    if !recovered {
        messages.say(format_args!("nothing to do: {} is already finished", trace.path().display()));
    }
    if a.json {
        return stdout::print_json(&info::to_json(&trace));
    }
    let (calls, bytes) =
        (format_counted(summary.calls, "call", "calls"), format_bytes(summary.bytes_on_disk));
    stdout::print_text(&format!(
        "{}  {calls}  {bytes}  {}\n",
        trace.path().display(),
        summary.verdict
    ))?;
    for reason in &summary.reasons {
        messages.say(format_args!("  {reason}"));
    }
    Ok(())
}
