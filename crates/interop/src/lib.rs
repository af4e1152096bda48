//! Converts other tools' recordings to traces, and traces to other tools' formats.
//!
//! Every reader accepts any bytes. It returns what came before the first damage, reports what is
//! wrong and where, never panics, and needs memory that does not grow with the input. What a format
//! does not hold is not invented, except where replay needs it; then it is marked
//! ([`trace::record::SYNTHETIC`]).
#![forbid(unsafe_code)]

pub mod ctf;
pub mod dataseries;
pub mod error;
pub mod export;
pub mod format;
mod importing;
pub mod text;

pub use error::Error;

use std::collections::BTreeMap;
use std::path::Path;
use trace::Summary;

/// Imports the recording at the first path as the new trace at the second. Third, the directory in
/// which the recorded program was started, if it is known. Last, a function that gets the bytes
/// done and the bytes of the whole.
pub type Importer =
    fn(&Path, &Path, Option<&[u8]>, &mut dyn FnMut(u64, u64)) -> Result<Outcome, Error>;

/// The result of an import.
#[derive(Debug)]
pub struct Outcome {
    /// The trace.
    pub summary: Summary,
    /// Counts of what could not be converted, by name.
    pub lost: BTreeMap<String, u64>,
    /// Why the input was not read to its end.
    pub damage: Option<String>,
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests_losses;
#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests_support;
