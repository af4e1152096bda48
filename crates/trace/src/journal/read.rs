//! Reads a journal, even a damaged one: every valid frame counts, and the bytes that are skipped
//! are counted.
//!
//! Invariant: a record is only returned if the CRC of its frame is right, the record lies in the
//! frame, and its payloads lie in the record. After damage the search for the next frame proceeds
//! byte by byte, so that a bad sector costs only the frames on it; sequence numbers tell how many
//! records were lost. An invalid record in a valid frame only costs itself. While a journal grows,
//! nothing counts as damage: an incomplete frame may be completed, and is read again later.

mod record_at;
mod running_crc;

use super::repeats::{self, DataHash, REFERENCE, Reference};
use super::{Frame, HEAD_BYTES, MAGIC, RECORD_BYTES, REFERRING_MAGIC, RING_MAGIC};
use crate::format::record::{Header, PayloadHeader, RING_HEAD, UNREADABLE, padded};
use crate::format::version::JOURNAL;
use record_at::NextBytes;
use running_crc::RunningCrc;
use rustix::fs::Advice;
use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::num::NonZeroU64;
use std::os::unix::fs::FileExt;
use zerocopy::{FromBytes, IntoBytes};

/// The length of the longest valid frame, without its head: records of less than
/// [`super::FRAME_BYTES`] together, and one record of the longest kind.
const MAX_FRAME_BYTES: usize = super::FRAME_BYTES + RECORD_BYTES;

/// What is damaged or missing in a stream.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Damage {
    /// The number of bytes that belong to no valid frame.
    pub unusable_bytes: u64,
    /// The number of records missing before the last one that was found. Records lost at the end
    /// are not counted.
    pub missing_records: u64,
    /// The number of bytes of an incomplete frame at the end: the recorder was killed while it
    /// wrote the frame.
    pub torn_bytes: u64,
}

/// Reads the records of one stream in order.
pub(crate) struct Records {
    file: File,
    /// The number of the stream.
    stream: u32,
    /// The recording's random id.
    recording: u64,
    /// The offset of `buffer` in the file.
    buffer_offset: u64,
    /// A part of the file: bytes before `consumed` are done with, bytes from `filled` on hold
    /// nothing yet.
    buffer: Vec<u8>,
    consumed: usize,
    filled: usize,
    /// The end of the current frame in `buffer`, or 0 if there is none.
    frame_end: usize,
    /// Whether each record of the current frame follows a ring buffer head.
    has_ring_heads: bool,
    /// Whether records of the current frame may refer to data earlier in the file.
    has_references: bool,
    /// The body of the record that was returned last, if it had a reference: with the data.
    resolved_body: Vec<u8>,
    /// The number of bytes from the record at `consumed` to the next one, set by
    /// [`Records::classify_record`].
    record_bytes: usize,
    /// The number of invalid records since the last record that was returned.
    invalid_records: u64,
    /// The sequence number that the next record has if none is missing.
    next_seq: u64,
    /// The damage found so far.
    damage: Damage,
    /// Whether the end of the file was reached, and nothing will be added to it.
    ended: bool,
    /// Whether the file is still being written.
    is_growing: bool,
    /// The bytes of the file before this offset were dropped from the page cache.
    dropped_until: u64,
    /// Whether the buffer extends to the end of a file that does not grow.
    holds_file_end: bool,
    /// Running checksums, used after the first frame with a wrong CRC: there may be many, and each
    /// would cost its length.
    running_crc: Option<RunningCrc>,
    /// The number of bytes read, moved and checksummed so far.
    #[cfg(test)]
    work: u64,
}

/// How many bytes are dropped from the page cache at once.
const DROP_BYTES: u64 = 8 << 20;

/// What is at the position of the next frame.
enum FrameState {
    /// A valid frame.
    Whole,
    /// Fewer bytes than a head has.
    TooShort,
    /// A valid head, but fewer bytes than it announces.
    Cut,
    /// Anything else.
    Other,
}

/// A record: its head, and its payloads as they are in the journal.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Record<'a> {
    pub header: Header,
    pub body: &'a [u8],
    /// The hash of the data of the only payload, if the caller has these data already. `body` then
    /// ends after the head of the payload.
    pub omitted_data: Option<DataHash>,
}

impl Records {
    /// Reads `file`, the journal of stream number `stream`. `recording` is the recording's random
    /// id.
    pub fn new(file: File, stream: u32, recording: u64) -> Self {
        Self {
            file,
            stream,
            recording,
            buffer_offset: 0,
            buffer: Vec::new(),
            consumed: 0,
            filled: 0,
            frame_end: 0,
            has_ring_heads: false,
            has_references: false,
            resolved_body: Vec::new(),
            record_bytes: 0,
            invalid_records: 0,
            next_seq: 0,
            damage: Damage::default(),
            ended: false,
            is_growing: false,
            dropped_until: 0,
            holds_file_end: false,
            running_crc: None,
            #[cfg(test)]
            work: 0,
        }
    }

    /// Adds to the number of missing records.
    fn count_lost(&mut self, records: u64) {
        self.damage.missing_records = self.damage.missing_records.saturating_add(records);
    }

    /// Adds to the number of bytes processed, which only tests use.
    fn count_work(&mut self, _bytes: usize) {
        #[cfg(test)]
        {
            self.work += _bytes as u64;
        }
    }

    /// Says whether the file is still being written. If so, its end is not the end of the stream.
    pub fn set_growing(&mut self, growing: bool) {
        self.is_growing = growing;
        self.holds_file_end = false;
    }

    /// Returns the length of the file in bytes.
    pub fn len(&self) -> io::Result<u64> {
        Ok(self.file.metadata()?.len())
    }

    /// Returns the damage found so far.
    pub fn damage(&self) -> Damage {
        self.damage
    }

    /// Returns how many bytes of the file were consumed.
    pub fn position(&self) -> u64 {
        self.buffer_offset + self.consumed as u64
    }

    /// Returns the head of the record that [`Records::next_record`] returns next, or `None` at the
    /// end. Invalid records before it are skipped and counted.
    pub fn peek(&mut self) -> io::Result<Option<Header>> {
        loop {
            if self.consumed < self.frame_end {
                match self.classify_record() {
                    NextBytes::Record(header) => return Ok(Some(header)),
                    NextBytes::Discarded => {}
                    // The CRC of the frame is right, so that the writer made a mistake. Only this
                    // record is skipped if its length can be read.
                    NextBytes::Invalid => {
                        self.damage.unusable_bytes += self.record_bytes as u64;
                        self.invalid_records += 1;
                    }
                }
                self.consumed += self.record_bytes;
                continue;
            }
            if self.ended || !self.find_next_frame()? {
                self.ended = !self.is_growing;
                if self.ended {
                    let invalid = std::mem::take(&mut self.invalid_records);
                    self.count_lost(invalid);
                }
                return Ok(None);
            }
        }
    }

    /// Returns the record whose head [`Records::peek`] returned, which must be called before.
    /// Counts the records that are missing before it. If the data of the record are a reference and
    /// `is_known` returns true for the head and the hash of the data, the data are not read.
    pub fn next_record(&mut self, is_known: impl FnOnce(&Header, &DataHash) -> bool) -> Record<'_> {
        let start = self.consumed + if self.has_ring_heads { RING_HEAD } else { 0 };
        let (header, _) = Header::read_from_prefix(&self.buffer[start..self.frame_end])
            .expect("peek has seen this record");
        let body = start + size_of::<Header>()..start + header.len as usize;
        self.consumed += self.record_bytes;
        // An invalid record has used up a sequence number, too.
        let skipped = std::mem::take(&mut self.invalid_records);
        self.count_lost(header.seq.saturating_sub(self.next_seq).max(skipped));
        self.next_seq = header.seq + 1;
        match self.read_reference(&self.buffer[body.clone()]) {
            Some((mut payload, reference)) if is_known(&header, &reference.data_hash()) => {
                payload.flags &= !REFERENCE;
                payload.len = reference.len as u32;
                self.resolved_body.clear();
                self.resolved_body.extend_from_slice(payload.as_bytes());
                Record {
                    header,
                    body: &self.resolved_body,
                    omitted_data: Some(reference.data_hash()),
                }
            }
            Some((payload, reference)) => {
                self.resolve_reference(payload, reference);
                Record { header, body: &self.resolved_body, omitted_data: None }
            }
            None => Record { header, body: &self.buffer[body], omitted_data: None },
        }
    }

    /// Returns the payload head and the reference of a record that refers to earlier data. Returns
    /// `None` if it does not. `body` is the record without its head.
    fn read_reference(&self, body: &[u8]) -> Option<(PayloadHeader, Reference)> {
        let (payload, rest) = PayloadHeader::read_from_prefix(body)
            .ok()
            .filter(|(p, _)| self.has_references && p.flags & REFERENCE != 0)?;
        Some((payload, Reference::read_from_prefix(rest).ok()?.0))
    }

    /// Reads the data that a payload refers to, and builds the record's body with them in
    /// `resolved_body`. If the data have changed, the payload is marked as unreadable.
    fn resolve_reference(&mut self, mut payload: PayloadHeader, reference: Reference) {
        const HEAD_BYTES: usize = size_of::<PayloadHeader>();
        let len = reference.len.min(repeats::MAX_BYTES) as usize;
        self.resolved_body.clear();
        self.resolved_body.resize(padded(HEAD_BYTES + len), 0);
        let readable = self
            .file
            .read_exact_at(&mut self.resolved_body[HEAD_BYTES..HEAD_BYTES + len], reference.offset)
            .is_ok();
        let valid = readable
            && reference.matches(&self.resolved_body[HEAD_BYTES..HEAD_BYTES + len], self.recording);
        payload.flags &= !REFERENCE;
        payload.len = if valid { len as u32 } else { 0 };
        if !valid {
            payload.flags |= UNREADABLE;
            self.damage.unusable_bytes += reference.len.min(repeats::MAX_BYTES);
            self.resolved_body.truncate(HEAD_BYTES);
        }
        self.resolved_body[..HEAD_BYTES].copy_from_slice(payload.as_bytes());
    }

    /// Classifies the bytes at the current position in the frame, and sets `record_bytes`.
    fn classify_record(&mut self) -> NextBytes {
        let (next, bytes) = record_at::classify_record(
            &self.buffer[self.consumed..self.frame_end],
            self.has_ring_heads,
            self.next_seq,
        );
        self.record_bytes = bytes;
        next
    }

    /// Moves to the first record of the next valid frame. Bytes that belong to no valid frame are
    /// skipped and counted. Returns false if there is no such frame. While the file grows, nothing
    /// is skipped: false then means that the next frame is not complete yet.
    fn find_next_frame(&mut self) -> io::Result<bool> {
        self.frame_end = 0;
        let mut is_searching = false;
        loop {
            match self.enter_frame()? {
                FrameState::Whole => return Ok(true),
                _ if self.is_growing => {
                    // Read again what may have been read while it was written.
                    self.filled = self.consumed;
                    return Ok(false);
                }
                FrameState::TooShort => {
                    self.damage.torn_bytes += (self.filled - self.consumed) as u64;
                    self.consumed = self.filled;
                    return Ok(false);
                }
                FrameState::Cut if !is_searching && !self.another_frame_follows() => {
                    self.damage.torn_bytes += (self.filled - self.consumed) as u64;
                    self.consumed = self.filled;
                    return Ok(false);
                }
                FrameState::Cut | FrameState::Other => {}
            }
            is_searching = true;
            let skipped = self.buffer[self.consumed + 1..self.filled]
                .windows(4)
                .position(is_magic)
                .map_or(self.filled - self.consumed - 3, |n| n + 1);
            self.damage.unusable_bytes += skipped as u64;
            self.consumed += skipped;
        }
    }

    /// Checks the frame at the current position, and moves to its first record if it is valid.
    fn enter_frame(&mut self) -> io::Result<FrameState> {
        if !self.read_ahead(HEAD_BYTES)? {
            return Ok(FrameState::TooShort);
        }
        let (frame, _) =
            Frame::read_from_prefix(&self.buffer[self.consumed..self.filled]).expect("filled");
        let len = frame.len as usize;
        let has_references = frame.magic == REFERRING_MAGIC;
        let has_ring_heads = has_references || frame.magic == RING_MAGIC;
        let matches = (has_ring_heads || frame.magic == MAGIC)
            && frame.stream == self.stream
            && frame.recording == self.recording;
        if !matches || len > MAX_FRAME_BYTES || frame.first < self.next_seq {
            return Ok(FrameState::Other);
        }
        if !self.read_ahead(HEAD_BYTES + len)? {
            return Ok(FrameState::Cut);
        }
        let (crc_start, frame_end) = (self.consumed + 8, self.consumed + HEAD_BYTES + len);
        let (crc, bytes_read) = match &mut self.running_crc {
            Some(running_crc) => running_crc.crc_of(&self.buffer, crc_start, frame_end),
            None => {
                (crc_fast::crc32_iscsi(&self.buffer[crc_start..frame_end]), frame_end - crc_start)
            }
        };
        self.count_work(bytes_read);
        if crc != frame.crc {
            if !self.is_growing {
                self.running_crc.get_or_insert_with(RunningCrc::new);
            }
            return Ok(FrameState::Other);
        }
        self.frame_end = self.consumed + HEAD_BYTES + len;
        (self.has_ring_heads, self.has_references) = (has_ring_heads, has_references);
        self.consumed += HEAD_BYTES;
        Ok(FrameState::Whole)
    }

    /// Returns whether the buffer holds the magic of another frame. If so, the length of this one
    /// is wrong, and the file was not cut.
    fn another_frame_follows(&self) -> bool {
        self.buffer[self.consumed + 1..self.filled].windows(4).any(is_magic)
    }

    /// While the file grows: drops pages that were read from the page cache again, if the writer
    /// has dropped them already, since the recorded program needs the memory.
    fn drop_read_pages(&mut self) -> io::Result<()> {
        if self.buffer_offset - self.dropped_until < DROP_BYTES {
            return Ok(());
        }
        if self.len()? - self.buffer_offset > crate::storage::cached_bytes() {
            let _ignored = rustix::fs::fadvise(
                &self.file,
                self.dropped_until,
                NonZeroU64::new(self.buffer_offset - self.dropped_until),
                Advice::DontNeed,
            );
        }
        self.dropped_until = self.buffer_offset;
        Ok(())
    }

    /// Reads until at least `n` bytes from the current position on are in the buffer. Returns
    /// whether the file has that many.
    fn read_ahead(&mut self, n: usize) -> io::Result<bool> {
        if self.filled - self.consumed >= n || self.holds_file_end {
            return Ok(self.filled - self.consumed >= n);
        }
        self.count_work(self.filled - self.consumed);
        if let Some(running_crc) = &mut self.running_crc {
            running_crc.clear();
        }
        self.buffer.copy_within(self.consumed..self.filled, 0);
        self.buffer_offset += self.consumed as u64;
        self.filled -= self.consumed;
        self.consumed = 0;
        // At least twice as much as is needed, so that not every head causes a move.
        let wanted = n + n.max(2 * super::FRAME_BYTES);
        if self.is_growing {
            self.drop_read_pages()?;
        }
        // A wrong length must not make the buffer larger than the file.
        let unread = self.file.metadata()?.len().saturating_sub(self.buffer_offset) as usize;
        let size = wanted.min(unread.max(self.filled)).max(n.min(unread.max(self.filled)));
        if self.buffer.len() < size {
            self.buffer.resize(size, 0);
        }
        self.file.seek(SeekFrom::Start(self.buffer_offset + self.filled as u64))?;
        while self.filled < size {
            match self.file.read(&mut self.buffer[self.filled..size]) {
                Ok(0) => break,
                Ok(len) => {
                    self.filled += len;
                    self.count_work(len);
                }
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                Err(e) => return Err(e),
            }
        }
        self.holds_file_end = !self.is_growing && self.filled as u64 >= unread as u64;
        Ok(self.filled - self.consumed >= n)
    }
}

/// Returns the version of the journal in `file` if that is not the version which this program
/// reads. Returns `None` if it is, or if the file does not begin like a journal.
pub(crate) fn version_of_other_journal(file: &File) -> io::Result<Option<char>> {
    let mut magic = [0; 4];
    match file.read_exact_at(&mut magic, 0) {
        Ok(()) => {}
        Err(e) if e.kind() == io::ErrorKind::UnexpectedEof => return Ok(None),
        Err(e) => return Err(e),
    }
    let ours =
        magic.starts_with(b"RA") && magic[2].is_ascii_uppercase() && magic[3].is_ascii_digit();
    Ok((ours && magic[3] != JOURNAL).then_some(char::from(magic[3])))
}

/// Returns whether these four bytes are those with which a frame begins.
fn is_magic(bytes: &[u8]) -> bool {
    bytes == MAGIC || bytes == RING_MAGIC || bytes == REFERRING_MAGIC
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests;
