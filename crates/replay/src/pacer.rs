//! When calls are due: what the dispatcher computes from recorded times, and how an executor waits for it.

use crate::order::{Due, Pace};
use ahash::HashMap;
use hdrhistogram::Histogram;
use std::num::NonZeroU64;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::{Duration, Instant};
use trace::Call;

/// What a thread has computed since its last call that is performed.
#[derive(Clone, Copy)]
struct Thinking {
    since: u64,
    computed: u64,
}

/// The dispatcher's side: told of all calls in the order in which they return.
pub(crate) struct Pacer {
    pace: Pace,
    /// No call is due later, and none thinks longer: the trace says that it took no longer.
    most: u64,
    threads: HashMap<u32, Thinking>,
}

impl Pacer {
    /// `span`: how long the trace says that it took, nanoseconds.
    pub fn new(pace: Pace, span: Option<u64>) -> Self {
        let most = pace.planned(span.unwrap_or(LONGEST)).map_or(0, |most| most.min(LONGEST));
        Self { pace, most, threads: HashMap::default() }
    }

    /// A thread began.
    pub fn born(&mut self, tid: u32, time: u64) {
        if matches!(self.pace, Pace::Think(_)) {
            self.threads.insert(tid, Thinking { since: time, computed: 0 });
        }
    }

    /// A thread ended.
    pub fn gone(&mut self, tid: u32) {
        self.threads.remove(&tid);
    }

    /// A call returned. Sleeping counts as computing; other waiting does not: replay waits for what the order says.
    pub fn returned(&mut self, call: &Call) {
        if !matches!(self.pace, Pace::Think(_)) {
            return;
        }
        let left = call.left.unwrap_or(call.entered);
        let thread =
            self.threads.entry(call.tid).or_insert(Thinking { since: call.entered, computed: 0 });
        let sleeps = abi::by_number(call.nr).is_some_and(|row| row.groups.has(abi::Groups::CLOCK));
        thread.computed += (if sleeps { left } else { call.entered }).saturating_sub(thread.since);
        // Time does not go back: what was counted is not counted again.
        thread.since = thread.since.max(left);
    }

    /// When a call is due that is performed; the first one of all began at `first`.
    pub fn due(&mut self, call: &Call, first: u64) -> Due {
        match self.pace {
            Pace::Asap => Due::Now,
            Pace::Recorded(by) => {
                Due::At(times(call.entered.saturating_sub(first), by).min(self.most))
            }
            Pace::Think(by) => {
                let computed =
                    self.threads.get_mut(&call.tid).map_or(0, |t| std::mem::take(&mut t.computed));
                Due::After(times(computed, by).min(self.most))
            }
        }
    }
}

/// Nobody waits longer for a replay, nanoseconds: a recording says that it took longer only if its
/// times are forged.
const LONGEST: u64 = 100 * 24 * 3_600_000_000_000;

/// Whether that is longer than anybody waits: the days.
pub(crate) fn too_long(pace: Pace, span: Option<u64>) -> Option<u64> {
    let planned = pace.planned(span?)?;
    (planned > LONGEST).then_some(planned / (24 * 3_600_000_000_000))
}

fn times(nanoseconds: u64, by: f64) -> u64 {
    (nanoseconds as f64 * by) as u64
}

/// Longest time that is told apart.
const MOST: u64 = 3_600_000_000_000;

/// A histogram of nanoseconds, to three digits in a thousand.
pub(crate) fn histogram() -> Histogram<u64> {
    Histogram::new_with_bounds(1, MOST, 2).expect("the bounds are in order")
}

/// So often a thread that sleeps looks whether it is to stop.
const LOOK: Duration = Duration::from_millis(100);

fn sleep_until(at: Instant, stop: &AtomicBool) {
    loop {
        let left = at.saturating_duration_since(Instant::now());
        if left.is_zero() || stop.load(Relaxed) {
            return;
        }
        std::thread::sleep(left.min(LOOK));
    }
}

/// The executor's side.
pub(crate) struct Clock {
    /// The traced thread served last, and when its last call was done.
    last: Option<(u32, Instant)>,
    /// How much longer it slept than it should have: its next sleeps are so much shorter.
    owed: Duration,
    /// How late calls began.
    pub late: Histogram<u64>,
}

impl Clock {
    /// A clock; `exact`: calls will be due at some time, so that this thread must not sleep longer than it wants to.
    pub fn new(exact: bool) -> Self {
        if exact {
            let _best = rustix::thread::set_current_timer_slack(NonZeroU64::new(1));
        }
        Self { last: None, owed: Duration::ZERO, late: histogram() }
    }

    /// Waits until a call of `tid` is due. `begun`: when the replay of calls began.
    /// `stop`: nobody is to wait any longer.
    pub fn wait(&mut self, due: Due, tid: u32, begun: Instant, stop: &AtomicBool) {
        let now = Instant::now();
        let at = match due {
            Due::Now => return,
            Due::At(ns) => begun + Duration::from_nanos(ns),
            Due::After(ns) => {
                let think = Duration::from_nanos(ns);
                let at =
                    self.last.filter(|(who, _)| *who == tid).map_or(now, |(_, end)| end) + think;
                // What another call was waited for beyond that is not owed.
                let paid = self.owed.min(at.saturating_duration_since(now));
                self.owed -= paid;
                at - paid
            }
        };
        let left = at.saturating_duration_since(now);
        if left.is_zero() && matches!(due, Due::After(_)) {
            return;
        }
        if !left.is_zero() {
            sleep_until(at, stop);
        }
        let late = at.elapsed();
        if matches!(due, Due::After(_)) {
            self.owed += late;
        }
        self.late.saturating_record(u64::try_from(late.as_nanos()).unwrap_or(MOST).max(1));
    }

    /// A call of `tid` is done.
    pub fn done(&mut self, due: Due, tid: u32) {
        if matches!(due, Due::After(_)) {
            self.last = Some((tid, Instant::now()));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DAY: u64 = 24 * 3_600_000_000_000;

    fn call(nr: u32, entered: u64, left: u64) -> Call {
        Call {
            seq: 0,
            entered,
            left: Some(left),
            pid: 1,
            tid: 1,
            nr,
            flags: 0,
            args: [0; 6],
            ret: 0,
            seen: trace::record::Seen::default(),
            pieces: Vec::new(),
        }
    }

    /// Times that nobody can have recorded: a replay waits no longer than the trace says it took.
    #[test]
    fn forged_times() {
        let far = u64::MAX - 5;
        assert_eq!(too_long(Pace::Recorded(1.0), Some(far)), Some(far / DAY));
        assert_eq!(too_long(Pace::Recorded(1e-9), Some(far)), None);
        assert_eq!(too_long(Pace::Asap, Some(far)), None);
        let mut recorded = Pacer::new(Pace::Recorded(2.0), Some(1000));
        assert_eq!(recorded.due(&call(1, far, far), 0), Due::At(2000));
        assert_eq!(recorded.due(&call(1, 700, 800), 0), Due::At(1400));
        assert_eq!(
            Pacer::new(Pace::Recorded(9.0), None).due(&call(1, far, far), 0),
            Due::At(LONGEST)
        );
        let sleep = abi::by_name("nanosleep").expect("a row").number;
        let mut think = Pacer::new(Pace::Think(1.0), Some(1000));
        let mut all = 0;
        for n in 0..100 {
            // Each of them says that it slept until the end of time.
            think.returned(&call(sleep, n, far));
            if let Due::After(ns) = think.due(&call(1, n, n), 0) {
                all += ns;
            }
            think.returned(&call(1, n, n + 1));
        }
        assert_eq!(all, 1000);
    }
}
