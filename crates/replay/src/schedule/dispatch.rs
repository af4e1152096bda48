//! The dispatcher: reads the trace in the order of time, moves the world on, and hands each call to
//! its executor when it returns in the recording.
//!
//! What a call waits for is told by [`Builder`]. What is dispatched and not done is bounded in
//! number and in bytes, unless everything is read beforehand.

mod chosen;
mod done;
mod events;
mod leave;
mod send;
mod until;

pub(crate) use done::Done;

use super::decide::class;
use super::order::{Builder, Moments};
use super::pace::Pacer;
use crate::execute::{Pool, Shared};
use crate::initial::Passages;
use crate::initial::outside::Outside;
use crate::initial::unnamed::Held;
use crate::issue::Real;
use crate::source::{Cause, LeftOut};
use crate::{Error, Options, Progress};
use abi::Replay;
use ahash::HashSet;
use done::Tally;
use model::files::{FileType, Row};
use model::world::{Moment, Timeline, Unrecorded, World};
use std::sync::Arc;
use std::time::{Duration, Instant};
use trace::{Call, Item};

/// What a call in flight is.
#[derive(Clone, Copy, Default)]
struct Flying {
    seq: u64,
    tid: u32,
    /// Its executor.
    lane: u16,
    call: &'static str,
}

pub(crate) struct Dispatcher<'a> {
    shared: Arc<Shared>,
    progress: &'a dyn Progress,
    options: &'a Options,
    pacer: Pacer,
    world: World<Real>,
    pool: Pool,
    passages: Passages,
    builder: Builder,
    /// Calls and releases dispatched.
    number: u64,
    /// All below this number are done; perhaps more are.
    reached: u64,
    /// Recorded bytes held by what was dispatched; and how many of them are held no more, at least.
    held: u64,
    freed: u64,
    flying: Vec<Flying>,
    /// Files that change without a call: through a mapping, io_uring or aio.
    mapped: HashSet<(u64, u64)>,
    unrecorded: Unrecorded,
    tally: Tally,
    /// Files that calls changed which are left out.
    left_out: LeftOut,
    /// The first chosen call has come.
    chosen: bool,
    /// Calls are left out, so that a descriptor may have to be opened first.
    leaves_out: bool,
    /// What was open at the start and had no name.
    pub unnamed: Held,
    /// What others did.
    pub outside: Outside,
    /// Threads of which the trace says where they came from.
    known: HashSet<u32>,
}

impl<'a> Dispatcher<'a> {
    /// `span`: how long the recording was, if that is known.
    pub fn new(
        shared: Arc<Shared>,
        options: &'a Options,
        span: Option<u64>,
        passages: Passages,
        progress: &'a dyn Progress,
    ) -> Self {
        let world = World::of(shared.mounts.clone());
        Self {
            flying: vec![Flying::default(); shared.frontier.window() as usize],
            pool: Pool::new(shared.clone()),
            passages,
            shared,
            progress,
            options,
            pacer: Pacer::new(options.pace, span),
            world,
            builder: Builder::new(options.order),
            number: 0,
            reached: 0,
            held: 0,
            freed: 0,
            mapped: HashSet::default(),
            unrecorded: Unrecorded::default(),
            tally: Tally::default(),
            left_out: LeftOut::default(),
            chosen: options.selection.from == 0,
            leaves_out: options.selection.leaves_out(),
            unnamed: Held::default(),
            outside: Outside::default(),
            known: HashSet::default(),
        }
    }

    /// Tells of the links that were there at first.
    pub fn know_links(&mut self, rows: &[Row]) {
        let links = rows.iter().filter_map(|row| {
            let target = row.initial.as_ref().filter(|state| state.kind == FileType::Link)?;
            Some((&row.path[..], target.target.as_deref()?))
        });
        self.world.know_links(&links.collect::<Vec<_>>());
    }

    /// Replays all items, and returns when the last call is done.
    pub fn run(&mut self, items: impl Iterator<Item = Result<Item, Cause>>) -> Result<(), Error> {
        let mut moments = Moments::new(Timeline::new(items));
        self.tally.begun = Some(Instant::now());
        while let Some(moment) = moments.next() {
            if self.shared.stopping() {
                break;
            }
            match moment.map_err(Error::Trace)? {
                Moment::Event(event) => self.event(&event)?,
                Moment::Enter(_, call) if self.is_beyond(&call) => {
                    self.tally.cut_short = true;
                    break;
                }
                Moment::Enter(place, call) => self.enter(place, &call)?,
                Moment::Leave(place, call) => {
                    if !self.builder.postpones(&self.world, &mut moments, place, &call) {
                        self.leave(place, call)?;
                    }
                }
                Moment::Lost(place, call) => {
                    self.builder.close(place);
                    // Some never return: they end their thread.
                    self.skip(match call.shape().map(|shape| shape.replay) {
                        Some(Replay::Skip(why)) => class(why),
                        _ => "never returned",
                    });
                }
            }
        }
        self.end()
    }

    /// Waits for what is dispatched. What was under way when the reading ended is not performed.
    fn end(&mut self) -> Result<(), Error> {
        let why = if self.tally.cut_short { "after the chosen time" } else { "the replay ended" };
        for place in 0..self.builder.places() {
            if self.builder.close(place).is_some() {
                self.skip(why);
            }
        }
        self.open_gate();
        self.wait(self.number)?;
        self.tally.elapsed = self.tally.begun.map_or(Duration::ZERO, |begun| begun.elapsed());
        // What was still open is closed now, by nobody's call.
        self.world = World::new();
        self.pool.finish();
        self.check()
    }

    fn enter(&mut self, place: usize, call: &Arc<Call>) -> Result<(), Error> {
        self.begin_chosen(call)?;
        self.tally.calls += 1;
        if self.tally.calls.is_multiple_of(4096) {
            self.tell();
            self.hear();
        }
        let recorded = self.tally.recorded.get_or_insert((call.entered, call.entered));
        recorded.1 = recorded.1.max(call.left.unwrap_or(call.entered));
        let bound = self.world.enter(call);
        self.builder.enter(place, call, bound, self.number, !self.chosen);
        Ok(())
    }

    fn skip(&mut self, why: &'static str) {
        *self.tally.skipped_by.entry(why).or_default() += 1;
    }
}
