//! Reads, checks and writes DataSeries version 1, the format of the original Re-Animator.
//!
//! A file is a header, an extent that holds the types, extents of records (each of one type,
//! compressed on its own), an index extent, and a tail. All numbers are in the writer's byte order.

pub mod container;
pub mod export;
pub mod import;
pub mod records;

pub use container::extent::{Extent, Value};
pub use container::reader::{Reader, is_dataseries};
pub use container::types::{Type, Types};
pub use export::export;
pub use import::import;

/// Our own type of record: what the trace had and the file does not. It marks files that we wrote.
const LEFT_OUT: &str = "Reanimator::LeftOut";

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests;
#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests_calls;
