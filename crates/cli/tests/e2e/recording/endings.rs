//! How programs end, and signals on the way: all as without a recorder.

use crate::harness::place::{Place, number};
use crate::harness::proof::Program;
use crate::harness::run::{Ran, run};
use crate::harness::tracee::tracee;

/// The small program ends in the way `how`, watched or not, and its trace replays.
#[track_caller]
fn ends(how: &str) -> Ran {
    let program = tracee("ends");
    Program::new([program.to_str().unwrap(), how]).proved().recorded
}

#[test]
fn with_a_status() {
    assert_eq!(ends("exit7").end(), (Some(7), None));
}
#[test]
fn by_a_segmentation_fault() {
    assert_eq!(ends("segv").end(), (None, Some(11)));
}
#[test]
fn by_sigterm() {
    assert_eq!(ends("term").end(), (None, Some(15)));
}
#[test]
fn by_sigkill() {
    assert_eq!(ends("kill").end(), (None, Some(9)));
}
#[test]
fn by_abort() {
    assert_eq!(ends("abort").end(), (None, Some(6)));
}
#[test]
fn by_a_broken_pipe() {
    assert_eq!(ends("pipe").end(), (None, Some(13)));
}
#[test]
fn exec_by_another_thread() {
    assert_eq!(ends("threadexec").end(), (Some(5), None));
}
#[test]
fn exit_by_another_thread() {
    assert_eq!(ends("threadexit").end(), (Some(6), None));
}
#[test]
fn the_first_thread_leaves_first() {
    assert_eq!(ends("leaderleaves").end(), (Some(0), None));
}
#[test]
fn a_child_stopped_and_continued() {
    let ran = ends("stop");
    assert_eq!(ran.end(), (Some(3), None));
    assert_eq!(ran.stdout, "stop\nchild stopped by 19\nchild continued\nchild exited with 3\n");
}
/// 32-bit calls: another table of numbers, which is not ours.
#[test]
fn calls_by_the_other_entry() {
    Place::each(|place| {
        let trace = place.trace("t");
        let ran = run(&mut place.record(&trace, &["-v"], [tracee("compat")])).ok("record");
        assert_eq!(ran.stdout, "the same\n");
        let compat =
            place.rows(&trace, &[]).iter().filter(|r| r["call"] == "compat_syscall_20").count();
        let notes = place.info(&trace)["notes"].to_string();
        assert!(
            compat == 3 && notes.contains("\"3 32-bit calls are recorded as numbers"),
            "{compat}: {notes}"
        );
    });
}
#[test]
fn a_child_killed_in_a_call() {
    assert_eq!(ends("childdies").end(), (Some(4), None));
}
#[test]
fn a_child_outlives_its_parent() {
    assert_eq!(ends("orphan").end(), (Some(2), None));
}
#[test]
fn vfork() {
    assert_eq!(ends("vfork").end(), (Some(0), None));
}

#[test]
fn signals_are_delivered_as_they_were_sent() {
    let program = tracee("signals");
    let proved = Program::new([program.to_str().unwrap()]).proved();
    assert!(
        proved.recorded.stdout.contains("queued 100, sum 5050\n"),
        "{}",
        proved.recorded.stdout
    );
}

/// A stopped job, its shell and its terminal: job control of a real shell.
#[test]
fn job_control() {
    let script = r#"
        # When the shell notices what it tells there is a matter of time.
        exec 2>/dev/null
        set -m
        sleep 2 &
        kill -STOP %1
        until jobs %1 > state; grep Stopped state; do sleep 0.05; done
        kill -CONT %1
        wait %1
        echo "waited: $?"
        set +m
        sleep 5 &
        kill -STOP $!
        kill -TERM $!
        kill -CONT $!
        wait $! || echo "ended: $?"
    "#;
    let ran = Program::new(["/bin/bash", "-c", script]).proved().recorded;
    assert!(
        ran.stdout.contains("Stopped")
            && ran.stdout.contains("waited: 0\n")
            && ran.stdout.contains("ended: 143\n"),
        "{ran:?}"
    );
}

#[test]
fn statuses_of_the_recorder_itself() {
    let place = Place::new();
    let missing = run(&mut place.record(&place.trace("a"), &[], ["/nonexistent/program"]));
    assert_eq!(missing.code, Some(127), "{missing:?}");
    let not_executable = place.file("text", "no program");
    let refused = run(&mut place.record(&place.trace("b"), &[], [not_executable]));
    assert_eq!(refused.code, Some(126), "{refused:?}");
    let trouble = run(&mut place.record(&place.path("no/such/directory/t.ra"), &[], ["/bin/true"]));
    assert_eq!(trouble.code, Some(125), "{trouble:?}");
    assert!(trouble.stderr.contains("error:"), "{trouble:?}");
    let taken = place.trace("c");
    run(&mut place.record(&taken, &[], ["/bin/true"])).ok("record");
    let again = run(&mut place.record(&taken, &[], ["/bin/true"]));
    assert_eq!(again.code, Some(125), "a trace is not overwritten: {again:?}");
    run(&mut place.record(&taken, &["--force"], ["/bin/true"])).ok("record --force");
}

/// Only the calls that were asked for are recorded, and a filter in the kernel changes nothing but
/// the speed.
#[test]
fn expressions_and_seccomp() {
    let place = Place::new();
    let script = "echo one > a; cat a > b; rm a";
    for (name, options) in [
        ("plain", &["-e", "openat,close"][..]),
        ("seccomp", &["-e", "openat,close", "--seccomp"][..]),
    ] {
        let trace = place.trace(name);
        run(&mut place.record(&trace, options, ["/bin/dash", "-c", script])).ok("record");
        let calls: std::collections::BTreeSet<_> = place
            .rows(&trace, &[])
            .iter()
            .filter_map(|row| row["call"].as_str().map(str::to_owned))
            .collect();
        assert!(
            calls.contains("openat")
                && calls.contains("close")
                && !calls.contains("read")
                && !calls.contains("write"),
            "{name}: {calls:?}"
        );
        assert!(number(&place.info(&trace), "calls") > 4);
    }
}

#[test]
fn traces_are_for_their_owner_only() {
    use std::os::unix::fs::PermissionsExt;
    let place = Place::new();
    let trace = place.trace("t");
    run(&mut place.record(&trace, &[], ["/bin/ls"])).ok("record");
    for entry in std::fs::read_dir(&trace).unwrap() {
        let entry = entry.unwrap();
        let mode = entry.metadata().unwrap().permissions().mode() & 0o777;
        assert_eq!(mode & 0o077, 0, "{} has mode {mode:o}", entry.path().display());
    }
}
