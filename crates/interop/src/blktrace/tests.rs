//! Lines that blkparse and the kernel wrote.

use super::import;
use super::line::{Line, is_blktrace};
use crate::fuzz::imported;

pub(crate) const LOG: &str = include_str!("../../../../tests/fixtures/blkparse.txt");
pub(crate) const CLASSIC: &str = include_str!("../../../../tests/fixtures/blk_classic.txt");

#[test]
fn lines_of_both_forms() {
    for text in [LOG, CLASSIC] {
        assert!(
            is_blktrace(text.as_bytes())
                && !crate::strace::is_strace(text.as_bytes())
                && !crate::perf::is_perf(text.as_bytes())
                && !crate::kdump::is_kdump(text.as_bytes())
        );
    }
    for other in [crate::strace::LOG, crate::perf::SCRIPT, crate::kdump::LOG] {
        assert!(!is_blktrace(other.as_bytes()));
    }
    let line = |action, rwbs, sectors| {
        Some(Line { device: (8, 16), time: 1_000_000_002, pid: 697, action, rwbs, sectors })
    };
    assert_eq!(
        Line::read("  8,16   3        1     1.000000002   697  G   W 223490 + 56 [kjournald]"),
        line("G", "W", (223_490, 56))
    );
    assert_eq!(Line::read("8,16 3 1.000000002 697 Q FWS [jbd2/sda-8]"), line("Q", "FWS", (0, 0)));
    assert_eq!(Line::read(" Reads Queued:           0,        0KiB"), None);
}

/// Requests that overlap are calls of as many threads; merged ones end together; and all of them have their bytes.
#[test]
fn requests_become_calls() {
    let (outcome, calls, _) = imported(LOG, import);
    assert!(outcome.lost.is_empty() && outcome.damage.is_none(), "{outcome:?}");
    let queued: Vec<Line<'_>> =
        LOG.lines().filter_map(Line::read).filter(|l| l.action == "Q").collect();
    assert_eq!(calls.len(), queued.len());
    let bytes: u64 = queued.iter().map(|l| l.sectors.1 * 512).sum();
    let ended = calls.iter().filter(|c| c.left.is_some());
    let moved: i64 = ended.clone().map(|c| c.ret).sum();
    assert!(
        moved > 0 && moved.cast_unsigned() <= bytes && ended.clone().count() * 10 > calls.len() * 8,
        "{moved} {bytes}"
    );
    let names: Vec<_> = ended.map(|c| c.shape().unwrap().name).collect();
    assert!(["pread64", "pwrite64", "fdatasync"].iter().all(|n| names.contains(n)), "{names:?}");
    // One call at a time on each thread.
    for (i, call) in calls.iter().enumerate() {
        let before = calls[..i].iter().rfind(|c| c.tid == call.tid);
        assert!(before.is_none_or(|b| b.left.is_some_and(|left| left <= call.entered)));
    }
    assert!(calls.iter().any(|c| c.tid != c.pid));
}
