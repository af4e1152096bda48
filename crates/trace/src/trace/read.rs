//! Reading calls and events in the order of their entry.

use super::Trace;
use crate::call::Item;
use crate::error::Error;

/// What a reader is to give.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Want {
    /// The bytes of data pieces, too. Without, the column is not read, and data pieces have a length and no bytes.
    pub data: bool,
}

/// Calls and events in the order of their entry.
pub struct Reader {
    _trace: Trace,
}

impl Reader {
    pub(super) fn new(trace: Trace, _want: Want) -> Self {
        Self { _trace: trace }
    }
}

impl Iterator for Reader {
    type Item = Result<Item, Error>;
    fn next(&mut self) -> Option<Self::Item> {
        Some(Err(std::io::Error::new(std::io::ErrorKind::Unsupported, "reading is not built yet").into()))
    }
}
