//! What changes files and is no system call of theirs: said, and never taken for complete.

use crate::harness::place::{Place, Watch, has_begun, number};
use crate::harness::proof::same_again;
use crate::harness::run::{finish, run, start, wait_for};
use crate::harness::tracee::tracee;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use std::fs;

/// Records the small program `how`; what the verdict says is missing.
fn told(place: &Place, how: &str) -> (String, Vec<String>) {
    let program = tracee("unseen");
    let trace = place.trace(how);
    let ran = run(&mut place.record(&trace, &["--strict"], [program.to_str().unwrap(), how]));
    let info = place.info(&trace);
    let reasons = info["reasons"].as_array().unwrap().iter();
    let verdict = info["verdict"].as_str().unwrap().to_owned();
    assert_eq!(ran.code, Some(if verdict == "complete" { 0 } else { 125 }), "{how}: {ran:?}");
    (verdict, reasons.map(|r| r.as_str().unwrap().to_owned()).collect())
}

/// What can have been written without a call is said, with the file; its content is compared by no
/// one, and all else is.
#[test]
fn files_that_change_without_a_call() {
    Place::each(|place| {
        let records_rings = place.watch != Watch::Ptrace;
        for (how, word) in [
            ("ring", "1 operations went through io_uring or aio"),
            ("polled", "1 rings of io_uring took operations without a call"),
        ] {
            let (verdict, reasons) = told(&place, how);
            if records_rings && matches!(how, "ring" | "polled") {
                assert_eq!((&*verdict, &*reasons), ("complete", &[][..]), "{how}");
                same_again(&place, &place.trace(how), &place.directory(how));
                continue;
            }
            assert_eq!(verdict, "incomplete", "{how}");
            let told = |one: &str| one.contains(word) && one.contains("/work/changed");
            assert!(matches!(&*reasons, [one] if told(one)), "{how}: {reasons:?}");
            let root = place.directory(&format!("root-{how}"));
            let report = same_again(&place, &place.trace(how), &root);
            let partly = report["state"]["excluded_lines"].to_string();
            assert!(partly.contains("changed"), "{how}: {report:#}");
            assert!(number(&report, "performed") > 3, "{how}: {report:#}");
        }
    });
}

/// Programs that see what the kernel has, or whose operations and stores have rows, are complete.
#[test]
fn what_only_could_change_files() {
    Place::each(|place| {
        for how in ["probe", "aio", "private", "unmapped", "gone", "map", "protect"] {
            assert_eq!(told(&place, how), ("complete".to_owned(), vec![]), "{how}");
        }
    });
}

/// What a process had mapped when it was joined is said like what it maps later; a file without a
/// name that it had open is there again.
#[test]
fn files_mapped_before_a_process_is_joined() {
    Place::each(|place| {
        let work = place.work();
        let program = start(&mut place.command([tracee("unseen").to_str().unwrap(), "joined"]));
        wait_for("the program to have mapped its file", || work.join("ready").exists());
        let trace = place.trace("t");
        let recorder = start(&mut place.attach(&trace, program.id()));
        wait_for("the recorder", || has_begun(&trace));
        fs::write(work.join("go"), "").unwrap();
        finish(program, "the program").ok("unseen joined");
        finish(recorder, "the recorder").ok("record -p");
        let info = place.info(&trace);
        let reasons = info["reasons"].to_string();
        assert!(reasons.contains("through shared mappings of files is not recorded"), "{info:#}");
        assert!(reasons.contains("/work/changed"), "{info:#}");
        let report = same_again(&place, &trace, &place.directory("root"));
        let partly = report["state"]["excluded_lines"].to_string();
        assert!(partly.contains("/work/changed: "), "{report:#}");
    });
}

/// The same if the recording ends first, so that nothing shows what the file holds at the end.
#[test]
fn files_mapped_before_a_recording_that_ends_first() {
    Place::each(|place| {
        let work = place.work();
        let program = start(&mut place.command([tracee("unseen").to_str().unwrap(), "joined"]));
        wait_for("the program to have mapped its file", || work.join("ready").exists());
        let trace = place.trace("t");
        let recorder = start(&mut place.attach(&trace, program.id()));
        wait_for("the recorder", || has_begun(&trace));
        kill(Pid::from_raw(i32::try_from(recorder.id()).unwrap()), Signal::SIGINT).unwrap();
        finish(recorder, "the recorder");
        fs::write(work.join("go"), "").unwrap();
        finish(program, "the program").ok("unseen joined");
        let reasons = place.info(&trace)["reasons"].to_string();
        assert!(reasons.contains("through shared mappings of files is not recorded"), "{reasons}");
        assert!(reasons.contains("/work/changed"), "{reasons}");
    });
}
