//! Reading calls and events in the order of their entry.
//!
//! Segments follow each other, decoded ahead ([`decode_ahead`]); late segments and the events are
//! merged in. Invariant: of the files that are not late one is open at a time, and a late file is
//! open only from the time of its first row to that of its last, so memory depends on how many
//! calls were under way at once, not on how long the trace is.

use super::Trace;
use super::cursor::{Cursor, Decoder, Table, Want};
use super::decode_ahead;
use crate::call::Item;
use crate::document::{Sealed, Segment};
use crate::error::Error;
use std::cmp::Reverse;
use std::collections::{BinaryHeap, VecDeque};

/// Bytes of pages that late files may make us hold at once: only a forger needs more.
const LATE_BYTES: u64 = 512 << 20;

/// Calls and events in the order of their entry. After an error there is nothing more.
pub struct Reader {
    trace: Trace,
    want: Want,
    /// Files to come, in the order of their first row.
    events: VecDeque<Sealed>,
    segments: Vec<Segment>,
    late: VecDeque<Segment>,
    open: Vec<Option<Cursor>>,
    /// The next item of each cursor: when, whose (events before calls, late calls before others),
    /// and where in `open`.
    heap: BinaryHeap<Reverse<(u64, Rank, usize)>>,
    time: u64,
    /// What comes after the last item that was given.
    failed: Option<Error>,
    begun: bool,
    ended: bool,
}

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
enum Rank {
    Event,
    Late,
    Call,
}

impl Reader {
    pub(super) fn new(trace: Trace, want: Want) -> Self {
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
            want,
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

    /// Events only.
    pub(super) fn of_events(trace: Trace) -> Self {
        let reader = Self::new(trace, Want { data: false });
        Self { segments: Vec::new(), late: VecDeque::new(), ..reader }
    }

    fn step(&mut self) -> Result<Option<Item>, Error> {
        if !self.begun {
            self.begun = true;
            while let Some(sealed) = self.events.pop_front() {
                self.enter(&sealed, Table::Events, Rank::Event)?;
            }
            let segments = std::mem::take(&mut self.segments);
            let calls = decode_ahead::calls(self.trace.clone(), segments, self.want)?;
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
            self.enter(&sealed, Table::Calls, Rank::Late)?;
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
            // This item is sound.
            Err(e) => self.failed = Some(e),
        }
        Ok(Some(item))
    }

    /// Opens a file that is read along.
    fn enter(&mut self, sealed: &Sealed, table: Table, rank: Rank) -> Result<(), Error> {
        let decoder = Decoder::open(&self.trace, sealed, table, self.want)?;
        let pages: u64 = self.open.iter().flatten().map(|c| c.page).sum();
        if rank == Rank::Late && pages + decoder.page > LATE_BYTES {
            return Err(Error::damaged(&sealed.file, "too much late data at once"));
        }
        let page = decoder.page;
        self.add(Cursor::new(Box::new(decoder), page), rank)
    }

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
