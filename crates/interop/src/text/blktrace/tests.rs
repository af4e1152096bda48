//! Lines that blkparse and the kernel wrote.

use super::import;
use super::line::{Line, is_blktrace};
use crate::tests_support::imported;

pub(crate) const LOG: &str = include_str!("../../../../../tests/fixtures/blkparse.txt");
pub(crate) const CLASSIC: &str = include_str!("../../../../../tests/fixtures/blk_classic.txt");

#[test]
fn lines_of_both_forms() {
    for text in [LOG, CLASSIC] {
        assert!(
            is_blktrace(text.as_bytes())
                && !crate::text::strace::is_strace(text.as_bytes())
                && !crate::text::perf::is_perf(text.as_bytes())
                && !crate::text::kdump::is_kdump(text.as_bytes())
        );
    }
    for other in [crate::text::strace::LOG, crate::text::perf::SCRIPT, crate::text::kdump::LOG] {
        assert!(!is_blktrace(other.as_bytes()));
    }
    let line = |action, rwbs, sectors| {
        let time = 1_000_000_002;
        Some(Line { device: (8, 16), time, pid: 697, action, rwbs, sectors, error: 0 })
    };
    assert_eq!(
        Line::parse("  8,16   3        1     1.000000002   697  G   W 223490 + 56 [kjournald]"),
        line("G", "W", (223_490, 56))
    );
    assert_eq!(Line::parse("8,16 3 1.000000002 697 Q FWS [jbd2/sda-8]"), line("Q", "FWS", (0, 0)));
    assert_eq!(Line::parse(" Reads Queued:           0,        0KiB"), None);
}

/// Requests that overlap are calls of as many threads; merged ones end together; and all of them
/// have their bytes.
#[test]
fn requests_become_calls() {
    let (outcome, calls, _) = imported(LOG, import);
    assert!(outcome.lost.is_empty() && outcome.damage.is_none(), "{outcome:?}");
    let queued: Vec<Line<'_>> =
        LOG.lines().filter_map(Line::parse).filter(|l| l.action == "Q").collect();
    assert_eq!(calls.len(), queued.len());
    let bytes: u64 = queued.iter().map(|l| l.sectors.1 * 512).sum();
    let ended = calls.iter().filter(|c| c.exited.is_some());
    let moved: i64 = ended.clone().map(|c| c.ret).sum();
    assert!(
        moved > 0 && moved.cast_unsigned() <= bytes && ended.clone().count() * 10 > calls.len() * 8,
        "{moved} {bytes}"
    );
    let names: Vec<_> = ended.map(|c| c.spec().unwrap().name).collect();
    assert!(["pread64", "pwrite64", "fdatasync"].iter().all(|n| names.contains(n)), "{names:?}");
    // One call at a time on each thread.
    for (i, call) in calls.iter().enumerate() {
        let before = calls[..i].iter().rfind(|c| c.tid == call.tid);
        assert!(before.is_none_or(|b| b.exited.is_some_and(|left| left <= call.entered)));
    }
    assert!(calls.iter().any(|c| c.tid != c.pid));
}

fn names(text: &str) -> Vec<(&'static str, i64, Option<u64>)> {
    let (_, calls, _) = imported(text, import);
    calls.iter().map(|c| (c.spec().unwrap().name, c.ret, c.exited)).collect()
}

/// A completion with an error is a call that failed, however the error is printed; a write that was
/// to be on the disk has a sync behind it, and one that flushes first has a sync before it.
#[test]
fn errors_and_syncs_are_calls_too() {
    let log = "\
8,0 1 1 0.000000010 700 Q WS 6000 + 8 [dd]
8,0 1 2 0.000000020 0 C WS 6000 + 8 [-28]
8,0 1 3 0.000000030 700 Q R 7000 + 8 [5]
8,0 1 4 0.000000040 0 C R 7000 + 8 [65531]
8,0 1 5 0.000000050 700 Q FW 5000 + 8 [a b]
8,0 1 6 0.000000060 0 C FW 5000 + 8 [0]
8,0 1 7 0.000000070 700 Q WFS 5000 + 8 [x]
8,0 1 8 0.000000080 0 C WFS 5000 + 8 [0]
8,0 1 9 0.000000090 700 Q FN 0 + 0 [x]
8,0 1 10 0.000000100 0 C FN 0 [0]
8,0 1 11 0.000000110 700 Q WFS 5000 + 8 [x]
8,0 1 12 0.000000120 0 C WFS 5000 + 8 [-5]
";
    let expected = [
        ("pwrite64", -28, Some(20)),
        ("pread64", -5, Some(40)),
        ("fdatasync", 0, Some(50)),
        ("pwrite64", 4096, Some(60)),
        ("pwrite64", 4096, Some(80)),
        ("fdatasync", 0, Some(80)),
        ("fdatasync", 0, Some(100)),
        ("pwrite64", -5, Some(120)),
    ];
    assert_eq!(names(log), expected);
}

/// Requests merged into one completion, and one split over two: what ends where a completion ends.
#[test]
fn a_completion_ends_what_lies_in_it() {
    let log = "\
8,0 1 1 0.000000010 700 Q W 0 + 8 [x]
8,0 1 1 0.000000011 700 Q W 8 + 8 [x]
8,0 1 1 0.000000012 700 Q W 100 + 64 [x]
8,0 1 1 0.000000020 0 C W 0 + 16 [0]
8,0 1 1 0.000000030 0 C W 100 + 32 [0]
8,0 1 1 0.000000040 0 C W 132 + 32 [0]
";
    let ends: Vec<_> = names(log).into_iter().map(|c| c.2).collect();
    assert_eq!(ends, [Some(20), Some(20), Some(40)]);
}
