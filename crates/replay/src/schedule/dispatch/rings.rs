//! Which ring of io_uring or context of libaio an operation belongs to, and what performs it.
//!
//! An operation has one of the lanes of its ring, by its slot among the calls in flight: those of
//! one lane follow each other. With `calls`, lanes belong to no ring, and each has an executor.

use super::{Dispatched, Dispatcher};
use crate::execute::{Due, Work, refused};
use crate::issue::RealFd;
use crate::issue::ring::{LINKS, RingSpec};
use crate::{Error, Operations};
use abi::{AIO, AioUse, CallSpec, Class, Effect, MAPPINGS, OPERATIONS, Replay, SqeWord, URING};
use ahash::HashMap;
use linux_raw_sys::io_uring::IORING_SETUP_CQSIZE;
use model::processes::Processes;
use trace::Call;
use trace::record::{AT_EXIT, PayloadKind};

/// Lanes from here on are no threads: the kernel's thread numbers are smaller (PID_MAX_LIMIT).
const FIRST_LANE: u32 = 1 << 31;
/// The entries of a ring whose creation is not in the trace, and the most that one gets.
const ENTRIES: u32 = 256;
const MOST_ENTRIES: u32 = 4096;
const MOST_COMPLETIONS: u32 = 2 * MOST_ENTRIES;
/// The most lanes of a ring: more operations share them.
const MOST_LANES: usize = 1024;

/// Links that are remembered.
const MOST_LINKED: usize = 1 << 16;

/// Returns whether the next operation of the same ring begins when this one has completed.
fn is_linked(call: &Call) -> bool {
    (URING..AIO).contains(&call.nr) && call.sqe_word().is_some_and(|word| word.flags() & LINKS != 0)
}

/// A ring of the recording.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
enum RingKey {
    /// None: calls are made.
    Calls,
    /// The number of a ring of io_uring.
    Uring(u32),
    /// A process, and its number of a context of libaio.
    Context(u32, u64),
}

/// The rings and contexts of the recording.
#[derive(Default)]
pub(super) struct Rings {
    /// By number, whether a system call serves rings or contexts: most do not.
    serving: Box<[bool]>,
    /// Lanes, by ring and slot.
    lanes: HashMap<(RingKey, usize), u32>,
    /// The executors of those that were started.
    executors: HashMap<RingKey, usize>,
    /// How they were created.
    specs: HashMap<RingKey, RingSpec>,
    /// The one that a thread submits to, and the last one of a process.
    by_thread: HashMap<u32, RingKey>,
    by_process: HashMap<u32, RingKey>,
    /// The last operation of a ring, by its number in the trace, if the next one is linked to it.
    linked: HashMap<RingKey, u64>,
    /// Operations that are under way, and those that they were linked to,
    followed: HashMap<u64, u64>,
    /// and these with their numbers as jobs.
    numbers: HashMap<u64, u64>,
    /// Whether the kernel lets this process make rings and contexts, once that was tried.
    is_uring_allowed: Option<bool>,
    is_context_allowed: Option<bool>,
}

impl Rings {
    /// Creates the state without rings.
    pub fn new() -> Self {
        let serves = |spec: &CallSpec| spec.replay == Replay::Skip(Class::Async);
        let rows = abi::table().iter().filter(|row| row.number < OPERATIONS && serves(&row.spec));
        let mut serving = Vec::new();
        for row in rows {
            serving.resize(serving.len().max(row.number as usize + 1), false);
            serving[row.number as usize] = true;
        }
        Self { serving: serving.into(), ..Self::default() }
    }

    /// Returns the specification of a system call that serves rings or contexts; `None` if it is
    /// another one.
    #[inline]
    fn serving(&self, call: &Call) -> Option<&'static CallSpec> {
        let serves = self.serving.get(call.nr as usize).is_some_and(|serves| *serves);
        if serves { call.spec() } else { None }
    }

    /// Notes which ring a thread submits to, from the call that does it.
    fn submits(&mut self, processes: &Processes<RealFd>, call: &Call, spec: &CallSpec) {
        if spec.effect == Effect::Aio(AioUse::Submit) {
            self.by_thread.insert(call.tid, RingKey::Context(call.pid, call.args[0]));
        } else if spec.uses.fd_args != 0
            && let Some(ring) = processes.ring_number(call.tid, call.args[0] as i32)
        {
            self.by_thread.insert(call.tid, RingKey::Uring(ring));
        }
    }

    /// Notes a ring or context that a call has created.
    #[inline]
    pub fn returned(&mut self, call: &Call) {
        if let Some(spec) = self.serving(call).filter(|_| call.succeeded()) {
            self.created(call, spec);
        }
    }

    /// Notes what a call that serves rings or contexts has created.
    fn created(&mut self, call: &Call, spec: &CallSpec) {
        if let Some(number) = call.created_ring() {
            let params =
                call.payload(1, PayloadKind::Bytes).map_or(&[][..], |p| p.bytes.as_slice());
            let word = |at: usize| {
                let word = params.get(at..at + 4).and_then(|b| b.try_into().ok());
                word.map_or(0, u32::from_le_bytes)
            };
            let flags = word(8);
            let completions = if flags & IORING_SETUP_CQSIZE == 0 { 0 } else { word(4) };
            let entries = (call.args[0] as u32).clamp(1, MOST_ENTRIES);
            let completions = completions.min(MOST_COMPLETIONS);
            let key = RingKey::Uring(number);
            self.specs.insert(key, RingSpec::Uring { entries, completions, flags });
            self.by_process.insert(call.pid, key);
        } else if spec.effect == Effect::Aio(AioUse::Create) {
            let made = call.payloads.iter().find(|p| p.arg == 1 && p.flags & AT_EXIT != 0);
            let Some(id) = made.and_then(|p| p.bytes.as_slice().first_chunk()) else { return };
            let key = RingKey::Context(call.pid, u64::from_le_bytes(*id));
            let events = (call.args[0] as u32).clamp(1, MOST_ENTRIES);
            self.specs.insert(key, RingSpec::Context { events });
        }
    }

    /// Returns the ring that an operation belongs to, as far as the trace tells.
    fn of(&self, call: &Call) -> RingKey {
        let submitted_to = self.by_thread.get(&call.tid).copied();
        if call.nr >= MAPPINGS {
            RingKey::Calls
        } else if call.nr >= AIO {
            let is_context = |key: &RingKey| matches!(key, RingKey::Context(..));
            submitted_to.filter(is_context).unwrap_or(RingKey::Context(call.pid, 0))
        } else {
            // Operations with six arguments do not say which ring.
            let known = call.sqe_word().map(SqeWord::ring).filter(|ring| *ring != 0);
            let is_ring = |key: &RingKey| matches!(key, RingKey::Uring(_));
            let of_process = || self.by_process.get(&call.pid).copied();
            let otherwise = || submitted_to.filter(is_ring).or_else(of_process);
            known.map(RingKey::Uring).or_else(otherwise).unwrap_or(RingKey::Uring(0))
        }
    }

    /// Notes the operation that one was linked to, and whether the next one is linked to it.
    fn note_link(&mut self, key: RingKey, call: &Call) {
        if let Some(before) = self.linked.remove(&key) {
            // Some are never performed.
            if self.followed.len() >= MOST_LINKED {
                self.followed.clear();
            }
            self.followed.insert(call.seq, before);
        }
        if is_linked(call) {
            self.linked.insert(key, call.seq);
        }
    }

    /// Returns the number of the job that `call` was linked to, if that is performed by a ring.
    /// `number` is that of `call`, which is dispatched.
    pub fn follows(&mut self, call: &Call, number: u64) -> Option<u64> {
        if self.linked.is_empty() && self.followed.is_empty() {
            return None;
        }
        if is_linked(call) {
            // What follows may never be performed.
            if self.numbers.len() >= MOST_LINKED {
                self.numbers.clear();
            }
            self.numbers.insert(call.seq, number);
        }
        self.followed.remove(&call.seq).and_then(|before| self.numbers.remove(&before))
    }

    /// Returns how a ring was created.
    fn spec(&self, key: RingKey) -> Option<RingSpec> {
        let unknown = match key {
            RingKey::Calls => return None,
            RingKey::Uring(_) => RingSpec::Uring { entries: ENTRIES, completions: 0, flags: 0 },
            RingKey::Context(..) => RingSpec::Context { events: ENTRIES },
        };
        Some(self.specs.get(&key).copied().unwrap_or(unknown))
    }
}

impl Dispatcher<'_> {
    /// Returns what performs a call that was entered as number `slot` of those in flight: its
    /// thread, or a lane for an operation that a thread only submits.
    #[inline]
    pub(super) fn lane(&mut self, slot: usize, call: &Call) -> Result<u32, Error> {
        if call.nr < OPERATIONS {
            if let Some(spec) = self.rings.serving(call) {
                self.rings.submits(&self.processes, call, spec);
            }
            return Ok(call.tid);
        }
        self.lane_of_operation(slot, call)
    }

    /// Returns the lane of an operation.
    fn lane_of_operation(&mut self, slot: usize, call: &Call) -> Result<u32, Error> {
        let key = match self.rings.of(call) {
            key if self.is_real(key) => key,
            _ => RingKey::Calls,
        };
        if let RingKey::Uring(_) = key {
            self.rings.by_process.insert(call.pid, key);
            self.rings.note_link(key, call);
        }
        let place = if key == RingKey::Calls { slot } else { slot % MOST_LANES };
        let next = FIRST_LANE | self.rings.lanes.len() as u32;
        let lane = *self.rings.lanes.entry((key, place)).or_insert(next);
        if lane == next
            && let Some(executor) = self.ring_executor(key, call.tid)?
        {
            self.pool.assign(lane, executor);
        }
        Ok(lane)
    }

    /// Returns whether the operations of a ring are performed by a ring.
    fn is_real(&mut self, key: RingKey) -> bool {
        let (chosen, allowed, least) = match key {
            RingKey::Calls => return false,
            RingKey::Uring(_) => (
                self.options.uring,
                &mut self.rings.is_uring_allowed,
                RingSpec::Uring { entries: 1, completions: 0, flags: 0 },
            ),
            RingKey::Context(..) => (
                self.options.aio,
                &mut self.rings.is_context_allowed,
                RingSpec::Context { events: 1 },
            ),
        };
        if chosen == Operations::Calls {
            return false;
        }
        *allowed.get_or_insert_with(|| match least.make() {
            Ok(_) => true,
            Err(why) => {
                self.shared.note(refused(least, why));
                false
            }
        })
    }

    /// Returns the executor of a ring, or `None` if calls are made. Starts it if there is none.
    /// `tid` is a thread that submits to it.
    fn ring_executor(&mut self, key: RingKey, tid: u32) -> Result<Option<usize>, Error> {
        let Some(spec) = self.rings.spec(key) else { return Ok(None) };
        if let Some(executor) = self.rings.executors.get(&key) {
            return Ok(Some(*executor));
        }
        let (executor, start) = self.pool.start_ring(spec, tid)?;
        self.rings.executors.insert(key, executor);
        if start.is_some() {
            // It has no jobs below this number: what comes before its start does not wait for it.
            self.shared.completion.advance(executor, self.number, 0);
            let dispatched =
                Dispatched { seq: 0, thread: tid, lane: tid, call: spec.call(), executor: 0 };
            self.dispatch(dispatched, 0, Vec::new(), None, Due::Now, Work::StartRing(start))?;
        }
        Ok(Some(executor))
    }
}
