//! `reanimator recover`: finish a trace whose recorder was killed.

use crate::args::TraceArg;
use crate::talk::Talk;
use crate::units::{bytes, counted};
use crate::{info, reading, stdout};
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

/// `reanimator recover`.
pub fn run(a: &Args, talk: &Talk) -> Result<()> {
    let (trace, recovered) = reading::finished(&a.trace, talk)?;
    let summary = trace.summary();
    if !recovered {
        talk.say(format_args!("nothing to do: {} is already finished", trace.path().display()));
    }
    if a.json {
        return stdout::json(&info::document(&trace));
    }
    let (calls, bytes) = (counted(summary.calls, "call", "calls"), bytes(summary.bytes_on_disk));
    stdout::text(&format!("{}  {calls}  {bytes}  {}\n", trace.path().display(), summary.verdict))?;
    for reason in &summary.reasons {
        talk.say(format_args!("  {reason}"));
    }
    Ok(())
}
