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
    /// The head of the call's record.
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
    /// The events that were read together with these rows.
    pub events: Vec<Event>,
    /// The number of payload bytes of `events`.
    event_bytes: usize,
    /// The offsets of data in `data`, by their hash and length.
    data_offsets: HashMap<DataHash, usize>,
    /// The recording's random id.
    recording: u64,
}

/// Counts of payloads, and of their bytes.
#[derive(Default)]
pub(super) struct Counts {
    /// The number of bytes captured.
    pub captured_bytes: u64,
    /// The number of payloads of which some memory could not be read.
    pub unreadable: u64,
    /// The number of payloads that the engine shortened.
    pub cut: u64,
    /// The number of payloads that were shortened here, because the row was too long.
    pub shortened: u64,
}

/// A payload that came in a part: its head, and its bytes.
type PartPayload = (PayloadHeader, Vec<u8>);

/// Payloads that came before the record of their call, by thread and time of entry.
#[derive(Default)]
pub(super) struct PendingParts {
    payloads_of_calls: HashMap<(u32, u64), Vec<PartPayload>>,
    /// The number of bytes of these payloads.
    bytes: usize,
    /// The number of parts that were dropped because of the limits.
    dropped_parts: u64,
}

/// The largest number of calls of which parts may wait. Only a forged journal has more.
const MAX_WAITING_CALLS: usize = 1 << 16;

impl PendingParts {
    /// Keeps the payloads of a `Part` record until the record of their call comes. At most
    /// [`MAX_WAITING_CALLS`] calls and twice [`ROW_BYTES`] are kept.
    pub fn add(&mut self, record: Record<'_>, counts: &mut Counts) {
        if self.payloads_of_calls.len() >= MAX_WAITING_CALLS {
            self.dropped_parts += 1;
            return;
        }
        let waiting =
            self.payloads_of_calls.entry((record.header.tid, record.header.entered)).or_default();
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
        !self.payloads_of_calls.is_empty()
            && self.payloads_of_calls.contains_key(&(header.tid, header.entered))
    }

    /// Removes and returns the payloads of a call.
    fn remove(&mut self, header: &Header) -> Vec<(PayloadHeader, Vec<u8>)> {
        if self.payloads_of_calls.is_empty() {
            return Vec::new();
        }
        let parts =
            self.payloads_of_calls.remove(&(header.tid, header.entered)).unwrap_or_default();
        self.bytes -= parts.iter().map(|(_, b)| b.len()).sum::<usize>();
        parts
    }

    /// Returns the number of calls of which only parts were found so far; a dropped part counts as
    /// one call.
    pub fn incomplete_calls(&self) -> u64 {
        self.payloads_of_calls.len() as u64 + self.dropped_parts
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
        self.data_offsets.contains_key(data)
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
        let data_limit = bytes_taken(&record.header);
        let mut row = RowBuilder {
            window: self,
            data_start: None,
            payloads_start: 0,
            open_part: None,
            data_limit,
            counts,
        };
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
        let (data, payloads) = (row.data_start, row.payloads_start);
        let known = record
            .omitted_data
            .and_then(|data| Some((*self.data_offsets.get(&data)? as u32, data.1 as u32)));
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
    /// Returns the range of the data that begin at `start` and extend to the end of `data`. If the
    /// window holds equal data already, removes the new ones and returns the range of the old ones.
    fn deduplicate(&mut self, start: usize) -> (u32, u32) {
        let data = &self.data[start..];
        let len = data.len();
        if len < MIN_SHARED_BYTES {
            return (start as u32, len as u32);
        }
        let earlier = *self.data_offsets.entry(data_hash(data, self.recording)).or_insert(start);
        if earlier != start {
            self.data.truncate(start);
        }
        (earlier as u32, len as u32)
    }
}

/// Adds the payloads of one row to a window.
struct RowBuilder<'a> {
    window: &'a mut Window,
    /// Where the row's data begin in [`Window::data`], if there are any.
    data_start: Option<usize>,
    /// Where the row's payloads begin in [`Window::payloads`].
    payloads_start: usize,
    /// The offset of the last payload in [`Window::payloads`], and its head, if it came in a part:
    /// the next payload may continue it.
    open_part: Option<(usize, PayloadHeader)>,
    /// How many more bytes of data captured at entry belong to the row, if that is limited.
    data_limit: Option<u64>,
    counts: &'a mut Counts,
}

/// Returns how many bytes an operation of io_uring or libaio took from the program's memory, if its
/// result is that number: its data were captured before the result was known. Returns `None` for
/// other calls.
fn bytes_taken(header: &Header) -> Option<u64> {
    let returns_count = header.nr >= abi::OPERATIONS
        && header.flags & NO_EXIT == 0
        && abi::by_number(header.nr).is_some_and(|row| row.spec.ret == abi::Ret::Bytes);
    returns_count.then(|| u64::try_from(header.ret).unwrap_or(0))
}

/// Shortens data that were captured at entry to the `bytes_left` bytes that the call took, and
/// subtracts their number from `bytes_left`. Adapts `head`, and returns the bytes that remain.
fn shorten_data<'b>(bytes_left: &mut u64, head: &mut PayloadHeader, bytes: &'b [u8]) -> &'b [u8] {
    head.wanted = head.wanted.min(*bytes_left);
    *bytes_left -= head.wanted;
    let len = bytes.len().min(usize::try_from(head.wanted).unwrap_or(usize::MAX));
    head.len = len as u32;
    &bytes[..len]
}

impl RowBuilder<'_> {
    /// Starts the row at the end of the window's payloads.
    fn begin(&mut self) {
        self.payloads_start = self.window.payloads.len();
    }

    /// Adds the head of a data payload whose data the window holds already.
    fn add_omitted_data(&mut self, head: PayloadHeader, len: u64) {
        self.counts.captured_bytes += len;
        self.counts.cut += u64::from(head.flags & CUT != 0);
        self.window.payloads.extend_from_slice(head.as_bytes());
    }

    /// Adds a payload. `is_part` is whether it came in a `Part` record, so that the next payload of
    /// the same argument and kind continues it. A payload that makes the row longer than
    /// [`ROW_BYTES`] is shortened.
    fn add_payload(&mut self, mut head: PayloadHeader, bytes: &[u8], is_part: bool) {
        let is_data = head.kind == PayloadKind::Data as u8;
        let bytes = match &mut self.data_limit {
            Some(limit) if is_data && head.flags & AT_EXIT == 0 => {
                shorten_data(limit, &mut head, bytes)
            }
            _ => bytes,
        };
        let max_len = (ROW_BYTES - (self.window.payloads.len() - self.payloads_start))
            .saturating_sub(self.data_start.map_or(0, |start| self.window.data.len() - start));
        let bytes = if bytes.len() > max_len {
            head.flags |= CUT;
            head.len = max_len as u32;
            self.counts.shortened += 1;
            &bytes[..max_len]
        } else {
            bytes
        };
        self.counts.captured_bytes += bytes.len() as u64;
        self.counts.unreadable += u64::from(head.flags & UNREADABLE != 0);
        self.counts.cut += u64::from(head.flags & CUT != 0);
        let window = &mut *self.window;
        if is_data {
            self.data_start.get_or_insert(window.data.len());
            window.data.extend_from_slice(bytes);
        }
        // A long payload that came in parts becomes one payload again.
        if let Some((offset, mut previous)) = self.open_part.take()
            && (previous.arg, previous.kind, previous.flags & AT_EXIT)
                == (head.arg, head.kind, head.flags & AT_EXIT)
        {
            let body_start = offset + size_of::<PayloadHeader>();
            if !is_data {
                window.payloads.truncate(body_start + previous.len as usize);
                window.payloads.extend_from_slice(bytes);
                window.payloads.resize(padded(window.payloads.len()), 0);
            }
            previous.len += head.len;
            previous.wanted += head.wanted;
            previous.flags |= head.flags;
            window.payloads[offset..body_start].copy_from_slice(previous.as_bytes());
            self.open_part = is_part.then_some((offset, previous));
            return;
        }
        if is_part {
            self.open_part = Some((window.payloads.len(), head));
        }
        append_payload(&mut window.payloads, head, if is_data { &[] } else { bytes });
    }
}
