//! The groups, and what is summed for each.

use super::request::Request;
use super::scan::{Counted, Group, Scan};
use super::sweep::Sweep;
use super::{Row, Totals};
use ahash::HashMap;
use std::sync::{Mutex, PoisonError};
use trace::Error;
use trace::document::Segment;

/// All groups that were found, numbered in the order in which they were.
#[derive(Default)]
pub(super) struct Groups {
    numbers: HashMap<Group, u32>,
    totals: Vec<(Group, Totals)>,
}

/// What was found in a segment: the numbers of the groups of the calls that returned, with when
/// they were entered and when they returned, in the order of entry.
#[derive(Default)]
pub(super) struct Tally {
    pub groups: Vec<u32>,
    pub spans: Vec<(u64, u64)>,
    /// By the number of a group: whether it waits.
    pub waits: Vec<bool>,
}

/// How many groups are found without a look into the hash table; a power of two.
const RECENT: usize = 256;

/// The groups of a segment while it is read.
struct Local {
    numbers: HashMap<Group, u32>,
    totals: Vec<(Group, Totals)>,
    /// The number of the group that was found last in each place.
    recent: [u32; RECENT],
}

impl Totals {
    /// Adds a call.
    fn count(&mut self, call: &Counted) {
        self.calls += 1;
        self.errors += u64::from(call.failed);
        if let Some(duration) = call.duration {
            self.returned += 1;
            self.time += i128::from(duration);
            self.max = self.max.max(Some(duration));
        }
        if let Some(bytes) = call.bytes {
            *self.bytes.get_or_insert(0) += i128::from(bytes);
        }
    }

    /// Adds other sums, except for `wall`.
    pub fn add(&mut self, other: &Self) {
        self.calls += other.calls;
        self.errors += other.errors;
        self.returned += other.returned;
        self.time += other.time;
        self.max = self.max.max(other.max);
        if let Some(bytes) = other.bytes {
            *self.bytes.get_or_insert(0) += bytes;
        }
    }
}

impl Local {
    fn new() -> Self {
        Self { numbers: HashMap::default(), totals: Vec::new(), recent: [0; RECENT] }
    }

    fn number(&mut self, group: Group) -> u32 {
        let [a, b, c] = group.keys;
        let mix = a ^ b.rotate_left(3) ^ c.rotate_left(5) ^ group.interval.rotate_left(4);
        let place = (mix << 1 | u32::from(group.waits)) as usize % RECENT;
        let recent = self.recent[place];
        if self.totals.get(recent as usize).is_some_and(|(last, _)| *last == group) {
            return recent;
        }
        let next = self.totals.len() as u32;
        let number = *self.numbers.entry(group).or_insert(next);
        if number == next {
            self.totals.push((group, Totals::default()));
        }
        self.recent[place] = number;
        number
    }
}

impl Tally {
    /// Makes room for so many calls, if they are not more than a segment has.
    fn with_capacity(calls: u64) -> Self {
        let calls = calls.min(1 << 16) as usize;
        Self {
            groups: Vec::with_capacity(calls),
            spans: Vec::with_capacity(calls),
            waits: Vec::new(),
        }
    }

    /// Reads a segment, and adds what it holds to the groups.
    pub fn of_segment(
        scan: &Scan<'_>,
        segment: &Segment,
        groups: &Mutex<Groups>,
    ) -> Result<Self, Error> {
        let mut local = Local::new();
        let mut tally = Self::with_capacity(segment.rows);
        scan.each_call(segment, |call| {
            let number = local.number(call.group);
            local.totals[number as usize].1.count(call);
            if let Some(duration) = call.duration {
                tally.groups.push(number);
                let left = call.entered.saturating_add_signed(duration.max(0));
                tally.spans.push((call.entered, left));
            }
        })?;
        let numbers = {
            let mut groups = groups.lock().unwrap_or_else(PoisonError::into_inner);
            let add = |(group, totals): &(Group, Totals)| groups.add(*group, totals);
            local.totals.iter().map(add).collect::<Vec<u32>>()
        };
        tally.waits = local.totals.iter().map(|(group, _)| group.waits).collect();
        tally.waits = tally.groups.iter().map(|n| tally.waits[*n as usize]).collect();
        tally.groups.iter_mut().for_each(|number| *number = numbers[*number as usize]);
        Ok(tally)
    }
}

impl Groups {
    /// Adds sums to those of a group. Returns the number of the group.
    fn add(&mut self, group: Group, totals: &Totals) -> u32 {
        let next = self.totals.len() as u32;
        let number = *self.numbers.entry(group).or_insert(next);
        if number == next {
            self.totals.push((group, Totals::default()));
        }
        self.totals[number as usize].1.add(totals);
        number
    }

    /// Returns all groups with their texts and what `sweep` found.
    pub fn into_rows(self, sweep: &Sweep, scan: &Scan<'_>) -> Vec<Found> {
        let row = |(number, (key, totals)): (usize, (Group, Totals))| {
            let texts = scan.keys.iter().zip(key.keys);
            Found {
                number,
                key,
                keys: texts.map(|(key, number)| key.texts.text(number)).collect(),
                totals: Totals { wall: sweep.wall(number), ..totals },
                quantiles: None,
            }
        };
        self.totals.into_iter().enumerate().map(row).collect()
    }
}

/// A group that was found.
#[derive(Debug, Clone)]
pub(super) struct Found {
    /// The number of the group.
    pub number: usize,
    pub key: Group,
    pub keys: Vec<Option<String>>,
    pub totals: Totals,
    pub quantiles: Option<[u64; 3]>,
}

impl Found {
    /// Returns the row for the caller.
    pub fn finish(self, request: &Request<'_>) -> Row {
        Row {
            interval: request.interval.map(|_| u64::from(self.key.interval)),
            keys: self.keys,
            waits: self.key.waits,
            totals: self.totals,
            quantiles: self.quantiles,
        }
    }
}
