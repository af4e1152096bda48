//! `reanimator prepare`: make the files that a program found, and perform no call.

use crate::args::TraceArg;
use crate::replay::{explained, root};
use crate::talk::Talk;
use crate::units::{bytes, count};
use crate::{reading, stdout};
use ::replay::Options;
use anyhow::Result;
use std::path::PathBuf;

/// Make the files that the program found, as far as the trace knows them, and perform no call
///
/// What the program never read stands there as zeros without blocks. The directory can then be changed, copied or measured, and replayed in: reanimator replay
/// --prepared --root DIR.
#[derive(clap::Args, Debug)]
#[command(after_help = "\
Examples:
  reanimator prepare --root /mnt/new/r make.ra
  reanimator replay --prepared --root /mnt/new/r make.ra")]
pub struct Args {
    #[command(flatten)]
    pub trace: TraceArg,
    /// Make them inside this directory, which must be empty or not exist
    #[arg(long, value_name = "DIR")]
    pub root: PathBuf,
    /// Set set-user-ID and set-group-ID bits and file capabilities even where other users can reach
    /// the directory: as for `replay`
    #[arg(long)]
    pub allow_set_id: bool,
    /// What was made, as one JSON document on stdout
    #[arg(long)]
    pub json: bool,
}

/// `reanimator prepare`. Starts no thread, as `replay`.
pub fn run(a: &Args, talk: &Talk) -> Result<()> {
    let trace = reading::open(&a.trace, talk)?;
    let root = root(Some(&a.root), trace.path(), false)?;
    let shown = root.path().display().to_string();
    let options = Options { allow_set_id: a.allow_set_id, ..Options::new(root) };
    let made = explained(replay::prepare_root(&trace, &options))?;
    if a.json {
        return stdout::json(&serde_json::json!({
            "root": shown,
            "files": made.names,
            "withheld": made.withheld,
            "bytes": made.bytes,
            "assumed_bytes": made.assumed,
            "not_made": made.skipped,
            "refused": made.refused,
        }));
    }
    let assumed = if made.assumed > 0 {
        format!(", {} that nobody read assumed as zeros", bytes(made.assumed))
    } else {
        String::new()
    };
    stdout::text(&format!(
        "{}  {} names, {}{assumed}\n",
        shown,
        count(made.names),
        bytes(made.bytes)
    ))?;
    if made.skipped > 0 {
        talk.warn(format_args!("{} devices were not made", count(made.skipped)));
    }
    if made.unread > 0 {
        talk.warn(format_args!(
            "{} symbolic links lead nowhere: the trace does not tell where they led",
            count(made.unread)
        ));
    }
    if made.withheld > 0 {
        talk.warn(format_args!(
            "set-user-ID and set-group-ID bits or capabilities of {} files were withheld, as other \
             users can reach {shown}: --allow-set-id, or a directory below one of mode 0700",
            count(made.withheld)
        ));
    }
    if made.refused > 0 {
        talk.warn(format_args!(
            "{} owners or attributes could not be set here",
            count(made.refused)
        ));
    }
    Ok(())
}
