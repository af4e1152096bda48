//! Traces of earlier versions: what is sealed stays readable; a journal that this program cannot
//! read is left alone. The fixture was written by reanimator 0.1.0 with format 1.1: `old.ra` by
//! eBPF, sealed; `torn.ra` by ptrace, whose recorder was killed.

use crate::harness::place::{Place, number};
use crate::harness::run::run;
use crate::harness::tracee::repository;
use std::fs;
use std::process::Command;

fn fixture(place: &Place) {
    let from = repository().join("tests/fixtures/trace-1.1.tar.gz");
    run(Command::new("tar").arg("-xzf").arg(from).arg("-C").arg(place.path("traces"))).ok("tar");
}

#[test]
fn an_older_trace_is_read_and_performed() {
    let place = Place::new();
    fixture(&place);
    let old = place.trace("old");
    assert!(fs::read_to_string(old.join("trace.json")).unwrap().contains("\"minor\": 1"));
    assert_eq!(number(&place.info(&old), "calls"), 528);
    let rows = place.rows(&old, &[]);
    assert!(rows.len() == 528 && rows.iter().all(|row| row["seen"].is_null()));
    run(place.reanimator(["verify"]).arg(&old)).ok("verify");
    let root = place.directory("root");
    let (ran, report) = place.replay(&old, &root);
    assert_eq!(
        (ran.code, number(&report, "divergences"), number(&report, "state.different")),
        (Some(0), 0, 0),
        "{report}"
    );
    assert_eq!(fs::read_to_string(root.join("tmp/demo/d/g")).unwrap(), "one\ntwo\n");
}

#[test]
fn an_older_journal_is_left_alone() {
    let place = Place::new();
    fixture(&place);
    let torn = place.trace("torn");
    let journal = fs::read(torn.join("journal/00000")).unwrap();
    let ran = run(place.reanimator(["recover"]).arg(&torn));
    assert_eq!(ran.code, Some(2), "{ran:?}");
    assert!(
        ran.stderr.contains("has version 1")
            && ran.stderr.contains("recover it with the one that recorded it"),
        "{ran:?}"
    );
    assert_eq!(fs::read(torn.join("journal/00000")).unwrap(), journal);
}
