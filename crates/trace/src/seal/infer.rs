//! What the sealed calls tell of files goes into tables of its own.

use super::Place;
use crate::document::{Document, Sealed, Verdict};
use crate::error::Error;
use crate::storage::file_at;
use std::cell::{Cell, RefCell};
use std::io;
use std::os::fd::BorrowedFd;

/// Has the files' states inferred from what was just sealed.
/// `progress`: calls looked at, of how many.
pub(super) fn infer(
    place: &Place<'_>,
    document: &mut Document,
    live: bool,
    progress: &mut dyn FnMut(u64, u64),
) -> Result<(), Error> {
    let final_state = live && document.end.as_ref().is_some_and(|e| e.final_state);
    let mut circumstances = crate::files::Circumstances::of(&document.about, live, final_state);
    let trace = crate::trace::Trace::being_sealed(place.dir, place.path, document)?;
    let until = document.summary.complete_until;
    // All calls are looked at once, or twice.
    let all = document.summary.calls * (1 + u64::from(live));
    let looked = Cell::new(0u64);
    let progress = RefCell::new(progress);
    let calls = || {
        let look = |_: &Result<crate::Item, Error>| {
            looked.set(looked.get() + 1);
            if looked.get().is_multiple_of(4096) {
                (*progress.borrow_mut())(looked.get().min(all), all);
            }
        };
        trace
            .read(crate::trace::Want { data: false })
            .inspect(look)
            .filter(move |item| !matches!(item, Ok(crate::Item::Call(c)) if c.is_after(until)))
    };
    let moved = if live { crate::files::moved(calls()) } else { Ok(Default::default()) };
    let found = moved.and_then(|moved| {
        circumstances.moved = moved;
        crate::files::infer(place.storage, place.dir, calls(), &circumstances)
    });
    let mut tables = vec!["files.parquet", "initial.parquet"];
    match found {
        Ok(found) => {
            document.summary.outside = found.outside_files;
            if found.outside_files > 0 {
                document.summary.notes.push(format!(
                    "{} files were changed by processes that were not recorded, and are taken as \
                     the calls found them: {}",
                    found.outside_files,
                    found.outside_told.join(", ")
                ));
            }
            tables.extend((found.outside > 0).then_some("outside.parquet"));
            tables.extend((found.unnamed > 0).then_some("unnamed.parquet"));
            document.summary.files = found.files;
            let unseen = found.unseen.reasons();
            if !unseen.is_empty() {
                document.summary.verdict = Verdict::Incomplete;
                document.summary.reasons.extend(unseen);
            }
            document.summary.snapshot_bytes = found.copied_bytes;
            if found.uncopied > 0 {
                document.summary.notes.push(format!(
                    "the snapshot lacks {} files that could not be read",
                    found.uncopied
                ));
            }
            if document.about.snapshot && found.copied_bytes.is_none() {
                document
                    .summary
                    .notes
                    .push("there is no snapshot: the recorder did not finish".to_owned());
            }
            if found.unreadable > 0 {
                document.summary.notes.push(format!(
                    "the final state of {} files could not be read",
                    found.unreadable
                ));
            }
        }
        Err(e) if e.is_full() => return Err(e),
        Err(e) => {
            document.summary.notes.push(format!(
                "the files' states could not be inferred: {}",
                crate::error::chain(&e)
            ));
            return Ok(());
        }
    }
    let snapshot = document.summary.snapshot_bytes.map(|_| "snapshot.parquet");
    for name in tables.into_iter().chain(snapshot) {
        document
            .tables
            .push(hash(place.dir, name).map_err(Error::io("read", place.path.join(name)))?);
    }
    Ok(())
}

/// The file `name`, which is durable, as it goes into `trace.json`.
fn hash(dir: BorrowedFd<'_>, name: &str) -> io::Result<Sealed> {
    let file = file_at(dir, name)?;
    let mut hasher = blake3::Hasher::new();
    hasher.update_reader(&file)?;
    Ok(Sealed {
        file: name.to_owned(),
        bytes: hasher.count(),
        blake3: hasher.finalize().to_hex().to_string(),
    })
}
