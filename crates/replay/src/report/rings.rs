//! What rings of io_uring and contexts of libaio performed.

use serde::Serialize;

/// Operations that were performed by rings of io_uring and contexts of libaio, not by calls.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct RingCounts {
    /// Rings and contexts.
    pub rings: u64,
    /// Operations.
    pub operations: u64,
    /// The most that were under way in one of them at once.
    pub most_at_once: u32,
}

impl RingCounts {
    /// Adds an operation. `at_once` are under way with it.
    pub(crate) fn add(&mut self, at_once: u32) {
        self.operations += 1;
        self.most_at_once = self.most_at_once.max(at_once);
    }

    /// Adds those of another ring.
    pub(crate) fn merge(&mut self, other: Self) {
        self.rings += other.rings;
        self.operations += other.operations;
        self.most_at_once = self.most_at_once.max(other.most_at_once);
    }
}
