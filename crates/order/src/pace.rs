//! When calls are due: what the dispatcher computes from recorded times.

use ahash::HashMap;
use std::fmt;
use std::str::FromStr;
use trace::Call;

/// The time at which a call is due.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Due {
    /// Any.
    #[default]
    Now,
    /// So many nanoseconds after its thread's last call was done.
    After(u64),
    /// So many nanoseconds after the replay of calls began.
    At(u64),
}

/// When a call is issued that waits for no other.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub enum Pace {
    /// At once.
    #[default]
    Asap,
    /// When its thread has computed for as long as in the recording since its last call, times
    /// this.
    Think(f64),
    /// When as much time has passed since the first call as in the recording, times this.
    Recorded(f64),
}

impl Pace {
    /// Returns how long, in nanoseconds, a replay of a recording that took `span` nanoseconds waits
    /// at most. Returns `None` if this pace does not wait.
    pub fn planned(self, span: u64) -> Option<u64> {
        match self {
            Self::Asap => None,
            Self::Think(by) | Self::Recorded(by) => Some((span as f64 * by) as u64),
        }
    }
}

impl FromStr for Pace {
    type Err = String;

    /// Parses `asap`, `think` or `recorded`; the last two can have a factor, as in `think*0.5`.
    fn from_str(text: &str) -> Result<Self, String> {
        let (name, factor) =
            text.split_once('*').map_or((text, None), |(name, factor)| (name, Some(factor)));
        let number = || match factor.map_or(Ok(1.0), str::parse::<f64>) {
            Ok(number) if (0.0..=1e6).contains(&number) => Ok(number),
            _ => Err("expected a factor from 0 to 1000000, like think*0.5".to_owned()),
        };
        match name {
            "asap" if factor.is_none() => Ok(Self::Asap),
            "think" => Ok(Self::Think(number()?)),
            "recorded" => Ok(Self::Recorded(number()?)),
            _ => Err("expected asap, think or recorded, the last two with a factor if wanted: \
                    recorded*2"
                .to_owned()),
        }
    }
}

impl fmt::Display for Pace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Asap => f.write_str("asap"),
            Self::Think(by) => write!(f, "think*{by}"),
            Self::Recorded(by) => write!(f, "recorded*{by}"),
        }
    }
}

/// What a thread has computed since its last call that is performed.
#[derive(Clone, Copy)]
struct Thinking {
    since: u64,
    computed: u64,
}

/// Computes when calls are due. The dispatcher reports all calls in the order in which they return.
pub struct Pacer {
    pace: Pace,
    /// No call is due later, and none thinks longer: the trace says that it took no longer.
    most: u64,
    threads: HashMap<u32, Thinking>,
}

impl Pacer {
    /// Creates the schedule. `span` is the duration of the recording in nanoseconds, if it is
    /// known.
    pub fn new(pace: Pace, span: Option<u64>) -> Self {
        let most = pace.planned(span.unwrap_or(LONGEST)).map_or(0, |most| most.min(LONGEST));
        Self { pace, most, threads: HashMap::default() }
    }

    /// Notes that a thread began at this time.
    pub fn thread_started(&mut self, tid: u32, time: u64) {
        if matches!(self.pace, Pace::Think(_)) {
            self.threads.insert(tid, Thinking { since: time, computed: 0 });
        }
    }

    /// Notes that a thread ended.
    pub fn thread_ended(&mut self, tid: u32) {
        self.threads.remove(&tid);
    }

    /// Notes that a call of a lane (most often a thread) returned. Sleeping counts as computing;
    /// other waiting does not, as replay waits for what the order says.
    pub fn returned(&mut self, call: &Call, lane: u32) {
        if !matches!(self.pace, Pace::Think(_)) {
            return;
        }
        let left = call.exited.unwrap_or(call.entered);
        let thread =
            self.threads.entry(lane).or_insert(Thinking { since: call.entered, computed: 0 });
        let sleeps = abi::by_number(call.nr).is_some_and(|row| row.groups.has(abi::Groups::CLOCK));
        thread.computed += (if sleeps { left } else { call.entered }).saturating_sub(thread.since);
        // Time does not go back: what was counted is not counted again.
        thread.since = thread.since.max(left);
    }

    /// Returns when a call is due. `first` is the time of the first call of all.
    pub fn due(&mut self, call: &Call, lane: u32, first: u64) -> Due {
        match self.pace {
            Pace::Asap => Due::Now,
            Pace::Recorded(by) => {
                Due::At(times(call.entered.saturating_sub(first), by).min(self.most))
            }
            Pace::Think(by) => {
                let computed =
                    self.threads.get_mut(&lane).map_or(0, |t| std::mem::take(&mut t.computed));
                Due::After(times(computed, by).min(self.most))
            }
        }
    }
}

/// The longest planned replay, in nanoseconds: a trace that claims more has forged times.
const LONGEST: u64 = 100 * 24 * 3_600_000_000_000;

/// Returns the planned number of days if a replay at this pace would take longer than 100 days.
pub fn too_long(pace: Pace, span: Option<u64>) -> Option<u64> {
    let planned = pace.planned(span?)?;
    (planned > LONGEST).then_some(planned / (24 * 3_600_000_000_000))
}

/// Multiplies nanoseconds by a factor.
fn times(nanoseconds: u64, by: f64) -> u64 {
    (nanoseconds as f64 * by) as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    const DAY: u64 = 24 * 3_600_000_000_000;

    fn call(nr: u32, entered: u64, left: u64) -> Call {
        Call {
            seq: 0,
            entered,
            exited: Some(left),
            pid: 1,
            tid: 1,
            nr,
            flags: 0,
            args: [0; 6],
            ret: 0,
            fd_snapshot: trace::record::FdSnapshot::default(),
            payloads: Vec::new(),
        }
    }

    /// Impossible times: a replay waits no longer than the trace says it took.
    #[test]
    fn forged_times() {
        let far = u64::MAX - 5;
        assert_eq!(too_long(Pace::Recorded(1.0), Some(far)), Some(far / DAY));
        assert_eq!(too_long(Pace::Recorded(1e-9), Some(far)), None);
        assert_eq!(too_long(Pace::Asap, Some(far)), None);
        let mut recorded = Pacer::new(Pace::Recorded(2.0), Some(1000));
        assert_eq!(recorded.due(&call(1, far, far), 1, 0), Due::At(2000));
        assert_eq!(recorded.due(&call(1, 700, 800), 1, 0), Due::At(1400));
        assert_eq!(
            Pacer::new(Pace::Recorded(9.0), None).due(&call(1, far, far), 1, 0),
            Due::At(LONGEST)
        );
        let sleep = abi::by_name("nanosleep").expect("a row").number;
        let mut think = Pacer::new(Pace::Think(1.0), Some(1000));
        let mut all = 0;
        for n in 0..100 {
            // Each of them says that it slept until the end of time.
            think.returned(&call(sleep, n, far), 1);
            if let Due::After(ns) = think.due(&call(1, n, n), 1, 0) {
                all += ns;
            }
            think.returned(&call(1, n, n + 1), 1);
        }
        assert_eq!(all, 1000);
    }

    #[test]
    fn paces() {
        assert_eq!("asap".parse(), Ok(Pace::Asap));
        assert_eq!("think".parse(), Ok(Pace::Think(1.0)));
        assert_eq!("recorded*0.5".parse(), Ok(Pace::Recorded(0.5)));
        for bad in ["", "asap*2", "think*", "think*-1", "think*nan", "soon", "recorded*1e9"] {
            assert!(bad.parse::<Pace>().is_err(), "{bad}");
        }
    }
}
