//! DataSeries version 1, the original system's trace format: read, checked, and written.
//!
//! A file is a header, an extent that holds the types, extents of records (each of one type, compressed on its own), an index extent, and a tail. All numbers are in the
//! writer's byte order.

pub mod export;
pub mod extent;
pub mod file;
pub mod hash;
pub mod import;
pub mod rows;
mod schema;
pub mod types;
mod unpack;
pub mod write;

pub use extent::{Extent, Value};
pub use file::Reader;

pub use export::export;
pub use import::import;
pub use types::{Type, Types};

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests;
