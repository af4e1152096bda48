//! `stat` of traces that are empty, odd or damaged, and of a wrong command line.

use super::{rows, stat};
use crate::harness::forge::{Forge, PID};
use crate::harness::place::{Place, number};
use crate::harness::run::run;
use crate::hostile::random::Random;
use std::fs;
use trace::record::PayloadKind;

#[test]
fn no_call_and_one_call() {
    let place = Place::new();
    for calls in [0, 1] {
        let trace = place.trace(&calls.to_string());
        let mut forge = Forge::new(&trace, 1);
        (0..calls).for_each(|_| forge.call(PID, 39, [0; 6], 1000, &[]));
        forge.end();
        for options in [&["--by", "call"][..], &["--by", "process,file"], &["--interval", "1ms"]] {
            let document = stat(&place, &trace, options);
            assert_eq!(rows(&document).len() as u64, calls, "{document}");
        }
        let text = run(place.reanimator(["stat"]).arg(&trace)).ok("stat").stdout;
        assert!(text.contains(if calls == 0 { "no calls" } else { "getpid" }), "{text}");
        run(place.reanimator(["stat", "--csv"]).arg(&trace)).ok("stat --csv");
    }
}

/// Names that are no text are escaped in the table, and bytes in JSON.
#[test]
fn names_that_are_not_utf8() {
    let place = Place::new();
    let trace = place.trace("t");
    let mut forge = Forge::new(&trace, 1);
    forge.create(b"/w/\xff\n\x1b[31m\xe9.x", 3);
    forge.call(
        PID,
        262,
        [-100i64 as u64, 0x7000, 0x8000, 0, 0, 0],
        -2,
        &[(1, PayloadKind::String, 0, b"/w/\xc3(")],
    );
    forge.end();
    let document = stat(&place, &trace, &["--by", "file"]);
    let files: Vec<&serde_json::Value> = rows(&document).iter().map(|row| &row["file"]).collect();
    assert!(files.iter().any(|file| file["bytes"].is_string()), "{document}");
    for options in [&["--by", "file"][..], &["--by", "dir,ext"], &["--csv", "--by", "path"]] {
        let text = run(place.reanimator(["stat"]).args(options).arg(&trace)).ok("stat").stdout;
        assert!(!text.contains('\x1b'), "{text:?}");
    }
    let found = stat(&place, &trace, &["--by", "call", "-e", "path=/w/*.x"]);
    assert_eq!(rows(&found).len(), 1, "{found}");
}

/// Damage is found without the hash, or counts nothing that is wrong in structure; it never panics.
#[test]
fn damaged_files_are_errors() {
    let place = Place::new();
    let trace = place.trace("t");
    run(&mut place.record(&trace, &[], ["/usr/bin/find", "/usr/share/doc/dash"])).ok("record");
    let mut random = Random(19);
    let (mut refused, mut rounds) = (0, 0);
    for name in ["calls-00000.parquet", "processes.parquet", "trace.json"] {
        let (path, good) = (trace.join(name), fs::read(trace.join(name)).unwrap());
        for _ in 0..60 {
            let mut bytes = good.clone();
            random.damage(&mut bytes);
            fs::write(&path, &bytes).unwrap();
            let mut command = place.reanimator(["stat", "--by", "process,file,size", "--json"]);
            let ran = run(command.args(["--top", "0"]).arg(&trace));
            assert!(matches!(ran.code, Some(0 | 2)), "{name}: {ran:?}");
            assert!(!ran.stderr.contains("internal error"), "{name}: {ran:?}");
            refused += u32::from(ran.code == Some(2));
            rounds += 1;
        }
        fs::write(&path, good).unwrap();
    }
    assert!(refused * 2 > rounds, "{refused} of {rounds}");
    let path = trace.join("calls-00000.parquet");
    let mut bytes = fs::read(&path).unwrap();
    bytes.truncate(bytes.len() - 100);
    fs::write(&path, bytes).unwrap();
    let ran = run(place.reanimator(["stat"]).arg(&trace));
    assert_eq!(ran.code, Some(2), "{ran:?}");
    assert!(ran.stderr.contains("its length differs") && ran.stderr.contains("next:"), "{ran:?}");
}

/// The end of a reader is the end of the writer, and no error.
#[test]
fn output_closed_early() {
    let place = Place::new();
    let trace = place.trace("t");
    run(&mut place.record(&trace, &[], ["/usr/bin/find", "/usr/include"])).ok("record");
    let script = r#""$1" stat --by file --top 0 "$2" | head -n 1; echo "${PIPESTATUS[0]}""#;
    let mut command = place.command(["/bin/bash", "-c", script, "bash"]);
    let ran = run(command.arg(crate::harness::place::REANIMATOR).arg(&trace)).ok("bash");
    assert!(ran.stdout.ends_with("\n0\n") && ran.stderr.is_empty(), "{ran:?}");
    let ran = run(place.reanimator(["stat", "-o", "/dev/full"]).arg(&trace));
    assert_eq!(ran.code, Some(2), "{ran:?}");
}

#[test]
fn mistakes_on_the_command_line() {
    let place = Place::new();
    for (options, told) in [
        (&["--by", "comand"][..], "known keys: call class file"),
        (&["--by", "call,class,file,exe"], "there can be three"),
        (&["--by", "dir:0"], "as in dir:2"),
        (&["--sort", "p99"], "percentiles are computed only of the rows"),
        (&["--columns", "p90"], "known columns: calls errors"),
        (&["--from", "5x"], "known units: ns us ms s min h"),
        (&["--interval", "0s"], "longer than 0"),
        (&["-e", "raed"], "did you mean read?"),
        (&["--json", "--csv"], "cannot be used with"),
    ] {
        let ran = run(&mut place.reanimator(["stat"].iter().chain(options)));
        assert_eq!(ran.code, Some(2), "{options:?}: {ran:?}");
        assert!(ran.stderr.contains(told), "{options:?}: {ran:?}");
    }
    let ran = run(&mut place.reanimator(["stat", "no-such.ra"]));
    assert_eq!(ran.code, Some(2), "{ran:?}");
}

/// The statistics go to stderr, as stdout is the command's, and the status is the command's.
#[test]
fn a_command_is_recorded_and_counted() {
    let place = Place::new();
    let script = "echo said; cat missing 2>/dev/null; exit 7";
    let mut command = place.reanimator(["stat", "--", "/bin/dash", "-c", script]);
    let ran = run(command.env("TMPDIR", place.path("traces")));
    assert_eq!((ran.code, ran.stdout.as_str()), (Some(7), "said\n"), "{ran:?}");
    assert!(ran.stderr.contains("execve") && ran.stderr.contains("total"), "{ran:?}");
    assert_eq!(fs::read_dir(place.path("traces")).unwrap().count(), 0, "nothing is left");
    let to = place.path("out.json");
    let mut command = place.reanimator(["stat", "--json", "-o"]);
    run(command.arg(&to).args(["--", "/bin/true"])).ok("stat -- true");
    let document: serde_json::Value = serde_json::from_slice(&fs::read(to).unwrap()).unwrap();
    assert!(number(&document["work"], "calls") > 0 && document["trace"].is_null(), "{document}");
    let ran = run(&mut place.reanimator(["stat", "--", "/no/such/program"]));
    assert_eq!(ran.code, Some(127), "{ran:?}");
    assert!(ran.stderr.starts_with("error:"), "{ran:?}");
}

/// A killed recorder's trace is recovered, as for other commands that read.
#[test]
fn an_unfinished_trace_is_recovered_first() {
    let place = Place::new();
    let trace = place.trace("t");
    let mut forge = Forge::new(&trace, 1);
    forge.create(b"/w/a", 3);
    forge.end();
    let ran = run(place.reanimator(["stat"]).arg(&trace)).ok("stat");
    assert!(ran.stderr.contains("recovered") && ran.stdout.contains("openat"), "{ran:?}");
}
