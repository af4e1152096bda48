//! Opening a trace to read it: the one named or the newest, recovered first if its recorder had died.

use crate::failure;
use crate::naming;
use crate::options::TraceArg;
use crate::talk::Talk;
use anyhow::Result;
use trace::{Trace, Verdict};

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
    let recovered = failure::explained(recovered, &path)?;
    let opened = failure::explained(Trace::open(&path), &path)?;
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
