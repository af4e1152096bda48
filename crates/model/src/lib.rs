//! What the calls of a trace mean: processes with their descriptors and directories, the names of
//! files, the state before the first call and after the last. How a trace is kept is `trace`'s.
#![forbid(unsafe_code)]

mod columns;
pub mod files;
mod sealing;
mod tables;

pub use processes;
pub use sealing::{Model, recover};
pub use tables::Tables;
