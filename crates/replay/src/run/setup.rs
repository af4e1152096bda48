//! What is done before the first call: the initial state, and the Landlock rules for it.

use crate::initial::{self, CreateOptions, CreatedFiles, PrepareError, unnamed};
use crate::source::Source;
use crate::{Error, Progress};
use ahash::HashMap;
use model::files::{FileType, Row};
use model::processes::parent;
use std::cmp::Reverse;
use std::path::Path;
use std::thread::ScopedJoinHandle;

/// Directories with a Landlock rule of their own.
const MAX_BUSY: usize = 32;

/// Waits for a thread and returns its result. A panic of the thread is an error.
pub(super) fn join<T>(thread: ScopedJoinHandle<'_, Result<T, Error>>) -> Result<T, Error> {
    thread.join().unwrap_or_else(|_| Err(Error::Inside("a thread panicked".into())))
}

/// Creates the initial state, or inspects one that exists. This happens in a thread with its own
/// Landlock rules, as the directories in the rules for calls do not exist before.
pub(super) fn create_initial_state(
    source: &dyn Source,
    rows: &[Row],
    prepared: bool,
    root: &Path,
    create: CreateOptions,
    progress: &dyn Progress,
) -> Result<CreatedFiles, Error> {
    std::thread::scope(|scope| {
        let confined = scope.spawn(|| {
            sandbox::confine(source.directory(), &[])?;
            let (outside_data, bytes) =
                initial::lay_out_outside_data(&source.outside().map_err(Error::Trace)?);
            let later = unnamed::outside_data_row(rows, bytes);
            let unnamed = source.unnamed().map_err(Error::Trace)?;
            let rows = &unnamed::with_staging(rows, unnamed, later.as_ref());
            let outside_data = later.as_ref().map(|row| (&outside_data, row));
            Ok(if prepared {
                initial::inspect(rows, root)?
            } else {
                match initial::prepare(source, rows, outside_data, root, create, progress) {
                    Err(PrepareError::Interrupted) => return Err(Error::Interrupted),
                    made => made?,
                }
            })
        });
        join(confined)
    })
}

/// Returns the directories that existed initially and have the most names of the manifest.
pub(super) fn largest_directories(rows: &[Row]) -> Vec<&[u8]> {
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
    busy.truncate(MAX_BUSY);
    busy.into_iter().map(|(path, _)| path).collect()
}
