//! Makes the initial state of a trace's files under the replay's root.
//!
//! Every name is reached through [`Tree`], never through a link: a trace cannot lead out of the
//! root. Devices are not made. Attributes are set last, children before their directories, so that
//! no permission is in the way. Memory does not grow with the content: one buffer of the trace at a
//! time.

mod content;
mod inspect;
mod make;
pub(crate) mod outside;
mod traversed;
pub(crate) mod unnamed;

pub use self::inspect::inspect;
pub use self::traversed::CreateOptions;
pub(crate) use self::traversed::TraversedDirectories;

pub(crate) use make::write_at;

use crate::Progress;
use crate::source::{Cause, Source};
use ::model::files::{Change, Copied, FileType, Origin, Row, State};
use ahash::HashMap;
use make::TreeBuilder;
use rustix::fd::OwnedFd;
use sandbox::Tree;
use std::collections::VecDeque;
use std::io;
use std::path::Path;
use trace::Item;

/// A range of the file with the data that unrecorded processes wrote.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct OutsideRange {
    /// Where it begins in that file.
    pub base: u64,
    /// Where it belongs in the file that was changed.
    pub from: u64,
    /// Its bytes.
    pub len: u64,
}

/// The ranges, by the file numbers of `initial.parquet`.
pub(crate) type OutsideRanges = HashMap<u32, OutsideRange>;

/// Assigns a range of one file to the data of each outside change, one after the other. Returns the
/// ranges and their total length.
pub(crate) fn lay_out_outside_data(changes: &[Change]) -> (OutsideRanges, u64) {
    let (mut outside_data, mut base) = (OutsideRanges::default(), 0u64);
    for change in changes {
        let size = change.state.as_ref().and_then(|state| state.size).unwrap_or(0);
        let len = size.saturating_sub(change.from);
        let (Some(number), Some(end)) = (change.file, base.checked_add(len)) else { continue };
        if len > 0 {
            outside_data.insert(number, OutsideRange { base, from: change.from, len });
            base = end;
        }
    }
    (outside_data, base)
}

/// What was created.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CreatedFiles {
    /// Names, directories included.
    pub names: u64,
    /// Names of devices, which were not made.
    pub skipped: u64,
    /// Bytes of content written.
    pub bytes: u64,
    /// Bytes that no call of the trace brought: zeros without blocks.
    pub assumed: u64,
    /// Owners and attributes that this file system or this user could not set.
    pub refused: u64,
    /// Symbolic links whose targets were never read: they dangle.
    pub unread: u64,
    /// Files without their set-user-ID and set-group-ID bits or file capabilities.
    pub withheld: u64,
    /// By inode: links that a file had under names that the trace does not know, and which it
    /// therefore does not have here.
    pub links_elsewhere: HashMap<u64, u64>,
}

/// Why a state could not be made.
#[derive(Debug, thiserror::Error)]
pub enum PrepareError {
    /// The root could not be opened.
    #[error("cannot open the root {0}")]
    Root(String, #[source] io::Error),
    /// A file or directory could not be made.
    #[error("cannot {what} {path}")]
    Make {
        /// What was tried.
        what: &'static str,
        /// The name, under the root.
        path: String,
        /// The cause.
        #[source]
        source: io::Error,
    },
    /// The user wants it to end.
    #[error("interrupted")]
    Interrupted,
    /// The trace could not be read.
    #[error("cannot read the trace")]
    Trace(#[source] Cause),
    /// The trace does not hold the bytes that it refers to.
    #[error("initial content of file {file} is not in the data of call {seq}")]
    Content {
        /// [`Row::file`].
        file: u32,
        /// The call.
        seq: u64,
    },
}

/// Creates the initial state under `root`, an empty directory. `rows` is the trace's manifest.
/// `outside_data` are the ranges for data that unrecorded processes wrote later, and the row of the
/// file that holds them.
pub(crate) fn prepare(
    source: &dyn Source,
    rows: &[Row],
    outside_data: Option<(&OutsideRanges, &Row)>,
    root: &Path,
    options: CreateOptions,
    progress: &dyn Progress,
) -> Result<CreatedFiles, PrepareError> {
    let contents = Contents {
        copied: source.snapshot().map_err(PrepareError::Trace)?,
        origins: source.origins().map_err(PrepareError::Trace)?,
        items: || source.items(),
    };
    prepare_from(rows, outside_data, contents, root, options, progress)
}

/// Where the contents of files come from.
struct Contents<C, O, F> {
    /// The snapshot.
    copied: C,
    /// The rows of `initial.parquet`, in their order.
    origins: O,
    /// Gives the trace in reading order with its data, of which no more is read than the origins
    /// need.
    items: F,
}

/// Creates the initial state as [`prepare`] does, from the parts of a source.
fn prepare_from<C, O, F, I>(
    rows: &[Row],
    outside_data: Option<(&OutsideRanges, &Row)>,
    contents: Contents<C, O, F>,
    root: &Path,
    options: CreateOptions,
    progress: &dyn Progress,
) -> Result<CreatedFiles, PrepareError>
where
    C: Iterator<Item = Result<Copied, Cause>>,
    O: Iterator<Item = Result<Origin, Cause>>,
    F: FnOnce() -> Result<I, Cause>,
    I: Iterator<Item = Result<Item, Cause>>,
{
    let tree = Tree::open(root).map_err(|e| PrepareError::Root(root.display().to_string(), e))?;
    let mut builder = TreeBuilder {
        tree,
        rows,
        outside_data,
        done: CreatedFiles::default(),
        link_groups: HashMap::default(),
        open: VecDeque::new(),
        zeros: vec![0; 1 << 16],
    };
    // Each name is made, and at the end given its attributes.
    let mut steps: u64 = 0;
    let mut step = || {
        steps += 1;
        if !steps.is_multiple_of(64) {
            return Ok(());
        }
        progress.preparing(steps, rows.len() as u64 * 2);
        if progress.is_unwanted() { Err(PrepareError::Interrupted) } else { Ok(()) }
    };
    for row in rows {
        step()?;
        if let Some(state) = &row.initial {
            builder
                .make(row, state)
                .map_err(|(what, source)| create_error(what, &row.path, source))?;
        }
    }
    builder.write_snapshot(contents.copied)?;
    let mut origins = contents.origins.peekable();
    if origins.peek().is_some() {
        builder.write_origins(origins, (contents.items)().map_err(PrepareError::Trace)?)?;
    }
    builder.open.clear();
    builder.done.assumed = builder.done.assumed.saturating_sub(builder.done.bytes);
    for row in rows.iter().rev() {
        step()?;
        if let Some(state) = &row.initial {
            builder
                .set_attributes(row, state, options)
                .map_err(|source| create_error("set the attributes of", &row.path, source))?;
        }
    }
    Ok(builder.done)
}

/// Returns the error for a name that cannot be created.
fn create_error(what: &'static str, path: &[u8], source: io::Error) -> PrepareError {
    PrepareError::Make { what, path: trace::text::escape(path), source }
}

/// Returns the inode, and the number of links that the recorded file had under names which the
/// trace does not know. Returns `None` if it had none.
fn links_elsewhere(fd: &OwnedFd, state: &State) -> io::Result<Option<(u64, u64)>> {
    let Some(links) = state.links.filter(|_| state.kind != FileType::Directory) else {
        return Ok(None);
    };
    let stat = rustix::fs::fstat(fd)?;
    Ok(u64::from(links)
        .checked_sub(stat.st_nlink)
        .filter(|n| *n > 0)
        .map(|elsewhere| (stat.st_ino, elsewhere)))
}

#[cfg(test)]
mod model;
#[cfg(test)]
mod tests;
#[cfg(test)]
pub(crate) mod tests_support;
