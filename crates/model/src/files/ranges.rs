//! A set of byte ranges, kept merged.

use std::collections::BTreeMap;

/// Half-open ranges of bytes; no two of them touch.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Ranges {
    by_start: BTreeMap<u64, u64>,
}

impl Ranges {
    /// Adds `start..end`.
    pub fn insert(&mut self, start: u64, end: u64) {
        if start >= end {
            return;
        }
        let (mut start, mut end) = (start, end);
        while let Some((&s, &e)) = self.by_start.range(..=end).next_back() {
            if e < start {
                break;
            }
            self.by_start.remove(&s);
            start = start.min(s);
            end = end.max(e);
        }
        self.by_start.insert(start, end);
    }

    /// Takes `start..end` out.
    pub fn remove(&mut self, start: u64, end: u64) {
        if start >= end {
            return;
        }
        while let Some((&s, &e)) = self.by_start.range(..end).next_back() {
            if e <= start {
                break;
            }
            self.by_start.remove(&s);
            if s < start {
                self.by_start.insert(s, start);
            }
            if e > end {
                self.by_start.insert(end, e);
            }
        }
    }

    /// The parts of `start..end` that are not in the set, in order.
    pub fn gaps(&self, start: u64, end: u64) -> Vec<(u64, u64)> {
        let mut gaps = Vec::new();
        let mut at = start;
        if let Some((_, &e)) = self.by_start.range(..=start).next_back() {
            at = at.max(e);
        }
        for (&s, &e) in self.by_start.range(start..end.max(start)) {
            if s > at {
                gaps.push((at, s));
            }
            at = at.max(e);
        }
        if at < end {
            gaps.push((at, end));
        }
        gaps
    }

    /// The parts of `start..end` that are in the set, in order.
    pub fn within(&self, start: u64, end: u64) -> Vec<(u64, u64)> {
        let mut parts = Vec::new();
        let mut at = start;
        for (s, e) in self.gaps(start, end) {
            if s > at {
                parts.push((at, s));
            }
            at = e;
        }
        if at < end {
            parts.push((at, end));
        }
        parts
    }

    /// Whether all of `start..end` is in the set.
    pub fn covers(&self, start: u64, end: u64) -> bool {
        start >= end || self.gaps(start, end).is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn a_set_of_ranges_is_a_set_of_bytes(ops in proptest::collection::vec((any::<bool>(), 0u64..64, 0u64..16), 0..40), from in 0u64..64, len in 0u64..20) {
            let mut set = Ranges::default();
            let mut bytes = [false; 96];
            for (add, start, n) in ops {
                if add { set.insert(start, start + n) } else { set.remove(start, start + n) }
                bytes[start as usize..(start + n) as usize].fill(add);
            }
            let inside: Vec<u64> = set.within(from, from + len).iter().flat_map(|&(s, e)| s..e).collect();
            let expected: Vec<u64> = (from..from + len).filter(|&b| bytes[b as usize]).collect();
            prop_assert_eq!(inside, expected);
            let outside: Vec<u64> = set.gaps(from, from + len).iter().flat_map(|&(s, e)| s..e).collect();
            let expected: Vec<u64> = (from..from + len).filter(|&b| !bytes[b as usize]).collect();
            prop_assert_eq!(outside, expected);
            let merged: Vec<_> = set.by_start.iter().collect();
            prop_assert!(merged.windows(2).all(|w| w[0].1 < w[1].0));
        }
    }
}
