//! Makes the initial state of a trace's files under the replay's root.
//!
//! Every name is reached through descriptors of directories that were made here, never through a link: a trace cannot lead out of the root.

use std::path::Path;
use trace::Item;
use trace::files::{Origin, Row};

/// What was made.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Prepared {
    /// Names, directories included.
    pub names: u64,
    /// Bytes of content written.
    pub bytes: u64,
}

/// Why a state could not be made.
#[derive(Debug, thiserror::Error)]
pub enum PrepareError {
    /// A file or directory could not be made.
    #[error("{what} {path}")]
    Make {
        /// What was tried.
        what: &'static str,
        /// The name, under the root.
        path: String,
        /// The cause.
        source: std::io::Error,
    },
    /// The trace could not be read.
    #[error("reading the trace")]
    Trace(#[source] Box<dyn std::error::Error + Send + Sync>),
}

/// Makes what stood at first under `root`, an empty directory. `origins` are the rows of `initial.parquet`, in their order; `items` is the trace in reading order
/// with its data, of which no more is read than the origins need.
pub fn prepare<E: std::error::Error + Send + Sync + 'static>(
    _rows: &[Row],
    _origins: impl Iterator<Item = Result<Origin, E>>,
    _items: impl Iterator<Item = Result<Item, E>>,
    _root: &Path,
) -> Result<Prepared, PrepareError> {
    Err(PrepareError::Trace("preparing the initial state is not built yet".into()))
}
