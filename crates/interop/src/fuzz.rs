//! Each reader against files that nobody wrote: real ones with bytes changed, cut out, doubled and put elsewhere. No panic, no endless loop, and a message or a trace.
//!
//! `FUZZ_RUNS=1000000 cargo nextest run --release -E 'test(fuzz::)'` takes an hour or so; without it there are a few hundred runs of each. A run's number is its seed, and is
//! in the message of what fails.

use crate::text::{blktrace, kdump, perf, strace};
use crate::{Importer, Outcome, ctf, dataseries};
use std::fs;
use std::io::Read;
use std::path::{Path, PathBuf};
use trace::{Call, Item, Trace, Want};

/// In memory, where there is such a place: what is sealed is made durable each time.
pub(crate) fn scratch() -> tempfile::TempDir {
    let memory = Path::new("/dev/shm");
    if memory.is_dir() { tempfile::tempdir_in(memory) } else { tempfile::tempdir() }.unwrap()
}

pub(crate) fn gunzip(name: &str) -> Vec<u8> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/fixtures").join(name);
    let mut bytes = Vec::new();
    flate2::read::GzDecoder::new(fs::File::open(path).unwrap()).read_to_end(&mut bytes).unwrap();
    bytes
}

/// A file of a tar of plain files.
pub(crate) fn untar(tar: &[u8], into: &Path) {
    let mut at = 0;
    while tar.get(at).is_some_and(|b| *b != 0) {
        let text = |from: usize, len: usize| {
            String::from_utf8_lossy(&tar[at + from..at + from + len])
                .trim_end_matches('\0')
                .to_owned()
        };
        let size = usize::from_str_radix(text(124, 12).trim(), 8).unwrap();
        let path = into.join(text(0, 100));
        match tar[at + 156] {
            b'5' => fs::create_dir_all(&path).unwrap(),
            _ => fs::write(&path, &tar[at + 512..at + 512 + size]).unwrap(),
        }
        at += 512 + size.next_multiple_of(512);
    }
}

struct Random(u64);

impl Random {
    fn below(&mut self, n: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 % n.max(1) as u64) as usize
    }
}

fn mutated(seed: u64, bytes: &[u8]) -> Vec<u8> {
    let mut r = Random(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1);
    let mut out = bytes.to_vec();
    for _ in 0..=r.below(4) {
        let at = r.below(out.len());
        let end = (at + 1 + r.below(64)).min(out.len());
        match r.below(6) {
            0 => out.truncate(at),
            1 => out.iter_mut().skip(at).take(1 + r.below(8)).for_each(|b| *b = 0xff),
            2 => out.iter_mut().skip(at).take(1 + r.below(8)).for_each(|b| *b = 0),
            3 => drop(out.drain(at..end)),
            4 => {
                let piece = out[at..end].to_vec();
                let to = r.below(out.len());
                out.splice(to..to, piece);
            }
            _ => out.iter_mut().skip(at).take(1).for_each(|b| *b ^= 1 << r.below(8)),
        }
    }
    out
}

/// Runs `target` on mutations of `bytes`.
fn fuzz(bytes: &[u8], target: impl Fn(u64, &[u8]) + std::panic::RefUnwindSafe) {
    let runs =
        std::env::var("FUZZ_RUNS").map_or(300, |n| n.parse().expect("FUZZ_RUNS is a number"));
    for seed in 1..=runs {
        let input = mutated(seed, bytes);
        let survived = std::panic::catch_unwind(|| target(seed, &input));
        assert!(
            survived.is_ok(),
            "run {seed} of {}",
            std::thread::current().name().unwrap_or_default()
        );
    }
}

fn written(dir: &Path, input: &[u8]) -> (PathBuf, PathBuf) {
    let (from, to) = (dir.join("input"), dir.join("out.ra"));
    fs::write(&from, input).unwrap();
    let _old = fs::remove_dir_all(&to);
    (from, to)
}

/// What becomes of a text: its calls, and all that happened.
pub(crate) fn imported(text: &str, import: Importer) -> (Outcome, Vec<Call>, Vec<Item>) {
    let dir = scratch();
    let (from, to) = written(dir.path(), text.as_bytes());
    let outcome = import(&from, &to, None, &mut |_, _| {}).unwrap();
    let items: Vec<Item> =
        Trace::open(&to).unwrap().read(Want { data: true }).map(Result::unwrap).collect();
    let calls = items
        .iter()
        .filter_map(|i| if let Item::Call(c) = i { Some(c.clone()) } else { None })
        .collect();
    (outcome, calls, items)
}

#[test]
fn dataseries_files() {
    let dir = scratch();
    fuzz(&gunzip("dataseries/dd.ds.gz"), |_, input| {
        let (from, to) = written(dir.path(), input);
        let _refused = dataseries::import(&from, &to, None, &mut |_, _| {});
    });
}

/// Records without the checksums that keep most damage away from the decoder.
#[test]
fn dataseries_types() {
    let xml = br#"<ExtentType name="a" version="1.0" pack_null_compact="non_bool"><field type="bool" name="b"/><field type="int32" name="i" opt_nullable="yes" pack_relative="i"/><field type="double" name="d" pack_scale="0.1"/><field type="fixedwidth" size="7" name="f"/><field type="variable32" name="v"/></ExtentType>"#;
    fuzz(xml, |_, input| {
        let _refused = dataseries::Type::parse(&String::from_utf8_lossy(input));
    });
}

#[test]
fn ctf_streams() {
    let dir = scratch();
    untar(&gunzip("ctf/dd.tar.gz"), dir.path());
    let stream = dir.path().join("dd/kernel/ch_0");
    let trace = ctf::Trace::open(&dir.path().join("dd")).unwrap();
    fuzz(&fs::read(&stream).unwrap(), |_, input| {
        fs::write(&stream, input).unwrap();
        let _counts = trace.read(|_| Ok::<(), crate::Error>(()));
    });
}

#[test]
fn ctf_metadata() {
    let dir = scratch();
    untar(&gunzip("ctf/dd.tar.gz"), dir.path());
    let metadata = dir.path().join("dd/kernel/metadata");
    // Its beginning holds all kinds of declarations, and packets are not in the way.
    let text = String::from_utf8_lossy(&fs::read(&metadata).unwrap())
        .chars()
        .filter(|c| c.is_ascii_graphic() || c.is_ascii_whitespace())
        .collect::<String>();
    let start = text.find("/*").unwrap_or(0);
    fuzz(&text.as_bytes()[start..start + 12_000], |_, input| {
        fs::write(&metadata, input).unwrap();
        if let Ok(trace) = ctf::Trace::open(&dir.path().join("dd")) {
            let _counts = trace.read(|_| Ok::<(), crate::Error>(()));
        }
    });
}

/// Runs an importer of text.
fn text(logs: &[&str], import: Importer) {
    let dir = scratch();
    for log in logs {
        fuzz(log.as_bytes(), |_, input| {
            let (from, to) = written(dir.path(), input);
            let _refused = import(&from, &to, None, &mut |_, _| {});
        });
    }
}

#[test]
fn strace_text() {
    text(&[strace::LOG], strace::import);
}

#[test]
fn perf_text() {
    text(&[perf::SCRIPT, perf::TRACE], perf::import);
}

#[test]
fn kdump_text() {
    text(&[kdump::LOG], kdump::import);
}

#[test]
fn blktrace_text() {
    text(&[blktrace::LOG, blktrace::CLASSIC], blktrace::import);
}
