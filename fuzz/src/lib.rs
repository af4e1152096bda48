//! What the fuzz targets share: a directory in memory, several files in one input, and the sums
//! that keep a mutated file from being refused at once.
//!
//! A target fails if the program panics, ends, takes more memory or time than libFuzzer was told,
//! or if what an importer or recovery wrote cannot be read again.
#![allow(missing_docs, reason = "the targets are the only callers")]

mod sums;

pub use sums::put_right_hashes;

use interop::Importer;
use model::Tables;
use std::fs;
use std::path::{Path, PathBuf};
use sums::put_right_frames;
use trace::{Error, Item, ReadOptions, Trace};

/// libFuzzer's hook ends the process at each panic. The reader of Parquet files is known to panic,
/// and `trace` makes an error of that; a panic that leaves a target is still reported.
pub fn allow_caught_panics() {
    drop(std::panic::take_hook());
}

/// An empty directory in memory, where there is such a place.
pub fn scratch() -> tempfile::TempDir {
    let memory = Path::new("/dev/shm");
    let dir = if memory.is_dir() { tempfile::tempdir_in(memory) } else { tempfile::tempdir() };
    dir.expect("a temporary directory can be made")
}

/// Writes the files of an input into `dir`. Each begins with `MARK`, its name and a line feed; what
/// stands before the first is left out. `fuzz/seeds.sh` writes the same.
pub fn unpack(input: &[u8], dir: &Path) -> Vec<(String, Vec<u8>)> {
    const MARK: &[u8] = b"\xffFILE:";
    let starts: Vec<usize> = memchr::memmem::find_iter(input, MARK).collect();
    let ends = starts.iter().skip(1).copied().chain([input.len()]);
    let mut files = Vec::new();
    for (start, end) in starts.iter().zip(ends) {
        let file = &input[start + MARK.len()..end];
        let Some(line) = memchr::memchr(b'\n', file) else { continue };
        let Ok(name) = std::str::from_utf8(&file[..line]) else { continue };
        let plain = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
        let safe =
            |part: &str| !part.is_empty() && !part.starts_with('.') && part.chars().all(plain);
        if name.len() < 100 && name.split('/').all(safe) {
            files.push((name.to_owned(), file[line + 1..].to_vec()));
        }
    }
    write(&files, dir);
    files
}

/// Writes the files of an input, a trace whose recorder was killed, into `dir`, puts the lengths
/// and checksums of the journals' frames right, and recovers the trace. Returns its path if it was
/// recovered.
pub fn recover(input: &[u8], dir: &Path) -> Option<PathBuf> {
    let path = dir.join("t.ra");
    let mut files = unpack(input, &path);
    for (_, journal) in files.iter_mut().filter(|(name, _)| name.starts_with("journal/")) {
        put_right_frames(journal);
    }
    write(&files, &path);
    model::recover(&path, &mut |_, _| {}).is_ok_and(|recovered| recovered).then_some(path)
}

/// Writes files below `dir`; one that cannot be there (a file is in the place of its directory) is
/// left out.
pub fn write(files: &[(String, Vec<u8>)], dir: &Path) {
    for (name, bytes) in files {
        let path = dir.join(name);
        let _best = fs::create_dir_all(path.parent().unwrap_or(dir));
        let _best = fs::write(&path, bytes);
    }
}

/// Imports a file. A trace that comes of it must be readable.
pub fn import_file(input: &[u8], importer: Importer) {
    let dir = scratch();
    let from = dir.path().join("input");
    fs::write(&from, input).expect("there is room");
    import(&from, &dir.path().join("out.ra"), importer);
}

/// The same for a file or a directory that is there.
pub fn import(from: &Path, to: &PathBuf, importer: Importer) {
    if let Ok(outcome) = importer(from, to, None, &mut |_, _| {}) {
        let calls = read(to).expect("a trace that was just imported can be read");
        assert_eq!(calls, outcome.summary.calls, "all calls are there");
    }
}

/// Reads everything that a trace holds, and counts its calls.
pub fn read(path: &Path) -> Result<u64, Error> {
    let trace = Trace::open(path)?;
    let mut calls = 0;
    for item in trace.read(ReadOptions { data: true }) {
        calls += u64::from(matches!(item?, Item::Call(_)));
    }
    trace.files()?;
    trace.unnamed()?;
    trace.outside()?;
    trace.origins()?.try_for_each(|row| row.map(drop))?;
    trace.snapshot()?.try_for_each(|row| row.map(drop))?;
    Ok(calls)
}
