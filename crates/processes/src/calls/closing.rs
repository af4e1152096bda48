//! Descriptors that calls still under way are closing.

use crate::state::file::Descriptor;
use std::collections::BTreeMap;
use std::ops::RangeInclusive;
use std::sync::Arc;

/// The id of the table, the number of the descriptor, whether the close found a descriptor, and the
/// number of the close.
type CloseKey = (u32, i32, bool, u64);
/// The id of the thread, the number of the descriptor, and the number of the close.
type ThreadKey = (u32, i32, u64);

/// Keys greater than all others. They stay in the maps, so that these keep their memory although
/// they are otherwise empty most of the time.
const LAST: (CloseKey, ThreadKey) =
    ((u32::MAX, i32::MAX, true, u64::MAX), (u32::MAX, i32::MAX, u64::MAX));

/// The id of the thread, and the descriptor that the close found.
type Close<T> = (u32, Option<Arc<Descriptor<T>>>);

/// The closes under way. The time of each method does not depend on how many there are.
///
/// A close that found no descriptor, as the number was free when it began, may close one that an
/// overlapping call opens under this number.
pub(crate) struct Closings<T> {
    closes: BTreeMap<CloseKey, Close<T>>,
    /// For each close the id of its table, and whether it has found a descriptor.
    closes_by_thread: BTreeMap<ThreadKey, (u32, bool)>,
    /// The number of the last close that began.
    last_number: u64,
    /// How many closes were looked at so far.
    #[cfg(test)]
    pub steps: std::cell::Cell<u64>,
}

impl<T> Default for Closings<T> {
    fn default() -> Self {
        Self {
            closes: BTreeMap::from([(LAST.0, (0, None))]),
            closes_by_thread: BTreeMap::from([(LAST.1, (0, false))]),
            last_number: 0,
            #[cfg(test)]
            steps: std::cell::Cell::default(),
        }
    }
}

/// Returns the range of the keys of all closes of `fd` in a table that have found a descriptor
/// (`found`), or that have not.
const fn keys_of_closes(table_id: u32, fd: i32, found: bool) -> RangeInclusive<CloseKey> {
    (table_id, fd, found, 0)..=(table_id, fd, found, u64::MAX - 1)
}

impl<T> Closings<T> {
    /// Counts a close that was looked at. Only tests use this.
    fn count_lookup(&self) {
        #[cfg(test)]
        self.steps.set(self.steps.get() + 1);
    }

    /// Notes that thread `tid` begins to close `fd`, and which descriptor the close has found.
    pub fn begin(&mut self, tid: u32, table_id: u32, fd: i32, found: Option<Arc<Descriptor<T>>>) {
        self.last_number += 1;
        self.closes_by_thread.insert((tid, fd, self.last_number), (table_id, found.is_some()));
        self.closes.insert((table_id, fd, found.is_some(), self.last_number), (tid, found));
    }

    /// Removes the close of `fd` by thread `tid`, which returns. Returns the id of its descriptor
    /// table, and the descriptor that it has found. Returns `None` if there is no such close.
    pub fn end(&mut self, tid: u32, fd: i32) -> Option<(u32, Option<Arc<Descriptor<T>>>)> {
        self.count_lookup();
        let (&key, _) =
            self.closes_by_thread.range((tid, fd, 0)..=(tid, fd, u64::MAX - 1)).next()?;
        let (table_id, found) = self.closes_by_thread.remove(&key)?;
        let (_, found) = self.closes.remove(&(table_id, fd, found, key.2))?;
        Some((table_id, found))
    }

    /// Forgets the close that thread `tid` had under way, as the thread has ended.
    pub fn forget(&mut self, tid: u32) {
        while let Some((&(_, fd, _), _)) =
            self.closes_by_thread.range((tid, i32::MIN, 0)..=(tid, i32::MAX, u64::MAX - 1)).next()
        {
            self.end(tid, fd);
        }
    }

    /// Returns whether the close of `fd` by thread `tid` has found it open.
    pub fn has_found(&self, tid: u32, fd: i32) -> bool {
        self.closes_by_thread.range((tid, fd, 0)..=(tid, fd, u64::MAX - 1)).any(
            |(_, (_, found))| {
                self.count_lookup();
                *found
            },
        )
    }

    /// Returns the descriptor that the latest close of `fd` under way has found.
    pub fn latest_found(&self, table_id: u32, fd: i32) -> Option<Arc<Descriptor<T>>> {
        self.count_lookup();
        self.closes.range(keys_of_closes(table_id, fd, true)).next_back()?.1.1.clone()
    }

    /// Takes a descriptor away from the first close of `fd` that has found one, as another close
    /// turned out to have closed it. Returns the descriptor.
    pub fn take_found(&mut self, table_id: u32, fd: i32) -> Option<Arc<Descriptor<T>>> {
        self.swap_found(table_id, fd, None)
    }

    /// Gives a descriptor to the first close of `fd` that has found none, as that one must have
    /// closed it. Returns the descriptor if there is no such close.
    pub fn give_to_close(
        &mut self,
        table_id: u32,
        fd: i32,
        descriptor: Arc<Descriptor<T>>,
    ) -> Option<Arc<Descriptor<T>>> {
        self.swap_found(table_id, fd, Some(descriptor))
    }

    /// Sets what the first close of `fd` has found: with a new descriptor, the first close without
    /// one; with `None`, the first close with one. Returns the descriptor that is left over.
    fn swap_found(
        &mut self,
        table_id: u32,
        fd: i32,
        new: Option<Arc<Descriptor<T>>>,
    ) -> Option<Arc<Descriptor<T>>> {
        self.count_lookup();
        let found = new.is_some();
        let Some((&key, _)) = self.closes.range(keys_of_closes(table_id, fd, !found)).next() else {
            return new;
        };
        let (tid, old) = self.closes.remove(&key)?;
        self.closes.insert((table_id, fd, found, key.3), (tid, new));
        self.closes_by_thread.insert((tid, fd, key.3), (table_id, found));
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
            assert_eq!((closings.closes.len(), closings.closes_by_thread.len()), (1, 1));
            closings.steps.get()
        };
        // All of one number, and each of its own.
        for fd in [(|_| 3) as fn(u32) -> i32, |tid| tid as i32] {
            assert_eq!(steps(2000, fd), 2 * steps(1000, fd));
        }
    }
}
