//! `reanimator print`: a trace as strace would have printed it, or as JSON lines.

mod event;

use crate::args::TraceArg;
use crate::talk::Talk;
use anyhow::Result;

/// Print a trace's calls as strace would, or as JSON, one line each
#[derive(clap::Args, Debug)]
#[command(after_help = "\
Examples:
  reanimator print ls.ra                       everything
  reanimator print -y -T -e %file ls.ra        paths only, and how long each call took
  reanimator print -e status=failed ls.ra      what went wrong
  reanimator print -e 'path=*.db-wal' -s 16    the newest trace, one file
  reanimator print --format json ls.ra | jq -r 'select(.call == \"openat\").args.filename'

In JSON, bytes are text, with \\xNN for every byte that is not printable ASCII, and \\\\ for a backslash.")]
pub struct Args {
    #[command(flatten)]
    pub trace: TraceArg,
    /// Which calls: names, !set, %group, /regex, status=failed, path=GLOB
    #[arg(short = 'e', value_name = "EXPR")]
    pub filter: Vec<String>,
    /// For people or for programs
    #[arg(long, value_enum, default_value_t = Format::Text)]
    pub format: Format,
    /// The same as --format json
    #[arg(long)]
    pub json: bool,
    /// Time of day before each line; twice: with microseconds; three times: seconds since 1970
    #[arg(short = 't', action = clap::ArgAction::Count)]
    pub time: u8,
    /// Time since the line before
    #[arg(short = 'r', conflicts_with = "time")]
    pub relative: bool,
    /// Time spent in each call
    #[arg(short = 'T')]
    pub spent: bool,
    /// The path of each descriptor
    #[arg(short = 'y')]
    pub paths: bool,
    /// Strings in hexadecimal where they are not ASCII; twice: always
    #[arg(short = 'x', action = clap::ArgAction::Count)]
    pub hex: u8,
    /// Print at most so many bytes of a string
    #[arg(short = 's', value_name = "N", default_value_t = 32)]
    pub strings: usize,
}

/// How to print.
#[derive(clap::ValueEnum, Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// As strace does
    Text,
    /// One JSON object per call or event and line
    Json,
}

/// `reanimator print`.
pub fn run(_: &Args, _: &Talk) -> Result<()> {
    anyhow::bail!("print is not built yet")
}
