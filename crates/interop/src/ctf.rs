//! Traces in the Common Trace Format 1.8, as LTTng's kernel tracer writes them.
//!
//! A trace is a directory: `metadata` describes the layout of events (in TSDL); every other file is
//! a stream of packets, mostly one per CPU. LTTng records the numbers and strings of system calls,
//! not the buffers.

mod decode;
pub mod import;
mod layout;
mod running;
mod statedump;
mod stream;
mod tsdl;
mod value;

pub use import::import;
pub use layout::{Int, Metadata, Type};
pub use stream::{Counts, Lost, Trace, is_ctf};
pub use value::{Event, Value};

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests;
#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests_dump;
#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests_threads;
