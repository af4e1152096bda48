//! Writes a trace as a DataSeries file, as the original library would have written it, but without
//! its errors in flags, times of stat, and bytes of attributes.
//!
//! `unique_id` counts records in the order in which calls returned. But a call that starts a thread
//! comes before that thread's calls, and `exit` comes where the thread ends, as the original
//! replayer needs it.

mod copies;
mod fields;
mod lower;
mod names;
mod record;

use self::lower::{CallContext, Lowered};
use self::names::Names;
use super::LEFT_OUT;
use super::records::arguments::PREFIX;
use super::records::{flags, schema};
use crate::Error;
use crate::export::{Exported, Format, Sink};
use abi::Effect;
use ahash::{HashMap, HashSet};
use dataseries_file::{FieldValue, Writer};
use model::processes::{Operands, Processes, Timeline, TimelineItem};
use record::records_of;
use std::collections::VecDeque;
use std::io::{self, BufWriter};
use std::path::Path;
use std::sync::Arc;
use trace::record::RecordKind;
use trace::{Call, Event, ReadOptions, Trace, Verdict};

pub(crate) const FORMAT: Format = Format { name: "DataSeries", extensions: &["ds"], export };

/// Writes `trace` into the new file `to`. `progress` gets the number of calls done and of all
/// calls. Fails if the trace cannot be read, `to` exists, or it cannot be written.
pub fn export(
    trace: &Trace,
    to: &Path,
    progress: &mut dyn FnMut(u64, u64),
) -> Result<Exported, Error> {
    let written = |e| Error::io("write", to)(e);
    let mut exporter = create_file(trace, to)?;
    let all_calls = trace.summary().calls;
    let (mut processes, mut names) = (Processes::<()>::new(), Names::default());
    let mut open: HashMap<usize, Operands<()>> = HashMap::default();
    // Calls that start threads are exported when they are entered.
    let mut exported_at_entry: HashSet<usize> = HashSet::default();
    let mut done = 0u64;
    for item in Timeline::new(trace.read(ReadOptions { data: true })) {
        let item = item?;
        exporter.advance_to(time_of(&item)).map_err(written)?;
        let (place, call, returned) = match item {
            TimelineItem::Event(event) => {
                exporter.export_event(&event).map_err(written)?;
                processes.event(&event);
                names.observe_event(&event, &processes);
                continue;
            }
            TimelineItem::Enter(place, call) => {
                exporter.write_first_record(call.tid, 0o022, call.entered).map_err(written)?;
                let effect = call.spec().map(|s| s.effect);
                let mut operands = processes.enter(&call);
                if effect == Some(Effect::Fork) {
                    exported_at_entry.insert(place);
                    let context =
                        CallContext { call: &call, operands: &operands, names: &mut names, trace };
                    exporter.export_call(context).map_err(written)?;
                } else if ends_thread(&call) && !call.returned() {
                    exporter.begin_exit(call).map_err(written)?;
                    operands.release();
                }
                open.insert(place, operands);
                continue;
            }
            TimelineItem::Leave(place, call) => (place, call, true),
            TimelineItem::Unreturned(place, call) => (place, call, false),
        };
        let Some(mut operands) = open.remove(&place) else { continue };
        if ends_thread(&call) && !call.returned() {
            // If the trace does not show the end of the thread, it ends with the trace.
            exporter.write_exit(call.tid).map_err(written)?;
        } else if !exported_at_entry.remove(&place) {
            let context =
                CallContext { call: &call, operands: &operands, names: &mut names, trace };
            exporter.export_call(context).map_err(written)?;
        }
        if returned {
            processes.leave(&call, &mut operands);
            names.observe(&call, &operands);
        }
        done += 1;
        if done.is_multiple_of(4096) {
            progress(done, all_calls);
        }
    }
    exporter.write_first_record(1, 0o022, 0).map_err(written)?;
    exporter.advance_to(u64::MAX).map_err(written)?;
    exporter.write_losses(trace).map_err(written)?;
    finish_file(exporter, to)
}

/// Creates the file and declares the types of its records.
fn create_file(trace: &Trace, to: &Path) -> Result<Exporter, Error> {
    let sink = Sink::new(to)?;
    let mut descriptions: Vec<String> =
        schema::type_descriptions().into_iter().map(|(_, xml)| xml).collect();
    descriptions.push(schema::losses_description());
    let writer = Writer::new(BufWriter::with_capacity(1 << 20, sink), &descriptions)
        .map_err(Error::io("write", to))?;
    Ok(Exporter {
        writer,
        clock_offset: trace.recording_info().clock_offset,
        next_unique_id: 1,
        flags: schema::required_flags(),
        first_record_written: false,
        known_threads: HashSet::default(),
        exit_calls: HashMap::default(),
        ended_threads: VecDeque::new(),
        exported: Exported::default(),
    })
}

/// Writes what is buffered and the end of the file, and gives the file its name.
fn finish_file(exporter: Exporter, to: &Path) -> Result<Exported, Error> {
    let written = |e| Error::io("write", to)(e);
    let Exporter { writer, exported, .. } = exporter;
    let out = writer.finish().map_err(written)?;
    out.into_inner().map_err(|e| written(e.into_error()))?.finish()?;
    Ok(exported)
}

/// Returns the time of an item; `u64::MAX` for the end of a call that never returned, so that it
/// comes last.
fn time_of(item: &TimelineItem) -> u64 {
    match item {
        TimelineItem::Event(event) => event.time,
        TimelineItem::Enter(_, call) => call.entered,
        TimelineItem::Leave(_, call) => call.exited.unwrap_or(call.entered),
        TimelineItem::Unreturned(..) => u64::MAX,
    }
}

/// Returns whether the call ends its thread.
fn ends_thread(call: &Call) -> bool {
    matches!(call.spec().map(|s| s.effect), Some(Effect::Exit | Effect::ExitGroup))
}

struct Exporter {
    writer: Writer<BufWriter<Sink>>,
    /// Nanoseconds to add to a time of the trace to get the time since 1970.
    clock_offset: i64,
    /// The `unique_id` of the next record.
    next_unique_id: i64,
    /// The flags that the records of each call must have.
    flags: HashMap<&'static str, Vec<&'static str>>,
    /// Whether the first record of the file was written.
    first_record_written: bool,
    /// Threads that are in the records: the original replayer knows no others.
    known_threads: HashSet<u32>,
    /// Calls of exit(2) and exit_group(2) that were entered, by thread. They are written when the
    /// trace shows the end of the thread.
    exit_calls: HashMap<u32, Arc<Call>>,
    /// Ends of threads whose exit call was not seen yet. It may follow with the same time: until
    /// that time is over, nothing is written.
    ended_threads: VecDeque<ThreadEnd>,
    exported: Exported,
}

/// The end of a thread, as the trace shows it.
struct ThreadEnd {
    tid: u32,
    time: u64,
    /// The wait status.
    status: u64,
}

type Values<'a> = Vec<(&'static str, FieldValue<'a>)>;

/// Returns the name of a call.
fn call_name(call: &Call) -> String {
    abi::by_number(call.nr)
        .map_or_else(|| format!("syscall_{}", call.nr), |row| row.name().to_owned())
}

impl Exporter {
    /// Writes the first record of the file, which has the umask, unless it was written before.
    /// `time` is in nanoseconds of the trace's clock.
    fn write_first_record(&mut self, tid: u32, umask: u64, time: u64) -> io::Result<()> {
        if std::mem::replace(&mut self.first_record_written, true) {
            return Ok(());
        }
        self.known_threads.insert(tid);
        let time = self.to_epoch(time);
        let number = |v: i64| FieldValue::Int(v);
        let mut values = vec![
            ("mode_value", number(umask as i64 & 0o777)),
            ("return_value", number(0)),
            ("errno_number", number(0)),
            ("unique_id", number(0)),
        ];
        values.extend([
            ("time_called", number(time)),
            ("time_recorded", number(time)),
            ("time_returned", number(time)),
        ]);
        values
            .extend([("executing_pid", number(tid.into())), ("executing_tid", number(tid.into()))]);
        self.write_record("umask", values)
    }

    /// Exports an event: the first state of a process, or the end of a thread. Other events have no
    /// records.
    fn export_event(&mut self, event: &Event) -> io::Result<()> {
        match event.kind {
            RecordKind::State => self.write_first_record(event.tid, event.args[0], event.time),
            RecordKind::Exit if self.exit_calls.contains_key(&event.tid) => {
                self.write_exit(event.tid)
            }
            RecordKind::Exit => {
                if self.known_threads.remove(&event.tid) {
                    let (tid, time, status) = (event.tid, event.time, event.args[0]);
                    self.ended_threads.push_back(ThreadEnd { tid, time, status });
                }
                Ok(())
            }
            _ => Ok(()),
        }
    }

    /// Takes a call that ends its thread, when it is entered. Its record is written when the trace
    /// shows the end of the thread; at once if it has shown it already.
    fn begin_exit(&mut self, call: Arc<Call>) -> io::Result<()> {
        let tid = call.tid;
        self.exit_calls.insert(tid, call);
        match self.ended_threads.iter().position(|end| end.tid == tid) {
            Some(index) => {
                self.ended_threads.remove(index);
                self.write_exit(tid)
            }
            None => Ok(()),
        }
    }

    /// Writes the ends of threads before the time `now` that ended without a call of exit.
    fn advance_to(&mut self, now: u64) -> io::Result<()> {
        while let Some(end) = self.ended_threads.pop_front_if(|end| end.time < now) {
            self.write_generated_exit(&end)?;
        }
        Ok(())
    }

    /// Writes the record of the exit call of a thread, if it has made one.
    fn write_exit(&mut self, tid: u32) -> io::Result<()> {
        let Some(call) = self.exit_calls.remove(&tid) else { return Ok(()) };
        self.known_threads.remove(&tid);
        let mut values = self.common_fields(&call, false);
        values.push(("exit_status", FieldValue::Int(i64::from(call.args[0] as i32))));
        values.push(("generated", FieldValue::Bool(false)));
        self.exported.calls += 1;
        self.write_record("exit", values)
    }

    /// Writes the end of a thread that ended with its process, or by a signal. A signal is written
    /// as shells report it: 128 more than its number.
    fn write_generated_exit(&mut self, end: &ThreadEnd) -> io::Result<()> {
        let ThreadEnd { tid, time, status } = *end;
        let (signal, code) = (status & 0x7f, status >> 8 & 0xff);
        let code = if signal == 0 { code } else { 128 + signal };
        let time = self.to_epoch(time);
        let number = |v: i64| FieldValue::Int(v);
        let values = vec![
            ("time_called", number(time)),
            ("time_recorded", number(time)),
            ("executing_pid", number(tid.into())),
            ("executing_tid", number(tid.into())),
            ("unique_id", number(self.next_unique_id)),
            ("exit_status", number(code.cast_signed())),
            ("generated", FieldValue::Bool(true)),
        ];
        self.next_unique_id += 1;
        self.write_record("exit", values)
    }

    /// Converts a monotonic time to nanoseconds since 1970.
    fn to_epoch(&self, time: u64) -> i64 {
        i64::try_from(time.saturating_add_signed(self.clock_offset)).unwrap_or(i64::MAX)
    }

    /// Returns the fields that all records have: times, thread, the next `unique_id`, and, with
    /// `with_result`, the result of the call if it returned.
    fn common_fields(&mut self, call: &Call, with_result: bool) -> Values<'static> {
        let left = call.exited.unwrap_or(call.entered);
        let mut values = vec![
            ("time_called", FieldValue::Int(self.to_epoch(call.entered))),
            ("time_recorded", FieldValue::Int(self.to_epoch(left))),
            ("executing_pid", FieldValue::Int(call.tid.into())),
            ("executing_tid", FieldValue::Int(call.tid.into())),
            ("unique_id", FieldValue::Int(self.next_unique_id)),
        ];
        self.next_unique_id += 1;
        if with_result && call.returned() {
            let errno = call.errno();
            values.push(("time_returned", FieldValue::Int(self.to_epoch(left))));
            values.push(("return_value", FieldValue::Int(errno.map_or(call.ret, |_| -1))));
            values.push(("errno_number", FieldValue::Int(errno.unwrap_or(0).into())));
        }
        values
    }

    /// Writes a record of this call's type, with the flags that the type requires.
    fn write_record(&mut self, name: &str, mut values: Values<'_>) -> io::Result<()> {
        for flag in self.flags.get(name).into_iter().flatten() {
            if values.iter().any(|(n, _)| n == flag) {
                continue;
            }
            let number = |field: &str| {
                values.iter().find_map(|(n, v)| {
                    if let FieldValue::Int(v) = v { Some(*v).filter(|_| *n == field) } else { None }
                })
            };
            let set = flags::is_flag_set(flag, number);
            values.push((flag, FieldValue::Bool(set)));
        }
        self.writer.add_record(&format!("{PREFIX}{name}"), &values)
    }

    /// Exports a call, as itself or as older calls that have the same effect. Counts it as lost if
    /// neither is possible.
    fn export_call(&mut self, mut context: CallContext<'_>) -> io::Result<()> {
        let call = context.call;
        let name = call_name(call);
        let lowered = if call.returned() { context.lowered() } else { Lowered::Nothing };
        let exported = match &lowered {
            Lowered::Itself => self.write_calls(std::slice::from_ref(call))?,
            Lowered::Nothing => false,
            Lowered::As(calls) => {
                let written = self.write_calls(calls)?;
                if written {
                    let names: Vec<String> = calls.iter().map(call_name).collect();
                    self.count_change(format!("{name} as {}", names.join(" and ")));
                }
                written
            }
        };
        if exported {
            self.exported.calls += 1;
            if call.spec().is_some_and(|s| s.effect == Effect::Fork) && call.succeeded() {
                self.known_threads.extend(u32::try_from(call.ret));
            }
        } else if self.write_copy(call)? {
            self.exported.calls += 1;
            self.count_change(format!("{name} as a read and a write"));
        } else {
            *self.exported.lost.entry(name).or_default() += 1;
        }
        Ok(())
    }

    /// Writes the records of these calls. Returns false if one of them cannot be expressed; then
    /// nothing is written.
    fn write_calls(&mut self, calls: &[Call]) -> io::Result<bool> {
        let Some(records) = calls.iter().map(records_of).collect::<Option<Vec<_>>>() else {
            return Ok(false);
        };
        calls
            .iter()
            .zip(&records)
            .try_for_each(|(call, records)| self.write_records(call, records))?;
        Ok(true)
    }

    /// Counts a call that was exported in another form; `what` says in which.
    fn count_change(&mut self, what: String) {
        *self.exported.changed.entry(what).or_default() += 1;
    }

    /// Writes records that say what the trace or the file lacks, so that an importer does not take
    /// the file for complete.
    fn write_losses(&mut self, trace: &Trace) -> io::Result<()> {
        let summary = trace.summary();
        let mut losses: Vec<(String, u64)> = Vec::new();
        if summary.verdict == Verdict::Incomplete {
            losses.extend(summary.reasons.iter().map(|why| (why.clone(), 0)));
        }
        losses.extend(self.exported.lost.iter().map(|(name, n)| (name.clone(), *n)));
        for (what, calls) in losses {
            let calls = i64::try_from(calls).unwrap_or(i64::MAX);
            let values =
                [("what", FieldValue::Bytes(what.as_bytes())), ("calls", FieldValue::Int(calls))];
            self.writer.add_record(LEFT_OUT, &values)?;
        }
        Ok(())
    }
}
