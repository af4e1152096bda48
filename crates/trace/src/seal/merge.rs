//! The records of all streams in one order.
//!
//! Invariant: records of one stream keep their order, and the streams are merged by the time at which a record was made, as far as it is known: a call's return,
//! an event's time. A call that did not return, and a part of a call, say when they were made too; if they do not, they count as made when the record before them was.

use crate::journal::{Damage, Records};
use crate::record::{Header, RecordKind};
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
}

impl Streams {
    pub fn new(mut streams: Vec<Records>) -> io::Result<Self> {
        let mut made = vec![0; streams.len()];
        let mut next = BinaryHeap::new();
        for (i, stream) in streams.iter_mut().enumerate() {
            if let Some(header) = stream.peek()? {
                made[i] = when(&header, 0);
                next.push(Reverse((made[i], i)));
            }
        }
        Ok(Self { streams, made, next })
    }

    /// Lets `see` take the next record; false at the end.
    pub fn next<E: From<io::Error>>(&mut self, see: impl FnOnce(&mut Records) -> Result<(), E>) -> Result<bool, E> {
        let Some(Reverse((_, i))) = self.next.pop() else { return Ok(false) };
        let stream = &mut self.streams[i];
        see(stream)?;
        if let Some(header) = stream.peek()? {
            self.made[i] = when(&header, self.made[i]);
            self.next.push(Reverse((self.made[i], i)));
        }
        Ok(true)
    }

    /// Bytes of journal behind us.
    pub fn position(&self) -> u64 {
        self.streams.iter().map(Records::position).sum()
    }

    /// What was wrong with the streams.
    pub fn damage(&self) -> Damage {
        self.streams.iter().map(Records::damage).fold(Damage::default(), |a, b| Damage {
            bytes: a.bytes + b.bytes,
            records: a.records + b.records,
            torn: a.torn + b.torn,
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
