//! Replaces data that a journal already holds by references to them. Programs mostly read what they
//! have read before, and writing it again would cost more than finding it.
//!
//! Invariant: a reference leads to earlier bytes of the same file and holds their hash, so that a
//! reader notices if they have changed. The number of remembered references is bounded; newer ones
//! replace older ones. If nothing repeats, most ring spans are not searched.

use crate::format::record::{
    Header, PayloadHeader, PayloadKind, RING_DISCARD, RING_HEAD, ring_step,
};
use std::mem::offset_of;
use std::ops::Range;
use twox_hash::XxHash3_128;
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

/// In [`PayloadHeader::flags`], only in frames with references: the bytes of the payload are a
/// [`Reference`].
pub(super) const REFERENCE: u8 = 128;
/// The longest data, in bytes, that a reference may stand for. Engines copy no more at once.
pub(super) const MAX_BYTES: u64 = 1 << 20;
/// Data shorter than this many bytes are not replaced.
const MIN_BYTES: usize = 512;
/// The number of references that are remembered.
const SLOTS: usize = 1 << 15;
/// After ring spans without repeated data, at most this many are skipped before one is searched
/// again.
const MAX_SKIPPED: u32 = 15;

/// Refers to data in the same file, 32 bytes.
#[derive(Clone, Copy, FromBytes, IntoBytes, KnownLayout, Immutable)]
#[repr(C)]
pub(super) struct Reference {
    /// The offset of the data from the beginning of the file.
    pub offset: u64,
    /// The number of bytes.
    pub len: u64,
    /// The XXH3-128 hash with the recording's random id as seed, low half first.
    pub hash: [u64; 2],
}

/// The hash and the length of data. Data for which both are equal are taken as equal.
pub(crate) type DataHash = (u128, u64);

/// Returns the hash and the length of `data`. `recording` is the recording's random id.
pub(crate) fn data_hash(data: &[u8], recording: u64) -> DataHash {
    (XxHash3_128::oneshot_with_seed(recording, data), data.len() as u64)
}

impl Reference {
    /// Returns a reference to `bytes`, which are at offset `offset` of the file.
    fn new(bytes: &[u8], offset: u64, seed: u64) -> Self {
        let (hash, len) = data_hash(bytes, seed);
        Self { offset, len, hash: [hash as u64, (hash >> 64) as u64] }
    }
    /// Returns the hash and the length of the data.
    pub fn data_hash(&self) -> DataHash {
        (u128::from(self.hash[1]) << 64 | u128::from(self.hash[0]), self.len)
    }
    /// Returns whether `bytes` are the data that the reference stands for.
    pub fn matches(&self, bytes: &[u8], seed: u64) -> bool {
        self.data_hash() == data_hash(bytes, seed)
    }
}

/// A range of the bytes that the next frame consists of.
#[derive(Debug, PartialEq)]
enum FrameRange {
    /// A range of the span of the ring buffer, unchanged.
    Ring(Range<usize>),
    /// A range of [`Repeats::referring_records`].
    Referring(Range<usize>),
}

/// Remembers where data are in a journal's file, and prepares the next frame.
pub(super) struct Repeats {
    /// The recording's random id, which is the seed of the hashes.
    seed: u64,
    /// Where data are in the file. The slot follows from their hash.
    references: Vec<Reference>,
    /// The ranges that the next frame consists of, in order.
    frame_ranges: Vec<FrameRange>,
    /// Copies of records of the next frame, with references instead of their data.
    referring_records: Vec<u8>,
    /// The number of bytes of records in the next frame.
    frame_len: usize,
    /// How many of the next spans are not searched.
    spans_to_skip: u32,
    /// What `spans_to_skip` was set to last.
    last_spans_to_skip: u32,
}

impl Repeats {
    /// Remembers nothing yet. `seed` is the recording's random id.
    pub fn new(seed: u64) -> Self {
        Self {
            seed,
            references: Vec::new(),
            frame_ranges: Vec::new(),
            referring_records: Vec::new(),
            frame_len: 0,
            spans_to_skip: 0,
            last_spans_to_skip: 0,
        }
    }

    /// Prepares the next frame from a span of a ring buffer, in which it searches for data that the
    /// file holds already. The records of the frame will be written at `offset` of the file.
    /// Returns whether data were replaced by references. [`Repeats::frame_bytes`] then returns the
    /// bytes to write.
    pub fn find_repeats(&mut self, ring: &[u8], offset: u64) -> bool {
        self.frame_ranges.clear();
        self.referring_records.clear();
        self.frame_len = 0;
        if self.spans_to_skip > 0 {
            self.spans_to_skip -= 1;
            self.add_unchanged(0..ring.len());
            return false;
        }
        if self.references.is_empty() {
            self.references.resize(SLOTS, Reference { offset: 0, len: 0, hash: [0; 2] });
        }
        let mut next_record = 0;
        while let Some(len) = ring.get(next_record..).and_then(record_len) {
            let record = next_record..next_record + len;
            next_record = record.end;
            let Some(data) = data_range(&ring[record.clone()])
                .filter(|d| (MIN_BYTES..=MAX_BYTES as usize).contains(&d.len()))
            else {
                self.add_unchanged(record);
                continue;
            };
            let data_start = record.start + data.start;
            let reference = Reference::new(
                &ring[data_start..record.start + data.end],
                offset + (self.frame_len + data.start) as u64,
                self.seed,
            );
            let slot = reference.hash[0] as usize % SLOTS;
            if self.references[slot].data_hash() == reference.data_hash() {
                self.replace_by_reference(&ring[record.start..data_start], slot);
            } else {
                self.references[slot] = reference;
                self.add_unchanged(record);
            }
        }
        self.add_unchanged(next_record..ring.len());
        self.last_spans_to_skip = if self.referring_records.is_empty() {
            (2 * self.last_spans_to_skip + 1).min(MAX_SKIPPED)
        } else {
            0
        };
        self.spans_to_skip = self.last_spans_to_skip;
        !self.referring_records.is_empty()
    }

    /// Adds a range of the span of the ring buffer to the next frame.
    fn add_unchanged(&mut self, range: Range<usize>) {
        self.frame_len += range.len();
        match self.frame_ranges.last_mut() {
            Some(FrameRange::Ring(last)) if last.end == range.start => last.end = range.end,
            _ => self.frame_ranges.push(FrameRange::Ring(range)),
        }
    }

    /// Adds a copy of a record to the next frame, with a reference from `slot` instead of its data.
    /// `heads` are its ring head, record head and payload head.
    fn replace_by_reference(&mut self, heads: &[u8], slot: usize) {
        let record_start = self.referring_records.len();
        self.referring_records.extend_from_slice(heads);
        self.referring_records.extend_from_slice(self.references[slot].as_bytes());
        let record = &mut self.referring_records[record_start..];
        let len = (record.len() - RING_HEAD) as u32;
        record[..4].copy_from_slice(&len.to_le_bytes());
        record[RING_HEAD + offset_of!(Header, len)..][..4].copy_from_slice(&len.to_le_bytes());
        let payload_start = RING_HEAD + size_of::<Header>();
        record[payload_start + offset_of!(PayloadHeader, flags)] |= REFERENCE;
        record[payload_start + offset_of!(PayloadHeader, len)..][..4]
            .copy_from_slice(&(size_of::<Reference>() as u32).to_le_bytes());
        self.frame_len += record.len();
        match self.frame_ranges.last_mut() {
            Some(FrameRange::Referring(last)) => last.end = self.referring_records.len(),
            _ => self
                .frame_ranges
                .push(FrameRange::Referring(record_start..self.referring_records.len())),
        }
    }

    /// Returns the number of bytes of records in the next frame.
    pub fn frame_len(&self) -> usize {
        self.frame_len
    }

    /// Returns the bytes of the next frame in order. `ring` is the span that was searched.
    pub fn frame_bytes<'a>(&'a self, ring: &'a [u8]) -> impl Iterator<Item = &'a [u8]> {
        self.frame_ranges.iter().map(move |range| match range {
            FrameRange::Ring(bytes) => &ring[bytes.clone()],
            FrameRange::Referring(bytes) => &self.referring_records[bytes.clone()],
        })
    }
}

/// Returns the length of the first record in a span, including its ring head; `None` if it extends
/// past the end.
fn record_len(ring: &[u8]) -> Option<usize> {
    let len = ring_step(u32::from_le_bytes(*ring.first_chunk()?));
    (len <= ring.len()).then_some(len)
}

/// Returns the range of the data in a record with its ring buffer head. Returns `None` if the
/// record is discarded, or has other payloads than one with data.
fn data_range(record: &[u8]) -> Option<Range<usize>> {
    if u32::from_le_bytes(*record.first_chunk()?) & RING_DISCARD != 0 {
        return None;
    }
    let (header, rest) = Header::ref_from_prefix(record.get(RING_HEAD..)?).ok()?;
    let (payload, _) = PayloadHeader::ref_from_prefix(rest)
        .ok()
        .filter(|(p, _)| header.payloads == 1 && p.kind == PayloadKind::Data as u8)?;
    let start = RING_HEAD + size_of::<Header>() + size_of::<PayloadHeader>();
    let end = start + payload.len as usize;
    (end <= record.len()).then_some(start..end)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use crate::format::record::{Header, PayloadHeader, UNREADABLE};
    use crate::format::record::{Payloads, RING_HEAD};
    use crate::journal::{Damage, Journal, Records};
    use proptest::prelude::*;
    use std::fs::File;
    use std::path::Path;
    use zerocopy::{FromBytes, IntoBytes};

    /// Returns a record as it is in a ring buffer.
    fn ring_record(seq: u64, data: &[u8]) -> Vec<u8> {
        let len =
            (size_of::<Header>() + size_of::<PayloadHeader>() + data.len()).next_multiple_of(8);
        let header = Header { len: len as u32, payloads: 1, seq, ..Header::default() };
        let payload = PayloadHeader {
            len: data.len() as u32,
            wanted: data.len() as u64,
            ..PayloadHeader::default()
        };
        let mut all = [(len as u32).to_le_bytes(), [0; 4]].concat();
        all.extend([header.as_bytes(), payload.as_bytes(), data].concat());
        all.resize(RING_HEAD + len, 0);
        all
    }

    /// Writes spans of records with these data into a journal. Returns the bytes of its file.
    fn journal_with_data(dir: &Path, spans: &[Vec<Vec<u8>>]) -> Vec<u8> {
        let mut journal = Journal::create(dir, 0).unwrap();
        let mut seq = 0;
        for datas in spans {
            let first = seq;
            let bytes: Vec<u8> =
                datas.iter().flat_map(|d| (ring_record(seq, d), seq += 1).0).collect();
            journal.write_ring(&bytes, first, seq).unwrap();
        }
        journal.finish().unwrap();
        std::fs::read(dir.join("00000")).unwrap()
    }

    /// Returns the data of the records in a file, how many could not be read, and the damage.
    fn read(dir: &Path, file: &[u8]) -> (Vec<Vec<u8>>, usize, Damage) {
        std::fs::write(dir.join("again"), file).unwrap();
        let mut records = Records::new(File::open(dir.join("again")).unwrap(), 0, 0);
        let (mut all, mut unreadable) = (Vec::new(), 0);
        while records.peek().unwrap().is_some() {
            let (payload, data) =
                Payloads::new(records.next_record(|_, _| false).body).next().unwrap();
            assert!(payload.len as usize == data.len() && payload.flags & super::REFERENCE == 0);
            unreadable += usize::from(payload.flags & UNREADABLE != 0);
            all.push(data.to_vec());
        }
        (all, unreadable, records.damage())
    }

    proptest! {
        #[test]
        fn what_was_written_is_read(
            kinds in prop::collection::vec(prop::collection::vec((0u8..6, 0usize..6), 1..12), 1..30)
        ) {
            let dir = tempfile::tempdir().unwrap();
            let data = |(kind, len): &(u8, usize)| vec![*kind; [0, 1, 511, 512, 4096, 4099][*len]];
            let spans: Vec<Vec<_>> =
                kinds.iter().map(|s| s.iter().map(data).collect()).collect();
            let file = journal_with_data(dir.path(), &spans);
            prop_assert_eq!(read(dir.path(), &file), (spans.concat(), 0, Damage::default()));
        }
    }

    #[test]
    fn data_are_held_once() {
        let dir = tempfile::tempdir().unwrap();
        let page = |n: u8| vec![n; 4096];
        let spans: Vec<Vec<_>> = (0..100).map(|_| (0..4).map(page).collect()).collect();
        let file = journal_with_data(dir.path(), &spans);
        // The second span was not searched, as the first had no repetitions.
        assert!(file.len() < 8 * 4096 + 400 * 200 + 100 * 40, "{}", file.len());
        assert_eq!(read(dir.path(), &file).0, spans.concat());
    }

    #[test]
    fn data_that_are_damaged_are_said_to_be() {
        let dir = tempfile::tempdir().unwrap();
        let mut file = journal_with_data(
            dir.path(),
            &[vec![vec![7; 4096]], vec![vec![8; 100]], vec![vec![9; 100], vec![7; 4096]]],
        );
        let (record, unreadable, _) = read(dir.path(), &file);
        assert_eq!((record.len(), unreadable), (4, 0));
        // The first frame's data: its record is lost, and the one that refers to it has none.
        file[1000] ^= 1;
        let (left, unreadable, damage) = read(dir.path(), &file);
        assert_eq!(
            (left, unreadable, damage.missing_records),
            (vec![vec![8; 100], vec![9; 100], vec![]], 1, 1)
        );
        assert!(damage.unusable_bytes >= 4096, "{damage:?}");
    }

    #[test]
    fn references_that_lead_nowhere() {
        let dir = tempfile::tempdir().unwrap();
        let file = journal_with_data(dir.path(), &[vec![vec![7; 4096]; 2]]);
        let at = file.len() - size_of::<super::Reference>();
        for (field, value) in [(0, u64::MAX), (0, 1 << 40), (8, u64::MAX), (8, 0), (16, 0)] {
            let mut forged = file.clone();
            forged[at + field..][..8].copy_from_slice(&u64::to_le_bytes(value));
            let frame = crate::journal::Frame::read_from_prefix(&forged).unwrap().0;
            let crc = crc_fast::crc32_iscsi(&forged[8..]);
            forged[4..8].copy_from_slice(&crc.to_le_bytes());
            assert_eq!(frame.len as usize + super::super::HEAD_BYTES, forged.len());
            let (all, unreadable, _) = read(dir.path(), &forged);
            assert_eq!((all.len(), all[1].len(), unreadable), (2, 0, 1), "{field} {value}");
        }
    }
}
