//! What is done before the first call: the initial state, and the walls that fit it.

use crate::initial::{self, How, PrepareError, Prepared, unnamed};
use crate::source::Source;
use crate::{Error, Progress, sandbox};
use ahash::HashMap;
use model::files::{FileType, Row};
use model::world::parent;
use std::cmp::Reverse;
use std::path::Path;
use std::thread::ScopedJoinHandle;

/// So many directories are allowed by themselves.
const BUSY: usize = 32;

/// What a thread came to. A panic is an error.
pub(super) fn end<T>(thread: ScopedJoinHandle<'_, Result<T, Error>>) -> Result<T, Error> {
    thread.join().unwrap_or_else(|_| Err(Error::Inside("a thread panicked".into())))
}

/// Makes the initial state, or looks at it where it was made before; in a thread that Landlock
/// confines by itself: what the calls' threads may best be allowed is not there before.
pub(super) fn make(
    source: &dyn Source,
    rows: &[Row],
    prepared: bool,
    root: &Path,
    how: How,
    progress: &dyn Progress,
) -> Result<Prepared, Error> {
    std::thread::scope(|scope| {
        let confined = scope.spawn(|| {
            sandbox::confine(source.directory(), &[])?;
            let (brought, bytes) = initial::lay_out(&source.outside().map_err(Error::Trace)?);
            let later = unnamed::row_of_brought(rows, bytes);
            let unnamed = source.unnamed().map_err(Error::Trace)?;
            let rows = &unnamed::with_shelf(rows, unnamed, later.as_ref());
            let brought = later.as_ref().map(|row| (&brought, row));
            Ok(if prepared {
                initial::look(rows, root)?
            } else {
                match initial::prepare(source, rows, brought, root, how, progress) {
                    Err(PrepareError::Interrupted) => return Err(Error::Interrupted),
                    made => made?,
                }
            })
        });
        end(confined)
    })
}

/// The directories that have the most names of the manifest, and were there at first.
pub(super) fn busiest(rows: &[Row]) -> Vec<&[u8]> {
    let mut names: HashMap<&[u8], (u64, bool)> = HashMap::default();
    for row in rows {
        names.entry(parent(&row.path)).or_default().0 += 1;
        if row.initial.as_ref().is_some_and(|state| state.kind == FileType::Directory) {
            names.entry(&row.path).or_default().1 = true;
        }
    }
    let mut busy: Vec<(&[u8], u64)> = names
        .into_iter()
        .filter(|(_, (count, there))| *there && *count > 0)
        .map(|(path, (count, _))| (path, count))
        .collect();
    busy.sort_unstable_by_key(|(path, count)| (Reverse(*count), *path));
    busy.truncate(BUSY);
    busy.into_iter().map(|(path, _)| path).collect()
}
