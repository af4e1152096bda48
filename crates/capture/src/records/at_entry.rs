//! What is read at a call's entry, until its exit.

use super::spans::SpanReader;
use super::{PayloadSink, PayloadSpec, RecordWriter};
use crate::inspect::memory::Span;
use trace::record::{CUT, Header, PayloadHeader, UNREADABLE};

/// What is read at a call's entry and waits for its exit. Long data do not wait: they go out as
/// parts at once.
pub(crate) struct EntrySink<'a> {
    pub waiting: &'a mut EntryPayloads,
    pub out: &'a mut RecordWriter,
    pub header: Header,
}

/// Payloads that wait for their call's exit; the memory is used again for the next call.
#[derive(Default)]
pub(crate) struct EntryPayloads {
    heads: Vec<PayloadHeader>,
    bytes: Vec<u8>,
}

/// Payloads up to this size wait.
const MOST_WAITING: u64 = 1 << 20;

impl EntryPayloads {
    pub fn clear(&mut self) {
        self.heads.clear();
        self.bytes.clear();
        self.bytes.shrink_to(64 << 10);
    }
    /// Puts them into the record under way.
    pub fn put(&self, out: &mut RecordWriter) {
        let mut at = 0;
        for head in &self.heads {
            let end = at + head.len as usize;
            out.payload(*head, &self.bytes[at..end]);
            at = end;
        }
    }
}

impl EntrySink<'_> {
    fn parts(&mut self, due: &PayloadSpec) -> bool {
        let parts = due.wanted.min(due.limit) > MOST_WAITING;
        if parts {
            self.out.begin(self.header, true);
        }
        parts
    }
}

impl PayloadSink for EntrySink<'_> {
    fn put_memory(&mut self, tid: i32, due: PayloadSpec, spans: &[Span]) {
        if self.parts(&due) {
            self.out.put_memory(tid, due, spans);
            return self.out.end_parts();
        }
        let mut next = SpanReader::new(spans);
        self.put_with(due, &mut |_, local| next.read(tid, local));
    }
    fn put_with(&mut self, due: PayloadSpec, fill: &mut dyn FnMut(u64, &mut [u8]) -> usize) {
        if self.parts(&due) {
            self.out.put_with(due, fill);
            return self.out.end_parts();
        }
        let take = due.wanted.min(due.limit) as usize;
        let at = self.waiting.bytes.len();
        self.waiting.bytes.resize(at + take, 0);
        let got = fill(0, &mut self.waiting.bytes[at..]).min(take);
        self.waiting.bytes.truncate(at + got);
        let mut head = due.head(due.wanted);
        head.len = got as u32;
        if got < take {
            head.flags |= UNREADABLE;
        } else if (take as u64) < due.wanted {
            head.flags |= CUT;
        }
        self.waiting.heads.push(head);
    }
}
