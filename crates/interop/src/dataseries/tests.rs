//! Real files of the original library, against what the DataSeries tools print of them; and files
//! that are cut or damaged.

use super::import;
use ahash::HashMap;
use dataseries_file::{FieldType, Reader, Value};
use std::fs;
use std::path::{Path, PathBuf};
use trace::{Item, ReadOptions, Trace};

fn gunzip(name: &str) -> Vec<u8> {
    crate::tests_support::gunzip(&format!("dataseries/{name}"))
}

/// Decompresses a fixture into this directory. Returns its path.
fn fixture(dir: &Path, name: &str) -> PathBuf {
    let path = dir.join(name);
    fs::write(&path, gunzip(&format!("{name}.gz"))).unwrap();
    path
}

/// Returns a value as ds2txt prints it: bytes as text if all of them are printable, else in
/// hexadecimal.
fn printed(value: Value<'_>, field_type: FieldType) -> String {
    match value {
        Value::Null => "null".to_owned(),
        Value::Bool(true) => "T".to_owned(),
        Value::Bool(false) => "F".to_owned(),
        Value::Byte(b) => b.to_string(),
        Value::Int(v) => v.to_string(),
        Value::Double(v) => v.to_string(),
        Value::Bytes(b)
            if field_type == FieldType::Variable && b.iter().all(|c| (0x20..0x7f).contains(c)) =>
        {
            String::from_utf8_lossy(b).into_owned()
        }
        Value::Bytes(b) => b.iter().map(|c| format!("{c:02x}")).collect(),
    }
}

#[test]
fn every_cell_is_what_the_original_tools_print() {
    let dir = crate::tests_support::scratch();
    for name in ["dd", "meta"] {
        let text = String::from_utf8(gunzip(&format!("{name}.ds2txt.gz"))).unwrap();
        // What is printed of each type, line by line.
        let mut expected_text: HashMap<&str, Vec<&str>> = HashMap::default();
        let mut of = "";
        for line in text.lines() {
            match line.strip_prefix("# Extent, type='") {
                Some(kind) => of = kind.trim_end_matches('\''),
                None => expected_text.entry(of).or_default().push(line),
            }
        }
        let mut reader = Reader::open(&fixture(dir.path(), &format!("{name}.ds"))).unwrap();
        let mut records = 0;
        while let Some(extent) = reader.next_extent().unwrap() {
            let lines = &expected_text[extent.record_type.name.as_str()];
            assert_eq!(
                lines[0].split(' ').collect::<Vec<_>>(),
                extent.record_type.fields.iter().map(|f| f.name.as_str()).collect::<Vec<_>>()
            );
            for i in 0..extent.records {
                let cells = extent
                    .record_type
                    .fields
                    .iter()
                    .enumerate()
                    .map(|(f, field)| printed(extent.value(i, f), field.field_type));
                assert_eq!(
                    cells.collect::<Vec<_>>().join(" "),
                    lines[i + 1],
                    "{name}: {} {i}",
                    extent.record_type.name
                );
                records += 1;
            }
            assert_eq!(lines.len() - 1, extent.records);
        }
        assert!(reader.whole && records > 100);
    }
}

fn calls(path: &Path) -> Vec<trace::Call> {
    let trace = Trace::open(path).unwrap();
    let items = trace.read(ReadOptions { data: true }).map(Result::unwrap);
    items.filter_map(|item| if let Item::Call(call) = item { Some(call) } else { None }).collect()
}

#[test]
fn a_file_becomes_a_trace() {
    let dir = crate::tests_support::scratch();
    let to = dir.path().join("meta.ra");
    let outcome =
        import(&fixture(dir.path(), "meta.ds"), &to, Some(b"/srv/demo"), &mut |_, _| {}).unwrap();
    assert!(outcome.damage.is_none());
    // One of them is the rename that mv made and the original does not record.
    assert_eq!((outcome.summary.calls, outcome.summary.processes), (799 + 1, 15));
    let calls = calls(&to);
    let named = |name: &str| {
        calls.iter().filter(|c| c.spec().is_some_and(|s| s.name == name)).collect::<Vec<_>>()
    };
    let hello = named("write")[0];
    assert_eq!(
        (hello.args[0], hello.ret, hello.payloads[0].bytes.as_slice()),
        (1, 6, &b"hello\n"[..])
    );
    assert_eq!(hello.entered, 1_795_374_039_136_181_100);
    assert_eq!(
        named("execve").iter().find(|c| c.string(0) == Some(b"/usr/bin/ln")).unwrap().payloads[1]
            .bytes
            .as_slice(),
        b"ln\0a/one\0a/two\0"
    );
    assert_eq!(named("linkat")[0].string(3), Some(&b"a/two"[..]));
    assert_eq!(named("access")[0].errno(), Some(2));
    let times = &named("utimensat")[0].payloads[0];
    assert_eq!(times.bytes.as_slice()[..8], 1_000_000_000u64.to_le_bytes());
    // What RA-Strace writes there is half an address.
    assert_eq!(named("symlinkat")[0].args[1] as i32, abi::AT_FDCWD);
}

/// A file that ends anywhere gives what stands before that; one with a damaged extent gives all
/// others.
#[test]
fn cut_and_damaged_files_are_read_as_far_as_they_go() {
    let dir = crate::tests_support::scratch();
    let whole = fixture(dir.path(), "dd.ds");
    let bytes = fs::read(&whole).unwrap();
    let mut starts = Vec::new();
    let mut reader = Reader::open(&whole).unwrap();
    loop {
        starts.push(reader.position() as usize);
        if reader.next_extent().unwrap().is_none() {
            break;
        }
    }
    let damaged = dir.path().join("damaged.ds");
    for (n, len) in (0..bytes.len())
        .step_by(9973)
        .chain(starts.iter().copied())
        .chain(bytes.len() - 40..bytes.len())
        .enumerate()
    {
        fs::write(&damaged, &bytes[..len]).unwrap();
        let to = dir.path().join(format!("{n}.ra"));
        match import(&damaged, &to, None, &mut |_, _| {}) {
            Ok(outcome) => assert!(
                outcome.damage.is_some_and(|d| d.contains("at byte"))
                    && outcome
                        .summary
                        .reasons
                        .contains(&"recording stopped before the end".to_owned()),
                "{len}"
            ),
            Err(e) => assert!(
                len < starts[0] && e.to_string().contains("is not a DataSeries file")
                    || len < starts[1],
                "{len}: {e}"
            ),
        }
    }
    let mut flipped = bytes.clone();
    flipped[starts[2] + 100] ^= 1;
    fs::write(&damaged, &flipped).unwrap();
    let outcome = import(&damaged, &dir.path().join("flipped.ra"), None, &mut |_, _| {}).unwrap();
    assert!(outcome.damage.unwrap().contains("checksum"));
    assert!(outcome.summary.calls > 50 && outcome.lost["damaged extents"] == 1);
}

/// Our descriptions of the types are those of the original library.
#[test]
fn types_are_those_of_the_original_library() {
    let dir = tempfile::tempdir().unwrap();
    let mut reader = Reader::open(&fixture(dir.path(), "dd.ds")).unwrap();
    let types = reader.read_at(40).unwrap();
    let mut theirs: Vec<&[u8]> = (0..types.records)
        .filter_map(|i| if let Value::Bytes(xml) = types.value(i, 0) { Some(xml) } else { None })
        .collect();
    theirs.retain(|xml| xml.windows(8).any(|w| w == b"IOTTAFSL"));
    let ours = super::records::schema::type_descriptions();
    assert_eq!(ours.len(), 103);
    for (name, xml) in &ours {
        assert!(theirs.contains(&xml.as_bytes()), "{name}:\n{xml}");
    }
}

/// Out and in again: all that DataSeries can express is as it was; and the file passes its own
/// format's checks.
#[test]
fn a_round_trip_keeps_what_can_be_expressed() {
    let dir = crate::tests_support::scratch();
    let first = dir.path().join("first.ra");
    import(&fixture(dir.path(), "meta.ds"), &first, None, &mut |_, _| {}).unwrap();
    let out = dir.path().join("out.ds");
    let exported = super::export(&Trace::open(&first).unwrap(), &out, &mut |_, _| {}).unwrap();
    assert_eq!((exported.calls, exported.lost.len()), (800, 0), "{:?}", exported.lost);

    let mut reader = Reader::open(&out).unwrap();
    let mut ids = std::collections::BTreeSet::new();
    while let Some(extent) = reader.next_extent().unwrap() {
        // What the first tracer left out has a type of its own.
        let Some(id) = extent.record_type.field_index("unique_id") else { continue };
        ids.extend(
            (0..extent.records)
                .map(|i| if let Value::Int(v) = extent.value(i, id) { v } else { -1 }),
        );
    }
    assert!(reader.whole);
    // Numbered from the umask on, without a gap.
    assert_eq!(ids.iter().copied().collect::<Vec<_>>(), (0..ids.len() as i64).collect::<Vec<_>>());

    let second = dir.path().join("second.ra");
    import(&out, &second, None, &mut |_, _| {}).unwrap();
    let imported = |path: &Path| {
        let mut all: Vec<_> = calls(path)
            .into_iter()
            .map(|c| {
                // Which file it is, the reader makes up: it knows more when a rename is there.
                let imported =
                    c.payloads.iter().filter(|p| p.kind != trace::record::PayloadKind::Identity);
                let payloads: Vec<_> = imported
                    .map(|p| (p.arg, p.kind, p.bytes.as_slice().to_vec(), p.wanted))
                    .collect();
                (c.entered, c.tid, c.nr, c.args, c.ret, c.exited, payloads)
            })
            .collect();
        all.sort_by_key(|c| (c.0, c.1));
        all
    };
    let (before, after) = (imported(&first), imported(&second));
    assert_eq!(before.len(), after.len());
    for (a, b) in before.iter().zip(&after) {
        assert_eq!(a, b);
    }
}

/// The chained checksum of the tail, of the original's files and of ours.
#[test]
fn the_tail_repeats_the_chain_of_checksums() {
    let dir = crate::tests_support::scratch();
    let (theirs, trace, ours) =
        (fixture(dir.path(), "dd.ds"), dir.path().join("t.ra"), dir.path().join("ours.ds"));
    import(&theirs, &trace, None, &mut |_, _| {}).unwrap();
    super::export(&Trace::open(&trace).unwrap(), &ours, &mut |_, _| {}).unwrap();
    for path in [theirs, ours] {
        let mut reader = Reader::open(&path).unwrap();
        while reader.next_extent().unwrap().is_some() {}
        let bytes = fs::read(path).unwrap();
        let chain = bytes[bytes.len() - 28 + 12..][..4].try_into().unwrap();
        assert_eq!(reader.chained_checksum(), u32::from_le_bytes(chain));
    }
}
