//! Which dispatched calls are done: the clock that executors wait by.
//!
//! Dispatched calls are numbered in the order of their recorded exits. Each executor has a
//! [`Lane`]: it does its calls in the order of their numbers, and says which number it has come to.
//! A call waits for lanes to come to a number that is not above its own, so the oldest call that is
//! not done never waits: there is no deadlock.
//!
//! Who completes a call writes one word, which only it writes. Who must sleep pays for both: it
//! asks for a barrier in all threads (membarrier(2)), so that either it sees that word, or the
//! other sees that it is waited for.

use rustix::thread::{MembarrierCommand, membarrier};
use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::sync::atomic::{
    AtomicBool, AtomicU64, AtomicUsize, Ordering::Acquire, Ordering::Relaxed, Ordering::Release,
    Ordering::SeqCst, compiler_fence, fence,
};
use std::sync::{Mutex, PoisonError};
use std::thread::{self, Thread};
use std::time::{Duration, Instant};

/// How many calls may be dispatched and not done, unless all are dispatched beforehand: a power of
/// two.
pub(crate) const WINDOW: u64 = 8192;
/// The most executors.
pub(crate) const LANES: usize = 256;
/// Looks before sleeping: about seven microseconds. With a quarter of them two threads that take
/// turns took twice as long (`bench/replaying.py`).
const LOOKS: u32 = 256;
/// Looks more, after each of which who else has something to do on this CPU comes first. To be
/// woken takes tens of microseconds, and threads that took turns in the recording, twenty calls at
/// a time, take them here.
const YIELDS: u32 = 100;

struct Sleeper(u64, Thread);

impl PartialEq for Sleeper {
    fn eq(&self, other: &Self) -> bool {
        self.0 == other.0
    }
}
impl Eq for Sleeper {}
impl PartialOrd for Sleeper {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}
impl Ord for Sleeper {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.0.cmp(&other.0)
    }
}

/// What one writes and others read: in cache lines of its own (two, as processors fetch them in
/// pairs).
#[derive(Default)]
#[repr(align(128))]
struct Apart<T>(T);

/// What an executor says.
#[derive(Default)]
struct Said {
    /// Its calls below this number are done.
    next: AtomicU64,
    /// Recorded bytes that its calls held which are done.
    freed: AtomicU64,
}

/// One executor's calls.
#[derive(Default)]
struct Lane {
    said: Apart<Said>,
    /// One more than the number of the last call handed over to it: what it has not come to and was
    /// not handed over is nobody's.
    sent: Apart<AtomicU64>,
    /// The smallest number that a sleeper waits for.
    wanted: Apart<AtomicU64>,
    sleepers: Mutex<BinaryHeap<Reverse<Sleeper>>>,
}

impl Lane {
    /// Whether all its calls below `number` are done, as far as they were handed over.
    fn has_passed(&self, number: u64) -> bool {
        let next = self.said.0.next.load(Acquire);
        next >= number || next >= self.sent.0.load(Acquire)
    }
}

/// One call, by its lane and number.
pub(crate) type Need = (u16, u64);

pub(crate) struct Frontier {
    lanes: Box<[Lane]>,
    /// How many of them have an executor.
    used: AtomicUsize,
    /// How many calls may be dispatched and not done: a power of two.
    window: u64,
    /// The kernel has no barrier for us: everybody makes their own.
    fenced: bool,
    broken: AtomicBool,
}

impl Frontier {
    /// `window`: so many calls may be dispatched and not done; a power of two.
    pub fn new(window: u64) -> Self {
        let lanes: Box<[Lane]> = (0..LANES).map(|_| Lane::default()).collect();
        lanes.iter().for_each(|lane| lane.wanted.0.store(u64::MAX, Relaxed));
        let fenced = membarrier(MembarrierCommand::RegisterPrivateExpedited).is_err();
        Self { lanes, used: AtomicUsize::new(0), window, fenced, broken: AtomicBool::new(false) }
    }

    /// The place of a number among `window` places.
    pub fn slot(&self, number: u64) -> usize {
        (number & (self.window - 1)) as usize
    }

    /// How many calls may be dispatched and not done.
    pub fn window(&self) -> u64 {
        self.window
    }

    /// `lane` has an executor from now on; lanes come in order.
    pub fn open(&self, lane: usize) {
        self.used.store(lane + 1, Release);
    }

    /// Calls up to `last` will be handed over to `lane`. To be said of all lanes before any call is
    /// handed over that may wait for them.
    pub fn send(&self, lane: usize, last: u64) {
        self.lanes[lane].sent.0.store(last + 1, Release);
    }

    fn in_use(&self) -> &[Lane] {
        &self.lanes[..self.used.load(Acquire)]
    }

    /// All calls below this number are done, if all below `number` were handed over and those from
    /// there on not.
    pub fn reached(&self, number: u64) -> u64 {
        let first = |lane: &Lane| {
            if lane.has_passed(number) { number } else { lane.said.0.next.load(Acquire) }
        };
        self.in_use().iter().map(first).min().unwrap_or(number).min(number)
    }

    /// Recorded bytes that calls held which are done.
    pub fn freed(&self) -> u64 {
        self.in_use().iter().map(|lane| lane.said.0.freed.load(Relaxed)).sum()
    }

    /// The executor of `lane` has done its calls below `next`, the last of which held `bytes`.
    pub fn come_to(&self, lane: usize, next: u64, bytes: u64) {
        let lane = &self.lanes[lane];
        let Said { next: said, freed } = &lane.said.0;
        if bytes > 0 {
            freed.store(freed.load(Relaxed) + bytes, Relaxed);
        }
        said.store(next, Release);
        self.tell(lane, next);
    }

    /// The executor of `lane` has nothing to do.
    pub fn idle(&self, lane: usize) {
        let lane = &self.lanes[lane];
        if lane.has_passed(u64::MAX) {
            self.tell(lane, u64::MAX);
        }
    }

    /// Wakes who waits for less than `next`.
    fn tell(&self, lane: &Lane, next: u64) {
        if self.fenced {
            fence(SeqCst);
        } else {
            // The other half is in `sleep`.
            compiler_fence(SeqCst);
        }
        if next >= lane.wanted.0.load(Relaxed) {
            Self::wake(lane, next);
        }
    }

    #[cold]
    fn wake(lane: &Lane, next: u64) {
        let mut sleepers = lane.sleepers.lock().unwrap_or_else(PoisonError::into_inner);
        while sleepers.peek().is_some_and(|s| s.0.0 <= next) {
            if let Some(Reverse(sleeper)) = sleepers.pop() {
                sleeper.1.unpark();
            }
        }
        lane.wanted.0.store(sleepers.peek().map_or(u64::MAX, |s| s.0.0), SeqCst);
    }

    /// Waits until call `need` itself is done.
    pub fn wait_one(&self, (lane, number): Need) {
        self.wait_lane(&self.lanes[usize::from(lane)], number + 1, None);
    }

    /// Waits until all calls below `number` are done.
    pub fn wait(&self, number: u64) {
        self.wait_for(number, None);
    }

    /// The same, until `end` at most; whether they are done.
    pub fn wait_for(&self, number: u64, end: Option<Instant>) -> bool {
        self.in_use().iter().all(|lane| self.wait_lane(lane, number, end))
    }

    /// Waits until a lane's calls below `number` are done, until `end` at most. Whether they are.
    fn wait_lane(&self, lane: &Lane, number: u64, end: Option<Instant>) -> bool {
        for _ in 0..LOOKS {
            if lane.has_passed(number) {
                return true;
            }
            std::hint::spin_loop();
        }
        for _ in 0..YIELDS {
            thread::yield_now();
            if lane.has_passed(number) {
                return true;
            }
        }
        self.sleep(lane, number, end)
    }

    #[cold]
    fn sleep(&self, lane: &Lane, number: u64, end: Option<Instant>) -> bool {
        loop {
            {
                let mut sleepers = lane.sleepers.lock().unwrap_or_else(PoisonError::into_inner);
                sleepers.push(Reverse(Sleeper(number, thread::current())));
                lane.wanted.0.fetch_min(number, SeqCst);
            }
            if self.fenced {
                fence(SeqCst);
            } else {
                // Registered when this began, so that it cannot fail.
                let _ = membarrier(MembarrierCommand::PrivateExpedited);
            }
            if lane.has_passed(number) || self.is_broken() {
                return true;
            }
            // Whoever ends this has taken it from the list, or nobody has: it is entered again.
            match end.map(|e| e.saturating_duration_since(Instant::now())) {
                None => thread::park(),
                Some(Duration::ZERO) => return false,
                Some(left) => thread::park_timeout(left),
            }
        }
    }

    /// Something went wrong inside: nobody waits any longer.
    pub fn break_off(&self) {
        self.broken.store(true, SeqCst);
        self.in_use().iter().for_each(|lane| Self::wake(lane, u64::MAX));
    }

    pub fn is_broken(&self) -> bool {
        self.broken.load(Acquire)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;

    fn of(lanes: &[u64]) -> Arc<Frontier> {
        let frontier = Frontier::new(WINDOW);
        for (lane, last) in lanes.iter().enumerate() {
            frontier.open(lane);
            frontier.send(lane, *last);
        }
        Arc::new(frontier)
    }

    fn soon() -> Option<Instant> {
        Some(Instant::now() + Duration::from_millis(5))
    }

    #[test]
    fn waits_for_all_below() {
        // The lanes have the calls 0 and 2, and 1.
        let frontier = of(&[2, 1]);
        let waiting = {
            let frontier = frontier.clone();
            thread::spawn(move || {
                frontier.wait(3);
                frontier.reached(3)
            })
        };
        frontier.come_to(0, 2, 0);
        assert_eq!(frontier.reached(3), 0);
        assert!(!frontier.wait_for(2, soon()));
        frontier.come_to(1, 2, 0);
        frontier.idle(1);
        assert_eq!(frontier.reached(3), 2);
        assert!(frontier.wait_for(2, soon()));
        assert!(!frontier.wait_for(3, soon()));
        frontier.come_to(0, 3, 7);
        frontier.idle(0);
        assert_eq!((waiting.join().expect("the thread ends"), frontier.freed()), (3, 7));
    }

    #[test]
    fn who_has_nothing_to_do_is_waited_for_by_no_one() {
        // The second lane has come to 6, and its next call is 100.
        let frontier = of(&[49, 100]);
        frontier.come_to(1, 6, 0);
        let waiting = {
            let frontier = frontier.clone();
            thread::spawn(move || {
                frontier.wait_for(50, Some(Instant::now() + Duration::from_secs(60)))
            })
        };
        frontier.come_to(0, 50, 0);
        thread::sleep(Duration::from_millis(5));
        frontier.come_to(1, 100, 0);
        assert!(waiting.join().expect("the thread ends"));
        assert_eq!(frontier.reached(101), 100);
    }

    #[test]
    fn many_threads_hand_over_in_turn() {
        const ALL: u64 = 20_000;
        let frontier = of(&[ALL - 4, ALL - 3, ALL - 2, ALL - 1]);
        let threads: Vec<_> = (0..4u64)
            .map(|t| {
                let frontier = frontier.clone();
                thread::spawn(move || {
                    frontier.come_to(t as usize, t, 0);
                    for n in (t..ALL).step_by(4) {
                        frontier.wait(n);
                        frontier.come_to(t as usize, n + 4, 0);
                    }
                    frontier.idle(t as usize);
                })
            })
            .collect();
        threads.into_iter().for_each(|t| t.join().expect("the thread ends"));
        assert_eq!(frontier.reached(ALL), ALL);
    }
}
