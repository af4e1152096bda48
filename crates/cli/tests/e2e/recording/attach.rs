//! Watching what already runs, and the keys that people press.

use crate::harness::place::{Place, Watch, has_begun, number};
use crate::harness::proof::same_again;
use crate::harness::run::{finish, run, start, wait_for};
use crate::harness::tracee::tracee;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use std::fs;
use std::process::Child;
use std::time::Duration;

fn pid(child: &Child) -> Pid {
    Pid::from_raw(i32::try_from(child.id()).unwrap())
}

/// The value of a line of `/proc/PID/status`.
fn status_line(pid: u32, name: &str) -> String {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    status
        .lines()
        .find_map(|l| l.strip_prefix(name))
        .unwrap_or_else(|| panic!("no {name} in {status}"))
        .trim()
        .to_owned()
}

/// Waits until a signal that was sent is delivered.
#[track_caller]
fn delivered(pid: Pid, signal: Signal) {
    let bit = 1 << (signal as u64 - 1);
    let waits = |name| {
        u64::from_str_radix(&status_line(pid.as_raw().unsigned_abs(), name), 16).unwrap() & bit != 0
    };
    wait_for("the signal to be delivered", || !waits("ShdPnd:") && !waits("SigPnd:"));
}

/// Every thread of a process is watched.
fn all_watched(pid: u32) -> bool {
    let tasks = fs::read_dir(format!("/proc/{pid}/task")).unwrap();
    tasks.filter_map(Result::ok).all(|t| {
        fs::read_to_string(t.path().join("status")).is_ok_and(|s| !s.contains("TracerPid:\t0\n"))
    })
}

#[test]
fn attach_to_threads_and_leave_them_running() {
    Place::each(|place| attach_to_threads_and_leave_them_running_in(&place));
}

#[track_caller]
fn attach_to_threads_and_leave_them_running_in(place: &Place) {
    let program = start(&mut place.command([tracee("serve").to_str().unwrap(), "4"]));
    let served = program.id();
    wait_for("the program's files", || {
        (0..4).all(|i| {
            fs::metadata(place.work().join(format!("out{i}"))).is_ok_and(|m| m.len() > 160)
        })
    });
    let trace = place.trace("t");
    let recorder = start(&mut place.attach(&trace, served));
    wait_for("all threads to be watched", || {
        has_begun(&trace) && (place.watch != Watch::Ptrace || all_watched(served))
    });
    let sizes = || {
        (0..4)
            .map(|i| fs::metadata(place.work().join(format!("out{i}"))).unwrap().len())
            .collect::<Vec<_>>()
    };
    let before = sizes();
    wait_for("writes under watch", || {
        sizes().iter().zip(&before).all(|(now, then)| *now > then + 1600)
    });
    kill(pid(&recorder), Signal::SIGINT).unwrap();
    finish(recorder, "the recorder").ok("record -p, interrupted once");
    assert_eq!(status_line(served, "TracerPid:"), "0");
    let before = sizes();
    wait_for("writes after the recorder left", || {
        sizes().iter().zip(&before).all(|(now, then)| now > then)
    });
    fs::write(place.work().join("stop"), "").unwrap();
    let ran = finish(program, "the program").ok("the program");
    assert_eq!(ran.stdout, "ready\n0 failed\n");

    let info = place.info(&trace);
    assert_eq!(info["verdict"], "complete", "{info}");
    assert_eq!(number(&info, "threads"), 5, "{info}");
    let writes: Vec<_> = place.rows(&trace, &["-e", "write"]);
    assert!(writes.len() > 400, "{} writes", writes.len());
    // The descriptors were opened before the recording: their files are known nevertheless.
    assert!(writes.iter().all(|w| w.to_string().contains("/work/out")), "{}", writes[0]);
    // It went on writing: there is no final state to compare.
    let (ran, report) = place.replay(&trace, &place.directory("root"));
    assert_eq!(
        (number(&report, "divergences"), number(&report, "state.different"), ran.code),
        (0, 0, Some(0)),
        "{report:#}\n{}",
        ran.stderr
    );
    assert!(number(&report, "performed") > 400, "{report:#}");
}

/// Threads and processes that begin while we attach are not missed, and a program that ends by
/// itself ends the recording.
#[test]
fn attach_to_a_program_that_ends() {
    Place::each(|place| attach_to_a_program_that_ends_in(&place));
}

#[track_caller]
fn attach_to_a_program_that_ends_in(place: &Place) {
    let script = "trap 'echo done; exit 4' USR1; while :; do echo x >> log; cat log > copy; sleep \
        0.01; done";
    let program = start(&mut place.command(["/bin/dash", "-c", script]));
    wait_for("the program's file", || place.work().join("copy").exists());
    let trace = place.trace("t");
    let recorder = start(&mut place.attach(&trace, program.id()));
    wait_for("the program to be watched", || has_begun(&trace));
    let log = || fs::metadata(place.work().join("log")).unwrap().len();
    let then = log();
    wait_for("what is watched", || log() > then + 20);
    kill(pid(&program), Signal::SIGUSR1).unwrap();
    let ran = finish(program, "the program");
    assert_eq!((ran.code, ran.stdout.as_str()), (Some(4), "done\n"));
    finish(recorder, "the recorder").ok("record -p");
    let info = place.info(&trace);
    assert_eq!(info["verdict"], "complete", "{info}");
    assert!(number(&info, "processes") > 3, "{info}");
    same_again(place, &trace, &place.directory("root"));
}

#[test]
fn attach_where_nothing_is() {
    let place = Place::new();
    let ran = run(place.reanimator(["record", "-o"]).arg(place.trace("t")).args(["-p", "4194303"]));
    assert_eq!(ran.code, Some(125), "{ran:?}");
    assert!(ran.stderr.contains("error:"), "{ran:?}");
}

/// Ctrl-C on a terminal goes to the program; the trace is finished when it has ended, in its own
/// way.
#[test]
fn ctrl_c_on_a_terminal() {
    Place::each(|place| ctrl_c_on_a_terminal_in(&place));
}

#[track_caller]
fn ctrl_c_on_a_terminal_in(place: &Place) {
    let script =
        "trap 'echo caught > caught; exit 8' INT; echo up > up; while :; do sleep 0.05; done";
    let trace = place.trace("t");
    let inner = format!(
        "exec {} -q record --engine {} -o {} -- /bin/dash -c \"{script}\"",
        crate::harness::place::REANIMATOR,
        place.watch.engine(),
        trace.display()
    );
    let mut command = place.command(["/usr/bin/script", "-qec", &inner, "/dev/null"]);
    let mut terminal = start(command.stdin(std::process::Stdio::piped()));
    wait_for("the program", || place.work().join("up").exists());
    std::thread::sleep(Duration::from_millis(100));
    std::io::Write::write_all(terminal.stdin.as_mut().unwrap(), b"\x03").unwrap();
    let ran = finish(terminal, "script");
    assert_eq!(ran.code, Some(8), "{ran:?}");
    assert!(place.work().join("caught").exists());
    let info = place.info(&trace);
    assert_eq!(info["verdict"], "complete", "{info}");
    same_again(place, &trace, &place.directory("root"));
}

/// The second Ctrl-C leaves the program alone and finishes the trace.
#[test]
fn the_second_interrupt_detaches() {
    Place::each(|place| the_second_interrupt_detaches_in(&place));
}

#[track_caller]
fn the_second_interrupt_detaches_in(place: &Place) {
    let trace = place.trace("t");
    let script = "trap '' INT; echo $$ > up; i=0; while [ ! -e stop ] && [ $i -lt 1000 ]; do echo \
        $i >> log; sleep 0.05; i=$((i + 1)); done; echo over > over";
    let mut recorder = start(&mut place.record(&trace, &[], ["/bin/dash", "-c", script]));
    wait_for("the program", || {
        fs::read_to_string(place.work().join("up")).is_ok_and(|s| s.ends_with('\n'))
    });
    kill(pid(&recorder), Signal::SIGINT).unwrap();
    delivered(pid(&recorder), Signal::SIGINT);
    std::thread::sleep(Duration::from_millis(100));
    kill(pid(&recorder), Signal::SIGINT).unwrap();
    wait_for("the recorder's end", || recorder.try_wait().unwrap().is_some());
    assert!(!place.work().join("over").exists(), "the recorder waited for the program");
    fs::write(place.work().join("stop"), "").unwrap();
    finish(recorder, "the program, which holds our pipe").ok("record, interrupted twice");
    assert!(place.work().join("over").exists(), "the program went on to its end");
    let info = place.info(&trace);
    assert!(number(&info, "calls") > 10, "{info}");
}

/// Ctrl-Z stops the program and `fg` lets it go on; nothing is lost.
#[test]
fn stop_and_continue_from_outside() {
    Place::each(|place| stop_and_continue_from_outside_in(&place));
}

#[track_caller]
fn stop_and_continue_from_outside_in(place: &Place) {
    let trace = place.trace("t");
    let script = "trap enough=1 USR1; echo $$ > up; i=0; while [ -z \"$enough\" ]; do echo $i >> \
        log; sleep 0.02; i=$((i + 1)); done; exit 6";
    let recorder = start(&mut place.record(&trace, &[], ["/bin/dash", "-c", script]));
    let read = || fs::read_to_string(place.work().join("up")).unwrap_or_default();
    wait_for("the program", || read().ends_with('\n'));
    let program: i32 = read().trim().parse().unwrap();
    kill(Pid::from_raw(program), Signal::SIGTSTP).unwrap();
    delivered(Pid::from_raw(program), Signal::SIGTSTP);
    wait_for("the stop", || {
        status_line(program.unsigned_abs(), "State:").to_lowercase().starts_with('t')
    });
    std::thread::sleep(Duration::from_millis(200));
    let then = fs::metadata(place.work().join("log")).map_or(0, |m| m.len());
    std::thread::sleep(Duration::from_millis(200));
    assert_eq!(
        fs::metadata(place.work().join("log")).map_or(0, |m| m.len()),
        then,
        "it is stopped"
    );
    kill(Pid::from_raw(program), Signal::SIGCONT).unwrap();
    crate::recording::along::enough(place);
    assert_eq!(finish(recorder, "the recorder").end(), (Some(6), None));
    assert_eq!(place.info(&trace)["verdict"], "complete");
    same_again(place, &trace, &place.directory("root"));
}
