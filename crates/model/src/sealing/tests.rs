//! From records to items and back: what goes into journals comes out of the reader, in the order of
//! entry, with every byte.

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
mod hostile;
mod once;
mod volume;

/// A finished recording.
fn ended() -> RecordingEnd {
    RecordingEnd { finished: true, ..RecordingEnd::default() }
}

fn about() -> RecordingInfo {
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

fn model() -> Arc<Model> {
    Arc::new(Model::of(Empty))
}

fn create(path: &Path) -> Recording {
    Recording::create(path, about(), model()).unwrap()
}

fn limited(mut recording: Recording, limits: Limits) -> Recording {
    recording.set_limits(limits);
    recording
}

/// Opens a trace, recovered first if it must be, and says whether that was so.
fn open(path: &Path) -> Result<(Trace, bool), Error> {
    let recovered = crate::recover(path, &mut |_, _| {})?;
    Ok((Trace::open(path)?, recovered))
}

fn kind(n: u8) -> PayloadKind {
    PayloadKind::from_number(n).unwrap()
}

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

fn head_of(payload: &Payload) -> PayloadHeader {
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

fn write(journal: &mut Journal, item: &Item) {
    journal.begin(header_of(item));
    for payload in payloads_of(item) {
        journal.add_payload(head_of(payload), &payload.bytes);
    }
    journal.commit().unwrap();
}

/// Writes `items`, which are in the order in which engines make them, each into the stream that its
/// thread number chooses.
fn record(path: &Path, items: &[Item], streams: u32) -> Recording {
    let recording = create(path);
    let mut journals: Vec<_> = (0..streams).map(|n| recording.journal(n).unwrap()).collect();
    for item in items {
        write(&mut journals[(header_of(item).tid % streams) as usize], item);
    }
    journals.into_iter().for_each(|j| j.finish().unwrap());
    recording
}

fn read(trace: &Trace, data: bool) -> Vec<Item> {
    trace.read(ReadOptions { data }).map(|i| i.unwrap()).collect()
}

fn payload() -> impl Strategy<Value = Payload> {
    let bytes = prop_oneof![
        Just(Vec::new()),
        Just(vec![7; 4096]),
        prop::collection::vec(any::<u8>(), 0..40),
        prop::collection::vec(any::<u8>(), 0..3000)
    ];
    (any::<u8>(), 0u8..10, 0u8..16, bytes, any::<u64>()).prop_map(
        |(arg, k, flags, bytes, wanted)| Payload {
            arg,
            kind: kind(k),
            flags,
            len: bytes.len() as u64,
            wanted,
            bytes: bytes.into(),
        },
    )
}

fn item() -> impl Strategy<Value = Item> {
    let numbers = (
        0u64..100_000,
        0u64..50_000,
        1u32..5,
        1u32..9,
        prop_oneof![0u32..340, any::<u32>()],
        any::<i64>(),
        any::<[u64; 6]>(),
    );
    (numbers, prop::collection::vec(payload(), 0..5), 0u8..10, 0u8..8).prop_map(
        |((entered, took, pid, tid, nr, ret, args), payloads, which, flags)| {
            if which == 9 {
                let kind = RecordKind::from_number(2 + flags % 6).unwrap();
                return Item::Event(Event { time: entered, kind, pid, tid, args, payloads });
            }
            let left = (flags & NO_EXIT == 0).then_some(entered + took);
            let ret = if left.is_some() { ret } else { 0 };
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
                exited: left,
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

fn made(item: &Item) -> u64 {
    match item {
        Item::Call(c) => c.exited.unwrap_or(c.entered),
        Item::Event(e) => e.time,
    }
}

fn entered(item: &Item) -> u64 {
    header_of(item).entered
}

/// Without what the reader adds, and in an order in which equal lists are equal.
fn canonical(items: &[Item]) -> Vec<(u64, Vec<u8>)> {
    use zerocopy::IntoBytes;
    let bytes = |item: &Item| {
        let mut bytes = header_of(item).as_bytes().to_vec();
        for payload in payloads_of(item) {
            bytes.extend_from_slice(head_of(payload).as_bytes());
            bytes.extend_from_slice(&payload.len.to_le_bytes());
            bytes.extend_from_slice(&payload.bytes);
        }
        (entered(item), bytes)
    };
    let mut all: Vec<_> = items.iter().map(bytes).collect();
    all.sort();
    all
}

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
    fn what_goes_in_comes_out(mut items in prop::collection::vec(item(), 0..60), streams in 1u32..4, rows in 1usize..30) {
        items.sort_by_key(made);
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("t.ra");
        let mut done = (0, 0);
        let summary = limited(record(&path, &items, streams), Limits { rows, bytes: 20_000 }).seal(ended(), &mut |a, b| done = (a, b)).unwrap();
        prop_assert_eq!(done.0, done.1);
        let trace = Trace::open(&path).unwrap();
        prop_assert_eq!(trace.recording_info(), &about_again(&trace));
        // Any call is recorded whole, also one that lets files change without a call.
        let unseen = |reason: &String| reason.contains("which is not recorded");
        prop_assert!(summary.reasons.iter().all(unseen), "{:?}", summary.reasons);
        let out = read(&trace, true);
        prop_assert!(out.windows(2).all(|w| entered(&w[0]) <= entered(&w[1])));
        prop_assert!(canonical(&out) == canonical(&items));
        prop_assert!(canonical(&read(&trace, false)) == canonical(&without_data(&items)));
        prop_assert_eq!(summary.calls + summary.events, items.len() as u64);
        prop_assert!(!path.join("journal").exists());
    }
}

/// `About` with the facts of the moment taken from the trace.
fn about_again(trace: &Trace) -> RecordingInfo {
    let mut about = about();
    about.began = trace.recording_info().began;
    about.clock_offset = trace.recording_info().clock_offset;
    about
}

/// A call that moved `bytes`.
fn call(tid: u32, entered: u64, left: u64, bytes: &[u8]) -> Item {
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
        exited: Some(left),
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

fn seal(path: &Path, items: &[Item], rows: usize) -> Summary {
    let recording = limited(record(path, items, 1), Limits { rows, bytes: 64 << 20 });
    recording.seal(ended(), &mut |_, _| {}).unwrap()
}

#[test]
fn late_rows_go_to_a_sibling() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("t.ra");
    let mut items: Vec<Item> =
        (0..50).map(|n| call(1, 100 + n * 10, 105 + n * 10, b"short")).collect();
    items.insert(45, call(2, 101, 548, b"an hour"));
    seal(&path, &items, 10);
    let trace = Trace::open(&path).unwrap();
    let late: Vec<_> = trace
        .segments()
        .iter()
        .filter(|s| s.late)
        .map(|s| (s.sealed.file.as_str(), s.rows, s.first))
        .collect();
    assert_eq!(late, [("calls-00004-late.parquet", 1, 101)]);
    let out = read(&trace, true);
    assert_eq!(entered(&out[1]), 101);
    assert_eq!(canonical(&out), canonical(&items));
}

/// Late rows too hold equal data once: plainly written, these would be more than a reader takes.
#[test]
fn late_rows_with_equal_data() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("t.ra");
    let data = vec![7; 1 << 20];
    let mut items: Vec<Item> =
        (0..50).map(|n| call(1, 100 + n * 10, 105 + n * 10, b"short")).collect();
    items.extend((0..500).map(|n| call(2 + n, 101, 598 + u64::from(n), &data)));
    items.push(call(1, 2000, 2001, b"last"));
    seal(&path, &items, 600);
    let file = path.join("calls-00000.parquet");
    assert!(std::fs::metadata(&file).unwrap().len() < 1 << 20);
    seal(&dir.path().join("late.ra"), &items, 50);
    let trace = Trace::open(&dir.path().join("late.ra")).unwrap();
    assert!(trace.segments().iter().any(|s| s.late && s.rows > 40), "{:?}", trace.segments());
    assert_eq!(read(&trace, true).len(), items.len());
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
    recording.seal(ended(), &mut |_, _| {}).unwrap();
    let items = read(&Trace::open(&path).unwrap(), true);
    let [Item::Call(call)] = &items[..] else { panic!("{items:?}") };
    assert_eq!(call.payloads.len(), 2);
    assert_eq!(
        (call.payloads[0].len, call.payloads[0].wanted, call.payloads[0].flags),
        (50_000, 50_000, AT_EXIT | trace::record::FROM_FILE)
    );
    assert_eq!(call.payloads[0].bytes.as_slice(), whole);
    assert_eq!(call.string(9), Some(&b"x"[..]));
}

#[test]
fn only_the_owner_can_read() {
    use std::os::unix::fs::PermissionsExt;
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("t.ra");
    let mode = |p: &Path| std::fs::metadata(p).unwrap().permissions().mode() & 0o7777;
    let recording = record(&path, &[call(1, 1, 2, b"x")], 1);
    assert_eq!(
        [
            mode(&path),
            mode(&path.join("journal")),
            mode(&path.join("journal/00000")),
            mode(&path.join("trace.json"))
        ],
        [0o700, 0o700, 0o600, 0o600]
    );
    assert!(matches!(Trace::open(&path), Err(Error::Unfinished(_))));
    assert!(matches!(open(&path), Err(Error::Busy(_))));
    recording.seal(ended(), &mut |_, _| {}).unwrap();
    for entry in std::fs::read_dir(&path).unwrap() {
        assert_eq!(mode(&entry.unwrap().path()), 0o600);
    }
    assert!(matches!(Recording::create(&path, about(), model()), Err(Error::Exists(_))));
}

/// What an interrupted sealing left behind is removed by the next.
#[test]
fn leftovers_are_removed() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("t.ra");
    let recording = record(&path, &[call(1, 1, 2, b"x")], 1);
    let tables =
        ["calls-00009", "events-late", "files", "initial", "outside", "snapshot", "unnamed"];
    for table in tables {
        std::fs::write(path.join(format!("{table}.parquet")), b"left behind").unwrap();
    }
    recording.seal(ended(), &mut |_, _| {}).unwrap();
    let trace = Trace::open(&path).unwrap();
    for entry in std::fs::read_dir(&path).unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        assert!(name == "trace.json" || trace.sealed().any(|s| s.file == name), "{name}");
    }
}
