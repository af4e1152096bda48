//! Traces that were not recorded: names and numbers that could break a format, or its writer.

use super::Format;
use ::import::Origin;
use ::import::{Import, ImportedCall};
use std::ffi::OsStr;
use std::fs;
use std::path::Path;
use trace::Trace;

const NAMES: [&[u8]; 5] =
    [b"/plain", b"/a blank", b"/new\nline,\"quoted\"", b"/\xff\xfe", b"/tab\tand\x01more"];

/// Writes a trace of calls with strange names and impossible numbers.
fn hostile_trace(dir: &Path) -> Trace {
    let to = dir.join("t.ra");
    let mut import = Import::new(&to, Origin::default()).unwrap();
    let mut resolved = |name: &str, at: u64, ret: i64, args: &[u64], path: Option<&[u8]>| {
        let mut resolved = ImportedCall::new(name, 7, at).unwrap();
        args.iter().enumerate().for_each(|(i, a)| resolved.set_number(i, *a));
        if let Some(path) = path {
            resolved.add_string(1, path);
        } else {
            resolved.add_data(1, b"", ret.max(0).cast_unsigned());
        }
        resolved.set_returned(at, ret);
        import.add_call(resolved).unwrap();
    };
    for (i, name) in NAMES.iter().enumerate() {
        let fd = i as u64 + 3;
        resolved(
            "openat",
            i as u64,
            fd.cast_signed(),
            &[-100i64 as u64, 0x1000, 0o102],
            Some(*name),
        );
        resolved("write", 10 + i as u64, i64::MAX, &[fd, 0x1000, u64::MAX], None);
        resolved("pread64", u64::MAX / 2, i64::MAX, &[fd, 0x1000, u64::MAX, u64::MAX], None);
        resolved("pwrite64", u64::MAX / 2 + 1, i64::MAX, &[fd, 0x1000, u64::MAX, 1 << 63], None);
    }
    import.finish(true, &mut |_, _| {}).unwrap();
    Trace::open(&to).unwrap()
}

#[test]
fn hostile_names_and_numbers_go_into_every_format() {
    let dir = crate::tests_support::scratch();
    let trace = hostile_trace(dir.path());
    let write = |format: Format, name: &str| {
        let to = dir.path().join(name);
        let exported = format.export(&trace, &to, &mut |_, _| {}).unwrap();
        (exported, fs::read(to).unwrap())
    };
    let (done, csv) = write(super::csv::FORMAT, "x.csv");
    assert_eq!(done.calls, 20);
    let rows: Vec<csv::StringRecord> =
        csv::Reader::from_reader(&csv[..]).records().map(Result::unwrap).collect();
    assert!(rows.len() == 20 && rows.iter().all(|r| r.len() == 12));
    let (_, json) = write(super::chrome::FORMAT, "x.json");
    let all: serde_json::Value = serde_json::from_slice(&json).unwrap();
    assert!(all.as_array().unwrap().len() >= 20);
    let (done, _) = write(super::perfetto::FORMAT, "x.pftrace");
    assert_eq!(done.calls, 20);
    let (done, log) = write(super::iolog::FORMAT, "x.iolog");
    // Bytes of names are those of the file, whatever they are.
    assert!(log.windows(6).any(|w| w == b" /\xff\xfe w"));
    let blank = done.lost.iter().find(|(what, _)| what.contains("blanks")).unwrap().1;
    assert_eq!(*blank, 9, "{:?}", done.lost);
}

/// Nothing has the name until it is whole, and what has it stays.
#[test]
fn a_file_has_its_name_when_it_is_whole() {
    let dir = crate::tests_support::scratch();
    let sink = super::Sink::new(&dir.path().join("x.csv")).unwrap();
    let names = || {
        let all = fs::read_dir(dir.path()).unwrap().map(|e| e.unwrap().file_name());
        all.collect::<Vec<_>>()
    };
    // A nameless file leaves nothing behind even if this process is killed.
    assert!(names().is_empty(), "{:?}", names());
    drop(sink);
    assert!(names().is_empty());
    super::Sink::new(&dir.path().join("x.csv")).unwrap().finish().unwrap();
    assert_eq!(names(), [OsStr::new("x.csv")]);
    let again = super::Sink::new(&dir.path().join("x.csv")).unwrap().finish();
    assert!(again.unwrap_err().to_string().starts_with("cannot create"));
    super::Sink::new(&dir.path().join("x.csv")).unwrap().finish_over().unwrap();
    assert_eq!(names(), [OsStr::new("x.csv")]);
}
