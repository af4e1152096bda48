//! What is asked for: which calls, grouped how, and which rows of the answer.

use super::By;
use super::groups::Found;
use std::cmp::Reverse;

/// A test of a call's number.
pub type NumberTest<'a> = &'a (dyn Fn(u32) -> bool + Sync);
/// A test of a path, which is given as it is, not escaped.
pub type PathTest<'a> = &'a (dyn Fn(&[u8]) -> bool + Sync);

/// Which calls are counted.
#[derive(Clone, Copy, Default)]
pub struct Selection<'a> {
    /// Whether calls with a number are counted; `None`: all.
    pub number: Option<NumberTest<'a>>,
    /// Whether calls that succeeded, failed, or did not return are left out.
    pub without: [bool; 3],
    /// Whether calls with this path, among those of its arguments and its descriptor, are counted.
    pub path: Option<PathTest<'a>>,
    /// The first time, in nanoseconds since the first call.
    pub from: Option<u64>,
    /// The time before which a call must be entered, in nanoseconds since the first call.
    pub until: Option<u64>,
    /// Whether calls on files of the system are left out: /proc, /sys, /dev, libraries, locales.
    pub without_system: bool,
}

/// A question about the calls of a trace.
#[derive(Clone)]
pub struct Request<'a> {
    /// The keys, at most three.
    pub by: Vec<By>,
    /// The length of the intervals that the time is cut into, in nanoseconds; `None`: one interval.
    /// A call belongs to the one in which it was entered.
    pub interval: Option<u64>,
    /// Which calls are counted.
    pub selection: Selection<'a>,
    /// Which rows are returned, in which order.
    pub order: Order,
    /// Whether percentiles are computed.
    pub quantiles: bool,
}

/// The order of rows, and how many are returned. Rows that wait come last.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Order {
    /// What they are sorted by.
    pub by: SortBy,
    /// At most so many rows that do not wait, and as many that wait; 0: all. With intervals, so
    /// many in each of them.
    pub top: usize,
}

/// What rows are sorted by: the largest first, and names in ascending order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "each is the column of this name")]
pub enum SortBy {
    Name,
    Calls,
    Errors,
    Time,
    Wall,
    Mean,
    Max,
    Bytes,
    Rate,
}

impl SortBy {
    /// The names of all, as they are typed.
    pub const NAMES: [(&'static str, Self); 9] = [
        ("wall", Self::Wall),
        ("time", Self::Time),
        ("calls", Self::Calls),
        ("errors", Self::Errors),
        ("mean", Self::Mean),
        ("max", Self::Max),
        ("bytes", Self::Bytes),
        ("rate", Self::Rate),
        ("name", Self::Name),
    ];
}

impl Order {
    /// Sorts the rows and removes those that are not returned. Returns how many were removed: of
    /// those that do not wait, and of those that do.
    pub(super) fn cut(self, rows: &mut Vec<Found>) -> [usize; 2] {
        let number = |row: &Found| -> i128 {
            let t = &row.totals;
            match self.by {
                SortBy::Name => 0,
                SortBy::Calls => t.calls.into(),
                SortBy::Errors => t.errors.into(),
                SortBy::Time => t.time,
                SortBy::Wall => t.wall.into(),
                SortBy::Mean => t.mean().map_or(-1, |mean| (mean * 1e3) as i128),
                SortBy::Max => t.max.map_or(-1, i128::from),
                SortBy::Bytes => t.bytes.unwrap_or(-1),
                SortBy::Rate => t.rate().map_or(-1, |rate| rate as i128),
            }
        };
        rows.sort_by_cached_key(|row| {
            (row.key.waits, row.key.interval, Reverse(number(row)), row.keys.clone())
        });
        let mut more = [0, 0];
        let (mut section, mut kept) = (None, 0);
        rows.retain(|row| {
            let this = Some((row.key.interval, row.key.waits));
            kept = if section == this { kept + 1 } else { 1 };
            section = this;
            let keeps = self.top == 0 || kept <= self.top;
            more[usize::from(row.key.waits)] += usize::from(!keeps);
            keeps
        });
        more
    }
}
