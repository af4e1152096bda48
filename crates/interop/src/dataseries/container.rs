//! The container: extents of records, their types, compression and checksums. Nothing here knows
//! what a record is about.

pub mod extent;
pub mod hash;
pub mod reader;
pub mod types;
pub(crate) mod unpack;
pub mod writer;
