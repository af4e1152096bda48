//! `reanimator prepare`: make the files that a program found, and perform no call.

use crate::commands::replay::{root, with_advice};
use crate::messages::Messages;
use crate::options::TraceArg;
use crate::output::units::{format_bytes, format_count};
use crate::output::{json, stdout};
use crate::traces::reading;
use ::replay::Options;
use anyhow::Result;
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;

/// Create a trace's initial files without replaying any call
///
/// File contents that the trace does not have become holes. The directory can be changed, copied or
/// measured, and then used: reanimator replay --prepared --root DIR.
#[derive(clap::Args, Debug)]
#[command(after_help = "\
Examples:
  reanimator prepare --root /mnt/new/r make.ra
  reanimator replay --prepared --root /mnt/new/r make.ra")]
pub struct Args {
    #[command(flatten)]
    pub trace: TraceArg,
    /// Create the files in this directory, which must be empty or not exist
    #[arg(long, value_name = "DIR", value_hint = clap::ValueHint::DirPath)]
    pub root: PathBuf,
    /// Set set-user-ID bits, set-group-ID bits and file capabilities in every directory: as for
    /// `replay`
    #[arg(long)]
    pub allow_set_id: bool,
    /// Print what was created as a JSON document
    #[arg(long)]
    pub json: bool,
}

/// Runs `reanimator prepare`: creates the files that the trace needs. Like `replay`, it starts no
/// thread.
pub fn run(a: &Args, messages: &Messages) -> Result<()> {
    let trace = reading::open_trace(&a.trace, messages)?;
    let root = root::open_root(&a.root, false)?;
    let (place, shown) = (root.path().to_owned(), root.path().display().to_string());
    let options = Options { allow_set_id: a.allow_set_id, ..Options::new(root) };
    let made = with_advice(replay::prepare_root(&trace, &options))?;
    if a.json {
        return stdout::print_json(&serde_json::json!({
            "root": json::bytes_to_json(place.as_os_str().as_bytes()),
            "files": made.names,
            "withheld": made.withheld,
            "bytes": made.bytes,
            "assumed": made.assumed,
            "not_made": made.skipped,
            "refused": made.refused,
        }));
    }
    let assumed = if made.assumed > 0 {
        format!(", {} that no call read made as zeros", format_bytes(made.assumed))
    } else {
        String::new()
    };
    stdout::print_text(&format!(
        "{}  {} names, {}{assumed}\n",
        shown,
        format_count(made.names),
        format_bytes(made.bytes)
    ))?;
    if made.skipped > 0 {
        messages.warn(format_args!("{} devices were not made", format_count(made.skipped)));
    }
    if made.unread > 0 {
        messages.warn(format_args!(
            "{} symbolic links have no target: the trace does not have it",
            format_count(made.unread)
        ));
    }
    if made.withheld > 0 {
        messages.warn(format_args!(
            "set-user-ID and set-group-ID bits or capabilities of {} files were withheld, as other \
             users can reach {shown}: --allow-set-id, or a directory below one of mode 0700",
            format_count(made.withheld)
        ));
    }
    if made.refused > 0 {
        messages.warn(format_args!(
            "{} owners or attributes could not be set here",
            format_count(made.refused)
        ));
    }
    Ok(())
}
