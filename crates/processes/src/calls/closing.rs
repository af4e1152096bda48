//! Descriptors that calls still under way are closing.

use crate::state::file::Descriptor;
use std::collections::BTreeMap;
use std::ops::RangeInclusive;
use std::sync::Arc;

/// Table, number, whether a descriptor was found, and which close it is.
type ByNumber = (u32, i32, bool, u64);
/// Thread, number, and which close it is.
type ByThread = (u32, i32, u64);

/// Greater than all that exist. It stays, so that maps which are empty most of the time keep their
/// memory.
const LAST: (ByNumber, ByThread) =
    ((u32::MAX, i32::MAX, true, u64::MAX), (u32::MAX, i32::MAX, u64::MAX));

/// The thread, and what was found.
type Held<T> = (u32, Option<Arc<Descriptor<T>>>);

/// The closes under way. What is asked of one does not depend on how many others there are.
///
/// Some have found no descriptor: the number was free when the call began, and it will have closed
/// what a call that overlaps it puts there.
pub(crate) struct Closings<T> {
    held: BTreeMap<ByNumber, Held<T>>,
    /// The table of each, and whether it has found a descriptor.
    of: BTreeMap<ByThread, (u32, bool)>,
    next: u64,
    /// Closes looked at so far.
    #[cfg(test)]
    pub steps: std::cell::Cell<u64>,
}

impl<T> Default for Closings<T> {
    fn default() -> Self {
        Self {
            held: BTreeMap::from([(LAST.0, (0, None))]),
            of: BTreeMap::from([(LAST.1, (0, false))]),
            next: 0,
            #[cfg(test)]
            steps: std::cell::Cell::default(),
        }
    }
}

/// Returns the range of all closes of `fd` in a table that have found a descriptor, or that have
/// not.
const fn numbered(table: u32, fd: i32, found: bool) -> RangeInclusive<ByNumber> {
    (table, fd, found, 0)..=(table, fd, found, u64::MAX - 1)
}

impl<T> Closings<T> {
    /// Counts a close that was looked at, which only tests use.
    fn count_step(&self) {
        #[cfg(test)]
        self.steps.set(self.steps.get() + 1);
    }

    /// Notes that thread `tid` begins to close `fd`, and which descriptor the close has found.
    pub fn begin(&mut self, tid: u32, table: u32, fd: i32, found: Option<Arc<Descriptor<T>>>) {
        self.next += 1;
        self.of.insert((tid, fd, self.next), (table, found.is_some()));
        self.held.insert((table, fd, found.is_some(), self.next), (tid, found));
    }

    /// Notes that the close of `fd` by thread `tid` returns. Returns its descriptor table, and the
    /// descriptor that it has found.
    pub fn end(&mut self, tid: u32, fd: i32) -> Option<(u32, Option<Arc<Descriptor<T>>>)> {
        self.count_step();
        let (&by, _) = self.of.range((tid, fd, 0)..=(tid, fd, u64::MAX - 1)).next()?;
        let (table, found) = self.of.remove(&by)?;
        let (_, found) = self.held.remove(&(table, fd, found, by.2))?;
        Some((table, found))
    }

    /// Forgets the close that thread `tid` had under way, as the thread has ended.
    pub fn forget(&mut self, tid: u32) {
        while let Some((&(_, fd, _), _)) =
            self.of.range((tid, i32::MIN, 0)..=(tid, i32::MAX, u64::MAX - 1)).next()
        {
            self.end(tid, fd);
        }
    }

    /// Returns whether the close of `fd` by thread `tid` has found it open.
    pub fn has_found(&self, tid: u32, fd: i32) -> bool {
        self.of.range((tid, fd, 0)..=(tid, fd, u64::MAX - 1)).any(|(_, (_, found))| {
            self.count_step();
            *found
        })
    }

    /// Returns the descriptor that the latest close of `fd` has found.
    pub fn latest_found(&self, table: u32, fd: i32) -> Option<Arc<Descriptor<T>>> {
        self.count_step();
        self.held.range(numbered(table, fd, true)).next_back()?.1.1.clone()
    }

    /// Takes a descriptor from a close that has found one, as the close turned out to have closed
    /// another one.
    pub fn take_found(&mut self, table: u32, fd: i32) -> Option<Arc<Descriptor<T>>> {
        self.swap_found(table, fd, None)
    }

    /// Gives a descriptor to a close that has found none, as that one must have closed it. Returns
    /// the descriptor if there is no such close.
    pub fn give(
        &mut self,
        table: u32,
        fd: i32,
        descriptor: Arc<Descriptor<T>>,
    ) -> Option<Arc<Descriptor<T>>> {
        self.swap_found(table, fd, Some(descriptor))
    }

    /// Sets what the first close of `fd` has found: with a new descriptor, the first close without
    /// one; with `None`, the first close with one. Returns the descriptor that is left over.
    fn swap_found(
        &mut self,
        table: u32,
        fd: i32,
        new: Option<Arc<Descriptor<T>>>,
    ) -> Option<Arc<Descriptor<T>>> {
        self.count_step();
        let found = new.is_some();
        let Some((&by, _)) = self.held.range(numbered(table, fd, !found)).next() else {
            return new;
        };
        let (tid, old) = self.held.remove(&by)?;
        self.held.insert((table, fd, found, by.3), (tid, new));
        self.of.insert((tid, fd, by.3), (table, found));
        old
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Twice as many closes under way take twice as many steps.
    #[test]
    fn steps_grow_with_the_closes() {
        let steps = |n: u32, fd: fn(u32) -> i32| {
            let mut closings = Closings::<()>::default();
            (0..n).for_each(|tid| closings.begin(tid, 7, fd(tid), None));
            for tid in 0..n {
                assert!(
                    closings.latest_found(7, fd(tid)).is_none()
                        && !closings.has_found(tid, fd(tid))
                );
                assert!(closings.take_found(7, fd(tid)).is_none());
            }
            (0..n).for_each(|tid| assert!(closings.end(tid, fd(tid)).is_some()));
            (0..n).for_each(|tid| closings.forget(tid));
            assert_eq!((closings.held.len(), closings.of.len()), (1, 1));
            closings.steps.get()
        };
        // All of one number, and each of its own.
        for fd in [(|_| 3) as fn(u32) -> i32, |tid| tid as i32] {
            assert_eq!(steps(2000, fd), 2 * steps(1000, fd));
        }
    }
}
