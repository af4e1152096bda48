//! Bytes of files that the recording leaves open: overlapping calls wrote them differently, or it
//! is not known into which file a call wrote.
//!
//! What a later call finds there, and what is there at last, may differ from the recording without
//! anything being wrong: a race of the recorded program.

use ahash::HashMap;
use std::collections::BTreeSet;

/// Ranges kept of one file; of one that has more, all bytes are undecided.
const RANGES: usize = 256;

#[derive(Default)]
struct Bytes {
    ranges: Vec<(u64, u64)>,
    paths: BTreeSet<Box<[u8]>>,
}

/// The undecided bytes, by inode.
#[derive(Default)]
pub(crate) struct Undetermined(HashMap<(u64, u64), Bytes>);

impl Undetermined {
    /// Returns whether no bytes are undetermined.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Marks the bytes `start..end` as undetermined.
    pub fn add(&mut self, inode: (u64, u64), path: &[u8], start: u64, end: u64) {
        let bytes = self.0.entry(inode).or_default();
        bytes.paths.insert(path.into());
        bytes.ranges.retain(|&(s, e)| s < start || e > end);
        bytes.ranges.push((start, end));
        if bytes.ranges.len() > RANGES {
            bytes.ranges = vec![(0, u64::MAX)];
        }
    }

    /// Marks bytes as determined, as a write that nothing overlapped wrote them.
    pub fn settle(&mut self, inode: (u64, u64), start: u64, end: u64) {
        let Some(bytes) = self.0.get_mut(&inode) else { return };
        bytes.ranges = bytes
            .ranges
            .iter()
            .flat_map(|&(s, e)| [(s, e.min(start)), (s.max(end), e)])
            .filter(|(s, e)| s < e)
            .collect();
        if bytes.ranges.is_empty() {
            self.0.remove(&inode);
        }
    }

    /// Returns whether some of these bytes are undetermined.
    pub fn touches(&self, inode: (u64, u64), start: u64, end: u64) -> bool {
        self.0.get(&inode).is_some_and(|b| b.ranges.iter().any(|&(s, e)| s < end && start < e))
    }

    /// Returns the paths of the files with undetermined bytes, as they were opened.
    pub fn into_paths(self) -> BTreeSet<Box<[u8]>> {
        self.0.into_values().flat_map(|b| b.paths).collect()
    }
}
