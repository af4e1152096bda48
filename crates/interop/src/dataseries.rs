//! Reads, checks and writes DataSeries version 1, the format of the original Re-Animator.

pub mod export;
pub mod import;
pub mod records;

pub use dataseries_file::is_dataseries;
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
