//! What the tests of importers share, and what all importers must do: any input gives a trace or an
//! error. `fuzz/` looks further.

use crate::text::{blktrace, kdump, perf, strace};
use crate::{Importer, Outcome, ctf, dataseries};
use std::fs;
use std::io::Read;
use std::path::{Path, PathBuf};
use trace::{Call, Item, ReadOptions, Trace};

/// Returns a new directory, in /dev/shm if there is one: importers write traces to stable storage,
/// which takes long on a disk.
pub(crate) fn scratch() -> tempfile::TempDir {
    let memory = Path::new("/dev/shm");
    if memory.is_dir() { tempfile::tempdir_in(memory) } else { tempfile::tempdir() }.unwrap()
}

/// Returns the decompressed content of a fixture.
pub(crate) fn gunzip(name: &str) -> Vec<u8> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/fixtures").join(name);
    let mut bytes = Vec::new();
    flate2::read::GzDecoder::new(fs::File::open(path).unwrap()).read_to_end(&mut bytes).unwrap();
    bytes
}

/// Unpacks a tar archive of directories and regular files into a directory.
pub(crate) fn untar(tar: &[u8], into: &Path) {
    let mut header = 0;
    while tar.get(header).is_some_and(|b| *b != 0) {
        let text = |from: usize, len: usize| {
            String::from_utf8_lossy(&tar[header + from..header + from + len])
                .trim_end_matches('\0')
                .to_owned()
        };
        let size = usize::from_str_radix(text(124, 12).trim(), 8).unwrap();
        let path = into.join(text(0, 100));
        match tar[header + 156] {
            b'5' => fs::create_dir_all(&path).unwrap(),
            _ => fs::write(&path, &tar[header + 512..header + 512 + size]).unwrap(),
        }
        header += 512 + size.next_multiple_of(512);
    }
}

/// Writes the input of an importer. Returns its path, and that for the trace, where nothing is.
fn write_input(dir: &Path, input: &[u8]) -> (PathBuf, PathBuf) {
    let (from, to) = (dir.join("input"), dir.join("out.ra"));
    fs::write(&from, input).unwrap();
    let _old = fs::remove_dir_all(&to);
    (from, to)
}

/// Imports a text. Returns the outcome, the calls of the trace, and all its items.
pub(crate) fn imported(text: &str, import: Importer) -> (Outcome, Vec<Call>, Vec<Item>) {
    let dir = scratch();
    let (from, to) = write_input(dir.path(), text.as_bytes());
    let outcome = import(&from, &to, None, &mut |_, _| {}).unwrap();
    let items: Vec<Item> =
        Trace::open(&to).unwrap().read(ReadOptions { data: true }).map(Result::unwrap).collect();
    let calls = items
        .iter()
        .filter_map(|i| if let Item::Call(c) = i { Some(c.clone()) } else { None })
        .collect();
    (outcome, calls, items)
}

/// Checks that an importer reads inputs that end early, or refuses them: at `parts` places, and one
/// byte before the end.
fn check_truncated(bytes: &[u8], parts: usize, import: Importer) {
    let dir = scratch();
    for end in (0..parts).map(|part| bytes.len() * part / parts).chain([bytes.len() - 1]) {
        let (from, to) = write_input(dir.path(), &bytes[..end]);
        if let Ok(outcome) = import(&from, &to, None, &mut |_, _| {}) {
            let trace = Trace::open(&to).unwrap();
            let read: Vec<Item> =
                trace.read(ReadOptions { data: true }).map(Result::unwrap).collect();
            let calls = read.iter().filter(|item| matches!(item, Item::Call(_))).count();
            assert_eq!(calls as u64, outcome.summary.calls, "an input of {end} bytes");
        }
    }
}

#[test]
fn texts_that_end_early() {
    check_truncated(strace::LOG.as_bytes(), 60, strace::import);
    for log in [perf::SCRIPT, perf::TRACE] {
        check_truncated(log.as_bytes(), 60, perf::import);
    }
    check_truncated(kdump::LOG.as_bytes(), 60, kdump::import);
    for log in [blktrace::LOG, blktrace::CLASSIC] {
        check_truncated(log.as_bytes(), 60, blktrace::import);
    }
}

#[test]
fn dataseries_files_that_end_early() {
    check_truncated(&gunzip("dataseries/dd.ds.gz"), 40, dataseries::import);
}

#[test]
fn ctf_traces_that_end_early() {
    let dir = scratch();
    untar(&gunzip("ctf/dd.tar.gz"), dir.path());
    let from = dir.path().join("dd");
    for name in ["kernel/ch_0", "kernel/metadata"] {
        let whole = fs::read(from.join(name)).unwrap();
        for part in 0..20 {
            fs::write(from.join(name), &whole[..whole.len() * part / 20]).unwrap();
            let to = dir.path().join("out.ra");
            let _none = fs::remove_dir_all(&to);
            let _refused = ctf::import(&from, &to, None, &mut |_, _| {});
        }
        fs::write(from.join(name), &whole).unwrap();
    }
}
