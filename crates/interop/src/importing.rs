//! What the importers of all formats have in common: they begin a trace, pair entries of calls with
//! returns, and end the trace.

pub(crate) mod forks;
mod unrecorded;

pub(crate) use unrecorded::add_unrecorded_data;

use crate::{Error, Outcome};
use ::import::{Fork, Import, ImportedCall, Origin};
use abi::{Effect, Row};
use ahash::HashMap;
use std::path::Path;
use trace::RecordingInfo;

/// Creates the trace `to`. `directory` is the working directory of the first program, if it is
/// known. `forks` are the starts of threads, by thread id.
pub(crate) fn begin(
    to: &Path,
    about: RecordingInfo,
    directory: Option<&[u8]>,
    forks: HashMap<u32, Vec<Fork>>,
) -> Result<Import, Error> {
    let directory = directory.map(<[u8]>::to_vec);
    Ok(Import::new(to, Origin { about, directory, forks })?)
}

/// Notes that the input has no working directory, for the reason `why`.
pub(crate) fn note_no_directory(import: &mut Import, why: &str) {
    import.add_note(format!("{why}: relative paths start from / (--directory sets another)"));
}

/// Returns whether a call ends its thread, so that it will not return.
pub(crate) fn ends_thread(row: &Row) -> bool {
    matches!(row.spec.effect, Effect::Exit | Effect::ExitGroup)
}

/// Adds a call whose return the input lacks, as its thread has entered another call, and counts
/// that.
pub(crate) fn add_unreturned(import: &mut Import, call: ImportedCall) -> Result<(), Error> {
    import.count_left_out("returns of calls, which are missing", 1);
    Ok(import.add_call(call)?)
}

/// Counts a return whose entry the input lacks. If the thread was `known` before, the entry is
/// missing; else it may have been before the recording began.
pub(crate) fn count_unentered(import: &mut Import, known: bool) {
    if known {
        import.count_left_out("calls whose entry is missing", 1);
    } else {
        import.count_ignored("ends of calls that began before the recording", 1);
    }
}

/// Ends the trace, and returns what was imported. `damage` is the reason why the input was not read
/// to its end, if it was not.
pub(crate) fn finish(
    import: Import,
    damage: Option<String>,
    progress: &mut dyn FnMut(u64, u64),
) -> Result<Outcome, Error> {
    let lost = import.not_imported();
    let summary = import.finish(damage.is_none(), progress)?;
    Ok(Outcome { summary, lost, damage })
}
