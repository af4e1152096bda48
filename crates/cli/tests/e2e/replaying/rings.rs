//! Operations of io_uring and libaio, performed by rings and contexts or by calls.

use crate::harness::place::{Place, REANIMATOR, Watch, number};
use crate::harness::run::run;
use crate::harness::tracee::tracee;
use serde_json::Value;
use std::path::{Path, PathBuf};
use trace::{Item, ReadOptions, Trace};

/// Records a program of `tests/tracees`.
fn recorded(place: &Place, name: &str, arguments: &[&str]) -> PathBuf {
    let trace = place.trace("t");
    let program = tracee(name).display().to_string();
    let argv = [&*program].into_iter().chain(arguments.iter().copied());
    run(&mut place.record(&trace, &["--strict"], argv)).ok("record");
    trace
}

/// Replays with these options, in order, and requires that nothing differs.
#[track_caller]
fn same(place: &Place, trace: &Path, options: &str) -> Value {
    let root = place.directory(&format!("root {options}"));
    let options: Vec<&str> = options.split_whitespace().collect();
    let (ran, report) = place.replay_with(trace, &root, &options);
    let outcome = (number(&report, "divergences"), number(&report, "state.different"), ran.code);
    assert_eq!(outcome, (0, 0, Some(0)), "{options:?}: {report:#}\n{}", ran.stderr);
    report
}

/// Records a replay of a trace, to see what its rings do. Returns the trace of the replay.
fn recorded_replay(place: &Place, trace: &Path) -> PathBuf {
    let (again, root) = (place.trace("again"), place.directory("root"));
    let [root, path] = [root.as_path(), trace].map(|path| path.display().to_string());
    let argv = [REANIMATOR, "replay", "--preload", "--root", &root, &path];
    run(&mut place.record(&again, &["--strict"], argv)).ok("record a replay");
    again
}

/// The numbers and flags of a trace's operations of io_uring that succeeded.
fn operations(trace: &Path) -> Vec<(u32, u8)> {
    let items = Trace::open(trace).unwrap().read(ReadOptions { data: true });
    let operations = items.filter_map(|item| match item.unwrap() {
        Item::Call(call) if call.nr >= abi::OPERATIONS && call.ret >= 0 => Some(call),
        _ => None,
    });
    operations.map(|call| (call.nr, call.sqe_word().unwrap().flags())).collect()
}

/// How many rings, operations by rings, and the most of them at once.
fn rings(report: &Value) -> [u64; 3] {
    ["rings", "operations", "most_at_once"].map(|key| number(&report["rings"], key))
}

/// Reads and writes of the same places that overlap: what the reads brought says which came first.
#[test]
fn reads_and_writes_that_overlap() {
    for engine in ["io_uring", "libaio"] {
        let place = Place::watched_by(Watch::Ebpf);
        let trace = place.trace("t");
        let engine = format!("--ioengine={engine}");
        let argv =
            ["/usr/bin/fio", "--name=j", "--size=4m", "--bs=4k", "--iodepth=16", "--direct=1"];
        let rest = ["--rw=rw", "--output=/dev/null", &engine];
        run(&mut place.record(&trace, &["--strict"], argv.into_iter().chain(rest))).ok("record");
        same(&place, &trace, "");
        same(&place, &trace, "--uring calls --aio calls");
    }
}

/// A ring for the recorded one performs as many operations at once as it did, whatever the order
/// and the pace are; calls perform them, if that is wanted.
#[test]
fn a_ring_for_a_ring() {
    let place = Place::watched_by(Watch::Ebpf);
    let trace = recorded(&place, "rings", &["overflowing"]);
    let [made, operations, most] = rings(&same(&place, &trace, "--preload"));
    // The recorded ring has room for so many completions.
    assert!((made, operations) == (1, 24) && (1..=8).contains(&most), "{most}");
    for options in ["--order resource", "--order thread", "--pace think", "--pace recorded*0.5"] {
        assert_eq!(rings(&same(&place, &trace, options))[..2], [1, 24], "{options}");
    }
    assert_eq!(rings(&same(&place, &trace, "--order strict")), [1, 24, 1]);
    assert_eq!(rings(&same(&place, &trace, "--uring calls")), [0, 0, 0]);
    assert_eq!(rings(&same(&place, &trace, "--aio calls"))[..2], [1, 24]);
    let shown = run(place.reanimator(["replay"]).arg(&trace)).ok("replay").stdout;
    assert!(shown.contains("24 operations by 1 ring or context, at most"), "{shown}");
}

/// Of a ring whose operations have no call of their own kind, or depend on names, the ring performs
/// what reads, writes and syncs. The thread of the ring performs the others.
#[test]
fn operations_on_names() {
    let place = Place::watched_by(Watch::Ebpf);
    let trace = recorded(&place, "rings", &["names"]);
    for options in ["", "--order resource", "--order strict", "--uring calls"] {
        same(&place, &trace, options);
    }
}

/// A context for the recorded one.
#[test]
fn a_context_for_a_context() {
    for watch in [Watch::Ebpf, Watch::Ptrace] {
        let place = Place::watched_by(watch);
        let trace = recorded(&place, "aio", &[]);
        let [made, operations, most] = rings(&same(&place, &trace, "--preload"));
        assert!((made, operations) == (1, 408) && (2..=200).contains(&most), "{most}");
        assert_eq!(rings(&same(&place, &trace, "--order resource"))[..2], [1, 408]);
        assert_eq!(rings(&same(&place, &trace, "--aio calls")), [0, 0, 0]);
    }
}

/// Where the kernel refuses rings and contexts, calls are made, and the report says so.
#[test]
fn where_rings_are_refused() {
    let place = Place::watched_by(Watch::Ebpf);
    for (name, how, call, setup) in
        [("rings", "basic", "io_uring_setup", 425), ("aio", "", "io_setup", 206)]
    {
        let trace = place.trace(name);
        let program = tracee(name).display().to_string();
        run(&mut place.record(&trace, &["--strict"], [&*program, how])).ok("record");
        let (number_of_call, root) = (setup.to_string(), place.directory(name));
        let deny = tracee("deny").display().to_string();
        let mut command = place.command([&*deny, &*number_of_call, "--", REANIMATOR]);
        let ran = run(command.args(["replay", "--json", "--root"]).arg(&root).arg(&trace));
        let report: Value = serde_json::from_str(&ran.stdout).unwrap_or_default();
        let outcome = (ran.code, report["divergences"].as_u64());
        assert_eq!(outcome, (Some(0), Some(0)), "{ran:?}");
        assert_eq!(rings(&report), [0, 0, 0]);
        let notes = report["notes"].to_string();
        assert!(notes.contains(&format!("by calls: {call} failed here with EPERM")), "{notes}");
    }
}

/// Operations that were linked are submitted together, with the same flags.
#[test]
fn links_are_links() {
    let place = Place::watched_by(Watch::Ebpf);
    let trace = recorded(&place, "rings", &["chains"]);
    let again = recorded_replay(&place, &trace);
    let (expected, got) = (operations(&trace), operations(&again));
    assert_eq!(got, expected);
    assert_eq!(got.iter().filter(|(_, flags)| flags & 12 != 0).count(), 8, "{got:?}");
}

/// Operations on files of the ring's table take them from a table in replay.
#[test]
fn files_of_the_table() {
    let place = Place::watched_by(Watch::Ebpf);
    let trace = recorded(&place, "rings", &["registered"]);
    let again = recorded_replay(&place, &trace);
    let of_table = |of: &Path| {
        let moves = |nr: u32| abi::by_number(nr).is_some_and(|row| row.spec.uses.moves_data);
        operations(of).into_iter().filter(|(nr, flags)| moves(*nr) && flags & 1 != 0).count()
    };
    assert!(of_table(&trace) > 1);
    assert_eq!(of_table(&again), of_table(&trace));
}
