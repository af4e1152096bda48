//! An operation between its submission to a ring and its completion.

use super::{Action, CallResult, PreparedCall};
use crate::issue::handled::HandledCall;
use crate::issue::handlers::{compare, is_plain};
use crate::issue::refusal::may_be_outside;
use crate::issue::ring::Entry;
use crate::issue::scratch::ScratchBuffer;
use crate::issue::thread::{ExecutorThread, open_skipped_descriptors};
use crate::issue::{Arguments, RealFd};
use abi::{CallSpec, Kind, SqeWord};
use model::processes::Descriptor;
use std::sync::Arc;

/// An operation that is submitted to a ring. What it points to is in the call and in the scratch
/// memory of its thread.
pub(crate) struct Submission {
    pub entry: Entry,
    output: Output,
}

/// Where the bytes of an operation come back.
enum Output {
    /// It was translated beforehand.
    Buffer(Option<ScratchBuffer>),
    /// It has a handler.
    Arguments(Arguments),
}

/// Returns whether such an operation is performed from the kinds of its arguments alone, and does
/// not depend on where its thread is: while it is under way, the thread does other things.
fn is_independent(spec: &CallSpec) -> bool {
    is_plain(spec) && spec.uses.path_args == 0 && spec.uses.fd_args != 0 && spec.copies.is_none()
}

impl PreparedCall {
    /// Translates an operation with the real descriptor that it uses, to be submitted to a ring.
    /// Returns `None` if it is performed by a call.
    pub fn submission(&mut self, fd: i32, thread: &mut ExecutorThread) -> Option<Submission> {
        if !is_independent(self.expected.spec) {
            return None;
        }
        match &self.action {
            Action::Call(translated) => {
                let (entry, buffer) = translated.entry(fd, &mut thread.scratch)?;
                Some(Submission { entry, output: Output::Buffer(buffer) })
            }
            Action::Handled(handled) => submission_of(handled, thread),
            Action::Close(_) => None,
        }
    }

    /// Returns the descriptor of the file that an operation is about.
    pub fn file(&self) -> Option<&Arc<Descriptor<RealFd>>> {
        match &self.action {
            Action::Handled(handled) => handled.operands.fds.iter().flatten().next(),
            Action::Call(_) | Action::Close(_) => self.descriptor.as_ref(),
        }
    }

    /// Returns whether an operation has one buffer, not a list of them.
    pub fn has_one_buffer(&self) -> bool {
        let of_list = |kind| matches!(kind, Kind::InIov { .. } | Kind::OutIov { .. });
        !self.expected.spec.args.iter().any(|arg| of_list(arg.kind))
    }

    /// Returns the result of an operation that has completed with `got`, compared if that is its
    /// handler's task.
    pub fn completed(
        &self,
        submission: &Submission,
        got: i64,
        thread: &ExecutorThread,
    ) -> CallResult {
        match (&submission.output, &self.action) {
            (Output::Arguments(arguments), Action::Handled(handled)) => {
                CallResult::Handled(Ok(compare(thread, handled, arguments, got)))
            }
            (Output::Buffer(buffer), _) => CallResult::Result(got, *buffer),
            (Output::Arguments(_), _) => CallResult::Result(got, None),
        }
    }
}

/// Translates an operation that has a handler.
fn submission_of(handled: &HandledCall, thread: &mut ExecutorThread) -> Option<Submission> {
    let call = &handled.call;
    let operation = abi::by_number(call.nr)?.operation?;
    if !handled.alternatives.is_empty()
        || handled.full_mode.is_some()
        || may_be_outside(call, handled.spec)
    {
        return None;
    }
    if thread.context.leaves_out {
        open_skipped_descriptors(handled);
    }
    let arguments = handled.translate(&mut thread.scratch).ok()?;
    let flags = call.sqe_word().map_or(0, SqeWord::flags);
    let entry = Entry::new(call.nr, &operation, flags, &arguments.values());
    Some(Submission { entry, output: Output::Arguments(arguments) })
}
