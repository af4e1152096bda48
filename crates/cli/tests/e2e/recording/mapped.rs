//! Stores through shared mappings of files: what has changed has rows, and a replay makes the same
//! file.

use crate::harness::place::{Place, Watch, number};
use crate::harness::proof::same_again;
use crate::harness::run::{finish, run, start, wait_for};
use crate::harness::tracee::tracee;
use crate::harness::tree;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::Value;
use std::fs;
use std::path::Path;

/// Fails unless the trace is complete, each of `mappings` has ended, and a replay makes the same
/// `data`. Returns the rows of stores.
fn check(place: &Place, trace: &Path, mappings: usize) -> Vec<Value> {
    let info = place.info(trace);
    assert_eq!(info["reasons"].to_string(), "[]", "{info:#}");
    let mut rows = place.rows(trace, &[]);
    let ended = rows.iter().filter(|row| row["call"] == "mmap_end").count();
    assert_eq!(ended, mappings, "mappings that ended");
    let root = place.directory(&format!("{}.root", trace.display()));
    let report = same_again(place, trace, &root);
    assert_eq!(number(&report, "divergences"), 0, "{report:#}");
    let partly = report["state"]["excluded_lines"].to_string();
    assert!(!partly.contains("/work/data"), "its content is compared: {report:#}");
    let data = place.work().join("data");
    let again = root.join(data.strip_prefix("/").unwrap());
    assert!(fs::read(data).unwrap() == fs::read(again).unwrap(), "the file is another one");
    rows.retain(|row| row["call"] == "mmap_write");
    rows
}

/// Records the small program `way`, and checks the trace.
fn record(place: &Place, way: &str) -> Vec<Value> {
    let trace = place.trace(way);
    let argv = [tracee("maps"), way.into()];
    let ran = run(&mut place.record(&trace, &[], argv));
    let signal = (way == "killed").then_some(Signal::SIGKILL as i32);
    assert_eq!((ran.signal, ran.code), (signal, signal.is_none().then_some(0)), "{way}: {ran:?}");
    check(place, &trace, ran.stdout.trim().parse().expect("a number"))
}

/// Only pages that have changed since the last look have rows, and an msync looks.
#[test]
fn rows_have_what_has_changed() {
    Place::each(|place| {
        let text = vec![b'.'; 2 * 4096 + 1000];
        fs::write(place.work().join("data"), &text).unwrap();
        let rows = record(&place, "plain");
        let spans: Vec<_> =
            rows.iter().map(|row| (row["args"]["pos"].as_i64(), row["result"].as_i64())).collect();
        // At the msync the first page; at the end all, as a call has changed the file meanwhile; and
        // of the second mapping the page of which ten bytes were asked for.
        let wanted = [(0, 4096), (0, 9192), (0, 4096)].map(|(at, n)| (Some(at), Some(n)));
        assert_eq!(spans, wanted);
    });
}

#[test]
fn threads_that_store_all_the_time() {
    Place::each(|place| {
        let rows = record(&place, "threads");
        assert!(rows.len() > 2, "{}", rows.len());
    });
}

#[test]
fn mappings_that_end_in_all_ways() {
    Place::each(|place| {
        let ways =
            ["forked", "changed", "renamed", "restored", "resized", "appending", "exec", "killed"];
        for way in ways {
            assert!(!record(&place, way).is_empty(), "{way}");
            fs::remove_file(place.work().join("data")).unwrap();
        }
    });
}

/// Holes are neither read nor recorded.
#[test]
fn a_long_file_with_few_pages() {
    Place::each(|place| {
        let trace = place.trace("sparse");
        run(&mut place.record(&trace, &["--strict"], [tracee("maps"), "sparse".into()]))
            .ok("maps sparse");
        let rows = place.rows(&trace, &[]);
        let stored = rows.iter().filter(|row| row["call"] == "mmap_write");
        let bytes: u64 = stored.map(|row| row["result"].as_u64().unwrap()).sum();
        assert!((4 * 4096..1 << 20).contains(&bytes), "{bytes} bytes");
        let report = same_again(&place, &trace, &place.directory("root"));
        assert_eq!(number(&report, "divergences"), 0, "{report:#}");
    });
}

/// What was stored until then is there when the recording ends before the program.
#[test]
fn a_recording_that_ends_first() {
    Place::each(|place| {
        let trace = place.trace("t");
        let argv = [tracee("maps"), "waiting".into()];
        let recorder = start(&mut place.record(&trace, &[], argv));
        wait_for("the program", || {
            fs::read(place.work().join("data")).is_ok_and(|data| data.starts_with(b"while"))
        });
        let pid = Pid::from_raw(i32::try_from(recorder.id()).unwrap());
        kill(pid, Signal::SIGTERM).unwrap();
        finish(recorder, "the recorder");
        assert_eq!(check(&place, &trace, 1).len(), 1);
    });
}

/// SQLite's index of its write-ahead log is a shared mapping.
#[test]
fn sqlite_with_a_write_ahead_log() {
    Place::each(|place| {
        let trace = place.trace("t");
        let script = "pragma journal_mode=wal; create table t(a); \
                      insert into t select value from generate_series(1, 3000); \
                      update t set a = a + 1;";
        run(&mut place.record(&trace, &["--strict"], ["sqlite3", "db", script])).ok("sqlite3");
        let rows = place.rows(&trace, &[]);
        assert!(rows.iter().any(|row| row["call"] == "mmap_write"));
        let report = same_again(&place, &trace, &place.directory("root"));
        assert_eq!(number(&report, "divergences"), 0, "{report:#}");
    });
}

/// Programs that map what they write: a linker, LMDB, fio.
#[test]
fn programs_that_map_what_they_write() {
    const LMDB: &str = "import lmdb\n\
        for name, map in [('mapped', True), ('written', False)]:\n\
        \tdb = lmdb.open(name, map_size=1 << 24, writemap=map)\n\
        \tfor i in range(10):\n\
        \t\twith db.begin(write=True) as t:\n\
        \t\t\tfor j in range(50): t.put(b'%d-%d' % (i, j), b'x' * 100)\n\
        \tdb.close()";
    const GOLD: &str = "echo 'int main(void) { return 0; }' >source.c
        gcc -fuse-ld=gold -o program source.c";
    let fio = "fio --name=x --ioengine=mmap --rw=randrw --bs=4k --size=4m --fsync=50 --output=log";
    let programs = [
        vec!["/bin/sh", "-c", GOLD],
        vec!["/usr/bin/python3", "-c", LMDB],
        vec!["/bin/sh", "-c", fio],
    ];
    for argv in programs {
        let place = Place::watched_by(Watch::Ebpf);
        let trace = place.trace("t");
        run(&mut place.record(&trace, &["--strict"], &argv)).ok("record");
        let rows = place.rows(&trace, &[]);
        assert!(rows.iter().any(|row| row["call"] == "mmap_write"), "{argv:?}");
        let root = place.directory("root");
        let report = same_again(&place, &trace, &root);
        assert_eq!(number(&report, "divergences"), 0, "{report:#}");
        let here = root.join(place.work().strip_prefix("/").unwrap());
        let difference = tree::difference(&tree::describe(&place.work()), &tree::describe(&here));
        assert!(difference.is_empty(), "{argv:?}: the trees differ:\n{difference}");
    }
}
