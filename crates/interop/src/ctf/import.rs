//! A trace out of LTTng's events: entries and exits of system calls are paired by thread, and the arguments go by their names, which are the kernel's.

use super::layout::{self, End};
use super::running::{self, Running};
use super::statedump::{DESCRIPTOR, Dump, PROCESS};
use super::stream::{Item, Lost, Trace};
use super::value::{Event, Value};
use crate::importing::forks::Forks;
use crate::importing::{
    begin, ends_thread, finish, note_no_directory, unentered, unrecorded, unreturned,
};
use crate::{Error, Outcome};
use ::import::{Import, ImportedCall};
use abi::{Form, Kind};
use ahash::HashMap;
use std::path::Path;
use trace::About;
use trace::record::PayloadKind;

/// Makes the trace `to` of the trace in the directory `from`. `directory`: where the programs were when the recording began, if the user knows. `progress`: bytes done,
/// of how many.
pub fn import(
    from: &Path,
    to: &Path,
    directory: Option<&[u8]>,
    progress: &mut dyn FnMut(u64, u64),
) -> Result<Outcome, Error> {
    let trace = Trace::open(from)?;
    let running = Running::at_start(&trace)?;
    let (forks, dump, began) = first(&trace, running.clone())?;
    let env = |name: &str| trace.metadata.env.get(name).cloned().unwrap_or_default();
    let about = About {
        engine: format!("{} {}.{}", env("tracer_name"), env("tracer_major"), env("tracer_minor")),
        data: "none".to_owned(),
        host: env("hostname"),
        kernel: env("kernel_release"),
        machine: "x86_64".to_owned(),
        began,
        ..About::default()
    };
    let mut import = begin(to, about, directory, forks.made)?;
    import.note(
        "LTTng records no data: files get the recorded sizes, but other content (`replay \
        --write-data random` generates some)",
    );
    if directory.is_none() {
        note_no_directory(&mut import, "LTTng records no working directories");
    }
    let mut pairing = Pairing { import, dump, running, open: HashMap::default() };
    let mut events = 0u64;
    let counts = trace.read(|item| {
        events += 1;
        match item {
            Item::Event(event) => pairing.event(event),
            Item::Lost(lost) => pairing.lost(lost),
        }
    })?;
    progress(counts.bytes, trace.bytes);
    let Pairing { mut import, open, .. } = pairing;
    for told in open.into_values() {
        import.call(told)?;
    }
    if counts.packets > 0 {
        import.missing(&format!("{} packets of the trace are missing or damaged", counts.packets));
    }
    finish(import, counts.damage.into_iter().next(), progress)
}

/// Who made whom, who was there before, and when the first event was.
fn first(trace: &Trace, mut running: Running) -> Result<(Forks, Dump, u64), Error> {
    let (mut forks, mut dump, mut began) = (Forks::default(), Dump::default(), None);
    let wanted = |kind: &layout::Kind| {
        kind.call.as_ref().map_or(kind.name == PROCESS || running::tells(kind), End::forks)
    };
    trace.select(wanted, |item| {
        let event = match item {
            Item::Event(event) => event,
            Item::Lost(lost) => {
                running.lost(lost);
                return Ok::<(), Error>(());
            }
        };
        let thread = running.thread(event);
        began.get_or_insert(event.time);
        if event.kind.name == PROCESS {
            dump.process(event);
        }
        let Some(end) = event.kind.call.as_ref().filter(|end| end.forks()) else { return Ok(()) };
        let Some(tid) = thread else { return Ok(()) };
        let field = |name: &str| event.fields.get(name).and_then(Value::register);
        if end.entry {
            forks.begin(
                tid,
                event.time,
                field("flags").or_else(|| field("clone_flags")).unwrap_or(0),
            );
        } else {
            forks.end(tid, field("ret").map_or(0, u64::cast_signed));
        }
        Ok(())
    })?;
    let began = began.unwrap_or(0);
    dump.end(&mut forks, began);
    Ok((forks, dump, began))
}

/// Calls whose thread nobody can know.
const NOBODY: &str = "returns of calls by unknown threads (record sched_switch, or add the \
    context tid: lttng add-context -k -t tid)";

struct Pairing {
    import: Import,
    dump: Dump,
    running: Running,
    open: HashMap<u32, ImportedCall>,
}

impl Pairing {
    /// Something is missing. A call whose exit was dropped has not returned, as far as anybody
    /// knows.
    fn lost(&mut self, lost: &Lost) -> Result<(), Error> {
        self.running.lost(lost);
        if lost.events > 0 {
            self.import.gap(lost.time, lost.events)?;
        }
        Ok(())
    }

    fn event(&mut self, event: &Event<'_>) -> Result<(), Error> {
        let thread = self.running.thread(event);
        let Some(end) = &event.kind.call else {
            let name = event.kind.name.as_str();
            if name == DESCRIPTOR {
                return self.descriptor(event);
            }
            if !name.starts_with("lttng_statedump_") && !running::tells(event.kind) {
                self.import.ignored(&format!("events {name}"), 1);
            }
            return Ok(());
        };
        let Some(tid) = thread else {
            self.import.left_out(NOBODY, 1);
            return Ok(());
        };
        if end.entry {
            if let Some(before) = self.open.remove(&tid) {
                unreturned(&mut self.import, before)?;
            }
            match end.row.map(|row| ImportedCall::of(row, tid, event.time)) {
                Some(mut told) => {
                    arguments(&mut told, &event.fields, true);
                    self.meet(tid, event.time)?;
                    if ends_thread(told.row) {
                        return Ok(self.import.call(told)?);
                    }
                    self.open.insert(tid, told);
                }
                None => {
                    let name = event.kind.name.trim_start_matches("syscall_entry_");
                    let what =
                        format!("calls of {name}, which is not in the table of system calls");
                    self.import.left_out(&what, 1);
                }
            }
            return Ok(());
        }
        let open = self.open.remove(&tid);
        let ret = event.fields.get("ret").and_then(Value::register).unwrap_or(0).cast_signed();
        let Some(mut told) = open.filter(|t| end.row.is_some_and(|row| row.number == t.row.number))
        else {
            // A child's own return from the clone that made it has no entry, nor has that of a call
            // which the table does not know: that was counted.
            let born = end.forks() && ret == 0;
            let known = self.import.knows(tid);
            self.meet(tid, event.time)?;
            if !born && end.row.is_some() {
                unentered(&mut self.import, known);
            }
            return Ok(());
        };
        told.returned(event.time, ret);
        arguments(&mut told, &event.fields, false);
        unrecorded(&mut told);
        Ok(self.import.call(told)?)
    }

    fn descriptor(&mut self, event: &Event<'_>) -> Result<(), Error> {
        let Some((open, met)) = self.dump.descriptor(event) else {
            let what = "descriptors of the state dump that belong to no known process";
            self.import.ignored(what, 1);
            return Ok(());
        };
        for pid in met {
            // The dump takes a while: what a call has opened since is newer.
            if !self.import.has_descriptor(pid, open.fd) {
                self.import.descriptor(pid, event.time, open.fd, &open.path, open.flags)?;
            }
        }
        Ok(())
    }

    /// Thread `tid` does something: if nobody has told of its process, it is there now, with what was open.
    fn meet(&mut self, tid: u32, time: u64) -> Result<(), Error> {
        self.import.meet(tid, time)?;
        for open in self.dump.met(tid) {
            self.import.descriptor(
                self.import.process(tid),
                time,
                open.fd,
                &open.path,
                open.flags,
            )?;
        }
        Ok(())
    }
}

/// Gives the call's arguments what the fields of an event say.
fn arguments(told: &mut ImportedCall, fields: &Value<'_>, entry: bool) {
    let args = told.row.shape.args;
    let mut free = 0;
    for (name, value) in fields.fields() {
        if name == "ret" || name.ends_with("_length") {
            continue;
        }
        let known = args.iter().position(|a| a.name == name);
        // Where LTTng has a name of its own, the order is the kernel's.
        let Some(arg) = known.or_else(|| Some(free).filter(|free| entry && *free < args.len()))
        else {
            continue;
        };
        free = arg + 1;
        give(told, arg, args[arg].kind, value);
    }
}

fn give(told: &mut ImportedCall, arg: usize, kind: Kind, value: &Value<'_>) {
    match (value, kind) {
        (Value::Text(text), Kind::Path(_) | Kind::Str) => {
            if told.call.payloads.iter().all(|p| usize::from(p.arg) != arg) {
                told.string(arg, text);
            }
        }
        (Value::Array(numbers), Kind::Out(_, layout)) if layout.form == Form::Fds => {
            let bytes: Vec<u8> = numbers
                .iter()
                .filter_map(Value::register)
                .flat_map(|v| (v as u32).to_le_bytes())
                .collect();
            told.payload(arg, PayloadKind::Bytes, true, &bytes, bytes.len() as u64);
        }
        _ => {
            if let Some(v) = value.register() {
                told.number(arg, v);
            }
        }
    }
}
