//! Operations of io_uring, which eBPF records: a row each, with its data.

use crate::harness::place::{Place, Watch, number};
use crate::harness::proof::{Output, Program, same_again};
use crate::harness::run::run;
use crate::harness::tracee::tracee;
use serde_json::Value;
use trace::record::BY_CONTRACT;
use trace::{Call, Item, ReadOptions, Trace};

/// The operations of a trace that `rings HOW` made, and how many it says that it submitted.
fn operations(place: &Place, how: &str) -> (Vec<Call>, usize) {
    let trace = place.trace(how);
    let program = tracee("rings").display().to_string();
    let ran = run(&mut place.record(&trace, &["--strict"], [&*program, how])).ok(how);
    let submitted = ran.stdout.trim().parse().unwrap_or_else(|e| panic!("{how}: {e}: {ran:?}"));
    let items = Trace::open(&trace).unwrap().read(ReadOptions { data: true });
    let calls = items.filter_map(|item| match item.unwrap() {
        Item::Call(call) if call.nr >= abi::OPERATIONS => Some(call),
        _ => None,
    });
    (calls.collect(), submitted)
}

/// However a ring is used, each entry that is submitted has one row (of one that completes many
/// times, each completion has one), the trace is complete, and its replay is the same.
#[test]
fn each_entry_has_a_row() {
    let place = Place::watched_by(Watch::Ebpf);
    for how in [
        "basic",
        "wide",
        "polled",
        "deferred",
        "unordered",
        "names",
        "registered",
        "links",
        "chains",
        "cancelled",
        "selected",
        "overflowing",
        "silent",
        "child",
        "leaving",
    ] {
        for name in std::fs::read_dir(place.work()).unwrap() {
            let path = name.unwrap().path();
            if path.is_dir() {
                std::fs::remove_dir_all(path).unwrap();
            } else {
                std::fs::remove_file(path).unwrap();
            }
        }
        let (calls, submitted) = operations(&place, how);
        assert_eq!(calls.len(), submitted, "{how}: {calls:#?}");
        let report = same_again(&place, &place.trace(how), &place.directory(how));
        // Some of them have no call of the same meaning, or were refused by the ring.
        assert!(number(&report, "performed") > 5, "{how}: {report:#}");
        let may_matter = report["skipped_by"]["async"].as_u64();
        assert!(may_matter.is_none() || how == "leaving", "{how}: {report:#}");
    }
}

/// With 6.1's way of copying, too.
#[test]
fn copies_of_fixed_sizes() {
    let place = Place::watched_by(Watch::Chunked);
    let (calls, submitted) = operations(&place, "basic");
    assert_eq!(calls.len(), submitted);
    same_again(&place, &place.trace("basic"), &place.directory("root"));
}

/// What a chain copies is captured when the write completes, not when it is submitted: the read
/// before it had not filled the memory then.
#[test]
fn data_of_a_chain() {
    let place = Place::watched_by(Watch::Ebpf);
    let (calls, _) = operations(&place, "links");
    let data = |i: usize| &calls[i].payloads.iter().find(|p| p.len == 4096).unwrap().bytes;
    assert_eq!(data(0).as_slice(), data(1).as_slice());
    assert!(data(0).iter().any(|byte| *byte != 0));
}

/// An operation that reports no success counts as successful, and is marked.
#[test]
fn success_that_is_not_reported() {
    let place = Place::watched_by(Watch::Ebpf);
    let (calls, _) = operations(&place, "silent");
    let marked = calls.iter().filter(|c| c.flags & BY_CONTRACT != 0);
    let results: Vec<i64> = marked.map(|c| c.ret).collect();
    assert_eq!(results, [4096, 4096, 4096, 4096, 4296], "{calls:#?}");
}

/// A file that a ring splices to has content that the trace does not have, and the trace says so.
#[test]
fn what_a_ring_splices() {
    let place = Place::watched_by(Watch::Ebpf);
    let trace = place.trace("t");
    let program = tracee("rings").display().to_string();
    run(&mut place.record(&trace, &[], [&*program, "splicing"])).ok("record");
    let info = place.info(&trace);
    assert_eq!(info["verdict"], "incomplete", "{info}");
    let (ran, report) = place.replay(&trace, &place.directory("root"));
    assert_eq!((ran.code, number(&report, "divergences")), (Some(0), 0), "{ran:?}");
    assert!(number(&report["state"], "excluded") > 0, "{report}");
}

/// What is under way when the program ends is a row without a result.
#[test]
fn operations_under_way_at_the_end() {
    let place = Place::watched_by(Watch::Ebpf);
    let (calls, submitted) = operations(&place, "leaving");
    assert_eq!((calls.len(), submitted), (3, 3), "{calls:#?}");
    // The kernel may have cancelled them before the recorder looked.
    let ended = |c: &Call| c.result().is_none_or(|result| result == 4096 || result < 0);
    assert!(calls.iter().all(ended), "{calls:#?}");
}

/// Files by index in the ring's table, names in the filter, the fields in JSON.
#[test]
fn rows_are_shown_and_filtered() {
    let place = Place::watched_by(Watch::Ebpf);
    operations(&place, "registered");
    let rows = place.rows(&place.trace("registered"), &["-e", "uring_write"]);
    let names: Vec<&Value> = rows.iter().map(|row| &row["call"]).collect();
    assert_eq!(names, ["uring_write"], "{rows:#?}");
    let args = ["print", "-e", "/^uring_(write|close|openat)$"];
    let shown = run(place.reanimator(args).arg(place.trace("registered"))).ok("print").stdout;
    assert!(shown.contains("uring_write(registered:1, "), "{shown}");
    assert!(shown.contains("uring_close(registered:1)"), "{shown}");
}

/// A program that only its ring keeps busy, by the tool that benchmarks disks.
#[test]
fn fio() {
    for (depth, more) in [("1", ""), ("16", "--fixedbufs --registerfiles"), ("128", "--direct=1")] {
        let script = format!(
            "fio --name=j --filename=f --size=4m --rw=randrw --bs=4k --ioengine=io_uring \
             --iodepth={depth} --randseed=7 --verify=crc32c {more} >/dev/null"
        );
        let proved = Program::script(&script).output(Output::Varies).proved_with(Watch::Ebpf);
        assert_eq!(proved.info["verdict"], "complete", "{:#}", proved.info);
        let rows = proved.place.rows(&proved.trace, &["-e", "/^uring_(read|write)(_fixed)?$"]);
        assert!(rows.len() >= 1024, "{}", rows.len());
        let rings = &proved.report["rings"];
        assert_eq!(number(rings, "operations"), rows.len() as u64, "{rings}");
        let most = number(rings, "most_at_once");
        // What the page cache has completes when it is submitted.
        assert!(most <= depth.parse().unwrap() && (most > 1 || depth != "128"), "{rings}");
    }
}

/// QEMU's disk images: writes through a ring, and a conversion.
#[test]
fn qemu_img() {
    let proved = Program::script(
        "qemu-img create -q -f qcow2 a.qcow2 16M
         qemu-img bench -q -i io_uring -c 500 -d 16 -w --pattern=7 -f qcow2 -t none a.qcow2
         qemu-img convert -q -O raw a.qcow2 b.raw
         qemu-img compare -q -f qcow2 -F raw a.qcow2 b.raw",
    )
    .output(Output::Varies)
    .proved_with(Watch::Ebpf);
    let rows = proved.place.rows(&proved.trace, &["-e", "uring_writev"]);
    assert!(rows.len() >= 500, "{}", rows.len());
}
