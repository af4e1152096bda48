//! How calls are performed. Most need nothing but their kinds ([`plain`]); those that change the
//! state of the process have a handler.

mod allocate;
mod bind;
mod cwd;
mod descriptors;
mod list;
pub(crate) mod lock;
mod open_file;
mod plain;
mod seek;
mod store;
mod sync;
pub(crate) mod transfer;

pub(crate) use descriptors::{close_if_last, set_opened};
pub(crate) use plain::compare;

use super::handled::{HandledCall, NO_WORKING_DIRECTORY, Outcome};
use super::refusal::{OUTSIDE, check_outside, may_be_outside};
use super::thread::{ExecutorThread, open_directory, open_skipped_descriptors, uses_cwd};
use abi::{CallSpec, Effect, Ret};
use model::processes::LinkTarget;

/// Performs a call in its thread's working directory, and compares its results. If its error can
/// have come from outside the root, the call is performed only if it cannot change anything; a
/// different result is then explained by that.
#[inline(never)]
pub(crate) fn perform(thread: &mut ExecutorThread, handled: &mut HandledCall) -> Outcome {
    thread.enter_context(handled.operands.cwd.as_ref(), handled.operands.umask);
    for way in handled.operands.through.values() {
        if let LinkTarget::Directory(directory) = &way.to {
            open_directory(directory);
        }
    }
    if thread.context.leaves_out {
        open_skipped_descriptors(handled);
    }
    if thread.cwd_unreachable && uses_cwd(handled) {
        return Err(NO_WORKING_DIRECTORY);
    }
    if !may_be_outside(&handled.call, handled.spec) {
        return run_handler(thread, handled);
    }
    if let Some(outcome) = check_outside(thread, handled) {
        return outcome;
    }
    match run_handler(thread, handled) {
        Ok(Some(_)) => Err(OUTSIDE),
        other => other,
    }
}

/// Runs the handler for the effect of this call. Returns its outcome.
fn run_handler(thread: &mut ExecutorThread, handled: &mut HandledCall) -> Outcome {
    if let Some(copies) = handled.spec.copies
        && let Some(file_end_found) = transfer::file_end(&handled.call, copies, &handled.operands)
    {
        return transfer::transfer(thread, handled, copies, file_end_found);
    }
    if is_plain(handled.spec) {
        return plain::plain(thread, handled);
    }
    match handled.spec.effect {
        Effect::Close { .. } => descriptors::close(handled),
        Effect::CloseRange => descriptors::close_range(handled),
        Effect::Dup { old } | Effect::DupTo { old, .. } => descriptors::duplicate(handled, old),
        Effect::Chdir | Effect::Fchdir => cwd::chdir(thread, handled),
        Effect::Bind => bind::bind(handled),
        Effect::Umask => cwd::umask(thread, handled),
        Effect::Seek => seek::seek(thread, handled),
        Effect::None if handled.spec.uses.lists_directory => list::list(thread, handled),
        Effect::None => descriptors::open(thread, handled),
        Effect::Clone { .. } => transfer::clone(thread, handled),
        Effect::Allocate => allocate::allocate(thread, handled),
        Effect::Sync => sync::sync(handled),
        Effect::Store => store::write_mapped_stores(thread, handled),
        Effect::SetFdFlags
        | Effect::Cloexec { .. }
        | Effect::SetStatusFlags
        | Effect::SetNonblocking
        | Effect::Truncate => plain::plain(thread, handled),
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
        Effect::Map | Effect::MoveMapping | Effect::SyncMapping | Effect::EndMapping => {
            Err("memory")
        }
        Effect::RegisterFiles | Effect::Aio(_) => Err("async"),
    }
}

/// Returns whether such a call can be performed from the kinds of its arguments alone.
pub(crate) fn is_plain(spec: &CallSpec) -> bool {
    match spec.effect {
        Effect::None => !spec.uses.lists_directory && spec.ret != Ret::Fd,
        Effect::SetFdFlags
        | Effect::Cloexec { .. }
        | Effect::SetStatusFlags
        | Effect::SetNonblocking
        | Effect::Truncate => true,
        _ => false,
    }
}

/// Returns whether such a call can be performed from the kinds of its arguments, if the descriptor
/// that it opens is stored.
pub(crate) fn is_open(spec: &CallSpec) -> bool {
    spec.effect == Effect::None && !spec.uses.lists_directory && spec.ret == Ret::Fd
}
