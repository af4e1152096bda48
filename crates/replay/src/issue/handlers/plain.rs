//! A call that its kinds describe wholly.

use crate::Verify;
use crate::issue::call::{Handled, Outcome};
use crate::issue::thread::Thread;
use crate::issue::withhold::on_directory;
use crate::verify::compare_bytes;

pub(super) fn plain(thread: &mut Thread, issue: &mut Handled) -> Outcome {
    let first = once(thread, issue);
    // A number that meant several files while the call ran: what came back tells which it was.
    if issue.others.is_empty() || issue.shape.changes || !matches!(first, Ok(Some(_))) {
        return first;
    }
    for (i, other) in std::mem::take(&mut issue.others) {
        let meant = issue.bound.fds[i].replace(other);
        thread.scratch.clear();
        if let Ok(None) = once(thread, issue) {
            return Ok(None);
        }
        issue.bound.fds[i] = meant;
    }
    first
}

fn once(thread: &mut Thread, issue: &Handled) -> Outcome {
    let arguments = issue.translate(&mut thread.scratch)?;
    let got = on_directory(issue, &arguments).unwrap_or_else(|| arguments.perform());
    let verify = thread.common.verify;
    let rooms = |i: usize| arguments.rooms(i).iter().map(|room| thread.scratch.bytes(*room));
    let bytes = || compare_bytes(&issue.call, issue.expected(), rooms, got, &thread.common.rules);
    let difference = if verify == Verify::None { None } else { issue.expected().compare(got) };
    Ok(difference.or_else(|| if verify == Verify::Data { bytes() } else { None }))
}
