//! `reanimator info`: what a trace is, without reading its calls.

use crate::args::TraceArg;
use crate::talk::Talk;
use anyhow::Result;

/// Say what a trace holds: command, verdict, how many calls, processes and bytes
#[derive(clap::Args, Debug)]
#[command(after_help = "\
Examples:
  reanimator info                              of the newest trace
  reanimator info --json ls.ra | jq .verdict")]
pub struct Args {
    #[command(flatten)]
    pub trace: TraceArg,
    /// One JSON document
    #[arg(long)]
    pub json: bool,
}

/// `reanimator info`.
pub fn run(_: &Args, _: &Talk) -> Result<()> {
    anyhow::bail!("info is not built yet")
}
