//! The rows that are to become the next segment.
//!
//! A row is complete here: the payloads of its parts have been joined. Bulk data and payloads lie
//! in two arenas, in the order of arrival; sorting moves only the rows. Equal data lie there once.

use crate::call::Event;
use crate::call::payloads::{DataBytes, payloads};
use crate::format::record::{
    AT_EXIT, CUT, Header, PayloadHeader, PayloadKind, Payloads, RecordKind, UNREADABLE, padded,
    put_payload,
};
use crate::journal::{DataHash, Record, data_hash};
use ahash::HashMap;
use arrow::buffer::Buffer;
use zerocopy::{FromBytes, IntoBytes};

/// When a segment is full.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// At so many rows,
    pub rows: usize,
    /// or when its bulk data and payloads come to so many bytes.
    pub bytes: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self { rows: 64 << 10, bytes: 64 << 20 }
    }
}

/// The bytes of one row are cut here: readers need memory for the longest row.
pub(super) const ROW_BYTES: usize = 256 << 20;

/// One call.
pub(super) struct Row {
    pub header: Header,
    /// In [`Window::data`], if there was a data payload.
    pub data: Option<(u32, u32)>,
    /// In [`Window::payloads`].
    pub payloads: (u32, u32),
}

/// The rows to come.
#[derive(Default)]
pub(super) struct Window {
    pub rows: Vec<Row>,
    pub data: Vec<u8>,
    pub payloads: Vec<u8>,
    /// What happened meanwhile.
    pub events: Vec<Event>,
    event_bytes: usize,
    /// Where data begin, by their hash and length.
    known: HashMap<DataHash, usize>,
    /// The recording's number.
    recording: u64,
}

/// What adding rows counted.
#[derive(Default)]
pub(super) struct Counts {
    pub captured: u64,
    pub unreadable: u64,
    /// Payloads cut by the engine.
    pub cut: u64,
    /// Payloads cut here: the row was too long.
    pub shortened: u64,
}

type Part = (PayloadHeader, Vec<u8>);

/// Payloads that came before their call, by thread and entry.
#[derive(Default)]
pub(super) struct Parts {
    waiting: HashMap<(u32, u64), Vec<Part>>,
    bytes: usize,
    dropped: u64,
}

/// Calls of which parts may be waiting.
const CALLS: usize = 1 << 16;

impl Parts {
    /// Keeps the payloads of a part until its call comes. Only a forged journal has more than
    /// [`CALLS`] calls waiting.
    pub fn add(&mut self, record: Record<'_>, counts: &mut Counts) {
        if self.waiting.len() >= CALLS {
            self.dropped += 1;
            return;
        }
        let waiting = self.waiting.entry((record.header.tid, record.header.entered)).or_default();
        for (mut head, mut bytes) in Payloads::new(record.body) {
            if self.bytes + bytes.len() > 2 * ROW_BYTES {
                bytes = &[];
                head.len = 0;
                head.flags |= CUT;
                counts.shortened += 1;
            }
            self.bytes += bytes.len();
            waiting.push((head, bytes.to_vec()));
        }
    }

    /// Whether payloads of this call came.
    pub fn has_parts_of(&self, header: &Header) -> bool {
        !self.waiting.is_empty() && self.waiting.contains_key(&(header.tid, header.entered))
    }

    fn take(&mut self, header: &Header) -> Vec<(PayloadHeader, Vec<u8>)> {
        if self.waiting.is_empty() {
            return Vec::new();
        }
        let parts = self.waiting.remove(&(header.tid, header.entered)).unwrap_or_default();
        self.bytes -= parts.iter().map(|(_, b)| b.len()).sum::<usize>();
        parts
    }

    /// Calls of which only parts came.
    pub fn orphans(&self) -> u64 {
        self.waiting.len() as u64 + self.dropped
    }
}

impl Window {
    /// An empty one, for the recording with this number.
    pub fn new(recording: u64) -> Self {
        Self { recording, ..Self::default() }
    }

    /// Takes what is there, and leaves an empty one.
    pub fn take(&mut self) -> Self {
        let next = Self::new(self.recording);
        std::mem::replace(self, next)
    }

    /// Whether such data are there.
    pub fn knows(&self, data: &DataHash) -> bool {
        self.known.contains_key(data)
    }

    pub fn is_full(&self, limits: Limits) -> bool {
        self.rows.len().max(self.events.len()) >= limits.rows || self.bytes() >= limits.bytes
    }

    /// Bytes of data and payloads.
    pub fn bytes(&self) -> usize {
        self.data.len() + self.payloads.len() + self.event_bytes
    }

    /// Adds an event, for the world to know.
    pub fn add_event(&mut self, record: &Record<'_>) {
        let header = &record.header;
        let Some(kind) = RecordKind::from_number(header.kind) else { return };
        self.event_bytes += record.body.len();
        let payloads = payloads(&Buffer::from(record.body), DataBytes::Inline).unwrap_or_default();
        self.events.push(Event {
            time: header.entered,
            kind,
            pid: header.pid,
            tid: header.tid,
            args: header.args,
            payloads,
        });
    }

    /// Adds a call.
    pub fn add(&mut self, record: Record<'_>, parts: &mut Parts, counts: &mut Counts) {
        let mut row = RowBuilder { window: self, data: None, payloads: 0, head: None, counts };
        row.begin();
        for (head, bytes) in &parts.take(&record.header) {
            row.payload(*head, bytes, true);
        }
        if let Some(data) = &record.known
            && let Ok((head, _)) = PayloadHeader::read_from_prefix(record.body)
        {
            row.refer(head, data.1);
        }
        for (head, bytes) in Payloads::new(record.body) {
            row.payload(head, bytes, false);
        }
        let (data, payloads) = (row.data, row.payloads);
        let known =
            record.known.and_then(|data| Some((*self.known.get(&data)? as u32, data.1 as u32)));
        let data = known.or_else(|| data.map(|start| self.deduplicate(start)));
        self.rows.push(Row {
            header: record.header,
            data,
            payloads: (payloads as u32, (self.payloads.len() - payloads) as u32),
        });
    }
}

/// Shorter data may be there several times.
const MIN_SHARED_BYTES: usize = 64;

impl Window {
    /// The place of the data that begin at `start` and are the last: that of equal ones if they
    /// were there before.
    fn deduplicate(&mut self, start: usize) -> (u32, u32) {
        let data = &self.data[start..];
        let len = data.len();
        if len < MIN_SHARED_BYTES {
            return (start as u32, len as u32);
        }
        let first = *self.known.entry(data_hash(data, self.recording)).or_insert(start);
        if first != start {
            self.data.truncate(start);
        }
        (first as u32, len as u32)
    }
}

struct RowBuilder<'a> {
    window: &'a mut Window,
    data: Option<usize>,
    payloads: usize,
    /// Where the head of the last payload stands, if that came in a part.
    head: Option<(usize, PayloadHeader)>,
    counts: &'a mut Counts,
}

impl RowBuilder<'_> {
    fn begin(&mut self) {
        self.payloads = self.window.payloads.len();
    }

    /// The payload whose head this is has data that are there.
    fn refer(&mut self, head: PayloadHeader, len: u64) {
        self.counts.captured += len;
        self.counts.cut += u64::from(head.flags & CUT != 0);
        self.window.payloads.extend_from_slice(head.as_bytes());
    }

    fn payload(&mut self, mut head: PayloadHeader, bytes: &[u8], part: bool) {
        let bulk = head.kind == PayloadKind::Data as u8;
        let room = (ROW_BYTES - (self.window.payloads.len() - self.payloads))
            .saturating_sub(self.data.map_or(0, |start| self.window.data.len() - start));
        let bytes = if bytes.len() > room {
            head.flags |= CUT;
            head.len = room as u32;
            self.counts.shortened += 1;
            &bytes[..room]
        } else {
            bytes
        };
        self.counts.captured += bytes.len() as u64;
        self.counts.unreadable += u64::from(head.flags & UNREADABLE != 0);
        self.counts.cut += u64::from(head.flags & CUT != 0);
        let window = &mut *self.window;
        if bulk {
            self.data.get_or_insert(window.data.len());
            window.data.extend_from_slice(bytes);
        }
        // A long piece that came in parts is one piece again.
        if let Some((at, mut first)) = self.head.take()
            && (first.arg, first.kind, first.flags & AT_EXIT)
                == (head.arg, head.kind, head.flags & AT_EXIT)
        {
            let body = at + size_of::<PayloadHeader>();
            if !bulk {
                window.payloads.truncate(body + first.len as usize);
                window.payloads.extend_from_slice(bytes);
                window.payloads.resize(padded(window.payloads.len()), 0);
            }
            first.len += head.len;
            first.wanted += head.wanted;
            first.flags |= head.flags;
            window.payloads[at..body].copy_from_slice(first.as_bytes());
            self.head = part.then_some((at, first));
            return;
        }
        if part {
            self.head = Some((window.payloads.len(), head));
        }
        put_payload(&mut window.payloads, head, if bulk { &[] } else { bytes });
    }
}
