//! What a recording costs before and after its program, which process gets signals, and what is
//! said.

use crate::harness::forge;
use crate::harness::place::{Place, Watch, has_begun};
use crate::harness::run::{Ran, finish, run, start, wait_for};
use nix::sys::resource::{UsageWho, getrusage};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Child;

fn send(child: &Child, signal: Signal) {
    kill(Pid::from_raw(i32::try_from(child.id()).unwrap()), signal).unwrap();
}

/// A process that does nothing, until this is dropped.
struct Idle(Child);

impl Idle {
    fn start(place: &Place) -> Self {
        Self(start(&mut place.command(["sleep", "1000"])))
    }
}

impl Drop for Idle {
    fn drop(&mut self) {
        self.0.kill().unwrap();
        self.0.wait().unwrap();
    }
}

/// Times are another matter: here the steps that take time are counted.
#[test]
fn a_small_program_costs_few_steps() {
    let place = Place::watched_by(Watch::Ebpf);
    let (trace, log) = (place.trace("t"), place.path("log"));
    let recorder = place.record(&trace, &[], ["true"]);
    let mut watched =
        place.command(["strace", "-f", "-e", "trace=bpf,fsync,fdatasync,clone3", "-o"]);
    watched.arg(&log).arg(recorder.get_program()).args(recorder.get_args());
    run(&mut watched).ok("strace");
    let log = fs::read_to_string(&log).unwrap();
    let count = |what: &str| log.lines().filter(|l| l.contains(what)).count();
    let programs = log
        .lines()
        .filter(|l| l.contains("BPF_PROG_LOAD") && l.contains("prog_name=\""))
        .filter(|l| ["on_", "calls_under_way", "in_scope"].iter().any(|name| l.contains(name)))
        .count();
    assert_eq!(programs, 9, "each program is loaded once, and none that is not needed\n{log}");
    let thread = |name: &str| {
        let loads = |l: &&str| l.contains("BPF_PROG_LOAD") && l.contains(name);
        log.lines().find(loads).and_then(|l| l.split_once(' ')).map(|(thread, _)| thread)
    };
    let mut threads = ["on_enter", "on_exit", "on_end", "on_fork"].map(thread).to_vec();
    threads.sort_unstable();
    threads.dedup();
    assert_eq!(threads.len(), 4, "the kernel checks the longest programs beside each other\n{log}");
    assert_eq!(
        count("CLONE_INTO_CGROUP"),
        1,
        "to move the command there takes milliseconds\n{log}"
    );
    assert!(count("BPF_MAP_UPDATE") <= 12, "{} updates", count("BPF_MAP_UPDATE"));
    let synced = count(" fsync(") + count(" fdatasync(");
    assert!(synced <= 12, "{synced} files were made durable one by one\n{log}");
    assert_eq!(place.info(&trace)["verdict"], "complete");
}

/// Beside another recorder rings are long; they are not mapped before they are used.
#[test]
fn a_small_program_takes_little_memory() {
    let place = Place::watched_by(Watch::Ebpf);
    let idle = Idle::start(&place);
    let others = place.trace("others");
    let recorder = start(&mut place.attach(&others, idle.0.id()));
    wait_for("the other recorder", || has_begun(&others));
    let trace = place.trace("t");
    run(&mut place.record(&trace, &[], ["true"])).ok("record");
    let most = getrusage(UsageWho::RUSAGE_CHILDREN).unwrap().max_rss() / 1024;
    // Two rings of 128 MiB, mapped twice, took 538 MiB on two CPUs.
    let cpus = i64::try_from(std::thread::available_parallelism().unwrap().get()).unwrap();
    assert!(most < 44 + 10 * cpus, "recording `true` took {most} MiB");
    send(&recorder, Signal::SIGINT);
    finish(recorder, "the other recorder").ok("record -p");
    assert_eq!(place.info(&trace)["verdict"], "complete");
}

/// A ring that is longer than what is mapped at first, with more than it holds.
#[test]
fn a_long_ring_is_mapped_when_it_is_used() {
    let place = Place::watched_by(Watch::Ebpf);
    let trace = place.trace("t");
    let dd = ["dd", "if=/dev/zero", "of=big", "bs=1M", "count=80", "status=none"];
    run(&mut place.record(&trace, &["--buffer", "32M"], dd)).ok("record");
    let info = place.info(&trace);
    assert_eq!(info["verdict"], "complete", "{info}");
    let (ran, report) = place.replay(&trace, &place.directory("root"));
    assert_eq!(ran.code, Some(0), "{report:#}");
}

/// `record -p PID` from a script: its shell makes background jobs ignore interrupts.
fn joined(watch: Watch, when: impl Fn(&Path) -> bool) -> Ran {
    let place = Place::watched_by(watch);
    let idle = Idle::start(&place);
    let trace = place.trace("t");
    let mut command = place.command(["sh", "-c", "trap '' INT; exec \"$@\"", "sh"]);
    let recorder = place.reanimator(["record", "--engine", watch.engine(), "-o"]);
    command.arg(recorder.get_program()).args(recorder.get_args()).arg(&trace);
    let recorder = start(command.args(["-p", &idle.0.id().to_string()]));
    wait_for("the recorder", || when(&trace));
    send(&recorder, Signal::SIGINT);
    let said = finish(recorder, "the recorder").ok("record -p, interrupted");
    let pid = idle.0.id();
    for words in [format!("left process {pid} (sleep) running\n"), "wrote ".to_owned()] {
        assert!(said.stderr.contains(&words), "{}", said.stderr);
    }
    said
}

#[test]
fn an_interrupt_ends_a_recorder_that_was_started_to_ignore_it() {
    for watch in [Watch::Ebpf, Watch::Ptrace] {
        let said = joined(watch, has_begun);
        assert!(said.stderr.starts_with("recording process "), "{}", said.stderr);
    }
}

#[test]
fn what_is_left_running_is_counted() {
    for watch in [Watch::Ebpf, Watch::Ptrace] {
        let place = Place::watched_by(watch);
        let trace = place.trace("t");
        let script = "sleep 1000 & echo $! >child; : >ready; wait";
        let mut pair = start(&mut place.command(["/bin/dash", "-c", script]));
        wait_for("the program", || place.work().join("ready").exists());
        let idle = Idle::start(&place);
        let pids = [pair.id(), idle.0.id()].map(|pid| pid.to_string());
        let mut command = place.reanimator(["record", "--engine", watch.engine(), "-o"]);
        let recorder = start(command.arg(&trace).args(["-p", &pids[0], "-p", &pids[1]]));
        wait_for("the recorder", || has_begun(&trace));
        pair.kill().unwrap();
        pair.wait().unwrap();
        send(&recorder, Signal::SIGINT);
        let said = finish(recorder, "the recorder").ok("record -p -p").stderr;
        assert!(said.starts_with("recording 2 processes; press Ctrl-C to end"), "{said}");
        assert!(said.contains("\nleft 1 of 2 processes running\n"), "{said}");
        let child = fs::read_to_string(place.work().join("child")).unwrap();
        kill(Pid::from_raw(child.trim().parse().unwrap()), Signal::SIGKILL).unwrap();
    }
}

/// While the programs are loaded, for example.
#[test]
fn an_early_interrupt_ends_it_as_well() {
    for watch in [Watch::Ebpf, Watch::Ptrace] {
        joined(watch, Path::exists);
    }
}

#[test]
fn a_command_that_has_not_begun_is_not_run() {
    let place = Place::watched_by(Watch::Ebpf);
    let trace = place.trace("t");
    let recorder = start(&mut place.record(&trace, &[], ["sleep", "1000"]));
    wait_for("the recorder", || trace.exists());
    send(&recorder, Signal::SIGTERM);
    let ended = finish(recorder, "the recorder");
    // Had it begun, it would have got the signal.
    assert_eq!(ended.signal, Some(Signal::SIGTERM as i32), "{ended:?}");
}

#[test]
fn the_whole_machine_is_recorded_in_these_words() {
    let place = Place::watched_by(Watch::Ebpf);
    let trace = place.trace("t");
    let recorder = start(place.reanimator(["record", "-a", "-e", "sync", "-o"]).arg(&trace));
    wait_for("the recorder", || has_begun(&trace));
    send(&recorder, Signal::SIGINT);
    let said = finish(recorder, "the recorder").ok("record -a").stderr;
    let first = "recording the whole machine; press Ctrl-C to end the recording\n";
    assert!(said.starts_with(first) && said.contains("\nwrote "), "{said}");
    assert!(!said.contains("running"), "{said}");
}

/// The text of an error and what to do next.
#[track_caller]
fn refused(ran: &Ran, words: &[&str]) {
    assert!(ran.code != Some(0), "{ran:?}");
    for words in words {
        assert!(ran.stderr.contains(words), "{words:?} is not in:\n{}", ran.stderr);
    }
}

#[test]
fn a_process_that_is_not_there() {
    let place = Place::new();
    for engine in ["ebpf", "ptrace"] {
        let mut command = place.reanimator(["record", "--engine", engine, "-p", "999999999"]);
        refused(
            &run(&mut command),
            &["cannot attach to process 999999999: No such process", "pgrep"],
        );
        assert!(!place.work().join("999999999.ra").exists());
    }
    refused(&run(&mut place.reanimator(["record", "-p", "nginx"])), &["not a process id", "pgrep"]);
}

#[test]
fn what_may_not_be_read_or_written_is_told() {
    let place = Place::of(crate::harness::place::User::Ordinary);
    let trace = place.trace("t");
    let traces = trace.parent().unwrap();
    run(&mut place.record(&trace, &[], ["true"])).ok("record");
    // Another user's.
    let sealed = trace.join("calls-00000.parquet");
    let lock = |path: &Path, mode| {
        fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
    };
    lock(&sealed, 0o000);
    let print = |command: &str| run(place.reanimator([command]).arg(&trace));
    for command in ["print", "verify"] {
        let ran = print(command);
        refused(&ran, &["Permission denied"]);
        assert!(!(ran.stdout + &ran.stderr).contains("damaged"), "{command}");
        assert_eq!(ran.code, Some(2), "{command}");
    }
    lock(&sealed, 0o600);
    lock(&trace, 0o000);
    refused(&print("print"), &["Permission denied", "recorded it"]);
    lock(&trace, 0o700);
    lock(traces, 0o555);
    let ran = run(&mut place.record(&place.trace("u"), &[], ["true"]));
    refused(&ran, &["Permission denied", "may write to"]);
    lock(traces, 0o755);
    let ran = run(&mut place.reanimator(["record", "-a"]));
    refused(&ran, &["only eBPF can record this", "sudo"]);
    assert!(!ran.stderr.contains("--engine ptrace"), "{}", ran.stderr);
}

/// An ordinary user with the two capabilities that eBPF takes: records, and replays as well.
#[test]
fn capabilities_of_the_file_are_enough() {
    let place = Place::of(crate::harness::place::User::Ordinary);
    let program = place.path("reanimator");
    run(std::process::Command::new("setcap").arg("cap_bpf,cap_perfmon=ep").arg(&program))
        .ok("setcap (libcap2-bin)");
    // From a shell, since what changes the user may be allowed to read what is root's.
    let script = "\"$1\" record --engine ebpf -o \"$2\" -- ls && \"$1\" replay \"$2\"";
    let trace = place.trace("t");
    let mut shell = place.command(["sh", "-c", script, "sh"]);
    let ran = run(shell.arg(&program).arg(&trace)).ok("record and replay");
    assert!(ran.stdout.contains("the same"), "{ran:?}");
}

/// A log of strace's that takes seconds to read.
fn long_log(place: &Place) -> std::path::PathBuf {
    let line = "4711 1700000000.000000 write(1, \"x\", 1) = 1 <0.000001>\n";
    let exits = "4711 1700000001.000000 +++ exited with 0 +++\n";
    place.file("log", &(line.repeat(400_000) + exits))
}

#[test]
fn a_conversion_that_is_broken_off_leaves_nothing() {
    let place = Place::new();
    let (log, to) = (long_log(&place), place.directory("to"));
    let names = || fs::read_dir(&to).unwrap().map(|e| e.unwrap().file_name()).collect::<Vec<_>>();
    for target in ["t.ra", "t.csv"] {
        let convert = start(place.reanimator(["convert"]).arg(&log).arg(to.join(target)));
        wait_for("the conversion", || !names().is_empty());
        assert!(!to.join(target).exists(), "it has its name before it is whole");
        send(&convert, Signal::SIGTERM);
        let ended = finish(convert, "convert");
        assert_eq!(ended.signal, Some(Signal::SIGTERM as i32), "{ended:?}");
        assert!(names().is_empty(), "{:?}", names());
    }
}

/// A trace is a directory, which cannot be without a name: the next conversion takes it over.
#[test]
fn a_conversion_that_is_killed_is_in_nothing_s_way() {
    let place = Place::new();
    let (log, to) = (long_log(&place), place.directory("to"));
    let names = || fs::read_dir(&to).unwrap().map(|e| e.unwrap().file_name()).collect::<Vec<_>>();
    let convert = |log: &Path| {
        let mut command = place.reanimator(["convert"]);
        command.arg(log).arg(to.join("t.ra"));
        command
    };
    let first = start(&mut convert(&log));
    wait_for("the conversion", || to.join(".t.ra.part/trace").exists());
    refused(&run(&mut convert(&log)), &["another process is writing", "t.ra"]);
    send(&first, Signal::SIGKILL);
    assert_eq!(finish(first, "convert").signal, Some(Signal::SIGKILL as i32));
    assert_eq!(names(), [".t.ra.part"]);
    let short = place.file("short", "1 1700000000.000000 close(3) = 0 <0.000001>\n");
    run(&mut convert(&short)).ok("convert");
    assert_eq!(names(), ["t.ra"]);
    assert_eq!(place.info(&to.join("t.ra"))["calls"], 1);
}

/// Not even a signal that cannot be caught leaves half a file.
#[test]
fn an_export_that_is_killed_leaves_nothing() {
    let place = Place::new();
    let trace = place.trace("t");
    forge::generate(&trace, 200_000);
    run(place.reanimator(["-q", "recover"]).arg(&trace)).ok("recover");
    let to = place.directory("to");
    let old = place.file("to/old", "what was there");
    let mut convert = place.reanimator(["convert"]);
    convert.arg(&trace).arg(to.join("t.json"));
    let mut print = place.reanimator(["print", "-o"]);
    print.arg(&old).arg(&trace);
    for mut command in [convert, print] {
        let export = start(&mut command);
        let open = format!("/proc/{}/fd", export.id());
        let writes = || {
            let files = fs::read_dir(&open).into_iter().flatten().flatten();
            let mut lead = files.filter_map(|fd| fs::read_link(fd.path()).ok());
            lead.any(|path| path.starts_with(&to))
        };
        wait_for("the export", writes);
        send(&export, Signal::SIGKILL);
        assert_eq!(finish(export, "the export").signal, Some(Signal::SIGKILL as i32));
        let left: Vec<_> = fs::read_dir(&to).unwrap().map(|e| e.unwrap().file_name()).collect();
        assert_eq!(left, ["old"], "half a file has a name");
        assert_eq!(fs::read_to_string(&old).unwrap(), "what was there");
    }
    run(place.reanimator(["print", "-o"]).arg(&old).arg(&trace)).ok("print -o");
    assert!(!fs::read_to_string(&old).unwrap().contains("what was there"));
}
