//! Which dispatched calls are done: the clock that executors wait by.
//!
//! Dispatched calls are numbered in the order of their recorded exits. [`Frontier::reached`] is the number below which all are done. A call waits until it has
//! reached a number that is not above its own, so the oldest call that is not done never waits: there is no deadlock.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::SeqCst};
use std::sync::{Mutex, PoisonError};
use std::thread::{self, Thread};
use std::time::{Duration, Instant};

/// How many calls may be dispatched and not done, unless all are dispatched beforehand: a power of two.
pub(crate) const WINDOW: u64 = 8192;
/// Looks before sleeping: about seven microseconds. With a quarter of them two threads that take turns took twice as long (`bench/replaying.py`).
const LOOKS: u32 = 256;

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

pub(crate) struct Frontier {
    reached: AtomicU64,
    /// Slot n % window holds n + 1 once n is done.
    done: Box<[AtomicU64]>,
    /// How many slots there are: a power of two.
    window: u64,
    sleepers: Mutex<BinaryHeap<Reverse<Sleeper>>>,
    /// The smallest number that a sleeper waits for.
    wanted: AtomicU64,
    /// Who waits for a single call, and how many do.
    single: Mutex<Vec<Sleeper>>,
    singles: AtomicU64,
    broken: AtomicBool,
}

impl Frontier {
    /// `window`: so many calls may be dispatched and not done; a power of two.
    pub fn new(window: u64) -> Self {
        Self {
            reached: AtomicU64::new(0),
            window,
            done: (0..window).map(|_| AtomicU64::new(0)).collect(),
            sleepers: Mutex::new(BinaryHeap::new()),
            wanted: AtomicU64::new(u64::MAX),
            single: Mutex::new(Vec::new()),
            singles: AtomicU64::new(0),
            broken: AtomicBool::new(false),
        }
    }

    /// The place of a number among `window` places.
    pub fn slot(&self, number: u64) -> usize {
        (number & (self.window - 1)) as usize
    }

    /// How many calls may be dispatched and not done.
    pub fn window(&self) -> u64 {
        self.window
    }

    /// All calls below this number are done.
    pub fn reached(&self) -> u64 {
        self.reached.load(SeqCst)
    }

    /// Call `number` is done. At most `window` numbers beyond what was reached may be in use.
    pub fn complete(&self, number: u64) {
        self.done[self.slot(number)].store(number + 1, SeqCst);
        let mut at = self.reached();
        while self.done[self.slot(at)].load(SeqCst) == at + 1 {
            at = match self.reached.compare_exchange(at, at + 1, SeqCst, SeqCst) {
                Ok(_) => at + 1,
                Err(other) => other,
            };
        }
        if self.reached() >= self.wanted.load(SeqCst) {
            self.wake(self.reached());
        }
        if self.singles.load(SeqCst) > 0 {
            self.wake_single(Some(number));
        }
    }

    /// Call `number` itself is done. Its slot belongs to it until `window` more are in use, and then it has been reached.
    pub fn is_done(&self, number: u64) -> bool {
        self.done[self.slot(number)].load(SeqCst) == number + 1 || self.reached() > number
    }

    /// Waits until call `number` itself is done.
    pub fn wait_one(&self, number: u64) {
        for _ in 0..LOOKS {
            if self.is_done(number) {
                return;
            }
            std::hint::spin_loop();
        }
        self.single.lock().unwrap_or_else(PoisonError::into_inner).push(Sleeper(number, thread::current()));
        self.singles.fetch_add(1, SeqCst);
        while !self.is_done(number) && !self.broken.load(SeqCst) {
            thread::park();
        }
        self.singles.fetch_sub(1, SeqCst);
    }

    /// Wakes those that wait for `number`, or all.
    fn wake_single(&self, number: Option<u64>) {
        self.single.lock().unwrap_or_else(PoisonError::into_inner).retain(|s| {
            let wakes = number.is_none_or(|n| n == s.0) || self.is_done(s.0);
            if wakes {
                s.1.unpark();
            }
            !wakes
        });
    }

    fn wake(&self, reached: u64) {
        let mut sleepers = self.sleepers.lock().unwrap_or_else(PoisonError::into_inner);
        while sleepers.peek().is_some_and(|s| s.0.0 <= reached) {
            if let Some(Reverse(sleeper)) = sleepers.pop() {
                sleeper.1.unpark();
            }
        }
        self.wanted.store(sleepers.peek().map_or(u64::MAX, |s| s.0.0), SeqCst);
    }

    /// Waits until all calls below `number` are done.
    pub fn wait(&self, number: u64) {
        self.wait_for(number, None);
    }

    /// The same, for so long at most; whether it was reached.
    pub fn wait_for(&self, number: u64, most: Option<Duration>) -> bool {
        for _ in 0..LOOKS {
            if self.reached() >= number {
                return true;
            }
            std::hint::spin_loop();
        }
        let end = most.map(|m| Instant::now() + m);
        {
            let mut sleepers = self.sleepers.lock().unwrap_or_else(PoisonError::into_inner);
            sleepers.push(Reverse(Sleeper(number, thread::current())));
            self.wanted.fetch_min(number, SeqCst);
        }
        while self.reached() < number && !self.broken.load(SeqCst) {
            match end.map(|e| e.saturating_duration_since(Instant::now())) {
                None => thread::park(),
                Some(Duration::ZERO) => return false,
                Some(left) => thread::park_timeout(left),
            }
        }
        true
    }

    /// Something went wrong inside: nobody waits any longer.
    pub fn break_off(&self) {
        self.broken.store(true, SeqCst);
        self.wake(u64::MAX);
        self.wake_single(None);
    }

    pub fn is_broken(&self) -> bool {
        self.broken.load(SeqCst)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;

    #[test]
    fn waits_for_all_below() {
        let frontier = Arc::new(Frontier::new(WINDOW));
        let waiting = {
            let frontier = frontier.clone();
            thread::spawn(move || {
                frontier.wait(3);
                frontier.reached()
            })
        };
        frontier.complete(2);
        frontier.complete(0);
        assert_eq!(frontier.reached(), 1);
        assert!(!frontier.wait_for(2, Some(Duration::from_millis(5))));
        frontier.complete(1);
        assert_eq!(waiting.join().expect("the thread ends"), 3);
    }

    #[test]
    fn many_threads_hand_over_in_turn() {
        let frontier = Arc::new(Frontier::new(WINDOW));
        let threads: Vec<_> = (0..4u64)
            .map(|t| {
                let frontier = frontier.clone();
                thread::spawn(move || {
                    for n in (t..20_000).step_by(4) {
                        frontier.wait(n);
                        frontier.complete(n);
                    }
                })
            })
            .collect();
        threads.into_iter().for_each(|t| t.join().expect("the thread ends"));
        assert_eq!(frontier.reached(), 20_000);
    }
}
