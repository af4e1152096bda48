//! DataSeries version 1, the original system's trace format: read, checked, and written.
//!
//! A file is a header, an extent that holds the types, extents of records (each of one type, compressed on its own), an index extent, and a tail. All numbers are in the
//! writer's byte order.

mod dirents;
pub mod export;
pub mod extent;
mod fields;
pub mod file;
pub mod hash;
pub mod import;
mod index;
mod lower;
mod names;
mod parts;
pub mod rows;
mod schema;
mod stream;
pub mod types;
mod unpack;
pub mod write;

pub use extent::{Extent, Value};
pub use file::Reader;

pub use export::export;
pub use import::import;
pub use types::{Type, Types};

/// Our own type of record: what the trace had that the file has not. A file that says of this type
/// is ours.
const LEFT_OUT: &str = "Reanimator::LeftOut";

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests;
#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests_calls;
