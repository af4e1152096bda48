//! The journal: the append-only log that engines write records into while recording. Each stream
//! has its own file.
//!
//! A file is a sequence of frames. A frame is a [`Frame`] head followed by whole records. Its CRC
//! covers the rest of the head and the records, so that a frame that was only partly written is
//! recognised. The frames of a stream, and its records, are numbered without gaps. Nothing is
//! parsed, compressed or allocated per record. After a write error the journal stays failed, since
//! part of a frame may be in the file and a reader would stop there.

mod read;
mod repeats;

pub(crate) use read::{Damage, Record, Records, version_of_other_journal};
pub(crate) use repeats::{DataHash, data_hash};

use crate::error::Error;
use crate::format::record::{Header, PayloadHeader, fill_in_header, padded};
use crate::storage::{Disk, Sink, Storage};
use repeats::Repeats;
use std::io::IoSlice;
use std::os::fd::{AsFd, BorrowedFd};
use std::path::{Path, PathBuf};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

/// The first four bytes of a frame. The last one is the version of the journal format.
pub const MAGIC: [u8; 4] = *b"RAJ3";
/// The first four bytes of a frame that was copied from a BPF ring buffer: each record follows the
/// ring buffer's head of it ([`crate::record::RING_HEAD`]).
pub const RING_MAGIC: [u8; 4] = *b"RAR3";
/// The first four bytes of a frame from a ring buffer in which records may refer to data earlier in
/// the file ([`repeats`]).
const REFERRING_MAGIC: [u8; 4] = *b"RAF3";
/// A frame is written when its records have this many bytes.
pub const FRAME_BYTES: usize = 256 << 10;
/// The name of a file beside the journals, which a recorder with several streams maintains. It
/// holds one `u64`: the time (`CLOCK_MONOTONIC`, nanoseconds) up to which the journals together
/// lack no record. If the recorder is killed, a later record in one journal may depend on a record
/// that was not written to another.
pub const COMPLETE: &str = "complete";
/// A journal of at most this many bytes is not synced when it is finished.
const SYNC_ABOVE_BYTES: u64 = 1 << 20;
/// The length of the longest record in bytes.
pub const RECORD_BYTES: usize = 64 << 20;

/// The head of a frame: 40 bytes, little-endian.
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, KnownLayout, Immutable)]
#[repr(C)]
pub struct Frame {
    /// [`MAGIC`], [`RING_MAGIC`], or the magic of a ring frame with references.
    pub magic: [u8; 4],
    /// The CRC-32C of the other 32 bytes of the head and of the records.
    pub crc: u32,
    /// The number of bytes of records.
    pub len: u32,
    /// The number of the stream.
    pub stream: u32,
    /// The recording's random id. It distinguishes the frame from one in the data of a recorded
    /// program, which may be a recorder, too.
    pub recording: u64,
    /// The number of the frame in the stream, from 0.
    pub seq: u64,
    /// The [`Header::seq`] of the first record.
    pub first: u64,
}

/// Writes the records of one stream to a file.
pub struct Journal {
    sink: Box<dyn Sink>,
    /// The path of the file, for error messages.
    path: PathBuf,
    /// The number of the stream.
    stream: u32,
    /// The recording's random id.
    recording: u64,
    /// The head of the next frame, then committed records, then the record that is being built. Its
    /// length exceeds `used`, so that reserving space need not clear memory.
    buffer: Vec<u8>,
    /// The end of the record that is being built in `buffer`.
    used: usize,
    /// The end of the committed records in `buffer`.
    committed: usize,
    /// The offset and the head of the payload that [`Journal::reserve_payload`] reserved.
    reserved: Option<(usize, PayloadHeader)>,
    /// The number of payloads of the record that is being built, and the number of their bytes.
    payload_count: u16,
    pending_payload_bytes: u64,
    /// [`Frame::seq`] of the next frame.
    next_frame_seq: u64,
    /// [`Header::seq`] of the first record in `buffer`.
    frame_first_seq: u64,
    /// [`Header::seq`] of the next record.
    next_seq: u64,
    /// The number of bytes written to the file.
    written_bytes: u64,
    /// The number of payload bytes in committed records.
    committed_payload_bytes: u64,
    /// Whether a write has failed.
    has_failed: bool,
    /// Replaces repeated data in the spans of a ring buffer.
    repeats: Repeats,
}

const HEAD_BYTES: usize = size_of::<Frame>();

impl Journal {
    /// Creates the journal of stream number `stream`: the file `NNNNN` in the directory `dir`.
    /// Engines use [`crate::Recording::journal`] instead.
    pub fn create(dir: &Path, stream: u32) -> Result<Self, Error> {
        let opened = crate::storage::open_directory(dir).map_err(Error::io("open", dir))?;
        Self::create_on(&Disk, opened.as_fd(), dir, stream, 0)
    }

    /// Creates a journal on other storage. `recording` is the recording's random id, `path` the
    /// path of `dir` in error messages.
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
            used: HEAD_BYTES,
            committed: HEAD_BYTES,
            reserved: None,
            payload_count: 0,
            pending_payload_bytes: 0,
            next_frame_seq: 0,
            frame_first_seq: 0,
            next_seq: 0,
            written_bytes: 0,
            committed_payload_bytes: 0,
            has_failed: false,
            repeats: Repeats::new(recording),
        })
    }

    /// Replaces the sink by what `wrap` returns for it.
    pub(crate) fn with_wrapped_sink(
        self,
        wrap: impl FnOnce(Box<dyn Sink>) -> Box<dyn Sink>,
    ) -> Self {
        Self { sink: wrap(self.sink), ..self }
    }

    /// Begins a record. [`Journal::commit`] sets the fields `len`, `payloads` and `seq` of the
    /// header. A record that was begun but not committed is dropped.
    pub fn begin(&mut self, header: Header) {
        self.used = self.committed;
        self.payload_count = 0;
        self.pending_payload_bytes = 0;
        self.reserved = None;
        self.append(header.as_bytes());
    }

    /// Adds a payload to the record. `head.len` is set to the length of `bytes`.
    pub fn add_payload(&mut self, mut head: PayloadHeader, bytes: &[u8]) {
        head.len = u32::try_from(bytes.len()).unwrap_or(u32::MAX);
        self.append(head.as_bytes());
        self.append(bytes);
        self.pad();
        self.payload_count += 1;
        self.pending_payload_bytes += bytes.len() as u64;
    }

    /// Reserves `max` bytes for a payload, which the caller writes into the returned slice. The
    /// slice is not cleared. [`Journal::keep_reserved`] must follow.
    pub fn reserve_payload(&mut self, head: PayloadHeader, max: usize) -> &mut [u8] {
        self.reserved = Some((self.used, head));
        let from = self.used + size_of::<PayloadHeader>();
        self.ensure_capacity(from + max + 8);
        &mut self.buffer[from..from + max]
    }

    /// Turns the first `len` bytes that [`Journal::reserve_payload`] reserved into a payload, and
    /// adds `flags` to the flags of its head.
    pub fn keep_reserved(&mut self, len: usize, flags: u8) {
        let Some((start, mut head)) = self.reserved.take() else { return };
        head.len = u32::try_from(len).unwrap_or(u32::MAX);
        head.flags |= flags;
        self.used = start;
        self.append(head.as_bytes());
        self.used += len;
        self.pad();
        self.payload_count += 1;
        self.pending_payload_bytes += len as u64;
    }

    /// Finishes the record, and writes a frame if it is long enough. Fails if the record is longer
    /// than [`RECORD_BYTES`] (only this record is dropped), or if a write fails.
    pub fn commit(&mut self) -> Result<(), Error> {
        if self.has_failed {
            return Err(Error::JournalFailed);
        }
        let len = self.used - self.committed;
        if len > RECORD_BYTES {
            self.used = self.committed;
            return Err(Error::RecordTooLong(len));
        }
        let record = &mut self.buffer[self.committed..self.used];
        fill_in_header(record, self.payload_count, self.next_seq);
        self.committed_payload_bytes += self.pending_payload_bytes;
        self.next_seq += 1;
        self.committed = self.used;
        if self.committed - HEAD_BYTES >= FRAME_BYTES { self.flush() } else { Ok(()) }
    }

    /// Writes the committed records as a frame. Engines call this about every 50 ms, because what
    /// is not written is lost if the recorder dies.
    pub fn flush(&mut self) -> Result<(), Error> {
        if self.has_failed {
            return Err(Error::JournalFailed);
        }
        if self.committed == HEAD_BYTES {
            return Ok(());
        }
        let len = (self.committed - HEAD_BYTES) as u32;
        let mut frame = Frame {
            magic: MAGIC,
            crc: 0,
            len,
            stream: self.stream,
            recording: self.recording,
            seq: self.next_frame_seq,
            first: self.frame_first_seq,
        };
        self.buffer[..HEAD_BYTES].copy_from_slice(frame.as_bytes());
        frame.crc = crc_fast::crc32_iscsi(&self.buffer[8..self.committed]);
        self.buffer[..HEAD_BYTES].copy_from_slice(frame.as_bytes());
        if let Err(e) = self.sink.write_all(&self.buffer[..self.committed]) {
            self.has_failed = true;
            return Err(Error::io("write", &self.path)(e));
        }
        self.written_bytes += self.committed as u64;
        self.next_frame_seq += 1;
        self.frame_first_seq = self.next_seq;
        // A record that is being built moves to the front.
        self.buffer.copy_within(self.committed..self.used, HEAD_BYTES);
        if let Some((start, _)) = &mut self.reserved {
            *start = *start - self.committed + HEAD_BYTES;
        }
        self.used = self.used - self.committed + HEAD_BYTES;
        self.committed = HEAD_BYTES;
        Ok(())
    }

    /// Writes a span of a BPF ring buffer, which holds whole consecutive records with their ring
    /// buffer heads, as one frame. The bytes are written unchanged, except that data which the file
    /// holds already are replaced by references. `first_seq` is the sequence number of the first
    /// record, `next_seq` that of the record after the last one. After an error the journal stays
    /// failed. A journal takes either such frames or records from [`Journal::begin`], not both.
    pub fn write_ring(&mut self, ring: &[u8], first_seq: u64, next_seq: u64) -> Result<(), Error> {
        if self.has_failed {
            return Err(Error::JournalFailed);
        }
        let magic = if self.repeats.find_repeats(ring, self.written_bytes + HEAD_BYTES as u64) {
            REFERRING_MAGIC
        } else {
            RING_MAGIC
        };
        let record_bytes = self.repeats.frame_len();
        let mut frame = Frame {
            magic,
            crc: 0,
            len: record_bytes as u32,
            stream: self.stream,
            recording: self.recording,
            seq: self.next_frame_seq,
            first: first_seq,
        };
        let mut checksum = crc_fast::Digest::new(crc_fast::CrcAlgorithm::Crc32Iscsi);
        checksum.update(&frame.as_bytes()[8..]);
        self.repeats.frame_bytes(ring).for_each(|bytes| checksum.update(bytes));
        frame.crc = checksum.finalize() as u32;
        let mut slices: Vec<IoSlice<'_>> = std::iter::once(frame.as_bytes())
            .chain(self.repeats.frame_bytes(ring))
            .map(IoSlice::new)
            .collect();
        if let Err(e) = write_all(&mut *self.sink, &mut slices) {
            self.has_failed = true;
            return Err(Error::io("write", &self.path)(e));
        }
        self.written_bytes += (HEAD_BYTES + record_bytes) as u64;
        self.next_frame_seq += 1;
        self.next_seq = next_seq;
        Ok(())
    }

    /// Writes what is left and syncs the file. A short journal is not synced, since sealing it,
    /// which makes the records durable as well, takes no longer.
    pub fn finish(mut self) -> Result<(), Error> {
        self.flush()?;
        if self.written_bytes <= SYNC_ABOVE_BYTES {
            return Ok(());
        }
        self.sink.sync().map_err(Error::io("write", &self.path))
    }

    /// Returns the number of bytes written to the file.
    pub fn bytes(&self) -> u64 {
        self.written_bytes
    }
    /// Returns the number of records that were committed, or written by [`Journal::write_ring`].
    pub fn records(&self) -> u64 {
        self.next_seq
    }
    /// Returns the number of payload bytes in committed records.
    pub fn payload_bytes(&self) -> u64 {
        self.committed_payload_bytes
    }

    /// Makes the buffer at least `len` bytes long.
    fn ensure_capacity(&mut self, len: usize) {
        if self.buffer.len() < len {
            self.buffer.resize(len.next_power_of_two(), 0);
        }
    }
    /// Appends bytes to the record that is being built.
    fn append(&mut self, bytes: &[u8]) {
        self.ensure_capacity(self.used + bytes.len() + 8);
        self.buffer[self.used..self.used + bytes.len()].copy_from_slice(bytes);
        self.used += bytes.len();
    }
    /// Appends zeros up to a multiple of 8.
    fn pad(&mut self) {
        let end = padded(self.used);
        self.buffer[self.used..end].fill(0);
        self.used = end;
    }
}

/// Writes all bytes of `slices` to `sink`. Tries again after a signal, and continues after a short
/// write.
fn write_all(sink: &mut dyn Sink, mut slices: &mut [IoSlice<'_>]) -> std::io::Result<()> {
    while !slices.is_empty() {
        match sink.write_vectored(slices) {
            Ok(0) => return Err(std::io::ErrorKind::WriteZero.into()),
            Ok(written) => IoSlice::advance_slices(&mut slices, written),
            Err(e) if e.kind() == std::io::ErrorKind::Interrupted => {}
            Err(e) => return Err(e),
        }
    }
    Ok(())
}
