//! A small share of `make mutations`.

use crate::harness::place::REANIMATOR;
use std::path::Path;

#[allow(dead_code, unreachable_pub, reason = "`examples/mutate.rs` uses the rest")]
#[path = "../../mutations/mod.rs"]
mod all;

pub use all::{Random, nonsense};

/// 300 of the mutants: their statuses are the program's own, and nothing else happens.
#[test]
fn some_mutants() {
    let top = tempfile::tempdir().unwrap();
    all::Corpus::record(Path::new(REANIMATOR), top.path());
    let mut judge = all::Judge::new(Path::new(REANIMATOR), top.path());
    let mut tally = all::Tally::default();
    let wrong: Vec<String> =
        (1..=300).filter_map(|seed| judge.one(seed, &mut tally).err()).collect();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    let sealed = tally.0.iter().filter(|(what, _)| what.starts_with("Sealed"));
    assert!(sealed.map(|(_, n)| n).sum::<u64>() > 50, "{tally}");
}
