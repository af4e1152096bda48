//! Data that the kernel moves without passing the program's memory.

use crate::harness::place::{Place, User, Watch, number};
use crate::harness::proof::{Program, same_again};
use crate::harness::run::run;
use crate::harness::tracee::tracee;
use crate::replaying::filesystems::Mounted;
use serde_json::Value;
use std::fs;

fn program() -> Program {
    Program::new([tracee("moves").to_str().unwrap()])
}

#[test]
fn what_came_out_of_pipes_and_sockets_is_in_the_files_again() {
    let proved = program().proved();
    assert_eq!(proved.recorded.end(), (Some(0), None), "{}", proved.recorded.stderr);
    let shown = proved.place.rows(&proved.trace, &["-e", "splice,sendfile,copy_file_range"]);
    assert!(shown.len() > 10, "{shown:?}");
}

#[test]
fn a_file_that_was_there_takes_what_was_spliced_into_it() {
    let proved = program().before("printf '%0100d' 0 > found").proved();
    let again = proved
        .place
        .path("root")
        .join(proved.place.work().join("found").strip_prefix("/").unwrap());
    let (there, here) =
        (fs::read(proved.place.work().join("found")).unwrap(), fs::read(again).unwrap());
    assert_eq!((&there[10..17], &here[10..17]), (&b"spliced"[..], &b"spliced"[..]));
}

/// Threads that keep all CPUs while they wait for what was moved to be read, and close the files at
/// once.
#[test]
fn moves_side_by_side() {
    let place = Place::watched_by(Watch::Ebpf);
    let trace = place.trace("t");
    run(&mut place.record(&trace, &[], [tracee("movers").to_str().unwrap(), "400"])).ok("record");
    let info = place.info(&trace);
    assert_eq!(
        (&info["verdict"], number(&info, "unreadable")),
        (&Value::from("complete"), 0),
        "{info}"
    );
    same_again(&place, &trace, &place.directory("root"));
}

/// Without the data the sizes are right, and every file is said not to be compared.
#[test]
fn files_are_not_called_equal_without_their_bytes() {
    let place = Place::of(User::Me);
    let trace = place.trace("t");
    run(&mut place.record(
        &trace,
        &["--data", "none"],
        &[tracee("moves").to_str().unwrap().to_owned()],
    ))
    .ok("record");
    let report = same_again(&place, &trace, &place.directory("root"));
    let lines = report["state"]["excluded_lines"].to_string();
    for name in
        ["plain", "placed", "tee-one", "tee-two", "socket", "piped", "sent", "ranged", "system"]
    {
        assert!(lines.contains(&format!("/{name}: ")), "{name} is not told in {lines}");
    }
    assert!(number(&report, "state.excluded") >= 9);
}

/// Recorded where blocks can be shared, performed there and where they cannot be.
#[test]
fn clones_are_clones_or_copies() {
    let place = Place::of(User::Me);
    let mounted = Mounted::image(&place, "btrfs");
    let (work, root) = (mounted.0.join("work"), mounted.0.join("root"));
    fs::create_dir(&work).unwrap();
    fs::create_dir(&root).unwrap();
    let trace = place.trace("t");
    let mut record = place.record(&trace, &[], &[tracee("clones").to_str().unwrap().to_owned()]);
    run(record.current_dir(&work)).ok("record");
    let shared = same_again(&place, &trace, &root);
    let copied = same_again(&place, &trace, &place.directory("root"));
    assert_eq!((number(&shared, "copied"), number(&copied, "copied")), (0, 4), "{copied}");
}
