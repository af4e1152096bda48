//! What sealing learns from the model: derived columns, and tables about files.

use crate::columns::derive;
use crate::files::{InferenceInput, Machine, RenamedNames, Summary as FilesSummary, infer};
use processes::Processes;
use std::path::Path;
use std::sync::Arc;
use trace::{
    Columns, Error, Inference, Item, Progress, ReadOptions, SealingContext, Semantics, Summary,
    Verdict,
};

/// What the calls of a trace mean, for [`trace::Recording`] and [`trace::recover`].
#[derive(Clone, Debug)]
pub struct Model {
    /// The recorded machine, if the trace is sealed there.
    machine: Option<Arc<dyn Machine>>,
}

impl Model {
    /// Creates the model for a recording that is sealed on the recorded machine as soon as it has
    /// ended: its file systems show what the calls do not show of files.
    pub fn of(machine: impl Machine + 'static) -> Self {
        Self { machine: Some(Arc::new(machine)) }
    }

    /// Creates the model for a trace of another machine, or of another time: the file systems of
    /// this machine show nothing about it.
    pub fn foreign() -> Self {
        Self { machine: None }
    }
}

/// Seals the trace `path` if its recorder has died, and returns whether that was so. A trace must
/// be sealed before it can be opened for reading.
pub fn recover(path: &Path, progress: Progress<'_>) -> Result<bool, Error> {
    trace::recover(path, &Model::foreign(), progress)
}

impl Semantics for Model {
    fn new_inference(&self) -> Box<dyn Inference> {
        let (processes, moved) = (Processes::default(), RenamedNames::default());
        Box::new(ModelInference { processes, moved, machine: self.machine.clone() })
    }
}

/// The inference of one sealing: follows the processes through all windows, and then writes the
/// tables about files.
struct ModelInference {
    processes: Processes,
    /// The names to which calls renamed or linked files, if there is a file system to look at.
    moved: RenamedNames,
    machine: Option<Arc<dyn Machine>>,
}

impl Inference for ModelInference {
    fn derive_columns(
        &mut self,
        items: &mut dyn Iterator<Item = Item>,
        found: &mut dyn FnMut(u64, Columns<'_>),
    ) {
        let moved = &mut self.moved;
        let mut items = items.inspect(|item| {
            if let (Item::Call(call), Some(_)) = (item, &self.machine) {
                moved.add(call);
            }
        });
        derive(&mut self.processes, &mut items, found);
    }

    fn write_tables(
        self: Box<Self>,
        sealing: &SealingContext<'_>,
        summary: &mut Summary,
        progress: Progress<'_>,
    ) -> Result<Vec<&'static str>, Error> {
        let live = self.machine.is_some();
        let trace = sealing.trace;
        let final_state = live && sealing.end.is_some_and(|e| e.final_state);
        let mut input =
            InferenceInput::for_recording(trace.recording_info(), self.machine, final_state);
        let until = summary.complete_until;
        input.moved = self.moved;
        let (total, mut done) = (summary.calls, 0u64);
        let count = |_: &Result<Item, Error>| {
            done += 1;
            if done.is_multiple_of(4096) {
                progress(done.min(total), total);
            }
        };
        let calls = trace
            .read(ReadOptions { data: false })
            .inspect(count)
            .filter(move |item| !matches!(item, Ok(Item::Call(c)) if c.is_after(until)));
        let found = infer(sealing.storage, trace.dir(), calls, &input)?;
        Ok(summarize(&found, trace.recording_info().snapshot, summary))
    }
}

/// Adds the results of the inference to the summary, and returns the names of the tables that were
/// written. `wants_snapshot` is whether a snapshot was to be taken.
fn summarize(
    found: &FilesSummary,
    wants_snapshot: bool,
    summary: &mut Summary,
) -> Vec<&'static str> {
    let mut tables = vec!["files.parquet", "initial.parquet"];
    summary.outside = found.outside_files;
    if found.outside_files > 0 {
        summary.notes.push(format!(
            "{} files were changed by processes that were not recorded, and are taken as the calls \
             found them: {}",
            found.outside_files,
            found.outside_told.join(", ")
        ));
    }
    tables.extend((found.outside > 0).then_some("outside.parquet"));
    tables.extend((found.unnamed > 0).then_some("unnamed.parquet"));
    summary.files = found.files;
    let unseen_reasons = found.unseen.reasons();
    if !unseen_reasons.is_empty() {
        summary.verdict = Verdict::Incomplete;
        summary.reasons.extend(unseen_reasons);
    }
    summary.snapshot_bytes = found.copied_bytes;
    if found.uncopied > 0 {
        let note = format!("the snapshot lacks {} files that could not be read", found.uncopied);
        summary.notes.push(note);
    }
    if wants_snapshot && found.copied_bytes.is_none() {
        summary.notes.push("there is no snapshot: the recorder did not finish".to_owned());
    }
    if found.unreadable > 0 {
        let note = format!("the final state of {} files could not be read", found.unreadable);
        summary.notes.push(note);
    }
    if found.names_with_nul > 0 {
        let names = found.names_with_nul;
        summary.notes.push(format!("{names} names with a NUL are left out: no file can have one"));
    }
    tables.extend(found.copied_bytes.map(|_| "snapshot.parquet"));
    tables
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests;
