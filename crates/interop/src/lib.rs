//! How traces come and go: other tools' formats are read into a trace, and a trace is written in theirs.
//!
//! Every reader is given bytes that may be anything: it gives what came before the first damage, says what is wrong and where, never panics, and needs memory that does
//! not grow with the input. What a format cannot tell is not made up, except where replay needs it, and then it is marked ([`trace::record::MADE_UP`]).
#![forbid(unsafe_code)]

pub mod ctf;
pub mod dataseries;
pub mod error;
pub mod export;
pub mod format;
pub mod import;
pub mod strace;
pub mod told;

pub use error::Error;
pub use import::{Fork, Import, Origin, Outcome};
pub use told::Told;

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod fuzz;
