//! Calls that are translated when they are dispatched: those that need one descriptor at most, names, and one room for what comes back. Little is left for the executor
//! to do, and what it needs lies in its queue, one call behind the other.

use super::arguments::Refused;
use super::call::tells_a_path;
use super::handlers::{close_last, is_open, is_plain, opened};
use super::scratch::Room;
use super::thread::Place;
use super::{Ready, Real, Scratch, raw};
use crate::Verify;
use crate::verify::{Difference, Expected, Recorded, Rules, compare_argument};
use abi::Effect;
use model::world::{Bound, Descriptor, Six};
use std::sync::Arc;
use trace::Call;

/// What is done.
enum Does {
    /// A call, translated.
    Call(Ready),
    /// A descriptor is closed, or let go.
    Close(Option<Arc<Descriptor<Real>>>),
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

pub(crate) struct Short {
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

/// What a call brought: its result, or a negative errno, and where its bytes came back.
pub(crate) type Come = Result<(i64, Option<Room>), Refused>;

impl Short {
    /// A call that was left so, if no more need be known of it. Takes its descriptors.
    pub fn of(
        call: &Call,
        expected: Expected,
        bound: &mut Bound<Real>,
        early: bool,
        verify: Verify,
    ) -> Option<Self> {
        let shape = expected.shape;
        let (opens, closes) = (
            is_open(shape),
            matches!(shape.effect, Effect::Close { .. }) && bound.closed.len() == 1,
        );
        if !(is_plain(shape) || opens || closes)
            || shape.copies.is_some()
            || !bound.inner.is_empty()
            || bound.directory.is_some()
        {
            return None;
        }
        if bound.opened.len() > usize::from(opens) || bound.closed.len() > usize::from(closes) {
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
        let (ready, strings) = Ready::of(call, shape, bound, compared, expected.mapped)?;
        let meant = ready.descriptor().and_then(|fd| bound.fds[fd].take());
        // What takes neither a descriptor nor a name is about where its thread is.
        let here = shape.uses.fds == 0;
        let named = (opens || here || shape.uses.paths != 0 || !strings.is_empty()).then(|| {
            let opens = bound.opened.pop().map(|(_, descriptor)| descriptor);
            Box::new(Named { opens, place: None, strings, paths: std::mem::take(&mut bound.paths) })
        });
        this(Does::Call(ready), meant, named)
    }

    /// Where it is to be performed, if that counts.
    pub fn place(&mut self) -> Option<&mut Option<Place>> {
        self.named.as_mut().map(|named| &mut named.place)
    }

    /// Whether it is about its thread's working directory, or may name something from there, if it
    /// takes no descriptor.
    pub fn starts_here(&self) -> bool {
        self.named.as_ref().is_some_and(|named| {
            let mut names = named.strings.split(|b| *b == 0).filter(|name| !name.is_empty());
            tells_a_path(self.expected.shape) || names.any(|name| !name.starts_with(b"/"))
        })
    }

    /// The recorded data that it holds.
    fn data(&self) -> Option<Recorded<'_>> {
        match &self.does {
            Does::Call(ready) => ready.data(),
            Does::Close(_) => None,
        }
    }

    /// Recorded bytes that it holds.
    pub fn bytes(&self) -> u64 {
        let data = self.data().map_or(0, |data| data.bytes.len() as u64);
        data + self.named.as_ref().map_or(0, |named| named.strings.len() as u64)
    }

    /// Asks for the beginning of its data.
    pub fn prefetch(&self) {
        if let Some(data) = self.data() {
            raw::prefetch(data.bytes.as_ptr().cast::<[u8; 256]>());
        }
        if let Some(named) = &self.named {
            raw::prefetch(&raw const **named);
        }
    }

    /// The name of the file that it is about, if it gives one.
    pub fn path(&self) -> Option<&[u8]> {
        self.named.as_ref()?.paths.values().next().map(|path| &**path)
    }

    /// Performs it on the real descriptor.
    #[inline(always)]
    pub fn perform(&mut self, real: i32, scratch: &mut Scratch) -> Come {
        let ready = match &mut self.does {
            Does::Call(ready) => ready,
            Does::Close(descriptor) => {
                return Ok((close_last(descriptor).unwrap_or(self.expected.ret), None));
            }
        };
        let come = ready.perform(real, scratch);
        if let (Some(named), Ok((got, _))) = (&mut self.named, &come)
            && is_open(self.expected.shape)
        {
            opened(named.opens.take().as_ref(), *got);
        }
        come
    }

    /// Compares what it brought.
    pub fn compare(
        &self,
        come: Come,
        scratch: &Scratch,
        verify: Verify,
        rules: &Rules,
    ) -> Result<Option<Difference>, Refused> {
        let (got, room) = come?;
        if self.early {
            return Ok(None);
        }
        if verify == Verify::None {
            return Ok(self.expected.failure(got));
        }
        let bytes = || {
            let Does::Call(ready) = &self.does else { return None };
            let (recorded, room) = (ready.data()?, scratch.bytes(room?));
            let (recorded, rooms) = (std::iter::once(recorded), std::iter::once(room));
            compare_argument(self.expected, ready.room(), recorded, rooms, got, rules)
        };
        Ok(self.expected.compare(got).or_else(bytes))
    }
}
