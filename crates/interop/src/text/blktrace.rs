//! Text of block I/O: what blkparse(1) prints of blktrace(8), and what the kernel's tracer `blk` prints with `blk_classic`. Each device is a file of its own, `/block/MAJOR:MINOR`,
//! and each request that was queued is a call on it at its offset. A process with several requests under way has as many threads, so that the depth of its queue is kept.

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
