//! What a replay counts: calls that are done, calls that failed.

use super::RDWR_CREATE;
use super::script::{Made, Script, payload};
use reanimator_replay::{Options, Progress, Quiet, Root, Verify, replay_source};
use trace::record::PayloadKind;

/// Progress counts calls that are done. All are read before the first is performed here.
#[test]
fn progress_is_of_calls_that_are_done() {
    #[derive(Default)]
    struct Heard(std::sync::atomic::AtomicU64);
    impl Progress for Heard {
        fn calls(&self, done: u64, _moved: u64) {
            // This is called within the root.
            let made = std::fs::read_dir("/").expect("the root").count() as u64;
            assert!(done <= made, "{done} calls are done, and made {made} directories");
            self.0.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        }
    }
    let mut s = Script::default();
    for i in 0..4500 {
        let name = payload(0, PayloadKind::String, 0, format!("/d{i}").as_bytes());
        s.call(1, "mkdir", &[4096, 0o755], 0, vec![name]);
    }
    // So many directories take long on a disk.
    let root = tempfile::tempdir_in("/dev/shm").expect("a temporary directory");
    let (heard, held) = (Heard::default(), Root::open(root.path()).expect("the root is there"));
    let options = Options { preload: true, verify: Verify::None, ..Options::new(held) };
    let report = replay_source(&Made(s.items), &options, &heard).expect("replayed");
    assert_eq!((report.divergences, report.issued), (0, 4500), "{report:#?}");
    assert!(heard.0.into_inner() >= 1);
}

/// Calls that fail here and did not when they were recorded are counted, even if nothing is
/// compared: what they took says nothing.
#[test]
fn failures_are_counted_whatever_is_compared() {
    for verify in [Verify::None, Verify::Result, Verify::Data] {
        let mut s = Script::default();
        s.open(1, "/f", RDWR_CREATE, 3, 10);
        s.call(1, "lseek", &[3, 5, 0], 7, vec![]);
        let name = || payload(0, PayloadKind::String, 0, b"/nothing");
        s.call(1, "rmdir", &[4096], 0, vec![name()]);
        s.call(1, "rmdir", &[4096], -20, vec![name()]);
        let root = tempfile::tempdir().expect("a temporary directory");
        let held = Root::open(root.path()).expect("the root is there");
        let options = Options { verify, ..Options::new(held) };
        let report = replay_source(&Made(s.items), &options, &Quiet).expect("replayed");
        let compared = u64::from(verify != Verify::None) * 3;
        assert_eq!((report.divergences, report.failed), (compared, 2), "{report:#?}");
        let first = report.first_failed.expect("the first of them");
        assert_eq!((first.call, &*first.got), ("rmdir", "ENOENT"), "{first:?}");
    }
}
