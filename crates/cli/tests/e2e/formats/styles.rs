//! The styles in which strace writes numbers (`-X`) tell the same calls.

use crate::harness::place::{Place, Watch};
use crate::harness::run::run;
use crate::harness::tracee::tracee;
use serde_json::Value;
use std::collections::BTreeSet;
use std::path::Path;

/// What is another in each run of a program: times, devices, and what the machine is doing.
const CHANGING: &[&str] = &[
    "d_ino",
    "d_off",
    "f_bavail",
    "f_bfree",
    "f_blocks",
    "f_ffree",
    "f_files",
    "f_fsid",
    "freeram",
    "handle",
    "mnt_id",
    "mnt_ids",
    "procs",
    "ru",
    "st_atime",
    "st_atime_nsec",
    "st_blocks",
    "st_ctime",
    "st_ctime_nsec",
    "st_dev",
    "st_ino",
    "st_mtime",
    "st_mtime_nsec",
    "stx_atime.tv_nsec",
    "stx_atime.tv_sec",
    "stx_blocks",
    "stx_btime.tv_nsec",
    "stx_btime.tv_sec",
    "stx_ctime.tv_nsec",
    "stx_ctime.tv_sec",
    "stx_dev_major",
    "stx_dev_minor",
    "stx_ino",
    "stx_mnt_id",
    "stx_mtime.tv_nsec",
    "stx_mtime.tv_sec",
    "tbuf",
    "tloc",
    "tp",
    "tsp",
    "tv",
    "tvp",
    "ubuf",
    "uptime",
    "utx",
];
/// Calls whose results are others each time.
const VARYING: [&str; 3] = ["kcmp", "time", "times"];

/// A process's calls: what each is, with its arguments and result.
fn told(place: &Place, program: &Path, style: &str) -> Vec<Vec<(String, Value)>> {
    let name = format!("{}-{style}", program.file_name().unwrap().display());
    let log = place.path(&name);
    // The same numbers of processes and inodes and the same addresses in each run.
    let script = "mount -t tmpfs none . && cd \"$PWD\" && exec setarch -R strace \"$@\"";
    let still = ["unshare", "--pid", "--fork", "--mount-proc", "sh", "-c", script, "sh"];
    let options = ["-f", "-ttt", "-T", "-y", "-xx", "-v", "-s", "999999", "-X", style, "-o"];
    run(place.command(still).args(options).arg(&log).arg(program)).ok("strace");
    let trace = place.trace(&name);
    let said = run(place.reanimator(["convert"]).arg(&log).arg(&trace)).ok("convert").stderr;
    assert!(!said.contains("mean nothing to us"), "-X {style}: {said}");
    let mut processes: Vec<(u64, Vec<(String, Value)>)> = Vec::new();
    for mut row in place.rows(&trace, &[]) {
        let Some(call) = row["call"].as_str().map(str::to_owned) else { continue };
        if VARYING.contains(&call.as_str()) {
            row["result"] = Value::Null;
        }
        leave_out(&mut row["args"]);
        let pid = row["pid"].as_u64().unwrap();
        let what = serde_json::json!({ "args": row["args"], "raw": row["raw"],
            "result": row["result"], "variant": row["variant"] });
        match processes.iter_mut().find(|(of, _)| *of == pid) {
            Some((_, calls)) => calls.push((call, what)),
            None => processes.push((pid, vec![(call, what)])),
        }
    }
    processes.into_iter().map(|(_, calls)| calls).collect()
}

fn leave_out(value: &mut Value) {
    match value {
        Value::Object(fields) => {
            fields.retain(|name, _| !CHANGING.contains(&name.as_str()));
            fields.values_mut().for_each(leave_out);
        }
        Value::Array(all) => all.iter_mut().for_each(leave_out),
        _ => {}
    }
}

/// Two programs that make every call of the table between them.
#[test]
fn every_call_is_told_the_same_in_every_style() {
    let place = Place::watched_by(Watch::Ptrace);
    let mut made = BTreeSet::new();
    for program in [tracee("calls"), tracee("every")] {
        let numbers = told(&place, &program, "raw");
        for style in ["abbrev", "verbose"] {
            let words = told(&place, &program, style);
            assert_eq!(
                numbers.iter().map(Vec::len).collect::<Vec<_>>(),
                words.iter().map(Vec::len).collect::<Vec<_>>()
            );
            let (numbers, words) = (numbers.iter().flatten(), words.iter().flatten());
            let other: Vec<String> = numbers
                .zip(words)
                .filter(|(a, b)| a != b)
                .map(|((call, a), (_, b))| format!("{call}: {a}\n  -X {style}: {b}"))
                .collect();
            assert!(other.is_empty(), "{}", other.join("\n"));
        }
        made.extend(numbers.into_iter().flatten().map(|(call, _)| call));
    }
    let table = run(&mut place.reanimator(["syscalls", "--json"])).ok("syscalls").stdout;
    let table: Value = serde_json::from_str(&table).unwrap();
    // The operations are other programs' (rings.c, aio.c).
    let is_call = |row: &&Value| row["number"].as_u64().unwrap() < u64::from(abi::OPERATIONS);
    let rows = table["syscalls"].as_array().unwrap().iter().filter(is_call);
    let rows = rows.map(|row| row["name"].as_str().unwrap());
    let missing: Vec<&str> = rows.filter(|name| !made.contains(*name)).collect();
    assert!(missing.is_empty(), "tests/tracees/every.c should make {missing:?}");
}
