//! Opening a trace to read it: the one named or the newest, recovered first if its recorder had
//! died.

use crate::messages::Messages;
use crate::messages::failure;
use crate::options::TraceArg;
use crate::traces::naming;
use anyhow::Result;
use trace::{Trace, Verdict};

/// Opens the trace that the user names, or the newest one; recovers it first if it is unfinished.
pub fn open(named: &TraceArg, messages: &Messages) -> Result<Trace> {
    finished(named, messages).map(|(trace, _)| trace)
}

/// Does the same, and returns whether the trace had to be recovered.
pub fn finished(named: &TraceArg, messages: &Messages) -> Result<(Trace, bool)> {
    let path = naming::input(named, messages)?;
    let progress = messages.progress("recovering");
    let recovered = model::recover(&path, &mut |done, of| progress.at(done, of));
    drop(progress);
    let recovered = failure::explained(recovered, &path)?;
    let opened = failure::explained(Trace::open(&path), &path)?;
    if recovered {
        messages.say(format_args!("recovered {}: its recorder did not finish", path.display()));
    }
    let summary = opened.summary();
    if summary.verdict == Verdict::Incomplete {
        messages.detail(format_args!(
            "{} is incomplete: {}",
            path.display(),
            summary.reasons.join("; ")
        ));
    }
    Ok((opened, recovered))
}
