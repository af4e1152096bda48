//! Opening a trace to read it: the one named or the newest, recovered first if its recorder had
//! died.

use crate::messages::Messages;
use crate::messages::failure;
use crate::options::TraceArg;
use crate::traces::naming;
use anyhow::Result;
use trace::{Trace, Verdict};

/// Opens the trace that the user names, or the newest one. Recovers it first if it is unfinished.
pub fn open_trace(named: &TraceArg, messages: &Messages) -> Result<Trace> {
    open_or_recover(named, messages).map(|(trace, _)| trace)
}

/// Opens a trace as [`open_trace`] does. Also returns whether the trace had to be recovered.
pub fn open_or_recover(named: &TraceArg, messages: &Messages) -> Result<(Trace, bool)> {
    let path = naming::choose_input(named, messages)?;
    let progress = messages.progress("recovering");
    let recovered = model::recover(&path, &mut |done, of| progress.set_position(done, of));
    drop(progress);
    let recovered = failure::with_advice(recovered, &path)?;
    let opened = failure::with_advice(Trace::open(&path), &path)?;
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
