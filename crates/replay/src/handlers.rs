//! How calls are performed. Most need nothing but their kinds ([`plain`]); those that change the process's own world have a handler, one file each.

mod allocate;
mod bind;
mod chdir;
mod close;
mod duplicate;
mod list;
mod open;
mod plain;
mod seek;
mod sync;
pub(crate) mod transfer;
mod umask;

pub(crate) use close::close_last;
pub(crate) use open::opened;

use crate::decide::MOUNTED;
use crate::executor::{Executor, Outcome};
use crate::issue::arguments::Refused;
use crate::job::Issue;
use crate::refusal::{OUTSIDE, is_unclear, look};
use abi::{Effect, Ret, Shape};

/// Performs a call and compares what it brings. One whose error can have come from outside is
/// performed if it cannot change anything; if it comes out differently, the error did.
pub(crate) fn perform(executor: &mut Executor, issue: &mut Issue) -> Outcome {
    if !is_unclear(&issue.call, issue.shape) {
        return make(executor, issue);
    }
    if let Some(outcome) = look(executor, issue) {
        return outcome;
    }
    match make(executor, issue) {
        Outcome::Issued(Some(_)) => Outcome::Skipped(OUTSIDE),
        other => other,
    }
}

fn make(executor: &mut Executor, issue: &mut Issue) -> Outcome {
    if let Some(copies) = issue.shape.copies
        && let Some(end) = transfer::only_end(&issue.call, copies, &issue.bound)
    {
        return transfer::transfer(executor, issue, copies, end);
    }
    if is_plain(issue.shape) {
        return plain::plain(executor, issue);
    }
    match issue.shape.effect {
        Effect::Close { .. } => close::close(issue),
        Effect::CloseRange => close::close_range(executor, issue),
        Effect::Dup { old } => duplicate::duplicate(executor, issue, old, None),
        Effect::DupTo { old, new } => duplicate::duplicate(executor, issue, old, Some(new)),
        Effect::Chdir | Effect::Fchdir => chdir::chdir(executor, issue),
        Effect::Bind => bind::bind(executor, issue),
        Effect::Umask => umask::umask(executor, issue),
        Effect::Seek => seek::seek(executor, issue),
        Effect::None if issue.shape.uses.lists => list::list(executor, issue),
        Effect::None => open::open(executor, issue),
        Effect::Clone { .. } => transfer::clone(executor, issue),
        Effect::Allocate => allocate::allocate(executor, issue),
        Effect::Sync => sync::sync(executor, issue),
        Effect::SetFdFlags
        | Effect::Cloexec { .. }
        | Effect::SetStatusFlags
        | Effect::SetNonblocking
        | Effect::Truncate => plain::plain(executor, issue),
        Effect::Fork | Effect::Exec | Effect::Exit | Effect::ExitGroup | Effect::Unshare => {
            Outcome::Skipped("process")
        }
        Effect::Chroot
        | Effect::Mount
        | Effect::Unmount
        | Effect::PivotRoot
        | Effect::MoveMount
        | Effect::OpenTree
        | Effect::MakeMount
        | Effect::Configure
        | Effect::EnterSpace => Outcome::Skipped("mounts"),
        Effect::Pair { .. } => Outcome::Skipped("ipc"),
        Effect::Receive => Outcome::Skipped("network"),
        Effect::Fetch { .. } => Outcome::Skipped("process"),
        Effect::Map => Outcome::Skipped("memory"),
    }
}

/// Whether such a call needs nothing but its kinds.
pub(crate) fn is_plain(shape: &Shape) -> bool {
    match shape.effect {
        Effect::None => !shape.uses.lists && shape.ret != Ret::Fd,
        Effect::SetFdFlags
        | Effect::Cloexec { .. }
        | Effect::SetStatusFlags
        | Effect::SetNonblocking
        | Effect::Truncate => true,
        _ => false,
    }
}

/// Whether all that such a call needs beside its kinds is somebody who takes the descriptor that it opens.
pub(crate) fn is_open(shape: &Shape) -> bool {
    shape.effect == Effect::None && !shape.uses.lists && shape.ret == Ret::Fd
}

/// The report's words for what cannot be translated.
pub(crate) fn refusal(why: Refused) -> Outcome {
    Outcome::Skipped(match why {
        Refused::Kind => "means more than files",
        Refused::Size => "larger than any call",
        Refused::Missing => "not a call of this machine",
        Refused::Elsewhere => MOUNTED,
        Refused::Procfs => "no procfs on this machine",
    })
}
