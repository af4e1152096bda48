//! Reading a journal back, whatever happened to it: every whole frame counts, what is damaged is
//! stepped over and counted.
//!
//! Invariant: a record is given only if its frame's CRC is right, it lies wholly in the frame, and
//! its payloads lie wholly in it. After damage the search for the next frame goes on byte by byte,
//! so one bad sector costs the frames that it lies in and no more; numbers say how many records
//! were lost in between. A record that is none in a frame that is right costs itself alone. While a
//! journal grows, nothing is damage: what is no whole frame may become one, and is looked at again.

mod record_at;
mod running_crc;

use super::repeats::{self, DataHash, REFERENCE, Reference};
use super::{Frame, HEAD, MAGIC, RECORD_BYTES, REFERRING_MAGIC, RING_MAGIC};
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

/// The longest frame: what was waiting, and one record.
const MAX_FRAME_BYTES: usize = super::FRAME_BYTES + RECORD_BYTES;

/// What was wrong with a stream.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Damage {
    /// Bytes that belong to no whole frame.
    pub bytes: u64,
    /// Records missing between those that are there. What was lost at the end cannot be known.
    pub records: u64,
    /// Bytes at the end that are the beginning of a frame: the recorder was killed while it wrote.
    pub torn: u64,
}

/// The records of one stream, in order.
pub(crate) struct Records {
    file: File,
    stream: u32,
    recording: u64,
    /// Bytes of the file before `buffer`.
    base: u64,
    /// A window of the file: consumed up to `at`, filled up to `end`.
    buffer: Vec<u8>,
    at: usize,
    end: usize,
    /// Records of the current frame lie before this; 0: there is none.
    frame: usize,
    /// Its records stand behind heads of a ring.
    ring: bool,
    /// They may refer to data earlier in the file.
    refers: bool,
    /// A record's body with the data that it refers to.
    body: Vec<u8>,
    /// Bytes that the record at `at` takes up, with its ring's head.
    step: usize,
    /// Records that stood between the last one that was taken and `at`, and were no good.
    bad: u64,
    next: u64,
    damage: Damage,
    ended: bool,
    /// The file is being written.
    grows: bool,
    /// What was dropped from the page cache again.
    dropped: u64,
    /// The buffer reaches to the end of a file that does not grow.
    whole: bool,
    /// Since a frame's CRC was wrong: many may be, and each must not cost its length.
    running_crc: Option<RunningCrc>,
    /// Bytes read, moved and summed up so far.
    #[cfg(test)]
    work: u64,
}

/// Pages are dropped so many bytes at a time.
const STEP: u64 = 8 << 20;

/// What stands where a frame should begin.
enum FrameState {
    /// A whole one.
    Whole,
    /// Not even a head.
    TooShort,
    /// A head, and less than it promises.
    Cut,
    /// Something else.
    Other,
}

/// A record: its head, and its payloads as they lie in the journal.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Record<'a> {
    pub header: Header,
    pub body: &'a [u8],
    /// The data of its only payload, which stand for themselves: `body` ends behind the payload's
    /// head.
    pub known: Option<DataHash>,
}

impl Records {
    /// Reads `file`, the journal of stream number `stream` of the recording with this random
    /// number.
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
            bad: 0,
            next: 0,
            damage: Damage::default(),
            ended: false,
            grows: false,
            dropped: 0,
            whole: false,
            running_crc: None,
            #[cfg(test)]
            work: 0,
        }
    }

    /// Notes that records are missing: at most all that there can be.
    fn count_lost(&mut self, records: u64) {
        self.damage.records = self.damage.records.saturating_add(records);
    }

    /// Notes work on so many bytes.
    fn count_work(&mut self, _bytes: usize) {
        #[cfg(test)]
        {
            self.work += _bytes as u64;
        }
    }

    /// Says whether the file is still being written: its end is not the stream's then.
    pub fn grows(&mut self, grows: bool) {
        self.grows = grows;
        self.whole = false;
    }

    /// Bytes of the file.
    pub fn len(&self) -> io::Result<u64> {
        Ok(self.file.metadata()?.len())
    }

    /// What was wrong so far.
    pub fn damage(&self) -> Damage {
        self.damage
    }

    /// Bytes of the file behind us.
    pub fn position(&self) -> u64 {
        self.base + self.at as u64
    }

    /// Head of the record that [`Records::take`] gives next; `None` at the end.
    pub fn peek(&mut self) -> io::Result<Option<Header>> {
        loop {
            if self.at < self.frame {
                match self.at_record() {
                    AtRecord::Record(header) => return Ok(Some(header)),
                    AtRecord::Discarded => {}
                    // The CRC was right and the record is not: a writer's mistake. It is passed
                    // over alone, if it says how long it is.
                    AtRecord::Invalid => {
                        self.damage.bytes += self.step as u64;
                        self.bad += 1;
                    }
                }
                self.at += self.step;
                continue;
            }
            if self.ended || !self.next_frame()? {
                self.ended = !self.grows;
                if self.ended {
                    let bad = std::mem::take(&mut self.bad);
                    self.count_lost(bad);
                }
                return Ok(None);
            }
        }
    }

    /// The record that [`Records::peek`] told of. Data that it refers to and that are `known` are
    /// not read.
    pub fn take(&mut self, known: impl FnOnce(&Header, &DataHash) -> bool) -> Record<'_> {
        let begin = self.at + if self.ring { RING_HEAD } else { 0 };
        let (header, _) = Header::read_from_prefix(&self.buffer[begin..self.frame])
            .expect("peek has seen this record");
        let body = begin + size_of::<Header>()..begin + header.len as usize;
        self.at += self.step;
        // Invalid records count as having had numbers.
        let bad = std::mem::take(&mut self.bad);
        self.count_lost(header.seq.saturating_sub(self.next).max(bad));
        self.next = header.seq + 1;
        match self.reference(&self.buffer[body.clone()]) {
            Some((mut payload, reference)) if known(&header, &reference.data_hash()) => {
                payload.flags &= !REFERENCE;
                payload.len = reference.len as u32;
                self.body.clear();
                self.body.extend_from_slice(payload.as_bytes());
                Record { header, body: &self.body, known: Some(reference.data_hash()) }
            }
            Some((payload, reference)) => {
                self.follow(payload, reference);
                Record { header, body: &self.body, known: None }
            }
            None => Record { header, body: &self.buffer[body], known: None },
        }
    }

    fn reference(&self, body: &[u8]) -> Option<(PayloadHeader, Reference)> {
        let (payload, rest) = PayloadHeader::read_from_prefix(body)
            .ok()
            .filter(|(p, _)| self.refers && p.flags & REFERENCE != 0)?;
        Some((payload, Reference::read_from_prefix(rest).ok()?.0))
    }

    /// Makes the body of a record whose payload refers to data. If they are no longer what they
    /// were, they could not be read.
    fn follow(&mut self, mut payload: PayloadHeader, to: Reference) {
        const HEAD: usize = size_of::<PayloadHeader>();
        let len = to.len.min(repeats::MAX_BYTES) as usize;
        self.body.clear();
        self.body.resize(padded(HEAD + len), 0);
        let there = self.file.read_exact_at(&mut self.body[HEAD..HEAD + len], to.at).is_ok();
        let sound = there && to.means(&self.body[HEAD..HEAD + len], self.recording);
        payload.flags &= !REFERENCE;
        payload.len = if sound { len as u32 } else { 0 };
        if !sound {
            payload.flags |= UNREADABLE;
            self.damage.bytes += to.len.min(repeats::MAX_BYTES);
            self.body.truncate(HEAD);
        }
        self.body[..HEAD].copy_from_slice(payload.as_bytes());
    }

    /// What stands at `at`, within the frame.
    fn at_record(&mut self) -> AtRecord {
        let (stands, step) =
            record_at::record_at(&self.buffer[self.at..self.frame], self.ring, self.next);
        self.step = step;
        stands
    }

    /// Goes to the next whole frame. False: there is none.
    fn next_frame(&mut self) -> io::Result<bool> {
        self.frame = 0;
        let mut searching = false;
        loop {
            match self.find_frame()? {
                FrameState::Whole => return Ok(true),
                _ if self.grows => {
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

    /// Goes into the frame that begins here, if there is a whole one.
    fn find_frame(&mut self) -> io::Result<FrameState> {
        if !self.fill(HEAD)? {
            return Ok(FrameState::TooShort);
        }
        let (frame, _) = Frame::read_from_prefix(&self.buffer[self.at..self.end]).expect("filled");
        let len = frame.len as usize;
        let refers = frame.magic == REFERRING_MAGIC;
        let ring = refers || frame.magic == RING_MAGIC;
        let ours = (ring || frame.magic == MAGIC)
            && frame.stream == self.stream
            && frame.recording == self.recording;
        if !ours || len > MAX_FRAME_BYTES || frame.first < self.next {
            return Ok(FrameState::Other);
        }
        if !self.fill(HEAD + len)? {
            return Ok(FrameState::Cut);
        }
        let (from, to) = (self.at + 8, self.at + HEAD + len);
        let (crc, cost) = match &mut self.running_crc {
            Some(running_crc) => running_crc.of(&self.buffer, from, to),
            None => (crc_fast::crc32_iscsi(&self.buffer[from..to]), to - from),
        };
        self.count_work(cost);
        if crc != frame.crc {
            if !self.grows {
                self.running_crc.get_or_insert_with(RunningCrc::new);
            }
            return Ok(FrameState::Other);
        }
        self.frame = self.at + HEAD + len;
        (self.ring, self.refers) = (ring, refers);
        self.at += HEAD;
        Ok(FrameState::Whole)
    }

    /// Whether the head of a frame stands in what is left: then the length before it was damaged,
    /// and not the file cut.
    fn another_frame_follows(&self) -> bool {
        self.buffer[self.at + 1..self.end].windows(4).any(is_magic)
    }

    /// What its writer had dropped from the page cache, and we have read again, is not to stay
    /// there: the program has more use for the memory.
    fn drop_behind(&mut self) -> io::Result<()> {
        if self.base - self.dropped < STEP {
            return Ok(());
        }
        if self.len()? - self.base > crate::storage::window() {
            let _best = rustix::fs::fadvise(
                &self.file,
                self.dropped,
                NonZeroU64::new(self.base - self.dropped),
                Advice::DontNeed,
            );
        }
        self.dropped = self.base;
        Ok(())
    }

    /// Sees to it that `n` bytes from `at` are in the buffer, if the file has them.
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
        if self.grows {
            self.drop_behind()?;
        }
        // What a length promises need not be there: grow with what comes.
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
        self.whole = !self.grows && self.end as u64 >= left as u64;
        Ok(self.end - self.at >= n)
    }
}

/// The version of the journal in `file`, if it begins as journals of another version do.
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

fn is_magic(bytes: &[u8]) -> bool {
    bytes == MAGIC || bytes == RING_MAGIC || bytes == REFERRING_MAGIC
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests;
