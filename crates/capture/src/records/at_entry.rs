//! Payloads that are captured at the entry of a call and kept until its exit.

use super::spans::SpanReader;
use super::{PayloadSink, PayloadSpec, RecordSize, RecordWriter};
use crate::inspect::memory::Span;
use trace::record::{CUT, Header, PayloadHeader, UNREADABLE};

/// Accepts the payloads that are captured at the entry of a call. Long ones are written as `Part`
/// records at once; the others are kept until the exit.
pub(crate) struct EntrySink<'a> {
    /// Where payloads are kept.
    pub kept: &'a mut EntryPayloads,
    /// Where long payloads are written.
    pub out: &'a mut RecordWriter,
    /// The header of the call's record.
    pub header: Header,
}

/// Payloads that are kept until the exit of their call. The memory is reused for the next call.
#[derive(Default)]
pub(crate) struct EntryPayloads {
    /// The headers of the payloads.
    headers: Vec<PayloadHeader>,
    /// The bytes of all payloads, one after the other.
    bytes: Vec<u8>,
}

/// The size in bytes from which a payload is not kept in memory.
const MAX_KEPT_BYTES: u64 = 1 << 20;

impl EntryPayloads {
    /// Removes all payloads. Memory beyond 64 KiB is freed.
    pub fn clear(&mut self) {
        self.headers.clear();
        self.bytes.clear();
        self.bytes.shrink_to(64 << 10);
    }
    /// Adds the payloads to the record that is being written.
    pub fn put_into(&self, out: &mut RecordWriter) {
        let mut start = 0;
        for header in &self.headers {
            let end = start + header.len as usize;
            out.put_payload(*header, &self.bytes[start..end]);
            start = end;
        }
    }
}

impl EntrySink<'_> {
    /// Begins `Part` records if the payload is too long to be kept. Returns whether it did.
    fn begin_parts_if_long(&mut self, spec: &PayloadSpec) -> bool {
        let is_long = spec.wanted.min(spec.limit) > MAX_KEPT_BYTES;
        if is_long {
            self.out.begin(self.header, RecordSize::Large);
        }
        is_long
    }
}

impl PayloadSink for EntrySink<'_> {
    fn put_memory(&mut self, tid: i32, spec: PayloadSpec, spans: &[Span]) {
        if self.begin_parts_if_long(&spec) {
            self.out.put_memory(tid, spec, spans);
            return self.out.end_parts();
        }
        let mut reader = SpanReader::new(spans);
        self.put_with(spec, &mut |_, local| reader.read(tid, local));
    }
    fn put_with(&mut self, spec: PayloadSpec, fill: &mut dyn FnMut(u64, &mut [u8]) -> usize) {
        if self.begin_parts_if_long(&spec) {
            self.out.put_with(spec, fill);
            return self.out.end_parts();
        }
        let len = spec.wanted.min(spec.limit) as usize;
        let start = self.kept.bytes.len();
        self.kept.bytes.resize(start + len, 0);
        let filled = fill(0, &mut self.kept.bytes[start..]).min(len);
        self.kept.bytes.truncate(start + filled);
        let mut header = spec.header(spec.wanted);
        header.len = filled as u32;
        if filled < len {
            header.flags |= UNREADABLE;
        } else if (len as u64) < spec.wanted {
            header.flags |= CUT;
        }
        self.kept.headers.push(header);
    }
}
