//! The dispatcher: reads the trace in the order of time, updates the model of the traced processes,
//! and hands each call to its executor when it returns in the recording.
//!
//! [`OrderBuilder`] determines what a call waits for. What is dispatched and not done is bounded in
//! number and in bytes, unless everything is read beforehand.

mod counts;
mod events;
mod returned;
mod rings;
mod send;
mod time_range;
mod wait;

pub(crate) use counts::DispatchResult;

use super::OrderBuilder;
use super::skip::class;
use crate::execute::{Pool, Shared};
use crate::initial::TraversedDirectories;
use crate::initial::outside::Outside;
use crate::initial::unnamed::UnnamedFiles;
use crate::issue::RealFd;
use crate::source::{Cause, SkippedChanges};
use crate::{Error, Options, Progress};
use abi::Replay;
use ahash::HashSet;
use counts::Counts;
use model::files::{FileType, Row};
use model::processes::{Processes, Timeline, TimelineItem, Unrecorded};
use order::{Pacer, ReorderBuffer};
use rings::Rings;
use std::sync::Arc;
use std::time::{Duration, Instant};
use trace::{Call, Item};

/// A dispatched call.
#[derive(Clone, Copy, Default)]
struct Dispatched {
    seq: u64,
    thread: u32,
    /// What performs it ([`order::InFlight::lane`]).
    lane: u32,
    /// Its executor.
    executor: u16,
    call: &'static str,
}

pub(crate) struct Dispatcher<'a> {
    shared: Arc<Shared>,
    progress: &'a dyn Progress,
    options: &'a Options,
    pacer: Pacer,
    processes: Processes<RealFd>,
    pool: Pool,
    traversed: TraversedDirectories,
    order: OrderBuilder,
    /// Calls and releases dispatched.
    number: u64,
    /// All calls below this number are done; perhaps more are.
    first_pending: u64,
    /// Recorded bytes held by what was dispatched; and how many of them are held no more, at least.
    bytes_held: u64,
    bytes_freed: u64,
    dispatched: Vec<Dispatched>,
    /// Files that change without a call: through a mapping, io_uring or aio.
    unseen_writes: HashSet<(u64, u64)>,
    unrecorded: Unrecorded,
    rings: Rings,
    counts: Counts,
    /// Files that calls changed which are left out.
    skipped_changes: SkippedChanges,
    /// The first chosen call has come.
    in_range: bool,
    /// Calls are left out, so that a descriptor may have to be opened first.
    leaves_out: bool,
    /// What was open at the start and had no name.
    pub unnamed: UnnamedFiles,
    /// Changes by processes that were not recorded.
    pub outside: Outside,
    /// Threads whose start is in the trace.
    known_threads: HashSet<u32>,
}

impl<'a> Dispatcher<'a> {
    /// Creates the dispatcher. `span` is the duration of the recording in nanoseconds, if it is
    /// known.
    pub fn new(
        shared: Arc<Shared>,
        options: &'a Options,
        span: Option<u64>,
        traversed: TraversedDirectories,
        progress: &'a dyn Progress,
    ) -> Self {
        let processes = Processes::with_mounts(shared.mounts.clone());
        Self {
            dispatched: vec![Dispatched::default(); shared.completion.window() as usize],
            pool: Pool::new(shared.clone()),
            traversed,
            shared,
            progress,
            options,
            pacer: Pacer::new(options.pace, span),
            processes,
            order: OrderBuilder::new(options.order),
            number: 0,
            first_pending: 0,
            bytes_held: 0,
            bytes_freed: 0,
            unseen_writes: HashSet::default(),
            unrecorded: Unrecorded::default(),
            rings: Rings::new(),
            counts: Counts::default(),
            skipped_changes: SkippedChanges::default(),
            in_range: options.selection.from == 0,
            leaves_out: options.selection.can_exclude(),
            unnamed: UnnamedFiles::default(),
            outside: Outside::default(),
            known_threads: HashSet::default(),
        }
    }

    /// Adds the symbolic links that existed initially to the model of the processes.
    pub fn know_links(&mut self, rows: &[Row]) {
        let links = rows.iter().filter_map(|row| {
            let target = row.initial.as_ref().filter(|state| state.kind == FileType::Link)?;
            Some((&row.path[..], target.target.as_deref()?))
        });
        self.processes.add_links(&links.collect::<Vec<_>>());
    }

    /// Replays all items, and returns when the last call is done.
    pub fn run(&mut self, items: impl Iterator<Item = Result<Item, Cause>>) -> Result<(), Error> {
        let mut reorder = ReorderBuffer::new(Timeline::new(items));
        self.counts.started = Some(Instant::now());
        while let Some(item) = reorder.next() {
            if self.shared.stopping() {
                break;
            }
            match item.map_err(Error::Trace)? {
                TimelineItem::Event(event) => self.event(&event)?,
                TimelineItem::Enter(_, call) if self.is_after_range(&call) => {
                    self.counts.ended_early = true;
                    break;
                }
                TimelineItem::Enter(slot, call) => self.call_entered(slot, &call)?,
                TimelineItem::Leave(slot, call) => {
                    if !self.order.postpones(&self.processes, &mut reorder, slot, &call) {
                        self.call_returned(slot, call)?;
                    }
                }
                TimelineItem::Unreturned(slot, call) => {
                    self.order.close(slot);
                    // Some never return: they end their thread.
                    self.skip(match call.spec().map(|spec| spec.replay) {
                        Some(Replay::Skip(why)) => class(why),
                        _ => "never returned",
                    });
                }
            }
        }
        self.end()
    }

    /// Waits for what is dispatched. Calls that were under way when the reading ended are not
    /// performed.
    fn end(&mut self) -> Result<(), Error> {
        let why =
            if self.counts.ended_early { "after the chosen time" } else { "the replay ended" };
        for slot in 0..self.order.slots() {
            if self.order.close(slot).is_some() {
                self.skip(why);
            }
        }
        self.start_executors();
        self.wait(self.number)?;
        self.counts.elapsed =
            self.counts.started.map_or(Duration::ZERO, |started| started.elapsed());
        // Closes what is still open.
        self.processes = Processes::new();
        self.pool.finish();
        self.check()
    }

    /// Handles the entry of a call: applies the outside changes before it, and adds it to the calls
    /// in flight.
    fn call_entered(&mut self, slot: usize, call: &Arc<Call>) -> Result<(), Error> {
        self.begin_range(call)?;
        self.counts.calls += 1;
        if self.counts.calls.is_multiple_of(4096) {
            self.report_progress();
            self.check_cancelled();
        }
        let recorded = self.counts.recorded.get_or_insert((call.entered, call.entered));
        recorded.1 = recorded.1.max(call.exited.unwrap_or(call.entered));
        self.unrecorded.before_entry(call);
        let lane = self.lane(slot, call)?;
        let operands = self.processes.enter(call);
        self.order.enter(slot, call, operands, lane, self.number, !self.in_range);
        Ok(())
    }

    /// Counts a skipped call by its reason.
    fn skip(&mut self, why: &'static str) {
        *self.counts.skipped_by.entry(why).or_default() += 1;
    }
}
