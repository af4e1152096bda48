//! Calls that DataSeries holds as they are, as others, or not at all; out and in again.

use super::records::arguments::{PREFIX, UTIME_NOW, UTIME_OMIT};
use super::records::schema;
use super::{export, import};
use crate::export::Exported;
use ::import::Origin;
use ::import::{Import, ImportedCall};
use dataseries_file::{FieldValue, Reader, Value, Writer};
use std::fs;
use std::path::{Path, PathBuf};
use trace::record::PayloadKind;
use trace::{Call, Item, ReadOptions, Trace};

/// Returns a call by thread 7, entered `time` nanoseconds after a fixed time, that returned `ret`;
/// its strings as (argument, text).
fn call(name: &str, time: u64, ret: i64, args: &[i64], strings: &[(usize, &str)]) -> ImportedCall {
    let mut imported = ImportedCall::new(name, 7, 1_700_000_000_000_000_000 + time).unwrap();
    for (i, arg) in args.iter().enumerate() {
        imported.set_number(i, arg.cast_unsigned());
    }
    strings.iter().for_each(|(arg, text)| imported.add_string(*arg, text.as_bytes()));
    imported.set_returned(imported.call.entered + 1, ret);
    imported
}

/// Adds to a call the bytes that an argument points to.
fn with_bytes(mut imported: ImportedCall, arg: usize, at_exit: bool, bytes: &[u8]) -> ImportedCall {
    imported.add_payload(arg, PayloadKind::Bytes, at_exit, bytes, bytes.len() as u64);
    imported
}

/// Writes a trace of these calls.
fn trace_of(dir: &Path, calls: Vec<ImportedCall>) -> Trace {
    let to = dir.join("t.ra");
    let origin = Origin { directory: Some(b"/home".to_vec()), ..Origin::default() };
    let mut import = Import::new(&to, origin).unwrap();
    calls.into_iter().for_each(|imported| import.add_call(imported).unwrap());
    import.finish(true, &mut |_, _| {}).unwrap();
    Trace::open(&to).unwrap()
}

/// Returns the calls of a trace.
fn calls_of(path: &Path) -> Vec<Call> {
    let items = Trace::open(path).unwrap().read(ReadOptions { data: true }).map(Result::unwrap);
    items.filter_map(|item| if let Item::Call(call) = item { Some(call) } else { None }).collect()
}

/// Exports these calls and imports the file. Returns the counts of the export, the imported calls,
/// and the file.
fn export_and_import(dir: &Path, calls: Vec<ImportedCall>) -> (Exported, Vec<Call>, PathBuf) {
    let (out, back) = (dir.join("t.ds"), dir.join("back.ra"));
    let exported = export(&trace_of(dir, calls), &out, &mut |_, _| {}).unwrap();
    import(&out, &back, Some(b"/home"), &mut |_, _| {}).unwrap();
    let calls = calls_of(&back);
    (exported, calls, out)
}

fn name(call: &Call) -> &'static str {
    call.spec().map_or("?", |s| s.name)
}

/// Names below directory descriptors, also where the directory was moved meanwhile.
#[test]
fn names_below_descriptors_are_said_without_them() {
    let dir = crate::tests_support::scratch();
    let opened = |at, fd, path| call("openat", at, fd, &[-100, 0x1000, 0o200_000], &[(1, path)]);
    let link = [0u8; 0];
    let (exported, back, _) = export_and_import(
        dir.path(),
        vec![
            opened(0, 3, "a"),
            opened(10, 4, "/srv/x"),
            call("renameat", 20, 0, &[3, 0x1000, 3, 0x1000], &[(1, "p"), (3, "q")]),
            call("renameat2", 30, 0, &[-100, 0x1000, -100, 0x1000, 0], &[(1, "a"), (3, "b/c")]),
            call("renameat2", 40, 0, &[3, 0x1000, 4, 0x1000, 1], &[(1, "p"), (3, "q")]),
            with_bytes(
                call("readlinkat", 50, 0, &[3, 0x1000, 0x1000, 9], &[(1, "l")]),
                2,
                true,
                &link,
            ),
            call("fchown", 60, 0, &[3, 5, 6], &[]),
            call("chdir", 70, 0, &[0x1000], &[(0, "b")]),
            call("fchownat", 80, 0, &[3, 0x1000, 5, 6, 0], &[(1, "f")]),
            // DataSeries has no exchange, no owner of a link, and no name below an unknown
            // directory.
            call("renameat2", 90, 0, &[-100, 0x1000, -100, 0x1000, 2], &[(1, "x"), (3, "y")]),
            call("symlink", 95, 0, &[0x1000, 0x1000], &[(0, "t"), (1, "ln")]),
            call("lchown", 100, 0, &[0x1000, 1, 1], &[(0, "ln")]),
            call("renameat", 110, 0, &[9, 0x1000, 9, 0x1000], &[(1, "p"), (3, "q")]),
        ],
    );
    let written: Vec<String> = back
        .iter()
        .filter(|c| !matches!(name(c), "openat" | "chdir"))
        .map(|c| {
            let texts = c.payloads.iter().filter(|p| p.kind == PayloadKind::String);
            let texts: Vec<_> =
                texts.map(|p| String::from_utf8_lossy(p.bytes.as_slice()).into_owned()).collect();
            format!("{} {}", name(c), texts.join(" "))
        })
        .collect();
    assert_eq!(
        written,
        [
            "rename a/p a/q",
            "rename a b/c",
            "rename b/c/p /srv/x/q",
            "readlink b/c/l",
            "chown b/c",
            "chown c/f",
            "symlink t ln"
        ]
    );
    let lost: Vec<_> = exported.lost.iter().map(|(what, n)| (what.as_str(), *n)).collect();
    assert_eq!(lost, [("lchown", 1), ("renameat", 1), ("renameat2", 1)]);
    assert_eq!(exported.changed["renameat2 as rename"], 2);
}

/// The file has what was left out: read back, it gives an incomplete trace.
#[test]
fn what_is_left_out_is_known_when_read_back() {
    let dir = crate::tests_support::scratch();
    let (out, back) = (dir.path().join("t.ds"), dir.path().join("back.ra"));
    let some = vec![call("getpid", 0, 7, &[], &[]), call("close", 10, 0, &[3], &[])];
    export(&trace_of(dir.path(), some), &out, &mut |_, _| {}).unwrap();
    let outcome = import(&out, &back, None, &mut |_, _| {}).unwrap();
    assert_eq!(outcome.lost["getpid"], 1);
    assert_eq!(outcome.summary.verdict, trace::Verdict::Incomplete);
    assert_eq!(outcome.summary.reasons, ["not converted: 1 getpid"]);
    // With nothing left out it is as complete as the trace was.
    let whole = crate::tests_support::scratch();
    let (exported, back, _) =
        export_and_import(whole.path(), vec![call("close", 10, 0, &[3], &[])]);
    assert_eq!((exported.lost.len(), back.len()), (0, 1));
    let summary = Trace::open(&whole.path().join("back.ra")).unwrap().summary().clone();
    assert_eq!((summary.verdict, summary.reasons.len()), (trace::Verdict::Complete, 0));
}

/// The present and times that stay; a real time with the same fraction stays what it is.
#[test]
fn special_times_go_out_and_in() {
    let dir = crate::tests_support::scratch();
    let times = |at, pair: [(u64, u64); 2]| {
        let all: Vec<u8> =
            pair.iter().flat_map(|(s, ns)| [s.to_le_bytes(), ns.to_le_bytes()].concat()).collect();
        with_bytes(call("utimensat", at, 0, &[-100, 0x1000], &[(1, "f")]), 2, false, &all)
    };
    let given = [
        [(0, UTIME_OMIT), (1_000_000_000, 5)],
        [(0, UTIME_NOW), (0, UTIME_OMIT)],
        [(0, UTIME_NOW), (0, UTIME_NOW)],
        [(1, UTIME_NOW - 1_000_000_000), (2, UTIME_OMIT - 1_000_000_000)],
        [(3, 999_999_999), (4, 0)],
    ];
    let mut all: Vec<ImportedCall> =
        given.iter().enumerate().map(|(i, pair)| times(i as u64 * 10, *pair)).collect();
    // Before 1970 and after 2106 there is nothing.
    all.push(times(900, [(u64::MAX, 0), (1 << 33, 0)]));
    let (exported, back, _) = export_and_import(dir.path(), all);
    assert_eq!(exported.lost["utimensat"], 1);
    for (pair, call) in given.iter().zip(&back) {
        let wanted: Vec<u8> =
            pair.iter().flat_map(|(s, ns)| [s.to_le_bytes(), ns.to_le_bytes()].concat()).collect();
        assert_eq!(
            call.payload(2, PayloadKind::Bytes).unwrap().bytes.as_slice(),
            wanted,
            "{pair:?}"
        );
    }
}

/// Structs: locks, limits, directory entries, results of statx, flags of pipe2.
#[test]
fn structs_go_out_and_in() {
    let dir = crate::tests_support::scratch();
    let lock = |start: u64| {
        let mut flock = vec![0; 32];
        flock[..2].copy_from_slice(&1u16.to_le_bytes());
        flock[8..16].copy_from_slice(&start.to_le_bytes());
        flock[16..24].copy_from_slice(&10u64.to_le_bytes());
        flock
    };
    let limit = [1024u64.to_le_bytes(), u64::MAX.to_le_bytes()].concat();
    let mut entry = vec![0; 24];
    entry[16] = 24;
    entry[18] = 8;
    entry[19] = b'f';
    let mut statx = vec![0; abi::layout::STATX.size as usize];
    for (field, value) in [("stx_mask", 0x7ffu32), ("stx_mode", 0o100_644), ("stx_size", 77)] {
        let f = abi::layout::STATX.fields.iter().find(|f| f.name == field).unwrap();
        let size = usize::from(f.size).min(4);
        statx[f.at as usize..][..size].copy_from_slice(&value.to_le_bytes()[..size]);
    }
    let pair = [3i32.to_le_bytes(), 4i32.to_le_bytes()].concat();
    let (exported, back, _) = export_and_import(
        dir.path(),
        vec![
            with_bytes(call("fcntl", 0, 0, &[3, 6], &[]), 2, false, &lock(5)),
            with_bytes(call("fcntl", 10, 0, &[3, 6], &[]), 2, false, &lock(1 << 40)),
            with_bytes(call("prlimit64", 20, 0, &[0, 7], &[]), 3, true, &limit),
            with_bytes(call("getdents64", 30, 24, &[3, 0x1000, 100], &[]), 1, true, &entry),
            with_bytes(
                call("statx", 40, 0, &[-100, 0x1000, 0x100, 0x7ff], &[(1, "f")]),
                4,
                true,
                &statx,
            ),
            with_bytes(call("pipe2", 50, 0, &[0x1000, 0o2_004_000], &[]), 0, true, &pair),
        ],
    );
    assert_eq!(exported.lost["fcntl"], 1);
    let names: Vec<&str> = back.iter().map(name).collect();
    let fcntls = ["F_SETFD", "F_SETFL", "F_SETFD", "F_SETFL"];
    let expected =
        ["F_SETLK", "getrlimit", "getdents", "newfstatat", "pipe"].into_iter().chain(fcntls);
    assert_eq!(names, expected.collect::<Vec<_>>());
    let payload =
        |i: usize, arg| back[i].payload(arg, PayloadKind::Bytes).unwrap().bytes.as_slice();
    assert_eq!(payload(0, 2), lock(5));
    assert_eq!(payload(1, 1), limit);
    assert_eq!((payload(2, 1)[18], payload(2, 1)[23]), (b'f', 8));
    let size = abi::layout::STAT.fields.iter().find(|f| f.name == "st_size").unwrap();
    assert_eq!(payload(3, 2)[size.at as usize], 77);
    assert_eq!((back[3].args[3], back[6].args[2]), (0x100, 0o4000));
}

/// As many rows as buffers, whatever extents they fall into, whatever numbers they have.
#[test]
fn vectors_keep_their_buffers() {
    let dir = crate::tests_support::scratch();
    let vectored = |at: u64, lens: &[usize]| {
        let all: usize = lens.iter().sum();
        let mut imported = call("writev", at, all as i64, &[1, 0x1000, lens.len() as i64], &[]);
        let vectors: Vec<u8> = lens
            .iter()
            .flat_map(|n| [0x1000u64.to_le_bytes(), (*n as u64).to_le_bytes()].concat())
            .collect();
        imported.add_payload(1, PayloadKind::Iovecs, true, &vectors, vectors.len() as u64);
        let data: Vec<u8> = (0..all).map(|i| (i as u64 * 7 + at) as u8).collect();
        imported.add_data(1, &data, all as u64);
        imported
    };
    let lens = [9000, 0, 20_000, 31];
    let all: Vec<ImportedCall> = (0..400).map(|i| vectored(i * 10, &lens)).collect();
    let given: Vec<Vec<u8>> =
        all.iter().map(|t| t.call.payloads[1].bytes.as_slice().to_vec()).collect();
    let (_, back, out) = export_and_import(dir.path(), all);
    assert_eq!(back.len(), given.len());
    for (call, data) in back.iter().zip(&given) {
        assert_eq!(call.payload(1, PayloadKind::Data).unwrap().bytes.as_slice(), data);
        assert_eq!(call.payload(1, PayloadKind::Iovecs).unwrap().len, 64);
    }
    // The original replayer wants each call in one extent.
    let mut reader = Reader::open(&out).unwrap();
    let mut extents = 0;
    while let Some(extent) = reader.next_extent().unwrap() {
        if extent.record_type.name.ends_with("::writev") {
            let number = extent.record_type.field_index("iov_number").unwrap();
            assert_eq!(extent.value(0, number), Value::Int(-1));
            extents += 1;
        }
    }
    assert!(extents > 1);

    // The original library splits them, and numbers its rows with what it finds on its stack.
    let (theirs, ra) = (dir.path().join("theirs.ds"), dir.path().join("theirs.ra"));
    let types: Vec<String> = schema::type_descriptions().into_iter().map(|(_, xml)| xml).collect();
    let mut writer = Writer::new(fs::File::create(&theirs).unwrap(), &types).unwrap();
    let kind = format!("{PREFIX}writev");
    let data = vec![b'x'; 100_000];
    for i in 0..100i64 {
        let common = |id: i64, number: i64, requested: i64| {
            vec![
                ("unique_id", FieldValue::Int(id)),
                ("executing_tid", FieldValue::Int(7)),
                ("time_called", FieldValue::Int(1_700_000_000_000_000_000 + i)),
                ("return_value", FieldValue::Int(200_000)),
                ("iov_number", FieldValue::Int(number)),
                ("bytes_requested", FieldValue::Int(requested)),
            ]
        };
        let mut head = common(i + 1, -1, 200_000);
        head.extend([("descriptor", FieldValue::Int(1)), ("count", FieldValue::Int(2))]);
        writer.add_record(&kind, &head).unwrap();
        for number in 0..2 {
            let mut row = common(140_000_000_000 - i * 977, number, 100_000);
            row.push(("iov_data_written", FieldValue::Bytes(&data)));
            writer.add_record(&kind, &row).unwrap();
        }
    }
    writer.finish().unwrap();
    let outcome = import(&theirs, &ra, None, &mut |_, _| {}).unwrap();
    assert!(outcome.lost.is_empty(), "{:?}", outcome.lost);
    let back = calls_of(&ra);
    assert_eq!(back.len(), 100);
    let whole = |c: &Call| c.payload(1, PayloadKind::Data).is_some_and(|p| p.len == 200_000);
    assert!(back.iter().all(whole));
}

/// An impossible result of a read, and data that were not recorded, take no memory.
#[test]
fn forged_results_and_missing_data_take_no_memory() {
    let dir = crate::tests_support::scratch();
    let read = |at, name, ret: i64| {
        let mut imported = call(name, at, ret, &[3, 0x1000, ret, 0], &[]);
        imported.add_data(1, b"", ret.cast_unsigned());
        imported
    };
    let huge = vec![
        read(0, "read", i64::MAX),
        read(10, "pwrite64", i64::MAX),
        read(20, "read", 1 << 40),
        read(30, "write", 3),
        read(40, "preadv", i64::MAX),
    ];
    let (exported, back, out) = export_and_import(dir.path(), huge);
    assert_eq!((exported.calls, back.len()), (5, 5));
    assert!(fs::metadata(out).unwrap().len() < 1 << 20);
    let without = exported.changed.keys().filter(|k| k.contains("whose data were not recorded"));
    assert_eq!(without.count(), 3, "{:?}", exported.changed);
    assert_eq!(back[0].ret, i64::MAX);
}

/// `exit` where the thread ends, and for those that a signal ended; the umask of the first record.
#[test]
fn ends_and_beginnings() {
    let dir = crate::tests_support::scratch();
    let to = dir.path().join("t.ra");
    let mut import_ = Import::new(&to, Origin::default()).unwrap();
    import_.set_umask(0o077);
    let time = 1_700_000_000_000_000_000;
    let fork = |at, child| call("clone", at, child, &[17], &[]);
    let imported = |name: &str, tid, at, args: &[i64], ret: Option<i64>| {
        let mut imported = ImportedCall::new(name, tid, time + at).unwrap();
        args.iter().enumerate().for_each(|(i, a)| imported.set_number(i, a.cast_unsigned()));
        if let Some(ret) = ret {
            imported.set_returned(time + at + 1, ret);
        }
        imported
    };
    let flags = ::import::Fork { parent: 7, flags: 17, time };
    import_.add_call(fork(0, 8)).unwrap();
    import_.add_fork(8, flags).unwrap();
    import_.add_call(imported("close", 8, 10, &[3], Some(0))).unwrap();
    import_.add_call(imported("exit_group", 8, 20, &[5], None)).unwrap();
    import_.add_call(fork(30, 9)).unwrap();
    import_.add_fork(9, ::import::Fork { time: time + 31, ..flags }).unwrap();
    import_.add_call(imported("close", 9, 40, &[4], Some(0))).unwrap();
    import_.add_exit(9, time + 50, 9).unwrap();
    import_.add_call(imported("close", 7, 60, &[5], Some(0))).unwrap();
    import_.add_call(imported("exit_group", 7, 70, &[0], None)).unwrap();
    import_.finish(true, &mut |_, _| {}).unwrap();

    let (out, back) = (dir.path().join("t.ds"), dir.path().join("back.ra"));
    export(&Trace::open(&to).unwrap(), &out, &mut |_, _| {}).unwrap();
    let mut reader = Reader::open(&out).unwrap();
    let mut rows: Vec<(i64, i64, String, bool, i64)> = Vec::new();
    while let Some(extent) = reader.next_extent().unwrap() {
        let int = |i, field: &str| match extent
            .record_type
            .field_index(field)
            .map(|f| extent.value(i, f))
        {
            Some(Value::Int(v)) => v,
            _ => 0,
        };
        let generated = extent.record_type.field_index("generated");
        for i in 0..extent.records {
            let name = extent.record_type.name.trim_start_matches(PREFIX).to_owned();
            let made = generated.is_some_and(|f| extent.value(i, f) == Value::Bool(true));
            let value = int(i, "exit_status") + int(i, "mode_value");
            rows.push((int(i, "unique_id"), int(i, "executing_tid"), name, made, value));
        }
    }
    rows.sort();
    let rows: Vec<(i64, &str, bool, i64)> =
        rows.iter().map(|r| (r.1, r.2.as_str(), r.3, r.4)).collect();
    assert_eq!(
        rows,
        [
            (7, "umask", false, 0o077),
            (7, "clone", false, 0),
            (8, "close", false, 0),
            (8, "exit", false, 5),
            (7, "clone", false, 0),
            (9, "close", false, 0),
            (9, "exit", true, 137),
            (7, "close", false, 0),
            (7, "exit", false, 0),
        ]
    );
    import(&out, &back, None, &mut |_, _| {}).unwrap();
    let items: Vec<Item> =
        Trace::open(&back).unwrap().read(ReadOptions { data: false }).map(Result::unwrap).collect();
    let masks = items.iter().any(
        |i| matches!(i, Item::Event(e) if e.kind == trace::RecordKind::State && e.args[0] == 0o077),
    );
    let exit = trace::RecordKind::Exit;
    let killed = items
        .iter()
        .any(|i| matches!(i, Item::Event(e) if e.kind == exit && e.tid == 9 && e.args[0] == 9));
    assert!(masks && killed, "{items:#?}");
}
