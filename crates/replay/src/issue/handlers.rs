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

use super::call::{Issue, Outcome};
use super::refusal::{OUTSIDE, is_unclear, look};
use super::thread::Thread;
use abi::{Effect, Ret, Shape};

/// Performs a call and compares what it brings. One whose error can have come from outside is
/// performed if it cannot change anything; if it comes out differently, the error did.
pub(crate) fn perform(thread: &mut Thread, issue: &mut Issue) -> Outcome {
    if !is_unclear(&issue.call, issue.shape) {
        return make(thread, issue);
    }
    if let Some(outcome) = look(thread, issue) {
        return outcome;
    }
    match make(thread, issue) {
        Outcome::Issued(Some(_)) => Outcome::Skipped(OUTSIDE),
        other => other,
    }
}

fn make(thread: &mut Thread, issue: &mut Issue) -> Outcome {
    if let Some(copies) = issue.shape.copies
        && let Some(end) = transfer::only_end(&issue.call, copies, &issue.bound)
    {
        return transfer::transfer(thread, issue, copies, end);
    }
    if is_plain(issue.shape) {
        return plain::plain(thread, issue);
    }
    match issue.shape.effect {
        Effect::Close { .. } => close::close(issue),
        Effect::CloseRange => close::close_range(thread, issue),
        Effect::Dup { old } => duplicate::duplicate(thread, issue, old, None),
        Effect::DupTo { old, new } => duplicate::duplicate(thread, issue, old, Some(new)),
        Effect::Chdir | Effect::Fchdir => chdir::chdir(thread, issue),
        Effect::Bind => bind::bind(thread, issue),
        Effect::Umask => umask::umask(thread, issue),
        Effect::Seek => seek::seek(thread, issue),
        Effect::None if issue.shape.uses.lists => list::list(thread, issue),
        Effect::None => open::open(thread, issue),
        Effect::Clone { .. } => transfer::clone(thread, issue),
        Effect::Allocate => allocate::allocate(thread, issue),
        Effect::Sync => sync::sync(thread, issue),
        Effect::SetFdFlags
        | Effect::Cloexec { .. }
        | Effect::SetStatusFlags
        | Effect::SetNonblocking
        | Effect::Truncate => plain::plain(thread, issue),
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
