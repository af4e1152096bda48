//! Imports LTTng's events. Entries and exits of system calls are paired by thread; arguments go by
//! their names, which are the kernel's.

use super::layout::{self, SyscallEvent};
use super::running::{self, Running};
use super::statedump::{DESCRIPTOR, PROCESS, StateDump};
use super::stream::{Item, Lost, Trace};
use super::value::{Event, Value};
use crate::importing::forks::Forks;
use crate::importing::{
    add_unrecorded_data, add_unreturned, begin, count_unentered, ends_thread, finish,
    note_no_directory,
};
use crate::{Error, Outcome};
use ::import::{Import, ImportedCall};
use abi::{Form, Kind};
use ahash::HashMap;
use std::path::Path;
use trace::RecordingInfo;
use trace::record::PayloadKind;

/// Imports the CTF trace in the directory `from` as the trace `to`. `directory`: the working
/// directory of the programs when the recording began, if it is known. `progress` gets the bytes
/// read and the bytes of all streams. Fails if `from` is not a CTF trace, or a file cannot be read
/// or written.
pub fn import(
    from: &Path,
    to: &Path,
    directory: Option<&[u8]>,
    progress: &mut dyn FnMut(u64, u64),
) -> Result<Outcome, Error> {
    let trace = Trace::open(from)?;
    let running = Running::at_start(&trace)?;
    let (forks, state_dump, began) = scan(&trace, running.clone())?;
    let env = |name: &str| trace.metadata.env.get(name).cloned().unwrap_or_default();
    let about = RecordingInfo {
        engine: format!("{} {}.{}", env("tracer_name"), env("tracer_major"), env("tracer_minor")),
        data: "none".to_owned(),
        host: env("hostname"),
        kernel: env("kernel_release"),
        machine: "x86_64".to_owned(),
        began,
        ..RecordingInfo::default()
    };
    let mut import = begin(to, about, directory, forks.starts)?;
    import.add_note(
        "LTTng records no data: files get the recorded sizes, but other content (`replay \
        --write-data random` generates some)",
    );
    if directory.is_none() {
        note_no_directory(&mut import, "LTTng records no working directories");
    }
    let mut conversion =
        CtfImport { import, state_dump, running, pending_calls: HashMap::default() };
    let mut events = 0u64;
    let counts = trace.read(|item| {
        events += 1;
        match item {
            Item::Event(event) => conversion.import_event(event),
            Item::Lost(lost) => conversion.add_gap(lost),
        }
    })?;
    progress(counts.bytes, trace.bytes);
    let CtfImport { mut import, pending_calls, .. } = conversion;
    for imported in pending_calls.into_values() {
        import.add_call(imported)?;
    }
    if counts.packets > 0 {
        import.add_missing(&format!(
            "{} packets of the trace are missing or damaged",
            counts.packets
        ));
    }
    finish(import, counts.damage.into_iter().next(), progress)
}

/// Reads the whole trace once, before the import. Returns the parents of threads, the processes
/// that were running before, and the time of the first event.
fn scan(trace: &Trace, mut running: Running) -> Result<(Forks, StateDump, u64), Error> {
    let (mut forks, mut state_dump, mut began) = (Forks::default(), StateDump::default(), None);
    let wanted = |kind: &layout::EventClass| {
        kind.call.as_ref().map_or(
            kind.name == PROCESS || running::shows_running_thread(kind),
            SyscallEvent::is_fork,
        )
    };
    trace.select(wanted, |item| {
        let event = match item {
            Item::Event(event) => event,
            Item::Lost(lost) => {
                running.forget_cpus(lost);
                return Ok::<(), Error>(());
            }
        };
        let thread = running.thread_of(event);
        began.get_or_insert(event.time);
        if event.kind.name == PROCESS {
            state_dump.add_process(event);
        }
        let Some(syscall) = event.kind.call.as_ref().filter(|syscall| syscall.is_fork()) else {
            return Ok(());
        };
        let Some(tid) = thread else { return Ok(()) };
        let field = |name: &str| event.fields.get(name).and_then(Value::to_register);
        if syscall.entry {
            forks.begin_fork(
                tid,
                event.time,
                field("flags").or_else(|| field("clone_flags")).unwrap_or(0),
            );
        } else {
            forks.end_fork(tid, field("ret").map_or(0, u64::cast_signed));
        }
        Ok(())
    })?;
    let began = began.unwrap_or(0);
    state_dump.end_first_pass(&mut forks, began);
    Ok((forks, state_dump, began))
}

/// What is counted if an event of a call shows no thread.
const UNKNOWN_THREAD: &str = "returns of calls by unknown threads (record sched_switch, or add the \
    context tid: lttng add-context -k -t tid)";

/// An import under way.
struct CtfImport {
    import: Import,
    state_dump: StateDump,
    running: Running,
    /// Calls that have not returned, by thread id.
    pending_calls: HashMap<u32, ImportedCall>,
}

impl CtfImport {
    /// Adds a gap, where the trace lacks events, to the trace, and forgets what the lost events may
    /// have changed.
    fn add_gap(&mut self, lost: &Lost) -> Result<(), Error> {
        self.running.forget_cpus(lost);
        if lost.events > 0 {
            self.import.add_gap(lost.time, lost.events)?;
        }
        Ok(())
    }

    /// Imports an event: the entry or exit of a call, or a descriptor of the state dump. Counts
    /// those that are ignored or cannot be imported.
    fn import_event(&mut self, event: &Event<'_>) -> Result<(), Error> {
        let thread = self.running.thread_of(event);
        let Some(syscall) = &event.kind.call else {
            let name = event.kind.name.as_str();
            if name == DESCRIPTOR {
                return self.import_descriptor(event);
            }
            if !name.starts_with("lttng_statedump_") && !running::shows_running_thread(event.kind) {
                self.import.count_ignored(&format!("events {name}"), 1);
            }
            return Ok(());
        };
        let Some(tid) = thread else {
            self.import.count_left_out(UNKNOWN_THREAD, 1);
            return Ok(());
        };
        if syscall.entry {
            if let Some(before) = self.pending_calls.remove(&tid) {
                add_unreturned(&mut self.import, before)?;
            }
            match syscall.row.map(|row| ImportedCall::from_row(row, tid, event.time)) {
                Some(mut imported) => {
                    set_arguments(&mut imported, &event.fields, true);
                    self.ensure_thread(tid, event.time)?;
                    if ends_thread(imported.row) {
                        return Ok(self.import.add_call(imported)?);
                    }
                    self.pending_calls.insert(tid, imported);
                }
                None => {
                    let name = event.kind.name.trim_start_matches("syscall_entry_");
                    let what =
                        format!("calls of {name}, which is not in the table of system calls");
                    self.import.count_left_out(&what, 1);
                }
            }
            return Ok(());
        }
        let open = self.pending_calls.remove(&tid);
        let ret = event.fields.get("ret").and_then(Value::to_register).unwrap_or(0).cast_signed();
        let Some(mut imported) =
            open.filter(|t| syscall.row.is_some_and(|row| row.number == t.row.number))
        else {
            // A child's own return from the clone that made it has no entry, nor has that of a call
            // which the table does not know: that was counted.
            let is_child_return = syscall.is_fork() && ret == 0;
            let known = self.import.is_alive(tid);
            self.ensure_thread(tid, event.time)?;
            if !is_child_return && syscall.row.is_some() {
                count_unentered(&mut self.import, known);
            }
            return Ok(());
        };
        imported.set_returned(event.time, ret);
        set_arguments(&mut imported, &event.fields, false);
        add_unrecorded_data(&mut imported);
        Ok(self.import.add_call(imported)?)
    }

    /// Imports a descriptor that the state dump shows, for those of its processes that have made a
    /// call already. The others get it when they make one.
    fn import_descriptor(&mut self, event: &Event<'_>) -> Result<(), Error> {
        let Some((open, active)) = self.state_dump.add_descriptor(event) else {
            let what = "descriptors of the state dump that belong to no known process";
            self.import.count_ignored(what, 1);
            return Ok(());
        };
        for pid in active {
            // The dump takes a while: what a call has opened since is newer.
            if !self.import.has_descriptor(pid, open.fd) {
                self.import
                    .add_open_descriptor(pid, event.time, open.fd, &open.path, open.flags)?;
            }
        }
        Ok(())
    }

    /// Adds the start of thread `tid` if it is unknown, with the descriptors that its process had
    /// open.
    fn ensure_thread(&mut self, tid: u32, time: u64) -> Result<(), Error> {
        self.import.ensure_thread(tid, time)?;
        for open in self.state_dump.take_open(tid) {
            self.import.add_open_descriptor(
                self.import.process_of(tid),
                time,
                open.fd,
                &open.path,
                open.flags,
            )?;
        }
        Ok(())
    }
}

/// Sets the call's arguments from the fields of its entry or exit event.
fn set_arguments(imported: &mut ImportedCall, fields: &Value<'_>, entry: bool) {
    let args = imported.row.spec.args;
    let mut next_arg = 0;
    for (name, value) in fields.fields() {
        if name == "ret" || name.ends_with("_length") {
            continue;
        }
        let known = args.iter().position(|a| a.name == name);
        // If LTTng has another name for it, it is the argument after the one before.
        let Some(arg) = known.or_else(|| Some(next_arg).filter(|arg| entry && *arg < args.len()))
        else {
            continue;
        };
        next_arg = arg + 1;
        set_argument(imported, arg, args[arg].kind, value);
    }
}

/// Sets one argument from the value of the event's field: a string, a list of descriptors, or a
/// number.
fn set_argument(imported: &mut ImportedCall, arg: usize, kind: Kind, value: &Value<'_>) {
    match (value, kind) {
        (Value::Text(text), Kind::Path(_) | Kind::Str) => {
            if imported.call.payloads.iter().all(|p| usize::from(p.arg) != arg) {
                imported.add_string(arg, text);
            }
        }
        (Value::Array(numbers), Kind::Out(_, layout)) if layout.form == Form::Fds => {
            let bytes: Vec<u8> = numbers
                .iter()
                .filter_map(Value::to_register)
                .flat_map(|v| (v as u32).to_le_bytes())
                .collect();
            imported.add_payload(arg, PayloadKind::Bytes, true, &bytes, bytes.len() as u64);
        }
        _ => {
            if let Some(v) = value.to_register() {
                imported.set_number(arg, v);
            }
        }
    }
}
