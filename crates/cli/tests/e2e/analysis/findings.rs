//! `reanimator findings`: each rule finds what it is about and is silent where that is nearly so;
//! programs without bad habits have no findings.

use crate::harness::forge::{Forge, PID};
use crate::harness::place::{Place, Watch};
use crate::harness::python::python;
use crate::harness::run::{Ran, run};
use crate::harness::tracee::{repository, tracee};
use crate::hostile::random::Random;
use serde_json::Value;
use std::fs;
use std::path::{Path, PathBuf};
use trace::RecordKind;

/// A rule, what `habits` is to do, and the thresholds that do not depend on the machine's speed.
type Habit = (&'static str, &'static str, &'static [&'static str]);

const SAFETY: &[Habit] = &[
    ("rename-unsynced", "rename-unsynced", &[]),
    ("error-ignored", "error-ignored", &[]),
    ("leak", "leak", &["leak.age=0"]),
    ("leak", "leak-refused", &[]),
    ("dir-unsynced", "dir-unsynced", &[]),
    ("short-write-ignored", "short-write-ignored", &[]),
];

const SPEED: &[Habit] = &[
    ("sync-per-record", "sync-per-record", &["sync-per-record.share=0"]),
    ("useless-sync", "useless-sync", &[]),
    ("sync-open", "sync-open", &[]),
    ("tiny-appends", "tiny-appends", &[]),
    ("small-io", "small-io", &[]),
    ("sequential-small", "sequential-small", &["sequential-small.bytes=4M"]),
    ("misaligned", "misaligned", &[]),
    ("random", "random", &["random.times=0"]),
    ("reread-file", "reread-file", &[]),
    ("reread-bytes", "reread-bytes", &[]),
    ("seek-read", "seek-read", &[]),
    ("stat-storm", "stat-storm", &[]),
    ("path-search", "path-search", &[]),
    ("same-miss", "same-miss", &[]),
    ("unused-open", "unused-open", &[]),
    ("dir-scan", "dir-scan", &[]),
    ("temp-churn", "temp-churn", &["temp-churn.age=100s"]),
    ("lock-wait", "lock-wait", &[]),
    ("eagain-loop", "eagain-loop", &[]),
    ("sleep-poll", "sleep-poll", &[]),
];

/// Runs `findings OPTION.. TRACE`.
#[track_caller]
fn findings(place: &Place, trace: &Path, options: &[&str]) -> Ran {
    run(place.reanimator(["findings"]).args(options).arg(trace))
}

/// The document of `findings --json OPTION.. TRACE`, whose status says whether there is something.
#[track_caller]
fn document(place: &Place, trace: &Path, options: &[&str]) -> Value {
    let ran = findings(place, trace, &[&["--json"], options].concat());
    let document: Value =
        serde_json::from_str(&ran.stdout).unwrap_or_else(|e| panic!("{e}: {ran:?}"));
    let found = document["findings"].as_array().is_some_and(|found| !found.is_empty());
    assert_eq!(ran.code, Some(i32::from(found)), "{ran:?}");
    document
}

/// The names of the rules that found something, of one level or of all.
fn rules(document: &Value, speed: bool) -> Vec<&str> {
    let all = document["findings"].as_array().unwrap().iter();
    let of_level = all.filter(|finding| (finding["level"] == "speed") == speed);
    of_level.map(|finding| finding["rule"].as_str().unwrap()).collect()
}

/// Records `habits WHAT..`, in a directory of its own.
#[track_caller]
fn record(place: &Place, what: &[&str], options: &[&str]) -> PathBuf {
    let name = what.join("-");
    let (trace, habits) = (place.trace(&name), tracee("habits"));
    let work = place.directory(&name);
    let mut argv = vec![habits.to_str().unwrap()];
    argv.extend(what);
    let options = [&["--data", "none"], options].concat();
    run(place.record(&trace, &options, argv).current_dir(work)).ok(&name);
    trace
}

fn planted(watch: Watch, habits: &[Habit], speed: bool) {
    let place = Place::watched_by(watch);
    let mut wrong = Vec::new();
    for (rule, habit, set) in habits {
        let mut options = vec!["--set", "floor.share=0"];
        set.iter().for_each(|set| options.extend(["--set", set]));
        let found = document(&place, &record(&place, &[habit], &[]), &options);
        if rules(&found, speed).first() != Some(rule) {
            wrong.push(format!("{habit}: {:?}, {:?}", rules(&found, false), rules(&found, true)));
        }
        let near = document(&place, &record(&place, &[habit, "near"], &[]), &options);
        if rules(&near, speed).contains(rule) {
            wrong.push(format!("{habit} near: {near}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn rules_of_safety() {
    planted(Watch::Ebpf, SAFETY, false);
}

/// ptrace does not tell whether an open created its file.
#[test]
fn rules_of_safety_with_ptrace() {
    planted(Watch::Ptrace, SAFETY, false);
    let churn = SPEED.iter().filter(|habit| habit.0 == "temp-churn").copied();
    planted(Watch::Ptrace, &churn.collect::<Vec<Habit>>(), true);
}

#[test]
fn rules_of_speed() {
    planted(Watch::Ebpf, SPEED, true);
}

/// Which rule has no planted program is said here, so that none is forgotten.
#[test]
fn every_rule_has_a_planted_program() {
    let place = Place::new();
    let ran = run(&mut place.reanimator(["findings", "--list", "--json"])).ok("--list");
    let list: Value = serde_json::from_str(&ran.stdout).unwrap();
    let planted: Vec<&str> = SAFETY.iter().chain(SPEED).map(|habit| habit.0).collect();
    let names = list["rules"].as_array().unwrap().iter().map(|rule| rule["rule"].as_str().unwrap());
    let without: Vec<&str> = names.filter(|name| !planted.contains(name)).collect();
    assert_eq!(without, ["metadata-heavy", "tail"], "forged below");
}

/// Calls that took far longer than the others of their kind, at times that are made up.
#[test]
fn a_few_slow_calls() {
    let place = Place::new();
    for (slow, found) in [(5_000_000, true), (50_000, false)] {
        let trace = place.trace(&slow.to_string());
        let mut forge = Forge::new(&trace, 1);
        forge.create(b"/w/data", 3);
        for i in 0..2000u64 {
            let took = if i % 100 == 99 { slow } else { 1000 };
            forge.call_for(took, PID, 18, [3, 0x1000, 4096, i * 4096, 0, 0], 4096, &[]);
        }
        forge.end();
        let document = document(&place, &trace, &["--rule", "tail"]);
        assert_eq!(rules(&document, true), if found { &["tail"][..] } else { &[] }, "{document}");
        if found {
            let cost = document["findings"][0]["cost_ns"].as_u64().unwrap();
            assert_eq!(cost, 20 * (slow - 1000), "{document}");
        }
    }
}

/// Many queries of attributes, and reads that take more or less than these, at times that are made
/// up.
#[test]
fn more_metadata_than_data() {
    let place = Place::new();
    for (read, found) in [(100_000, true), (2_100_000, false)] {
        let trace = place.trace(&read.to_string());
        let mut forge = Forge::new(&trace, 1);
        forge.create(b"/w/data", 3);
        (0..2000).for_each(|_| forge.call_for(1000, PID, 5, [3, 0x1000, 0, 0, 0, 0], 0, &[]));
        forge.call_for(read, PID, 17, [3, 0x2000, 4096, 0, 0, 0], 4096, &[]);
        forge.end();
        let options = ["--rule", "metadata-heavy", "--set", "metadata-heavy.time=1ms"];
        let document = document(&place, &trace, &options);
        let names: &[&str] = if found { &["metadata-heavy"] } else { &[] };
        assert_eq!(rules(&document, true), names, "{document}");
        if found {
            assert_eq!(document["findings"][0]["cost_ns"], 2_001_000, "{document}");
        }
    }
}

/// Programs that do what they should.
#[test]
fn clean_programs_have_no_findings() {
    let place = Place::watched_by(Watch::Ebpf);
    let tree = place.work().join("tree");
    for i in 0..20 {
        let directory = tree.join(format!("d{}", i % 4));
        fs::create_dir_all(&directory).unwrap();
        fs::write(directory.join(format!("f{i}")), vec![b'x'; 1000 * i]).unwrap();
    }
    let insert = "CREATE TABLE t(a, b); BEGIN; WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT \
                  i + 1 FROM n WHERE i < 5000) INSERT INTO t SELECT i, hex(randomblob(20)) FROM n; \
                  COMMIT;";
    let fio = ["/usr/bin/fio", "--name=r", "--rw=read", "--bs=128k", "--size=32m", "--filename=r"];
    // It makes the file that it reads, and does not sync its directory.
    run(&mut place.command(fio)).ok("fio");
    let programs: [&[&str]; 3] =
        [&["/usr/bin/sqlite3", "app.db", insert], &["/usr/bin/cp", "-a", "tree", "copy"], &fio];
    for (i, argv) in programs.into_iter().enumerate() {
        let trace = place.trace(&i.to_string());
        run(&mut place.record(&trace, &["--data", "none"], argv)).ok(argv[0]);
        let ran = findings(&place, &trace, &[]);
        assert!(ran.code == Some(0) && ran.stdout.contains("nothing found"), "{argv:?}: {ran:?}");
    }
}

#[test]
fn what_is_printed_and_in_json() {
    let place = Place::watched_by(Watch::Ebpf);
    let trace = record(&place, &["sync-per-record"], &[]);
    let options = ["--set", "floor.share=0", "--set", "sync-per-record.share=0"];
    let ran = findings(&place, &trace, &options);
    for part in [
        "1. sync-per-record  ",
        "60 syncs of /",
        "  where ",
        "  cost ",
        "  remedy ",
        "  look    SELECT ",
        "  source ",
    ] {
        assert!(ran.stdout.contains(part), "{part}: {ran:?}");
    }
    assert!(!ran.stdout.contains('\x1b') && ran.stderr.is_empty(), "{ran:?}");
    let prose = ran.stdout.lines().filter(|line| !line.starts_with("  look"));
    assert!(prose.clone().all(|line| line.chars().count() <= 100), "{ran:?}");
    let document = document(&place, &trace, &options);
    let finding = &document["findings"][0];
    assert_eq!((&finding["rule"], &finding["level"]), (&"sync-per-record".into(), &"speed".into()));
    assert_eq!((&finding["places"], &document["json"]), (&1.into(), &1.into()));
    let place_of = &finding["evidence"][0];
    let seq = place_of["seq"].as_u64().unwrap();
    let calls = place.rows(&trace, &[]);
    let call = calls.iter().find(|call| call["seq"] == seq).unwrap();
    assert_eq!(call["call"], "fsync", "{call}");
    assert!(place_of["file"].as_str().unwrap().ends_with("/log"), "{place_of}");
    assert!(finding["cost_ns"].as_u64() <= document["elapsed_ns"].as_u64(), "{document}");
    let only = ["--rule", "small-io", "--set", "floor.share=0"];
    assert_eq!(findings(&place, &trace, &only).code, Some(0));
    let ignored = [&options[..], &["--ignore", "sync-per-record"]].concat();
    assert_eq!(findings(&place, &trace, &ignored).code, Some(0));
}

/// From which cost on a rule of speed is shown can be set.
#[test]
fn what_costs_little_is_not_shown() {
    let place = Place::watched_by(Watch::Ebpf);
    let trace = record(&place, &["same-miss"], &[]);
    let always = document(&place, &trace, &["--set", "floor.time=0"]);
    assert_eq!(rules(&always, true), ["same-miss"]);
    let never = document(&place, &trace, &["--set", "floor.time=100s", "--set", "floor.share=1"]);
    assert!(rules(&never, true).is_empty(), "{never}");
}

/// A trace that leaves out what a rule looks at does not decide it.
#[test]
fn what_a_trace_does_not_tell() {
    let place = Place::watched_by(Watch::Ebpf);
    let partly = record(&place, &["rename-unsynced"], &["-e", "!fdatasync"]);
    let document = document(&place, &partly, &[]);
    let undecided = document["undecided"].as_array().unwrap();
    let of = |rule: &str| undecided.iter().find(|undecided| undecided["rule"] == rule);
    let why = of("rename-unsynced").unwrap()["why"].as_str().unwrap();
    assert!(why.contains("class sync (fdatasync)") && why.contains("record without"), "{why}");
    assert!(of("same-miss").is_none() && rules(&document, false).is_empty(), "{document}");
    let ran = findings(&place, &partly, &[]);
    assert!(ran.code == Some(0) && ran.stdout.contains("Not decided:"), "{ran:?}");
    let failed = record(&place, &["same-miss"], &["-e", "status=failed"]);
    let ran = findings(&place, &failed, &["--rule", "same-miss"]);
    assert!(ran.stdout.contains("chooses by outcome or path"), "{ran:?}");
}

/// The call that makes it safe may be among those that were lost.
#[test]
fn lost_records_decide_no_rule_of_safety() {
    let place = Place::new();
    for lost in [false, true] {
        let trace = place.trace(&lost.to_string());
        let mut forge = Forge::new(&trace, 1);
        forge.create(b"/w/cut", 3);
        forge.call(PID, 18, [3, 0x1000, 4096, 0, 0, 0], 100, &[]);
        if lost {
            forge.event(RecordKind::Gap, PID, [100, 12, 0, 0, 0, 0], &[]);
        }
        forge.end();
        let document = document(&place, &trace, &["--rule", "short-write-ignored"]);
        let found: &[&str] = if lost { &[] } else { &["short-write-ignored"] };
        assert_eq!(rules(&document, false), found, "{document}");
        let why = document["undecided"][0]["why"].as_str().unwrap_or_default();
        assert_eq!(why.contains("12 records are lost"), lost, "{document}");
        // The recorder did not end it.
        assert!(document["notes"].to_string().contains("is incomplete"), "{document}");
    }
}

#[test]
fn no_call_and_damage() {
    let place = Place::watched_by(Watch::Ebpf);
    let empty = place.trace("empty");
    Forge::new(&empty, 1).end();
    let ran = findings(&place, &empty, &[]);
    assert!(ran.code == Some(0) && ran.stdout.contains("nothing found"), "{ran:?}");
    let trace = record(&place, &["rename-unsynced"], &[]);
    let path = trace.join("calls-00000.parquet");
    let good = fs::read(&path).unwrap();
    let mut random = Random(7);
    for _ in 0..40 {
        let mut bytes = good.clone();
        random.damage(&mut bytes);
        fs::write(&path, &bytes).unwrap();
        let ran = findings(&place, &trace, &[]);
        assert!(ran.code == Some(2) && ran.stderr.starts_with("error: "), "{ran:?}");
        assert!(!ran.stderr.contains("internal error"), "{ran:?}");
    }
}

/// Sums of numbers that no kernel returns.
#[test]
fn numbers_that_are_too_large() {
    let place = Place::new();
    let trace = place.trace("t");
    let mut forge = Forge::new(&trace, 1);
    forge.create(b"/w/data", 3);
    let (long, most) = (1 << 60, i64::MAX);
    for at in [0, 4097, 1 << 62, u64::MAX - 1] {
        forge.call_for(long, PID, 18, [3, 0x1000, u64::MAX, at, 0, 0], most, &[]);
        forge.call(PID, 74, [3, 0, 0, 0, 0, 0], 0, &[]);
        forge.call(PID, 74, [3, 0, 0, 0, 0, 0], 0, &[]);
        for _ in 0..3 {
            forge.call_for(long / 4, PID, 17, [3, 0x1000, u64::MAX, at, 0, 0], most, &[]);
            forge.call(PID, 8, [3, at, 0, 0, 0, 0], at as i64, &[]);
            forge.call(PID, 0, [3, 0x1000, 8, 0, 0, 0], most, &[]);
            forge.call(PID, 73, [3, 6, 0, 0, 0, 0], -11, &[]);
        }
    }
    forge.end();
    let ran = run(&mut place.reanimator(["findings", "--list", "--json"])).ok("--list");
    let list: Value = serde_json::from_str(&ran.stdout).unwrap();
    let mut sets = vec!["floor.share=0".to_owned()];
    for rule in list["rules"].as_array().unwrap() {
        let name = rule["rule"].as_str().unwrap();
        for threshold in rule["thresholds"].as_array().unwrap() {
            let key = threshold["key"].as_str().unwrap();
            let value = if ["size", "bytes"].contains(&key) && name != "reread-bytes" {
                "1000000000000G"
            } else {
                "0"
            };
            sets.push(format!("{name}.{key}={value}"));
        }
    }
    let options: Vec<&str> = sets.iter().flat_map(|set| ["--set", set]).collect();
    let document = document(&place, &trace, &options);
    let found = rules(&document, true);
    for rule in ["small-io", "reread-bytes", "misaligned", "random", "tail", "useless-sync"] {
        assert!(found.contains(&rule), "{rule}: {document}");
    }
}

#[test]
fn mistakes_on_the_command_line() {
    let place = Place::new();
    let empty = place.trace("empty");
    Forge::new(&empty, 1).end();
    for (options, told) in [
        (&["--rule", "smal-io"][..], "unknown rule 'smal-io'; rules: rename-unsynced"),
        (&["--ignore", "x"], "unknown rule 'x'; rules: rename-unsynced"),
        (&["--set", "small-io"], "expected RULE.KEY=VALUE"),
        (&["--set", "small-io.x=1"], "small-io has no threshold 'x'; it has: count size share"),
        (&["--set", "small-io.size=many"], "expected bytes, like 512, 4K or 16M"),
        (&["--set", "floor.share=2"], "expected a number from 0 to 1"),
        (&["--set", "floor.x=2"], "floor has no threshold 'x'; it has: share time"),
        (&["--list", "--rule", "small-io"], "cannot be used with"),
    ] {
        let ran = findings(&place, &empty, options);
        assert!(ran.code == Some(2) && ran.stderr.contains(told), "{options:?}: {ran:?}");
    }
    assert_eq!(findings(&place, &place.trace("no"), &[]).code, Some(2));
}

/// What a finding says to look at further works: SQL in DuckDB, or a command.
#[test]
fn queries_work() {
    let place = Place::watched_by(Watch::Ebpf);
    let trace = record(&place, &["rename-unsynced"], &[]);
    let ran = run(&mut place.reanimator(["findings", "--list", "--json"])).ok("--list");
    let list: Value = serde_json::from_str(&ran.stdout).unwrap();
    let mut sql = String::from("import duckdb\n");
    for rule in list["rules"].as_array().unwrap() {
        let query = rule["query"].as_str().unwrap().replace("{trace}", trace.to_str().unwrap());
        if let Some(options) = query.strip_prefix("reanimator ") {
            let script = format!("\"$1\" {options} > /dev/null");
            let mut command = place.command(["/bin/bash", "-c", &script, "bash"]);
            run(command.arg(crate::harness::place::REANIMATOR)).ok(&query);
        } else {
            assert!(query.starts_with("SELECT "), "{query}");
            sql.push_str(&format!("duckdb.sql(r\"\"\"{query}\"\"\").fetchall()\n"));
        }
    }
    run(python().args(["-c", &sql])).ok("duckdb");
}

/// docs/findings.md says of each rule what `--list` says.
#[test]
fn all_rules_are_in_the_page() {
    let place = Place::new();
    let ran = run(&mut place.reanimator(["findings", "--list", "--json"])).ok("--list");
    let list: Value = serde_json::from_str(&ran.stdout).unwrap();
    let page = fs::read_to_string(repository().join("docs/findings.md")).unwrap();
    let words = |text: &str| text.split_whitespace().collect::<Vec<_>>().join(" ");
    let page_words = words(&page);
    let rules = list["rules"].as_array().unwrap();
    for rule in rules {
        let name = rule["rule"].as_str().unwrap();
        assert!(page.contains(&format!("\n### {name}\n")), "{name}");
        for key in ["means", "when", "cost_is", "remedy", "source"] {
            let text = words(rule[key].as_str().unwrap_or_default());
            assert!(page_words.contains(&text), "{name} {key}: {text}");
        }
        for threshold in rule["thresholds"].as_array().unwrap() {
            let (key, value) = (&threshold["key"], &threshold["value"]);
            let line = format!("`{name}.{}={}`", key.as_str().unwrap(), value.as_str().unwrap());
            assert!(page_words.contains(&line), "{line}");
        }
    }
    assert_eq!(page.matches("\n### ").count(), rules.len(), "rules of the page that do not exist");
}
