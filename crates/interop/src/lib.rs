//! How traces come and go: other tools' formats are read into a trace, and a trace is written in theirs.
//!
//! Every reader is given bytes that may be anything: it gives what came before the first damage, says what is wrong and where, never panics, and needs memory that does
//! not grow with the input. What a format cannot tell is not made up, except where replay needs it, and then it is marked ([`trace::record::MADE_UP`]).
#![forbid(unsafe_code)]

pub mod blktrace;
pub mod ctf;
pub mod dataseries;
pub mod error;
pub mod export;
mod forks;
pub mod format;
pub mod kdump;
mod lines;
pub mod perf;
pub mod strace;
mod unrecorded;

pub use error::Error;
pub(crate) use unrecorded::unrecorded;

use std::collections::BTreeMap;
use std::path::Path;
use trace::Summary;

/// Makes the trace of the second path of what is at the first. Then: where the program was when it began, if the user knows; and who hears how many bytes are done, of how many.
pub type Importer =
    fn(&Path, &Path, Option<&[u8]>, &mut dyn FnMut(u64, u64)) -> Result<Outcome, Error>;

/// What a conversion came to.
#[derive(Debug)]
pub struct Outcome {
    /// The trace.
    pub summary: Summary,
    /// What could not be taken over, by name: how many.
    pub lost: BTreeMap<String, u64>,
    /// Why it was not read to its end.
    pub damage: Option<String>,
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod fuzz;
#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests_losses;
