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
use record_at::AtRecord;
use running_crc::RunningCrc;
use rustix::fs::Advice;
use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::num::NonZeroU64;
use std::os::unix::fs::FileExt;
use zerocopy::{FromBytes, IntoBytes};

/// The longest valid frame: records below [`super::FRAME_BYTES`], and one of the longest records.
const MAX_FRAME_BYTES: usize = super::FRAME_BYTES + RECORD_BYTES;

/// What is damaged or missing in a stream.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Damage {
    /// The number of bytes that belong to no valid frame.
    pub bytes: u64,
    /// The number of records missing before the last one that was found. Records lost at the end
    /// are not counted.
    pub records: u64,
    /// The number of bytes in an incomplete frame at the end, as a recorder leaves it that was
    /// killed while it wrote.
    pub torn: u64,
}

/// Reads the records of one stream in order.
pub(crate) struct Records {
    file: File,
    stream: u32,
    recording: u64,
    /// The number of bytes of the file before `buffer`.
    base: u64,
    /// A part of the file: bytes before `at` were consumed, bytes from `end` on are unused.
    buffer: Vec<u8>,
    at: usize,
    end: usize,
    /// The end of the current frame in `buffer`, or 0 if there is none.
    frame: usize,
    /// Whether each record of the frame follows a ring buffer head.
    ring: bool,
    /// Whether records of the frame may refer to data earlier in the file.
    refers: bool,
    /// The body of the current record after its reference was resolved.
    body: Vec<u8>,
    /// The number of bytes from the record at `at` to the next one.
    step: usize,
    /// The number of invalid records since the last record that was returned.
    invalid: u64,
    next: u64,
    damage: Damage,
    ended: bool,
    /// Whether the file is still being written.
    is_growing: bool,
    /// The bytes before this offset were dropped from the page cache.
    dropped: u64,
    /// Whether the buffer extends to the end of a file that does not grow.
    whole: bool,
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
            base: 0,
            buffer: Vec::new(),
            at: 0,
            end: 0,
            frame: 0,
            ring: false,
            refers: false,
            body: Vec::new(),
            step: 0,
            invalid: 0,
            next: 0,
            damage: Damage::default(),
            ended: false,
            is_growing: false,
            dropped: 0,
            whole: false,
            running_crc: None,
            #[cfg(test)]
            work: 0,
        }
    }

    /// Adds to the number of missing records.
    fn count_lost(&mut self, records: u64) {
        self.damage.records = self.damage.records.saturating_add(records);
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
        self.whole = false;
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
        self.base + self.at as u64
    }

    /// Returns the head of the record that [`Records::next_record`] returns next, or `None` at the
    /// end.
    pub fn peek(&mut self) -> io::Result<Option<Header>> {
        loop {
            if self.at < self.frame {
                match self.classify_record() {
                    AtRecord::Record(header) => return Ok(Some(header)),
                    AtRecord::Discarded => {}
                    // The CRC of the frame is right, so that the writer made a mistake. Only this
                    // record is skipped if its length can be read.
                    AtRecord::Invalid => {
                        self.damage.bytes += self.step as u64;
                        self.invalid += 1;
                    }
                }
                self.at += self.step;
                continue;
            }
            if self.ended || !self.next_frame()? {
                self.ended = !self.is_growing;
                if self.ended {
                    let invalid = std::mem::take(&mut self.invalid);
                    self.count_lost(invalid);
                }
                return Ok(None);
            }
        }
    }

    /// Returns the record that [`Records::peek`] announced. If it refers to data for which
    /// `is_known` returns true, the data are not read.
    pub fn next_record(&mut self, is_known: impl FnOnce(&Header, &DataHash) -> bool) -> Record<'_> {
        let begin = self.at + if self.ring { RING_HEAD } else { 0 };
        let (header, _) = Header::read_from_prefix(&self.buffer[begin..self.frame])
            .expect("peek has seen this record");
        let body = begin + size_of::<Header>()..begin + header.len as usize;
        self.at += self.step;
        // Invalid records count as having had numbers.
        let invalid = std::mem::take(&mut self.invalid);
        self.count_lost(header.seq.saturating_sub(self.next).max(invalid));
        self.next = header.seq + 1;
        match self.reference(&self.buffer[body.clone()]) {
            Some((mut payload, reference)) if is_known(&header, &reference.data_hash()) => {
                payload.flags &= !REFERENCE;
                payload.len = reference.len as u32;
                self.body.clear();
                self.body.extend_from_slice(payload.as_bytes());
                Record { header, body: &self.body, omitted_data: Some(reference.data_hash()) }
            }
            Some((payload, reference)) => {
                self.resolve(payload, reference);
                Record { header, body: &self.body, omitted_data: None }
            }
            None => Record { header, body: &self.buffer[body], omitted_data: None },
        }
    }

    /// Returns the payload head and the reference of a record that refers to data, else `None`.
    fn reference(&self, body: &[u8]) -> Option<(PayloadHeader, Reference)> {
        let (payload, rest) = PayloadHeader::read_from_prefix(body)
            .ok()
            .filter(|(p, _)| self.refers && p.flags & REFERENCE != 0)?;
        Some((payload, Reference::read_from_prefix(rest).ok()?.0))
    }

    /// Builds the body of a record whose payload refers to earlier data. If these have changed, the
    /// payload is marked as unreadable.
    fn resolve(&mut self, mut payload: PayloadHeader, to: Reference) {
        const HEAD_BYTES: usize = size_of::<PayloadHeader>();
        let len = to.len.min(repeats::MAX_BYTES) as usize;
        self.body.clear();
        self.body.resize(padded(HEAD_BYTES + len), 0);
        let readable =
            self.file.read_exact_at(&mut self.body[HEAD_BYTES..HEAD_BYTES + len], to.at).is_ok();
        let valid =
            readable && to.matches(&self.body[HEAD_BYTES..HEAD_BYTES + len], self.recording);
        payload.flags &= !REFERENCE;
        payload.len = if valid { len as u32 } else { 0 };
        if !valid {
            payload.flags |= UNREADABLE;
            self.damage.bytes += to.len.min(repeats::MAX_BYTES);
            self.body.truncate(HEAD_BYTES);
        }
        self.body[..HEAD_BYTES].copy_from_slice(payload.as_bytes());
    }

    /// Classifies the bytes at the current position in the frame.
    fn classify_record(&mut self) -> AtRecord {
        let (found, step) =
            record_at::record_at(&self.buffer[self.at..self.frame], self.ring, self.next);
        self.step = step;
        found
    }

    /// Moves to the next valid frame. Returns false if there is none.
    fn next_frame(&mut self) -> io::Result<bool> {
        self.frame = 0;
        let mut searching = false;
        loop {
            match self.enter_frame()? {
                FrameState::Whole => return Ok(true),
                _ if self.is_growing => {
                    // Read again what may have been read while it was written.
                    self.end = self.at;
                    return Ok(false);
                }
                FrameState::TooShort => {
                    self.damage.torn += (self.end - self.at) as u64;
                    self.at = self.end;
                    return Ok(false);
                }
                FrameState::Cut if !searching && !self.another_frame_follows() => {
                    self.damage.torn += (self.end - self.at) as u64;
                    self.at = self.end;
                    return Ok(false);
                }
                FrameState::Cut | FrameState::Other => {}
            }
            searching = true;
            let step = self.buffer[self.at + 1..self.end]
                .windows(4)
                .position(is_magic)
                .map_or(self.end - self.at - 3, |n| n + 1);
            self.damage.bytes += step as u64;
            self.at += step;
        }
    }

    /// Checks the frame at the current position and moves to its first record if it is valid.
    fn enter_frame(&mut self) -> io::Result<FrameState> {
        if !self.fill(HEAD_BYTES)? {
            return Ok(FrameState::TooShort);
        }
        let (frame, _) = Frame::read_from_prefix(&self.buffer[self.at..self.end]).expect("filled");
        let len = frame.len as usize;
        let refers = frame.magic == REFERRING_MAGIC;
        let ring = refers || frame.magic == RING_MAGIC;
        let matches = (ring || frame.magic == MAGIC)
            && frame.stream == self.stream
            && frame.recording == self.recording;
        if !matches || len > MAX_FRAME_BYTES || frame.first < self.next {
            return Ok(FrameState::Other);
        }
        if !self.fill(HEAD_BYTES + len)? {
            return Ok(FrameState::Cut);
        }
        let (from, to) = (self.at + 8, self.at + HEAD_BYTES + len);
        let (crc, cost) = match &mut self.running_crc {
            Some(running_crc) => running_crc.crc_of(&self.buffer, from, to),
            None => (crc_fast::crc32_iscsi(&self.buffer[from..to]), to - from),
        };
        self.count_work(cost);
        if crc != frame.crc {
            if !self.is_growing {
                self.running_crc.get_or_insert_with(RunningCrc::new);
            }
            return Ok(FrameState::Other);
        }
        self.frame = self.at + HEAD_BYTES + len;
        (self.ring, self.refers) = (ring, refers);
        self.at += HEAD_BYTES;
        Ok(FrameState::Whole)
    }

    /// Returns whether the buffer holds the magic of another frame. If so, the length of this one
    /// is wrong, and the file was not cut.
    fn another_frame_follows(&self) -> bool {
        self.buffer[self.at + 1..self.end].windows(4).any(is_magic)
    }

    /// Drops pages from the page cache that the writer had dropped and that were read again, since
    /// the recorded program needs the memory.
    fn drop_behind(&mut self) -> io::Result<()> {
        if self.base - self.dropped < DROP_BYTES {
            return Ok(());
        }
        if self.len()? - self.base > crate::storage::cached_bytes() {
            let _ignored = rustix::fs::fadvise(
                &self.file,
                self.dropped,
                NonZeroU64::new(self.base - self.dropped),
                Advice::DontNeed,
            );
        }
        self.dropped = self.base;
        Ok(())
    }

    /// Reads until `n` bytes from the current position are in the buffer. Returns whether the file
    /// has them.
    fn fill(&mut self, n: usize) -> io::Result<bool> {
        if self.end - self.at >= n || self.whole {
            return Ok(self.end - self.at >= n);
        }
        self.count_work(self.end - self.at);
        if let Some(running_crc) = &mut self.running_crc {
            running_crc.clear();
        }
        self.buffer.copy_within(self.at..self.end, 0);
        self.base += self.at as u64;
        self.end -= self.at;
        self.at = 0;
        // As much again: what is read and moved now is not moved for the next head.
        let want = n + n.max(2 * super::FRAME_BYTES);
        if self.is_growing {
            self.drop_behind()?;
        }
        // A wrong length must not make the buffer larger than the file.
        let left = self.file.metadata()?.len().saturating_sub(self.base) as usize;
        let size = want.min(left.max(self.end)).max(n.min(left.max(self.end)));
        if self.buffer.len() < size {
            self.buffer.resize(size, 0);
        }
        self.file.seek(SeekFrom::Start(self.base + self.end as u64))?;
        while self.end < size {
            match self.file.read(&mut self.buffer[self.end..size]) {
                Ok(0) => break,
                Ok(got) => {
                    self.end += got;
                    self.count_work(got);
                }
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                Err(e) => return Err(e),
            }
        }
        self.whole = !self.is_growing && self.end as u64 >= left as u64;
        Ok(self.end - self.at >= n)
    }
}

/// Returns the version of the journal in `file` if it is one of another version of this program,
/// else `None`.
pub(crate) fn other_version(file: &File) -> io::Result<Option<char>> {
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

/// Returns whether these four bytes begin a frame.
fn is_magic(bytes: &[u8]) -> bool {
    bytes == MAGIC || bytes == RING_MAGIC || bytes == REFERRING_MAGIC
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests;
