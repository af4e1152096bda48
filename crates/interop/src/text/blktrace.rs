//! Block I/O: output of blkparse(1) for blktrace(8), and of the kernel's tracer `blk` with
//! `blk_classic`.
//!
//! Each device becomes a file, `/block/MAJOR:MINOR`, and each queued request a call on it at its
//! offset. A process with several requests in flight gets as many threads, so that its queue depth
//! is kept.

mod import;
mod line;
mod requests;

pub use import::import;
pub use line::{Line, is_blktrace};

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests;
#[cfg(test)]
pub(crate) use tests::{CLASSIC, LOG};
