//! `reanimator replay`: perform a trace again, and say what was different.

use crate::args::TraceArg;
use crate::outcome::Outcome;
use crate::talk::Talk;
use std::path::PathBuf;

/// Perform a trace again in a directory, and compare all results, all bytes, the final tree
///
/// Nothing outside the directory is touched: replay runs in a mount namespace of its own with that directory as its root, under Landlock. The files that
/// the program found are made first, from the trace. Exit status: 0 all was the same, 1 something was different, 2 replay could not be done.
#[derive(clap::Args, Debug)]
#[command(after_help = "\
Examples:
  reanimator replay                            the newest trace, in a fresh directory
  reanimator replay --root /mnt/new/r ls.ra    on another file system
  reanimator replay --json ls.ra | jq .divergences")]
pub struct Args {
    #[command(flatten)]
    pub trace: TraceArg,
    /// Perform it inside this directory, which must be empty or not exist [default: a fresh one, which is named]
    #[arg(long, value_name = "DIR")]
    pub root: Option<PathBuf>,
    /// Print at most so many divergences
    #[arg(long, value_name = "N", default_value_t = 20)]
    pub show: usize,
    /// The report as one JSON document on stdout
    #[arg(long)]
    pub json: bool,
}

/// `reanimator replay`.
pub fn run(_: &Args, _: &Talk) -> Outcome {
    Outcome::Failed(anyhow::anyhow!("replay is not built yet"), 2)
}
