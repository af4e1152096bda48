//! `print` beside strace: the same lines for the same program, and the options that strace's users
//! type.

use crate::harness::place::Place;
use crate::harness::run::{Ran, run};
use std::fs;
use std::path::Path;
use std::process::Command;

/// What two runs of one program never have in common: addresses, ids, random bytes, times.
fn comparable(line: &str) -> String {
    let unlike = [
        (r"^(\[pid +)?[0-9]+\]? +", ""),
        (r"0x[0-9a-f]{5,}", "ADDRESS"),
        // Among random bytes may be a quotation mark, which is escaped.
        (r#"getrandom\("(\\.|[^"\\])*""#, "getrandom(BYTES"),
        (r" +=( -?[0-9?]| ADDRESS)", " =$1"),
        (r"(set_tid_address\(.*|getp?pid\(\)) = [0-9]+", "$1 = ID"),
        // strace names the absence of a flag.
        (r"AT_STATX_SYNC_AS_STAT\|", ""),
        (r"O_DIRECTORY\|O_CLOEXEC", "O_CLOEXEC|O_DIRECTORY"),
        (r"(f_b?f?(free|avail))=[0-9]+", "$1=N"),
        (r"st_size=[0-9]+(.*AT_EMPTY_PATH)", "st_size=N$1"),
    ];
    unlike.iter().fold(line.to_owned(), |text, (pattern, plain)| {
        regex::Regex::new(pattern).unwrap().replace_all(&text, *plain).into_owned()
    })
}

fn lines(text: &str) -> Vec<String> {
    text.lines().map(comparable).collect()
}

#[test]
fn random_bytes_are_taken_out_whole() {
    for bytes in ["", "a", r#"\"25Fe"#, r#"\\"#, r#"a\\\"b"#] {
        let line = format!("1 getrandom(\"{bytes}\", 8, GRND_NONBLOCK) = 8");
        assert_eq!(comparable(&line), "getrandom(BYTES, 8, GRND_NONBLOCK) = 8", "{bytes}");
    }
}

fn record(place: &Place, name: &str, argv: &[&str]) -> std::path::PathBuf {
    let trace = place.trace(name);
    run(&mut place.record(&trace, &[], argv));
    trace
}

fn print(place: &Place, trace: &Path, options: &[&str]) -> Ran {
    run(place.reanimator(["print"]).args(options).arg(trace)).ok("print")
}

#[test]
fn the_lines_are_those_of_strace() {
    let place = Place::new();
    fs::write(place.work().join("a"), "a file\n\u{1}7\u{e9}").unwrap();
    fs::create_dir(place.work().join("d")).unwrap();
    for (name, argv) in [
        ("ls", &["/bin/ls", "-la", "."][..]),
        ("cat", &["/bin/cat", "a", "missing"]),
        ("df", &["/bin/df", "."]),
        ("uname", &["/bin/uname", "-a"]),
    ] {
        let theirs = place.path(name);
        let strace = ["/usr/bin/strace", "-f", "-o", theirs.to_str().unwrap()];
        run(&mut place.command(strace.iter().chain(argv)));
        let theirs = lines(&fs::read_to_string(theirs).unwrap());
        let ours = print(&place, &record(&place, name, argv), &["-f"]);
        let ours = lines(&ours.stdout);
        let unlike: Vec<String> = theirs
            .iter()
            .zip(&ours)
            .filter(|(theirs, ours)| theirs != ours)
            .map(|(theirs, ours)| format!("strace: {theirs}\n  ours: {ours}"))
            .collect();
        assert!(unlike.is_empty(), "{name}:\n{}", unlike.join("\n"));
        assert_eq!(theirs.len(), ours.len(), "{name}");
    }
}

const SCRIPT: &str = "cat missing; (exit 3) & wait; kill -USR1 $$";

#[test]
fn events_are_asked_for_as_with_strace() {
    let place = Place::new();
    let trace = record(&place, "t", &["/bin/dash", "-c", SCRIPT]);
    let events = |options: &[&str]| {
        let text = print(&place, &trace, options).stdout;
        let of = |sign: &str| text.lines().filter(|l| l.contains(sign)).count();
        (of(" +++"), of(" ---"))
    };
    let (all, signals) = events(&[]);
    assert!(all >= 4 && signals >= 2, "{all} {signals}");
    assert_eq!(events(&["-e", "signal=none"]), (all, 0));
    assert_eq!(events(&["-e", "signal=!SIGCHLD"]), (all, 1));
    assert_eq!(events(&["-q"]), (0, 0));
    assert_eq!(events(&["-e", "quiet=exit,attach"]).0, 0);
    for chosen in [&["-e", "openat"][..], &["-e", "status=failed"], &["-P", "missing"], &["-Z"]] {
        assert_eq!(events(chosen), (0, 0), "{chosen:?}");
    }
    assert_eq!(events(&["-e", "openat", "-e", "signal=all"]), (0, signals));
    let json = print(&place, &trace, &["--json", "-e", "openat"]).stdout;
    assert!(!json.contains("\"event\""), "{json}");
    assert!(print(&place, &trace, &["--json"]).stdout.contains("\"event\":\"signal\""));
}

#[test]
fn the_options_that_straces_users_type() {
    let place = Place::new();
    let trace = record(&place, "t", &["/bin/dash", "-c", SCRIPT]);
    // -P: a name from where the program began; all of its characters stand for themselves.
    let about = print(&place, &trace, &["-P", "./missing"]).stdout;
    assert_eq!(about.lines().count(), 1, "{about}");
    assert!(about.contains("\"missing\"") && about.contains("ENOENT"), "{about}");
    let none = print(&place, &trace, &["-P", "miss*"]);
    assert_eq!(none.stdout, "");
    assert!(none.stderr.contains("matches"), "{}", none.stderr);
    // -o: replaced like strace's, with thread ids as strace has them in a file.
    let file = place.path("out");
    fs::write(&file, "old").unwrap();
    let ran = run(place.reanimator(["print", "-o"]).arg(&file).args(["-T", "-Z"]).arg(&trace));
    assert_eq!(ran.ok("print -o").stdout, "");
    let text = fs::read_to_string(&file).unwrap();
    let line = text.lines().find(|l| l.contains("\"missing\"")).unwrap_or_else(|| panic!("{text}"));
    let shape = r"^[0-9]+ +openat\(.* = -1 ENOENT \(.*\) <0\.0[0-9]{8}>$";
    assert!(regex::Regex::new(shape).unwrap().is_match(line), "{line}");
    assert!(!text.contains("<0.000000000>"), "{text}");
    let piped = run(place.reanimator(["print", "-o", "|wc"]).current_dir("/proc").arg(&trace));
    assert_eq!(piped.code, Some(2));
    assert!(piped.stderr.contains("reanimator print | COMMAND"), "{}", piped.stderr);
    // -c: strace's columns.
    let table = print(&place, &trace, &["-c"]).stdout;
    let head = "% time     seconds  usecs/call     calls    errors syscall";
    assert_eq!(table.lines().next(), Some(head), "{table}");
    assert!(table.lines().last().unwrap().ends_with(" total"), "{table}");
    let opens = table.lines().find(|l| l.ends_with(" openat")).unwrap();
    let errors = opens.split_whitespace().nth(4).unwrap().parse::<u32>();
    assert!(errors.is_ok_and(|n| n > 0), "{table}");
    // What print does not have is refused with what it has.
    let refused = run(place.reanimator(["print", "-e", "inject=all"]).arg(&trace));
    assert_eq!(refused.code, Some(2));
    assert!(refused.stderr.contains("signal=, quiet=, and abbrev="), "{}", refused.stderr);
}

#[test]
fn all_of_a_struct_is_there_when_asked_for() {
    let place = Place::new();
    let trace = record(&place, "t", &["/bin/ls", "-l", "."]);
    let brief = print(&place, &trace, &["-e", "%stat"]).stdout;
    assert!(brief.contains("{st_mode=S_IFREG|0644, st_size="), "{brief}");
    assert!(!brief.contains("st_ino"), "{brief}");
    for all in [&["-v"][..], &["-e", "abbrev=none"]] {
        let text = print(&place, &trace, all).stdout;
        assert!(text.contains("st_ino=") && text.contains("st_mtime_nsec="), "{text}");
        assert!(text.contains("d_name=\"..\""), "{text}");
        assert!(!text.contains(" vars */"), "{text}");
    }
    // What goes out as strace's text is whole, too: it comes back.
    let out = place.path("out.strace");
    run(place.reanimator(["-q", "convert"]).arg(&trace).arg(&out)).ok("convert");
    let text = fs::read_to_string(out).unwrap();
    assert!(text.contains("st_ino=") && !text.contains(", ...}"), "{text}");
}

#[test]
fn divergences_fit_a_terminal() {
    let place = Place::new();
    let deep = place.work().join("a-directory-with-a-long-name/".repeat(5));
    fs::create_dir_all(&deep).unwrap();
    fs::write(deep.join("file"), "what was there").unwrap();
    let name = deep.join("file");
    let trace = record(&place, "t", &["/bin/cat", name.to_str().unwrap()]);
    let base = place.directory("base");
    run(place.reanimator(["-q", "prepare", "--root"]).arg(&base).arg(&trace)).ok("prepare");
    let copy = base.join(name.strip_prefix("/").unwrap());
    fs::write(copy, "something else").unwrap();
    let mut replay: Command = place.reanimator(["replay", "--base"]);
    let ran = run(replay.arg(&base).arg("--root").arg(place.path("root")).arg(&trace));
    assert_eq!(ran.code, Some(1), "{ran:?}");
    assert!(ran.stdout.contains("divergence: #"), "{ran:?}");
    let told = ran.stdout.lines().filter(|l| !l.starts_with("skipped"));
    let long: Vec<&str> = told.filter(|l| l.chars().count() > 100).collect();
    assert!(long.is_empty(), "{long:?}");
    let before: Vec<&str> = ran.stdout.lines().filter(|l| l.contains("before it")).collect();
    let mut once = before.clone();
    once.dedup();
    assert_eq!(before, once);
}
