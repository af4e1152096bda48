//! `reanimator stat`: how many calls a trace has, how long they took, what they moved.

mod columns;
mod document;
mod live;
mod options;
mod table;

use crate::filter::{self, Filter, Status};
use crate::messages::{Messages, Outcome, failure};
use crate::options::TraceArg;
use crate::output::stdout;
use crate::output::units::parse_duration;
use crate::traces::reading;
use analyze::{Order, Request, Selection, SortBy, Stat};
use anyhow::{Context, Result};
use columns::Column;
use options::{parse_columns, parse_keys, parse_sort};
use std::ffi::OsString;
use std::path::PathBuf;
use trace::Trace;

/// Count calls and measure what they took, by call, class, file, process, ...
///
/// A row is a group of calls. `time` is the sum of their durations; `wall` is the time during which
/// at least one of them was in progress, which is what they cost if nothing else ran; `share` is
/// `wall` as part of the elapsed time. Calls that wait for time, another process or a peer are
/// apart, below a line, and have no share: sleeps, polls, locks between threads, and all reads and
/// writes of pipes, sockets and terminals.
///
/// Only the columns that are needed are read, and no checksum is compared: `reanimator verify` does
/// that.
#[derive(clap::Args, Debug)]
#[command(override_usage = "\
reanimator stat [OPTIONS] [TRACE]
       reanimator stat [OPTIONS] -- <COMMAND> [ARG]...")]
#[command(after_help = "\
Examples:
  reanimator stat
      Count the calls of the newest trace by name, as `strace -c` does
  reanimator stat --by class,dir:2 make.ra
      Group by the sort of work and two components of the directory
  reanimator stat --by file -e %desc --exclude-system --sort bytes sqlite3.ra
      Show the files that most bytes were moved of
  reanimator stat --by errno,call -e status=failed git.ra
      Count failures
  reanimator stat --interval 1s --by class --csv server.ra > classes.csv
      Write a row per second and class
  reanimator stat -- find /usr -name '*.h'
      Record a command without data, and count its calls")]
pub struct Args {
    #[command(flatten)]
    pub trace: TraceArg,
    /// Run this command, record it without data into a temporary trace, and count
    #[arg(last = true, value_name = "COMMAND", conflicts_with = "trace")]
    pub command: Vec<OsString>,
    /// Group by one to three keys, like class,file
    ///
    /// call: the name. class: the sort of work (read, write, open, close, stat, change, name, dir,
    /// seek, sync, lock, map, process, wait, net, other). file: what the descriptor leads to, else
    /// the path. dir, dir:N: its directory, cut to N components. ext: its extension. fs: its file
    /// system. path: the path argument. process, thread, exe: who called. errno: why it failed.
    /// size: bytes moved, in powers of two.
    #[arg(long, value_name = "KEYS", default_value = "call", value_parser = parse_keys)]
    pub by: options::Keys,
    /// Count only these calls: names, %group, /regex, !set, status=failed, path=GLOB
    #[arg(short = 'e', value_name = "EXPR", long_help = filter::option_help(
        "Count only the calls that EXPR selects",
        "status=failed (or successful, unfinished) selects by outcome, path=*.db by path. "
    ))]
    pub filter: Vec<String>,
    /// Sort by wall, time, calls, errors, mean, max, bytes, rate or name
    #[arg(long, value_name = "COLUMN", default_value = "wall", value_parser = parse_sort)]
    pub sort: SortBy,
    /// Show so many rows, and as many that wait; 0: all
    #[arg(long, value_name = "N", default_value_t = 20)]
    pub top: usize,
    /// Show these columns: calls, errors, time, wall, share, mean, p50, p95, p99, max, bytes, rate
    #[arg(long, value_name = "LIST", value_parser = parse_columns)]
    pub columns: Option<options::Columns>,
    /// Count calls entered from this time after the first call on, like 500ms or 1.5s
    #[arg(long, value_name = "TIME", value_parser = parse_duration)]
    pub from: Option<u64>,
    /// Count calls entered before this time after the first call
    #[arg(long, value_name = "TIME", value_parser = parse_duration)]
    pub until: Option<u64>,
    /// Leave out files of the system: libraries, locales, /proc, /sys, /dev
    #[arg(long)]
    pub exclude_system: bool,
    /// Print a row for each group and each interval of this length, like 1s
    #[arg(long, value_name = "TIME", value_parser = options::parse_interval)]
    pub interval: Option<u64>,
    /// Print a JSON document
    #[arg(long, conflicts_with = "csv")]
    pub json: bool,
    /// Print comma-separated values, with times in nanoseconds
    #[arg(long)]
    pub csv: bool,
    /// Write to this file instead of stdout, or with a command instead of stderr
    #[arg(short, long, value_name = "FILE", value_hint = clap::ValueHint::FilePath)]
    pub output: Option<PathBuf>,
}

/// Runs `reanimator stat`: prints the statistics of a trace, or of a command that it records. The
/// outcome is then that of the command.
pub fn run(a: &Args, messages: &Messages) -> Outcome {
    run_checked(a, messages).into()
}

/// Does what [`run`] says. A mistake in the options is told before anything is read or recorded.
fn run_checked(a: &Args, messages: &Messages) -> Result<Outcome> {
    let filter = Filter::parse(&a.filter)?;
    if !a.command.is_empty() {
        return live::record_and_print(a, &filter, messages);
    }
    let trace = reading::open_trace(&a.trace, messages)?;
    print(a, &filter, &trace).map(|()| Outcome::Status(0))
}

/// Computes the statistics and prints them.
fn print(a: &Args, filter: &Filter, trace: &Trace) -> Result<()> {
    let stat = compute(a, filter, trace)?;
    let text = match (a.json, a.csv) {
        (true, _) => document::to_json(a, trace, &stat)?,
        (_, true) => document::to_csv(a, &stat)?,
        _ => table::to_text(a, trace, &stat, terminal_width(a)),
    };
    if let Some(path) = &a.output {
        let written = std::fs::write(path, text);
        return written.with_context(|| format!("cannot write {}", path.display()));
    }
    if a.command.is_empty() {
        return stdout::print_text(&text);
    }
    // stdout is the command's.
    crate::messages::print_on_stderr(&text);
    Ok(())
}

/// Returns the number of columns of the terminal that the table is printed on, or `None` if it goes
/// elsewhere.
fn terminal_width(a: &Args) -> Option<usize> {
    let term = if a.command.is_empty() { console::Term::stdout() } else { console::Term::stderr() };
    let size = term.size_checked().filter(|_| a.output.is_none() && term.is_term());
    size.map(|(_, width)| usize::from(width))
}

/// Reads the trace and groups its calls as the options say.
fn compute(a: &Args, filter: &Filter, trace: &Trace) -> Result<Stat> {
    let number = |nr: u32| filter.has_number(nr);
    let path = |path: &[u8]| filter.has_path(path);
    let without = [Status::Successful, Status::Failed, Status::Unfinished];
    let selection = Selection {
        number: (!filter.has_all_numbers()).then_some(&number),
        without: without.map(|status| !filter.has_status(status)),
        path: filter.needs_paths().then_some(&path),
        from: a.from,
        until: a.until,
        without_system: a.exclude_system,
    };
    let request = Request {
        by: a.by.0.clone(),
        interval: a.interval,
        selection,
        order: Order { by: a.sort, top: a.top },
        quantiles: columns_of(a).iter().any(|column| column.is_quantile()),
    };
    failure::with_advice(analyze::stat(trace, &request), trace.path())
}

/// Returns the columns that are asked for, or all.
fn columns_of(a: &Args) -> &[Column] {
    a.columns.as_ref().map_or(&Column::ALL, |columns| &columns.0)
}
