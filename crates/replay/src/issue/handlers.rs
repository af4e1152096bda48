//! How calls are performed. Most need nothing but their kinds ([`plain`]); those that change the
//! process's own world have a handler.

mod allocate;
mod bind;
mod descriptors;
mod list;
mod place;
mod plain;
mod seek;
mod sync;
pub(crate) mod transfer;

pub(crate) use descriptors::{close_last, opened};

use super::call::{ASTRAY, Handled, Outcome};
use super::refusal::{OUTSIDE, is_unclear, look};
use super::thread::{Thread, reach, reopen, starts_here};
use abi::{Effect, Ret, Shape};
use model::world::To;

/// Performs a call where its thread was, and compares what it brings. One whose error can have come
/// from outside is performed if it cannot change anything; if it comes out differently, the error
/// did.
#[inline(never)]
pub(crate) fn perform(thread: &mut Thread, issue: &mut Handled) -> Outcome {
    thread.go_to(issue.bound.cwd.as_ref(), issue.bound.umask);
    for way in issue.bound.through.values() {
        if let To::Directory(directory) = &way.to {
            reach(directory);
        }
    }
    if thread.common.leaves_out {
        reopen(issue);
    }
    if thread.astray && starts_here(issue) {
        return Err(ASTRAY);
    }
    if !is_unclear(&issue.call, issue.shape) {
        return make(thread, issue);
    }
    if let Some(outcome) = look(thread, issue) {
        return outcome;
    }
    match make(thread, issue) {
        Ok(Some(_)) => Err(OUTSIDE),
        other => other,
    }
}

fn make(thread: &mut Thread, issue: &mut Handled) -> Outcome {
    if let Some(copies) = issue.shape.copies
        && let Some(end) = transfer::only_end(&issue.call, copies, &issue.bound)
    {
        return transfer::transfer(thread, issue, copies, end);
    }
    if is_plain(issue.shape) {
        return plain::plain(thread, issue);
    }
    match issue.shape.effect {
        Effect::Close { .. } => descriptors::close(issue),
        Effect::CloseRange => descriptors::close_range(issue),
        Effect::Dup { old } | Effect::DupTo { old, .. } => descriptors::duplicate(issue, old),
        Effect::Chdir | Effect::Fchdir => place::chdir(thread, issue),
        Effect::Bind => bind::bind(issue),
        Effect::Umask => place::umask(thread, issue),
        Effect::Seek => seek::seek(thread, issue),
        Effect::None if issue.shape.uses.lists => list::list(thread, issue),
        Effect::None => descriptors::open(thread, issue),
        Effect::Clone { .. } => transfer::clone(thread, issue),
        Effect::Allocate => allocate::allocate(thread, issue),
        Effect::Sync => sync::sync(issue),
        Effect::SetFdFlags
        | Effect::Cloexec { .. }
        | Effect::SetStatusFlags
        | Effect::SetNonblocking
        | Effect::Truncate => plain::plain(thread, issue),
        Effect::Fork | Effect::Exec | Effect::Exit | Effect::ExitGroup | Effect::Unshare => {
            Err("process")
        }
        Effect::Chroot
        | Effect::Mount
        | Effect::Unmount
        | Effect::PivotRoot
        | Effect::MoveMount
        | Effect::OpenTree
        | Effect::MakeMount
        | Effect::Configure
        | Effect::EnterSpace => Err("mounts"),
        Effect::Pair { .. } => Err("ipc"),
        Effect::Receive => Err("network"),
        Effect::Fetch { .. } => Err("process"),
        Effect::Map => Err("memory"),
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

/// Whether all that such a call needs beside its kinds is somebody who takes the descriptor that it
/// opens.
pub(crate) fn is_open(shape: &Shape) -> bool {
    shape.effect == Effect::None && !shape.uses.lists && shape.ret == Ret::Fd
}
