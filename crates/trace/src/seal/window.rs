//! The rows of the next segment.
//!
//! A row is complete: its payloads that came in several parts are joined. Data and other payloads
//! are in two buffers, in the order of arrival, so that sorting only moves the rows. Equal data are
//! stored once.

use crate::call::Event;
use crate::call::payloads::{DataBytes, parse_payloads};
use crate::format::record::{
    AT_EXIT, CUT, Header, NO_EXIT, PayloadHeader, PayloadKind, Payloads, RecordKind, UNREADABLE,
    append_payload, padded,
};
use crate::journal::{DataHash, Record, data_hash};
use ahash::HashMap;
use arrow_buffer::Buffer;
use zerocopy::{FromBytes, IntoBytes};

/// When a segment is full.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// It is full when it has this many rows,
    pub rows: usize,
    /// or when its data and payloads have this many bytes.
    pub bytes: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self { rows: 64 << 10, bytes: 64 << 20 }
    }
}

/// The payloads of one row are shortened to this many bytes, because a reader needs memory for the
/// longest row.
pub(super) const ROW_BYTES: usize = 256 << 20;

/// One call. A range is an offset and a length in bytes.
pub(super) struct Row {
    pub header: Header,
    /// The range in [`Window::data`], if the call has a data payload.
    pub data: Option<(u32, u32)>,
    /// The range in [`Window::payloads`].
    pub payloads: (u32, u32),
}

/// The rows of the next segment.
#[derive(Default)]
pub(super) struct Window {
    pub rows: Vec<Row>,
    pub data: Vec<u8>,
    pub payloads: Vec<u8>,
    /// The events of the same time.
    pub events: Vec<Event>,
    event_bytes: usize,
    /// The offsets of data in `data`, by their hash and length.
    data_index: HashMap<DataHash, usize>,
    /// The recording's random id.
    recording: u64,
}

/// Counts of payloads.
#[derive(Default)]
pub(super) struct Counts {
    pub captured: u64,
    pub unreadable: u64,
    /// The number of payloads that the engine shortened.
    pub cut: u64,
    /// The number of payloads that were shortened here, because the row was too long.
    pub shortened: u64,
}

type PartPayload = (PayloadHeader, Vec<u8>);

/// Payloads that came before the record of their call, by thread and time of entry.
#[derive(Default)]
pub(super) struct PendingParts {
    waiting: HashMap<(u32, u64), Vec<PartPayload>>,
    bytes: usize,
    dropped: u64,
}

/// The largest number of calls of which parts may wait. Only a forged journal has more.
const MAX_WAITING_CALLS: usize = 1 << 16;

impl PendingParts {
    /// Keeps the payloads of a `Part` record until the record of their call comes. At most
    /// [`MAX_WAITING_CALLS`] calls and twice [`ROW_BYTES`] are kept.
    pub fn add(&mut self, record: Record<'_>, counts: &mut Counts) {
        if self.waiting.len() >= MAX_WAITING_CALLS {
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

    /// Returns whether payloads of this call wait.
    pub fn has_parts_of(&self, header: &Header) -> bool {
        !self.waiting.is_empty() && self.waiting.contains_key(&(header.tid, header.entered))
    }

    /// Removes and returns the payloads of a call.
    fn remove(&mut self, header: &Header) -> Vec<(PayloadHeader, Vec<u8>)> {
        if self.waiting.is_empty() {
            return Vec::new();
        }
        let parts = self.waiting.remove(&(header.tid, header.entered)).unwrap_or_default();
        self.bytes -= parts.iter().map(|(_, b)| b.len()).sum::<usize>();
        parts
    }

    /// Returns the number of calls of which only parts were found.
    pub fn orphans(&self) -> u64 {
        self.waiting.len() as u64 + self.dropped
    }
}

impl Window {
    /// Creates an empty window. `recording` is the recording's random id.
    pub fn new(recording: u64) -> Self {
        Self { recording, ..Self::default() }
    }

    /// Returns the content of the window and leaves an empty one.
    pub fn take(&mut self) -> Self {
        let next = Self::new(self.recording);
        std::mem::replace(self, next)
    }

    /// Returns whether the window holds data with this hash and length.
    pub fn has_data(&self, data: &DataHash) -> bool {
        self.data_index.contains_key(data)
    }

    /// Returns whether the window has reached one of the limits.
    pub fn is_full(&self, limits: Limits) -> bool {
        self.rows.len().max(self.events.len()) >= limits.rows || self.bytes() >= limits.bytes
    }

    /// Returns the number of bytes of data and payloads.
    pub fn bytes(&self) -> usize {
        self.data.len() + self.payloads.len() + self.event_bytes
    }

    /// Adds an event, which the inference needs.
    pub fn add_event(&mut self, record: &Record<'_>) {
        let header = &record.header;
        let Some(kind) = RecordKind::from_number(header.kind) else { return };
        self.event_bytes += record.body.len();
        let payloads =
            parse_payloads(&Buffer::from(record.body), DataBytes::Inline).unwrap_or_default();
        self.events.push(Event {
            time: header.entered,
            kind,
            pid: header.pid,
            tid: header.tid,
            args: header.args,
            payloads,
        });
    }

    /// Adds a call, with its payloads and those of its parts.
    pub fn add(&mut self, record: Record<'_>, parts: &mut PendingParts, counts: &mut Counts) {
        let data_limit = written_at_most(&record.header);
        let mut row =
            RowBuilder { window: self, data: None, payloads: 0, head: None, data_limit, counts };
        row.begin();
        for (head, bytes) in &parts.remove(&record.header) {
            row.add_payload(*head, bytes, true);
        }
        if let Some(data) = &record.omitted_data
            && let Ok((head, _)) = PayloadHeader::read_from_prefix(record.body)
        {
            row.add_omitted_data(head, data.1);
        }
        for (head, bytes) in Payloads::new(record.body) {
            row.add_payload(head, bytes, false);
        }
        let (data, payloads) = (row.data, row.payloads);
        let known = record
            .omitted_data
            .and_then(|data| Some((*self.data_index.get(&data)? as u32, data.1 as u32)));
        let data = known.or_else(|| data.map(|start| self.deduplicate(start)));
        self.rows.push(Row {
            header: record.header,
            data,
            payloads: (payloads as u32, (self.payloads.len() - payloads) as u32),
        });
    }
}

/// Data shorter than this many bytes may be stored several times.
const MIN_SHARED_BYTES: usize = 64;

impl Window {
    /// Returns the range of the data that begin at `start` and end the buffer. If equal data were
    /// stored before, it removes the new ones and returns the range of the old ones.
    fn deduplicate(&mut self, start: usize) -> (u32, u32) {
        let data = &self.data[start..];
        let len = data.len();
        if len < MIN_SHARED_BYTES {
            return (start as u32, len as u32);
        }
        let first = *self.data_index.entry(data_hash(data, self.recording)).or_insert(start);
        if first != start {
            self.data.truncate(start);
        }
        (first as u32, len as u32)
    }
}

/// Adds the payloads of one row to a window.
struct RowBuilder<'a> {
    window: &'a mut Window,
    data: Option<usize>,
    payloads: usize,
    /// The offset and the head of the last payload, if it came in a part.
    head: Option<(usize, PayloadHeader)>,
    /// How many more bytes of data captured at entry belong to the row, if that is limited.
    data_limit: Option<u64>,
    counts: &'a mut Counts,
}

/// Returns how many bytes an operation of io_uring took from the program's memory, if it returns
/// that: its data was captured before its result was known. Returns `None` for other calls.
fn written_at_most(header: &Header) -> Option<u64> {
    let returns_bytes = header.nr >= abi::OPERATIONS
        && header.flags & NO_EXIT == 0
        && abi::by_number(header.nr).is_some_and(|row| row.spec.ret == abi::Ret::Bytes);
    returns_bytes.then(|| u64::try_from(header.ret).unwrap_or(0))
}

/// Shortens data that were captured at entry to the `limit` bytes that the call took, and lowers the
/// limit by as many as remain.
fn limit_data<'b>(limit: &mut u64, head: &mut PayloadHeader, bytes: &'b [u8]) -> &'b [u8] {
    head.wanted = head.wanted.min(*limit);
    *limit -= head.wanted;
    let taken = bytes.len().min(usize::try_from(head.wanted).unwrap_or(usize::MAX));
    head.len = taken as u32;
    &bytes[..taken]
}

impl RowBuilder<'_> {
    /// Starts the row.
    fn begin(&mut self) {
        self.payloads = self.window.payloads.len();
    }

    /// Adds the head of a data payload whose data the window holds already.
    fn add_omitted_data(&mut self, head: PayloadHeader, len: u64) {
        self.counts.captured += len;
        self.counts.cut += u64::from(head.flags & CUT != 0);
        self.window.payloads.extend_from_slice(head.as_bytes());
    }

    /// Adds a payload. `is_part`: it came in a `Part` record, so that the next payload of the same
    /// argument continues it.
    fn add_payload(&mut self, mut head: PayloadHeader, bytes: &[u8], is_part: bool) {
        let is_data = head.kind == PayloadKind::Data as u8;
        let bytes = match &mut self.data_limit {
            Some(limit) if is_data && head.flags & AT_EXIT == 0 => {
                limit_data(limit, &mut head, bytes)
            }
            _ => bytes,
        };
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
        if is_data {
            self.data.get_or_insert(window.data.len());
            window.data.extend_from_slice(bytes);
        }
        // A long piece that came in parts is one piece again.
        if let Some((at, mut first)) = self.head.take()
            && (first.arg, first.kind, first.flags & AT_EXIT)
                == (head.arg, head.kind, head.flags & AT_EXIT)
        {
            let body = at + size_of::<PayloadHeader>();
            if !is_data {
                window.payloads.truncate(body + first.len as usize);
                window.payloads.extend_from_slice(bytes);
                window.payloads.resize(padded(window.payloads.len()), 0);
            }
            first.len += head.len;
            first.wanted += head.wanted;
            first.flags |= head.flags;
            window.payloads[at..body].copy_from_slice(first.as_bytes());
            self.head = is_part.then_some((at, first));
            return;
        }
        if is_part {
            self.head = Some((window.payloads.len(), head));
        }
        append_payload(&mut window.payloads, head, if is_data { &[] } else { bytes });
    }
}
