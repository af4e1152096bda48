//! `reanimator print`: a trace as strace would have printed it, or as JSON lines.

mod event;
mod json;
pub mod line;

use crate::args::TraceArg;
use crate::clock::{Clock, Style};
use crate::filter::{self, Filter};
use crate::talk::Talk;
use crate::{reading, stdout};
use abi::print::Hex;
use anyhow::{Context, Result};
use std::io::Write;
use trace::world::{Bound, Moment, Timeline, World, lexical};
use trace::{Call, Trace, Want};

/// Print a trace's calls in strace's format or as JSON
///
/// Calls stand in the order in which they were entered. In JSON, bytes are text, with \xNN for what
/// is not printable UTF-8, and \\ for a backslash.
#[derive(clap::Args, Debug)]
#[command(after_help = "\
Examples:
  reanimator print ls.ra
      Print all calls
  reanimator print -y -T -e %file ls.ra
      Print calls that take a file name, with paths and times
  reanimator print -e status=failed ls.ra
      Print calls that failed
  reanimator print -e 'path=*.db-wal' -s 16
      Print calls on one file of the newest trace
  reanimator print --json ls.ra | jq -r 'select(.call==\"openat\").args.filename'
      Print the names of all opened files")]
pub struct Args {
    #[command(flatten)]
    pub trace: TraceArg,
    /// Print only these calls: names, %group, /regex, !set, status=failed, path=GLOB
    #[arg(short = 'e', value_name = "EXPR", long_help = filter::help(
        "Print only the calls that EXPR selects",
        "status=failed (or successful, unfinished) selects by outcome, path=GLOB by file. "
    ))]
    pub filter: Vec<String>,
    /// Output format
    #[arg(long, value_enum, default_value_t = Format::Text)]
    pub format: Format,
    /// The same as --format json
    #[arg(long)]
    pub json: bool,
    /// Print the time of day (UTC); -tt: with microseconds; -ttt: seconds since 1970
    #[arg(short = 't', action = clap::ArgAction::Count)]
    pub time: u8,
    /// Print the time since the previous line
    #[arg(short = 'r', conflicts_with = "time")]
    pub relative: bool,
    /// Print the time spent in each call
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
}

/// How to print.
#[derive(clap::ValueEnum, Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// As strace prints calls
    Text,
    /// A JSON object on each line, for each call or event
    Json,
}

/// A call, and what its arguments meant.
pub struct Seen<'a> {
    /// The call.
    pub call: &'a Call,
    /// Its arguments, where it began.
    pub bound: &'a Bound<()>,
}

impl Seen<'_> {
    /// The path of the descriptor in argument `arg`.
    pub fn descriptor(&self, arg: u8) -> Option<&[u8]> {
        self.bound
            .fds
            .get(usize::from(arg))?
            .as_ref()
            .map(|d| &*d.file.path)
            .filter(|p| !p.is_empty())
    }
    /// The path of the descriptor that the call made.
    pub fn made(&self) -> Option<&[u8]> {
        self.call.identity(abi::plan::RESULT).map(|(_, path)| path).filter(|p| !p.is_empty())
    }
    /// The paths that the call is about: of its path arguments, of its descriptors, of its result.
    pub fn paths(&self) -> Vec<Vec<u8>> {
        let named = self.bound.paths.values().map(|p| lexical(p));
        let open = (0..6).filter_map(|arg| self.descriptor(arg)).map(<[u8]>::to_vec);
        named.chain(open).chain(self.made().map(<[u8]>::to_vec)).collect()
    }
}

/// `reanimator print`.
pub fn run(a: &Args, talk: &Talk) -> Result<()> {
    let filter = Filter::parse(&a.filter)?;
    let trace = reading::open(&a.trace, talk)?;
    let mut out = stdout::writer();
    write(a, &filter, talk, &trace, &mut out)?;
    out.flush().context(stdout::REFUSED)
}

/// Prints a trace into `out`.
pub fn write(
    a: &Args,
    filter: &Filter,
    talk: &Talk,
    trace: &Trace,
    out: &mut impl Write,
) -> Result<()> {
    let mut printer = Printer::new(a, talk, trace);
    let mut world = World::new();
    let mut open = std::collections::HashMap::new();
    for moment in Timeline::new(trace.read(Want { data: true })) {
        match moment.with_context(|| format!("cannot read {}", trace.path().display()))? {
            Moment::Event(event) => {
                printer.event(out, &event)?;
                world.event(&event);
            }
            Moment::Enter(number, call) => {
                let bound = world.enter(&call);
                let seen = Seen { call: &call, bound: &bound };
                let paths = if filter.needs_paths() { seen.paths() } else { Vec::new() };
                let paths: Vec<&[u8]> = paths.iter().map(Vec::as_slice).collect();
                if filter.passes(&call, &paths) {
                    printer.call(out, &seen)?;
                }
                open.insert(number, bound);
            }
            Moment::Leave(number, call) => {
                if let Some(mut bound) = open.remove(&number) {
                    world.leave(&call, &mut bound);
                }
            }
            Moment::Lost(number, _) => {
                open.remove(&number);
            }
        }
    }
    Ok(())
}

impl Args {
    /// All that a trace holds: as strace with times, paths and whole strings, or as JSON.
    pub fn whole(json: bool) -> Self {
        let format = if json { Format::Json } else { Format::Text };
        let trace = TraceArg { trace: None };
        Self {
            trace,
            filter: Vec::new(),
            format,
            json,
            time: 3,
            relative: false,
            spent: true,
            paths: true,
            hex: 2,
            strings: Some(usize::MAX),
        }
    }
}

/// What stands on each line.
struct Printer {
    json: bool,
    clock: Clock,
    line: line::Options,
    spent: bool,
    many: bool,
    verbose: bool,
}

impl Printer {
    fn new(a: &Args, talk: &Talk, trace: &Trace) -> Self {
        let style = match a.time {
            0 if a.relative => Style::Relative,
            0 => Style::No,
            1 => Style::Day,
            2 => Style::DayMicros,
            _ => Style::Epoch,
        };
        let json = a.json || a.format == Format::Json;
        let hex = [Hex::Never, Hex::Binary][usize::from(a.hex.min(1))];
        Self {
            json,
            clock: Clock::new(style, trace.about().clock_offset),
            line: line::Options {
                paths: a.paths,
                values: abi::print::Options {
                    hex: if a.hex > 1 { Hex::Always } else { hex },
                    strings: a.strings.unwrap_or(if json { usize::MAX } else { 32 }),
                    elements: if talk.is_verbose() { usize::MAX } else { 32 },
                },
            },
            spent: a.spent,
            many: trace.summary().threads > 1,
            verbose: talk.is_verbose(),
        }
    }
    fn prefix(&mut self, tid: u32, time: u64) -> String {
        let who = if self.many { format!("[pid {tid:>5}] ") } else { String::new() };
        who + &self.clock.prefix(time)
    }
    fn call(&mut self, out: &mut impl Write, seen: &Seen<'_>) -> Result<()> {
        if self.json {
            return json_line(out, &json::call(seen, &self.clock, self.line.values.strings));
        }
        let prefix = self.prefix(seen.call.tid, seen.call.entered);
        let spent = match seen.call.duration().filter(|_| self.spent) {
            Some(spent) => {
                let micros = spent / 1000;
                format!(" <{}.{:06}>", micros / 1_000_000, micros % 1_000_000)
            }
            None => String::new(),
        };
        writeln!(out, "{prefix}{}{spent}", line::call(seen, &self.line)).context(stdout::REFUSED)
    }
    fn event(&mut self, out: &mut impl Write, event: &trace::Event) -> Result<()> {
        if self.json {
            return json_line(out, &json::event(event, &self.clock));
        }
        if let Some(line) = event::line(event, self.verbose) {
            let prefix = self.prefix(event.tid, event.time);
            writeln!(out, "{prefix}{line}").context(stdout::REFUSED)?;
        }
        Ok(())
    }
}

fn json_line(out: &mut impl Write, value: &serde_json::Value) -> Result<()> {
    serde_json::to_writer(&mut *out, value).context(stdout::REFUSED)?;
    out.write_all(b"\n").context(stdout::REFUSED)
}
