//! How a trace is kept: records, the journal, sealed segments, recovery, reading back.
#![forbid(unsafe_code)]

pub mod call;
pub mod files;
pub mod record;
pub mod world;

pub use call::{Call, Event, Item, Piece};
pub use record::{Identity, RecordKind};
