//! Records on their way into the journal.
//!
//! Invariant: between [`RecordWriter::begin`] and [`RecordWriter::end`] there is one record under
//! way. A record that may become long is begun as large: then what it holds goes out in `Part`
//! records of at most `PART_BYTES`, and an empty `Call` record ends them, so that our memory does
//! not grow with what the program moves. After the journal has failed everything is taken and
//! thrown away; [`RecordWriter::failed`] tells.

mod at_entry;
pub(crate) mod at_start;
mod spans;

pub(crate) use at_entry::{EntryPayloads, EntrySink};

use crate::inspect::memory::{Span, read_spans};
use spans::SpanReader;
use trace::journal::Journal;
use trace::record::{CUT, Header, PART_BYTES, PayloadHeader, PayloadKind, RecordKind, UNREADABLE};

/// Bytes of a call that are to be kept.
#[derive(Clone, Copy, Debug)]
pub(crate) struct PayloadSpec {
    pub arg: u8,
    pub kind: PayloadKind,
    pub flags: u8,
    /// How many there are.
    pub wanted: u64,
    /// How many are asked for.
    pub limit: u64,
}

impl PayloadSpec {
    fn head(&self, wanted: u64) -> PayloadHeader {
        PayloadHeader {
            arg: self.arg,
            kind: self.kind as u8,
            flags: self.flags,
            pad: 0,
            len: 0,
            wanted,
        }
    }
}

/// Where the bytes of a call go.
pub(crate) trait PayloadSink {
    /// Bytes of the program's memory: the stretches one after the other.
    fn put_memory(&mut self, tid: i32, due: PayloadSpec, spans: &[Span]);
    /// Bytes that we have; fewer than due means that the rest could not be read.
    fn put_bytes(&mut self, due: PayloadSpec, bytes: &[u8]) {
        self.put_with(due, &mut |at, local| {
            let rest = bytes.get(at as usize..).unwrap_or_default();
            let n = rest.len().min(local.len());
            local[..n].copy_from_slice(&rest[..n]);
            n
        });
    }
    /// Bytes that `fill` reads, from a position on; it returns how many it read.
    fn put_with(&mut self, due: PayloadSpec, fill: &mut dyn FnMut(u64, &mut [u8]) -> usize);
}

/// The journal, and the record under way.
pub(crate) struct RecordWriter {
    journal: Journal,
    failed: Option<trace::Error>,
    header: Header,
    large: bool,
    in_part: usize,
}

impl RecordWriter {
    pub fn new(journal: Journal) -> Self {
        Self { journal, failed: None, header: Header::default(), large: false, in_part: 0 }
    }
    /// Whether the journal has failed.
    pub fn failed(&self) -> bool {
        self.failed.is_some()
    }
    /// Begins the record of a call.
    pub fn begin(&mut self, header: Header, large: bool) {
        self.header = header;
        self.large = large;
        self.in_part = 0;
        self.open(large);
    }
    fn open(&mut self, part: bool) {
        let kind = if part { RecordKind::Part as u8 } else { self.header.kind };
        self.journal.begin(Header { kind, ..self.header });
    }
    /// Ends it.
    pub fn end(&mut self) {
        if self.large {
            self.commit();
            self.open(false);
        }
        self.commit();
    }
    /// Ends a record of parts whose call will come later.
    pub fn end_parts(&mut self) {
        self.commit();
    }
    fn commit(&mut self) {
        if self.failed.is_none() {
            self.failed = self.journal.commit().err();
        }
    }
    /// Writes what is waiting.
    pub fn flush(&mut self) {
        if self.failed.is_none() {
            self.failed = self.journal.flush().err();
        }
    }
    /// Makes all of it durable; the error that the journal had, if any.
    pub fn finish(self) -> Option<trace::Error> {
        match self.failed {
            Some(e) => Some(e),
            None => self.journal.finish().err(),
        }
    }
    /// An event without payloads.
    pub fn event(&mut self, kind: RecordKind, time: u64, pid: i32, tid: i32, args: [u64; 6]) {
        self.event_with(kind, time, pid, tid, args, &[]);
    }
    /// An event.
    pub fn event_with(
        &mut self,
        kind: RecordKind,
        time: u64,
        pid: i32,
        tid: i32,
        args: [u64; 6],
        payloads: &[(u8, PayloadKind, &[u8])],
    ) {
        let header = Header {
            kind: kind as u8,
            pid: pid as u32,
            tid: tid as u32,
            entered: time,
            left: time,
            args,
            ..Header::default()
        };
        self.begin(header, false);
        for (arg, kind, bytes) in payloads {
            self.whole_payload(*arg, *kind, 0, bytes);
        }
        self.end();
    }
    /// Bytes that are ours and whole.
    pub fn whole_payload(&mut self, arg: u8, kind: PayloadKind, flags: u8, bytes: &[u8]) {
        self.journal.add_payload(
            PayloadHeader {
                arg,
                kind: kind as u8,
                flags,
                pad: 0,
                len: 0,
                wanted: bytes.len() as u64,
            },
            bytes,
        );
        self.in_part += bytes.len();
    }
    /// A payload that was kept since the call's entry.
    pub fn payload(&mut self, head: PayloadHeader, bytes: &[u8]) {
        self.journal.add_payload(head, bytes);
        self.in_part += bytes.len();
    }
}

impl PayloadSink for RecordWriter {
    fn put_memory(&mut self, tid: i32, due: PayloadSpec, spans: &[Span]) {
        if let [one] = spans {
            let (base, len) = (one.iov_base as u64, one.iov_len as u64);
            self.put_with(due, &mut |at, local| {
                let n = (local.len() as u64).min(len.saturating_sub(at)) as usize;
                read_spans(tid, &[crate::inspect::memory::span(base.wrapping_add(at), n)], local)
            });
            return;
        }
        let mut next = SpanReader::new(spans);
        self.put_with(due, &mut |_, local| next.read(tid, local));
    }

    fn put_with(&mut self, due: PayloadSpec, fill: &mut dyn FnMut(u64, &mut [u8]) -> usize) {
        let take = due.wanted.min(due.limit);
        let mut done = 0;
        loop {
            if self.large && self.in_part >= PART_BYTES {
                self.commit();
                self.open(true);
                self.in_part = 0;
            }
            let room = if self.large { PART_BYTES - self.in_part } else { PART_BYTES };
            let chunk = (take - done).min(room as u64) as usize;
            let last = done + chunk as u64 == take;
            // What is cut off is told by the last payload.
            let head = due.head(if last { due.wanted - done } else { chunk as u64 });
            let got = fill(done, self.journal.reserve_payload(head, chunk)).min(chunk);
            let short = if got < chunk { UNREADABLE } else { 0 };
            let cut = if last && take < due.wanted { CUT } else { 0 };
            self.journal.keep_reserved(got, short | cut);
            self.in_part += got;
            done += got as u64;
            if last || short != 0 {
                return;
            }
        }
    }
}

/// Nanoseconds of `CLOCK_MONOTONIC`.
pub(crate) fn now() -> u64 {
    let mut t = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: `t` is a valid place for the time.
    unsafe { libc::clock_gettime(libc::CLOCK_MONOTONIC, &mut t) };
    t.tv_sec as u64 * 1_000_000_000 + t.tv_nsec as u64
}
