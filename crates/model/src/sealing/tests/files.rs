//! The files of a trace: who can read them, and what is removed.

use super::*;

#[test]
fn only_the_owner_can_read() {
    use std::os::unix::fs::PermissionsExt;
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("t.ra");
    let mode = |p: &Path| std::fs::metadata(p).unwrap().permissions().mode() & 0o7777;
    let recording = record_items(&path, &[read_call(1, 1, 2, b"x")], 1);
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
    assert!(matches!(open_recovered(&path), Err(Error::Busy(_))));
    recording.seal(finished_end(), &mut |_, _| {}).unwrap();
    for entry in std::fs::read_dir(&path).unwrap() {
        assert_eq!(mode(&entry.unwrap().path()), 0o600);
    }
    assert!(matches!(
        Recording::create(&path, recording_info(), model_of_empty_machine()),
        Err(Error::Exists(_))
    ));
}

/// What an interrupted sealing left behind is removed by the next.
#[test]
fn leftovers_are_removed() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("t.ra");
    let recording = record_items(&path, &[read_call(1, 1, 2, b"x")], 1);
    let tables =
        ["calls-00009", "events-late", "files", "initial", "outside", "snapshot", "unnamed"];
    for table in tables {
        std::fs::write(path.join(format!("{table}.parquet")), b"left behind").unwrap();
    }
    recording.seal(finished_end(), &mut |_, _| {}).unwrap();
    let trace = Trace::open(&path).unwrap();
    for entry in std::fs::read_dir(&path).unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        assert!(name == "trace.json" || trace.sealed().any(|s| s.file == name), "{name}");
    }
}
