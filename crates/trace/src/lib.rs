//! Writes, seals, recovers and reads traces. What the recorded calls mean (which file a descriptor
//! refers to, what a directory held before) is not decided here: the caller passes a [`Semantics`].
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

/// A shared, immutable byte buffer. Cloning it copies no bytes.
pub use arrow_buffer::Buffer;
pub use call::{Call, Event, Item, Payload, saturating_sum};
pub use document::{Mount, RecordingEnd, RecordingInfo, Summary, Verdict};
pub use error::Error;
pub use format::record::{Identity, RecordKind};
pub use format::{record, text};
pub use journal::Journal;
pub use reader::{ColumnBatches, ReadOptions, Reader, Trace, catch_panics};
pub use recording::{Recording, recover};
pub use seal::{Limits, SealAhead, compression};
pub use semantics::{Columns, Inference, Progress, SealingContext, Semantics};
