//! Reads and writes files of DataSeries version 1: extents of records, their types, compression and
//! checksums. Nothing here knows what a record is about.
//!
//! A file is a header, an extent that holds the types, extents of records (each of one type,
//! compressed on its own), an index extent, and a tail. All numbers are in the writer's byte order.

#![forbid(unsafe_code)]

mod error;
mod extent;
mod hash;
mod reader;
mod types;
mod unpack;
mod writer;

pub use error::Error;
pub use extent::{Extent, Value};
pub use reader::{ExtentPlace, Reader, is_dataseries};
pub use types::{FieldType, Type, Types};
pub use writer::{FieldValue, Writer};

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests;
