//! `reanimator print`: a trace as strace would have printed it, or as JSON lines.

mod event;
mod json;
pub mod line;
mod output;
mod printer;
mod selection;
mod summary;

use self::output::Output;
use self::printer::print_selected;
use self::selection::Selection;
use crate::filter;
use crate::messages::Messages;
use crate::options::TraceArg;
use crate::output::stdout;
use crate::output::units::format_counted;
use crate::traces::reading;
use anyhow::{Context, Result};
use model::processes::{Operands, lexical};
use std::io::Write;
use std::path::PathBuf;
use trace::{Call, Trace};

/// Print a trace's calls in strace's format or as JSON
///
/// Calls stand in the order in which they were entered. Structs are abbreviated as strace
/// abbreviates them; -v prints all fields. Signals (---) and what else happens to processes (+++)
/// are left out with -q, and where -e, -P, -z or -Z select calls; -e signal=all brings signals
/// back.
#[derive(clap::Args, Debug)]
#[command(after_help = "\
Examples:
  reanimator print ls.ra
      Print all calls
  reanimator print -y -T -e %file ls.ra
      Print calls that take a file name, with paths and times
  reanimator print -e status=failed ls.ra
      Print calls that failed
  reanimator print -P app.db -s 16
      Print calls on one file of the newest trace
  reanimator print -c ls.ra
      Print how often each call was made, failed, and how long it took
  reanimator print --json ls.ra | jq -r 'select(.call==\"openat\").args.filename'
      Print the names of all opened files")]
pub struct Args {
    #[command(flatten)]
    pub trace: TraceArg,
    /// Print only these calls: names, %group, /regex, !set, status=failed, path=GLOB
    #[arg(short = 'e', value_name = "EXPR", long_help = filter::option_help(
        "Print only the calls that EXPR selects",
        "status=failed (or successful, unfinished) selects by outcome, path=GLOB by file. \
         signal=SET selects signals, quiet=SET leaves out attach, exit or thread-execve, and \
         abbrev=none prints all fields of structs, as in strace. "
    ))]
    pub filter: Vec<String>,
    /// Print only calls on this path
    ///
    /// A relative path starts where the program was started.
    #[arg(short = 'P', long = "trace-path", value_name = "PATH")]
    pub paths_only: Vec<PathBuf>,
    /// Print only calls that succeeded
    #[arg(short = 'z', long = "successful-only", conflicts_with = "failed")]
    pub successful: bool,
    /// Print only calls that failed
    #[arg(short = 'Z', long = "failed-only")]
    pub failed: bool,
    /// Print calls, errors and time by name, and no calls
    ///
    /// Times are wall-clock times, as with strace -w.
    #[arg(short = 'c', long = "summary-only", conflicts_with_all = ["json", "format"])]
    pub count: bool,
    /// Write to this file; replace it if it exists
    #[arg(short = 'o', long, value_name = "FILE")]
    pub output: Option<PathBuf>,
    /// Output format
    #[arg(long, value_enum, default_value_t = Format::Text)]
    pub format: Format,
    /// The same as --format json
    #[arg(long)]
    pub json: bool,
    /// Print the time of day (UTC); -tt: with microseconds; -ttt: seconds since 1970
    #[arg(short = 't', action = clap::ArgAction::Count)]
    pub time: u8,
    /// Print the time since the previous line, in nanoseconds
    #[arg(short = 'r', conflicts_with = "time")]
    pub relative: bool,
    /// Print the time spent in each call, in nanoseconds
    #[arg(short = 'T')]
    pub spent: bool,
    /// Print the path of each descriptor
    #[arg(short = 'y')]
    pub paths: bool,
    /// Print non-ASCII strings in hexadecimal; -xx: all strings
    #[arg(short = 'x', action = clap::ArgAction::Count)]
    pub hex: u8,
    /// Print at most this many bytes of a string [default: 32; in JSON, all]
    #[arg(short = 's', value_name = "N")]
    pub strings: Option<usize>,
    /// strace's -f: a trace always has the children
    #[arg(short = 'f', hide = true, action = clap::ArgAction::Count)]
    pub follow: u8,
    /// strace's -w: times are wall-clock times always
    #[arg(short = 'w', hide = true)]
    pub wall: bool,
}

/// How to print.
#[derive(clap::ValueEnum, Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// As strace prints calls
    Text,
    /// A JSON object on each line, for each call or event
    Json,
}

/// A call, and what its arguments referred to.
pub struct Seen<'a> {
    /// The call.
    pub call: &'a Call,
    /// Its arguments, resolved when it was entered.
    pub operands: &'a Operands<()>,
}

impl Seen<'_> {
    /// Returns the path of the file that the descriptor in argument `arg` referred to, or `None` if
    /// `arg` is no descriptor or the path is not known.
    pub fn descriptor_path(&self, arg: u8) -> Option<&[u8]> {
        self.operands
            .fds
            .get(usize::from(arg))?
            .as_ref()
            .map(|d| &*d.file.path)
            .filter(|p| !p.is_empty())
    }
    /// Returns the path of the file that the descriptor returned by the call refers to.
    pub fn opened_path(&self) -> Option<&[u8]> {
        self.call.identity(abi::plan::RESULT).map(|(_, path)| path).filter(|p| !p.is_empty())
    }
    /// Returns all paths that the call has to do with: those of its path arguments, of its
    /// descriptors, and of the descriptor that it returned.
    pub fn all_paths(&self) -> Vec<Vec<u8>> {
        let named = self.operands.paths.values().map(|p| lexical(p));
        let open = (0..6).filter_map(|arg| self.descriptor_path(arg)).map(<[u8]>::to_vec);
        named.chain(open).chain(self.opened_path().map(<[u8]>::to_vec)).collect()
    }
}

/// Runs `reanimator print`: prints the selected calls and events of a trace to stdout or into a
/// file.
pub fn run(a: &Args, messages: &Messages) -> Result<()> {
    let mut choice = Selection::from_args(a, messages.is_quiet())?;
    let trace = reading::open_trace(&a.trace, messages)?;
    choice.add_paths(&a.paths_only, &trace.recording_info().directory)?;
    let found = match &a.output {
        None => {
            let mut out = stdout::writer();
            // A bar would stand among the lines where those are shown.
            let bar = stdout::is_file().then(|| messages.progress("printing"));
            let found = print_selected(a, &choice, messages, &trace, &mut out, bar.as_ref())?;
            out.flush().context(stdout::REFUSED)?;
            found
        }
        Some(path) => {
            let mut out = Output::open(path)?;
            let bar = messages.progress("printing");
            let found = print_selected(a, &choice, messages, &trace, &mut out, Some(&bar))?;
            out.finish().with_context(|| format!("cannot write {}", path.display()))?;
            found
        }
    };
    if found == 0 && trace.summary().calls > 0 {
        let calls = format_counted(trace.summary().calls, "call", "calls");
        messages.say(format_args!("none of the {calls} in {} matches", trace.path().display()));
    }
    Ok(())
}

/// Prints all calls and events of a trace into `out`: as strace does with times, paths and whole
/// strings, or as JSON.
pub fn print_all(
    json: bool,
    messages: &Messages,
    trace: &Trace,
    out: &mut impl Write,
) -> Result<()> {
    let a = Args {
        trace: TraceArg { trace: None },
        filter: Vec::new(),
        paths_only: Vec::new(),
        successful: false,
        failed: false,
        count: false,
        output: None,
        format: Format::Text,
        json,
        time: 3,
        relative: false,
        spent: true,
        paths: true,
        hex: 2,
        strings: Some(usize::MAX),
        follow: 0,
        wall: false,
    };
    print_selected(
        &a,
        &Selection::all(),
        messages,
        trace,
        out,
        Some(&messages.progress("converting")),
    )
    .map(drop)
}
