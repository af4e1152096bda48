//! Journals of random records in sound frames, some of them damaged: recovered, read and replayed.

use super::{GIB_IN_KIB, Outside};
use crate::hostile::random::Random;
use crate::hostile::random_records::nonsense;
use nix::sys::resource::{UsageWho, getrusage};
use std::fs;
use std::path::Path;
use trace::{ReadOptions, Trace};

/// Recovers a trace and reads all of it. Errors are fine, panics are not.
fn read_through(trace: &Path) {
    if model::recover(trace, &mut |_, _| {}).is_ok()
        && let Ok(trace) = Trace::open(trace)
    {
        trace.read(ReadOptions { data: true }).for_each(drop);
    }
}

/// 1,000 of them recovered and read.
#[test]
fn sound_frames_full_of_nonsense() {
    // In memory: a trace is made durable several times while it is sealed.
    let place = tempfile::tempdir_in("/dev/shm").unwrap();
    let mut random = Random(815);
    for i in 0..1000 {
        let seed = random.0;
        let trace = place.path().join("t.ra");
        nonsense(&trace, &mut random);
        if i % 3 == 0 {
            // And the journal itself damaged.
            for entry in fs::read_dir(trace.join("journal")).unwrap() {
                let path = entry.unwrap().path();
                let mut bytes = fs::read(&path).unwrap();
                random.damage(&mut bytes);
                fs::write(&path, bytes).unwrap();
            }
        }
        let outcome = std::panic::catch_unwind(|| read_through(&trace));
        assert!(outcome.is_ok(), "trace {i}, seed {seed}");
        fs::remove_dir_all(&trace).unwrap();
    }
    let most = getrusage(UsageWho::RUSAGE_SELF).unwrap().max_rss();
    assert!(most < GIB_IN_KIB, "{most} KiB");
}

/// 150 of them replayed.
#[test]
fn nonsense_replayed() {
    let mut outside = Outside::new();
    let mut random = Random(1234);
    for i in 0..150 {
        let what = format!("nonsense {i} (seed {})", random.0);
        let trace = outside.place.trace(&format!("n{i}"));
        nonsense(&trace, &mut random);
        outside.survives(&what, &trace);
        fs::remove_dir_all(&trace).unwrap();
    }
}
