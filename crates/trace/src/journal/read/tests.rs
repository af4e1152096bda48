//! Reads damaged, cut and forged journals.

mod rings;

use super::*;
use crate::format::record::{Header, Payloads};
use crate::journal::Journal;
use proptest::prelude::*;
use std::os::fd::AsFd;
use std::path::Path;

mod steps;

/// Writes a journal of `frames` frames with three records each. Returns its bytes.
fn journal(dir: &Path, frames: u64) -> Vec<u8> {
    let mut journal = Journal::create(dir, 3).unwrap();
    for n in 0..frames * 3 {
        journal.begin(Header { tid: n as u32, ..Header::default() });
        journal.add_payload(PayloadHeader::default(), &vec![n as u8; 10 + n as usize % 90]);
        journal.commit().unwrap();
        if n % 3 == 2 {
            journal.flush().unwrap();
        }
    }
    journal.finish().unwrap();
    std::fs::read(dir.join("00003")).unwrap()
}

/// Returns the sequence numbers of the records that are found in `bytes`, and the damage.
fn read_damaged(dir: &Path, bytes: &[u8]) -> (Vec<u64>, Damage) {
    std::fs::write(dir.join("damaged"), bytes).unwrap();
    let mut records = Records::new(File::open(dir.join("damaged")).unwrap(), 3, 0);
    let mut seen = Vec::new();
    while let Some(header) = records.peek().unwrap() {
        let record = records.next_record(|_, _| false);
        let (_, bytes) = Payloads::new(record.body).next().unwrap();
        assert_eq!(bytes, vec![header.seq as u8; 10 + header.seq as usize % 90]);
        assert_eq!(u64::from(header.tid), header.seq);
        seen.push(header.seq);
    }
    assert_eq!(records.position(), bytes.len() as u64);
    (seen, records.damage())
}

/// Returns the offsets of all frames.
fn frame_starts(bytes: &[u8]) -> Vec<usize> {
    bytes.windows(4).enumerate().filter(|(_, w)| *w == MAGIC).map(|(i, _)| i).collect()
}

#[test]
fn whole() {
    let dir = tempfile::tempdir().unwrap();
    let bytes = journal(dir.path(), 20);
    assert_eq!(read_damaged(dir.path(), &bytes), ((0..60).collect(), Damage::default()));
}

#[test]
fn cut_anywhere() {
    let dir = tempfile::tempdir().unwrap();
    let bytes = journal(dir.path(), 4);
    let starts = frame_starts(&bytes);
    for cut in 0..bytes.len() {
        let (seen, damage) = read_damaged(dir.path(), &bytes[..cut]);
        let whole = starts.iter().skip(1).chain([&bytes.len()]).filter(|end| **end <= cut).count();
        assert_eq!(seen, (0..whole as u64 * 3).collect::<Vec<_>>());
        let rest = cut - starts.get(whole).copied().unwrap_or(bytes.len()).min(cut);
        assert_eq!(damage, Damage { torn_bytes: rest as u64, ..Damage::default() }, "cut at {cut}");
    }
}

#[test]
fn any_flipped_byte_costs_its_frame() {
    let dir = tempfile::tempdir().unwrap();
    let bytes = journal(dir.path(), 4);
    let starts = frame_starts(&bytes);
    for at in 0..bytes.len() {
        let mut bad = bytes.clone();
        bad[at] ^= 0x41;
        let frame = starts.iter().filter(|s| **s <= at).count() as u64 - 1;
        let (seen, damage) = read_damaged(dir.path(), &bad);
        assert_eq!(seen, (0..12).filter(|n| n / 3 != frame).collect::<Vec<_>>(), "byte {at}");
        assert_eq!(damage.missing_records, if frame == 3 { 0 } else { 3 });
        let len = starts.get(frame as usize + 1).unwrap_or(&bytes.len()) - starts[frame as usize];
        assert_eq!(damage.unusable_bytes + damage.torn_bytes, len as u64, "byte {at}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]
    #[test]
    fn rubbish(bytes in prop::collection::vec(any::<u8>(), 0..2000), at in 0usize..4000) {
        let dir = tempfile::tempdir().unwrap();
        let mut all = journal(dir.path(), 10);
        let at = at.min(all.len());
        all.splice(at..at, bytes);
        let (seen, _) = read_damaged(dir.path(), &all);
        prop_assert!(seen.len() >= 27 && seen.windows(2).all(|w| w[0] < w[1]));
    }
}

#[test]
fn a_journal_within_the_data_is_not_ours() {
    let dir = tempfile::tempdir().unwrap();
    let opened = crate::storage::open_directory(dir.path()).unwrap();
    let inner = journal(dir.path(), 4);
    let recorded = |recording| {
        let mut journal =
            Journal::create_on(&crate::storage::Disk, opened.as_fd(), dir.path(), 3, recording)
                .unwrap();
        for _ in 0..2 {
            journal.begin(Header::default());
            journal.add_payload(PayloadHeader::default(), &inner);
            journal.commit().unwrap();
            journal.flush().unwrap();
        }
        journal.finish().unwrap();
        let mut bytes = std::fs::read(dir.path().join("00003")).unwrap();
        bytes[60] ^= 1;
        std::fs::write(dir.path().join("damaged"), bytes).unwrap();
        let mut records =
            Records::new(File::open(dir.path().join("damaged")).unwrap(), 3, recording);
        std::iter::from_fn(move || {
            records.peek().unwrap().map(|_| records.next_record(|_, _| false).header.seq)
        })
        .collect::<Vec<_>>()
    };
    assert_eq!(recorded(99), [1]);
}

/// What is not there yet is no damage, wherever the file ends at the moment; what never comes is
/// torn.
#[test]
fn a_journal_that_grows() {
    use std::io::Write;
    let dir = tempfile::tempdir().unwrap();
    let bytes = journal(dir.path(), 6);
    for (step, end) in [
        (1, bytes.len()),
        (7, bytes.len()),
        (41, bytes.len()),
        (333, bytes.len()),
        (100, bytes.len() - 50),
    ] {
        let path = dir.path().join("grows");
        let mut file = File::create(&path).unwrap();
        let mut records = Records::new(File::open(&path).unwrap(), 3, 0);
        records.set_growing(true);
        let mut seen = Vec::new();
        for (n, some) in bytes[..end].chunks(step).enumerate() {
            file.write_all(some).unwrap();
            let there = (n + 1) * step;
            while let Some(header) = records.peek().unwrap() {
                let record = records.next_record(|_, _| false);
                assert_eq!(
                    Payloads::new(record.body).next().unwrap().1,
                    vec![header.seq as u8; 10 + header.seq as usize % 90]
                );
                seen.push(header.seq);
            }
            let whole = frame_starts(&bytes)
                .iter()
                .skip(1)
                .chain([&bytes.len()])
                .filter(|e| **e <= there.min(end))
                .count();
            assert_eq!(seen.len(), whole * 3, "{there} bytes");
            assert_eq!(records.damage(), Damage::default());
        }
        records.set_growing(false);
        assert!(records.peek().unwrap().is_none());
        let torn = (end
            - frame_starts(&bytes).into_iter().chain([bytes.len()]).rfind(|s| *s <= end).unwrap())
            as u64;
        assert_eq!(records.damage(), Damage { torn_bytes: torn, ..Damage::default() });
        assert_eq!(seen.len() as u64, if torn == 0 { 18 } else { 15 });
    }
}

/// A frame of which the reader saw only a part, the rest of it being zeros, as on a disk that was
/// told its length first.
#[test]
fn a_frame_that_is_not_whole_yet() {
    let dir = tempfile::tempdir().unwrap();
    let bytes = journal(dir.path(), 3);
    let path = dir.path().join("grows");
    let mut early = bytes.clone();
    early[bytes.len() - 60..].fill(0);
    std::fs::write(&path, &early).unwrap();
    let mut records = Records::new(File::open(&path).unwrap(), 3, 0);
    records.set_growing(true);
    let mut count = 0;
    while records.peek().unwrap().is_some() {
        records.next_record(|_, _| false);
        count += 1;
    }
    assert_eq!((count, records.damage()), (6, Damage::default()));
    std::fs::write(&path, &bytes).unwrap();
    while records.peek().unwrap().is_some() {
        records.next_record(|_, _| false);
        count += 1;
    }
    assert_eq!((count, records.damage()), (9, Damage::default()));
}
