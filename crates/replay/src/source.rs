//! What is replayed: a trace, or items made by hand.

mod altered;
mod selection;

pub use altered::{Alteration, Altered, Data};
pub use selection::Selection;
pub(crate) use selection::SkippedChanges;

use model::Tables;
use model::files::{Change, Copied, Origin, Row, Unnamed};
use model::processes::Mounts;
use std::os::fd::BorrowedFd;
use trace::{Event, Item, ReadOptions, Trace};

/// A boxed cause.
pub type Cause = Box<dyn std::error::Error + Send + Sync>;
/// An iterator over what may fail to be read.
pub type Reading<'a, T> = Box<dyn Iterator<Item = Result<T, Cause>> + 'a>;

/// A trace, as replay needs it. It is read after the process has entered the root and cannot open
/// other files: implementations hold descriptors.
pub trait Source: Sync {
    /// All calls and events in the order of entry, with their data.
    fn items(&self) -> Result<Reading<'_, Item>, Cause>;
    /// The manifest.
    fn rows(&self) -> Result<Vec<Row>, Cause>;
    /// Where initial content stands.
    fn origins(&self) -> Result<Reading<'_, Origin>, Cause>;
    /// Returns the files of the initial content that a snapshot copied.
    fn snapshot(&self) -> Result<Reading<'_, Copied>, Cause> {
        Ok(Box::new(std::iter::empty()))
    }
    /// Returns the files that were open when the recording began and had no name any more.
    fn unnamed(&self) -> Result<Vec<Unnamed>, Cause> {
        Ok(Vec::new())
    }
    /// Returns the changes of files that no recorded call made, in order.
    fn outside(&self) -> Result<Vec<Change>, Cause> {
        Ok(Vec::new())
    }
    /// Returns all events, in order.
    fn events(&self) -> Result<Reading<'_, Event>, Cause> {
        Ok(Box::new(self.items()?.filter_map(|item| match item {
            Ok(Item::Event(event)) => Some(Ok(event)),
            Ok(Item::Call(_)) => None,
            Err(e) => Some(Err(e)),
        })))
    }
    /// The recorded machine's mounts.
    fn mounts(&self) -> Mounts;
    /// Returns the approximate number of calls and events.
    fn items_about(&self) -> u64 {
        1 << 20
    }
    /// Returns the time from the first call to the last, in nanoseconds, if it is known.
    fn span(&self) -> Option<u64> {
        None
    }
    /// Returns whether one thread made all calls, and nothing was recorded of it before it began.
    fn is_of_one_thread(&self) -> bool {
        false
    }
    /// Returns whether the recorder was killed. Then starts of threads may be missing whose calls
    /// are there.
    fn is_torn(&self) -> bool {
        false
    }
    /// Returns the time (`CLOCK_MONOTONIC`) until which no call is missing. What happened later may
    /// depend on calls that were not recorded. Returns `None` if the trace is complete.
    fn complete_until(&self) -> Option<u64> {
        None
    }
    /// The directory that is read from, if any.
    fn directory(&self) -> Option<BorrowedFd<'_>>;
}

impl Source for Trace {
    fn items(&self) -> Result<Reading<'_, Item>, Cause> {
        Ok(Box::new(self.read(ReadOptions { data: true }).map(|item| item.map_err(Cause::from))))
    }
    fn rows(&self) -> Result<Vec<Row>, Cause> {
        Ok(self.files()?)
    }
    fn origins(&self) -> Result<Reading<'_, Origin>, Cause> {
        Ok(Box::new(Tables::origins(self)?.map(|origin| origin.map_err(Cause::from))))
    }
    fn snapshot(&self) -> Result<Reading<'_, Copied>, Cause> {
        Ok(Box::new(Tables::snapshot(self)?.map(|copied| copied.map_err(Cause::from))))
    }
    fn unnamed(&self) -> Result<Vec<Unnamed>, Cause> {
        Ok(Tables::unnamed(self)?)
    }
    fn outside(&self) -> Result<Vec<Change>, Cause> {
        Ok(Tables::outside(self)?)
    }
    fn events(&self) -> Result<Reading<'_, Event>, Cause> {
        Ok(Box::new(Trace::events(self).map(|event| event.map_err(Cause::from))))
    }
    fn mounts(&self) -> Mounts {
        Mounts::new(self.recording_info().mounts.iter().map(|m| (&*m.point, &*m.fs)))
    }
    fn items_about(&self) -> u64 {
        self.summary().calls.saturating_add(self.summary().events)
    }
    fn span(&self) -> Option<u64> {
        let (first, last) = (self.summary().first?, self.summary().last?);
        Some(last.saturating_sub(first))
    }
    fn is_of_one_thread(&self) -> bool {
        self.summary().threads == 1
            && self.recording_info().joined.is_empty()
            && !self.recording_info().command.is_empty()
    }
    fn is_torn(&self) -> bool {
        self.summary().recovered
    }
    fn complete_until(&self) -> Option<u64> {
        self.summary().complete_until
    }
    fn directory(&self) -> Option<BorrowedFd<'_>> {
        Some(self.dir())
    }
}
