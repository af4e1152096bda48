//! The parents of threads.

use super::import;
use super::import::thread_parents::ThreadStarts;
use crate::tests_support::imported;
use trace::{Item, RecordKind, Verdict};

/// Imports a log. Returns the ids of the threads that started and of their parents, 0 if unknown,
/// and the verdict.
fn started_threads(text: &str) -> (Vec<(u32, u64)>, Verdict) {
    let (outcome, _, items) = imported(text, import);
    let start = |i: &Item| match i {
        Item::Event(e) if e.kind == RecordKind::Start => Some((e.tid, e.args[1])),
        _ => None,
    };
    let mut all: Vec<_> = items.iter().filter_map(start).collect();
    all.sort_unstable();
    (all, outcome.summary.verdict)
}

const FORK: &str = "clone(child_stack=NULL, flags=SIGCHLD)";

#[test]
fn in_one_namespace_the_number_tells() {
    let text = format!(
        "5 {FORK} = 6\n6 close(3) = 0\n6 +++ exited with 0 +++\n5 {FORK} = 6\n6 close(3) = 0\n"
    );
    assert_eq!(started_threads(&text), (vec![(5, 0), (6, 5), (6, 5)], Verdict::Complete));
}

#[test]
fn in_another_namespace_the_order_tells() {
    let nested = "5 unshare(CLONE_NEWPID) = 0\n5 vfork() = 6\n";
    let cases = [
        // Both of one parent: the lower number is the first one's.
        (
            format!("6 {FORK} = 2\n6 {FORK} = 3\n9 close(3) = 0\n7 close(3) = 0\n"),
            vec![(7, 6), (9, 6)],
            true,
        ),
        // A child that acts before its parent's call has returned.
        (
            "6 vfork( <unfinished ...>\n7 close(3) = 0\n6 <... vfork resumed>) = 2\n".to_owned(),
            vec![(7, 6)],
            true,
        ),
        // The number is one of this log, and means another.
        (format!("5 close(3) = 0\n6 {FORK} = 5\n7 close(3) = 0\n"), vec![(7, 6)], true),
        (
            format!(
                "6 {FORK} = 2 /* 8 in strace's PID NS */\n6 {FORK} = 3 /* 7 in strace's PID NS */\n7 close(3) = 0\n8 {FORK} = 4\n9 close(3) = 0\n"
            ),
            vec![(7, 6), (8, 6), (9, 8)],
            true,
        ),
        // Of two parents at once, either may be it.
        (
            format!(
                "6 {FORK} = 2\n7 vfork( <unfinished ...>\n6 vfork( <unfinished ...>\n8 close(3) = 0\n9 close(3) = 0\n7 <... vfork resumed>) = 3\n6 <... vfork resumed>) = 4\n"
            ),
            vec![(7, 6), (8, 7), (9, 6)],
            false,
        ),
        // Nobody made it.
        ("6 close(3) = 0\n8 close(3) = 0\n".to_owned(), vec![(8, 0)], false),
    ];
    for (text, expected, imported) in cases {
        let (mut all, verdict) = started_threads(&format!("{nested}{text}"));
        all.retain(|(tid, _)| *tid > 6);
        let verdicts = if imported { Verdict::Complete } else { Verdict::Incomplete };
        assert_eq!((all, verdict), (expected, verdicts), "{text}");
    }
}

/// A child starts from where its parent was when it was made, whatever the parent does before the
/// child's first line.
#[test]
fn a_child_starts_where_it_was_made() {
    let text = format!(
        "5 chdir(\"/a\") = 0\n5 {FORK} = 6\n5 chdir(\"/b\") = 0\n6 openat(AT_FDCWD, \"f\", O_RDONLY) = 3\n"
    );
    let (_, calls, _) = imported(&text, import);
    let opened = calls.iter().find_map(|c| c.identity(abi::plan::RESULT)).unwrap();
    assert_eq!(opened.1, b"/a/f");
}

/// With `-X raw` the flags are a number: a thread is one all the same.
#[test]
fn flags_may_be_a_number() {
    let text = "5 clone(child_stack=0x7f0000, flags=0x50f00 /* CLONE_VM */|17, parent_tid=[6]) = 6\n6 close(3) = 0\n";
    let (outcome, calls, _) = imported(text, import);
    assert_eq!((outcome.summary.processes, calls[1].pid), (1, 5));
}

/// Twice as many threads take about twice as many steps.
#[test]
fn every_thread_is_looked_at_so_often() {
    let steps = |n: u32| {
        let mut starts = ThreadStarts::default();
        starts.observe_line(1, 1);
        for i in 0..n {
            let line = u64::from(i) * 2 + 2;
            starts.begin_fork(1, line, line, 0);
            starts.end_fork(1, line, i64::from(i) + 2, None, 0);
            starts.observe_line(i * 2 + 1_000_000, line + 1);
        }
        starts.find_parents().steps
    };
    let (one, two) = (steps(5000), steps(10_000));
    assert!(two <= one * 5 / 2 && one > 5000, "{one} {two}");
}
