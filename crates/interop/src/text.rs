//! Text that other tracers print.

pub mod blktrace;
pub mod kdump;
mod lines;
pub mod perf;
pub mod strace;
