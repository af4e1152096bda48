//! Writing records into the journal.
//!
//! Invariant: between [`RecordWriter::begin`] and [`RecordWriter::end`] one record is being
//! written. A record that may become long is begun as [`RecordSize::Large`]: its payloads go into
//! `Part` records of at most `PART_BYTES`, and a `Call` record without payloads ends them, so that
//! the recorder's memory does not grow with what the program transfers. After the journal has
//! failed, records are accepted and discarded; [`RecordWriter::has_failed`] returns true then.

mod at_entry;
pub(crate) mod at_start;
mod spans;

pub(crate) use at_entry::{EntryPayloads, EntrySink};

use crate::inspect::memory::{Span, read_spans};
use spans::SpanReader;
use trace::journal::Journal;
use trace::record::{CUT, Header, PART_BYTES, PayloadHeader, PayloadKind, RecordKind, UNREADABLE};

/// Whether a record's payloads may exceed `PART_BYTES`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum RecordSize {
    /// They do not: the record is written as a whole.
    Small,
    /// They may: they are written as `Part` records, before the record itself.
    Large,
}

/// What a payload is to hold.
#[derive(Clone, Copy, Debug)]
pub(crate) struct PayloadSpec {
    /// The argument that it belongs to.
    pub arg: u8,
    /// What kind of bytes it holds.
    pub kind: PayloadKind,
    /// Flags of its header.
    pub flags: u8,
    /// How many bytes the program has there.
    pub wanted: u64,
    /// The most bytes to capture.
    pub limit: u64,
}

impl PayloadSpec {
    /// Returns the header of a payload that stands for `wanted` bytes. Its length is filled in
    /// later.
    fn header(&self, wanted: u64) -> PayloadHeader {
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

/// Accepts the payloads of a call.
pub(crate) trait PayloadSink {
    /// Adds a payload from the memory of thread `tid`: the bytes of `spans`, one after the other.
    fn put_memory(&mut self, tid: i32, spec: PayloadSpec, spans: &[Span]);
    /// Adds a payload that consists of `bytes`. If there are fewer than `spec` wants, the rest is
    /// marked as unreadable.
    fn put_bytes(&mut self, spec: PayloadSpec, bytes: &[u8]) {
        self.put_with(spec, &mut |at, local| {
            let rest = bytes.get(at as usize..).unwrap_or_default();
            let n = rest.len().min(local.len());
            local[..n].copy_from_slice(&rest[..n]);
            n
        });
    }
    /// Adds a payload that `fill` provides. `fill(position, buffer)` reads bytes from this position
    /// of the payload on into the buffer, and returns how many it could read.
    fn put_with(&mut self, spec: PayloadSpec, fill: &mut dyn FnMut(u64, &mut [u8]) -> usize);
}

/// A journal, and the record that is being written into it.
pub(crate) struct RecordWriter {
    journal: Journal,
    /// The first error of the journal.
    failed: Option<trace::Error>,
    header: Header,
    size: RecordSize,
    /// Bytes of payloads in the current `Part` record.
    part_bytes: usize,
}

impl RecordWriter {
    /// Creates a writer for this journal.
    pub fn new(journal: Journal) -> Self {
        Self {
            journal,
            failed: None,
            header: Header::default(),
            size: RecordSize::Small,
            part_bytes: 0,
        }
    }
    /// Returns whether writing to the journal has failed.
    pub fn has_failed(&self) -> bool {
        self.failed.is_some()
    }
    /// Begins a record with this header, to which payloads can be added until it is ended.
    pub fn begin(&mut self, header: Header, size: RecordSize) {
        self.header = header;
        self.size = size;
        self.part_bytes = 0;
        self.begin_in_journal(size);
    }
    /// Begins a record in the journal: a `Part` record if `size` is large, else the record itself.
    fn begin_in_journal(&mut self, size: RecordSize) {
        let kind = match size {
            RecordSize::Small => self.header.kind,
            RecordSize::Large => RecordKind::Part as u8,
        };
        self.journal.begin(Header { kind, ..self.header });
    }
    /// Ends the record that was begun.
    pub fn end(&mut self) {
        if self.size == RecordSize::Large {
            self.commit();
            self.begin_in_journal(RecordSize::Small);
        }
        self.commit();
    }
    /// Ends `Part` records whose `Call` record is written later.
    pub fn end_parts(&mut self) {
        self.commit();
    }
    /// Completes the current record of the journal.
    fn commit(&mut self) {
        if self.failed.is_none() {
            self.failed = self.journal.commit().err();
        }
    }
    /// Writes buffered records to the file.
    pub fn flush(&mut self) {
        if self.failed.is_none() {
            self.failed = self.journal.flush().err();
        }
    }
    /// Writes everything to stable storage. Returns the first error of the journal, if there was
    /// one.
    pub fn finish(self) -> Option<trace::Error> {
        match self.failed {
            Some(e) => Some(e),
            None => self.journal.finish().err(),
        }
    }
    /// Writes an event without payloads. `time` is in nanoseconds of `CLOCK_MONOTONIC`.
    pub fn write_event(&mut self, kind: RecordKind, time: u64, pid: i32, tid: i32, args: [u64; 6]) {
        self.write_event_with(kind, time, pid, tid, args, &[]);
    }
    /// Writes an event with payloads, each given as argument, kind and bytes.
    pub fn write_event_with(
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
        self.begin(header, RecordSize::Small);
        for (arg, kind, bytes) in payloads {
            self.put_whole_payload(*arg, *kind, 0, bytes);
        }
        self.end();
    }
    /// Adds a payload that consists of exactly these bytes.
    pub fn put_whole_payload(&mut self, arg: u8, kind: PayloadKind, flags: u8, bytes: &[u8]) {
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
        self.part_bytes += bytes.len();
    }
    /// Adds a payload with a header that is already complete.
    pub fn put_payload(&mut self, header: PayloadHeader, bytes: &[u8]) {
        self.journal.add_payload(header, bytes);
        self.part_bytes += bytes.len();
    }
}

impl PayloadSink for RecordWriter {
    fn put_memory(&mut self, tid: i32, spec: PayloadSpec, spans: &[Span]) {
        if let [one] = spans {
            let (base, len) = (one.iov_base as u64, one.iov_len as u64);
            self.put_with(spec, &mut |at, local| {
                let n = (local.len() as u64).min(len.saturating_sub(at)) as usize;
                read_spans(tid, &[crate::inspect::memory::span(base.wrapping_add(at), n)], local)
            });
            return;
        }
        let mut next = SpanReader::new(spans);
        self.put_with(spec, &mut |_, local| next.read(tid, local));
    }

    fn put_with(&mut self, spec: PayloadSpec, fill: &mut dyn FnMut(u64, &mut [u8]) -> usize) {
        let len = spec.wanted.min(spec.limit);
        let is_large = self.size == RecordSize::Large;
        let mut done = 0;
        loop {
            if is_large && self.part_bytes >= PART_BYTES {
                self.commit();
                self.begin_in_journal(RecordSize::Large);
                self.part_bytes = 0;
            }
            let room = if is_large { PART_BYTES - self.part_bytes } else { PART_BYTES };
            let chunk = (len - done).min(room as u64) as usize;
            let last = done + chunk as u64 == len;
            // The last payload says how many bytes were cut off.
            let head = spec.header(if last { spec.wanted - done } else { chunk as u64 });
            let filled = fill(done, self.journal.reserve_payload(head, chunk)).min(chunk);
            let unreadable = if filled < chunk { UNREADABLE } else { 0 };
            let cut = if last && len < spec.wanted { CUT } else { 0 };
            self.journal.keep_reserved(filled, unreadable | cut);
            self.part_bytes += filled;
            done += filled as u64;
            if last || unreadable != 0 {
                return;
            }
        }
    }
}

/// Returns the time of `CLOCK_MONOTONIC`, in nanoseconds.
pub(crate) fn monotonic_ns() -> u64 {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: `time` is a valid place for the time.
    unsafe { libc::clock_gettime(libc::CLOCK_MONOTONIC, &mut time) };
    time.tv_sec as u64 * 1_000_000_000 + time.tv_nsec as u64
}
