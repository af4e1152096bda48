//! From records to items and back: what goes into journals comes out of the reader, in the order of entry, with every byte.

use super::Model;
use proptest::prelude::*;
use std::path::Path;
use std::sync::Arc;
use trace::document::{About, End, Summary, Verdict};
use trace::record::{AT_EXIT, Header, NO_EXIT, PieceHeader, PieceKind, RecordKind, Seen};
use trace::{Call, Error, Event, Identity, Item, Journal, Limits, Piece, Recording, Trace, Want};

mod along;
mod faults;
mod hostile;
mod volume;

/// A finished recording.
fn ended() -> End {
    End { finished: true, ..End::default() }
}

fn about() -> About {
    About {
        command: vec![
            "tr\u{fc}e \\ \n".into(),
            std::os::unix::ffi::OsStringExt::from_vec(vec![0xff, b'a']),
        ],
        clock_offset: 1_700_000_000_000_000_000,
        ..About::here()
    }
}

fn model() -> Arc<Model> {
    Arc::new(Model::of_this_machine())
}

fn create(path: &Path) -> Recording {
    Recording::create(path, about(), model()).unwrap()
}

fn limited(mut recording: Recording, limits: Limits) -> Recording {
    recording.limit(limits);
    recording
}

/// Opens a trace, recovered first if it must be, and says whether that was so.
fn open(path: &Path) -> Result<(Trace, bool), Error> {
    let recovered = crate::recover(path, &mut |_, _| {})?;
    Ok((Trace::open(path)?, recovered))
}

fn kind(n: u8) -> PieceKind {
    PieceKind::from_number(n).unwrap()
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
            left: c.left.unwrap_or(0),
            ret: c.ret,
            args: c.args,
            seen: c.seen,
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

fn head_of(piece: &Piece) -> PieceHeader {
    PieceHeader {
        arg: piece.arg,
        kind: piece.kind as u8,
        flags: piece.flags,
        wanted: piece.wanted,
        ..PieceHeader::default()
    }
}

fn pieces_of(item: &Item) -> &[Piece] {
    match item {
        Item::Call(c) => &c.pieces,
        Item::Event(e) => &e.pieces,
    }
}

fn write(journal: &mut Journal, item: &Item) {
    journal.begin(header_of(item));
    for piece in pieces_of(item) {
        journal.piece(head_of(piece), &piece.bytes);
    }
    journal.commit().unwrap();
}

/// Writes `items`, which are in the order in which engines make them, each into the stream that its thread number chooses.
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
    trace.read(Want { data }).map(|i| i.unwrap()).collect()
}

fn piece() -> impl Strategy<Value = Piece> {
    let bytes = prop_oneof![
        Just(Vec::new()),
        Just(vec![7; 4096]),
        prop::collection::vec(any::<u8>(), 0..40),
        prop::collection::vec(any::<u8>(), 0..3000)
    ];
    (any::<u8>(), 0u8..10, 0u8..16, bytes, any::<u64>()).prop_map(
        |(arg, k, flags, bytes, wanted)| Piece {
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
    (numbers, prop::collection::vec(piece(), 0..5), 0u8..10, 0u8..8).prop_map(
        |((entered, took, pid, tid, nr, ret, args), pieces, which, flags)| {
            if which == 9 {
                let kind = RecordKind::from_number(2 + flags % 6).unwrap();
                return Item::Event(Event { time: entered, kind, pid, tid, args, pieces });
            }
            let left = (flags & NO_EXIT == 0).then_some(entered + took);
            let ret = if left.is_some() { ret } else { 0 };
            // An engine that looks does not see something at each call.
            let seen = if args[0] % 3 == 0 {
                Seen { ino: args[1], offset: args[2], dev: nr, mode: args[3] as u16, pad: 0 }
            } else {
                Seen::default()
            };
            let seen = seen.known().unwrap_or_default();
            Item::Call(Call { seq: 0, entered, left, pid, tid, nr, flags, args, ret, seen, pieces })
        },
    )
}

fn made(item: &Item) -> u64 {
    match item {
        Item::Call(c) => c.left.unwrap_or(c.entered),
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
        for piece in pieces_of(item) {
            bytes.extend_from_slice(head_of(piece).as_bytes());
            bytes.extend_from_slice(&piece.len.to_le_bytes());
            bytes.extend_from_slice(&piece.bytes);
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
            c.pieces
                .iter_mut()
                .filter(|p| p.kind == PieceKind::Data)
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
        prop_assert_eq!(trace.about(), &about_again(&trace));
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
fn about_again(trace: &Trace) -> About {
    let mut about = about();
    about.began = trace.about().began;
    about.clock_offset = trace.about().clock_offset;
    about
}

/// A call that moved `bytes`.
fn call(tid: u32, entered: u64, left: u64, bytes: &[u8]) -> Item {
    let piece = Piece {
        arg: 1,
        kind: PieceKind::Data,
        flags: AT_EXIT,
        len: bytes.len() as u64,
        wanted: bytes.len() as u64,
        bytes: bytes.to_vec().into(),
    };
    let args = [3, 4096, bytes.len() as u64, 0, 0, 0];
    Item::Call(Call {
        seq: 0,
        entered,
        left: Some(left),
        pid: 1,
        tid,
        nr: 0,
        flags: 0,
        args,
        ret: bytes.len() as i64,
        seen: Default::default(),
        pieces: vec![piece],
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
    let head = PieceHeader { arg: 1, flags: AT_EXIT, wanted: 20_000, ..PieceHeader::default() };
    for part in [&whole[..20_000], &whole[20_000..40_000]] {
        journal.begin(Header {
            kind: RecordKind::Part as u8,
            tid: 5,
            pid: 5,
            entered: 10,
            ..Header::default()
        });
        journal.piece(head, part);
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
    journal.space(PieceHeader { wanted: 10_000, ..head }, 20_000)[..10_000]
        .copy_from_slice(&whole[40_000..]);
    journal.keep(10_000, trace::record::FROM_FILE);
    journal.piece(PieceHeader { arg: 9, kind: PieceKind::String as u8, ..head }, b"x");
    journal.commit().unwrap();
    assert_eq!((journal.records(), journal.captured()), (3, 50_001));
    journal.finish().unwrap();
    recording.seal(ended(), &mut |_, _| {}).unwrap();
    let items = read(&Trace::open(&path).unwrap(), true);
    let [Item::Call(call)] = &items[..] else { panic!("{items:?}") };
    assert_eq!(call.pieces.len(), 2);
    assert_eq!(
        (call.pieces[0].len, call.pieces[0].wanted, call.pieces[0].flags),
        (50_000, 50_000, AT_EXIT | trace::record::FROM_FILE)
    );
    assert_eq!(call.pieces[0].bytes.as_slice(), whole);
    assert_eq!(call.string(9), Some(&b"x"[..]));
}

/// What plain readers see.
#[test]
fn columns_for_people() {
    use arrow::array::{Array, AsArray};
    use arrow::datatypes::{Int32Type, Int64Type};
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("t.ra");
    let identity = |path: &[u8]| {
        use zerocopy::IntoBytes;
        let bytes =
            [Identity { ino: 5, mode: 0o100_644, ..Default::default() }.as_bytes(), path].concat();
        Piece {
            arg: abi::plan::RESULT,
            kind: PieceKind::Identity,
            flags: AT_EXIT,
            len: bytes.len() as u64,
            wanted: 0,
            bytes: bytes.into(),
        }
    };
    let name = Piece {
        arg: 1,
        kind: PieceKind::String,
        flags: 0,
        len: 6,
        wanted: 6,
        bytes: b"./a\xffb".to_vec().into(),
    };
    let open = Call {
        seq: 0,
        entered: 10,
        left: Some(20),
        pid: 1,
        tid: 1,
        nr: 257,
        flags: 0,
        args: [u64::MAX - 99, 1, 0, 0, 0, 0],
        ret: 3,
        seen: Default::default(),
        pieces: vec![name, identity(b"/a\xffb")],
    };
    let missing = Call {
        entered: 60,
        left: Some(70),
        ret: -2,
        pieces: vec![open.pieces[0].clone()],
        ..open.clone()
    };
    let stuck = Call {
        entered: 80,
        left: None,
        nr: 0,
        flags: NO_EXIT,
        ret: 0,
        args: [3, 0, 9, 0, 0, 0],
        pieces: vec![],
        ..open.clone()
    };
    let items = [
        Item::Call(open),
        call(1, 30, 40, b"0123456789"),
        call(1, 41, 50, b"0123456789"),
        Item::Call(missing),
        Item::Call(stuck),
    ];
    seal(&path, &items, 100);
    let file = std::fs::File::open(path.join("calls-00000.parquet")).unwrap();
    let batch = parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder::try_new(file)
        .unwrap()
        .build()
        .unwrap()
        .next()
        .unwrap()
        .unwrap();
    let column = |name: &str| batch.column_by_name(name).unwrap().clone();
    let texts = |name: &str| {
        column(name).as_string::<i32>().iter().map(|t| t.map(str::to_owned)).collect::<Vec<_>>()
    };
    let some = |texts: [&str; 5]| texts.map(|t| (!t.is_empty()).then(|| t.to_owned())).to_vec();
    assert_eq!(texts("call"), some(["openat", "read", "read", "openat", "read"]));
    assert_eq!(texts("error"), some(["", "", "", "ENOENT", ""]));
    assert_eq!(texts("file"), some(["/a\\xffb", "/a\\xffb", "/a\\xffb", "", "/a\\xffb"]));
    assert_eq!(texts("path"), some(["/a\\xffb", "", "", "/a\\xffb", ""]));
    assert_eq!(
        column("fd").as_primitive::<Int32Type>().iter().collect::<Vec<_>>(),
        [Some(3), Some(3), Some(3), None, Some(3)]
    );
    assert_eq!(
        column("offset").as_primitive::<Int64Type>().iter().collect::<Vec<_>>()[1..3],
        [Some(0), Some(10)]
    );
    assert_eq!(
        column("bytes").as_primitive::<Int64Type>().iter().collect::<Vec<_>>(),
        [None, Some(10), Some(10), None, None]
    );
    assert_eq!(
        column("result").as_primitive::<Int64Type>().iter().collect::<Vec<_>>(),
        [Some(3), Some(10), Some(10), Some(-2), None]
    );
    assert_eq!(
        column("data").as_binary::<i32>().iter().flatten().map(<[u8]>::len).sum::<usize>(),
        20
    );
    assert_eq!(column("data").null_count(), 3);
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
