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

/// Where data are in the file, 32 bytes.
#[derive(Clone, Copy, FromBytes, IntoBytes, KnownLayout, Immutable)]
#[repr(C)]
pub(super) struct Reference {
    /// The offset from the beginning of the file.
    pub at: u64,
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
    /// Returns a reference to `bytes`, which are at offset `at` of the file.
    fn new(bytes: &[u8], at: u64, seed: u64) -> Self {
        let (hash, len) = data_hash(bytes, seed);
        Self { at, len, hash: [hash as u64, (hash >> 64) as u64] }
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

/// A range of bytes of the next frame.
#[derive(Debug, PartialEq)]
enum Stretch {
    /// A range of the ring buffer, unchanged.
    Ring(Range<usize>),
    /// A range of [`Repeats::rewritten`]: records with references.
    Rewritten(Range<usize>),
}

/// Remembers where data are in a journal's file, and prepares the next frame.
pub(super) struct Repeats {
    seed: u64,
    recent: Vec<Reference>,
    stretches: Vec<Stretch>,
    rewritten: Vec<u8>,
    len: usize,
    /// How many ring spans to skip now, and how many were skipped the last time.
    skip: u32,
    last_skipped: u32,
}

impl Repeats {
    /// Remembers nothing yet. `seed` is the recording's random id.
    pub fn new(seed: u64) -> Self {
        Self {
            seed,
            recent: Vec::new(),
            stretches: Vec::new(),
            rewritten: Vec::new(),
            len: 0,
            skip: 0,
            last_skipped: 0,
        }
    }

    /// Searches a span of a ring buffer for data that the file has already. The span will be
    /// written at offset `at` of the file. Returns whether data were replaced;
    /// [`Repeats::stretches`] then returns the bytes to write.
    pub fn find_repeats(&mut self, ring: &[u8], at: u64) -> bool {
        self.stretches.clear();
        self.rewritten.clear();
        self.len = 0;
        if self.skip > 0 {
            self.skip -= 1;
            self.copy_range(0..ring.len());
            return false;
        }
        if self.recent.is_empty() {
            self.recent.resize(SLOTS, Reference { at: 0, len: 0, hash: [0; 2] });
        }
        let mut next = 0;
        while let Some(step) = ring.get(next..).and_then(record_len) {
            let record = next..next + step;
            next = record.end;
            let Some(data) = data_range(&ring[record.clone()])
                .filter(|d| (MIN_BYTES..=MAX_BYTES as usize).contains(&d.len()))
            else {
                self.copy_range(record);
                continue;
            };
            let begin = record.start + data.start;
            let here = Reference::new(
                &ring[begin..record.start + data.end],
                at + (self.len + data.start) as u64,
                self.seed,
            );
            let slot = here.hash[0] as usize % SLOTS;
            if self.recent[slot].data_hash() == here.data_hash() {
                self.replace_by_reference(&ring[record.start..begin], slot);
            } else {
                self.recent[slot] = here;
                self.copy_range(record);
            }
        }
        self.copy_range(next..ring.len());
        self.last_skipped = if self.rewritten.is_empty() {
            (2 * self.last_skipped + 1).min(MAX_SKIPPED)
        } else {
            0
        };
        self.skip = self.last_skipped;
        !self.rewritten.is_empty()
    }

    /// Adds a range of the ring buffer to the next frame.
    fn copy_range(&mut self, range: Range<usize>) {
        self.len += range.len();
        match self.stretches.last_mut() {
            Some(Stretch::Ring(last)) if last.end == range.start => last.end = range.end,
            _ => self.stretches.push(Stretch::Ring(range)),
        }
    }

    /// Adds a copy of a record to the next frame, with a reference from `slot` instead of its data.
    /// `heads` are its ring head, record head and payload head.
    fn replace_by_reference(&mut self, heads: &[u8], slot: usize) {
        let begin = self.rewritten.len();
        self.rewritten.extend_from_slice(heads);
        self.rewritten.extend_from_slice(self.recent[slot].as_bytes());
        let record = &mut self.rewritten[begin..];
        let len = (record.len() - RING_HEAD) as u32;
        record[..4].copy_from_slice(&len.to_le_bytes());
        record[RING_HEAD + offset_of!(Header, len)..][..4].copy_from_slice(&len.to_le_bytes());
        let payload = RING_HEAD + size_of::<Header>();
        record[payload + offset_of!(PayloadHeader, flags)] |= REFERENCE;
        record[payload + offset_of!(PayloadHeader, len)..][..4]
            .copy_from_slice(&(size_of::<Reference>() as u32).to_le_bytes());
        self.len += record.len();
        match self.stretches.last_mut() {
            Some(Stretch::Rewritten(last)) => last.end = self.rewritten.len(),
            _ => self.stretches.push(Stretch::Rewritten(begin..self.rewritten.len())),
        }
    }

    /// Returns the number of bytes of records in the next frame.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Returns the bytes of the next frame in order. `ring` is the span that was searched.
    pub fn stretches<'a>(&'a self, ring: &'a [u8]) -> impl Iterator<Item = &'a [u8]> {
        self.stretches.iter().map(move |stretch| match stretch {
            Stretch::Ring(range) => &ring[range.clone()],
            Stretch::Rewritten(range) => &self.rewritten[range.clone()],
        })
    }
}

/// Returns the length of the first record in a span, including its ring head; `None` if it extends
/// past the end.
fn record_len(ring: &[u8]) -> Option<usize> {
    let step = ring_step(u32::from_le_bytes(*ring.first_chunk()?));
    (step <= ring.len()).then_some(step)
}

/// Returns where the data of a record are, or `None` if it is discarded or has other payloads.
fn data_range(record: &[u8]) -> Option<Range<usize>> {
    if u32::from_le_bytes(*record.first_chunk()?) & RING_DISCARD != 0 {
        return None;
    }
    let (header, rest) = Header::ref_from_prefix(record.get(RING_HEAD..)?).ok()?;
    let (payload, _) = PayloadHeader::ref_from_prefix(rest)
        .ok()
        .filter(|(p, _)| header.payloads == 1 && p.kind == PayloadKind::Data as u8)?;
    let begin = RING_HEAD + size_of::<Header>() + size_of::<PayloadHeader>();
    let end = begin + payload.len as usize;
    (end <= record.len()).then_some(begin..end)
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

    /// A record as it stands in a ring.
    fn ring(seq: u64, data: &[u8]) -> Vec<u8> {
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

    /// Writes stretches of records with these data; the file.
    fn written(dir: &Path, stretches: &[Vec<Vec<u8>>]) -> Vec<u8> {
        let mut journal = Journal::create(dir, 0).unwrap();
        let mut seq = 0;
        for datas in stretches {
            let first = seq;
            let bytes: Vec<u8> = datas.iter().flat_map(|d| (ring(seq, d), seq += 1).0).collect();
            journal.write_ring(&bytes, first, seq).unwrap();
        }
        journal.finish().unwrap();
        std::fs::read(dir.join("00000")).unwrap()
    }

    /// The data of the records in a file, and which could not be read.
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
            let stretches: Vec<Vec<_>> =
                kinds.iter().map(|s| s.iter().map(data).collect()).collect();
            let file = written(dir.path(), &stretches);
            prop_assert_eq!(read(dir.path(), &file), (stretches.concat(), 0, Damage::default()));
        }
    }

    #[test]
    fn data_are_held_once() {
        let dir = tempfile::tempdir().unwrap();
        let page = |n: u8| vec![n; 4096];
        let stretches: Vec<Vec<_>> = (0..100).map(|_| (0..4).map(page).collect()).collect();
        let file = written(dir.path(), &stretches);
        // The second stretch was last_skipped over, as the first had no repetitions.
        assert!(file.len() < 8 * 4096 + 400 * 200 + 100 * 40, "{}", file.len());
        assert_eq!(read(dir.path(), &file).0, stretches.concat());
    }

    #[test]
    fn data_that_are_damaged_are_said_to_be() {
        let dir = tempfile::tempdir().unwrap();
        let mut file = written(
            dir.path(),
            &[vec![vec![7; 4096]], vec![vec![8; 100]], vec![vec![9; 100], vec![7; 4096]]],
        );
        let (record, unreadable, _) = read(dir.path(), &file);
        assert_eq!((record.len(), unreadable), (4, 0));
        // The first frame's data: its record is lost, and the one that refers to it has none.
        file[1000] ^= 1;
        let (left, unreadable, damage) = read(dir.path(), &file);
        assert_eq!(
            (left, unreadable, damage.records),
            (vec![vec![8; 100], vec![9; 100], vec![]], 1, 1)
        );
        assert!(damage.bytes >= 4096, "{damage:?}");
    }

    #[test]
    fn references_that_lead_nowhere() {
        let dir = tempfile::tempdir().unwrap();
        let file = written(dir.path(), &[vec![vec![7; 4096]; 2]]);
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
