//! Damage at random: to the files of a sealed trace, to journals, and to what is written in records whose frames are sound.

use super::{GIB_IN_KIB, Outside};
use crate::harness::place::Place;
use crate::harness::run::run;
use crate::hostile::mutations::Random;
use crate::hostile::mutations::nonsense::nonsense;
use nix::sys::resource::{UsageWho, getrusage};
use std::fs;
use std::path::{Path, PathBuf};
use trace::{Item, Trace, Want};

/// Opens a trace and reads all of it; errors are fine, panics are not.
fn read_through(trace: &Path) -> (u64, bool) {
    let opened = model::recover(trace, &mut |_, _| {}).and_then(|_| Trace::open(trace));
    let Ok(trace) = opened else { return (0, false) };
    let mut calls = 0;
    for item in trace.read(Want { data: true }) {
        match item {
            Ok(Item::Call(_)) => calls += 1,
            Ok(Item::Event(_)) => {}
            Err(_) => return (calls, false),
        }
    }
    (calls, true)
}

/// 6,000 damages to the files of a real, sealed trace.
#[test]
fn damaged_files() {
    let place = Place::new();
    let trace = place.trace("t");
    run(&mut place.record(
        &trace,
        &[],
        ["/bin/dash", "-c", "mkdir d; echo x > d/f; cat d/f > g; ln -s g h; ls -l; rm g"],
    ))
    .ok("record");
    let (whole, fine) = read_through(&trace);
    assert!(whole > 50 && fine);
    let files: Vec<(PathBuf, Vec<u8>)> = fs::read_dir(&trace)
        .unwrap()
        .map(|e| e.unwrap().path())
        .filter(|p| p.is_file())
        .map(|p| (p.clone(), fs::read(&p).unwrap()))
        .collect();
    let mut random = Random(4711);
    let mut noticed = 0;
    for _ in 0..6000 {
        let (path, content) = &files[random.below(files.len() as u64) as usize];
        let mut damaged = content.clone();
        random.damage(&mut damaged);
        fs::write(path, &damaged).unwrap();
        let (calls, fine) = read_through(&trace);
        noticed += u32::from(!fine || calls != whole);
        fs::write(path, content).unwrap();
    }
    assert_eq!(read_through(&trace), (whole, true), "the trace as it was can still be read");
    assert!(noticed > 2000, "{noticed} damages of 6,000 were noticed");
    let most = getrusage(UsageWho::RUSAGE_SELF).unwrap().max_rss();
    assert!(most < GIB_IN_KIB, "{most} KiB");
}

/// 4,000 traces of nonsense sealed and read.
#[test]
fn sound_frames_full_of_nonsense() {
    // In memory: a trace is made durable several times while it is sealed.
    let place = tempfile::tempdir_in("/dev/shm").unwrap();
    let mut random = Random(815);
    for i in 0..4000 {
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

/// Nonsense performed.
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
