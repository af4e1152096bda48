//! docs/format.md is right: a reader that was written from the page alone reads journals of both
//! engines, and what is in the column `pieces`.

use crate::harness::place::{Place, Watch};
use crate::harness::python::python;
use crate::harness::run::run;

/// Copies the beginning of its own recording's journals, once 10 KiB have been written to one.
/// Not all of them: a copy is recorded, too, and would never come to an end.
const PROGRAM: &str = r#"echo 'some data' > x; cat x x > y; mkdir copy
until [ -n "$(find "$0/journal" -name '0*' -size +20)" ]; do :; done
for f in "$0"/journal/0*; do head -c 1000000 "$f" > "copy/${f##*/}"; done"#;

#[test]
fn a_reader_of_the_page_reads_journals_and_pieces() {
    for watch in [Watch::Ebpf, Watch::Ptrace] {
        let place = Place::watched_by(watch);
        let trace = place.trace("t");
        let argv = ["/bin/dash", "-c", PROGRAM, trace.to_str().unwrap()];
        run(&mut place.record(&trace, &[], argv)).ok("record");
        let reader = place.file("format.py", include_str!("format.py"));
        let copy = place.work().join("copy");
        let ran = run(python().arg(reader).arg(&trace).arg(copy)).ok("format.py");
        let counts: Vec<u64> = ran.stdout.split_whitespace().map(|n| n.parse().unwrap()).collect();
        assert!(counts.len() == 2 && counts[0] > 0, "{watch:?}: {counts:?}");
    }
}
