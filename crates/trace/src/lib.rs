//! How a trace is kept: records, the journal, sealed segments, recovery, reading back.
#![forbid(unsafe_code)]

pub mod call;
mod cell;
mod columns;
pub mod document;
pub mod error;
pub mod files;
pub mod import;
pub mod journal;
pub mod record;
pub mod recording;
mod seal;
pub mod storage;
pub mod text;
pub mod told;
pub mod trace;
pub mod world;

pub use call::{Call, Event, Item, Piece, total};
pub use document::{About, End, Mount, Summary, Verdict};
pub use error::Error;
pub use import::Import;
pub use journal::Journal;
pub use record::{Identity, RecordKind};
pub use recording::{Recording, recover};
pub use seal::Along;
pub use told::Told;
pub use trace::{Reader, Trace, Want};
