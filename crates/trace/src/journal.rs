//! The journal: the append-only log that engines write records into while recording. One stream,
//! one file.
//!
//! A file is a row of frames. A frame is a [`Frame`] head, then whole records. Its CRC covers the
//! rest of the head and the records, so that what a crash tore is told from what is whole; frames
//! of a stream are numbered without gaps, and so are the records in them. A journal takes a record
//! as it is: nothing is parsed, compressed or allocated per record. After a write error it stays
//! failed: half a frame may be on the disk, and a reader would stop there.

mod read;
mod repeats;

pub(crate) use read::{Damage, Record, Records, other_version};
pub(crate) use repeats::{DataHash, data_hash};

use crate::error::Error;
use crate::format::record::{Header, PayloadHeader, complete, padded};
use crate::storage::{Disk, Sink, Storage};
use repeats::Repeats;
use std::io::IoSlice;
use std::os::fd::{AsFd, BorrowedFd};
use std::path::{Path, PathBuf};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

/// The first four bytes of a frame; the last is the journal format's number.
pub const MAGIC: [u8; 4] = *b"RAJ3";
/// The first four bytes of a frame whose records came out of a ring of the kernel's: each stands
/// behind the ring's own head ([`crate::record::RING_HEAD`]).
pub const RING_MAGIC: [u8; 4] = *b"RAR3";
/// The same, where data that stand earlier in the file are referred to ([`repeats`]).
const REFERRING_MAGIC: [u8; 4] = *b"RAF3";
/// A frame is written when so many bytes are waiting.
pub const FRAME_BYTES: usize = 256 << 10;
/// A file beside the journals of a recorder that writes several at once: a `u64`, the
/// `CLOCK_MONOTONIC` time until which all of them together hold everything. Should the recorder be
/// killed, what one journal holds of later times may follow from what another does not.
pub const COMPLETE: &str = "complete";
/// A journal of no more bytes is not made durable by itself.
const SYNC_ABOVE_BYTES: u64 = 1 << 20;
/// The longest record.
pub const RECORD_BYTES: usize = 64 << 20;

/// The head of a frame: 40 bytes, little-endian.
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, KnownLayout, Immutable)]
#[repr(C)]
pub struct Frame {
    /// [`MAGIC`], [`RING_MAGIC`], or the latter with references.
    pub magic: [u8; 4],
    /// CRC-32C of the remaining 32 bytes of the head and of the records.
    pub crc: u32,
    /// Bytes of records.
    pub len: u32,
    /// The stream's number.
    pub stream: u32,
    /// The recording's random number: a frame that a recorded program wrote (it may have been a
    /// recorder itself) is not taken for one of ours.
    pub recording: u64,
    /// Position in the stream, from 0.
    pub seq: u64,
    /// [`Header::seq`] of the first record.
    pub first: u64,
}

/// Where an engine's records go.
pub struct Journal {
    sink: Box<dyn Sink>,
    path: PathBuf,
    stream: u32,
    recording: u64,
    /// Head of the coming frame, then committed records, then the record under way. Longer than
    /// `used`, so that reserving space need not clear it.
    buffer: Vec<u8>,
    used: usize,
    committed: usize,
    /// Head of the payload that [`Journal::space`] reserved.
    reserved: Option<(usize, PayloadHeader)>,
    payloads: u16,
    pending: u64,
    frames: u64,
    first: u64,
    records: u64,
    bytes: u64,
    captured: u64,
    failed: bool,
    repeats: Repeats,
}

const HEAD: usize = size_of::<Frame>();

impl Journal {
    /// A new journal of stream number `stream`: the file `NNNNN` in the directory `dir`. Engines
    /// take theirs from [`crate::Recording::journal`].
    pub fn create(dir: &Path, stream: u32) -> Result<Self, Error> {
        let opened = crate::storage::directory(dir).map_err(Error::io("open", dir))?;
        Self::create_on(&Disk, opened.as_fd(), dir, stream, 0)
    }

    /// The same on other storage, for a recording with this random number. `path` is the name of
    /// `dir` in errors.
    pub fn create_on(
        storage: &dyn Storage,
        dir: BorrowedFd<'_>,
        path: &Path,
        stream: u32,
        recording: u64,
    ) -> Result<Self, Error> {
        let name = format!("{stream:05}");
        let path = path.join(&name);
        let sink = storage.create_log(dir, &name).map_err(Error::io("create", &path))?;
        let buffer = vec![0; 2 * FRAME_BYTES];
        Ok(Self {
            sink,
            path,
            stream,
            recording,
            buffer,
            used: HEAD,
            committed: HEAD,
            reserved: None,
            payloads: 0,
            pending: 0,
            frames: 0,
            first: 0,
            records: 0,
            bytes: 0,
            captured: 0,
            failed: false,
            repeats: Repeats::new(recording),
        })
    }

    /// The same on what `of` makes of its sink.
    pub(crate) fn on_sink(self, of: impl FnOnce(Box<dyn Sink>) -> Box<dyn Sink>) -> Self {
        Self { sink: of(self.sink), ..self }
    }

    /// Begins a record; `len`, `pieces` and `seq` are filled in by [`Journal::commit`]. One that
    /// was begun and not committed is forgotten.
    pub fn begin(&mut self, header: Header) {
        self.used = self.committed;
        self.payloads = 0;
        self.pending = 0;
        self.reserved = None;
        self.put(header.as_bytes());
    }

    /// Adds a payload; `head.len` is set from `bytes`.
    pub fn payload(&mut self, mut head: PayloadHeader, bytes: &[u8]) {
        head.len = u32::try_from(bytes.len()).unwrap_or(u32::MAX);
        self.put(head.as_bytes());
        self.put(bytes);
        self.pad();
        self.payloads += 1;
        self.pending += bytes.len() as u64;
    }

    /// Reserves `max` bytes for a payload, to be read into; they hold anything. [`Journal::keep`]
    /// must follow.
    pub fn space(&mut self, head: PayloadHeader, max: usize) -> &mut [u8] {
        self.reserved = Some((self.used, head));
        let from = self.used + size_of::<PayloadHeader>();
        self.room(from + max + 8);
        &mut self.buffer[from..from + max]
    }

    /// The first `n` of the reserved bytes are the payload; `flags` are added to its head's.
    pub fn keep(&mut self, n: usize, flags: u8) {
        let Some((at, mut head)) = self.reserved.take() else { return };
        head.len = u32::try_from(n).unwrap_or(u32::MAX);
        head.flags |= flags;
        self.used = at;
        self.put(head.as_bytes());
        self.used += n;
        self.pad();
        self.payloads += 1;
        self.pending += n as u64;
    }

    /// Ends the record, and writes a frame if enough is waiting.
    pub fn commit(&mut self) -> Result<(), Error> {
        if self.failed {
            return Err(Error::JournalFailed);
        }
        let len = self.used - self.committed;
        if len > RECORD_BYTES {
            self.used = self.committed;
            return Err(Error::RecordTooLong(len));
        }
        let record = &mut self.buffer[self.committed..self.used];
        complete(record, self.payloads, self.records);
        self.captured += self.pending;
        self.records += 1;
        self.committed = self.used;
        if self.committed - HEAD >= FRAME_BYTES { self.flush() } else { Ok(()) }
    }

    /// Writes what is waiting as a frame. Engines call it every 50 ms or so: what is not written is
    /// lost if the recorder dies.
    pub fn flush(&mut self) -> Result<(), Error> {
        if self.failed {
            return Err(Error::JournalFailed);
        }
        if self.committed == HEAD {
            return Ok(());
        }
        let len = (self.committed - HEAD) as u32;
        let mut frame = Frame {
            magic: MAGIC,
            crc: 0,
            len,
            stream: self.stream,
            recording: self.recording,
            seq: self.frames,
            first: self.first,
        };
        self.buffer[..HEAD].copy_from_slice(frame.as_bytes());
        frame.crc = crc_fast::crc32_iscsi(&self.buffer[8..self.committed]);
        self.buffer[..HEAD].copy_from_slice(frame.as_bytes());
        if let Err(e) = self.sink.write_all(&self.buffer[..self.committed]) {
            self.failed = true;
            return Err(Error::io("write", &self.path)(e));
        }
        self.bytes += self.committed as u64;
        self.frames += 1;
        self.first = self.records;
        // A record under way moves to the front.
        self.buffer.copy_within(self.committed..self.used, HEAD);
        if let Some((at, _)) = &mut self.reserved {
            *at = *at - self.committed + HEAD;
        }
        self.used = self.used - self.committed + HEAD;
        self.committed = HEAD;
        Ok(())
    }

    /// Writes a stretch of a BPF ring as a frame, as it is but for data that were written before.
    /// `first` is the sequence number of its first record and `next` the one after its last.
    /// Engines use this or records of their own in a journal, not both.
    pub fn span(&mut self, span: &[u8], first: u64, next: u64) -> Result<(), Error> {
        if self.failed {
            return Err(Error::JournalFailed);
        }
        let magic = if self.repeats.look(span, self.bytes + HEAD as u64) {
            REFERRING_MAGIC
        } else {
            RING_MAGIC
        };
        let len = self.repeats.len();
        let mut frame = Frame {
            magic,
            crc: 0,
            len: len as u32,
            stream: self.stream,
            recording: self.recording,
            seq: self.frames,
            first,
        };
        let mut checksum = crc_fast::Digest::new(crc_fast::CrcAlgorithm::Crc32Iscsi);
        checksum.update(&frame.as_bytes()[8..]);
        self.repeats.stretches(span).for_each(|bytes| checksum.update(bytes));
        frame.crc = checksum.finalize() as u32;
        let mut parts: Vec<IoSlice<'_>> = std::iter::once(frame.as_bytes())
            .chain(self.repeats.stretches(span))
            .map(IoSlice::new)
            .collect();
        if let Err(e) = write_all(&mut *self.sink, &mut parts) {
            self.failed = true;
            return Err(Error::io("write", &self.path)(e));
        }
        self.bytes += (HEAD + len) as u64;
        self.frames += 1;
        self.records = next;
        Ok(())
    }

    /// Writes what is waiting and makes all of it durable; unless it is so little that sealing it,
    /// which makes it durable as well, takes no longer.
    pub fn finish(mut self) -> Result<(), Error> {
        self.flush()?;
        if self.bytes <= SYNC_ABOVE_BYTES {
            return Ok(());
        }
        self.sink.sync().map_err(Error::io("write", &self.path))
    }

    /// Bytes written to the file.
    pub fn bytes(&self) -> u64 {
        self.bytes
    }
    /// Records committed.
    pub fn records(&self) -> u64 {
        self.records
    }
    /// Bytes of payloads committed.
    pub fn captured(&self) -> u64 {
        self.captured
    }

    fn room(&mut self, len: usize) {
        if self.buffer.len() < len {
            self.buffer.resize(len.next_power_of_two(), 0);
        }
    }
    fn put(&mut self, bytes: &[u8]) {
        self.room(self.used + bytes.len() + 8);
        self.buffer[self.used..self.used + bytes.len()].copy_from_slice(bytes);
        self.used += bytes.len();
    }
    fn pad(&mut self) {
        let end = padded(self.used);
        self.buffer[self.used..end].fill(0);
        self.used = end;
    }
}

fn write_all(sink: &mut dyn Sink, mut parts: &mut [IoSlice<'_>]) -> std::io::Result<()> {
    while !parts.is_empty() {
        match sink.write_vectored(parts) {
            Ok(0) => return Err(std::io::ErrorKind::WriteZero.into()),
            Ok(n) => IoSlice::advance_slices(&mut parts, n),
            Err(e) if e.kind() == std::io::ErrorKind::Interrupted => {}
            Err(e) => return Err(e),
        }
    }
    Ok(())
}
