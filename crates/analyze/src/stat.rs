//! Statistics of calls, grouped by up to three keys.
//!
//! The first pass counts, sums, and computes the time that was covered ([`sweep`]); only then is it
//! known which rows are shown, and a second pass makes the percentiles of those ([`quantiles`]).
//! Calls that wait for time, another process or a peer are groups of their own.

mod by;
mod groups;
mod labels;
mod paths;
mod processes;
mod quantiles;
mod request;
mod scan;
mod sweep;
mod texts;

pub use by::By;
pub use request::{Order, Request, Selection, SortBy};

use crate::ordered::in_order;
use groups::{Groups, Tally};
use scan::Scan;
use std::sync::Mutex;
use sweep::Sweep;
use trace::{Error, Trace};

/// What was found.
#[derive(Debug, Clone, Default)]
pub struct Stat {
    /// The time from the first call to the last return, or of the part that was asked for, in
    /// nanoseconds.
    pub elapsed: u64,
    /// All calls that do not wait.
    pub work: Totals,
    /// All calls that wait.
    pub waits: Totals,
    /// The rows, in the order asked for: those that do not wait first.
    pub rows: Vec<Row>,
    /// How many rows there are beyond those in `rows`: that do not wait, and that wait.
    pub more: [usize; 2],
}

/// Sums over calls.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Totals {
    /// The number of calls.
    pub calls: u64,
    /// The number of calls that failed.
    pub errors: u64,
    /// The number of calls that returned.
    pub returned: u64,
    /// The sum of the durations in nanoseconds.
    pub time: i128,
    /// The time during which at least one of the calls was in progress, in nanoseconds.
    pub wall: u64,
    /// The longest duration in nanoseconds, or `None` if no call returned.
    pub max: Option<i64>,
    /// The number of bytes that moved, or `None` if no call moved data.
    pub bytes: Option<i128>,
}

/// One group of calls.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Row {
    /// The number of the interval, counted from 0, if intervals were asked for.
    pub interval: Option<u64>,
    /// The value of each key, escaped ([`trace::text`]). `None`: the calls have none.
    pub keys: Vec<Option<String>>,
    /// Whether the calls wait.
    pub waits: bool,
    /// The sums.
    pub totals: Totals,
    /// The 50th, 95th and 99th percentile of the durations in nanoseconds, with three significant
    /// digits; `None` if they were not asked for or no call returned.
    pub quantiles: Option<[u64; 3]>,
}

impl Totals {
    /// Returns the mean duration in nanoseconds, or `None` if no call returned.
    pub fn mean(&self) -> Option<f64> {
        (self.returned > 0).then(|| self.time as f64 / self.returned as f64)
    }

    /// Returns the bytes per second while at least one of the calls was in progress, or `None`
    /// without bytes or time.
    pub fn rate(&self) -> Option<f64> {
        let bytes = self.bytes.filter(|_| self.wall > 0)?;
        Some(bytes as f64 / (self.wall as f64 / 1e9))
    }
}

/// Groups the calls of the trace as the request says.
pub fn stat(trace: &Trace, request: &Request<'_>) -> Result<Stat, Error> {
    let scan = Scan::new(trace, request)?;
    let segments = scan.segments();
    let firsts: Vec<u64> = segments.iter().skip(1).map(|s| s.first).chain([u64::MAX]).collect();
    let groups = Mutex::new(Groups::default());
    let (mut sweep, mut limits) = (Sweep::new(request.quantiles), firsts.into_iter());
    in_order(
        &segments,
        |segment| Tally::of_segment(&scan, segment, &groups),
        |tally| {
            sweep.add(tally);
            sweep.advance(limits.next().unwrap_or(u64::MAX))
        },
    )?;
    let groups = groups.into_inner().unwrap_or_else(std::sync::PoisonError::into_inner);
    let mut found = groups.into_rows(&sweep, &scan);
    let mut all = [Totals::default(); 2];
    for row in &found {
        all[usize::from(row.key.waits)].add(&row.totals);
    }
    let walls = sweep.totals();
    let [work, waits] = std::array::from_fn(|i| Totals { wall: walls[i], ..all[i] });
    let more = request.order.cut(&mut found);
    match sweep.take_durations() {
        Some(durations) => quantiles::add_known(durations, &mut found),
        None if request.quantiles => quantiles::add(&scan, &mut found)?,
        None => {}
    }
    let rows = found.into_iter().map(|row| row.finish(request)).collect();
    Ok(Stat { elapsed: scan.elapsed(), work, waits, rows, more })
}
