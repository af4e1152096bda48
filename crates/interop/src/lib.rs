//! Conversion from and to other tools' formats: their traces become a trace, and a trace becomes
//! theirs.
//!
//! Every reader takes any bytes. It gives what came before the first damage, says what is wrong and
//! where, never panics, and needs memory that does not grow with the input. What a format does not
//! hold is not made up, except where replay needs it; then it is marked
//! ([`trace::record::MADE_UP`]).
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

/// Makes a trace of another tool's: from the first path, at the second. Then come the directory in
/// which the recorded program was started, if the user knows it, and a function that is told how
/// many bytes are done, of how many.
pub type Importer =
    fn(&Path, &Path, Option<&[u8]>, &mut dyn FnMut(u64, u64)) -> Result<Outcome, Error>;

/// The result of an import.
#[derive(Debug)]
pub struct Outcome {
    /// The trace.
    pub summary: Summary,
    /// What could not be converted, by name: how many.
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
