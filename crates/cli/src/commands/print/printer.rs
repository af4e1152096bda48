//! Reads a trace from its beginning to its end and prints what was chosen, line by line.

use super::selection::Selection;
use super::summary::Summary;
use super::{Args, Format, Seen, event, json, line};
use crate::messages::{Messages, Progress};
use crate::output::clock::{Clock, Style};
use crate::output::stdout;
use abi::print::Hex;
use anyhow::{Context, Result};
use model::processes::{Processes, Timeline, TimelineItem};
use std::collections::HashMap;
use std::io::Write;
use trace::{ReadOptions, Trace};

/// Prints the selected calls and events of a trace into `out`. Returns the number of calls that
/// were selected.
pub fn print_selected(
    a: &Args,
    choice: &Selection,
    messages: &Messages,
    trace: &Trace,
    out: &mut impl Write,
    bar: Option<&Progress>,
) -> Result<u64> {
    let mut printer = Printer::new(a, choice, messages, trace);
    let mut processes = Processes::new();
    let mut open = HashMap::new();
    let (filter, mut found) = (&choice.filter, 0);
    let (all, mut done) = (trace.summary().calls, 0u64);
    for item in Timeline::new(trace.read(ReadOptions { data: !a.count })) {
        match item.with_context(|| format!("cannot read {}", trace.path().display()))? {
            TimelineItem::Event(event) => {
                if choice.selects_event(&event) {
                    printer.print_event(out, &event)?;
                }
                processes.event(&event);
            }
            TimelineItem::Enter(number, call) => {
                done += 1;
                if let Some(bar) = bar.filter(|_| done.is_multiple_of(1024)) {
                    bar.set_position(done, all);
                }
                let operands = processes.enter(&call);
                let seen = Seen { call: &call, operands: &operands };
                let paths = if filter.needs_paths() { seen.all_paths() } else { Vec::new() };
                let paths: Vec<&[u8]> = paths.iter().map(Vec::as_slice).collect();
                if filter.passes(&call, &paths) {
                    printer.print_call(out, &seen)?;
                    found += 1;
                }
                open.insert(number, operands);
            }
            TimelineItem::Leave(number, call) => {
                if let Some(mut operands) = open.remove(&number) {
                    processes.leave(&call, &mut operands);
                }
            }
            TimelineItem::Unreturned(number, _) => {
                open.remove(&number);
            }
        }
    }
    if let Some(summary) = &printer.summary {
        out.write_all(summary.table().as_bytes()).context(stdout::REFUSED)?;
    }
    Ok(found)
}

/// What stands on each line.
struct Printer {
    json: bool,
    clock: Clock,
    line: line::Options,
    spent: bool,
    /// Which thread it was, where there are several: as strace says it on a terminal or in a file.
    thread: Option<fn(u32) -> String>,
    verbose: bool,
    summary: Option<Summary>,
}

impl Printer {
    /// Prepares printing: derives the style of times, strings and prefixes from the options.
    fn new(a: &Args, choice: &Selection, messages: &Messages, trace: &Trace) -> Self {
        let style = match a.time {
            0 if a.relative => Style::Relative,
            0 => Style::No,
            1 => Style::Day,
            2 => Style::DayMicros,
            _ => Style::Epoch,
        };
        let json = a.json || a.format == Format::Json;
        let hex = [Hex::Never, Hex::Binary, Hex::Always][usize::from(a.hex.min(2))];
        let whole = choice.whole || messages.is_verbose();
        let thread: fn(u32) -> String = match &a.output {
            Some(_) => |tid| format!("{tid:<5} "),
            None => |tid| format!("[pid {tid:>5}] "),
        };
        Self {
            json,
            clock: Clock::new(style, trace.recording_info().clock_offset),
            line: line::Options {
                paths: a.paths,
                values: abi::print::Options {
                    hex,
                    strings: a.strings.unwrap_or(if json { usize::MAX } else { 32 }),
                    elements: if whole { usize::MAX } else { 32 },
                    whole,
                },
            },
            spent: a.spent,
            thread: (trace.summary().threads > 1).then_some(thread),
            verbose: messages.is_verbose(),
            summary: a.count.then(Summary::default),
        }
    }
    /// Returns what stands before each line: the thread, if the trace has several, and the time.
    fn line_prefix(&mut self, tid: u32, time: u64) -> String {
        self.thread.map_or_else(String::new, |thread| thread(tid)) + &self.clock.prefix(time)
    }
    /// Prints a call as a line or as JSON, or only counts it if `--count` was given.
    fn print_call(&mut self, out: &mut impl Write, seen: &Seen<'_>) -> Result<()> {
        let call = seen.call;
        if let Some(summary) = &mut self.summary {
            summary.add_call(&line::call_name(call), call.duration(), call.error().is_some());
            return Ok(());
        }
        if self.json {
            return print_json_line(
                out,
                &json::call_to_json(seen, &self.clock, self.line.values.strings),
            );
        }
        let prefix = self.line_prefix(call.tid, call.entered);
        let spent = match call.duration().filter(|_| self.spent) {
            // As strace prints it with --syscall-times=ns.
            Some(ns) => format!(" <{}.{:09}>", ns / 1_000_000_000, ns % 1_000_000_000),
            None => String::new(),
        };
        writeln!(out, "{prefix}{}{spent}", line::call_line(seen, &self.line))
            .context(stdout::REFUSED)
    }
    /// Prints an event as a line or as JSON, unless calls are only counted.
    fn print_event(&mut self, out: &mut impl Write, event: &trace::Event) -> Result<()> {
        if self.summary.is_some() {
            return Ok(());
        }
        if self.json {
            return print_json_line(out, &json::event_to_json(event, &self.clock));
        }
        if let Some(line) = event::event_line(event, self.verbose) {
            let prefix = self.line_prefix(event.tid, event.time);
            writeln!(out, "{prefix}{line}").context(stdout::REFUSED)?;
        }
        Ok(())
    }
}

/// Prints a JSON value on a line of its own.
fn print_json_line(out: &mut impl Write, value: &serde_json::Value) -> Result<()> {
    serde_json::to_writer(&mut *out, value).context(stdout::REFUSED)?;
    out.write_all(b"\n").context(stdout::REFUSED)
}
