//! How long at least one call of a group was in progress: the union of the calls' intervals.
//!
//! Calls come in the order of entry, so that one number for each group suffices: when the covered
//! time ends. Late segments are merged: a segment is held only until the calls before its last one
//! have been seen.

use super::groups::Tally;
use super::quantiles::Durations;
use trace::Error;

/// The covered time of a group.
#[derive(Clone, Copy, Default)]
struct Covered {
    end: u64,
    nanos: u64,
}

impl Covered {
    /// Adds an interval that begins no earlier than those before it.
    fn add(&mut self, (start, end): (u64, u64)) {
        self.nanos += end.saturating_sub(start.max(self.end));
        self.end = self.end.max(end);
    }
}

/// Merges segments and computes the time that each group covers.
#[derive(Default)]
pub(super) struct Sweep {
    groups: Vec<Covered>,
    /// Of calls that do not wait, and that wait.
    all: [Covered; 2],
    /// Segments with the row that comes next.
    open: Vec<(Tally, usize)>,
    /// The time of the last row.
    time: u64,
    /// By group: the durations, as long as there are few groups.
    durations: Option<Vec<Durations>>,
}

/// So many groups have their percentiles without a second pass over the calls.
const WITH_DURATIONS: usize = 128;

impl Sweep {
    /// Creates a sweep before the first row. `durations`: percentiles are asked for.
    pub fn new(durations: bool) -> Self {
        Self { durations: durations.then(Vec::new), ..Self::default() }
    }

    /// Adds a segment; [`Sweep::advance`] uses its rows.
    pub fn add(&mut self, tally: Tally) {
        if !tally.spans.is_empty() {
            self.open.push((tally, 0));
        }
    }

    /// Uses all rows up to this time, which is no later than the first row of any segment to come.
    /// Fails if a row is earlier than one that was used.
    pub fn advance(&mut self, until: u64) -> Result<(), Error> {
        loop {
            let next = |(tally, at): &(Tally, usize)| tally.spans[*at].0;
            let mut starts: Vec<(u64, usize)> =
                self.open.iter().enumerate().map(|(i, open)| (next(open), i)).collect();
            starts.sort_unstable();
            let Some(&(start, i)) = starts.first().filter(|(start, _)| *start <= until) else {
                return Ok(());
            };
            if start < self.time {
                return Err(Error::damaged("trace.json", "rows are not in the order of entry"));
            }
            let limit = starts.get(1).map_or(until, |(start, _)| (*start).min(until));
            if self.use_rows(i, limit) {
                self.open.swap_remove(i);
            }
        }
    }

    /// Uses the rows of an open segment up to a time. Returns whether that was all of them.
    fn use_rows(&mut self, i: usize, limit: u64) -> bool {
        let Self { groups, all, open, time, durations } = self;
        let (tally, at) = &mut open[i];
        while let Some(span) = tally.spans.get(*at).filter(|span| span.0 <= limit) {
            let group = tally.groups[*at] as usize;
            if group >= groups.len() {
                groups.resize(group + 1, Covered::default());
            }
            groups[group].add(*span);
            match durations {
                Some(_) if group >= WITH_DURATIONS => *durations = None,
                Some(durations) => {
                    if group >= durations.len() {
                        durations.resize_with(group + 1, Durations::default);
                    }
                    durations[group].add(span.1 - span.0);
                }
                None => {}
            }
            all[usize::from(tally.waits[*at])].add(*span);
            *time = span.0;
            *at += 1;
        }
        *at == tally.spans.len()
    }

    /// Returns the time that a group covers, in nanoseconds.
    pub fn wall(&self, group: usize) -> u64 {
        self.groups.get(group).map_or(0, |covered| covered.nanos)
    }

    /// Returns the durations by group, or `None` if there are too many groups to keep them.
    pub fn take_durations(&mut self) -> Option<Vec<Durations>> {
        self.durations.take()
    }

    /// Returns the times that all calls cover that do not wait, and that wait.
    pub fn totals(&self) -> [u64; 2] {
        self.all.map(|covered| covered.nanos)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// A call: its group, when it was entered, how long it took, and which segment has it.
    type Call = (u32, u64, u64, usize);

    /// Returns the covered time of a group: how many moments are in one of its calls.
    fn moments(calls: &[Call], of: impl Fn(u32) -> bool) -> u64 {
        let spans = || calls.iter().filter(|call| of(call.0)).map(|call| (call.1, call.1 + call.2));
        let last = spans().map(|(_, end)| end).max().unwrap_or(0);
        (0..last).filter(|t| spans().any(|(start, end)| (start..end).contains(t))).count() as u64
    }

    /// Sweeps calls that are spread over segments in any way.
    fn swept(calls: &[Call], segments: usize) -> Sweep {
        let mut tallies: Vec<Tally> = (0..segments).map(|_| Tally::default()).collect();
        for (group, start, nanos, segment) in calls {
            let tally = &mut tallies[*segment];
            tally.groups.push(*group);
            tally.spans.push((*start, start + nanos));
            tally.waits.push(group % 2 == 1);
        }
        tallies.retain(|tally| !tally.spans.is_empty());
        tallies.sort_by_key(|tally| tally.spans[0].0);
        let firsts: Vec<u64> = tallies.iter().map(|tally| tally.spans[0].0).collect();
        let mut sweep = Sweep::new(true);
        for (i, tally) in tallies.into_iter().enumerate() {
            sweep.add(tally);
            let next = firsts.get(i + 1).copied().unwrap_or(u64::MAX);
            sweep.advance(next).expect("rows are in order");
        }
        sweep
    }

    proptest! {
        #[test]
        fn covers_what_the_calls_cover(
            mut calls in prop::collection::vec((0..4u32, 0..60u64, 0..30u64, 0..5usize), 0..40),
        ) {
            calls.sort_by_key(|call| call.1);
            let mut sweep = swept(&calls, 5);
            for group in 0..4 {
                prop_assert_eq!(sweep.wall(group), moments(&calls, |of| of as usize == group));
            }
            let waits = |wanted: bool| moments(&calls, |of| (of % 2 == 1) == wanted);
            prop_assert_eq!(sweep.totals(), [waits(false), waits(true)]);
            prop_assert!(sweep.take_durations().is_some());
        }
    }

    #[test]
    fn rows_that_go_back_are_an_error() {
        let tally = |starts: &[u64]| Tally {
            groups: vec![0; starts.len()],
            spans: starts.iter().map(|start| (*start, start + 1)).collect(),
            waits: vec![false; starts.len()],
        };
        let mut sweep = Sweep::default();
        sweep.add(tally(&[5, 9]));
        sweep.advance(u64::MAX).expect("rows are in order");
        sweep.add(tally(&[8]));
        assert!(sweep.advance(u64::MAX).is_err());
    }
}
