//! What changes files and is no system call of theirs: said, and never taken for complete.

use crate::place::{Place, number};
use crate::proof::same_again;
use crate::run::run;
use crate::tracee::tracee;

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
        for (how, word) in [
            ("ring", "1 operations went through io_uring or aio"),
            ("polled", "1 rings of io_uring took operations without a call"),
            ("aio", "1 operations went through io_uring or aio"),
            ("map", "through shared mappings of files"),
            ("protect", "through shared mappings of files"),
        ] {
            let (verdict, reasons) = told(&place, how);
            assert_eq!(verdict, "incomplete", "{how}");
            assert!(matches!(&*reasons, [one] if one.contains(word)), "{how}: {reasons:?}");
            let root = place.directory(&format!("root-{how}"));
            let report = same_again(&place, &place.trace(how), &root);
            let partly = report["state"]["excluded_lines"].to_string();
            assert!(partly.contains("changed"), "{how}: {report:#}");
            assert!(number(&report, "performed") > 3, "{how}: {report:#}");
        }
    });
}

/// Programs that see what the kernel has, or whose stores reach no file that is left, are complete.
#[test]
fn what_only_could_change_files() {
    Place::each(|place| {
        for how in ["probe", "private", "unmapped", "gone"] {
            assert_eq!(told(&place, how), ("complete".to_owned(), vec![]), "{how}");
        }
    });
}
