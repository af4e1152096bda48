//! Which earlier calls a call must come after, by its claims: the last that changed a thing that it
//! has to do with and, if it changes the thing, those that used it since.
//!
//! Kept are the numbers of the latest calls, while calls that might overlap them are under way.

use crate::claims::{Claim, Resource};
use ahash::HashMap;
use std::hash::{Hash, Hasher};

/// Users of a resource remembered at least, before completed ones are dropped.
const MIN_USERS: usize = 16;
/// Resources remembered at least, before those are dropped that no call can conflict with.
const MIN_RESOURCES: usize = 1 << 14;

#[derive(Default)]
struct LastUse {
    /// One more than the number of the last call that changed it; 0: none.
    changed: u64,
    used: u64,
    /// The calls that used it since, in order, where calls wait for single calls.
    users: Vec<u64>,
    /// At this number of users, completed ones are dropped.
    sweep_at: usize,
}

/// The latest calls on each thing.
#[derive(Default)]
pub(crate) struct LastUses(HashMap<u64, LastUse>);

/// Calls `each` with a hash of each resource by which a claim can conflict with others. Descriptor
/// numbers and sizes prove orders, but are no reason to wait.
fn for_each_key(claim: &Claim, mut each: impl FnMut(u64)) {
    let mut key = |resource: &dyn Fn(&mut ahash::AHasher)| {
        let mut hasher = ahash::AHasher::default();
        resource(&mut hasher);
        each(hasher.finish());
    };
    match claim.resource {
        Resource::Number(_) | Resource::Size(_) => {}
        Resource::Bytes(span) => {
            span.chunks().for_each(|chunk| key(&|h| (span.file, chunk).hash(h)));
        }
        Resource::Offset(_)
        | Resource::Status(_)
        | Resource::File(_)
        | Resource::Name(_)
        | Resource::Members(_)
        | Resource::Links(_)
        | Resource::AllNames
        | Resource::Alias(_) => key(&|h| claim.resource.hash(h)),
    }
}

impl LastUses {
    /// Adds the claims of call `number`. Returns the number below which all calls must be done
    /// first because of them.
    pub fn after(&mut self, number: u64, claims: &[Claim]) -> u64 {
        let mut after = 0;
        for claim in claims {
            for_each_key(claim, |key| {
                let last = self.0.entry(key).or_default();
                // A call that has to do with a thing twice does not wait for itself.
                let before = |n: u64| if n > number { 0 } else { n };
                after = after.max(before(last.changed));
                if claim.changes {
                    after = after.max(before(last.used));
                    last.changed = number + 1;
                } else {
                    last.used = number + 1;
                }
            });
        }
        after
    }

    /// Adds the claims of call `number`. Returns the numbers of the calls that it must wait for,
    /// without those below `first_pending`.
    pub fn calls(&mut self, number: u64, first_pending: u64, claims: &[Claim]) -> Vec<u64> {
        let mut calls = Vec::new();
        for claim in claims {
            for_each_key(claim, |key| {
                let last = self.0.entry(key).or_default();
                calls.extend(last.changed.checked_sub(1));
                if claim.changes {
                    calls.append(&mut last.users);
                    last.changed = number + 1;
                } else {
                    if last.users.len() >= last.sweep_at.max(MIN_USERS) {
                        last.users.retain(|user| *user >= first_pending);
                        last.sweep_at = last.users.len() * 2;
                    }
                    last.users.push(number);
                    last.used = number + 1;
                }
            });
        }
        calls.retain(|n| *n >= first_pending && *n != number);
        calls.sort_unstable();
        calls.dedup();
        calls
    }

    /// Removes the claims of calls below `number`, which no later call can overlap.
    pub fn forget_below(&mut self, number: u64) {
        if self.0.len() > MIN_RESOURCES {
            self.0.retain(|_, last| last.changed.max(last.used) > number);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::claims::ResourceState;

    fn claim(changes: bool) -> [Claim; 1] {
        let (before, after) = (ResourceState::Unknown, ResourceState::Unknown);
        [Claim { resource: Resource::File(7), changes, before, after, argument: 0 }]
    }

    /// Calls 0 (changes a file), 1 and 2 (use it), 3 (changes it), 4 (uses it).
    const CHANGES: [bool; 5] = [true, false, false, true, false];

    #[test]
    fn a_change_comes_after_all_uses_and_a_use_after_the_change() {
        let (mut all, mut single) = (LastUses::default(), LastUses::default());
        let after = |n: usize| all.after(n as u64, &claim(CHANGES[n]));
        assert_eq!([0, 1, 2, 3, 4].map(after), [0, 1, 1, 3, 4]);
        let needs = |n: usize| single.calls(n as u64, 0, &claim(CHANGES[n]));
        let expected = [vec![], vec![0], vec![0], vec![0, 1, 2], vec![3]];
        assert_eq!([0, 1, 2, 3, 4].map(needs), expected);
    }
}
