//! Memory stays bounded however long the trace: a million calls here, ten million in the
//! benchmarks.

use crate::harness::place::{Place, Watch, number};
use crate::harness::proof::same_again;
use crate::harness::run::run;
use crate::harness::{forge, tree};
use nix::sys::resource::{UsageWho, getrusage};

/// The most that any program that we have waited for had resident, in MiB.
fn most() -> i64 {
    getrusage(UsageWho::RUSAGE_CHILDREN).unwrap().max_rss() / 1024
}

#[test]
fn a_million_calls() {
    let place = Place::new();
    let trace = place.trace("t");
    forge::generate(&trace, 1_000_000);
    run(place.reanimator(["-q", "recover"]).arg(&trace)).ok("recover");
    assert!(most() < 512, "sealing took {} MiB", most());
    let info = place.info(&trace);
    assert_eq!(number(&info, "calls"), 1_000_001, "{info}");
    let root = place.directory("root");
    let (ran, report) = place.replay(&trace, &root);
    assert_eq!(number(&report, "divergences"), 0, "{report:#}\n{}", ran.stderr);
    assert_eq!(number(&report, "performed"), 1_000_001, "{report:#}");
    assert!(most() < 512, "replaying took {} MiB", most());
    assert!(tree::describe(&root.join("w")).contains("./data: file 644"));
}

#[test]
fn recording_much_data() {
    let place = Place::watched_by(Watch::Ptrace);
    let trace = place.trace("t");
    let script = "dd if=/dev/zero of=big bs=32M count=12 status=none; dd if=big of=/dev/null bs=4k \
        status=none";
    run(&mut place.record(&trace, &[], ["/bin/dash", "-c", script])).ok("record");
    assert!(most() < 256, "recording took {} MiB", most());
    same_again(&place, &trace, &place.directory("root"));
    assert!(most() < 512, "replaying took {} MiB", most());
}

/// What is cut is said, and what was kept of it is performed.
#[test]
fn more_than_one_call_may_hold() {
    let place = Place::watched_by(Watch::Ptrace);
    let trace = place.trace("t");
    let script = "dd if=/dev/zero of=big bs=260M count=1 status=none";
    run(&mut place.record(&trace, &[], ["/bin/dash", "-c", script])).ok("record");
    let info = place.info(&trace);
    assert_eq!(info["verdict"], "incomplete", "{info}");
    assert!(info["reasons"].to_string().contains("no call may hold more than 256 MiB"), "{info}");
    let (ran, report) = place.replay(&trace, &place.directory("root"));
    assert_eq!((ran.code, number(&report, "divergences")), (Some(0), 0), "{ran:?}");
    assert!(number(&report["state"], "excluded") > 0, "{report}");
}
