//! `reanimator recover`: finish a trace whose recorder was killed.

use crate::args::TraceArg;
use crate::talk::Talk;
use anyhow::Result;

/// Finish a trace whose recording did not end in order (every reading command does this by itself)
///
/// What was written up to the last whole frame of the journal becomes a trace with the verdict "incomplete".
#[derive(clap::Args, Debug)]
#[command(after_help = "\
Examples:
  reanimator recover make.ra
  reanimator recover --json make.ra | jq .calls")]
pub struct Args {
    #[command(flatten)]
    pub trace: TraceArg,
    /// What was recovered as one JSON document, like that of `info --json`
    #[arg(long)]
    pub json: bool,
}

/// `reanimator recover`.
pub fn run(_: &Args, _: &Talk) -> Result<()> {
    anyhow::bail!("recover is not built yet")
}
