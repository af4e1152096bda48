//! `reanimator stat -- COMMAND`: records the command into a temporary trace, without data.

use super::Args;
use crate::commands::record;
use crate::filter::Filter;
use crate::messages::{Messages, Outcome, failure};
use anyhow::{Context, Result};
use clap::{FromArgMatches, Parser};
use std::ffi::OsString;
use trace::Trace;

/// The command line of a recording.
#[derive(Parser)]
#[command(no_binary_name = true)]
struct Recording {
    #[command(flatten)]
    args: record::Args,
}

/// Records the command of the options, prints its statistics, and removes the trace. Returns the
/// outcome of the command.
pub fn record_and_print(a: &Args, filter: &Filter, messages: &Messages) -> Result<Outcome> {
    let dir = tempfile::Builder::new()
        .prefix("reanimator-stat-")
        .tempdir()
        .context("cannot create a temporary directory")?;
    let path = dir.path().join("trace.ra");
    let words = ["--data", "none", "--output"].map(OsString::from);
    let words = words.into_iter().chain([path.clone().into(), "--".into()]);
    let matches = <Recording as clap::CommandFactory>::command()
        .try_get_matches_from(words.chain(a.command.iter().cloned()))?;
    let Recording { args } = Recording::from_arg_matches(&matches)?;
    let outcome = record::run(&args, &messages.warnings_only());
    if matches!(outcome, Outcome::Failed(..)) {
        return Ok(outcome);
    }
    let trace = failure::with_advice(Trace::open(&path), &path)?;
    super::print(a, filter, &trace)?;
    dir.close().context("cannot remove the temporary trace")?;
    Ok(outcome)
}
