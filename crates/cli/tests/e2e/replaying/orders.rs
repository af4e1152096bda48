//! Orders and paces of replay: whatever is chosen, results and tree are those of the recording, but
//! for races where the order leaves them open.

use crate::harness::place::{Place, REANIMATOR, Watch, number};
use crate::harness::run::{finish, run, start, wait_for};
use crate::harness::tracee::{repository, tracee};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::Value;
use std::ffi::OsStr;
use std::fs::File;
use std::path::{Path, PathBuf};

const GIT: &str = "git init -q r; cd r; for i in 1 2 3; do echo $i > f$i; done; git add .; git -c \
    user.name=a -c user.email=b commit -qm x; git gc -q";

fn recorded(place: &Place, argv: &[&str]) -> PathBuf {
    let trace = place.trace("t");
    run(&mut place.record(&trace, &[], argv)).ok("record");
    trace
}

/// Replays `times` times; the reports.
#[track_caller]
fn replayed(place: &Place, trace: &Path, times: usize, options: &[&str]) -> Vec<Value> {
    let once = |i: usize| {
        let (ran, report) = place.replay_with(
            trace,
            &place.directory(&format!("{}-{i}", options.join(""))),
            options,
        );
        let same = (number(&report, "divergences"), number(&report, "state.different"), ran.code)
            == (0, 0, Some(0));
        assert!(same, "{options:?}: {report:#}\n{}", ran.stderr);
        report
    };
    (0..times).map(once).collect()
}

/// 200 processes with 500 threads, shared and passed descriptors: in all orders the same; what
/// `thread` leaves open is counted as races.
#[test]
fn a_crowd_in_all_orders() {
    let place = Place::watched_by(Watch::Ebpf);
    let trace = recorded(&place, &[tracee("crowd").to_str().unwrap()]);
    let info = place.info(&trace);
    assert_eq!((number(&info, "processes"), number(&info, "threads")), (201, 501));
    for order in ["overlap", "resource", "strict"] {
        for report in replayed(&place, &trace, 20, &["--order", order]) {
            assert_eq!(
                (number(&report, "races"), number(&report, "state.raced")),
                (0, 0),
                "{order}: {report:#}"
            );
        }
    }
    replayed(&place, &trace, 20, &["--order", "thread"]);
}

/// A recording of one thread is performed with a descriptor table of its own, in which nothing
/// stays that the program has let go.
#[test]
fn descriptors_of_one_thread() {
    let place = Place::new();
    place.file("work/input", "one\ntwo\n");
    let trace = place.trace("t");
    let program = repository().join("tests/tracees/alone.py");
    let input = File::open(place.work().join("input")).unwrap();
    run(place.record(&trace, &[], [Path::new("/usr/bin/python3"), &program]).stdin(input))
        .ok("record");
    assert_eq!(number(&place.info(&trace), "threads"), 1);
    for options in [&[][..], &["--preload"], &["--order", "strict"], &["--pace", "think"]] {
        let root = place.directory(&format!("root{}", options.concat()));
        let argv =
            ["/bin/sh", "-c", "ulimit -n 64; exec \"$@\"", "sh", REANIMATOR, "replay", "--root"]
                .map(OsStr::new);
        let ran = run(place
            .command(argv.into_iter().chain([root.as_os_str(), trace.as_os_str()]))
            .args(options));
        assert_eq!(ran.code, Some(0), "{options:?}: {ran:?}");
    }
}

/// Which message was received shows by what the descriptors are that came with it.
#[test]
fn passed_descriptors_are_told_apart() {
    for watch in Watch::ALL {
        let place = Place::watched_by(watch);
        let program = repository().join("tests/tracees/pass.py");
        let trace = recorded(&place, &["/usr/bin/python3", program.to_str().unwrap()]);
        replayed(&place, &trace, 1, &[]);
    }
}

/// Flags of open files that change: each call is made with those of its time.
#[test]
fn status_flags_keep_their_order() {
    for watch in [Watch::Ebpf, Watch::Ptrace] {
        let place = Place::watched_by(watch);
        let trace = recorded(&place, &[tracee("status").to_str().unwrap()]);
        for options in [
            &["--order", "overlap", "--preload"],
            &["--order", "resource"][..],
            &["--order", "strict"],
        ] {
            for report in replayed(&place, &trace, 2, options) {
                assert_eq!((number(&report, "races"), number(&report, "state.raced")), (0, 0));
            }
        }
    }
}

/// Flags that change while others use the file: what differs is a race, in every order.
#[test]
fn flags_that_change_under_use_are_races() {
    for flag in ["direct", "append"] {
        let place = Place::new();
        let trace = recorded(&place, &[tracee("flips").to_str().unwrap(), flag]);
        for order in ["overlap", "resource", "strict", "thread"] {
            replayed(&place, &trace, 1, &["--order", order]);
        }
    }
}

/// A call that takes neither a name nor a descriptor is made where its thread is.
#[test]
fn each_thread_knows_where_it_is() {
    for watch in [Watch::Ebpf, Watch::Ptrace] {
        let place = Place::watched_by(watch);
        let trace = recorded(&place, &[tracee("here").to_str().unwrap()]);
        for order in ["overlap", "resource", "strict"] {
            replayed(&place, &trace, 2, &["--order", order]);
        }
    }
}

/// Programs whose processes and threads meet in names, links, directories, offsets and data.
#[test]
fn conflicts_keep_their_order() {
    for argv in [
        &["/bin/sh", "-c", GIT][..],
        &[tracee("share").to_str().unwrap()],
        &[tracee("numbers").to_str().unwrap()],
    ] {
        let place = Place::watched_by(Watch::Ebpf);
        let trace = recorded(&place, argv);
        for order in ["resource", "strict"] {
            replayed(&place, &trace, 5, &["--order", order]);
        }
    }
}

/// A replay at the recorded pace is not faster than the recording, nor one that computes as long
/// and longer.
#[test]
fn paces_take_their_time() {
    let place = Place::watched_by(Watch::Ebpf);
    let program = "import os, time\nf = os.open('f', os.O_CREAT | os.O_RDWR)\nfor i in range(5): \
        os.write(f, b'x'); time.sleep(0.05)\nos.close(f)";
    let trace = recorded(&place, &["/usr/bin/python3", "-c", program]);
    let seconds = |report: &Value, name: &str| report[name].as_f64().unwrap();
    for (pace, least) in [("recorded", 0.25), ("recorded*2", 0.5), ("think*4", 1.0)] {
        let report = &replayed(&place, &trace, 1, &["--pace", pace])[0];
        assert!(seconds(report, "elapsed_s") >= least, "{pace}: {report:#}");
        assert!(number(report, "lateness.count") > 0);
    }
}

/// An interrupted replay says how far it came.
#[test]
fn interrupted() {
    let place = Place::watched_by(Watch::Ebpf);
    let trace = recorded(
        &place,
        &[
            "/usr/bin/python3",
            "-c",
            "import os, time\nfor i in range(2): os.mkdir(str(i)); time.sleep(0.5)",
        ],
    );
    let root = place.directory("root");
    let replay = start(
        place.reanimator(["replay", "--pace", "recorded*20", "--root"]).arg(&root).arg(&trace),
    );
    let made = root.join(place.work().strip_prefix("/").unwrap()).join("0");
    wait_for("the first call", || made.exists());
    kill(Pid::from_raw(replay.id() as i32), Signal::SIGINT).unwrap();
    let ran = finish(replay, "an interrupted replay");
    assert_eq!(ran.code, Some(2), "{ran:?}");
    assert!(
        ran.stderr.contains("interrupted") && ran.stdout.contains("outcome      interrupted"),
        "{ran:?}"
    );
}

/// Levels of verification: what is not compared makes no divergence, and the first one can end the
/// replay.
#[test]
fn what_is_compared() {
    let place = Place::watched_by(Watch::Ebpf);
    std::fs::write(place.work().join("there"), "before").unwrap();
    let trace = recorded(&place, &["/bin/sh", "-c", "cat there; cat there; cat nothing || true"]);
    // The same state, but for a file with other bytes.
    let base = place.directory("base");
    run(place.reanimator(["prepare", "--root"]).arg(&base).arg(&trace)).ok("prepare");
    std::fs::write(base.join(place.work().strip_prefix("/").unwrap()).join("there"), "BEFORE")
        .unwrap();
    let other = |name: &str, options: &[&str]| {
        let (ran, report) = place.replay_with(
            &trace,
            &place.directory(name),
            &[&["--base", base.to_str().unwrap()], options].concat(),
        );
        (ran.code, number(&report, "divergences"), report["broken_off"] == true)
    };
    assert_eq!(other("data", &[]), (Some(1), 2, false));
    assert_eq!(other("stop", &["--on-divergence", "stop"]), (Some(1), 1, true));
    assert_eq!(other("result", &["--verify", "result"]).1, 0);
    assert_eq!(other("none", &["--verify", "none"]), (Some(0), 0, false));
}

/// Random programs whose threads and processes meet in what one rule of `resource` is about. One
/// operation at a time, all follows from their order: nothing differs in any order that keeps it,
/// and nothing may be put down to a race. All at once, what came first is open where no result
/// proves it, and so is what follows from that: every call is performed and accounted for, and
/// `thread`, which promises nothing else, counts all of it as races.
fn met(rule: &str) {
    let seeds =
        std::env::var("MEET_SEEDS").map_or(2, |n| n.parse().expect("MEET_SEEDS is a number"));
    for seed in 1..=seeds {
        for how in ["alone", "together"] {
            let place = Place::watched_by(Watch::Ebpf);
            let trace = recorded(
                &place,
                &[tracee("meet").to_str().unwrap(), rule, &seed.to_string(), "3", "150", how],
            );
            for order in ["overlap", "resource", "strict"] {
                let (ran, report) =
                    place.replay_with(&trace, &place.directory(order), &["--order", order]);
                assert_eq!(
                    number(&report, "performed") + number(&report, "skipped"),
                    number(&report, "calls")
                );
                let differs = ["divergences", "state.different", "races", "state.raced"]
                    .map(|name| number(&report, name));
                assert!(
                    how == "together" || differs == [0; 4],
                    "{rule} {seed} {order}: {report:#}\n{}",
                    ran.stderr
                );
            }
            replayed(&place, &trace, 1, &["--order", "thread"]);
        }
    }
}

#[test]
fn random_programs_meet_in_data() {
    met("data");
}

#[test]
fn random_programs_meet_in_sizes_and_modes() {
    met("size");
}

#[test]
fn random_programs_meet_in_names() {
    met("names");
}

#[test]
fn random_programs_meet_in_listings() {
    met("listing");
}

#[test]
fn random_programs_meet_in_links_and_directories() {
    met("links");
}

#[test]
fn random_programs_meet_in_offsets() {
    met("offset");
}

#[test]
fn random_programs_meet_in_descriptor_numbers() {
    met("numbers");
}
