//! Percentiles of the rows that are shown: a second pass over the calls, unless there are so few
//! groups that the first pass kept the durations of all.
//!
//! A row with few calls keeps their durations, one with many a histogram. How many rows a pass
//! serves depends on the memory that they need.

use super::groups::Found;
use super::scan::{Group, Scan};
use crate::ordered::in_order;
use ahash::HashMap;
use hdrhistogram::Histogram;
use std::ops::Range;
use trace::Error;

/// The significant digits of a percentile.
const DIGITS: u8 = 3;
/// A row with more calls has a histogram.
const FEW: usize = 16 << 10;
/// What a histogram takes at most for durations up to some hours, in bytes.
const HISTOGRAM_BYTES: u64 = 320 << 10;
/// What the durations of the rows of one pass may take, in bytes.
const PASS_BYTES: u64 = 256 << 20;

/// The quantiles of [`super::Row::quantiles`].
const QUANTILES: [f64; 3] = [0.5, 0.95, 0.99];

/// Adds the percentiles to the rows from the durations of all groups, by their numbers.
pub(super) fn add_known(durations: Vec<Durations>, rows: &mut [Found]) {
    let mut quantiles: Vec<_> = durations.into_iter().map(Durations::quantiles).collect();
    for row in rows {
        row.quantiles = quantiles.get_mut(row.number).and_then(Option::take);
    }
}

/// Adds the percentiles to the rows. Reads the calls once, or more often if there are very many
/// rows.
pub(super) fn add(scan: &Scan<'_>, rows: &mut [Found]) -> Result<(), Error> {
    let mut from = 0;
    while from < rows.len() {
        let mut bytes = 0;
        let fits = |row: &&Found| {
            let returned = row.totals.returned;
            bytes += if returned > FEW as u64 { HISTOGRAM_BYTES } else { 8 * returned + 64 };
            bytes <= PASS_BYTES
        };
        let count = rows[from..].iter().take_while(fits).count().max(1);
        pass(scan, rows, from..from + count)?;
        from += count;
    }
    Ok(())
}

/// Adds the percentiles to some of the rows in one pass over the calls.
fn pass(scan: &Scan<'_>, rows: &mut [Found], range: Range<usize>) -> Result<(), Error> {
    let rows = &mut rows[range];
    let numbers: HashMap<Group, usize> =
        rows.iter().enumerate().map(|(number, row)| (row.key, number)).collect();
    let mut all: Vec<Durations> = rows.iter().map(|_| Durations::default()).collect();
    in_order(
        &scan.segments(),
        |segment| {
            let mut found: Vec<(usize, u64)> = Vec::new();
            let mut last = None;
            scan.each_call(segment, |call| {
                let number = match last {
                    Some((group, number)) if group == call.group => number,
                    _ => numbers.get(&call.group).copied(),
                };
                last = Some((call.group, number));
                if let (Some(number), Some(duration)) = (number, call.duration) {
                    found.push((number, duration.max(0) as u64));
                }
            })?;
            Ok(found)
        },
        |found| {
            found.into_iter().for_each(|(number, duration)| all[number].add(duration));
            Ok(())
        },
    )?;
    for (row, durations) in rows.iter_mut().zip(all) {
        row.quantiles = durations.quantiles();
    }
    Ok(())
}

/// The durations of a row's calls in nanoseconds.
pub(super) enum Durations {
    /// Each of them, if they are few.
    Few(Vec<u64>),
    /// How often each occurs, with three significant digits.
    Many(Box<Histogram<u64>>),
}

impl Default for Durations {
    fn default() -> Self {
        Self::Few(Vec::new())
    }
}

/// Adds a duration. A histogram grows as is necessary (`saturating_record` would not let it).
fn record(histogram: &mut Histogram<u64>, nanos: u64) {
    let grown = histogram.record(nanos);
    debug_assert!(grown.is_ok(), "{grown:?}");
}

impl Durations {
    pub fn add(&mut self, nanos: u64) {
        match self {
            Self::Few(all) if all.len() < FEW => all.push(nanos),
            Self::Few(all) => {
                let Ok(mut histogram) = Histogram::new(DIGITS) else { return };
                all.iter().for_each(|nanos| record(&mut histogram, *nanos));
                record(&mut histogram, nanos);
                *self = Self::Many(Box::new(histogram));
            }
            Self::Many(histogram) => record(histogram, nanos),
        }
    }

    /// Returns the quantiles, or `None` if there are no durations.
    fn quantiles(self) -> Option<[u64; 3]> {
        match self {
            Self::Few(mut all) => {
                all.sort_unstable();
                let last = all.len().checked_sub(1)?;
                let at = |q: f64| (q * all.len() as f64).ceil() as usize;
                Some(QUANTILES.map(|q| all[at(q).saturating_sub(1).min(last)]))
            }
            Self::Many(histogram) => (!histogram.is_empty())
                .then(|| QUANTILES.map(|q| histogram.value_at_quantile(q).min(histogram.max()))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn few_and_many_agree_to_three_digits() {
        let nanos = |n: u64| (n * 2_654_435_761) % 5_000_000;
        let few = Durations::Few((0..20_000).map(nanos).collect());
        let mut many = Durations::default();
        (0..20_000).for_each(|n| many.add(nanos(n)));
        assert!(matches!(many, Durations::Many(_)));
        let (few, many) = (few.quantiles().expect("some"), many.quantiles().expect("some"));
        for (a, b) in few.into_iter().zip(many) {
            assert!(a.abs_diff(b) * 1000 <= a, "{a} {b}");
        }
    }

    #[test]
    fn small_numbers_of_calls() {
        let of = |all: &[u64]| Durations::Few(all.to_vec()).quantiles();
        assert_eq!(of(&[]), None);
        assert_eq!(of(&[7]), Some([7, 7, 7]));
        assert_eq!(of(&[3, 1, 2]), Some([2, 3, 3]));
    }
}
