//! A call that its kinds describe wholly.

use super::refusal;
use crate::Verify;
use crate::executor::{Executor, Outcome};
use crate::issue::Arguments;
use crate::job::Issue;
use crate::verify::{compare_bytes, compare_result};
use crate::withhold::on_directory;

pub(super) fn plain(executor: &mut Executor, issue: &mut Issue) -> Outcome {
    let first = once(executor, issue);
    // A number that meant several files while the call ran: what came back tells which it was.
    if issue.others.is_empty() || issue.shape.changes || !matches!(first, Outcome::Issued(Some(_)))
    {
        return first;
    }
    for (i, other) in std::mem::take(&mut issue.others) {
        let meant = issue.bound.fds[i].replace(other);
        executor.scratch.clear();
        if let Outcome::Issued(None) = once(executor, issue) {
            return Outcome::Issued(None);
        }
        issue.bound.fds[i] = meant;
    }
    first
}

fn once(executor: &mut Executor, issue: &Issue) -> Outcome {
    let arguments =
        match Arguments::build(&issue.call, issue.shape, &issue.bound, &mut executor.scratch) {
            Ok(arguments) => arguments,
            Err(why) => return refusal(why),
        };
    let got = on_directory(issue, &arguments).unwrap_or_else(|| arguments.perform());
    let verify = executor.shared.options.verify;
    let bytes = || compare_bytes(issue, &arguments, &executor.scratch, got, &executor.shared.rules);
    let difference = if verify == Verify::None { None } else { compare_result(issue, got) };
    Outcome::Issued(difference.or_else(|| if verify == Verify::Data { bytes() } else { None }))
}
