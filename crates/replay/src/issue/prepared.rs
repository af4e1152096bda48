//! A call that is ready to be performed, as the dispatcher hands it to an executor.
//!
//! Most calls need one descriptor at most, names, and one room for what comes back. They are
//! translated when they are dispatched ([`Translated`]): little is left for the executor to do, and
//! what it needs lies in its queue, one call behind the other. All others have a handler and hold
//! what it needs ([`Handled`]): they are translated by their executor.

mod translated;

use super::call::{ASTRAY, Handled, Outcome, tells_a_path};
use super::handlers::{self, close_last, is_open, is_plain, opened};
use super::scratch::Room;
use super::thread::{Place, Thread};
use super::{Real, raw};
use crate::Verify;
use crate::verify::{Difference, Expected, Recorded, compare_argument};
use abi::Effect;
use model::world::{Bound, Descriptor, Six};
use std::sync::Arc;
use trace::Call;
use translated::Translated;

/// What is done.
enum Does {
    /// A call, translated.
    Call(Translated),
    /// A descriptor is closed, or let go.
    Close(Option<Arc<Descriptor<Real>>>),
    /// What a handler does.
    Handled(Box<Handled>),
}

/// What calls have that name files, or open them.
struct Named {
    /// The descriptor that the result becomes.
    opens: Option<Arc<Descriptor<Real>>>,
    /// To be gone to first.
    place: Option<Place>,
    /// The names that its arguments point to.
    strings: Box<[u8]>,
    /// For the report.
    paths: Six<Box<[u8]>>,
}

/// A call that is ready to be performed.
pub(crate) struct Prepared {
    /// Its number in the trace.
    pub seq: u64,
    pub expected: Expected,
    does: Does,
    /// The descriptor that it means,
    pub meant: Option<Arc<Descriptor<Real>>>,
    /// which is that of the job before it in its executor's queue, and held there.
    pub same: bool,
    named: Option<Box<Named>>,
    /// It makes the state that later calls find: it is not compared.
    pub early: bool,
}

/// What a call came to.
pub(crate) enum Come {
    /// Its result, or a negative errno, and where its bytes came back.
    Result(i64, Option<Room>),
    /// Its handler has compared it.
    Handled(Outcome),
}

impl Prepared {
    /// A call of which no more need be known than lies here, if it is one. Takes its descriptors.
    pub fn translated(
        call: &Call,
        expected: Expected,
        bound: &mut Bound<Real>,
        early: bool,
        verify: Verify,
    ) -> Option<Self> {
        let shape = expected.shape;
        let opens = is_open(shape);
        let closes = matches!(shape.effect, Effect::Close { .. }) && bound.closed.len() == 1;
        if !(is_plain(shape) || opens || closes)
            || shape.copies.is_some()
            || !bound.inner.is_empty()
            || bound.directory.is_some()
            || bound.opened.len() > usize::from(opens)
            || bound.closed.len() > usize::from(closes)
        {
            return None;
        }
        let this = |does, meant, named| {
            Some(Self { seq: call.seq, expected, does, meant, same: false, named, early })
        };
        if closes {
            bound.fds = Default::default();
            return this(Does::Close(bound.closed.pop()), None, None);
        }
        let compared = verify == Verify::Data && call.succeeded() && !early;
        let (translated, strings) = Translated::of(call, shape, bound, compared, expected.mapped)?;
        let meant = translated.descriptor().and_then(|fd| bound.fds[fd].take());
        // What takes neither a descriptor nor a name is about where its thread is.
        let here = shape.uses.fds == 0;
        let named = (opens || here || shape.uses.paths != 0 || !strings.is_empty()).then(|| {
            let opens = bound.opened.pop().map(|(_, descriptor)| descriptor);
            Box::new(Named { opens, place: None, strings, paths: std::mem::take(&mut bound.paths) })
        });
        this(Does::Call(translated), meant, named)
    }

    /// Any call, with all that is known of it.
    pub fn handled(handled: Handled) -> Self {
        let (seq, early, expected) = (handled.call.seq, handled.early, handled.expected());
        let does = Does::Handled(Box::new(handled));
        Self { seq, expected, does, meant: None, same: false, named: None, early }
    }

    /// Where it is to be performed, if that counts and it does not say so itself.
    pub fn place(&mut self) -> Option<&mut Option<Place>> {
        self.named.as_mut().map(|named| &mut named.place)
    }

    /// Whether it may move its thread elsewhere, and let go of descriptors.
    pub fn is_handled(&self) -> bool {
        matches!(self.does, Does::Handled(_))
    }

    /// The recorded data that it holds.
    fn data(&self) -> Option<Recorded<'_>> {
        match &self.does {
            Does::Call(translated) => translated.data(),
            Does::Close(_) | Does::Handled(_) => None,
        }
    }

    /// Recorded bytes that it holds.
    pub fn bytes(&self) -> u64 {
        if let Does::Handled(handled) = &self.does {
            return handled.bytes;
        }
        let data = self.data().map_or(0, |data| data.bytes.len() as u64);
        data + self.named.as_ref().map_or(0, |named| named.strings.len() as u64)
    }

    /// Asks for the beginning of what it holds.
    pub fn prefetch(&self) {
        if let Does::Handled(handled) = &self.does {
            raw::prefetch(&raw const **handled);
        }
        if let Some(data) = self.data() {
            raw::prefetch(data.bytes.as_ptr().cast::<[u8; 256]>());
        }
        if let Some(named) = &self.named {
            raw::prefetch(&raw const **named);
        }
    }

    /// Asks for what that points to, when it is near.
    pub fn prefetch_further(&self) {
        if let Does::Handled(handled) = &self.does {
            raw::prefetch(Arc::as_ptr(&handled.call));
        }
    }

    /// The name of the file that it is about, or of the descriptor that it means and its executor
    /// holds.
    pub fn path<'a>(&'a self, held: Option<&'a Descriptor<Real>>) -> &'a [u8] {
        if let Does::Handled(handled) = &self.does {
            return handled.path();
        }
        let named = self.named.as_ref().and_then(|named| named.paths.values().next());
        named.map(|path| &**path).or(held.map(|d| &*d.file.path)).unwrap_or_default()
    }

    /// What its handler may need, if it has one.
    pub fn as_handled(&self) -> Option<&Handled> {
        if let Does::Handled(handled) = &self.does { Some(handled) } else { None }
    }

    /// Whether it is about its thread's working directory, or may name something from there, if it
    /// takes no descriptor.
    fn starts_here(&self) -> bool {
        self.named.as_ref().is_some_and(|named| {
            let mut names = named.strings.split(|b| *b == 0).filter(|name| !name.is_empty());
            tells_a_path(self.expected.shape) || names.any(|name| !name.starts_with(b"/"))
        })
    }

    /// Performs it as `thread`. `held`: its executor holds the descriptor that it means, and `real`
    /// is the real one.
    #[inline(always)]
    pub fn perform(&mut self, held: bool, real: i32, thread: &mut Thread) -> Come {
        if let Does::Handled(handled) = &mut self.does {
            return Come::Handled(handlers::perform(thread, handled));
        }
        if let Some(place) = self.place().and_then(Option::take) {
            thread.go_to(place.cwd.as_ref(), place.umask);
        }
        if thread.astray && !held && self.starts_here() {
            return Come::Handled(Err(ASTRAY));
        }
        let come = match &mut self.does {
            Does::Call(translated) => translated.perform(real, &mut thread.scratch),
            Does::Close(descriptor) => {
                return Come::Result(close_last(descriptor).unwrap_or(self.expected.ret), None);
            }
            Does::Handled(_) => return Come::Handled(Ok(None)),
        };
        let (got, room) = match come {
            Ok(come) => come,
            Err(why) => return Come::Handled(Err(why.why())),
        };
        if let Some(named) = &mut self.named
            && is_open(self.expected.shape)
        {
            opened(named.opens.take().as_ref(), got);
        }
        Come::Result(got, room)
    }

    /// What differs of what it came to; `Err` says why it was not performed.
    pub fn differs(&self, come: Come, thread: &Thread) -> Result<Option<Difference>, &'static str> {
        let verify = thread.common.verify;
        let (got, room) = match come {
            Come::Result(got, room) => (got, room),
            Come::Handled(Err(why)) => return Err(why),
            Come::Handled(Ok(difference)) => {
                let counts = |d: &Difference| !self.early && (verify > Verify::None || d.failed);
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
            let Does::Call(translated) = &self.does else { return None };
            let (recorded, came) = (translated.data()?, thread.scratch.bytes(room?));
            let (recorded, came) = (std::iter::once(recorded), std::iter::once(came));
            let (i, rules) = (translated.room(), &thread.common.rules);
            compare_argument(self.expected, i, recorded, came, got, rules)
        };
        Ok(self.expected.compare(got).or_else(bytes))
    }

    /// Lets all descriptors and directories go: the call is done.
    pub fn let_go(&mut self) {
        if let Does::Handled(handled) = &mut self.does {
            handled.let_go();
        }
    }
}
