//! How a trace is kept: records, the journal, sealed segments, recovery, reading back. What its
//! calls mean is for others to know ([`Semantics`]).
#![forbid(unsafe_code)]

pub mod call;
pub mod document;
pub mod error;
mod format;
pub mod journal;
mod reader;
pub mod recording;
mod seal;
mod semantics;
pub mod storage;

/// Bytes that are shared: cloning is cheap.
pub use arrow::buffer::Buffer;
pub use call::{Call, Event, Item, Payload, saturating_sum};
pub use document::{About, End, Mount, Summary, Verdict};
pub use error::Error;
pub use format::record::{Identity, RecordKind};
pub use format::{record, text};
pub use journal::Journal;
pub use reader::{Reader, Trace, Want, catch_panics};
pub use recording::{Recording, recover};
pub use seal::{Limits, SealAhead, compression};
pub use semantics::{Columns, Inference, Progress, Sealing, Semantics};
