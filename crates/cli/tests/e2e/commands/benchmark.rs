//! `bench`: what is checked before it measures, what it shows, what it leaves behind.

use crate::harness::place::{Place, Watch};
use crate::harness::run::{finish, run, start, wait_for};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::Value;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

fn recorded(place: &Place, script: &str) -> PathBuf {
    let trace = place.trace("t");
    run(&mut place.record(&trace, &[], ["/bin/sh", "-c", script])).ok("record");
    trace
}

/// A target, as an option.
fn target(place: &Place, name: &str) -> (PathBuf, String) {
    let dir = place.directory(name);
    let option = format!("--target={name}={}", dir.display());
    (dir, option)
}

fn is_empty(dir: &Path) -> bool {
    fs::read_dir(dir).unwrap().next().is_none()
}

#[test]
fn outputs_are_checked_before_anything_is_measured() {
    let place = Place::watched_by(Watch::Ptrace);
    let trace = recorded(&place, "echo x > f");
    let (dir, one) = target(&place, "one");
    for (options, said) in [
        (["--plot", "/no/such/directory/plot.svg"], "cannot write /no/such/directory/plot.svg"),
        (["--plot", "plot.jpeg"], "name it FILE.svg or FILE.png"),
        (["--target", "two=/no/such/directory"], "cannot make a directory in /no/such/directory"),
    ] {
        let ran = run(place.reanimator(["bench", &one]).args(options).arg(&trace));
        assert_eq!((ran.code, &*ran.stdout), (Some(2), ""), "{ran:?}");
        assert!(ran.stderr.contains(said), "{ran:?}");
    }
    assert!(is_empty(&dir));
}

#[test]
fn results_are_printed_whatever_the_plot_does() {
    let place = Place::watched_by(Watch::Ptrace);
    let trace = recorded(&place, "echo x > f; sleep 0.3; echo y > g");
    let (dir, one) = target(&place, "one");
    let plots = place.directory("plots");
    let options = ["bench", "--repeat=1", "--pace=recorded*3", &one, "--plot"];
    let bench = start(place.reanimator(options).arg(plots.join("p.svg")).arg(&trace));
    wait_for("the replay", || !is_empty(&dir));
    fs::remove_dir(&plots).unwrap();
    let ran = finish(bench, "bench");
    assert_eq!(ran.code, Some(2), "{ran:?}");
    assert!(ran.stdout.contains("openat") && ran.stdout.contains("the same"), "{ran:?}");
    assert!(ran.stderr.contains("cannot write the plot"), "{ran:?}");
}

#[test]
fn plots_are_what_their_names_say() {
    let place = Place::watched_by(Watch::Ptrace);
    let trace = recorded(&place, "for i in 1 2 3; do echo $i > f$i; cat f$i; done");
    let (_, one) = target(&place, "one");
    let (_, two) = target(&place, "two");
    let bench = |name: &str, theme: &str| {
        let options = ["bench", "--repeat=2", &one, &two, "--plot-theme", theme, "--plot"];
        let ran = run(place.reanimator(options).arg(place.path(name)).arg(&trace)).ok("bench");
        assert!(ran.stderr.contains(name), "{ran:?}");
        (ran.stdout, fs::read(place.path(name)).unwrap())
    };
    let (table, svg) = bench("plot.svg", "dark");
    let svg = String::from_utf8(svg).unwrap();
    for text in ["t.ra replayed on", "medians of 2 repeats", "elapsed", "µs", "p99.9", "#121418"] {
        assert!(svg.contains(text), "{text}: {svg}");
    }
    for text in ["t.ra, recorded on", "(ptrace)", "2 repeats on each target", "times in µs"] {
        assert!(table.contains(text), "{text}: {table}");
    }
    let told = table.contains("beyond the spread") || table.contains("would decide");
    assert!(told, "{table}");
    let (_, png) = bench("plot.png", "light");
    assert!(png.starts_with(b"\x89PNG") && png.len() > 10_000);
}

/// A target on which replay cannot be done is no end of the others, and its reason is one line.
#[test]
fn a_replay_that_cannot_be_done_is_named() {
    let place = Place::watched_by(Watch::Ptrace);
    let trace = place.trace("t");
    run(&mut place.record(&trace, &["-e", "none"], ["/bin/true"])).ok("record");
    let (dir, one) = target(&place, "one");
    let ran = run(place.reanimator(["bench", &one]).arg(&trace));
    assert_eq!(ran.code, Some(2), "{ran:?}");
    assert!(ran.stdout.contains("failed"), "{ran:?}");
    let error = "error: replaying on one: nothing to replay: the trace has no calls\n";
    assert!(ran.stderr.contains("recorded with -e none") && ran.stderr.ends_with(error), "{ran:?}");
    assert!(is_empty(&dir));
}

/// A small file system that is full before the last write.
struct Small(PathBuf);

impl Drop for Small {
    fn drop(&mut self) {
        let _best =
            Command::new("umount").arg("--lazy").arg(&self.0).stderr(Stdio::null()).status();
    }
}

/// Calls that fail on a full disk are fast: they are no times.
#[test]
fn a_target_on_which_calls_fail_has_no_times() {
    let place = Place::watched_by(Watch::Ptrace);
    let write = "dd if=/dev/zero of=big bs=64k count=64 2>/dev/null; echo x > after";
    let trace = recorded(&place, write);
    let (_, good) = target(&place, "good");
    let (on, small) = target(&place, "small");
    run(Command::new("mount").args(["-t", "tmpfs", "-o", "size=2m", "tmpfs"]).arg(&on))
        .ok("mount (this test wants root)");
    let _small = Small(on.clone());
    for verify in ["none", "result"] {
        let options = ["bench", "--repeat=1", "--verify", verify, &good, &small];
        let ran = run(place.reanimator(options).arg(&trace));
        assert_eq!(ran.code, Some(1), "{ran:?}");
        let row = ran.stdout.lines().find(|line| line.contains(" small ")).unwrap();
        assert!(row.contains("failed") && !row.contains(" s "), "{}", ran.stdout);
        assert!(ran.stdout.contains("big: ENOSPC, and 65536 when recorded"), "{}", ran.stdout);
        assert!(!ran.stdout.contains("times as long as"), "{}", ran.stdout);
        let good = ran.stdout.lines().find(|line| line.starts_with(" good ")).unwrap();
        assert!(!good.contains(" 0 "), "calls are counted: {good}");
    }
    let options = ["bench", "--json", "--repeat=1", &good, &small];
    let document: Value =
        serde_json::from_str(&run(place.reanimator(options).arg(&trace)).stdout).unwrap();
    let [good, small] = [0, 1].map(|i| &document["targets"][i]);
    assert!(good["elapsed_s"].is_f64() && good["failed"].is_null(), "{document:#}");
    assert!(small["elapsed_s"].is_null() && small["failed"].is_string(), "{document:#}");
    assert!(is_empty(&on), "nothing is left on a target");
}

/// By a signal that it can hear, and by one that it cannot.
#[test]
fn an_interrupted_bench_leaves_nothing() {
    let place = Place::watched_by(Watch::Ptrace);
    let trace = recorded(&place, "mkdir a; sleep 0.3; mkdir b");
    let (dir, one) = target(&place, "one");
    for signal in [Signal::SIGTERM, Signal::SIGKILL] {
        let options = ["bench", "--repeat=2", "--pace=recorded*20", &one];
        let bench = start(place.reanimator(options).arg(&trace));
        wait_for("the replay", || !is_empty(&dir));
        kill(Pid::from_raw(bench.id() as i32), signal).unwrap();
        let ran = finish(bench, "an interrupted bench");
        if signal == Signal::SIGTERM {
            assert_eq!(ran.code, Some(2), "{ran:?}");
            assert!(ran.stderr.contains("interrupted before the first of 2 replays"), "{ran:?}");
            assert!(is_empty(&dir), "nothing is left when it has ended");
        }
        wait_for("nothing to be left", || is_empty(&dir));
    }
}
