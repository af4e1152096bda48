//! Which of the dispatched calls are done, and how executors wait for them.
//!
//! Dispatched calls are numbered in the order of their recorded exits. Each executor performs its
//! calls in the order of their numbers and publishes the number of its next call
//! ([`ExecutorProgress`]). A call waits only for calls with smaller numbers, so the oldest call
//! that is not done never waits: there is no deadlock.
//!
//! An executor that completes a call writes one word, which no other thread writes. A thread that
//! must sleep issues a memory barrier in all threads (membarrier(2)), so that either it sees that
//! word or the executor sees that a thread waits.

use crossbeam_utils::CachePadded;
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

/// Calls that may be dispatched and not done, unless the whole trace is read beforehand
/// (`--preload`): a power of two.
pub(crate) const WINDOW: u64 = 8192;
/// The largest number of executors.
pub(crate) const MAX_EXECUTORS: usize = 256;
/// Polls before a thread gives way: about seven microseconds. With a quarter of them, two threads
/// that take turns took twice as long (`bench/replaying.py`).
const SPINS: u32 = 256;
/// Polls between which the thread yields the CPU, before it sleeps. To be woken takes tens of
/// microseconds, which threads would lose that take turns every twenty calls.
const YIELDS: u32 = 100;

struct Waiter(u64, Thread);

impl PartialEq for Waiter {
    fn eq(&self, other: &Self) -> bool {
        self.0 == other.0
    }
}
impl Eq for Waiter {}
impl PartialOrd for Waiter {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}
impl Ord for Waiter {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.0.cmp(&other.0)
    }
}

/// What an executor publishes.
#[derive(Default)]
struct Position {
    /// Its calls below this number are done.
    next: AtomicU64,
    /// Recorded bytes that its completed calls held.
    bytes_freed: AtomicU64,
}

/// How far one executor is.
#[derive(Default)]
struct ExecutorProgress {
    position: CachePadded<Position>,
    /// One more than the number of the last call handed over to it.
    handed_over: CachePadded<AtomicU64>,
    /// The smallest number that a waiter waits for.
    lowest_awaited: CachePadded<AtomicU64>,
    waiters: Mutex<BinaryHeap<Reverse<Waiter>>>,
}

impl ExecutorProgress {
    /// Returns whether all calls below `number` that were handed to this executor are done.
    fn has_passed(&self, number: u64) -> bool {
        let next = self.position.next.load(Acquire);
        next >= number || next >= self.handed_over.load(Acquire)
    }
}

/// A call that another call waits for: its executor and its number.
pub(crate) type Dependency = (u16, u64);

pub(crate) struct Completion {
    executors: Box<[ExecutorProgress]>,
    /// How many of them are in use.
    started: AtomicUsize,
    /// Calls that may be dispatched and not done: a power of two.
    window: u64,
    /// membarrier(2) is not available: each thread executes a fence.
    use_fences: bool,
    aborted: AtomicBool,
}

impl Completion {
    /// Creates the state without executors. `window` is the largest number of calls that may be
    /// dispatched and not done, a power of two.
    pub fn new(window: u64) -> Self {
        let executors: Box<[ExecutorProgress]> =
            (0..MAX_EXECUTORS).map(|_| ExecutorProgress::default()).collect();
        executors.iter().for_each(|executor| executor.lowest_awaited.store(u64::MAX, Relaxed));
        let use_fences = membarrier(MembarrierCommand::RegisterPrivateExpedited).is_err();
        Self {
            executors,
            started: AtomicUsize::new(0),
            window,
            use_fences,
            aborted: AtomicBool::new(false),
        }
    }

    /// Returns the index of a call's number in an array of `window` entries.
    pub fn index(&self, number: u64) -> usize {
        (number & (self.window - 1)) as usize
    }

    /// Returns how many calls may be dispatched and not done.
    pub fn window(&self) -> u64 {
        self.window
    }

    /// Adds executor number `executor`. The numbers must come in order.
    pub fn add_executor(&self, executor: usize) {
        self.started.store(executor + 1, Release);
    }

    /// Announces that calls up to `last` are handed to `executor`. The dispatcher announces the
    /// calls of all executors before it hands any over, as one may wait for another.
    pub fn hand_over(&self, executor: usize, last: u64) {
        self.executors[executor].handed_over.store(last + 1, Release);
    }

    /// Returns the progress of the executors that were added.
    fn in_use(&self) -> &[ExecutorProgress] {
        &self.executors[..self.started.load(Acquire)]
    }

    /// Returns the number of the oldest call that is not done, given that exactly the calls below
    /// `number` were handed over.
    pub fn first_pending(&self, number: u64) -> u64 {
        let first = |executor: &ExecutorProgress| {
            if executor.has_passed(number) { number } else { executor.position.next.load(Acquire) }
        };
        self.in_use().iter().map(first).min().unwrap_or(number).min(number)
    }

    /// Returns how many recorded bytes the completed calls held.
    pub fn bytes_freed(&self) -> u64 {
        self.in_use().iter().map(|executor| executor.position.bytes_freed.load(Relaxed)).sum()
    }

    /// Notes that `executor` has done its calls below `next`, the last of which held `bytes`
    /// recorded bytes, and wakes the threads that wait for them.
    pub fn advance(&self, executor: usize, next: u64, bytes: u64) {
        let executor = &self.executors[executor];
        let Position { next: position, bytes_freed } = &*executor.position;
        if bytes > 0 {
            bytes_freed.store(bytes_freed.load(Relaxed) + bytes, Relaxed);
        }
        position.store(next, Release);
        self.notify(executor, next);
    }

    /// Notes that `executor` has done all calls that were handed to it.
    pub fn idle(&self, executor: usize) {
        let executor = &self.executors[executor];
        if executor.has_passed(u64::MAX) {
            self.notify(executor, u64::MAX);
        }
    }

    /// Wakes the threads that wait for calls below `next`.
    fn notify(&self, executor: &ExecutorProgress, next: u64) {
        if self.use_fences {
            fence(SeqCst);
        } else {
            // The other half is in `sleep`.
            compiler_fence(SeqCst);
        }
        if next >= executor.lowest_awaited.load(Relaxed) {
            Self::wake(executor, next);
        }
    }

    /// Wakes the threads that wait for one of an executor's calls below `next`.
    #[cold]
    fn wake(executor: &ExecutorProgress, next: u64) {
        let mut waiters = executor.waiters.lock().unwrap_or_else(PoisonError::into_inner);
        while waiters.peek().is_some_and(|s| s.0.0 <= next) {
            if let Some(Reverse(waiter)) = waiters.pop() {
                waiter.1.unpark();
            }
        }
        executor.lowest_awaited.store(waiters.peek().map_or(u64::MAX, |s| s.0.0), SeqCst);
    }

    /// Returns whether all calls below `number` are done.
    pub fn is_done_below(&self, number: u64) -> bool {
        self.in_use().iter().all(|executor| executor.has_passed(number))
    }

    /// Returns whether all calls below `number` are done, leaving those of `executor` aside.
    pub fn is_done_below_elsewhere(&self, number: u64, executor: usize) -> bool {
        let mut others = self.in_use().iter().enumerate().filter(|(other, _)| *other != executor);
        others.all(|(_, other)| other.has_passed(number))
    }

    /// Returns whether one call is done.
    pub fn is_done(&self, (executor, number): Dependency) -> bool {
        self.executors[usize::from(executor)].has_passed(number + 1)
    }

    /// Waits until one call is done, or the replay is aborted, but no longer than until `end`.
    pub fn wait_for_call_until(&self, (executor, number): Dependency, end: Instant) {
        self.wait_for_executor(&self.executors[usize::from(executor)], number + 1, Some(end));
    }

    /// Waits until one call is done, or the replay is aborted.
    pub fn wait_for_call(&self, (executor, number): Dependency) {
        self.wait_for_executor(&self.executors[usize::from(executor)], number + 1, None);
    }

    /// Waits until all calls below `number` are done, or the replay is aborted.
    pub fn wait_below(&self, number: u64) {
        self.wait_below_until(number, None);
    }

    /// Waits until all calls below `number` are done, but no longer than until `end`. Returns
    /// whether they are done.
    pub fn wait_below_until(&self, number: u64, end: Option<Instant>) -> bool {
        self.in_use().iter().all(|executor| self.wait_for_executor(executor, number, end))
    }

    /// Waits until an executor's calls below `number` are done, but no longer than until `end`.
    /// First spins for a short time, then sleeps. Returns whether they are done.
    fn wait_for_executor(
        &self,
        executor: &ExecutorProgress,
        number: u64,
        end: Option<Instant>,
    ) -> bool {
        for _ in 0..SPINS {
            if executor.has_passed(number) {
                return true;
            }
            std::hint::spin_loop();
        }
        for _ in 0..YIELDS {
            thread::yield_now();
            if executor.has_passed(number) {
                return true;
            }
        }
        self.sleep(executor, number, end)
    }

    /// Sleeps until an executor's calls below `number` are done, but no longer than until `end`.
    /// Returns whether they are done.
    #[cold]
    fn sleep(&self, executor: &ExecutorProgress, number: u64, end: Option<Instant>) -> bool {
        loop {
            {
                let mut waiters = executor.waiters.lock().unwrap_or_else(PoisonError::into_inner);
                waiters.push(Reverse(Waiter(number, thread::current())));
                executor.lowest_awaited.fetch_min(number, SeqCst);
            }
            if self.use_fences {
                fence(SeqCst);
            } else {
                // Registered when this began, so that it cannot fail.
                let _ = membarrier(MembarrierCommand::PrivateExpedited);
            }
            if executor.has_passed(number) || self.is_aborted() {
                return true;
            }
            // A thread that woke this one has removed it from the list; after a timeout or a
            // spurious wake-up it is added once more, which is harmless.
            match end.map(|e| e.saturating_duration_since(Instant::now())) {
                None => thread::park(),
                Some(Duration::ZERO) => return false,
                Some(left) => thread::park_timeout(left),
            }
        }
    }

    /// Ends all waiting, as the replay failed with an internal error.
    pub fn abort(&self) {
        self.aborted.store(true, SeqCst);
        self.in_use().iter().for_each(|executor| Self::wake(executor, u64::MAX));
    }

    /// Returns whether the replay was aborted.
    pub fn is_aborted(&self) -> bool {
        self.aborted.load(Acquire)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;

    fn completion_of(executors: &[u64]) -> Arc<Completion> {
        let completion = Completion::new(WINDOW);
        for (executor, last) in executors.iter().enumerate() {
            completion.add_executor(executor);
            completion.hand_over(executor, *last);
        }
        Arc::new(completion)
    }

    fn soon() -> Option<Instant> {
        Some(Instant::now() + Duration::from_millis(5))
    }

    #[test]
    fn waits_for_all_below() {
        // The executors have the calls 0 and 2, and 1.
        let completion = completion_of(&[2, 1]);
        let waiting = {
            let completion = completion.clone();
            thread::spawn(move || {
                completion.wait_below(3);
                completion.first_pending(3)
            })
        };
        completion.advance(0, 2, 0);
        assert_eq!(completion.first_pending(3), 0);
        assert!(!completion.wait_below_until(2, soon()));
        completion.advance(1, 2, 0);
        completion.idle(1);
        assert_eq!(completion.first_pending(3), 2);
        assert!(completion.wait_below_until(2, soon()));
        assert!(!completion.wait_below_until(3, soon()));
        completion.advance(0, 3, 7);
        completion.idle(0);
        assert_eq!((waiting.join().expect("the thread ends"), completion.bytes_freed()), (3, 7));
    }

    #[test]
    fn who_has_nothing_to_do_is_waited_for_by_no_one() {
        // The second executor has come to 6, and its next call is 100.
        let completion = completion_of(&[49, 100]);
        completion.advance(1, 6, 0);
        let waiting = {
            let completion = completion.clone();
            thread::spawn(move || {
                completion.wait_below_until(50, Some(Instant::now() + Duration::from_secs(60)))
            })
        };
        completion.advance(0, 50, 0);
        thread::sleep(Duration::from_millis(5));
        completion.advance(1, 100, 0);
        assert!(waiting.join().expect("the thread ends"));
        assert_eq!(completion.first_pending(101), 100);
    }

    #[test]
    fn many_threads_hand_over_in_turn() {
        const ALL: u64 = 20_000;
        let completion = completion_of(&[ALL - 4, ALL - 3, ALL - 2, ALL - 1]);
        let threads: Vec<_> = (0..4u64)
            .map(|t| {
                let completion = completion.clone();
                thread::spawn(move || {
                    completion.advance(t as usize, t, 0);
                    for n in (t..ALL).step_by(4) {
                        completion.wait_below(n);
                        completion.advance(t as usize, n + 4, 0);
                    }
                    completion.idle(t as usize);
                })
            })
            .collect();
        threads.into_iter().for_each(|t| t.join().expect("the thread ends"));
        assert_eq!(completion.first_pending(ALL), ALL);
    }
}
