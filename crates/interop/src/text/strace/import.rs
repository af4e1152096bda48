//! A trace out of strace's text.

pub(crate) mod births;
mod first_pass;
mod lines;
mod second_pass;

use self::first_pass::First;
use self::lines::Lines;
use self::second_pass::Taking;
use crate::importing::{begin, note_no_directory};
use crate::{Error, Outcome};
use ahash::HashMap;
use std::path::Path;
use trace::About;

/// Makes the trace `to` of the text `from`; of all of `NAME.PID` if that is one of them. `directory`: where the program was when it began, if the user knows and the
/// text does not say (`-y` says it). `progress`: bytes done, of how many.
pub fn import(
    from: &Path,
    to: &Path,
    directory: Option<&[u8]>,
    progress: &mut dyn FnMut(u64, u64),
) -> Result<Outcome, Error> {
    let mut first = First::default();
    Lines::open(from)?.each(&mut |line, time, number| {
        first.look(line, time, number);
        Ok(())
    })?;
    let main = first.main();
    let told = first.directory_of(main).or(first.directory_of(0)).cloned();
    let directory = directory.map(<[u8]>::to_vec).or(told);
    let about = About {
        engine: "strace".to_owned(),
        data: "all".to_owned(),
        machine: "x86_64".to_owned(),
        began: first.began.unwrap_or(0),
        ..About::default()
    };
    let import = begin(to, about, directory.as_deref(), HashMap::default())?;
    let births = std::mem::take(&mut first.births).made();
    let mut taking = Taking::new(import, main, first, births);
    if directory.is_none() {
        let why = "strace prints the working directory only with -y";
        note_no_directory(&mut taking.import, why);
    }
    if !taking.first.timed {
        taking.import.note(
            "the log has no times (strace -ttt prints them): calls are in the order of the \
                lines",
        );
    }
    let mut lines = Lines::open(from)?;
    let all = lines.bytes;
    lines.each(&mut |line, time, number| taking.line(line, time, number))?;
    progress(all, all);
    taking.finish(progress)
}
