//! What sealing learns from the model: derived columns, and tables about files.

use crate::columns::derive;
use crate::files::{Circumstances, Summary as Found, infer, moved};
use crate::world::World;
use std::cell::{Cell, RefCell};
use std::path::Path;
use trace::{
    Columns, Error, Inference, Item, Progress, Sealing, Semantics, Summary, Verdict, Want,
};

/// What the calls of a trace mean, for [`trace::Recording`] and [`trace::recover`].
#[derive(Clone, Copy, Debug)]
pub struct Model {
    live: bool,
}

impl Model {
    /// For a recording of this machine, which is sealed as soon as it has ended: what the calls do
    /// not tell of files, their file systems do.
    pub fn of_this_machine() -> Self {
        Self { live: true }
    }

    /// For a trace of another machine, or of another time: what stands on this machine's file
    /// systems says nothing about it.
    pub fn foreign() -> Self {
        Self { live: false }
    }
}

/// Seals the trace `path` if its recorder has died, and says whether that was so. A trace must be
/// sealed before it can be opened for reading.
pub fn recover(path: &Path, progress: Progress<'_>) -> Result<bool, Error> {
    trace::recover(path, &Model::foreign(), progress)
}

impl Semantics for Model {
    fn begin(&self) -> Box<dyn Inference> {
        Box::new(Following { world: World::default(), live: self.live })
    }
}

struct Following {
    world: World,
    live: bool,
}

impl Inference for Following {
    fn columns(
        &mut self,
        items: &mut dyn Iterator<Item = Item>,
        found: &mut dyn FnMut(u64, Columns<'_>),
    ) {
        derive(&mut self.world, items, found);
    }

    fn tables(
        self: Box<Self>,
        sealing: &Sealing<'_>,
        summary: &mut Summary,
        progress: Progress<'_>,
    ) -> Result<Vec<&'static str>, Error> {
        let live = self.live;
        let trace = sealing.trace;
        let final_state = live && sealing.end.is_some_and(|e| e.final_state);
        let mut circumstances = Circumstances::of(trace.about(), live, final_state);
        let until = summary.complete_until;
        // All calls are looked at once, or twice.
        let all = summary.calls * (1 + u64::from(live));
        let looked = Cell::new(0u64);
        let progress = RefCell::new(progress);
        let calls = || {
            let look = |_: &Result<Item, Error>| {
                looked.set(looked.get() + 1);
                if looked.get().is_multiple_of(4096) {
                    (*progress.borrow_mut())(looked.get().min(all), all);
                }
            };
            trace
                .read(Want { data: false })
                .inspect(look)
                .filter(move |item| !matches!(item, Ok(Item::Call(c)) if c.is_after(until)))
        };
        if live {
            circumstances.moved = moved(calls())?;
        }
        let found = infer(sealing.storage, trace.dir(), calls(), &circumstances)?;
        Ok(told(&found, trace.about().snapshot, summary))
    }
}

/// Adds to the summary what was found, and gives the names of the tables. `wanted`: a snapshot was
/// to be taken.
fn told(found: &Found, wanted: bool, summary: &mut Summary) -> Vec<&'static str> {
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
    let unseen = found.unseen.reasons();
    if !unseen.is_empty() {
        summary.verdict = Verdict::Incomplete;
        summary.reasons.extend(unseen);
    }
    summary.snapshot_bytes = found.copied_bytes;
    if found.uncopied > 0 {
        let note = format!("the snapshot lacks {} files that could not be read", found.uncopied);
        summary.notes.push(note);
    }
    if wanted && found.copied_bytes.is_none() {
        summary.notes.push("there is no snapshot: the recorder did not finish".to_owned());
    }
    if found.unreadable > 0 {
        let note = format!("the final state of {} files could not be read", found.unreadable);
        summary.notes.push(note);
    }
    tables.extend(found.copied_bytes.map(|_| "snapshot.parquet"));
    tables
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests;
