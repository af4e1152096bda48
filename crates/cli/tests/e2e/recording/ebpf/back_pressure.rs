//! The eBPF engine where the trace's disk is slower than the program: nothing is lost, or what is
//! lost is counted.

use super::{count, events};
use crate::harness::place::{Place, Watch, has_begun, number};
use crate::harness::run::{finish, run, start, wait_for};
use crate::harness::tracee::tracee;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::Value;
use std::ffi::OsStr;
use std::fs;

/// The program counts its own calls: those recorded and those lost are as many, to the last one.
#[test]
fn losses_are_counted_exactly() {
    let place = Place::watched_by(Watch::Ebpf);
    let argv = count(40_000, 1);
    let all_trace = place.trace("all");
    run(&mut place.record(&all_trace, &[], &argv)).ok("record");
    let all = place.info(&all_trace);
    assert_eq!((number(&all, "lost"), &all["verdict"]), (0, &Value::from("complete")), "{all}");
    for watch in [Watch::Ebpf, Watch::Chunked] {
        let place = Place::watched_by(watch);
        let trace = place.trace("some");
        let ran = run(&mut place.record(
            &trace,
            &["--on-full", "drop", "--buffer", "256K", "--write-rate", "1000000"],
            &argv,
        ))
        .ok("record");
        assert_eq!(ran.stdout, "40000 writes, 0 failed\n");
        let some = place.info(&trace);
        assert!(number(&some, "lost") > 1000, "{some}");
        // The program's end may be among what is lost: that is an event.
        let made = number(&all, "calls") + events(&all_trace);
        assert_eq!(number(&some, "calls") + events(&trace) + number(&some, "lost"), made, "{some}");
        assert_eq!(some["verdict"], "incomplete", "{some}");
    }
}

/// A trace disk that is much slower than the program: nothing is lost, and no call fails that did
/// not before.
#[test]
fn a_slow_disk_slows_the_program_and_loses_nothing() {
    for (watch, cpus) in [(Watch::Ebpf, "0-1023"), (Watch::Ebpf, "0"), (Watch::Chunked, "0-1023")] {
        let place = Place::watched_by(watch);
        let trace = place.trace("t");
        let record =
            place.record(&trace, &["--buffer", "1M", "--write-rate", "10000000"], count(40_000, 2));
        let mut pinned = place.command(
            ["/usr/bin/taskset", "-c", cpus]
                .into_iter()
                .map(Into::into)
                .chain([record.get_program().to_owned()])
                .chain(record.get_args().map(ToOwned::to_owned)),
        );
        pinned.envs(record.get_envs().filter_map(|(k, v)| Some((k, v?))));
        let ran = run(&mut pinned).ok("record");
        assert_eq!(ran.stdout, "40000 writes, 0 failed\n");
        let info = place.info(&trace);
        assert_eq!(
            (&info["verdict"], number(&info, "lost")),
            (&Value::from("complete"), 0),
            "{watch:?} on {cpus}: {info}"
        );
        assert!(number(&info, "held_ns") > 0, "{info}");
    }
}

/// The second stage: the program is frozen while its records are written, and thawed when the
/// recorder is killed just then.
#[test]
fn a_recorder_killed_while_the_program_is_frozen() {
    let place = Place::watched_by(Watch::Ebpf);
    let trace = place.trace("t");
    let mut recorder = start(&mut place.record(
        &trace,
        &["--buffer", "256K", "--write-rate", "1000000"],
        count(40_000, 2),
    ));
    let cgroup = crate::harness::place::cgroups().join(format!("reanimator-{}", recorder.id()));
    wait_for("the freezer", || {
        fs::read_to_string(cgroup.join("cgroup.events"))
            .is_ok_and(|events| events.contains("frozen 1"))
    });
    recorder.kill().unwrap();
    assert_eq!(finish(recorder, "the program").stdout, "40000 writes, 0 failed\n");
    let info = place.info(&trace);
    assert_eq!(info["verdict"], "incomplete", "{info}");
    // The next recorder takes the empty cgroup away.
    run(&mut place.record(&place.trace("next"), &[], ["/bin/true"])).ok("record");
    assert!(!cgroup.exists());
}

/// Processes that were joined, those of a cgroup, and a command where no cgroup can be made stand
/// still too while their records are written, and none is left stopped.
#[test]
fn all_in_scope_stand_still_while_their_records_are_written() {
    let slow = ["--buffer", "256K", "--write-rate", "4000000"];
    let wait = format!(
        "echo > ready; while [ ! -e go ]; do sleep 0.02; done; exec {} out 40000 2",
        tracee("count").display()
    );
    for scope in ["joined", "cgroup", "command"] {
        let place = Place::watched_by(Watch::Ebpf);
        let trace = place.trace("t");
        let cgroup =
            crate::harness::place::cgroups().join(format!("e2e-slow-{}", std::process::id()));
        let mut recorder = place.reanimator(["-q", "record", "-o"]);
        recorder.arg(&trace).args(slow);
        let (program, recorder) = if scope == "command" {
            let apart = format!(
                "umount -l {} && exec \"$@\"",
                crate::harness::place::all_cgroups().display()
            );
            let mut apart =
                place.command(["/usr/bin/unshare", "--mount", "/bin/sh", "-c", &apart, "sh"]);
            apart
                .arg(recorder.get_program())
                .args(recorder.get_args())
                .args(["--", "/bin/sh", "-c", &wait]);
            (start(&mut apart), None)
        } else {
            fs::create_dir_all(&cgroup).unwrap();
            let enter = format!("echo 0 > {}/cgroup.procs; {wait}", cgroup.display());
            let program = start(&mut place.command([
                "/bin/sh",
                "-c",
                if scope == "cgroup" { &enter } else { &wait },
            ]));
            wait_for("the program", || place.work().join("ready").exists());
            let pid = program.id().to_string();
            let scope: [&OsStr; 2] = if scope == "cgroup" {
                ["-G".as_ref(), cgroup.as_ref()]
            } else {
                ["-p".as_ref(), pid.as_ref()]
            };
            (program, Some(start(recorder.args(scope))))
        };
        wait_for("the recorder", || has_begun(&trace) || trace.join("journal/00000").exists());
        wait_for("the program", || place.work().join("ready").exists());
        std::thread::sleep(std::time::Duration::from_millis(1000));
        fs::write(place.work().join("go"), "").unwrap();
        wait_for("all to stand still", || match scope {
            "cgroup" => fs::read_to_string(cgroup.join("cgroup.events"))
                .is_ok_and(|events| events.contains("frozen 1")),
            _ => processes("count").iter().any(|state| state.contains("State:\tt")),
        });
        let ran = finish(program, "the program").ok("the program");
        assert_eq!(ran.stdout, "40000 writes, 0 failed\n", "{scope}");
        if let Some(recorder) = recorder {
            if scope == "cgroup" {
                kill(Pid::from_raw(i32::try_from(recorder.id()).unwrap()), Signal::SIGINT).unwrap();
            }
            finish(recorder, "the recorder").ok("record");
            wait_for("the cgroup to be empty", || fs::remove_dir(&cgroup).is_ok());
        }
        let info = place.info(&trace);
        assert_eq!(
            (&info["verdict"], number(&info, "lost")),
            (&Value::from("complete"), 0),
            "{scope}: {info}"
        );
        assert_eq!(place.rows(&trace, &["-e", "pwrite64"]).len(), 40_000, "{scope}");
    }
}

/// What `/proc` says of the processes of this name.
fn processes(name: &str) -> Vec<String> {
    let all = fs::read_dir("/proc").unwrap().filter_map(Result::ok);
    all.filter_map(|p| fs::read_to_string(p.path().join("status")).ok())
        .filter(|s| s.starts_with(&format!("Name:\t{name}\n")))
        .collect()
}

/// Two recorders at once whose programs' calls are as long as their rings: nothing is lost by
/// waiting for each other's CPU.
#[test]
fn long_calls_side_by_side() {
    let place = Place::watched_by(Watch::Ebpf);
    for round in 0..4 {
        let dd = |name: &str| {
            ["/bin/dd", "if=/dev/zero", &format!("of={name}"), "bs=5M", "count=8", "status=none"]
                .map(str::to_owned)
        };
        let names = ["a", "b"].map(|name| format!("{name}{round}"));
        let both: Vec<_> =
            names.iter().map(|n| start(&mut place.record(&place.trace(n), &[], dd(n)))).collect();
        both.into_iter().for_each(|child| drop(finish(child, "a recorder").ok("record")));
        for name in names {
            let info = place.info(&place.trace(&name));
            assert_eq!(
                (&info["verdict"], number(&info, "lost")),
                (&Value::from("complete"), 0),
                "{name}: {info}"
            );
        }
    }
}
