//! Files reached through links of procfs, and virtual files: neither half performed nor invented.

use crate::harness::place::{Place, Watch, number};
use crate::harness::proof::{Program, same_again};
use crate::harness::run::run;
use crate::harness::tracee::tracee;

/// How many calls are skipped for a reason.
fn skipped(report: &serde_json::Value, why: &str) -> u64 {
    report["skipped_by"][why].as_u64().unwrap_or(0)
}

#[test]
fn the_link_leads_to_the_file_and_not_to_its_name() {
    let program = Program::new([tracee("links").to_str().unwrap()]);
    let proved = program.proved();
    assert_eq!(proved.recorded.end(), (Some(0), None), "{}", proved.recorded.stderr);
    let again = proved.place.path("root").join(proved.place.work().strip_prefix("/").unwrap());
    for (name, text) in [("elsewhere", "Moved"), ("moved", "other"), ("e/parents", "parents")] {
        assert_eq!(std::fs::read_to_string(again.join(name)).unwrap(), text, "{name}");
    }
    // The links themselves are looked at three times.
    assert!(skipped(&proved.report, "virtual file") >= 3, "{}", proved.report);
}

#[test]
fn an_ordinary_user_reaches_them_too() {
    let proved = Program::new([tracee("links").to_str().unwrap()]).ordinary().proved();
    assert_eq!(proved.recorded.end(), (Some(0), None), "{}", proved.recorded.stderr);
}

#[test]
fn standard_streams_that_are_files() {
    let script = "exec 2>log; echo one >/dev/stderr; mv log old; echo two >>/dev/fd/2
        rm old; echo three | tee -a /proc/self/fd/2; cat /dev/fd/2 </dev/stdin
        exec 3<>kept; echo four >/dev/fd/3; chmod 600 /dev/fd/3; touch -c /dev/fd/3
        ln -s /dev/fd/3 l; echo five >>l; cat l; cp l copy; stat -L -c %s l; rm l";
    Program::script(script).input("what stands on standard input\n").proved();
}

/// What stands in a directory that is not stored is skipped from the open to the close.
#[test]
fn virtual_files_are_left_alone() {
    Place::each(|place| {
        let trace = place.trace("t");
        let script = "ls -l /dev /proc/self/fd /sys/kernel >/dev/null; sync -f /dev /proc /sys
            cat /etc/mtab /proc/self/status >/dev/null; stat -L /etc/mtab >/dev/null
            ln -s /proc/self/mounts here; ln -s here there; cat there >/dev/null
            stat -L here >/dev/null; test -e there; mv there that; cat that >/dev/null
            ls -l /proc/self/fd/2 /proc/self/cwd >/dev/null; test -L /proc/self/cwd
            cd /proc/self/fd; ls >/dev/null; cd /proc; cat self/stat >/dev/null; echo done";
        run(&mut place.record(&trace, &[], ["/bin/dash", "-euc", script])).ok("record");
        let report = same_again(&place, &trace, &place.directory("root"));
        assert!(skipped(&report, "virtual file") > 20, "{report}");
        let root = place.path("root");
        // Other file systems may be mounted in them, of which only the place is made.
        for made_up in ["proc", "sys", "dev"] {
            let mut below = vec![root.join(made_up)];
            while let Some(path) = below.pop() {
                match std::fs::read_dir(&path) {
                    Ok(names) => below.extend(names.map(|entry| entry.unwrap().path())),
                    Err(e) => assert_eq!(e.kind(), std::io::ErrorKind::NotFound, "{path:?}"),
                }
            }
        }
    });
}

/// A descriptor is left out with its open everywhere: its copies, and those of children.
#[test]
fn no_call_uses_a_descriptor_that_is_not_there() {
    let place = Place::watched_by(Watch::Ptrace);
    let trace = place.trace("t");
    let script =
        "exec 3</dev 4<&3; sync -f /dev/fd/4; ls /dev/fd/3/ >/dev/null; ( sync /dev/fd/3 )";
    run(&mut place.record(&trace, &[], ["/bin/dash", "-euc", script])).ok("record");
    let report = same_again(&place, &trace, &place.directory("root"));
    assert_eq!(number(&report, "divergences"), 0, "{report}");
}
