//! The manifest: every file that a trace touched, as it was before the first call and after the
//! last.
//!
//! The state before is inferred from the trace itself: what a call found was there, unless an
//! earlier call put it there. Bytes read before they were written are the initial content; their
//! places in the trace go to `initial.parquet`. Where the recorded machine is at hand, what the
//! trace left unchanged (its change time lies before the recording) is looked up there. The state
//! after is what the file system shows at the end. Nothing here follows a link out of where it
//! looks.

mod facts;
mod live;
mod manifest;
mod names;
mod node;
mod ranges;
mod row;
mod table;
mod unseen;

pub use live::{Found, Machine};
pub use manifest::{Copied, CopiedReader, Differs, compared_xattr, digest};
pub use names::RenamedNames;
pub use row::{Content, Digest, FileType, Final, Known, Origin, Row, State, Unnamed};
pub(crate) use table::read_changes;
pub use table::{Change, ChangeKind, Origins, read_rows};
pub use unseen::Unseen;

use abi::plan::{ROOT_DIRECTORY, WORKING_DIRECTORY};
use ahash::HashMap;
use facts::{Context, Facts, Processes};
use live::{FileSystem, RecordedMachine};
use names::Names;
use node::NodeId;
use processes::{BY_STORES, Directory, Mounts, Operands, Timeline, TimelineItem, Unrecorded};
use std::cell::Cell;
use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::os::fd::BorrowedFd;
use std::sync::Arc;
use table::OriginWriter;
use trace::record::{PayloadKind, RecordKind};
use trace::storage::Storage;
use trace::{Call, Error, Event, Item, RecordingInfo};

/// What inference must know besides the calls.
#[derive(Clone, Debug, Default)]
pub struct InferenceInput {
    /// When the recording began: nanoseconds of `CLOCK_REALTIME`.
    pub began: u64,
    /// Mount points and file system types of the recorded machine, as in `/proc/self/mountinfo`.
    pub mounts: Vec<(Vec<u8>, String)>,
    /// The recorded machine, if it is at hand: its file system shows what the trace does not tell.
    pub machine: Option<Arc<dyn Machine>>,
    /// The names that the trace moved something to. Needed with `machine`.
    pub moved: RenamedNames,
    /// The recording has just ended: write down the state after it. Needs `machine`.
    pub final_state: bool,
    /// Copy what the program opened and did not move. Needs `final_state`.
    pub snapshot: bool,
    /// The trace holds all that the program did: what it did not do, others did.
    pub whole: bool,
}

/// What [`infer`] wrote.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Summary {
    /// Rows of `files.parquet`.
    pub files: u64,
    /// Rows of `unnamed.parquet`; 0: there is no such table.
    pub unnamed: u64,
    /// Bytes of initial content that the trace holds.
    pub initial_bytes: u64,
    /// Files whose final state could not be read.
    pub unreadable: u64,
    /// Bytes that the snapshot holds; `None`: there is none.
    pub copied_bytes: Option<u64>,
    /// Files that the snapshot could not copy.
    pub uncopied: u64,
    /// What happened to files without a call.
    pub unseen: Unseen,
    /// Changes that no recorded call made; 0: there is no `outside.parquet`.
    pub outside: u64,
    /// How many files were so changed, those among them that no call looked at afterwards, and what
    /// happened to the first ones, a few words each.
    pub outside_files: u64,
    /// See there.
    pub outside_told: Vec<String>,
    /// Names with a NUL, which were left out.
    pub names_with_nul: u64,
}

impl InferenceInput {
    /// Creates the input for a recording. `machine` is the recorded machine, if the inference runs
    /// there; `final_state` is whether the recording has just ended in order, so that files still
    /// are as it left them.
    pub fn of(about: &RecordingInfo, machine: Option<Arc<dyn Machine>>, final_state: bool) -> Self {
        Self {
            began: about.began.saturating_add_signed(about.clock_offset),
            mounts: about.mounts.iter().map(|m| (m.point.clone(), m.fs.clone())).collect(),
            machine,
            moved: RenamedNames::default(),
            final_state,
            snapshot: about.snapshot,
            whole: about.filter.is_empty() && ["ebpf", "ptrace"].contains(&&*about.engine),
        }
    }
}

/// Reads all calls and events of a trace, in the order of entry, and writes `files.parquet` and
/// `initial.parquet` into its directory. Data payloads may come without bytes. Memory is
/// proportional to the files touched.
pub fn infer(
    storage: &dyn Storage,
    dir: BorrowedFd<'_>,
    items: impl Iterator<Item = Result<Item, Error>>,
    about: &InferenceInput,
) -> Result<Summary, Error> {
    let mut origins = Origination::new(OriginWriter::new(storage.create(dir, INITIAL)?));
    let (mut facts, unrecorded) = follow(items, about, &mut origins)?;
    let initial_bytes = origins.finish()?;
    let look = about.machine.as_deref().filter(|_| about.final_state);
    let mut snapshot = if look.is_some() && about.snapshot {
        Some(manifest::Writer::new(storage.create(dir, SNAPSHOT)?)?)
    } else {
        None
    };
    let watched = facts.names.watched;
    let names = &mut facts.names;
    let mut manifest = manifest::build(names, &facts.unnamed, look, watched, snapshot.as_mut())?;
    let covers = |point: &Vec<u8>, path: &[u8]| {
        path.strip_prefix(&point[..]).is_some_and(|rest| matches!(rest.first(), None | Some(b'/')))
    };
    for row in &mut manifest.rows {
        if facts.covered.iter().any(|point| covers(point, &row.path)) {
            row.last = Final::Unknown("the program left something mounted there".to_owned());
        }
    }
    let mut changes = facts.changes();
    changes.retain(|change| table::plain(&change.path));
    if !changes.is_empty() {
        table::write_changes(storage.create(dir, OUTSIDE)?, &changes)?;
    }
    table::write_rows(storage.create(dir, FILES)?, &manifest.rows)?;
    if !manifest.unnamed.is_empty() {
        table::write_rows(storage.create(dir, UNNAMED)?, &manifest.unnamed)?;
    }
    let copied_bytes = snapshot.as_ref().map(|s| s.bytes);
    snapshot.map_or(Ok(()), manifest::Writer::finish)?;
    Ok(Summary {
        files: manifest.rows.len() as u64,
        unnamed: manifest.unnamed.len() as u64,
        initial_bytes,
        unreadable: manifest.unreadable,
        copied_bytes,
        uncopied: manifest.uncopied,
        unseen: Unseen::of(&unrecorded, &manifest.rows),
        outside: changes.len() as u64,
        outside_files: table::changed_files(&changes, &manifest.late),
        outside_told: table::told_changes(&changes, &manifest.late),
        names_with_nul: facts.names.count_names_with_nul(),
    })
}

pub(crate) const FILES: &str = "files.parquet";
pub(crate) const INITIAL: &str = "initial.parquet";
pub(crate) const SNAPSHOT: &str = "snapshot.parquet";
pub(crate) const UNNAMED: &str = "unnamed.parquet";
pub(crate) const OUTSIDE: &str = "outside.parquet";

/// Follows the calls and events of the trace, and infers the states of files from them.
fn follow(
    items: impl Iterator<Item = Result<Item, Error>>,
    about: &InferenceInput,
    origins: &mut Origination,
) -> Result<(Facts, Unrecorded), Error> {
    let here = |machine: &Arc<dyn Machine>| RecordedMachine::new(Arc::clone(machine), about.began);
    let live = about.machine.as_ref().map(|m| Box::new(here(m)) as Box<dyn FileSystem>);
    let mut facts = Facts::new(Names::new(&about.mounts, live, about.moved.clone()), about.began);
    facts.names.watched = about.whole;
    let mounts = about.mounts.iter().map(|(point, kind)| (&point[..], &kind[..]));
    let mut processes = Processes::with_mounts(Mounts::new(mounts));
    let mut unrecorded = Unrecorded::default();
    let mut under_way = HashMap::default();
    for item in Timeline::new(items) {
        match item? {
            TimelineItem::Event(event) => {
                if event.kind == RecordKind::Exec {
                    unrecorded.after_exec(event.pid);
                }
                happened(&event, &mut processes, &mut facts);
            }
            TimelineItem::Enter(number, call) => {
                let index = origins.enter(&call);
                unrecorded.before_entry(&call);
                let operands = processes.enter(&call);
                facts.begin_call(number, &call, &operands, &unrecorded);
                under_way.insert(number, (index, operands));
            }
            TimelineItem::Leave(number, call) => {
                let Some((index, mut operands)) = under_way.remove(&number) else { continue };
                processes.leave_with(&call, &mut operands, &mut |path| facts.names.link_at(path));
                let known = unrecorded.operations;
                let changed = unrecorded.after_return(&processes, &call, &operands);
                facts.names.watched &= unrecorded.operations == known;
                let overlapping = facts.outside.overlapping.leave(number);
                if let Some(spec) = call.spec().filter(|_| call.was_executed()) {
                    let context = context(&call, spec, &operands, &mut facts);
                    let subject = facts.apply_returned_call(&call, spec, &context);
                    if let (Some(directory), Some(_)) = (&operands.directory, subject) {
                        directory.real.set(subject);
                    }
                }
                for (file, why) in changed {
                    facts.mark_uncertain(&file, why);
                }
                facts.outside.overlapping.left(overlapping, under_way.is_empty());
                origins.leave(index, facts.origins.drain(..))?;
            }
            TimelineItem::Unreturned(number, call) => {
                let Some((_, operands)) = under_way.remove(&number) else { continue };
                if let Some(spec) = call.spec() {
                    let context = context(&call, spec, &operands, &mut facts);
                    facts.apply_lost_call(spec, &context);
                }
            }
        }
    }
    for (file, why) in unrecorded.open_mappings() {
        facts.mark_uncertain(&file, why);
    }
    facts.explain_errors();
    facts.covered = processes.mount_points();
    Ok((facts, unrecorded))
}

/// Returns what the arguments of a call referred to, as the inference needs it. Each directory is
/// looked up once.
fn context(
    call: &Call,
    spec: &abi::CallSpec,
    operands: &Operands<Cell<Option<NodeId>>>,
    facts: &mut Facts,
) -> Context {
    let mut node = |directory: &Directory<Cell<Option<NodeId>>>| {
        if directory.real.get().is_none() && !directory.elsewhere {
            directory.real.set(facts.at(&directory.path));
        }
        directory.real.get()
    };
    let mut context = Context::of(call, spec, operands, &mut node);
    context.cwd = operands.cwd.as_deref().and_then(&mut node);
    context.root = operands.root.as_deref().and_then(&mut node);
    context
}

/// Applies an event: to the processes, and to what is known of files, if it shows descriptors or
/// directories of the start.
fn happened(event: &Event, processes: &mut Processes, facts: &mut Facts) {
    processes.event(event);
    match event.kind {
        // What the lost calls did is unknown.
        RecordKind::Gap => facts.names.watched = false,
        RecordKind::State => {
            let stood = |arg, facts: &mut Facts| {
                event
                    .identity(arg)
                    .and_then(|(identity, path)| facts.add_existing_file(path, &identity))
            };
            stood(ROOT_DIRECTORY, facts);
            let cwd = stood(WORKING_DIRECTORY, facts);
            if let (Some(directory), Some(_)) = (processes.directory(event.tid), cwd) {
                directory.real.set(cwd);
            }
        }
        RecordKind::Descriptor if event.is_mapping() => {
            let node =
                event.identity(0).and_then(|(file, path)| facts.add_existing_file(path, &file));
            if let Some(node) = node {
                facts.names.node_mut(node).uncertain = Some(BY_STORES);
            }
        }
        RecordKind::Descriptor => {
            if let Some(descriptor) = processes
                .descriptor(event.tid, event.args[0] as i32)
                .filter(|d| d.file.is_stored() && d.file.path.starts_with(b"/"))
                && !facts.has_open_file(&descriptor.file)
                && let Some(node) =
                    facts.add_existing_file(&descriptor.file.path, &descriptor.file.identity)
            {
                facts.add_open_file(&descriptor.file, node);
            }
        }
        _ => {}
    }
}

/// Brings origins, which are found in the order of exits, into the order in which the trace is
/// read. Holds back only what follows a call with data that is still under way.
struct Origination {
    writer: OriginWriter,
    /// The place of the next call in reading order.
    next: u64,
    /// Calls with data that are under way.
    open: BTreeSet<u64>,
    waiting: BTreeMap<u64, Vec<Origin>>,
    bytes: u64,
}

impl Origination {
    /// Starts without calls. `writer` gets the origins.
    fn new(writer: OriginWriter) -> Self {
        Self { writer, next: 0, open: BTreeSet::new(), waiting: BTreeMap::new(), bytes: 0 }
    }

    /// Notes that a call is entered, and returns its index in the order of entry.
    fn enter(&mut self, call: &Call) -> u64 {
        let index = self.next;
        self.next += 1;
        if call.returned() && call.payloads.iter().any(|p| p.kind == PayloadKind::Data) {
            self.open.insert(index);
        }
        index
    }

    /// Takes the origins that a returning call shows. They are written once no earlier call is
    /// under way, so that they are in the order of entry.
    fn leave(&mut self, index: u64, found: impl Iterator<Item = Origin>) -> io::Result<()> {
        let found: Vec<Origin> = found.collect();
        if !found.is_empty() {
            self.waiting.insert(index, found);
        }
        if self.open.remove(&index) {
            let until = self.open.first().copied().unwrap_or(u64::MAX);
            while let Some(entry) = self.waiting.first_entry().filter(|e| *e.key() < until) {
                for origin in entry.remove() {
                    self.bytes = self.bytes.saturating_add(origin.len);
                    self.writer.push(origin)?;
                }
            }
        }
        Ok(())
    }

    /// Writes the remaining origins. Returns the number of bytes of initial content that the trace
    /// holds.
    fn finish(self) -> io::Result<u64> {
        let mut writer = self.writer;
        let mut bytes = self.bytes;
        for origin in self.waiting.into_values().flatten() {
            bytes += origin.len;
            writer.push(origin)?;
        }
        writer.finish()?;
        Ok(bytes)
    }
}

#[cfg(test)]
mod tests;
