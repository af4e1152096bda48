//! Opening a trace to read it: the one named or the newest, recovered first if its recorder had died.

use crate::args::TraceArg;
use crate::failure::Advise;
use crate::naming;
use crate::talk::Talk;
use anyhow::Result;
use std::path::Path;
use trace::{Error, Trace, Verdict};

/// The trace that the user means.
pub fn open(named: &TraceArg, talk: &Talk) -> Result<Trace> {
    finished(named, talk).map(|(trace, _)| trace)
}

/// The same, and whether it had to be recovered.
pub fn finished(named: &TraceArg, talk: &Talk) -> Result<(Trace, bool)> {
    let path = naming::input(named, talk)?;
    let progress = talk.progress("recovering");
    let recovered = model::recover(&path, &mut |done, of| progress.at(done, of));
    drop(progress);
    let recovered = explained(recovered, &path)?;
    let opened = explained(Trace::open(&path), &path)?;
    if recovered {
        talk.say(format_args!("recovered {}: its recorder did not finish", path.display()));
    }
    let summary = opened.summary();
    if summary.verdict == Verdict::Incomplete {
        talk.detail(format_args!(
            "{} is incomplete: {}",
            path.display(),
            summary.reasons.join("; ")
        ));
    }
    Ok((opened, recovered))
}

/// Adds what to do to the errors of a trace that do not say it themselves.
pub fn explained<T>(result: Result<T, Error>, path: &Path) -> Result<T> {
    let advice = match &result {
        Ok(_)
        | Err(
            Error::Busy(_) | Error::Full { .. } | Error::Newer { .. } | Error::OtherJournal { .. },
        ) => None,
        Err(Error::NotATrace { .. }) => {
            Some("a trace is the directory NAME.ra that `reanimator record` made".to_owned())
        }
        Err(Error::Damaged { .. }) => Some(format!(
            "restore {} from a copy; its trace.json has the BLAKE3 hash of each file",
            path.display()
        )),
        Err(e) if e.is_full() => {
            Some("free some space, move the trace to another disk, or raise ulimit -f".to_owned())
        }
        Err(Error::Io { doing: "create", .. }) => {
            Some("choose a directory that exists and that you may write to, with -o".to_owned())
        }
        Err(e) if e.is_refused() => Some(format!(
            "a trace can be read by the user that recorded it: sudo -u \"$(stat -c %U {0})\" \
             reanimator ..., or read it as root",
            path.display()
        )),
        Err(_) => None,
    };
    match advice {
        Some(advice) => result.advise(advice),
        None => Ok(result?),
    }
}
