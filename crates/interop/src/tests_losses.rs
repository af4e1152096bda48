//! What another tool reports as lost, or what we leave out, makes a trace incomplete.

use crate::Importer;
use crate::tests_support::imported;
use crate::text::{blktrace, kdump, perf};
use trace::document::Verdict;

/// The verdict on a text, its reasons, and how many calls or events are reported as missing.
fn verdict(text: &str, import: Importer) -> (bool, Vec<String>, u64) {
    let (outcome, _, _) = imported(text, import);
    let complete = outcome.summary.verdict == Verdict::Complete;
    (complete, outcome.summary.reasons, outcome.summary.lost)
}

#[track_caller]
fn complete(text: &str, import: Importer) {
    let (complete, reasons, _) = verdict(text, import);
    assert!(complete, "{reasons:?}");
}

#[track_caller]
fn incomplete(text: &str, import: Importer, reason: &str, lost: u64) {
    let (complete, reasons, missing) = verdict(text, import);
    assert!(!complete && reasons.iter().any(|r| r.contains(reason)), "{reasons:?}");
    assert_eq!(missing, lost, "{reasons:?}");
}

const SCRIPT: &str = "\
   a b/c   7 [000]  100.000001: raw_syscalls:sys_enter: NR 1 (1, 7f00, 64, 0, 0, 0)
   a b/c   7 [000]  100.000002: raw_syscalls:sys_exit: NR 1 = 100
";

#[test]
fn perf_says_what_it_lost() {
    complete(SCRIPT, perf::import);
    for (line, lost) in [
        ("     x  7 [000]  100.000003: PERF_RECORD_LOST lost 512", 512),
        ("     x  7 [000]  100.000003: PERF_RECORD_LOST_SAMPLES lost 9", 9),
        ("Processed 12345 events and lost 4 chunks!", 4),
    ] {
        let text = format!("{SCRIPT}{line}\n{SCRIPT}");
        incomplete(&text, perf::import, "are missing", lost);
    }
    let call = "     1.000 ( 0.010 ms): dd/7 fsync(fd: 1) = 0\n";
    complete(call, perf::import);
    incomplete(&format!("{call}LOST 1 events!\n{call}"), perf::import, "are missing", 1);
}

#[test]
fn other_events_of_perf_are_no_calls() {
    for line in [
        "   dd 7 [001] 100.000003: sched:sched_switch: dd:7 [120] S ==> swapper/1:0 [120]",
        "   dd 7 [001] 100.000003: PERF_RECORD_COMM: dd:7/7",
        "   dd 7 [001] 100.000003:          1 cycles:  ffffffff81000000 x (vmlinux)",
    ] {
        complete(&format!("{SCRIPT}{line}\n"), perf::import);
    }
    let torn = format!("{SCRIPT}   dd 7 [001] 100.0000\n{SCRIPT}");
    incomplete(&torn, perf::import, "lines that cannot be read", 0);
}

/// A call whose entry or return is not there, between others of its thread.
#[test]
fn halves_of_calls_are_missing() {
    let (enter, exit) = SCRIPT.split_at(SCRIPT.find('\n').unwrap() + 1);
    complete(&format!("{exit}{SCRIPT}"), perf::import);
    incomplete(&format!("{SCRIPT}{exit}"), perf::import, "entry is missing", 0);
    incomplete(&format!("{enter}{SCRIPT}"), perf::import, "returns of calls", 0);
    let unknown = SCRIPT.replace("NR 1 ", "NR 99999 ");
    incomplete(&unknown, perf::import, "calls with number 99999", 0);
}

#[test]
fn kdump_says_that_events_were_dropped() {
    let log = "\
   817 sh       CALL  close(0x3)
   817 sh       RET   close 0
   817 sh       CSW   stop kernel \"x\"
";
    complete(log, kdump::import);
    for dropped in ["   817 sh       Events dropped.", "   817 100123 sh       Events dropped."] {
        incomplete(&format!("{log}{dropped}\n{log}"), kdump::import, "dropped events", 0);
    }
    let unknown = log.replace("close", "cap_enter");
    incomplete(&unknown, kdump::import, "which Linux does not have", 0);
}

fn requests(n: u64) -> String {
    (0..n)
        .map(|i| {
            let (at, time) = (8 * i, 2 * i);
            format!(
                "  8,0    1        1     0.{time:09}   700  Q   R {at} + 8 [dd]\n  \
                   8,0    1        2     0.{:09}     0  C   R {at} + 8 [0]\n",
                time + 1
            )
        })
        .collect()
}

const SUMS: &str = "\
CPU1 (8,0):
 Reads Queued:           1,        4KiB\t Writes Queued:           0,        0KiB
 Read Dispatches:        1,        4KiB\t Write Dispatches:        0,        0KiB
 Reads Requeued:         0\t\t Writes Requeued:         0
 Reads Completed:        1,        4KiB\t Writes Completed:        0,        0KiB
 Read Merges:            0,        0KiB\t Write Merges:            0,        0KiB
 Read depth:             1        \t Write depth:             0
 IO unplugs:             0        \t Timer unplugs:           0

Throughput (R/W): 4KiB/s / 0KiB/s
Events (8,0): 2 entries
";

/// A log of one request is one, however long the sums behind it are.
#[test]
fn blkparse_says_what_it_skipped() {
    for n in [1, 40] {
        let log = requests(n) + SUMS;
        assert!(blktrace::is_blktrace(log.as_bytes()), "{n}");
        complete(&format!("{log}Skips: 0 forward (0 -   0.0%)\n"), blktrace::import);
        let skips = format!("{log}Skips: 3 forward (1,200 -  98.5%)\n");
        incomplete(&skips, blktrace::import, "are missing", 1200);
    }
    let dropped = format!("{}You have 17 ( 0.1%) dropped events\n", requests(2));
    incomplete(&dropped, blktrace::import, "are missing", 17);
    assert!(!blktrace::is_blktrace(SUMS.as_bytes()));
}
