//! Merges the records of all streams.
//!
//! Invariant: the records of one stream keep their order, and streams are merged by the time at
//! which a record was written: the return of a call, or the time of an event. A record without such
//! a time counts as written at the time of the record before it. While streams grow, only records
//! up to a given time are returned: every journal must hold all records up to that time.

use crate::format::record::{Header, RecordKind};
use crate::journal::{Damage, Records};
use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::io;

/// The streams of a recording.
pub(super) struct Streams {
    streams: Vec<Records>,
    /// The time of the last record of each stream, by the index of the stream.
    last_times: Vec<u64>,
    /// The next record of each stream: its time, and the index of the stream.
    next_records: BinaryHeap<Reverse<(u64, usize)>>,
    /// The indices of the streams that had no next record when they were last read.
    exhausted: Vec<usize>,
}

impl Streams {
    /// Merges the records of these journals by time. `grow` is whether the files are still being
    /// written.
    pub fn new(streams: Vec<Records>, grow: bool) -> io::Result<Self> {
        let mut all = Self {
            streams: Vec::new(),
            last_times: Vec::new(),
            next_records: BinaryHeap::new(),
            exhausted: Vec::new(),
        };
        all.add(streams, grow)?;
        Ok(all)
    }

    /// Adds streams, and sets whether all of them are still being written.
    pub fn add(&mut self, streams: Vec<Records>, grow: bool) -> io::Result<()> {
        self.exhausted.extend(self.streams.len()..self.streams.len() + streams.len());
        self.last_times.resize(self.streams.len() + streams.len(), 0);
        self.streams.extend(streams);
        self.streams.iter_mut().for_each(|s| s.set_growing(grow));
        self.refresh()
    }

    /// Reads the streams that had no next record again. Call this after determining the time up to
    /// which the files are complete.
    pub fn refresh(&mut self) -> io::Result<()> {
        std::mem::take(&mut self.exhausted).into_iter().try_for_each(|i| self.read_next(i))
    }

    /// Looks at the next record of the stream with this index, and adds it to `next_records`.
    fn read_next(&mut self, index: usize) -> io::Result<()> {
        match self.streams[index].peek()? {
            Some(header) => {
                self.last_times[index] = record_time(&header, self.last_times[index]);
                self.next_records.push(Reverse((self.last_times[index], index)));
            }
            None => self.exhausted.push(index),
        }
        Ok(())
    }

    /// Calls `handle` with the stream that has the next record of all streams, if that record was
    /// written no later than `until`. `handle` must take the record. Returns false if there is no
    /// such record.
    pub fn handle_next<E: From<io::Error>>(
        &mut self,
        until: u64,
        handle: impl FnOnce(&mut Records) -> Result<(), E>,
    ) -> Result<bool, E> {
        let Some(Reverse((_, index))) =
            self.next_records.peek().copied().filter(|Reverse((time, _))| *time <= until)
        else {
            return Ok(false);
        };
        self.next_records.pop();
        handle(&mut self.streams[index])?;
        self.read_next(index)?;
        Ok(true)
    }

    /// Returns the number of streams.
    pub fn count(&self) -> usize {
        self.streams.len()
    }

    /// Returns the total size of the journals in bytes.
    pub fn bytes(&self) -> io::Result<u64> {
        self.streams.iter().map(Records::len).sum()
    }

    /// Returns how many bytes of the journals were read.
    pub fn position(&self) -> u64 {
        self.streams.iter().map(Records::position).sum()
    }

    /// Returns the sum of the damage of all streams.
    pub fn damage(&self) -> Damage {
        self.streams.iter().map(Records::damage).fold(Damage::default(), |a, b| Damage {
            unusable_bytes: a.unusable_bytes.saturating_add(b.unusable_bytes),
            missing_records: a.missing_records.saturating_add(b.missing_records),
            torn_bytes: a.torn_bytes.saturating_add(b.torn_bytes),
        })
    }
}

/// Returns the time at which a record was written, at least `last_time`, the time of the record
/// before it in the stream.
fn record_time(header: &Header, last_time: u64) -> u64 {
    let time = match RecordKind::from_number(header.kind) {
        Some(RecordKind::Call | RecordKind::Part) => header.left,
        None => 0,
        Some(_) => header.entered,
    };
    time.max(last_time)
}
