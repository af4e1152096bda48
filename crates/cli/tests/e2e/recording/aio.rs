//! Operations of libaio, which complete without a system call: each is a row with its data.

use crate::harness::place::{Place, Watch, number};
use crate::harness::proof::same_again;
use crate::harness::run::run;
use crate::harness::tracee::tracee;
use serde_json::Value;

/// Every operation that the kernel took is a row, or was under way at the end; all are performed
/// again with the same results and data.
#[test]
fn operations_of_libaio_are_rows() {
    Place::each(|place| {
        let program = tracee("aio");
        let trace = place.trace("t");
        let arguments = ["--strict"];
        let ran = run(&mut place.record(&trace, &arguments, [program.to_str().unwrap()]))
            .ok("record aio");
        let submitted: usize = ran.stdout.trim().parse().expect("a number");
        let rows = place.rows(&trace, &[]);
        let is_aio = |row: &&Value| row["call"].as_str().is_some_and(|c| c.starts_with("aio_"));
        let operations: Vec<&Value> = rows.iter().filter(is_aio).collect();
        assert_eq!(operations.len(), submitted);
        let of = |name: &str| operations.iter().filter(|row| row["call"] == name).count();
        assert_eq!(
            ["aio_pwrite", "aio_pread", "aio_pwritev", "aio_preadv", "aio_fsync", "aio_fdsync"]
                .map(of),
            [201, 203, 1, 1, 1, 1]
        );
        let unfinished: Vec<_> = operations.iter().filter(|row| row["result"].is_null()).collect();
        assert_eq!(unfinished.len(), 1, "{unfinished:#?}");
        assert_eq!(unfinished[0]["call"], "aio_poll");
        assert_eq!(place.info(&trace)["processes"], 1);
        let reasons = place.info(&trace)["reasons"].to_string();
        assert_eq!(reasons, "[]");
        let report = same_again(&place, &trace, &place.directory("root"));
        assert_eq!(number(&report, "divergences"), 0, "{report:#}");
        assert!(number(&report, "performed") >= 408, "{report:#}");
    });
}

/// The thread that creates the first context or ring is stopped before it submits to it, on
/// whichever CPU it runs: no operation comes before the programs that record it.
#[test]
fn the_first_operation_is_recorded() {
    let place = Place::watched_by(Watch::Ebpf);
    let program = tracee("unseen");
    for (how, call) in [("aio", "aio_pwrite"), ("ring", "uring_write")] {
        for turn in 0..10 {
            let trace = place.trace(&format!("{how}-{turn}"));
            let argv = [program.to_str().unwrap(), how];
            run(&mut place.record(&trace, &["--strict"], argv)).ok("record unseen");
            let rows = place.rows(&trace, &[]);
            let writes = rows.iter().filter(|row| row["call"] == call).count();
            assert_eq!(writes, 1, "{how}, turn {turn}");
        }
    }
}
