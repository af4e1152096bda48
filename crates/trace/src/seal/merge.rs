//! The records of all streams in one order.
//!
//! Invariant: records of one stream keep their order, and the streams are merged by the time at
//! which a record was made, as far as it is known: a call's return, an event's time. A call that
//! did not return, and a part of a call, say when they were made too; if they do not, they count as
//! made when the record before them was. While streams grow, records are given up to a moment until
//! which the files hold everything: a stream that has none then has none of before that moment.

use crate::format::record::{Header, RecordKind};
use crate::journal::{Damage, Records};
use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::io;

/// The streams of a recording.
pub(super) struct Streams {
    streams: Vec<Records>,
    /// When the last record of each stream was made.
    made: Vec<u64>,
    /// The next record of each stream: when, and which stream.
    next: BinaryHeap<Reverse<(u64, usize)>>,
    /// Streams that had no next record when they were looked at.
    exhausted: Vec<usize>,
}

impl Streams {
    /// `grow`: the files are being written.
    pub fn new(streams: Vec<Records>, grow: bool) -> io::Result<Self> {
        let mut all = Self {
            streams: Vec::new(),
            made: Vec::new(),
            next: BinaryHeap::new(),
            exhausted: Vec::new(),
        };
        all.add(streams, grow)?;
        Ok(all)
    }

    /// More streams; from now on they all grow, or none does.
    pub fn add(&mut self, streams: Vec<Records>, grow: bool) -> io::Result<()> {
        self.exhausted.extend(self.streams.len()..self.streams.len() + streams.len());
        self.made.resize(self.streams.len() + streams.len(), 0);
        self.streams.extend(streams);
        self.streams.iter_mut().for_each(|s| s.grows(grow));
        self.refresh()
    }

    /// Looks what has come to streams that had nothing more. To be asked after it was learnt until
    /// when the files hold everything.
    pub fn refresh(&mut self) -> io::Result<()> {
        std::mem::take(&mut self.exhausted).into_iter().try_for_each(|i| self.peek(i))
    }

    fn peek(&mut self, i: usize) -> io::Result<()> {
        match self.streams[i].peek()? {
            Some(header) => {
                self.made[i] = when(&header, self.made[i]);
                self.next.push(Reverse((self.made[i], i)));
            }
            None => self.exhausted.push(i),
        }
        Ok(())
    }

    /// Lets `see` take the next record that was made until then; false if there is none.
    pub fn next<E: From<io::Error>>(
        &mut self,
        until: u64,
        see: impl FnOnce(&mut Records) -> Result<(), E>,
    ) -> Result<bool, E> {
        let Some(Reverse((_, i))) =
            self.next.peek().copied().filter(|Reverse((made, _))| *made <= until)
        else {
            return Ok(false);
        };
        self.next.pop();
        see(&mut self.streams[i])?;
        self.peek(i)?;
        Ok(true)
    }

    /// How many there are.
    pub fn count(&self) -> usize {
        self.streams.len()
    }

    /// Bytes of journal in all.
    pub fn bytes(&self) -> io::Result<u64> {
        self.streams.iter().map(Records::len).sum()
    }

    /// Bytes of journal behind us.
    pub fn position(&self) -> u64 {
        self.streams.iter().map(Records::position).sum()
    }

    /// What was wrong with the streams.
    pub fn damage(&self) -> Damage {
        self.streams.iter().map(Records::damage).fold(Damage::default(), |a, b| Damage {
            bytes: a.bytes.saturating_add(b.bytes),
            records: a.records.saturating_add(b.records),
            torn: a.torn.saturating_add(b.torn),
        })
    }
}

fn when(header: &Header, before: u64) -> u64 {
    let own = match RecordKind::from_number(header.kind) {
        Some(RecordKind::Call | RecordKind::Part) => header.left,
        None => 0,
        Some(_) => header.entered,
    };
    own.max(before)
}
