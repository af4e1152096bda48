//! What single parts cost, without programs around them: `cargo bench -p reanimator-replay`. What
//! whole programs cost is in `bench/`.
#![allow(missing_docs, clippy::unwrap_used, reason = "a benchmark may stop at the first surprise")]

use divan::Bencher;
use divan::counter::ItemsCount;
use model::Model;
use std::path::Path;
use std::sync::Arc;
use trace::record::{AT_EXIT, Header, PayloadHeader, PayloadKind};
use trace::{ReadOptions, Recording, RecordingInfo, Trace};

const CALLS: u64 = 20_000;
/// pwrite64.
const NUMBER: u32 = 18;

fn main() {
    divan::main();
}

/// Writes the journal of a recording that did not end: writes of 64 bytes by four threads.
fn record(path: &Path) {
    let recording =
        Recording::create(path, RecordingInfo::default(), Arc::new(Model::foreign())).unwrap();
    let mut journal = recording.journal(0).unwrap();
    for n in 0..CALLS {
        let entered = 1000 + n * 250;
        journal.begin(Header {
            nr: NUMBER,
            pid: 1,
            tid: 1 + n as u32 % 4,
            entered,
            left: entered + 900,
            ret: 64,
            args: [3, 4096, 64, n * 64, 0, 0],
            ..Header::default()
        });
        let payload = PayloadHeader {
            arg: 1,
            kind: PayloadKind::Data as u8,
            flags: AT_EXIT,
            wanted: 64,
            ..PayloadHeader::default()
        };
        journal.add_payload(payload, &n.to_le_bytes().repeat(8));
        journal.commit().unwrap();
    }
    journal.finish().unwrap();
}

fn place() -> tempfile::TempDir {
    let memory = Path::new("/dev/shm");
    if memory.is_dir() { tempfile::tempdir_in(memory) } else { tempfile::tempdir() }.unwrap()
}

/// Records go into a journal.
#[divan::bench]
fn journal(bencher: Bencher<'_, '_>) {
    bencher.counter(ItemsCount::new(CALLS)).with_inputs(place).bench_values(|place| {
        record(&place.path().join("t.ra"));
        place
    });
}

/// A journal is decoded, its files are inferred, and segments are written.
#[divan::bench]
fn seal(bencher: Bencher<'_, '_>) {
    let recorded = || {
        let place = place();
        record(&place.path().join("t.ra"));
        place
    };
    bencher.counter(ItemsCount::new(CALLS)).with_inputs(recorded).bench_values(|place| {
        model::recover(&place.path().join("t.ra"), &mut |_, _| {}).unwrap();
        place
    });
}

/// A sealed trace is read, with and without its data.
#[divan::bench(args = [false, true])]
fn read(bencher: Bencher<'_, '_>, data: bool) {
    let place = place();
    let path = place.path().join("t.ra");
    record(&path);
    model::recover(&path, &mut |_, _| {}).unwrap();
    let trace = Trace::open(&path).unwrap();
    bencher.counter(ItemsCount::new(CALLS)).bench_local(|| {
        assert_eq!(trace.read(ReadOptions { data }).filter(Result::is_ok).count() as u64, CALLS);
    });
}

/// `--include` and `--exclude` are matched with paths.
#[divan::bench]
fn select(bencher: Bencher<'_, '_>) {
    let set = |patterns: &[&str]| {
        let mut set = globset::GlobSetBuilder::new();
        for pattern in patterns {
            set.add(globset::Glob::new(pattern).unwrap());
        }
        Some(set.build().unwrap())
    };
    let selection = reanimator_replay::Selection {
        include: set(&["/srv/**", "*.db"]),
        exclude: set(&["*.tmp"]),
        ..Default::default()
    };
    let paths: Vec<String> = (0..1000).map(|n| format!("/srv/data/{}/f{n}.db", n % 7)).collect();
    bencher.counter(ItemsCount::new(paths.len())).bench_local(|| {
        assert!(paths.iter().all(|path| selection.selects_file(path.as_bytes())));
    });
}
