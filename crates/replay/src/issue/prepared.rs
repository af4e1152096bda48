//! A call that is ready to be performed, as the dispatcher hands it to an executor.
//!
//! Most calls need one descriptor at most, names, and one room for what comes back. They are
//! translated when they are dispatched ([`TranslatedCall`]): little is left for the executor to do,
//! and what it needs lies in its queue, one call behind the other. All others have a handler and
//! hold what it needs ([`HandledCall`]): they are translated by their executor.

mod submission;
mod translated_call;

pub(crate) use submission::Submission;

use super::handled::{HandledCall, NO_WORKING_DIRECTORY, Outcome};
use super::handlers::{self, close_if_last, is_open, is_plain, set_opened};
use super::scratch::ScratchBuffer;
use super::thread::{ExecutorThread, FsContext};
use super::{RealFd, raw};
use crate::Verify;
use crate::verify::{Expected, Mismatch, RecordedBytes, compare_argument};
use abi::Effect;
use model::processes::{Descriptor, Operands, PerArgument};
use std::sync::Arc;
use trace::Call;
use translated_call::TranslatedCall;

/// What performing the call means.
enum Action {
    /// Issues a call that was translated beforehand.
    Call(TranslatedCall),
    /// Closes a descriptor, or drops one of its owners.
    Close(Option<Arc<Descriptor<RealFd>>>),
    /// Runs a handler.
    Handled(Box<HandledCall>),
}

/// What only calls need that name files, or open them.
struct NamedArguments {
    /// The descriptor that the result becomes.
    opened: Option<Arc<Descriptor<RealFd>>>,
    /// The working directory and umask to set first, if they changed.
    context: Option<FsContext>,
    /// The names that its arguments point to.
    strings: Box<[u8]>,
    /// The paths, for the report.
    paths: PerArgument<Box<[u8]>>,
}

/// A call that is ready to be performed.
pub(crate) struct PreparedCall {
    /// Its number in the trace.
    pub seq: u64,
    pub expected: Expected,
    action: Action,
    /// The descriptor that it is about,
    pub descriptor: Option<Arc<Descriptor<RealFd>>>,
    /// or it is that of the job before it in the queue of its executor, which keeps it.
    pub same_descriptor: bool,
    named: Option<Box<NamedArguments>>,
    /// It makes the state that later calls find: it is not compared.
    pub early: bool,
}

/// The result of a performed call.
pub(crate) enum CallResult {
    /// Its result, or a negative errno, and where its bytes came back.
    Result(i64, Option<ScratchBuffer>),
    /// Its handler compared it already.
    Handled(Outcome),
}

impl PreparedCall {
    /// Translates a call beforehand and takes its descriptors out of `operands`. Returns `None` if
    /// the call needs a handler.
    pub fn translated(
        call: &Call,
        expected: Expected,
        operands: &mut Operands<RealFd>,
        early: bool,
        verify: Verify,
    ) -> Option<Self> {
        let spec = expected.spec;
        let opened = is_open(spec);
        let closes = matches!(spec.effect, Effect::Close { .. }) && operands.closed.len() == 1;
        if !(is_plain(spec) || opened || closes)
            || spec.copies.is_some()
            || !operands.inner.is_empty()
            || operands.directory.is_some()
            || operands.opened.len() > usize::from(opened)
            || operands.closed.len() > usize::from(closes)
        {
            return None;
        }
        let this = |action, descriptor, named| {
            Some(Self {
                seq: call.seq,
                expected,
                action,
                descriptor,
                same_descriptor: false,
                named,
                early,
            })
        };
        if closes {
            operands.fds = Default::default();
            return this(Action::Close(operands.closed.pop()), None, None);
        }
        let compared = verify == Verify::Data && call.succeeded() && !early;
        let (translated, strings) =
            TranslatedCall::of(call, spec, operands, compared, expected.unseen_writes)?;
        let descriptor = translated.descriptor().and_then(|fd| operands.fds[fd].take());
        // What takes neither a descriptor nor a name is about where its thread is.
        let here = spec.uses.fd_args == 0;
        let named =
            (opened || here || spec.uses.path_args != 0 || !strings.is_empty()).then(|| {
                let opened = operands.opened.pop().map(|(_, descriptor)| descriptor);
                Box::new(NamedArguments {
                    opened,
                    context: None,
                    strings,
                    paths: std::mem::take(&mut operands.paths),
                })
            });
        this(Action::Call(translated), descriptor, named)
    }

    /// Prepares a call that a handler performs.
    pub fn handled(handled: HandledCall) -> Self {
        let (seq, early, expected) = (handled.call.seq, handled.early, handled.expected());
        let action = Action::Handled(Box::new(handled));
        Self { seq, expected, action, descriptor: None, same_descriptor: false, named: None, early }
    }

    /// Returns where the dispatcher stores the working directory and umask to set before the call.
    /// Returns `None` if the call does not depend on them or its handler sets them.
    pub fn context(&mut self) -> Option<&mut Option<FsContext>> {
        self.named.as_mut().map(|named| &mut named.context)
    }

    /// Returns whether a handler performs the call, which may change the working directory and
    /// release descriptors.
    pub fn is_handled(&self) -> bool {
        matches!(self.action, Action::Handled(_))
    }

    /// Returns the recorded data that the call holds, to compare with.
    fn recorded_data(&self) -> Option<RecordedBytes<'_>> {
        match &self.action {
            Action::Call(translated) => translated.data(),
            Action::Close(_) | Action::Handled(_) => None,
        }
    }

    /// Returns how many recorded bytes the call keeps in memory.
    pub fn bytes(&self) -> u64 {
        if let Action::Handled(handled) = &self.action {
            return handled.bytes_held;
        }
        let data = self.recorded_data().map_or(0, |data| data.bytes.len() as u64);
        data + self.named.as_ref().map_or(0, |named| named.strings.len() as u64)
    }

    /// Prefetches the start of the memory that the call points to.
    pub fn prefetch(&self) {
        if let Action::Handled(handled) = &self.action {
            raw::prefetch(&raw const **handled);
        }
        if let Some(data) = self.recorded_data() {
            raw::prefetch(data.bytes.as_ptr().cast::<[u8; 256]>());
        }
        if let Some(named) = &self.named {
            raw::prefetch(&raw const **named);
        }
    }

    /// Prefetches what that memory points to, once it is in the cache.
    pub fn prefetch_further(&self) {
        if let Action::Handled(handled) = &self.action {
            raw::prefetch(Arc::as_ptr(&handled.call));
        }
    }

    /// Returns the path of the call's file, for the report: the one of `has_descriptor` if its
    /// executor holds the descriptor.
    pub fn path<'a>(&'a self, has_descriptor: Option<&'a Descriptor<RealFd>>) -> &'a [u8] {
        if let Action::Handled(handled) = &self.action {
            return handled.path();
        }
        let named = self.named.as_ref().and_then(|named| named.paths.values().next());
        named.map(|path| &**path).or(has_descriptor.map(|d| &*d.file.path)).unwrap_or_default()
    }

    /// Returns the call with all that its handler needs, if it has a handler.
    pub fn as_handled(&self) -> Option<&HandledCall> {
        if let Action::Handled(handled) = &self.action { Some(handled) } else { None }
    }

    /// Returns whether the call depends on its thread's working directory, if it takes no
    /// descriptor.
    fn uses_cwd(&self) -> bool {
        self.named.as_ref().is_some_and(|named| {
            let mut names = named.strings.split(|b| *b == 0).filter(|name| !name.is_empty());
            self.expected.spec.returns_a_path() || names.any(|name| !name.starts_with(b"/"))
        })
    }

    /// Performs the call as `thread`. `has_descriptor` is whether the executor holds the descriptor
    /// that the call uses, and `fd` is the real one.
    #[inline(always)]
    pub fn perform(
        &mut self,
        has_descriptor: bool,
        fd: i32,
        thread: &mut ExecutorThread,
    ) -> CallResult {
        if let Action::Handled(handled) = &mut self.action {
            return CallResult::Handled(handlers::perform(thread, handled));
        }
        if let Some(context) = self.context().and_then(Option::take) {
            thread.enter_context(context.cwd.as_ref(), context.umask);
        }
        if thread.cwd_unreachable && !has_descriptor && self.uses_cwd() {
            return CallResult::Handled(Err(NO_WORKING_DIRECTORY));
        }
        let result = match &mut self.action {
            Action::Call(translated) => translated.perform(fd, &mut thread.scratch),
            Action::Close(descriptor) => {
                return CallResult::Result(
                    close_if_last(descriptor).unwrap_or(self.expected.ret),
                    None,
                );
            }
            Action::Handled(_) => return CallResult::Handled(Ok(None)),
        };
        let (got, buffer) = match result {
            Ok(result) => result,
            Err(why) => return CallResult::Handled(Err(why.why())),
        };
        if let Some(named) = &mut self.named
            && is_open(self.expected.spec)
        {
            set_opened(named.opened.take().as_ref(), got);
        }
        CallResult::Result(got, buffer)
    }

    /// Compares the result with the recording. Returns the difference, if there is one; `Err` has
    /// the reason why the call was not performed.
    #[inline(always)]
    pub fn compare(
        &self,
        result: CallResult,
        thread: &ExecutorThread,
    ) -> Result<Option<Mismatch>, &'static str> {
        let verify = thread.context.verify;
        let (got, buffer) = match result {
            CallResult::Result(got, buffer) => (got, buffer),
            CallResult::Handled(Err(why)) => return Err(why),
            CallResult::Handled(Ok(difference)) => {
                let counts = |d: &Mismatch| !self.early && (verify > Verify::None || d.failed);
                return Ok(difference.filter(counts));
            }
        };
        if self.early {
            return Ok(None);
        }
        if verify == Verify::None {
            return Ok(self.expected.compare_failure(got));
        }
        let bytes = || {
            let Action::Call(translated) = &self.action else { return None };
            let (recorded, came) = (translated.data()?, thread.scratch.bytes(buffer?));
            let (recorded, came) = (std::iter::once(recorded), std::iter::once(came));
            let (i, rules) = (translated.buffer(), &thread.context.rules);
            compare_argument(self.expected, i, recorded, came, got, rules)
        };
        Ok(self.expected.compare_result(got).or_else(bytes))
    }

    /// Releases all descriptors and directories, as the call is done.
    pub fn let_go(&mut self) {
        if let Action::Handled(handled) = &mut self.action {
            handled.let_go();
        }
    }
}
