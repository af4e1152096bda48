//! The manifest: every file that a trace touched, as it was before the first call and after the
//! last.
//!
//! The initial state is inferred from the calls: what a call found existed before, unless an
//! earlier call created it. Bytes that calls read before they wrote them are initial content;
//! `initial.parquet` says where the trace holds them. On the recorded machine, files that have not
//! changed since the recording began (`st_ctime`) are looked at, too. The final state is what the
//! file system shows at the end. Symbolic links in the paths that are looked at are not followed.

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

/// What the inference of the files' states needs besides the calls.
#[derive(Clone, Debug, Default)]
pub struct InferenceInput {
    /// When the recording began, in nanoseconds of `CLOCK_REALTIME`.
    pub began: u64,
    /// Mount points and file system types of the recorded machine, as in `/proc/self/mountinfo`.
    pub mounts: Vec<(Vec<u8>, String)>,
    /// The recorded machine, if the inference runs there: its file system shows what calls do not.
    pub machine: Option<Arc<dyn Machine>>,
    /// The names to which calls renamed or linked files. Needed with `machine`.
    pub moved: RenamedNames,
    /// Whether to read the final state from the file system, since the recording has just ended.
    /// Needs `machine`.
    pub final_state: bool,
    /// Whether to copy initial bytes that no call read or wrote. Needs `final_state`.
    pub snapshot: bool,
    /// Whether the trace holds all that the program did, so that other changes of files are those
    /// of unrecorded processes.
    pub whole: bool,
}

/// What [`infer`] wrote.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Summary {
    /// The number of rows of `files.parquet`.
    pub files: u64,
    /// The number of rows of `unnamed.parquet`; 0: there is no such table.
    pub unnamed: u64,
    /// The number of bytes of initial content that the trace holds.
    pub initial_bytes: u64,
    /// The number of files whose final state could not be read.
    pub unreadable: u64,
    /// The number of bytes that the snapshot holds; `None`: there is no snapshot.
    pub copied_bytes: Option<u64>,
    /// The number of files that the snapshot could not copy.
    pub uncopied: u64,
    /// What can have happened to files without a recorded call.
    pub unseen: Unseen,
    /// The number of rows of `outside.parquet`: changes by unrecorded processes; 0: there is no
    /// such table.
    pub outside: u64,
    /// The number of files that unrecorded processes changed, also after the last call that looked
    /// at the file.
    pub outside_files: u64,
    /// What happened to the first few of them, a few words each.
    pub outside_told: Vec<String>,
    /// The number of names with a NUL, which were left out.
    pub names_with_nul: u64,
}

impl InferenceInput {
    /// Creates the input for a recording. `machine` is the recorded machine, if the inference runs
    /// there; `final_state` is whether the recording has just ended in order, so that files still
    /// are as it left them.
    pub fn for_recording(
        about: &RecordingInfo,
        machine: Option<Arc<dyn Machine>>,
        final_state: bool,
    ) -> Self {
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

/// Infers the states of files from all calls and events of a trace, which come in the order of
/// entry, and writes the tables about files into its directory: `files.parquet`, `initial.parquet`
/// and, if they have rows, `unnamed.parquet`, `outside.parquet` and `snapshot.parquet`. The data
/// payloads may come without bytes. Memory is proportional to the number of files touched.
pub fn infer(
    storage: &dyn Storage,
    dir: BorrowedFd<'_>,
    items: impl Iterator<Item = Result<Item, Error>>,
    about: &InferenceInput,
) -> Result<Summary, Error> {
    let mut origins = OriginSorter::new(OriginWriter::new(storage.create(dir, INITIAL)?));
    let (mut facts, unrecorded) = apply_items(items, about, &mut origins)?;
    let initial_bytes = origins.finish()?;
    let final_machine = about.machine.as_deref().filter(|_| about.final_state);
    let mut snapshot = if final_machine.is_some() && about.snapshot {
        Some(manifest::Writer::new(storage.create(dir, SNAPSHOT)?)?)
    } else {
        None
    };
    let searches_unrecorded = facts.names.searches_unrecorded;
    let names = &mut facts.names;
    let mut manifest = manifest::build(
        names,
        &facts.unnamed,
        final_machine,
        searches_unrecorded,
        snapshot.as_mut(),
    )?;
    let covers = |point: &Vec<u8>, path: &[u8]| {
        path.strip_prefix(&point[..]).is_some_and(|rest| matches!(rest.first(), None | Some(b'/')))
    };
    for row in &mut manifest.rows {
        if facts.program_mounts.iter().any(|point| covers(point, &row.path)) {
            row.last = Final::Unknown("the program left something mounted there".to_owned());
        }
    }
    let mut changes = facts.changes();
    changes.retain(|change| table::is_plain(&change.path));
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
        unseen: Unseen::collect(&unrecorded, &manifest.rows),
        outside: changes.len() as u64,
        outside_files: table::count_changed_files(&changes, &manifest.late),
        outside_told: table::describe_first_changes(&changes, &manifest.late),
        names_with_nul: facts.names.count_names_with_nul(),
    })
}

pub(crate) const FILES: &str = "files.parquet";
pub(crate) const INITIAL: &str = "initial.parquet";
pub(crate) const SNAPSHOT: &str = "snapshot.parquet";
pub(crate) const UNNAMED: &str = "unnamed.parquet";
pub(crate) const OUTSIDE: &str = "outside.parquet";

/// Applies the calls and events of the trace, and infers the states of files from them. The origins
/// go to `origins`. Returns what is known of files, and what can have happened without a recorded
/// call.
fn apply_items(
    items: impl Iterator<Item = Result<Item, Error>>,
    about: &InferenceInput,
    origins: &mut OriginSorter,
) -> Result<(Facts, Unrecorded), Error> {
    let file_system =
        |machine: &Arc<dyn Machine>| RecordedMachine::new(Arc::clone(machine), about.began);
    let live = about.machine.as_ref().map(|m| Box::new(file_system(m)) as Box<dyn FileSystem>);
    let mut facts = Facts::new(Names::new(&about.mounts, live, about.moved.clone()), about.began);
    facts.names.searches_unrecorded = about.whole;
    let mounts = about.mounts.iter().map(|(point, fs_type)| (&point[..], &fs_type[..]));
    let mut processes = Processes::with_mounts(Mounts::new(mounts));
    let mut unrecorded = Unrecorded::default();
    let mut under_way = HashMap::default();
    for item in Timeline::new(items) {
        match item? {
            TimelineItem::Event(event) => {
                if event.kind == RecordKind::Exec {
                    unrecorded.after_exec(event.pid);
                }
                apply_event(&event, &mut processes, &mut facts);
            }
            TimelineItem::Enter(call_id, call) => {
                let origin_index = origins.enter(&call);
                unrecorded.before_entry(&call);
                let operands = processes.enter(&call);
                facts.begin_call(call_id, &call, &operands, &unrecorded);
                under_way.insert(call_id, (origin_index, operands));
            }
            TimelineItem::Leave(call_id, call) => {
                let Some((origin_index, mut operands)) = under_way.remove(&call_id) else {
                    continue;
                };
                processes.leave_with(&call, &mut operands, &mut |path| facts.names.link_at(path));
                let operations_before = unrecorded.operations;
                let changed = unrecorded.after_return(&processes, &call, &operands);
                facts.names.searches_unrecorded &= unrecorded.operations == operations_before;
                let overlapping = facts.unrecorded.overlapping.leave(call_id);
                if let Some(spec) = call.spec().filter(|_| call.was_executed()) {
                    let context = prepare_context(&call, spec, &operands, &mut facts);
                    let subject = facts.apply_returned_call(&call, spec, &context);
                    if let (Some(directory), Some(_)) = (&operands.directory, subject) {
                        directory.real.set(subject);
                    }
                }
                for (file, reason) in changed {
                    facts.mark_uncertain(&file, reason);
                }
                facts.unrecorded.overlapping.keep_returned(overlapping, under_way.is_empty());
                origins.leave(origin_index, facts.origins.drain(..))?;
            }
            TimelineItem::Unreturned(call_id, call) => {
                let Some((_, operands)) = under_way.remove(&call_id) else { continue };
                if let Some(spec) = call.spec() {
                    let context = prepare_context(&call, spec, &operands, &mut facts);
                    facts.apply_lost_call(spec, &context);
                }
            }
        }
    }
    for (file, reason) in unrecorded.open_mappings() {
        facts.mark_uncertain(&file, reason);
    }
    facts.explain_errors();
    facts.program_mounts = processes.mount_points();
    Ok((facts, unrecorded))
}

/// Returns what the arguments of a call referred to, with the model's files for the working and the
/// root directory. The model's file of a directory is looked up once, and kept in the directory.
fn prepare_context(
    call: &Call,
    spec: &abi::CallSpec,
    operands: &Operands<Cell<Option<NodeId>>>,
    facts: &mut Facts,
) -> Context {
    let mut file_of_directory = |directory: &Directory<Cell<Option<NodeId>>>| {
        if directory.real.get().is_none() && !directory.elsewhere {
            directory.real.set(facts.directory_at(&directory.path));
        }
        directory.real.get()
    };
    let mut context = Context::prepare(call, spec, operands, &mut file_of_directory);
    context.cwd = operands.cwd.as_deref().and_then(&mut file_of_directory);
    context.root = operands.root.as_deref().and_then(&mut file_of_directory);
    context
}

/// Applies an event to the processes and, if it shows an open file, a directory or a mapping of the
/// start, to what is known of files.
fn apply_event(event: &Event, processes: &mut Processes, facts: &mut Facts) {
    processes.event(event);
    match event.kind {
        // What the lost calls did is unknown.
        RecordKind::Gap => facts.names.searches_unrecorded = false,
        RecordKind::State => {
            let add_directory = |arg, facts: &mut Facts| {
                event
                    .identity(arg)
                    .and_then(|(identity, path)| facts.add_existing_file(path, &identity))
            };
            add_directory(ROOT_DIRECTORY, facts);
            let cwd = add_directory(WORKING_DIRECTORY, facts);
            if let (Some(directory), Some(_)) = (processes.directory(event.tid), cwd) {
                directory.real.set(cwd);
            }
        }
        RecordKind::Descriptor if event.is_mapping() => {
            let node =
                event.identity(0).and_then(|(file, path)| facts.add_existing_file(path, &file));
            if let Some(node) = node {
                facts.names.node_mut(node).why_uncertain = Some(BY_STORES);
            }
        }
        RecordKind::Descriptor => {
            if let Some(descriptor) = processes
                .descriptor(event.tid, event.args[0] as i32)
                .filter(|d| d.file.is_stored() && d.file.path.starts_with(b"/"))
                && !facts.knows_open_file(&descriptor.file)
                && let Some(node) =
                    facts.add_existing_file(&descriptor.file.path, &descriptor.file.identity)
            {
                facts.add_open_file(&descriptor.file, node);
            }
        }
        _ => {}
    }
}

/// Sorts origins, which are found in the order in which calls return, by the order in which the
/// trace is read: that of entry. An origin is kept in memory while an earlier call with data is
/// under way.
struct OriginSorter {
    writer: OriginWriter,
    /// The index of the next call in the order of entry.
    next_index: u64,
    /// Calls with data that are under way, by index.
    under_way: BTreeSet<u64>,
    /// The origins that are not written yet, by the index of their call.
    waiting: BTreeMap<u64, Vec<Origin>>,
    bytes: u64,
}

impl OriginSorter {
    /// Starts without calls. The origins are written to `writer`.
    fn new(writer: OriginWriter) -> Self {
        Self {
            writer,
            next_index: 0,
            under_way: BTreeSet::new(),
            waiting: BTreeMap::new(),
            bytes: 0,
        }
    }

    /// Notes that a call is entered, and returns its index in the order of entry.
    fn enter(&mut self, call: &Call) -> u64 {
        let index = self.next_index;
        self.next_index += 1;
        if call.returned() && call.payloads.iter().any(|p| p.kind == PayloadKind::Data) {
            self.under_way.insert(index);
        }
        index
    }

    /// Takes the origins that a returning call shows, and writes all origins before which no call
    /// with data is under way any more.
    fn leave(&mut self, index: u64, found: impl Iterator<Item = Origin>) -> io::Result<()> {
        let found: Vec<Origin> = found.collect();
        if !found.is_empty() {
            self.waiting.insert(index, found);
        }
        if self.under_way.remove(&index) {
            let until = self.under_way.first().copied().unwrap_or(u64::MAX);
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
