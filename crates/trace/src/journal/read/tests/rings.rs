//! Spans of a ring buffer as the eBPF program writes them: records in reservations of their own
//! size or a larger one, discarded reservations, and records for which there was no space.

use super::super::*;
use crate::format::record::{PayloadKind, Payloads, RING_DISCARD};
use crate::journal::Journal;
use proptest::prelude::*;

/// What a producer does.
#[derive(Clone, Debug)]
enum Action {
    /// A record with a payload of so many bytes, and room in its reservation that is not used.
    Record { bytes: usize, spare: usize },
    /// A reservation that was given back; what stood there before stands there still.
    Discard { bytes: usize, stale: u8 },
    /// No room: a number is left out.
    Failed,
    /// A record that says that it is longer, or has more payloads, than can be.
    Bad { bytes: usize, how: u8 },
    /// The consumer takes what is there.
    Taken,
}

/// Sizes around those that the program reserves, and any.
fn any_size() -> impl Strategy<Value = usize> {
    prop_oneof![
        0usize..40,
        prop::sample::select(vec![
            63, 64, 65, 511, 512, 513, 4095, 4096, 4097, 16384, 65536, 70000
        ]),
        0usize..5000,
    ]
}

fn any_action() -> impl Strategy<Value = Action> {
    prop_oneof![
        6 => (any_size(), any_size()).prop_map(|(bytes, spare)| Action::Record { bytes, spare }),
        4 => (any_size(), any::<u8>()).prop_map(|(bytes, stale)| Action::Discard { bytes, stale }),
        1 => Just(Action::Failed),
        1 => (0usize..300, 0u8..4).prop_map(|(bytes, how)| Action::Bad { bytes, how }),
        2 => Just(Action::Taken),
    ]
}

/// Adds a reservation of `len` bytes that begins with `bytes`.
fn reserve(ring: &mut Vec<u8>, word: u32, bytes: &[u8], len: usize) {
    ring.extend([word | len as u32, 0xdead_beef].map(u32::to_le_bytes).concat());
    ring.extend(bytes);
    ring.resize((ring.len() - bytes.len() + len).next_multiple_of(8), 0xee);
}

/// A record with one payload, whose bytes follow from its number.
fn record(seq: u64, bytes: usize) -> Vec<u8> {
    let padded = bytes.next_multiple_of(8);
    let len = size_of::<Header>() + size_of::<PayloadHeader>() + padded;
    let header = Header { len: len as u32, payloads: 1, seq, ..Header::default() };
    let kind = PayloadKind::Data as u8;
    let payload = PayloadHeader { kind, len: bytes as u32, ..PayloadHeader::default() };
    let mut all = [header.as_bytes(), payload.as_bytes(), &vec![seq as u8; bytes]].concat();
    all.resize(len, 0);
    all
}

/// What of it can be read back, and must be.
#[derive(Default, Debug, PartialEq)]
struct Wanted {
    good: Vec<(u64, usize)>,
    missing: u64,
    rubbish: u64,
}

/// Writes what these actions leave behind, frame by frame.
fn write(dir: &std::path::Path, actions: &[Action]) -> Wanted {
    let mut journal = Journal::create(dir, 0).unwrap();
    let (mut ring, mut first, mut seq) = (Vec::new(), None, 0u64);
    let (mut wanted, mut owed) = (Wanted::default(), 0);
    for deed in actions.iter().chain([&Action::Taken]) {
        match deed {
            Action::Record { bytes, spare } => {
                let bytes_of = record(seq, *bytes);
                reserve(&mut ring, 0, &bytes_of, bytes_of.len() + spare);
                first.get_or_insert(seq);
                wanted.good.push((seq, *bytes));
                wanted.missing += std::mem::take(&mut owed);
                seq += 1;
            }
            Action::Discard { bytes, stale } => {
                // Of every kind: what looks like a record among them.
                let old = if stale % 2 == 0 { record(seq, *bytes) } else { vec![*stale; *bytes] };
                reserve(&mut ring, RING_DISCARD, &old, old.len());
            }
            Action::Failed => {
                seq += 1;
                owed += 1;
            }
            Action::Bad { bytes, how } => {
                let mut bad = record(seq, *bytes);
                match how {
                    0 => bad[0..4].copy_from_slice(&u32::MAX.to_le_bytes()),
                    1 => bad[6] = 9,
                    2 => bad[0] = bad[0].wrapping_add(4),
                    _ => bad.truncate(100),
                }
                let before = ring.len();
                reserve(&mut ring, 0, &bad, bad.len());
                wanted.rubbish += (ring.len() - before) as u64;
                first.get_or_insert(seq);
                seq += 1;
                owed += 1;
            }
            Action::Taken => {
                if let Some(first) = first.take() {
                    journal.write_ring(&ring, first, seq).unwrap();
                }
                ring.clear();
            }
        }
    }
    journal.finish().unwrap();
    wanted
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]
    /// Every record that is one is read, whatever stands beside it, and the others are counted.
    #[test]
    fn nothing_is_thrown_away(actions in prop::collection::vec(any_action(), 1..60)) {
        let dir = tempfile::tempdir().unwrap();
        let wanted = write(dir.path(), &actions);
        let mut records = Records::new(File::open(dir.path().join("00000")).unwrap(), 0, 0);
        let mut good = Vec::new();
        while let Some(header) = records.peek().unwrap() {
            let (payload, bytes) = Payloads::new(records.next_record(|_, _| false).body).next().unwrap();
            prop_assert_eq!(payload.len as usize, bytes.len());
            prop_assert!(bytes.iter().all(|b| *b == header.seq as u8));
            good.push((header.seq, bytes.len()));
        }
        let damage = records.damage();
        let lost = damage.missing_records;
        prop_assert_eq!(&good, &wanted.good);
        prop_assert_eq!((damage.unusable_bytes, damage.torn_bytes), (wanted.rubbish, 0));
        prop_assert!(lost >= wanted.missing);
        let last = actions.iter().filter(|d| matches!(d, Action::Bad { .. })).count() as u64;
        prop_assert!(lost <= wanted.missing + last, "{lost} lost of {}", wanted.missing);
        prop_assert!(lost >= last);
    }
}
