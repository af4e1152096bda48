//! Imports strace's output.

mod first_pass;
mod lines;
mod second_pass;
pub(crate) mod thread_parents;

use self::first_pass::FirstPass;
use self::lines::Lines;
use self::second_pass::StraceImport;
use crate::importing::{begin, note_no_directory};
use crate::{Error, Outcome};
use ahash::HashMap;
use std::path::Path;
use trace::RecordingInfo;

/// Imports the log `from` as the trace `to`; all files `NAME.PID` if `from` is one of them.
/// `directory`: the working directory of the program when it was started, if it is known; `-y`
/// prints it. `progress` gets the bytes read and the bytes of the log. Fails if a file cannot be
/// read or written.
pub fn import(
    from: &Path,
    to: &Path,
    directory: Option<&[u8]>,
    progress: &mut dyn FnMut(u64, u64),
) -> Result<Outcome, Error> {
    let mut first = FirstPass::default();
    Lines::open(from)?.for_each_line(&mut |line, time, number| {
        first.observe_line(line, time, number);
        Ok(())
    })?;
    let main = first.main_thread();
    let printed_directory = first.directory_of(main).or(first.directory_of(0)).cloned();
    let directory = directory.map(<[u8]>::to_vec).or(printed_directory);
    let about = RecordingInfo {
        engine: "strace".to_owned(),
        data: "all".to_owned(),
        machine: "x86_64".to_owned(),
        began: first.began.unwrap_or(0),
        ..RecordingInfo::default()
    };
    let import = begin(to, about, directory.as_deref(), HashMap::default())?;
    let parents = std::mem::take(&mut first.thread_starts).find_parents();
    let mut conversion = StraceImport::new(import, main, first, parents);
    if directory.is_none() {
        let why = "strace prints the working directory only with -y";
        note_no_directory(&mut conversion.import, why);
    }
    if !conversion.first.timed {
        conversion.import.add_note(
            "the log has no times (strace -ttt prints them): calls are in the order of the \
                lines",
        );
    }
    let mut lines = Lines::open(from)?;
    let all_bytes = lines.bytes;
    lines.for_each_line(&mut |line, time, number| conversion.import_line(line, time, number))?;
    progress(all_bytes, all_bytes);
    conversion.finish(progress)
}
