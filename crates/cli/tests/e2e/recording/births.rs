//! Every thread is born once, whichever record of it comes first, and is followed whatever its
//! maker asks; a program's own seccomp filters answer as they do without a recorder.

use crate::harness::place::{Place, Watch, number};
use crate::harness::proof::Program;
use crate::harness::run::run;
use crate::harness::tracee::tracee;
use serde_json::Value;
use std::collections::BTreeMap;
use std::path::Path;

/// How often each call was recorded.
fn counts(rows: &[Value]) -> BTreeMap<String, usize> {
    let mut counts = BTreeMap::new();
    for row in rows {
        *counts.entry(row["call"].as_str().unwrap_or_default().to_owned()).or_default() += 1;
    }
    counts
}

#[track_caller]
fn replays(place: &Place, trace: &Path) {
    let (ran, report) = place.replay(trace, &place.path("root"));
    assert!(ran.code == Some(0) && number(&report, "divergences") == 0, "{report}");
}

/// Children show themselves half a second before their makers tell of them, as on a loaded machine.
#[test]
fn makers_that_tell_late() {
    let program = tracee("births");
    let place = Place::new();
    let mut seen = Vec::new();
    for (name, options) in [("at once", &[][..]), ("late", &["--late-births", "9"])] {
        let work = place.work();
        let trace = place.trace(name);
        run(&mut place.record(&trace, options, [&program])).ok(name);
        std::fs::remove_dir_all(&work).unwrap();
        std::fs::create_dir(&work).unwrap();
        let info = place.info(&trace);
        assert_eq!(info["verdict"], "complete", "{name}: {info}");
        assert_eq!(number(&info, "threads"), 6, "{name}: born once each: {info}");
        let mut counts = counts(&place.rows(&trace, &[]));
        // How long threads wait for each other is a matter of time.
        counts.remove("futex");
        seen.push(counts);
    }
    assert_eq!(seen[0], seen[1], "the same calls");
    replays(&place, &place.trace("late"));
}

/// A maker that is killed before it could tell: its child is born all the same, as it was made.
#[test]
fn a_maker_that_never_tells() {
    let program = tracee("births");
    for options in [&[][..], &["--late-births", "9"]] {
        let place = Place::new();
        let trace = place.trace("t");
        run(&mut place.record(&trace, options, [program.to_str().unwrap(), "killed"])).ok("record");
        let info = place.info(&trace);
        assert_eq!(info["verdict"], "complete", "{options:?}: {info}");
        assert_eq!(number(&info, "threads"), 3, "{options:?}: {info}");
        let opened = place.rows(&trace, &["-e", "openat"]);
        let orphan = opened.iter().find(|r| r["args"]["filename"] == "by-orphan");
        let paths = orphan.map(|r| r["paths"].to_string()).unwrap_or_default();
        assert!(paths.contains("/work/by-orphan"), "{options:?}: its maker's directory: {paths}");
        replays(&place, &trace);
    }
}

/// Processes that are killed while they make threads and processes, at any moment: all that was
/// made is born and ends, and none is waited for that cannot come.
#[test]
fn makers_that_are_killed_at_any_moment() {
    let program = tracee("births");
    for options in [&[][..], &["--late-births", "1"]] {
        let place = Place::new();
        let trace = place.trace("t");
        run(&mut place.record(&trace, options, [program.to_str().unwrap(), "storm"])).ok("record");
        let info = place.info(&trace);
        let reasons = info["reasons"].to_string();
        assert!(
            info["verdict"] == "complete" || reasons.contains("started in an unknown way"),
            "{options:?}: {info}"
        );
    }
}

/// Children that ask not to be traced: recorded, and they do not notice.
#[test]
fn children_that_ask_not_to_be_traced() {
    let program = tracee("untraced");
    let proved = Program::new([program.to_str().unwrap()]).proved();
    assert_eq!(proved.recorded.end(), (Some(0), None), "{:?}", proved.recorded);
    assert_eq!(number(&proved.info, "threads"), 8, "{}", proved.info);
}

/// And where a filter in the kernel decides what we see.
#[test]
fn children_that_ask_not_to_be_traced_behind_a_filter() {
    let place = Place::watched_by(Watch::Ptrace);
    let trace = place.trace("t");
    let options = ["--late-births", "1", "--seccomp", "-e", "openat"];
    run(&mut place.record(&trace, &options, [tracee("untraced")])).ok("record");
    let rows = place.rows(&trace, &[]);
    for name in ["by-clone", "by-clone3", "by-vfork", "by-files", "by-thread", "by-grandchild"] {
        assert!(rows.iter().any(|r| r["args"]["filename"] == name), "{name}");
        assert_eq!(std::fs::read_to_string(place.work().join(name)).unwrap(), "right\n", "{name}");
    }
    assert_eq!(place.info(&trace)["verdict"], "complete");
}

/// `SECCOMP_RET_TRACE` without a tracer is ENOSYS, and ours is not the program's.
#[test]
fn filters_of_the_program() {
    let program = tracee("filters");
    let proved = Program::new([program.to_str().unwrap()]).proved();
    assert_eq!(proved.recorded.end(), (Some(0), None), "{:?}", proved.recorded);
    // Calls that a filter of the program answers never come to a filter of ours: still recorded.
    let place = Place::watched_by(Watch::Ptrace);
    let bare = run(&mut place.command([&program])).ok("bare");
    let trace = place.trace("t");
    let wanted = "getgid,getegid,getuid,geteuid,mkdir,getpgrp";
    let options = ["--seccomp", "-e", wanted];
    let recorded = run(&mut place.record(&trace, &options, [&program])).ok("record");
    assert_eq!(recorded.stdout, bare.stdout);
    let rows = place.rows(&trace, &[]);
    for call in wanted.split(',') {
        let of = rows.iter().filter(|r| r["call"] == call).count();
        assert_eq!(of, 2, "{call}: {rows:?}");
    }
    let errors = rows.iter().filter(|r| r["error"] == "ENOSYS").count();
    assert_eq!(errors, 6, "{rows:?}");
    assert_eq!(place.info(&trace)["verdict"], "complete");
}
