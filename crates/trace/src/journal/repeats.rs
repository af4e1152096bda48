//! Data that a journal holds already: a record refers to them in place of holding them again.
//! Programs mostly read what they have read before, and the trace's disk is slower than their
//! memory.
//!
//! Invariant: a reference leads to bytes that stand before it in the same file, and bears their
//! hash: a reader sees whether they are still the same. What is remembered is bounded, and
//! newer data take the place of older. Where nothing repeats, only some stretches are looked at.

use crate::format::record::{
    Header, PayloadHeader, PayloadKind, RING_DISCARD, RING_HEAD, ring_step,
};
use std::mem::offset_of;
use std::ops::Range;
use twox_hash::XxHash3_128;
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

/// [`PayloadHeader::flags`], in frames with references only: the payload's bytes are a
/// [`Reference`].
pub(super) const REFERENCE: u8 = 128;
/// The longest data that are referred to: engines copy no more at once.
pub(super) const MAX_BYTES: u64 = 1 << 20;
/// Shorter data are written again.
const MIN_BYTES: usize = 512;
/// So many different data are remembered.
const SLOTS: usize = 1 << 15;
/// After stretches without repetitions, so many are passed over at most before the next look.
const MAX_PASSES: u32 = 15;

/// Where the data stand: 32 bytes.
#[derive(Clone, Copy, FromBytes, IntoBytes, KnownLayout, Immutable)]
#[repr(C)]
pub(super) struct Reference {
    /// From the beginning of the file.
    pub at: u64,
    pub len: u64,
    /// XXH3-128 with the recording's number as seed, low half first.
    pub hash: [u64; 2],
}

/// By which equal data are told: hash and length.
pub(crate) type DataHash = (u128, u64);

/// What tells these data from others of the recording with this number.
pub(crate) fn data_hash(data: &[u8], recording: u64) -> DataHash {
    (XxHash3_128::oneshot_with_seed(recording, data), data.len() as u64)
}

impl Reference {
    fn to(bytes: &[u8], at: u64, seed: u64) -> Self {
        let (hash, len) = data_hash(bytes, seed);
        Self { at, len, hash: [hash as u64, (hash >> 64) as u64] }
    }
    /// What tells the data from others.
    pub fn data_hash(&self) -> DataHash {
        (u128::from(self.hash[1]) << 64 | u128::from(self.hash[0]), self.len)
    }
    /// Whether these are the bytes.
    pub fn means(&self, bytes: &[u8], seed: u64) -> bool {
        self.data_hash() == data_hash(bytes, seed)
    }
}

/// Bytes of the coming frame, in order.
#[derive(Debug, PartialEq)]
enum Stretch {
    /// As they are in the ring.
    Ring(Range<usize>),
    /// Records that were made shorter.
    Made(Range<usize>),
}

/// What is remembered of a file's data.
pub(super) struct Repeats {
    seed: u64,
    known: Vec<Reference>,
    stretches: Vec<Stretch>,
    made: Vec<u8>,
    len: usize,
    /// Stretches to pass over, and how many were the last time.
    pass: u32,
    passed: u32,
}

impl Repeats {
    /// Nothing; `seed` is the recording's number.
    pub fn new(seed: u64) -> Self {
        Self {
            seed,
            known: Vec::new(),
            stretches: Vec::new(),
            made: Vec::new(),
            len: 0,
            pass: 0,
            passed: 0,
        }
    }

    /// Looks for repetitions in a stretch of a ring that will stand at byte `at` of the file.
    /// Whether there are any.
    pub fn look(&mut self, ring: &[u8], at: u64) -> bool {
        self.stretches.clear();
        self.made.clear();
        self.len = 0;
        if self.pass > 0 {
            self.pass -= 1;
            self.keep(0..ring.len());
            return false;
        }
        if self.known.is_empty() {
            self.known.resize(SLOTS, Reference { at: 0, len: 0, hash: [0; 2] });
        }
        let mut next = 0;
        while let Some(step) = ring.get(next..).and_then(record) {
            let whole = next..next + step;
            next = whole.end;
            let Some(data) = data(&ring[whole.clone()])
                .filter(|d| (MIN_BYTES..=MAX_BYTES as usize).contains(&d.len()))
            else {
                self.keep(whole);
                continue;
            };
            let begin = whole.start + data.start;
            let here = Reference::to(
                &ring[begin..whole.start + data.end],
                at + (self.len + data.start) as u64,
                self.seed,
            );
            let slot = here.hash[0] as usize % SLOTS;
            if self.known[slot].data_hash() == here.data_hash() {
                self.refer(&ring[whole.start..begin], slot);
            } else {
                self.known[slot] = here;
                self.keep(whole);
            }
        }
        self.keep(next..ring.len());
        self.passed = if self.made.is_empty() { (2 * self.passed + 1).min(MAX_PASSES) } else { 0 };
        self.pass = self.passed;
        !self.made.is_empty()
    }

    fn keep(&mut self, more: Range<usize>) {
        self.len += more.len();
        match self.stretches.last_mut() {
            Some(Stretch::Ring(last)) if last.end == more.start => last.end = more.end,
            _ => self.stretches.push(Stretch::Ring(more)),
        }
    }

    /// Writes a record anew whose heads are these: with a reference in place of its data.
    fn refer(&mut self, heads: &[u8], slot: usize) {
        let begin = self.made.len();
        self.made.extend_from_slice(heads);
        self.made.extend_from_slice(self.known[slot].as_bytes());
        let record = &mut self.made[begin..];
        let len = (record.len() - RING_HEAD) as u32;
        record[..4].copy_from_slice(&len.to_le_bytes());
        record[RING_HEAD + offset_of!(Header, len)..][..4].copy_from_slice(&len.to_le_bytes());
        let payload = RING_HEAD + size_of::<Header>();
        record[payload + offset_of!(PayloadHeader, flags)] |= REFERENCE;
        record[payload + offset_of!(PayloadHeader, len)..][..4]
            .copy_from_slice(&(size_of::<Reference>() as u32).to_le_bytes());
        self.len += record.len();
        match self.stretches.last_mut() {
            Some(Stretch::Made(last)) => last.end = self.made.len(),
            _ => self.stretches.push(Stretch::Made(begin..self.made.len())),
        }
    }

    /// Bytes of the coming frame.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Those bytes, in order; `ring` is what was looked at.
    pub fn stretches<'a>(&'a self, ring: &'a [u8]) -> impl Iterator<Item = &'a [u8]> {
        self.stretches.iter().map(move |stretch| match stretch {
            Stretch::Ring(range) => &ring[range.clone()],
            Stretch::Made(range) => &self.made[range.clone()],
        })
    }
}

/// Bytes of the record at the beginning, with the ring's head.
fn record(ring: &[u8]) -> Option<usize> {
    let step = ring_step(u32::from_le_bytes(*ring.first_chunk()?));
    (step <= ring.len()).then_some(step)
}

/// Where the data of a record are, if it holds nothing else.
fn data(record: &[u8]) -> Option<Range<usize>> {
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
            journal.span(&bytes, first, seq).unwrap();
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
            let (payload, data) = Payloads::new(records.take(|_, _| false).body).next().unwrap();
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
        // The second stretch was passed over, as the first had no repetitions.
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
        let (whole, unreadable, _) = read(dir.path(), &file);
        assert_eq!((whole.len(), unreadable), (4, 0));
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
            assert_eq!(frame.len as usize + super::super::HEAD, forged.len());
            let (all, unreadable, _) = read(dir.path(), &forged);
            assert_eq!((all.len(), all[1].len(), unreadable), (2, 0, 1), "{field} {value}");
        }
    }
}
