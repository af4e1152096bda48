//! A root that holds the initial state already.

use super::{CreatedFiles, PrepareError, create_error, links_elsewhere};
use model::files::Row;
use rustix::fs::{Mode, OFlags, fchmod, fstat};
use sandbox::Tree;
use std::io;
use std::path::Path;

/// Inspects a root that already holds the initial state. Returns what `prepare` would
/// return, and creates nothing.
pub fn inspect(rows: &[Row], root: &Path) -> Result<CreatedFiles, PrepareError> {
    let mut tree =
        Tree::open(root).map_err(|e| PrepareError::Root(root.display().to_string(), e))?;
    restore_root_mode(&tree, rows).map_err(|e| create_error("set the mode of", b"/", e))?;
    let mut found = CreatedFiles::default();
    for (row, state) in rows.iter().filter_map(|row| Some((row, row.initial.as_ref()?))) {
        // What is not there will show when it is used.
        if let Ok(fd) = tree.get(&row.path, OFlags::PATH) {
            found.links_elsewhere.extend(links_elsewhere(&fd, state).ok().flatten());
        }
    }
    Ok(found)
}

/// Gives the root its recorded mode. A root that `prepare` created can be entered only by its
/// owner, and is closed again after the replay.
fn restore_root_mode(tree: &Tree, rows: &[Row]) -> io::Result<()> {
    let root = rows.iter().find(|row| row.path == b"/").and_then(|row| row.initial.as_ref());
    let Some(known) = root.and_then(|state| state.mode) else { return Ok(()) };
    if fstat(tree.root())?.st_mode & 0o077 == 0 {
        fchmod(tree.root(), Mode::from_raw_mode(known))?;
    }
    Ok(())
}
