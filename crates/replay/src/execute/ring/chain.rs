//! Operations that were linked: submitted together, so that the kernel begins each when the one
//! before it has completed.

use super::{RingExecutor, Shared};
use crate::execute::clock::Due;
use crate::issue::ring::Entry;

/// The most operations that are submitted as one chain.
pub(super) const LONGEST: usize = 16;

impl RingExecutor {
    /// Returns the lane and the position of the operation that was linked behind the one at
    /// `position`, which is about to be submitted with this entry, if it can be submitted together
    /// with it: it is here already, is the next of its lane, and waits for nothing but those in
    /// `chain`.
    pub(super) fn linked(
        &self,
        shared: &Shared,
        position: u64,
        entry: &Entry,
    ) -> Option<(usize, u64)> {
        let next = self.pending[(position - self.first) as usize].next?;
        let ring = self.ring.as_ref()?;
        if !entry.is_linked() || !ring.has_room_for_chain(self.chain.len() + 1) {
            return None;
        }
        if self.chain.len() >= LONGEST || !self.changing_user.is_empty() || shared.stopping() {
            return None;
        }
        let job = &self.pending[(next - self.first) as usize].job;
        let lane = *self.lane_of.get(&job.tid)?;
        if self.lanes[lane].next() != Some(next) || job.due() != Due::Now {
            return None;
        }
        let here = |number: u64| self.chain.contains(&number);
        if job.after > self.base.done_below {
            let before = self.pending.iter().take_while(|other| other.job.number < job.after);
            let mut before = before.filter(|other| !other.is_done);
            if !before.all(|other| here(other.job.number))
                || !shared.completion.is_done_below_elsewhere(job.after, self.base.index)
            {
                return None;
            }
        }
        let mut others = job.extras.iter().flat_map(|extras| &extras.dependencies);
        others.all(|other| here(other.1) || self.is_done(shared, *other)).then_some((lane, next))
    }
}
