//! What `replay` says at its end, and what it leaves behind.

use crate::harness::place::{Place, User, Watch};
use crate::harness::run::{finish, run, start, wait_for};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::Value;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

fn recorded(place: &Place, script: &str) -> PathBuf {
    let trace = place.trace("t");
    run(&mut place.record(&trace, &[], ["/bin/sh", "-c", script])).ok("record");
    trace
}

/// `reanimator replay OPTION.. TRACE`, whose fresh roots are made in `temporary`.
fn replay(place: &Place, temporary: &Path, options: &[&str], trace: &Path) -> Command {
    let mut command = place.reanimator(["replay"]);
    command.args(options).arg(trace).env("TMPDIR", temporary);
    command
}

fn is_empty(dir: &Path) -> bool {
    fs::read_dir(dir).unwrap().next().is_none()
}

/// Without --root: removed if all was the same, kept and named if not, removed if interrupted.
#[test]
fn a_fresh_root_is_removed() {
    for place in [Place::watched_by(Watch::Ptrace), Place::of(User::Ordinary)] {
        let script = "cat f 2>/dev/null; mkdir d; echo x > d/x; chmod 0 d; sleep 0.3; echo y > y";
        fs::write(place.work().join("f"), "before").unwrap();
        let trace = recorded(&place, script);
        let temporary = place.directory("temporary");
        let ran = run(&mut replay(&place, &temporary, &[], &trace)).ok("replay");
        assert!(ran.stdout.contains("outcome      the same"), "{ran:?}");
        assert!(is_empty(&temporary), "{ran:?}");

        for signal in [Signal::SIGINT, Signal::SIGKILL] {
            let started = start(&mut replay(&place, &temporary, &["--pace=recorded*20"], &trace));
            wait_for("its root", || !is_empty(&temporary));
            // Under `setpriv` it has the same number.
            kill(Pid::from_raw(started.id() as i32), signal).unwrap();
            let ran = finish(started, "an interrupted replay");
            assert!(ran.code != Some(0), "{ran:?}");
            wait_for("nothing to be left", || is_empty(&temporary));
        }

        let base = place.directory("base");
        run(place.reanimator(["prepare", "--root"]).arg(&base).arg(&trace)).ok("prepare");
        let there = base.join(place.work().strip_prefix("/").unwrap()).join("f");
        fs::write(there, "BEFORE").unwrap();
        let base = base.display().to_string();
        let ran = run(&mut replay(&place, &temporary, &["--base", &base], &trace));
        assert_eq!(ran.code, Some(1), "{ran:?}");
        let kept = ran.stdout.lines().find_map(|line| line.strip_prefix("kept         ")).unwrap();
        let root = Path::new(kept.split(',').next().unwrap());
        assert!(root.starts_with(&temporary) && root.join("tmp").exists(), "{ran:?}");
        let ran = run(&mut replay(&place, &temporary, &["--base", &base, "--json"], &trace));
        let report: Value = serde_json::from_str(&ran.stdout).unwrap();
        assert_eq!(report["root_kept"], true, "{report:#}");
    }
}

/// What matches nothing is not "the same".
#[test]
fn a_selection_of_nothing_is_trouble() {
    let place = Place::watched_by(Watch::Ptrace);
    let trace = recorded(&place, "umask 7; echo x > file; cat file");
    let temporary = place.directory("temporary");
    for (options, said) in [
        (&["--only-pid", "1"][..], "--only-pid 1 leaves out "),
        (&["--include", "**/flie"], "--include '**/flie' leaves out "),
        (&["--exclude", "**"], "--exclude '**' leaves out "),
        (&["--skip", "all"], "--skip all leaves out "),
        (&["--from", "1000"], "--from 1000 comes after all of the "),
        (&["--from", "2", "--until", "1"], "--from 2 is after --until 1"),
        (&["--include", "[a"], "invalid glob --include '[a'"),
    ] {
        for json in [&[][..], &["--json"]] {
            let options = [options, json].concat();
            let ran = run(&mut replay(&place, &temporary, &options, &trace));
            assert_eq!((ran.code, &*ran.stdout), (Some(2), ""), "{ran:?}");
            assert!(ran.stderr.contains(said) && ran.stderr.contains("next: "), "{ran:?}");
        }
    }
    let ran = run(&mut replay(&place, &temporary, &["--only-pid", "1"], &trace));
    assert!(ran.stderr.contains("the trace has calls of the processes "), "{ran:?}");
    let ran = run(&mut replay(&place, &temporary, &["--include", "flie"], &trace));
    assert!(ran.stderr.contains("files like /"), "{ran:?}");
    assert!(is_empty(&temporary));
}

#[test]
fn times_are_printed() {
    let place = Place::watched_by(Watch::Ptrace);
    let trace = recorded(&place, "echo x > file; cat file");
    let temporary = place.directory("temporary");
    let ran = run(&mut replay(&place, &temporary, &["--timing"], &trace)).ok("replay");
    let times = ran.stdout.split_once("call ").expect(&ran.stdout).1;
    assert!(times.lines().all(|line| line.chars().count() <= 80), "{times}");
    for word in ["recorded", "replayed", "p99.9", "openat", "stops each call"] {
        assert!(times.contains(word), "{word}: {}", ran.stdout);
    }
}

/// Colours where they are wanted; a summary that says what was skipped and whether it matters.
#[test]
fn verdicts_have_colours() {
    let place = Place::watched_by(Watch::Ptrace);
    let trace = recorded(&place, "echo x > file; cat file | cat");
    let temporary = place.directory("temporary");
    let coloured = |name: &str, value: &str, command: &mut Command| {
        run(command.env(name, value)).stdout.contains("\x1b[1m\x1b[32m")
    };
    for (name, value, expected) in
        [("CLICOLOR_FORCE", "1", true), ("NO_COLOR", "1", false), ("TERM", "xterm", false)]
    {
        let mut command = replay(&place, &temporary, &[], &trace);
        assert_eq!(coloured(name, value, &mut command), expected, "replay with {name}");
        let mut command = place.reanimator(["doctor"]);
        assert_eq!(coloured(name, value, &mut command), expected, "doctor with {name}");
    }
    let ran = run(&mut replay(&place, &temporary, &[], &trace)).ok("replay");
    assert!(ran.stdout.contains(" no effect on stored files: "), "{}", ran.stdout);
}

/// Progress is of calls that are done, and begins with the first.
#[test]
fn progress_is_of_calls_that_are_done() {
    let place = Place::watched_by(Watch::Ptrace);
    let trace = recorded(&place, "mkdir a; sleep 0.4; mkdir b");
    let temporary = place.directory("temporary");
    let options = ["-q", "--progress-lines", "--pace=recorded*3", "--root"];
    let root = place.directory("root").display().to_string();
    let ran = run(&mut replay(&place, &temporary, &[&options[..], &[&root]].concat(), &trace));
    let calls = place.info(&trace)["calls"].as_u64().unwrap();
    let done: Vec<u64> = ran
        .ok("replay")
        .stderr
        .lines()
        .filter_map(|line| line.strip_prefix("progress replaying "))
        .map(|line| {
            let (done, of) = line.split_once(' ').unwrap();
            assert_eq!(of.parse::<u64>().unwrap(), calls);
            done.parse().unwrap()
        })
        .collect();
    assert!(done.first() == Some(&0) && done.is_sorted(), "{done:?}");
    let waited = done.iter().filter(|n| (1..calls).contains(*n)).count();
    assert!(waited >= 2, "it says how far it is while calls wait: {done:?} of {calls}");
}
