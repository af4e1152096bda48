//! Calls that something refused which is not in the file system: replayed, they change nothing.

use crate::harness::place::{Place, Watch, number};
use crate::harness::proof::{Program, same_again};
use crate::harness::run::run;
use crate::harness::tracee::tracee;
use std::path::PathBuf;
use std::process::Command;

fn refused(kind: &str) -> u64 {
    let program = Program::new([tracee("refused").to_str().unwrap(), kind]);
    let proved = program.proved();
    assert_eq!(proved.recorded.end(), (Some(0), None), "{}", proved.recorded.stderr);
    number(&proved.report, "refused")
}

#[test]
fn by_a_filter() {
    assert!(refused("filter") >= 15);
}

#[test]
fn by_landlock() {
    assert!(refused("landlock") >= 6);
}

#[test]
fn by_a_limit_of_size() {
    assert_eq!(refused("limit"), 4);
}

/// What faults then faults now; what came short is asked for so.
#[test]
fn by_memory() {
    let program = Program::new([tracee("refused").to_str().unwrap(), "memory"]);
    let proved = program.proved_with(Watch::Ptrace);
    assert_eq!(proved.recorded.end(), (Some(0), None), "{}", proved.recorded.stderr);
    assert_eq!(number(&proved.report, "refused"), 0, "{:#}", proved.report);
}

/// Attributes of inodes, and an owner without capabilities.
#[test]
fn by_attributes_and_lack_of_capabilities() {
    const SCRIPT: &str = "echo one > a; echo two > b; mkdir d; chmod 0 d; chattr +i a; chattr +a b
        ! rm -f a; ! mv a c; ! ln a e; ! sh -c '> a'; ! chmod 600 a; ! sh -c '> b'; echo more >> b
        setpriv --reuid=1 --clear-groups dash -c '! ls d; ! mkdir f'
        setpriv --bounding-set=-all --inh-caps=-all dash -c '! ls d; ! chown 7 a; ! mkdir d/f'
        chattr -i a; chattr -a b; mv a c; rm b; chmod 755 d";
    let proved = Program::script(SCRIPT).output(crate::harness::proof::Output::Varies).proved();
    assert!(number(&proved.report, "refused") >= 6, "{:#}", proved.report);
}

/// A mounted tmpfs, unmounted when the test ends.
struct Mounted(PathBuf);

impl Drop for Mounted {
    fn drop(&mut self) {
        let _best = Command::new("umount").arg("--lazy").arg(&self.0).status();
    }
}

/// What the root's file system cannot do is done by other calls, and said.
#[test]
fn by_the_file_system_of_the_root() {
    const SCRIPT: &str = "seq 60000 > a; truncate -s 1M a; cp a b
        fallocate -z -o 8192 -l 4196 a; fallocate -c -o 0 -l 4096 a; fallocate -i -o 4096 -l 8192 a
        fallocate -p -o 65536 -l 8192 a; fallocate -z -n -o 1000000 -l 100000 a
        fallocate -z -o 2000000 -l 10 b; cat a b > c; echo end >> a; sync";
    let place = Place::watched_by(Watch::Ebpf);
    let trace = place.trace("t");
    run(&mut place.record(&trace, &[], ["/bin/sh", "-euc", SCRIPT])).ok("record");
    let mounted = Mounted(place.directory("tmpfs"));
    run(Command::new("mount").args(["-t", "tmpfs", "tmpfs"]).arg(&mounted.0)).ok("mount");
    let report = same_again(&place, &trace, &mounted.0);
    for (operation, times) in [("zero range", 3), ("collapse range", 1), ("insert range", 1)] {
        assert_eq!(report["emulated"][operation], times, "{report:#}");
    }
    let again = mounted.0.join(place.work().strip_prefix("/").unwrap());
    for name in ["a", "b", "c"] {
        let read = |at: PathBuf| std::fs::read(at.join(name)).unwrap();
        assert!(read(place.work()) == read(again.clone()), "{name} differs");
    }
}

/// An ordinary user owns all files of a replay, so that a refusal for lack of rights is not tried.
#[test]
fn for_lack_of_rights() {
    let program = Program::new(["/bin/sh", "-c", "cat /etc/shadow || mkdir /usr/new || true"]);
    let proved = program.ordinary().proved_with(Watch::Ptrace);
    let skipped = &proved.report["skipped_by"];
    assert!(number(skipped, "permission, without the owners") >= 2, "{:#}", proved.report);
}
