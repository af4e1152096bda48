//! Searches sequences of operations for one whose initial state is misread.

use super::*;
use proptest::test_runner::{RngSeed, TestRunner};
use std::cell::RefCell;
use std::collections::BTreeSet;
use std::ops::Range;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

/// Sequences of each seed.
const CASES: u32 = 50;

/// Seeds, unless `MODEL_SEED` says which.
const USUAL: Range<u64> = 1..5;

/// The seeds: `MODEL_SEED` is one, a range (`1..10001`), or `any`.
fn seeds() -> Range<u64> {
    let Ok(text) = std::env::var("MODEL_SEED") else { return USUAL };
    let number = |text: &str| text.parse::<u64>().expect("MODEL_SEED is N, N..M or any");
    if let Some((from, to)) = text.split_once("..") {
        return number(from)..number(to);
    }
    let seed = match &text[..] {
        "any" => {
            let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
            now.as_nanos() as u64 ^ u64::from(std::process::id()) << 32
        }
        text => number(text),
    };
    seed..seed + 1
}

type Case = (Vec<Op>, Vec<Op>);

fn runner(seed: u64) -> TestRunner {
    TestRunner::new(ProptestConfig {
        cases: CASES,
        failure_persistence: None,
        rng_seed: RngSeed::Fixed(seed),
        ..ProptestConfig::default()
    })
}

/// Whether all sequences of a seed come out the same.
fn holds(seed: u64, strategy: &impl Strategy<Value = Case>, live: bool) -> bool {
    let cases = RefCell::new(Vec::new());
    let collect = |case: Case| {
        cases.borrow_mut().push((Staged::new(&case.0), case.1));
        Ok(())
    };
    runner(seed).run(strategy, collect).unwrap();
    // One wait for all of them.
    let began = begin();
    cases.into_inner().iter().all(|(staged, ops)| check(&staged.base, began, ops, live).is_ok())
}

/// Tries all seeds, and fails if one does not hold, with the smallest case of each.
fn search<S: Strategy<Value = Case>>(strategy: impl Fn() -> S + Sync, live: bool) {
    let seeds = seeds();
    let (next, misread) = (AtomicU64::new(seeds.start), Mutex::new(BTreeSet::new()));
    let work = || {
        let strategy = strategy();
        loop {
            let seed = next.fetch_add(1, Ordering::Relaxed);
            if seed >= seeds.end {
                break;
            }
            if holds(seed, &strategy, live) {
                continue;
            }
            misread.lock().unwrap().insert(seed);
            if let Err(e) = runner(seed).run(&strategy, |(before, ops)| run(&before, &ops, live)) {
                eprintln!("MODEL_SEED={seed}: {e}");
            }
        }
    };
    std::thread::scope(|scope| {
        for _ in 0..std::thread::available_parallelism().map_or(1, usize::from) {
            scope.spawn(work);
        }
    });
    let misread = misread.into_inner().unwrap();
    let count = seeds.end - seeds.start;
    eprintln!("{count} seeds, {} misread: {misread:?}", misread.len());
    assert!(misread.is_empty());
}

fn sequences() -> impl Strategy<Value = Case> {
    (proptest::collection::vec(op(), 0..30), proptest::collection::vec(op(), 0..40))
}

#[test]
fn what_is_prepared_lets_everything_come_out_the_same() {
    search(sequences, true);
}

/// Without a look at the recorded machine afterwards, what a program has seen is all that is known.
#[test]
fn the_trace_alone_is_enough() {
    // A link that is only ever followed leaves no trace of itself.
    let without_links = || {
        sequences().prop_map(|(mut before, ops)| {
            before.retain(|op| !matches!(op, Op::Symlink(..)));
            (before, ops)
        })
    };
    search(without_links, false);
}

/// Few operations, on names only, among many links.
#[test]
fn links_that_are_moved_come_out_the_same() {
    let names = || {
        let before = proptest::collection::vec(op::name(), 0..8);
        (before, proptest::collection::vec(op::name(), 0..10))
    };
    search(names, true);
}
