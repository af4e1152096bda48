//! A set of byte ranges.

use rangemap::RangeSet;

/// Half-open ranges of bytes; no two of them touch.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Ranges(RangeSet<u64>);

impl Ranges {
    /// Adds the range `start..end`.
    pub fn insert(&mut self, start: u64, end: u64) {
        // What is in the set already is found with one lookup.
        if !self.covers(start, end) {
            self.0.insert(start..end);
        }
    }

    /// Removes the range `start..end`.
    pub fn remove(&mut self, start: u64, end: u64) {
        if start < end && !self.0.is_empty() {
            self.0.remove(start..end);
        }
    }

    /// Returns the parts of `start..end` that are not in the set, in order.
    pub fn gaps(&self, start: u64, end: u64) -> Vec<(u64, u64)> {
        if start >= end {
            return Vec::new();
        }
        self.0.gaps(&(start..end)).map(|gap| (gap.start, gap.end)).collect()
    }

    /// Returns the parts of `start..end` that are in the set, in order.
    pub fn within(&self, start: u64, end: u64) -> Vec<(u64, u64)> {
        if start >= end {
            return Vec::new();
        }
        let parts = self.0.overlapping(start..end);
        parts.map(|part| (part.start.max(start), part.end.min(end))).collect()
    }

    /// Returns whether all of `start..end` is in the set.
    pub fn covers(&self, start: u64, end: u64) -> bool {
        // As no two ranges touch, one of them has all of it.
        start >= end || self.0.get(&start).is_some_and(|range| end <= range.end)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    type Change = (bool, u64, u64);

    fn changes() -> impl Strategy<Value = Vec<Change>> {
        proptest::collection::vec((any::<bool>(), 0u64..64, 0u64..16), 0..40)
    }

    fn bytes(ranges: &[(u64, u64)]) -> Vec<u64> {
        ranges.iter().flat_map(|&(start, end)| start..end).collect()
    }

    proptest! {
        #[test]
        fn a_set_of_ranges_is_a_set_of_bytes(
            changes in changes(), from in 0u64..64, len in 0u64..20
        ) {
            let mut set = Ranges::default();
            let mut held = [false; 96];
            for (add, start, n) in changes {
                if add { set.insert(start, start + n) } else { set.remove(start, start + n) }
                held[start as usize..(start + n) as usize].fill(add);
            }
            let all = from..from + len;
            let (inside, outside): (Vec<u64>, Vec<u64>) =
                all.clone().partition(|&byte| held[byte as usize]);
            prop_assert_eq!(set.covers(from, from + len), outside.is_empty());
            prop_assert_eq!(bytes(&set.within(from, from + len)), inside);
            prop_assert_eq!(bytes(&set.gaps(from, from + len)), outside);
            let merged: Vec<_> = set.0.iter().collect();
            prop_assert!(merged.windows(2).all(|w| w[0].end < w[1].start));
        }
    }
}
