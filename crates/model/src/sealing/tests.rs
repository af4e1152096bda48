//! Checks that all that is written to journals is read from the sealed trace, in the order of
//! entry.

use super::Model;
use crate::files::{Found, Machine};
use proptest::prelude::*;
use rustix::fd::OwnedFd;
use std::path::Path;
use std::sync::Arc;
use trace::document::{RecordingEnd, RecordingInfo, Summary, Verdict};
use trace::record::{AT_EXIT, FdSnapshot, Header, NO_EXIT, PayloadHeader, PayloadKind, RecordKind};
use trace::{
    Call, Error, Event, Identity, Item, Journal, Limits, Payload, ReadOptions, Recording, Trace,
};

mod along;
mod columns;
mod faults;
mod files;
mod hostile;
mod once;
mod volume;

/// The end of a recording that ended in order.
fn finished_end() -> RecordingEnd {
    RecordingEnd { finished: true, ..RecordingEnd::default() }
}

/// What is known of a recording at its beginning, with unusual bytes in the command.
fn recording_info() -> RecordingInfo {
    RecordingInfo {
        command: vec![
            "tr\u{fc}e \\ \n".into(),
            std::os::unix::ffi::OsStringExt::from_vec(vec![0xff, b'a']),
        ],
        clock_offset: 1_700_000_000_000_000_000,
        began: 1,
        ..RecordingInfo::default()
    }
}

/// A machine without files.
#[derive(Debug)]
struct Empty;

impl Machine for Empty {
    fn find(&self, _: &[u8]) -> rustix::io::Result<Found> {
        Err(rustix::io::Errno::NOENT)
    }
    fn open(&self, _: &[u8]) -> rustix::io::Result<OwnedFd> {
        Err(rustix::io::Errno::NOENT)
    }
    fn list(&self, _: &[u8]) -> Vec<Vec<u8>> {
        Vec::new()
    }
}

fn model_of_empty_machine() -> Arc<Model> {
    Arc::new(Model::of(Empty))
}

/// Creates a trace whose model has a machine without files.
fn create(path: &Path) -> Recording {
    Recording::create(path, recording_info(), model_of_empty_machine()).unwrap()
}

/// Sets the limits at which a segment is full.
fn with_limits(mut recording: Recording, limits: Limits) -> Recording {
    recording.set_limits(limits);
    recording
}

/// Opens a trace, and recovers it before if it needs that. Returns whether it did.
fn open_recovered(path: &Path) -> Result<(Trace, bool), Error> {
    let recovered = crate::recover(path, &mut |_, _| {})?;
    Ok((Trace::open(path)?, recovered))
}

fn payload_kind(n: u8) -> PayloadKind {
    PayloadKind::from_number(n).unwrap()
}

/// Returns the head of the record for an item.
fn header_of(item: &Item) -> Header {
    match item {
        Item::Call(c) => Header {
            kind: RecordKind::Call as u8,
            flags: c.flags,
            pid: c.pid,
            tid: c.tid,
            nr: c.nr,
            entered: c.entered,
            left: c.exited.unwrap_or(0),
            ret: c.ret,
            args: c.args,
            fd_snapshot: c.fd_snapshot,
            ..Header::default()
        },
        Item::Event(e) => Header {
            kind: e.kind as u8,
            pid: e.pid,
            tid: e.tid,
            entered: e.time,
            left: e.time,
            args: e.args,
            ..Header::default()
        },
    }
}

/// Returns the head of a payload in a record.
fn payload_header_of(payload: &Payload) -> PayloadHeader {
    PayloadHeader {
        arg: payload.arg,
        kind: payload.kind as u8,
        flags: payload.flags,
        wanted: payload.wanted,
        ..PayloadHeader::default()
    }
}

fn payloads_of(item: &Item) -> &[Payload] {
    match item {
        Item::Call(c) => &c.payloads,
        Item::Event(e) => &e.payloads,
    }
}

/// Writes an item as a record.
fn write_item(journal: &mut Journal, item: &Item) {
    journal.begin(header_of(item));
    for payload in payloads_of(item) {
        journal.add_payload(payload_header_of(payload), &payload.bytes);
    }
    journal.commit().unwrap();
}

/// Writes `items`, which are in the order in which engines write them, into as many journals as
/// there are `streams`: the thread id decides which one. Returns the recording, which is not
/// sealed.
fn record_items(path: &Path, items: &[Item], streams: u32) -> Recording {
    let recording = create(path);
    let mut journals: Vec<_> = (0..streams).map(|n| recording.journal(n).unwrap()).collect();
    for item in items {
        write_item(&mut journals[(header_of(item).tid % streams) as usize], item);
    }
    journals.into_iter().for_each(|j| j.finish().unwrap());
    recording
}

/// Reads all items of a trace. `data` is whether the data payloads get their bytes.
fn read_items(trace: &Trace, data: bool) -> Vec<Item> {
    trace.read(ReadOptions { data }).map(|i| i.unwrap()).collect()
}

/// Any payload.
fn any_payload() -> impl Strategy<Value = Payload> {
    let bytes = prop_oneof![
        Just(Vec::new()),
        Just(vec![7; 4096]),
        prop::collection::vec(any::<u8>(), 0..40),
        prop::collection::vec(any::<u8>(), 0..3000)
    ];
    (any::<u8>(), 0u8..10, 0u8..16, bytes, any::<u64>()).prop_map(
        |(arg, kind_number, flags, bytes, wanted)| Payload {
            arg,
            kind: payload_kind(kind_number),
            flags,
            len: bytes.len() as u64,
            wanted,
            bytes: bytes.into(),
        },
    )
}

/// Any call or event.
fn any_item() -> impl Strategy<Value = Item> {
    let numbers = (
        0u64..100_000,
        0u64..50_000,
        1u32..5,
        1u32..9,
        prop_oneof![0u32..340, any::<u32>()],
        any::<i64>(),
        any::<[u64; 6]>(),
    );
    (numbers, prop::collection::vec(any_payload(), 0..5), 0u8..10, 0u8..8).prop_map(
        |((entered, duration, pid, tid, nr, ret, args), payloads, choice, flags)| {
            if choice == 9 {
                let kind = RecordKind::from_number(2 + flags % 6).unwrap();
                return Item::Event(Event { time: entered, kind, pid, tid, args, payloads });
            }
            let exited = (flags & NO_EXIT == 0).then_some(entered + duration);
            let ret = if exited.is_some() { ret } else { 0 };
            // An engine that looks does not see something at each call.
            let fd_snapshot = if args[0] % 3 == 0 {
                FdSnapshot { ino: args[1], offset: args[2], dev: nr, mode: args[3] as u16, pad: 0 }
            } else {
                FdSnapshot::default()
            };
            let fd_snapshot = fd_snapshot.known().unwrap_or_default();
            Item::Call(Call {
                seq: 0,
                entered,
                exited,
                pid,
                tid,
                nr,
                flags,
                args,
                ret,
                fd_snapshot,
                payloads,
            })
        },
    )
}

/// Returns the time at which an engine writes the record for an item.
fn record_time(item: &Item) -> u64 {
    match item {
        Item::Call(c) => c.exited.unwrap_or(c.entered),
        Item::Event(e) => e.time,
    }
}

fn entry_time(item: &Item) -> u64 {
    header_of(item).entered
}

/// Returns the items as bytes, without what the reader adds, and sorted, so that equal items give
/// equal lists.
fn canonical(items: &[Item]) -> Vec<(u64, Vec<u8>)> {
    use zerocopy::IntoBytes;
    let bytes = |item: &Item| {
        let mut bytes = header_of(item).as_bytes().to_vec();
        for payload in payloads_of(item) {
            bytes.extend_from_slice(payload_header_of(payload).as_bytes());
            bytes.extend_from_slice(&payload.len.to_le_bytes());
            bytes.extend_from_slice(&payload.bytes);
        }
        (entry_time(item), bytes)
    };
    let mut all: Vec<_> = items.iter().map(bytes).collect();
    all.sort();
    all
}

/// Returns the items without the bytes of their data payloads.
fn without_data(items: &[Item]) -> Vec<Item> {
    let mut items = items.to_vec();
    for item in &mut items {
        if let Item::Call(c) = item {
            c.payloads
                .iter_mut()
                .filter(|p| p.kind == PayloadKind::Data)
                .for_each(|p| p.bytes = Vec::<u8>::new().into());
        }
    }
    items
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 60, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn what_goes_in_comes_out(mut items in prop::collection::vec(any_item(), 0..60), streams in 1u32..4, rows in 1usize..30) {
        items.sort_by_key(record_time);
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("t.ra");
        let mut done = (0, 0);
        let summary = with_limits(record_items(&path, &items, streams), Limits { rows, bytes: 20_000 }).seal(finished_end(), &mut |a, b| done = (a, b)).unwrap();
        prop_assert_eq!(done.0, done.1);
        let trace = Trace::open(&path).unwrap();
        prop_assert_eq!(trace.recording_info(), &info_with_times_of(&trace));
        // Any call is recorded whole, also one that lets files change without a call.
        let unseen = |reason: &String| reason.contains("which is not recorded");
        prop_assert!(summary.reasons.iter().all(unseen), "{:?}", summary.reasons);
        let out = read_items(&trace, true);
        prop_assert!(out.windows(2).all(|w| entry_time(&w[0]) <= entry_time(&w[1])));
        prop_assert!(canonical(&out) == canonical(&items));
        prop_assert!(canonical(&read_items(&trace, false)) == canonical(&without_data(&items)));
        prop_assert_eq!(summary.calls + summary.events, items.len() as u64);
        prop_assert!(!path.join("journal").exists());
    }
}

/// Returns [`recording_info`] with the times of the trace.
fn info_with_times_of(trace: &Trace) -> RecordingInfo {
    let mut info = recording_info();
    info.began = trace.recording_info().began;
    info.clock_offset = trace.recording_info().clock_offset;
    info
}

/// Returns a read(2) that read `bytes`.
fn read_call(tid: u32, entered: u64, exited: u64, bytes: &[u8]) -> Item {
    let payload = Payload {
        arg: 1,
        kind: PayloadKind::Data,
        flags: AT_EXIT,
        len: bytes.len() as u64,
        wanted: bytes.len() as u64,
        bytes: bytes.to_vec().into(),
    };
    let args = [3, 4096, bytes.len() as u64, 0, 0, 0];
    Item::Call(Call {
        seq: 0,
        entered,
        exited: Some(exited),
        pid: 1,
        tid,
        nr: 0,
        flags: 0,
        args,
        ret: bytes.len() as i64,
        fd_snapshot: Default::default(),
        payloads: vec![payload],
    })
}

/// Records the items in one journal, and seals the trace with segments of `rows` rows.
fn record_and_seal(path: &Path, items: &[Item], rows: usize) -> Summary {
    let recording = with_limits(record_items(path, items, 1), Limits { rows, bytes: 64 << 20 });
    recording.seal(finished_end(), &mut |_, _| {}).unwrap()
}

#[test]
fn late_rows_go_to_a_sibling() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("t.ra");
    let mut items: Vec<Item> =
        (0..50).map(|n| read_call(1, 100 + n * 10, 105 + n * 10, b"short")).collect();
    items.insert(45, read_call(2, 101, 548, b"an hour"));
    record_and_seal(&path, &items, 10);
    let trace = Trace::open(&path).unwrap();
    let late: Vec<_> = trace
        .segments()
        .iter()
        .filter(|s| s.late)
        .map(|s| (s.sealed.file.as_str(), s.rows, s.first))
        .collect();
    assert_eq!(late, [("calls-00004-late.parquet", 1, 101)]);
    let out = read_items(&trace, true);
    assert_eq!(entry_time(&out[1]), 101);
    assert_eq!(canonical(&out), canonical(&items));
}

/// Late rows too hold equal data once: plainly written, these would be more than a reader takes.
#[test]
fn late_rows_with_equal_data() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("t.ra");
    let data = vec![7; 1 << 20];
    let mut items: Vec<Item> =
        (0..50).map(|n| read_call(1, 100 + n * 10, 105 + n * 10, b"short")).collect();
    items.extend((0..500).map(|n| read_call(2 + n, 101, 598 + u64::from(n), &data)));
    items.push(read_call(1, 2000, 2001, b"last"));
    record_and_seal(&path, &items, 600);
    let file = path.join("calls-00000.parquet");
    assert!(std::fs::metadata(&file).unwrap().len() < 1 << 20);
    record_and_seal(&dir.path().join("late.ra"), &items, 50);
    let trace = Trace::open(&dir.path().join("late.ra")).unwrap();
    assert!(trace.segments().iter().any(|s| s.late && s.rows > 40), "{:?}", trace.segments());
    assert_eq!(read_items(&trace, true).len(), items.len());
}

#[test]
fn parts_are_joined() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("t.ra");
    let recording = create(&path);
    let mut journal = recording.journal(0).unwrap();
    let whole: Vec<u8> = (0..50_000u32).map(|n| (n / 7) as u8).collect();
    let head = PayloadHeader { arg: 1, flags: AT_EXIT, wanted: 20_000, ..PayloadHeader::default() };
    for part in [&whole[..20_000], &whole[20_000..40_000]] {
        journal.begin(Header {
            kind: RecordKind::Part as u8,
            tid: 5,
            pid: 5,
            entered: 10,
            ..Header::default()
        });
        journal.add_payload(head, part);
        journal.commit().unwrap();
    }
    journal.begin(Header {
        tid: 5,
        pid: 5,
        entered: 10,
        left: 20,
        ret: 50_000,
        ..Header::default()
    });
    journal.reserve_payload(PayloadHeader { wanted: 10_000, ..head }, 20_000)[..10_000]
        .copy_from_slice(&whole[40_000..]);
    journal.keep_reserved(10_000, trace::record::FROM_FILE);
    journal.add_payload(PayloadHeader { arg: 9, kind: PayloadKind::String as u8, ..head }, b"x");
    journal.commit().unwrap();
    assert_eq!((journal.records(), journal.payload_bytes()), (3, 50_001));
    journal.finish().unwrap();
    recording.seal(finished_end(), &mut |_, _| {}).unwrap();
    let items = read_items(&Trace::open(&path).unwrap(), true);
    let [Item::Call(call)] = &items[..] else { panic!("{items:?}") };
    assert_eq!(call.payloads.len(), 2);
    assert_eq!(
        (call.payloads[0].len, call.payloads[0].wanted, call.payloads[0].flags),
        (50_000, 50_000, AT_EXIT | trace::record::FROM_FILE)
    );
    assert_eq!(call.payloads[0].bytes.as_slice(), whole);
    assert_eq!(call.string(9), Some(&b"x"[..]));
}
