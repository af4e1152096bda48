//! Each format read back.

use super::Format;
use super::perfetto::Trace as Packets;
use crate::text::strace;
use prost::Message;
use std::fs;
use std::path::PathBuf;
use trace::Trace;

/// Exports a small trace into a new directory. Returns the directory and the file.
fn exported(format: Format, name: &str) -> (tempfile::TempDir, PathBuf) {
    let dir = crate::tests_support::scratch();
    let (log, ra, to) = (dir.path().join("log"), dir.path().join("log.ra"), dir.path().join(name));
    fs::write(&log, strace::LOG).unwrap();
    strace::import(&log, &ra, None, &mut |_, _| {}).unwrap();
    let trace = Trace::open(&ra).unwrap();
    format.export(&trace, &to, &mut |_, _| {}).unwrap();
    assert_eq!(
        std::os::unix::fs::PermissionsExt::mode(&fs::metadata(&to).unwrap().permissions()) & 0o777,
        0o600
    );
    // What is there is not replaced.
    assert!(
        format
            .export(&trace, &to, &mut |_, _| {})
            .unwrap_err()
            .to_string()
            .starts_with("cannot create")
    );
    (dir, to)
}

#[test]
fn a_timeline_for_perfetto() {
    let (_dir, to) = exported(super::perfetto::FORMAT, "x.pftrace");
    let packets = Packets::decode(&fs::read(to).unwrap()[..]).unwrap().packet;
    let slices: Vec<_> = packets
        .iter()
        .filter(|p| p.track_event.as_ref().is_some_and(|e| e.kind == Some(1)))
        .collect();
    assert_eq!(slices.len(), 9);
    let write = slices
        .iter()
        .find(|p| p.track_event.as_ref().unwrap().name.as_deref() == Some("write"))
        .unwrap();
    assert_eq!(write.timestamp, Some(1_000_000_000_000_400_000));
    let notes = &write.track_event.as_ref().unwrap().debug_annotations;
    let note = |name: &str| notes.iter().find(|n| n.name.as_deref() == Some(name)).unwrap();
    assert_eq!(note("arguments").string_value.as_deref(), Some(r#"3, "ab\0", 3"#));
    assert_eq!(
        (note("path").string_value.as_deref(), note("bytes").uint_value),
        (Some("/home/f"), Some(3))
    );
    let track = packets
        .iter()
        .filter_map(|p| p.track_descriptor.as_ref())
        .find(|d| d.uuid == write.track_event.as_ref().unwrap().track_uuid)
        .unwrap();
    assert_eq!(track.thread.as_ref().unwrap().tid, Some(101));
    // 75 bytes within ten milliseconds.
    let counted: Vec<i64> =
        packets.iter().filter_map(|p| p.track_event.as_ref()?.counter_value).collect();
    assert_eq!(counted, [0, 0, 7500, 0]);
}

#[test]
fn a_timeline_for_chrome() {
    let (_dir, to) = exported(super::chrome::FORMAT, "x.json");
    let all: serde_json::Value = serde_json::from_slice(&fs::read(to).unwrap()).unwrap();
    let write = all.as_array().unwrap().iter().find(|e| e["name"] == "write").unwrap();
    assert_eq!(
        (write["ph"].as_str(), write["dur"].as_f64(), write["args"]["bytes"].as_u64()),
        (Some("X"), Some(20.0), Some(3))
    );
}

#[test]
fn a_table() {
    let (_dir, to) = exported(super::csv::FORMAT, "x.csv");
    let mut reader = csv::Reader::from_path(to).unwrap();
    let rows: Vec<csv::StringRecord> = reader.records().map(Result::unwrap).collect();
    assert_eq!(rows.len(), 9);
    let write = rows.iter().find(|r| &r[4] == "write").unwrap();
    assert_eq!(
        write.iter().skip(5).collect::<Vec<_>>(),
        [r#"3, "ab\0", 3"#, "3", "", "20000", "/home/f", "0", "3"]
    );
}

#[test]
fn input_for_fio() {
    let (_dir, to) = exported(super::iolog::FORMAT, "x.iolog");
    let expected = "fio version 3 iolog\n0 /home/f add\n0 /home/f open\n0 /home/f write 0 3\n100 /home/f write 3 72\n100 /home/f close\n";
    assert_eq!(fs::read_to_string(to).unwrap(), expected);
}
