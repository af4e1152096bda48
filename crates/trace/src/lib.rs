//! How a trace is kept: records, the journal, sealed segments, recovery, reading back. What its
//! calls mean is for others to know ([`Semantics`]).
#![forbid(unsafe_code)]

pub mod call;
mod cell;
mod columns;
pub mod document;
pub mod error;
pub mod journal;
pub mod record;
pub mod recording;
mod seal;
mod semantics;
pub mod storage;
pub mod text;
pub mod trace;
mod version;

/// Bytes that are shared: cloning is cheap.
pub use arrow::buffer::Buffer;
pub use call::{Call, Event, Item, Piece, total};
pub use document::{About, End, Mount, Summary, Verdict};
pub use error::Error;
pub use journal::Journal;
pub use record::{Identity, RecordKind};
pub use recording::{Recording, recover};
pub use seal::{Along, Limits, compression};
pub use semantics::{Columns, Inference, Progress, Sealing, Semantics};
pub use trace::{Reader, Trace, Want, guarded};
