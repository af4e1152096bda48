//! How an executor waits until a call is due.

use crate::report::{MAX_NANOSECONDS, new_histogram};
use hdrhistogram::Histogram;
pub(crate) use order::Due;
use std::num::NonZeroU64;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::{Duration, Instant};

/// How often a sleeping thread checks whether the replay is to stop.
const STOP_INTERVAL: Duration = Duration::from_millis(100);

/// Sleeps until the time `at`, or until `stop` is set.
fn sleep_until(at: Instant, stop: &AtomicBool) {
    loop {
        let left = at.saturating_duration_since(Instant::now());
        if left.is_zero() || stop.load(Relaxed) {
            return;
        }
        std::thread::sleep(left.min(STOP_INTERVAL));
    }
}

/// Keeps the time for one executor.
pub(crate) struct Clock {
    /// The traced thread served last, and when its last call was done.
    last: Option<(u32, Instant)>,
    /// How much longer it slept than it should have: its next sleeps are shorter by that.
    overslept: Duration,
    /// How late calls began.
    pub lateness: Histogram<u64>,
}

impl Clock {
    /// Creates the clock of an executor. With `exact`, the thread asks the kernel not to prolong
    /// its sleeps, as calls will be due at given times.
    pub fn new(exact: bool) -> Self {
        if exact {
            let _best = rustix::thread::set_current_timer_slack(NonZeroU64::new(1));
        }
        Self { last: None, overslept: Duration::ZERO, lateness: new_histogram() }
    }

    /// Waits until a call of thread `tid` is due. `started` is when the replay of calls began.
    /// Returns early once `stop` is set.
    pub fn wait(&mut self, due: Due, tid: u32, started: Instant, stop: &AtomicBool) {
        let now = Instant::now();
        let at = match due {
            Due::Now => return,
            Due::At(ns) => started + Duration::from_nanos(ns),
            Due::After(ns) => {
                let think = Duration::from_nanos(ns);
                let at = self.last.filter(|(thread, _)| *thread == tid).map_or(now, |(_, end)| end)
                    + think;
                // Time spent waiting for other calls does not count.
                let deducted = self.overslept.min(at.saturating_duration_since(now));
                self.overslept -= deducted;
                at - deducted
            }
        };
        let left = at.saturating_duration_since(now);
        if left.is_zero() && matches!(due, Due::After(_)) {
            return;
        }
        if !left.is_zero() {
            sleep_until(at, stop);
        }
        let lateness = at.elapsed();
        if matches!(due, Due::After(_)) {
            self.overslept += lateness;
        }
        self.lateness.saturating_record(
            u64::try_from(lateness.as_nanos()).unwrap_or(MAX_NANOSECONDS).max(1),
        );
    }

    /// Notes that a call begins that was due at this time.
    pub fn note_lateness(&mut self, at: Instant) {
        let lateness = at.elapsed().as_nanos();
        self.lateness.saturating_record(u64::try_from(lateness).unwrap_or(MAX_NANOSECONDS).max(1));
    }

    /// Notes that a call of thread `tid` has ended, from which the next one's time may be counted.
    pub fn done(&mut self, due: Due, tid: u32) {
        if matches!(due, Due::After(_)) {
            self.last = Some((tid, Instant::now()));
        }
    }
}
