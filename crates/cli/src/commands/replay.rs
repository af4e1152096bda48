//! `reanimator replay`: perform a trace again, and say what was different.

pub mod levels;
mod nothing;
pub mod prepare;
pub mod progress;
mod report;
pub mod root;
mod selection;
pub mod temporary;

use self::levels::{Aio, OnDivergence, Order, Uring, Verify};
use self::progress::Bar;
use self::selection::SelectionArgs;
use self::temporary::TemporaryRoot;
use crate::filter::Filter;
use crate::messages::Messages;
use crate::messages::Outcome;
use crate::messages::failure::Advise;
use crate::options::TraceArg;
use crate::output::units::{format_count, format_duration, parse_bytes};
use crate::traces::reading;
use ::replay::{Alteration, Altered, Error, Options, Pace, Root, Selection, replay, replay_source};
use anyhow::{Result, bail};
use clap::ValueHint;
use std::path::PathBuf;
use trace::Trace;

/// Replay a trace in a directory and compare results, data and the final tree
///
/// The trace's initial files are created first. Replay runs in a mount namespace of its own with
/// the directory as its root, under Landlock: nothing outside the directory is changed.
///
/// Exit status: 0 if everything was the same, 1 if something was different, 2 if replay failed.
#[derive(clap::Args, Debug)]
#[command(after_help = "\
Examples:
  reanimator replay
      Replay the newest trace in a new directory
  reanimator replay --root /mnt/new/r ls.ra
      Replay on another file system
  reanimator replay --base snapshot/ ls.ra
      Start from a copy of an existing tree
  reanimator replay --include '/var/lib/db/**' --map /var/lib/db=/db app.ra
      Replay the calls on some files, under another name
  reanimator replay --write-data random app.ra
      Write other data, of the same compressibility
  reanimator replay --pace recorded ls.ra
      Start each call at the time when it was recorded
  reanimator replay --json ls.ra | jq .divergences
      Print how many calls were different")]
pub struct Args {
    #[command(flatten)]
    pub trace: TraceArg,
    /// Replay in this directory, which must be empty or not exist [default: a new one]
    #[arg(long, value_name = "DIR", value_hint = ValueHint::DirPath)]
    pub root: Option<PathBuf>,
    /// Start from a copy of this directory instead of the files in the trace
    #[arg(long, value_name = "DIR", value_hint = ValueHint::DirPath)]
    pub base: Option<PathBuf>,
    /// Use the files in --root as they are, for example those of `reanimator prepare`
    #[arg(long, requires = "root", conflicts_with = "base")]
    pub prepared: bool,
    /// Which calls a call waits for
    #[arg(long, value_enum, value_name = "ORDER", default_value_t = Order::Overlap)]
    pub order: Order,
    /// When calls start: asap, think or recorded, with a factor if wanted (think*0.5)
    ///
    /// asap: at once. think: each thread pauses between calls for as long as in the recording.
    /// recorded: each call at its recorded time.
    #[arg(long, value_name = "PACE", default_value = "asap")]
    pub pace: Pace,
    /// What to compare
    #[arg(long, value_enum, value_name = "LEVEL", default_value_t = Verify::Data)]
    pub verify: Verify,
    /// What to do when a call has another result
    #[arg(long, value_enum, value_name = "WHAT", default_value_t = OnDivergence::Warn)]
    pub on_divergence: OnDivergence,
    /// What performs operations of io_uring
    #[arg(long, value_enum, value_name = "HOW", default_value_t = Uring::Ring)]
    pub uring: Uring,
    /// What performs operations of libaio
    #[arg(long, value_enum, value_name = "HOW", default_value_t = Aio::Context)]
    pub aio: Aio,
    /// Read the whole trace (up to four million calls) into memory before the first call
    #[arg(long, conflicts_with_all = ["memory", "from"])]
    pub preload: bool,
    /// Use about this much memory at most, like 256M or 2G
    #[arg(long, value_name = "SIZE", default_value = "512M", value_parser = parse_memory)]
    pub memory: u64,
    /// Measure each call, and print the times beside the recorded ones
    #[arg(long)]
    pub timing: bool,
    /// Run without Landlock, for a trace that you made yourself
    ///
    /// Landlock's checks cost each open, creation and removal some tenths of a microsecond. The
    /// mount namespace still confines the replay.
    #[arg(long)]
    pub trust: bool,
    /// Set set-user-ID bits, set-group-ID bits and file capabilities in every directory
    ///
    /// By default they are set only below a directory that no other user can enter: elsewhere,
    /// other users could run these files with your rights.
    #[arg(long)]
    pub allow_set_id: bool,
    /// Print at most this many divergences
    #[arg(long, value_name = "N", default_value_t = 20)]
    pub show: usize,
    /// Print the report as a JSON document
    #[arg(long)]
    pub json: bool,
    /// Write progress as lines to stderr, for `bench`
    #[arg(long, hide = true)]
    pub progress_lines: bool,
    // The last, since its heading holds for all options after it.
    #[command(flatten)]
    pub choice: SelectionArgs,
}

/// Runs `reanimator replay`. Starts no thread: a replay by an ordinary user moves this process into
/// a user namespace, which only a process with one thread can do.
pub fn run(a: &Args, messages: &Messages) -> Outcome {
    replay_and_report(a, messages).into()
}

/// Replays the trace as the options say, and prints the report. Returns the exit status: 1 if
/// something differed.
fn replay_and_report(a: &Args, messages: &Messages) -> Result<Outcome> {
    let trace = reading::open_trace(&a.trace, messages)?;
    let selection = a.choice.selection()?;
    let (root, mut temporary) = match &a.root {
        Some(path) => (root::open_root(path, a.prepared)?, None),
        None => {
            let (root, temporary) = root::create_temporary_root(trace.path())?;
            (root, Some(temporary))
        }
    };
    let path = root.path().to_owned();
    // Before anything can go wrong: the user may have to look at the tree.
    let shown = path.display().to_string();
    let place = if temporary.is_some() { "a temporary directory" } else { &*shown };
    messages.say(format_args!("replaying {} in {place}", trace.path().display()));
    warn_if_not_replayable(&trace, messages);

    if let Some(base) = &a.base {
        root::copy_base(base, &root, a.allow_set_id)?;
    }
    let options = replay_options(a, selection, root);
    if let (Some(first), Some(last)) = (trace.summary().first, trace.summary().last)
        && let Some(most) = a.pace.planned(last.saturating_sub(first))
    {
        messages
            .say(format_args!("at this pace replay waits for {} at most", format_duration(most)));
    }
    let bar = Bar::new(messages, trace.summary().calls, a.progress_lines)?;
    let report = match a.choice.alteration() {
        by if by == Alteration::default() => with_advice(replay(&trace, &options, &bar))?,
        by => with_advice(replay_source(&Altered::new(&trace, by), &options, &bar))?,
    };
    drop(bar);
    if report.chosen == 0 && !report.broken_off {
        return Err(nothing::no_calls_error(&report, &a.choice, &trace));
    }
    let exit = report.exit_code();
    if let Some(temporary) = temporary.as_mut().filter(|_| exit != 0) {
        temporary.keep();
    }
    report::print_differences(a, messages, &trace, &report)?;
    report::print_outcome(a, &trace, &report, &path, temporary.as_ref().map(TemporaryRoot::path))?;
    if let Some(temporary) = temporary.filter(|_| exit == 0) {
        let path = temporary.path().display().to_string();
        if let Err(why) = temporary.remove() {
            messages.warn(format_args!("cannot remove {path}: {why}"));
        }
    }
    if report.broken_off && report.divergences == 0 {
        bail!(
            "the replay was interrupted: {} of {} calls were performed, and came out the same",
            format_count(report.issued),
            format_count(trace.summary().calls)
        );
    }
    Ok(Outcome::Status(exit))
}

/// Converts the command line to options of the replay.
fn replay_options(a: &Args, selection: Selection, root: Root) -> Options {
    Options {
        prepared: a.prepared || a.base.is_some(),
        show: a.show,
        timing: a.timing,
        preload: a.preload,
        trusted: a.trust,
        memory: a.memory,
        selection,
        order: a.order.into(),
        pace: a.pace,
        verify: a.choice.limit_verification(a.verify).into(),
        on_divergence: a.on_divergence.into(),
        uring: a.uring.into(),
        aio: a.aio.into(),
        allow_set_id: a.allow_set_id,
        ..Options::new(root)
    }
}

/// Warns if a trace was recorded with calls or data left out, as its replay will differ.
pub fn warn_if_not_replayable(trace: &Trace, messages: &Messages) {
    let about = trace.recording_info();
    if !Filter::from_line(&about.filter).is_ok_and(|filter| filter.suffices_for_replay()) {
        messages.warn(format_args!(
            "recorded with -e {}: calls that were left out are not replayed",
            about.filter
        ));
    }
    if !matches!(about.data.as_str(), "" | "all") {
        messages.warn(format_args!(
            "recorded with --data {}: what was not kept cannot be written again",
            about.data
        ));
    }
}

/// Adds to an error of a replay what the user can do about it.
pub fn with_advice<T>(result: Result<T, Error>) -> Result<T> {
    let advice = match &result {
        Err(Error::Sandbox(..)) => {
            "`reanimator doctor` checks what this machine allows, and says how to fix it"
        }
        Err(Error::Prepare(_) | Error::State(_) | Error::Root(..)) => {
            "check whether the directory's disk is full or read-only; --root chooses another"
        }
        Err(Error::Stuck { .. } | Error::Inside(_)) => {
            "please report this bug, with the trace if you can share it"
        }
        Err(Error::Pace { .. }) => {
            "the times may be damaged or forged; --pace asap does not wait, and a factor shortens \
             it: --pace recorded*0.001"
        }
        Err(Error::NotEmpty(_)) => "choose an empty directory with --root",
        Err(Error::Trace(_) | Error::Interrupted) | Ok(_) => return Ok(result?),
    };
    result.advise(advice)
}

/// Parses the memory limit of a replay, of at least 64 MiB.
fn parse_memory(text: &str) -> Result<u64, String> {
    match parse_bytes(text) {
        Some(bytes) if bytes >= 64 << 20 => Ok(bytes),
        _ => Err("expected a size of at least 64M, like 256M or 2G".to_owned()),
    }
}
