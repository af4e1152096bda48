//! The same figures as strace, DuckDB, and a sweep in Python have.

use super::{rows, stat};
use crate::harness::place::{Place, number};
use crate::harness::python::python;
use crate::harness::run::run;
use serde_json::Value;
use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

/// Calls and errors by name.
type Counts = BTreeMap<String, (u64, u64)>;

/// Programs that make the same calls each time they run.
const PROGRAMS: [&[&str]; 5] = [
    &["/bin/ls", "-lR", "/etc/default"],
    &["/usr/bin/find", "/usr/share/doc", "-name", "*.h"],
    &["/bin/dash", "-c", "cat missing; cp one two; mv two three; rm three; ls"],
    &["/usr/bin/sqlite3", "app.db", "create table a(b); insert into a values(1); select * from a"],
    &["/usr/bin/tar", "-cf", "one.tar", "one"],
];

/// What `strace -c` counts. A call that does not return is not counted.
fn counted_by_strace(place: &Place, program: &[&str]) -> Counts {
    let log = place.path("counts");
    let options = ["-f", "-c", "-U", "name,calls,errors", "-o"];
    let mut command = place.command(["/usr/bin/setarch", "-R", "strace"]);
    run(command.args(options).arg(&log).args(program));
    let text = fs::read_to_string(log).unwrap();
    let line = |line: &str| {
        let mut words = line.split_whitespace();
        let (name, calls) = (words.next()?, words.next()?.parse().ok()?);
        let errors = words.next().map_or(0, |errors| errors.parse().unwrap());
        (name != "total").then(|| (name.to_owned(), (calls, errors)))
    };
    text.lines().filter_map(line).collect()
}

#[test]
fn calls_and_errors_are_those_of_strace() {
    for (i, program) in PROGRAMS.iter().enumerate() {
        let counts = |traced: bool| {
            let place = Place::new();
            fs::write(place.work().join("one"), "1").unwrap();
            if !traced {
                return counted_by_strace(&place, program);
            }
            let trace = place.trace("t");
            run(&mut place.record(&trace, &[], [&["/usr/bin/setarch", "-R"], *program].concat()));
            // As strace, which was started by setarch, does not see setarch itself.
            let whole = stat(&place, &trace, &["-e", "status=!unfinished", "--by", "call,exe"]);
            let mut counts = Counts::new();
            for row in rows(&whole) {
                let count = counts.entry(row["call"].as_str().unwrap().to_owned()).or_default();
                count.0 += number(row, "calls");
                count.1 += number(row, "errors");
            }
            counts
        };
        let (ours, theirs) = (counts(true), counts(false));
        let setarch = calls_of_setarch();
        let without: Counts = ours
            .into_iter()
            .map(|(name, (calls, errors))| {
                let (c, e) = setarch.get(&name).copied().unwrap_or_default();
                (name, (calls - c, errors - e))
            })
            .filter(|(_, (calls, _))| *calls > 0)
            .collect();
        assert!(theirs.len() > 5, "{theirs:?}");
        assert_eq!(without, theirs, "program {i}");
    }
}

/// What setarch does before it becomes the program.
fn calls_of_setarch() -> Counts {
    let place = Place::new();
    let trace = place.trace("t");
    run(&mut place.record(&trace, &[], ["/usr/bin/setarch", "-R", "/bin/true"])).ok("record");
    let mut counts = Counts::new();
    for row in place.rows(&trace, &["-e", "status=!unfinished"]) {
        let name = row["call"].as_str().unwrap().to_owned();
        if name == "execve" && row["paths"][0] == "/bin/true" {
            break;
        }
        let count = counts.entry(name).or_default();
        count.0 += 1;
        count.1 += u64::from(row["error"].is_string());
    }
    counts
}

/// Groups rows as DuckDB reads them, and adds up the time that they cover.
const SWEEP: &str = r#"
import sys, json, duckdb
trace, key, where = sys.argv[1:]
rows = duckdb.sql(f"""SELECT {key}, entered, duration, error, bytes
    FROM '{trace}/calls-*.parquet' WHERE {where}""").fetchall()
groups = {}
for key, entered, duration, error, moved in rows:
    groups.setdefault(key or '-', []).append((entered, duration, error, moved))
def wall(spans):
    covered, edges = 0, sorted([(s, 1) for s, e in spans] + [(e, -1) for s, e in spans])
    depth, since = 0, None
    for time, step in sorted(edges, key=lambda edge: (edge[0], -edge[1])):
        if depth == 0:
            since = time
        depth += step
        if depth == 0:
            covered += time - since
    return covered
def quantile(all, q):
    return all[max(-(-int(q * 100) * len(all) // 100), 1) - 1] if all else None
out = {}
for key, calls in groups.items():
    times = sorted(d for _, d, _, _ in calls if d is not None)
    moved = [m for _, _, _, m in calls if m is not None]
    out[key] = {
        'calls': len(calls), 'errors': sum(e is not None for _, _, e, _ in calls),
        'time_ns': sum(times), 'max_ns': times[-1] if times else None,
        'bytes': sum(moved) if moved else None,
        'wall_ns': wall([(s, s + d) for s, d, _, _ in calls if d is not None]),
        'p50_ns': quantile(times, 0.5), 'p95_ns': quantile(times, 0.95),
        'p99_ns': quantile(times, 0.99)}
print(json.dumps(out))
"#;

/// `stat --by BY -e CALLS` has the rows that the script finds. None of the calls may wait.
#[track_caller]
fn same_as_sweep(place: &Place, trace: &Path, by: &str, key: &str, calls: &[&str]) {
    let list = calls.iter().map(|c| format!("'{c}'")).collect::<Vec<_>>().join(",");
    let condition = format!("call IN ({list})");
    let script = run(python().args(["-c", SWEEP]).arg(trace).args([key, &condition])).ok("sweep");
    let theirs: BTreeMap<String, Value> = serde_json::from_str(&script.stdout).unwrap();
    let document = stat(place, trace, &["--by", by, "-e", &calls.join(",")]);
    let mut ours = BTreeMap::new();
    for row in rows(&document) {
        let key = row[by].as_str().unwrap_or("-").to_owned();
        assert!(ours.insert(key, row).is_none(), "a key twice: {row}");
    }
    let keys = |map: &BTreeMap<String, _>| map.keys().cloned().collect::<Vec<_>>();
    assert_eq!(ours.keys().cloned().collect::<Vec<_>>(), keys(&theirs));
    assert!(!ours.is_empty());
    for (key, row) in &ours {
        for (name, value) in theirs[key].as_object().unwrap() {
            let (a, b) = (&row[name.as_str()], value);
            let quantile = name.starts_with('p').then(|| (a.as_f64(), b.as_f64()));
            match quantile {
                // Three significant digits.
                Some((Some(a), Some(b))) => {
                    assert!((a - b).abs() <= b / 1000.0 + 1.0, "{name} of {key}: {a} {b}");
                }
                _ => assert_eq!(a, b, "{name} of {key}"),
            }
        }
    }
}

const ON_NAMES: [&str; 6] = ["openat", "newfstatat", "fstat", "close", "getdents64", "mmap"];

#[test]
fn figures_are_those_of_duckdb_and_of_a_sweep() {
    let place = Place::new();
    let trace = place.trace("t");
    let script = "for i in 1 2 3; do find /usr/include /nowhere & done; wait; exit 0";
    run(&mut place.record(&trace, &[], ["/bin/dash", "-c", script])).ok("record");
    same_as_sweep(&place, &trace, "call", "call", &ON_NAMES);
    same_as_sweep(&place, &trace, "errno", "error", &ON_NAMES);
    same_as_sweep(&place, &trace, "file", "coalesce(file, path)", &ON_NAMES);
    same_as_sweep(&place, &trace, "path", "path", &ON_NAMES);
    let dir = "CASE WHEN coalesce(file, path) LIKE '/%' THEN \
               regexp_replace(coalesce(file, path), '(.)/[^/]*$|(/)[^/]*$', '\\1\\2') END";
    same_as_sweep(&place, &trace, "dir", dir, &ON_NAMES);
}

/// Calls that are in progress while a segment ends are in a file of their own.
#[test]
fn late_calls_are_merged() {
    let place = Place::new();
    let trace = place.trace("t");
    let script = "sleep 0.3 & dd if=/dev/zero of=/dev/null bs=1 count=90000 status=none; wait";
    run(&mut place.record(&trace, &["--seal-at", "65536"], ["/bin/dash", "-c", script]))
        .ok("record");
    let names = fs::read_dir(&trace).unwrap().map(|entry| entry.unwrap().file_name());
    let late = names.filter(|name| name.to_string_lossy().ends_with("-late.parquet")).count();
    assert!(late > 0, "no call is late");
    same_as_sweep(&place, &trace, "call", "call", &["read", "write", "wait4", "clock_nanosleep"]);
    same_as_sweep(&place, &trace, "file", "coalesce(file, path)", &["read", "write", "openat"]);
}

#[test]
fn intervals_and_times_cut_the_calls() {
    let place = Place::new();
    let trace = place.trace("t");
    run(&mut place.record(&trace, &[], ["/usr/bin/find", "/usr/include"])).ok("record");
    let whole = stat(&place, &trace, &["--by", "call"]);
    let elapsed = number(&whole, "elapsed_ns");
    let half = format!("{}ns", elapsed / 2);
    let calls = |options: &[&str]| {
        rows(&stat(&place, &trace, options)).iter().map(|row| number(row, "calls")).sum::<u64>()
    };
    let (early, late) = (calls(&["--until", &half]), calls(&["--from", &half]));
    assert!(early > 0 && late > 0, "{early} {late}");
    let all = number(&place.info(&trace), "calls");
    assert_eq!(early + late, all);
    let tenth = format!("{}ns", elapsed / 10 + 1);
    let cut = stat(&place, &trace, &["--interval", &tenth, "--by", "class"]);
    let sum: u64 = rows(&cut).iter().map(|row| number(row, "calls")).sum();
    assert_eq!(sum, all);
    let length = elapsed / 10 + 1;
    for row in rows(&cut) {
        assert_eq!(number(row, "from_ns") % length, 0, "{row}");
        assert!(number(row, "from_ns") / length < 10, "{row}");
    }
}
