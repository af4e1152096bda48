//! Reads calls and events in the order of their entry.
//!
//! Segments are read one after the other and decoded ahead ([`decode_ahead`]); late segments and
//! events are merged in. Invariant: one segment is open at a time, and a late file is open only
//! from the time of its first row to that of its last. Memory therefore depends on how many calls
//! ran concurrently, not on the length of the trace.

use super::Trace;
use super::cursor::{Cursor, Decoder, ReadOptions, Table};
use super::decode_ahead;
use crate::call::Item;
use crate::document::{Sealed, Segment};
use crate::error::Error;
use std::cmp::Reverse;
use std::collections::{BinaryHeap, VecDeque};

/// The largest sum of the page sizes of open late files, in bytes. Only a forged trace needs more.
const LATE_BYTES: u64 = 512 << 20;

/// Iterates over the calls and events of a trace in the order of entry. The iteration ends after
/// the first error.
pub struct Reader {
    trace: Trace,
    options: ReadOptions,
    /// Files to come, in the order of their first row.
    // Files that are not open yet, in the order of their first row.
    events: VecDeque<Sealed>,
    segments: Vec<Segment>,
    late: VecDeque<Segment>,
    open: Vec<Option<Cursor>>,
    /// The next item of each open cursor: its time, its rank, and the cursor's index in `open`.
    heap: BinaryHeap<Reverse<(u64, Rank, usize)>>,
    /// The time of the last item, for the check of the order.
    time: u64,
    /// The error to return after the item that was returned last.
    failed: Option<Error>,
    begun: bool,
    ended: bool,
}

/// The order of items with equal times: events, then calls of late segments, then other calls.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
enum Rank {
    Event,
    Late,
    Call,
}

impl Reader {
    /// Prepares to read; files are opened by the first call of `next`.
    pub(super) fn new(trace: Trace, options: ReadOptions) -> Self {
        let document = &trace.inner.document;
        // All of them are open at once: those that we write, and no more.
        let events = document.tables.iter().filter(|t| crate::document::EVENTS.contains(&&*t.file));
        let events = events.cloned().collect();
        let segments = document.segments.iter().filter(|s| !s.late).cloned().collect();
        let mut late: Vec<Segment> = document.segments.iter().filter(|s| s.late).cloned().collect();
        late.sort_by_key(|s| s.first);
        let late = late.into();
        Self {
            trace,
            options,
            events,
            segments,
            late,
            open: Vec::new(),
            heap: BinaryHeap::new(),
            time: 0,
            failed: None,
            begun: false,
            ended: false,
        }
    }

    /// Reads only events.
    pub(super) fn of_events(trace: Trace) -> Self {
        let reader = Self::new(trace, ReadOptions { data: false });
        Self { segments: Vec::new(), late: VecDeque::new(), ..reader }
    }

    /// Returns the next item, or `None` at the end.
    fn step(&mut self) -> Result<Option<Item>, Error> {
        if !self.begun {
            self.begun = true;
            while let Some(sealed) = self.events.pop_front() {
                self.open_file(&sealed, Table::Events, Rank::Event)?;
            }
            let segments = std::mem::take(&mut self.segments);
            let calls = decode_ahead::calls(self.trace.clone(), segments, self.options)?;
            self.add(Cursor::new(calls, 0), Rank::Call)?;
        }
        if let Some(e) = self.failed.take() {
            return Err(e);
        }
        let next = self.heap.peek().map(|Reverse((time, ..))| *time);
        while let Some(late) = self.late.front()
            && next.is_none_or(|time| late.first <= time)
        {
            let sealed = late.sealed.clone();
            self.late.pop_front();
            self.open_file(&sealed, Table::Calls, Rank::Late)?;
            if next.is_none() {
                break;
            }
        }
        let Some(Reverse((time, rank, index))) = self.heap.pop() else { return Ok(None) };
        if time < self.time {
            return Err(Error::damaged(
                crate::document::NAME,
                "rows are not in the order of entry",
            ));
        }
        self.time = time;
        let cursor = self.open[index].as_mut().expect("the heap knows open cursors only");
        let item = cursor.take()?;
        match cursor.peek() {
            Ok(Some(time)) => self.heap.push(Reverse((time, rank, index))),
            Ok(None) => self.open[index] = None,
            // The item that was just read is valid.
            Err(e) => self.failed = Some(e),
        }
        Ok(Some(item))
    }

    /// Opens a late segment or a file with events, to be merged.
    fn open_file(&mut self, sealed: &Sealed, table: Table, rank: Rank) -> Result<(), Error> {
        let decoder = Decoder::open(&self.trace, sealed, table, self.options)?;
        let pages: u64 = self.open.iter().flatten().map(|c| c.page).sum();
        if rank == Rank::Late && pages + decoder.page > LATE_BYTES {
            return Err(Error::damaged(&sealed.file, "too much late data at once"));
        }
        let page = decoder.page;
        self.add(Cursor::new(Box::new(decoder), page), rank)
    }

    /// Adds a cursor to the merge unless it has no rows.
    fn add(&mut self, mut cursor: Cursor, rank: Rank) -> Result<(), Error> {
        let Some(time) = cursor.peek()? else { return Ok(()) };
        let index = self.open.iter().position(Option::is_none).unwrap_or_else(|| {
            self.open.push(None);
            self.open.len() - 1
        });
        self.open[index] = Some(cursor);
        self.heap.push(Reverse((time, rank, index)));
        Ok(())
    }
}

impl Iterator for Reader {
    type Item = Result<Item, Error>;
    fn next(&mut self) -> Option<Self::Item> {
        if self.ended {
            return None;
        }
        let item = self.step().transpose();
        self.ended = !matches!(item, Some(Ok(_)));
        item
    }
}
