//! The dispatcher: reads the trace in the order of time, moves the world on, and hands each call to its executor when it returns in the recording.
//!
//! What a call waits for is in [`waits`]. What is dispatched and not done is bounded in number and in bytes, unless everything is read beforehand.

mod chosen;
mod done;
mod events;
mod flags;
mod listing;
mod overlap;
mod until;
mod waits;

pub(crate) use done::{Done, Tally};

use super::decide::{DEVICE, class, decide};
use super::order::conflicts::Conflicts;
use super::order::presence::Presence;
use super::order::proven::Proven;
use super::order::undecided::Undecided;
use super::pace::Pacer;
use crate::execute::{Due, Job, Need, Pool, Rare, Shared, Work};
use crate::initial::Passages;
use crate::initial::outside::Outside;
use crate::initial::unnamed::Held;
use crate::issue::call::Issue;
use crate::issue::refusal::is_unclear;
use crate::issue::short::Short;
use crate::issue::withhold::{Withheld, withheld};
use crate::issue::{Real, raw};
use crate::source::{Cause, LeftOut};
use crate::verify::Expected;
use crate::{Error, Options, Progress};
use abi::{Class, Effect, Replay, Ret, Shape};
use ahash::{HashMap, HashSet};
use model::files::{FileType, Row};
use model::world::{Bound, Descriptor, Moment, Timeline, Unrecorded, World};
use std::cell::OnceCell;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::{Duration, Instant};
use trace::{Call, Item};

/// The share of the memory that the recorded bytes of dispatched calls may take; the reader's segments take the most of the rest.
const SHARE: u64 = 8;
/// Calls remembered as races.
const RACES: usize = 1 << 20;
const TICK: Duration = Duration::from_millis(250);

/// A call that is under way in the recording.
struct Open {
    call: Arc<Call>,
    bound: Bound<Real>,
    /// Other descriptors that its arguments may have meant: the numbers were closed and given out again meanwhile.
    others: Vec<(usize, Arc<Descriptor<Real>>)>,
    /// An overlapping call wrote some of the bytes that it writes, differently.
    contested: bool,
    /// What it says of names, once somebody has asked.
    presence: OnceCell<Presence>,
    /// Calls dispatched when it began.
    overlapped: u64,
    /// It may be issued, so that others may conflict with it.
    counts: bool,
    /// It sets an open file's status flags.
    sets_flags: bool,
    /// It only makes the state for those that were chosen.
    early: bool,
}

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
    /// The last call of each thread, and the one that must be done before a thread's first: its parent's.
    last: HashMap<u32, u64>,
    world: World<Real>,
    pool: Pool,
    passages: Passages,
    conflicts: Conflicts,
    open: Vec<Option<Open>>,
    /// Calls under way that may be issued,
    counting: usize,
    /// and those of them that set an open file's status flags.
    setting: usize,
    /// Calls and releases dispatched.
    number: u64,
    /// All below this number are done; perhaps more are.
    reached: u64,
    /// Recorded bytes held by what was dispatched; and how many of them are held no more, at least.
    held: u64,
    freed: u64,
    flying: Vec<Flying>,
    /// What the recording leaves open.
    undecided: Undecided,
    /// Files that change without a call: through a mapping, io_uring or aio.
    mapped: HashSet<(u64, u64)>,
    unrecorded: Unrecorded,
    /// Listings under way: open file, and how often its directory had changed when it began.
    listings: HashMap<u64, u64>,
    changes: HashMap<Box<[u8]>, u64>,
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
            last: HashMap::default(),
            world,
            conflicts: Conflicts::default(),
            open: Vec::new(),
            counting: 0,
            setting: 0,
            number: 0,
            reached: 0,
            held: 0,
            freed: 0,
            undecided: Undecided::default(),
            mapped: HashSet::default(),
            unrecorded: Unrecorded::default(),
            listings: HashMap::default(),
            changes: HashMap::default(),
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
        let mut moments = Proven::new(Timeline::new(items));
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
                Moment::Leave(place, call) => match self.came_first(place) {
                    Some(other)
                        if !self.brought_by_a_later(&mut moments, place, other)
                            && moments.postpone(place, &call, other) => {}
                    _ => self.leave(place, call)?,
                },
                Moment::Lost(place, call) => {
                    self.close(place);
                    // Some never return: they end their thread.
                    self.skip(match call.shape().map(|shape| shape.replay) {
                        Some(Replay::Skip(why)) => class(why),
                        _ => "never returned",
                    });
                }
            }
        }
        // What was under way when it ended is not performed.
        let why = if self.tally.cut_short { "after the chosen time" } else { "the replay ended" };
        for place in 0..self.open.len() {
            if self.close(place).is_some() {
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
        let shape = call.shape().filter(|s| call.returned() && s.replay == Replay::Issue);
        let counts = shape.is_some();
        let sets_flags = shape.is_some_and(|s| s.effect == Effect::SetStatusFlags);
        self.counting += usize::from(counts);
        self.setting += usize::from(sets_flags);
        let bound = self.world.enter(call);
        let open = Open {
            call: call.clone(),
            bound,
            others: Vec::new(),
            contested: false,
            presence: OnceCell::new(),
            overlapped: self.number,
            counts,
            sets_flags,
            early: !self.chosen,
        };
        if self.open.len() <= place {
            self.open.resize_with(place + 1, || None);
        }
        self.open[place] = Some(open);
        Ok(())
    }

    fn close(&mut self, place: usize) -> Option<Open> {
        let open = self.open.get_mut(place)?.take()?;
        self.counting -= usize::from(open.counts);
        self.setting -= usize::from(open.sets_flags);
        Some(open)
    }

    fn skip(&mut self, why: &'static str) {
        *self.tally.skipped_by.entry(why).or_default() += 1;
    }

    fn leave(&mut self, place: usize, call: Arc<Call>) -> Result<(), Error> {
        let Some(mut open) = self.close(place) else { return Ok(()) };
        if self.outside.concerns(call.seq) {
            self.others(call.seq)?;
        }
        let Open { bound, others, overlapped, contested, early, .. } = &mut open;
        let (overlapped, contested, early) = (*overlapped, *contested, *early);
        self.pacer.returned(&call);
        if call.shape().is_some_and(|s| s.replay == Replay::Skip(Class::Mounts)) {
            // Where its paths lead may depend on links that calls before it make.
            if self.shared.is_open() {
                self.wait(self.number)?;
            }
            self.world.leave_with(&call, bound, &mut raw::read_link);
        } else {
            self.world.leave(&call, bound);
        }
        self.reinterpret(bound);
        for (i, d) in others.iter().filter(|_| call.succeeded()) {
            if bound.fds[*i].is_none() {
                (bound.fds[*i], bound.status[*i]) = (Some(d.clone()), d.file.status());
            }
        }
        others.retain(|(i, d)| {
            bound.fds[*i].as_ref().is_some_and(|meant| !Arc::ptr_eq(meant, d) && d.file.is_stored())
        });
        self.note_unseen(&call, bound);
        if let Some(why) = self.options.selection.why_not(&call, bound) {
            if let Some(shape) = call.shape() {
                self.left_out.note(&call, shape, bound);
            }
            self.skip(why);
            let closed = std::mem::take(&mut bound.closed);
            return self.release(call.tid, closed, overlapped);
        }
        // Nobody knows where it was, and what its descriptors meant.
        let stranger =
            self.shared.torn && !self.known.is_empty() && !self.known.contains(&call.tid);
        let decided = decide(&call, bound, &self.shared);
        let decided = match decided {
            Ok(_) if stranger => Err("start of its thread lost"),
            Ok(_) if call.is_after(self.shared.complete_until) => Err("after lost calls"),
            other => other,
        };
        let shape = match decided {
            Ok(shape) => shape,
            Err(why) => {
                self.skip(why);
                self.shared.left_out(&call, bound, why);
                bound.opened.iter().for_each(|(_, d)| d.real.leave_out(why));
                if let Some(directory) = &bound.directory {
                    directory.real.leave_out(why);
                }
                if let (DEVICE, Some(shape)) = (why, call.shape()) {
                    self.left_out.note(&call, shape, bound);
                }
                let closed = std::mem::take(&mut bound.closed);
                return self.release(call.tid, closed, overlapped);
            }
        };
        let (call, whole_mode) = match self.withheld(&call, shape) {
            Some(less) => (less.call, less.mode),
            None => (call, None),
        };
        let number = self.number;
        let (after, needs) = self.waits(number, overlapped, &call, shape, bound, others);
        if self.weigh(&call, shape, bound, others, contested) && self.tally.raced.len() < RACES {
            self.tally.raced.insert(number);
        }
        bound.opened.iter().for_each(|(_, d)| d.real.opened_by(number));
        if let Some(directory) = &bound.directory {
            directory.real.opened_by(number);
        }
        let disturbed = self.listing(&call, shape, bound);
        let mapped = !self.mapped.is_empty()
            && bound.fds.iter().flatten().any(|d| self.mapped.contains(&d.file.inode.key));
        if self.left_out.explains(bound) && self.tally.explained.len() < RACES {
            self.tally.explained.insert(number);
        }
        let due = if early {
            Due::Now
        } else {
            self.pacer.due(&call, self.tally.recorded.map_or(0, |(first, _)| first))
        };
        let tid = call.tid;
        let flying = Flying { seq: call.seq, tid, call: shape.name, lane: 0 };
        self.tally.dispatched += 1;
        self.tally.early += u64::from(early);
        self.tally.chosen += u64::from(!early && self.options.selection.names(bound));
        if shape.ret == Ret::Bytes && call.ret > 0 {
            self.tally.moved += call.ret as u64;
        }
        if self.options.timing {
            self.tally
                .times
                .enter(shape.name, call.left.unwrap_or(call.entered).saturating_sub(call.entered));
        }
        let expected = Expected { ret: call.ret, shape, mapped };
        let whole = is_unclear(&call, shape) || whole_mode.is_some();
        let short = if self.leaves_out || !others.is_empty() || whole {
            None
        } else {
            Short::of(&call, expected, bound, early, self.options.verify)
        };
        let work = match short {
            Some(mut short) => {
                let lane = self.pool.lane(tid)?;
                if let Some(place) = short.place() {
                    *place = self.pool.place(lane, bound);
                }
                Work::Short(short)
            }
            None => {
                let bytes = call.pieces.iter().map(|p| p.bytes.len() as u64).sum();
                let Open { bound, others, .. } = open;
                Work::Call(Box::new(Issue {
                    call,
                    shape,
                    bound,
                    others,
                    disturbed,
                    mapped,
                    early,
                    whole_mode,
                    bytes,
                }))
            }
        };
        self.dispatch(flying, after, needs, due, work)
    }

    /// The call as it is issued, where others can reach the root and it would set what lets them
    /// act as its owner.
    #[inline]
    fn withheld(&self, call: &Arc<Call>, shape: &Shape) -> Option<Withheld> {
        if shape.uses.modes == 0 || !self.shared.common.rules.withhold {
            return None;
        }
        let less = withheld(call, shape)?;
        self.shared.withheld.fetch_add(u64::from(less.counts), Relaxed);
        Some(less)
    }

    /// Lets descriptors go after the calls that were done `after` them; those that nobody else holds are closed then.
    fn release(
        &mut self,
        tid: u32,
        mut gone: Vec<Arc<Descriptor<Real>>>,
        after: u64,
    ) -> Result<(), Error> {
        gone.retain(|d| d.file.is_stored());
        if gone.is_empty() {
            return Ok(());
        }
        let after = if self.options.order.waits_for_single_calls() { 0 } else { after };
        let needs = self.last.get(&tid).map(|last| self.need(*last)).into_iter().collect();
        self.dispatch(
            Flying { seq: 0, tid, call: "exit", lane: 0 },
            after,
            needs,
            Due::Now,
            Work::Release(gone),
        )
    }

    /// A call that may not be done yet: which one of which executor.
    fn need(&self, number: u64) -> Need {
        (self.flying[self.shared.frontier.slot(number)].lane, number)
    }

    /// All calls below this number are done, and the one with it is not.
    fn reached(&mut self) -> u64 {
        self.reached = self.shared.frontier.reached(self.number - self.pool.waiting());
        self.reached
    }

    /// Sends the next job on its way: it comes after all calls before one and after single ones, and is due at some time.
    fn dispatch(
        &mut self,
        flying: Flying,
        after: u64,
        mut needs: Vec<Need>,
        due: Due,
        work: Work,
    ) -> Result<(), Error> {
        let (tid, number) = (flying.tid, self.number);
        let window = self.shared.frontier.window();
        // Who had to wait waits until there is room for many, so that nobody is woken for each.
        if number - self.reached >= window && number - self.reached() >= window {
            self.open_gate();
            self.wait(number - window / 2)?;
        }
        while self.shared.is_open() && self.held - self.freed > self.options.memory / SHARE {
            self.freed = self.shared.frontier.freed();
            let in_flight = number - self.reached();
            if self.held - self.freed <= self.options.memory / SHARE || in_flight == 0 {
                break;
            }
            self.wait(number - in_flight / 2)?;
        }
        let lane = self.pool.lane(tid)?;
        self.flying[self.shared.frontier.slot(number)] = Flying { lane: lane as u16, ..flying };
        // Its own executor does those first anyway.
        needs.retain(|(of, _)| usize::from(*of) != lane);
        let rare = (due != Due::Now || !needs.is_empty())
            .then(|| Box::new(Rare { needs, due, who: None }));
        let job = Job { number, after, rare, tid, work };
        self.held += job.bytes();
        self.number += 1;
        if self.options.order.waits_for_single_calls() {
            self.last.insert(tid, number);
        }
        let who = self.world.credentials(tid);
        self.pool.send(lane, job, who, |who| self.passages.open_for(who));
        Ok(())
    }
}
