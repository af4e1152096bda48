//! Journals that are forged to make reading slow: the work must be linear in their length.

use super::*;
use crate::journal::Frame;

/// Returns the head of a frame that claims to have `len` bytes, with a wrong CRC.
fn forged_head(len: u32) -> Vec<u8> {
    let frame = Frame {
        magic: MAGIC,
        crc: 0x0bad_c0de,
        len,
        stream: 3,
        recording: 0,
        seq: 0,
        first: u64::MAX / 2,
    };
    frame.as_bytes().to_vec()
}

/// Reads a journal to its end. Returns the number of records, and the number of bytes processed.
fn read_through(dir: &Path, bytes: &[u8]) -> (usize, u64) {
    std::fs::write(dir.join("forged"), bytes).unwrap();
    let mut records = Records::new(File::open(dir.join("forged")).unwrap(), 3, 0);
    let mut seen = 0;
    while records.peek().unwrap().is_some() {
        records.next_record(|_, _| false);
        seen += 1;
    }
    (seen, records.work)
}

/// What `n` heads are followed by, and what they promise.
type Forged = fn(usize) -> Vec<u8>;

const FORGED: [(&str, Forged); 4] = [
    ("heads that promise all that follows", |n| {
        (0..n).flat_map(|i| forged_head(((n - i - 1) * 40) as u32)).collect()
    }),
    ("heads that promise what is not there", |n| forged_head(MAX_FRAME_BYTES as u32).repeat(n)),
    ("heads that promise half", |n| {
        let heads = (0..n).flat_map(|i| forged_head(((2 * n - i) * 20) as u32));
        heads.chain(std::iter::repeat_n(0, n * 40)).collect()
    }),
    ("lengths that go up and down", |n| {
        (0..n).flat_map(|i| forged_head(if i % 2 == 0 { 1000 } else { (n * 10) as u32 })).collect()
    }),
];

#[test]
fn forged_heads_cost_their_length() {
    let dir = tempfile::tempdir().unwrap();
    for (what, forged) in FORGED {
        let (once, twice) = (forged(20_000), forged(40_000));
        let (_, first) = read_through(dir.path(), &once);
        let (_, second) = read_through(dir.path(), &twice);
        assert!(first < 60 * once.len() as u64, "{what}: {first} for {}", once.len());
        assert!(second < 5 * first / 2, "{what}: {first}, then {second} for twice as much");
    }
}

#[test]
fn sound_frames_among_forged_heads_are_found() {
    let dir = tempfile::tempdir().unwrap();
    let whole = journal(dir.path(), 40);
    let starts = frame_starts(&whole);
    let forged = |each: usize| {
        let mut bytes = Vec::new();
        for (i, start) in starts.iter().enumerate() {
            let end = starts.get(i + 1).copied().unwrap_or(whole.len());
            (0..each).for_each(|n| bytes.extend(forged_head((n * 97) as u32)));
            bytes.extend_from_slice(&whole[*start..end]);
        }
        bytes
    };
    let (seen, first) = read_through(dir.path(), &forged(1000));
    assert_eq!(seen, 120);
    let (seen, second) = read_through(dir.path(), &forged(2000));
    assert_eq!(seen, 120);
    assert!(second < 5 * first / 2, "{first}, then {second} for twice as much");
}
