//! Data that the kernel moves without passing the program's memory.

use crate::place::number;
use crate::proof::{Program, same_again};
use crate::tracee::tracee;

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
    let again = proved.place.path("root").join(proved.place.work().join("found").strip_prefix("/").unwrap());
    let (there, here) = (std::fs::read(proved.place.work().join("found")).unwrap(), std::fs::read(again).unwrap());
    assert_eq!((&there[10..17], &here[10..17]), (&b"spliced"[..], &b"spliced"[..]));
}

/// Without the data the sizes are right, and every file is said not to be compared.
#[test]
fn files_are_not_called_equal_without_their_bytes() {
    let place = crate::place::Place::of(crate::place::Who::Me);
    let trace = place.trace("t");
    crate::run::run(&mut place.record(&trace, &["--data", "none"], &[tracee("moves").to_str().unwrap().to_owned()])).ok("record");
    let report = same_again(&place, &trace, &place.directory("root"));
    let lines = report["state"]["excluded_lines"].to_string();
    for name in ["plain", "placed", "tee-one", "tee-two", "socket", "piped", "sent", "ranged", "system"] {
        assert!(lines.contains(&format!("/{name}: ")), "{name} is not told in {lines}");
    }
    assert!(number(&report, "state.excluded") >= 9);
}
