//! A call that is ready to be performed, as the dispatcher hands it to an executor.
//!
//! Most calls need one descriptor at most, names, and one room for what comes back. They are
//! translated when they are dispatched ([`TranslatedCall`]): little is left for the executor to do,
//! and what it needs lies in its queue, one call behind the other. All others have a handler and
//! hold what it needs ([`HandledCall`]): they are translated by their executor.

mod translated_call;

use super::handled::{HandledCall, NO_WORKING_DIRECTORY, Outcome, returns_a_path};
use super::handlers::{self, close_if_last, is_open, is_plain, set_opened};
use super::scratch::ScratchBuffer;
use super::thread::{ExecutorThread, FsContext};
use super::{RealFd, raw};
use crate::Verify;
use crate::verify::{Expected, Mismatch, RecordedBytes, compare_argument};
use abi::Effect;
use model::world::{Bound, Descriptor, Six};
use std::sync::Arc;
use trace::Call;
use translated_call::TranslatedCall;

/// What is done.
enum Action {
    /// A call, translated.
    Call(TranslatedCall),
    /// A descriptor is closed, or let go.
    Close(Option<Arc<Descriptor<RealFd>>>),
    /// What a handler does.
    Handled(Box<HandledCall>),
}

/// What calls have that name files, or open them.
struct NamedArguments {
    /// The descriptor that the result becomes.
    opened: Option<Arc<Descriptor<RealFd>>>,
    /// To be gone to first.
    context: Option<FsContext>,
    /// The names that its arguments point to.
    strings: Box<[u8]>,
    /// For the report.
    paths: Six<Box<[u8]>>,
}

/// A call that is ready to be performed.
pub(crate) struct PreparedCall {
    /// Its number in the trace.
    pub seq: u64,
    pub expected: Expected,
    action: Action,
    /// The descriptor that it means,
    pub descriptor: Option<Arc<Descriptor<RealFd>>>,
    /// which is that of the job before it in its executor's queue, and held there.
    pub same_descriptor: bool,
    named: Option<Box<NamedArguments>>,
    /// It makes the state that later calls find: it is not compared.
    pub early: bool,
}

/// What a call came to.
pub(crate) enum CallResult {
    /// Its result, or a negative errno, and where its bytes came back.
    Result(i64, Option<ScratchBuffer>),
    /// Its handler has compared it.
    Handled(Outcome),
}

impl PreparedCall {
    /// A call of which no more need be known than lies here, if it is one. Takes its descriptors.
    pub fn translated(
        call: &Call,
        expected: Expected,
        bound: &mut Bound<RealFd>,
        early: bool,
        verify: Verify,
    ) -> Option<Self> {
        let shape = expected.shape;
        let opened = is_open(shape);
        let closes = matches!(shape.effect, Effect::Close { .. }) && bound.closed.len() == 1;
        if !(is_plain(shape) || opened || closes)
            || shape.copies.is_some()
            || !bound.inner.is_empty()
            || bound.directory.is_some()
            || bound.opened.len() > usize::from(opened)
            || bound.closed.len() > usize::from(closes)
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
            bound.fds = Default::default();
            return this(Action::Close(bound.closed.pop()), None, None);
        }
        let compared = verify == Verify::Data && call.succeeded() && !early;
        let (translated, strings) =
            TranslatedCall::of(call, shape, bound, compared, expected.unseen_writes)?;
        let descriptor = translated.descriptor().and_then(|fd| bound.fds[fd].take());
        // What takes neither a descriptor nor a name is about where its thread is.
        let here = shape.uses.fd_args == 0;
        let named =
            (opened || here || shape.uses.path_args != 0 || !strings.is_empty()).then(|| {
                let opened = bound.opened.pop().map(|(_, descriptor)| descriptor);
                Box::new(NamedArguments {
                    opened,
                    context: None,
                    strings,
                    paths: std::mem::take(&mut bound.paths),
                })
            });
        this(Action::Call(translated), descriptor, named)
    }

    /// Any call, with all that is known of it.
    pub fn handled(handled: HandledCall) -> Self {
        let (seq, early, expected) = (handled.call.seq, handled.early, handled.expected());
        let action = Action::Handled(Box::new(handled));
        Self { seq, expected, action, descriptor: None, same_descriptor: false, named: None, early }
    }

    /// Where it is to be performed, if that counts and it does not say so itself.
    pub fn context(&mut self) -> Option<&mut Option<FsContext>> {
        self.named.as_mut().map(|named| &mut named.context)
    }

    /// Whether it may move its thread elsewhere, and let go of descriptors.
    pub fn is_handled(&self) -> bool {
        matches!(self.action, Action::Handled(_))
    }

    /// The recorded data that it holds.
    fn recorded_data(&self) -> Option<RecordedBytes<'_>> {
        match &self.action {
            Action::Call(translated) => translated.data(),
            Action::Close(_) | Action::Handled(_) => None,
        }
    }

    /// Recorded bytes that it holds.
    pub fn bytes(&self) -> u64 {
        if let Action::Handled(handled) = &self.action {
            return handled.bytes_held;
        }
        let data = self.recorded_data().map_or(0, |data| data.bytes.len() as u64);
        data + self.named.as_ref().map_or(0, |named| named.strings.len() as u64)
    }

    /// Asks for the beginning of what it holds.
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

    /// Asks for what that points to, when it is near.
    pub fn prefetch_further(&self) {
        if let Action::Handled(handled) = &self.action {
            raw::prefetch(Arc::as_ptr(&handled.call));
        }
    }

    /// The name of the file that it is about, or of the descriptor that it means and its executor
    /// holds.
    pub fn path<'a>(&'a self, has_descriptor: Option<&'a Descriptor<RealFd>>) -> &'a [u8] {
        if let Action::Handled(handled) = &self.action {
            return handled.path();
        }
        let named = self.named.as_ref().and_then(|named| named.paths.values().next());
        named.map(|path| &**path).or(has_descriptor.map(|d| &*d.file.path)).unwrap_or_default()
    }

    /// What its handler may need, if it has one.
    pub fn as_handled(&self) -> Option<&HandledCall> {
        if let Action::Handled(handled) = &self.action { Some(handled) } else { None }
    }

    /// Whether it is about its thread's working directory, or may name something from there, if it
    /// takes no descriptor.
    fn uses_cwd(&self) -> bool {
        self.named.as_ref().is_some_and(|named| {
            let mut names = named.strings.split(|b| *b == 0).filter(|name| !name.is_empty());
            returns_a_path(self.expected.shape) || names.any(|name| !name.starts_with(b"/"))
        })
    }

    /// Performs it as `thread`. `has_descriptor`: its executor holds the descriptor that it means,
    /// and `fd` is the real one.
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
            && is_open(self.expected.shape)
        {
            set_opened(named.opened.take().as_ref(), got);
        }
        CallResult::Result(got, buffer)
    }

    /// What differs of what it came to; `Err` says why it was not performed.
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
            return Ok(self.expected.failure(got));
        }
        let bytes = || {
            let Action::Call(translated) = &self.action else { return None };
            let (recorded, came) = (translated.data()?, thread.scratch.bytes(buffer?));
            let (recorded, came) = (std::iter::once(recorded), std::iter::once(came));
            let (i, rules) = (translated.buffer(), &thread.context.rules);
            compare_argument(self.expected, i, recorded, came, got, rules)
        };
        Ok(self.expected.compare(got).or_else(bytes))
    }

    /// Lets all descriptors and directories go: the call is done.
    pub fn let_go(&mut self) {
        if let Action::Handled(handled) = &mut self.action {
            handled.let_go();
        }
    }
}
