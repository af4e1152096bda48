//! docs/json.md has every key that the program prints.

use crate::harness::place::Place;
use crate::harness::run::{Ran, run};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsString;
use std::fs;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::Path;

type Key = Vec<String>;

/// The keys of each section of the page: the first column of its tables. `[]` stands for the
/// elements of an array, `*` for any one key, `**` for all below.
fn documented() -> BTreeMap<String, Vec<Key>> {
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/json.md");
    let (mut sections, mut section) = (BTreeMap::<_, Vec<Key>>::new(), String::new());
    for line in fs::read_to_string(page).unwrap().lines() {
        if let Some(name) = line.strip_prefix("## ") {
            name.clone_into(&mut section);
        } else if let Some((key, _)) = line.strip_prefix("| `").and_then(|l| l.split_once('`')) {
            let key = key.replace("[]", ".[]").split('.').map(str::to_owned).collect();
            sections.entry(section.clone()).or_default().push(key);
        }
    }
    sections
}

/// All keys of a document; what holds others is one itself.
fn keys(value: &Value, at: &Key, found: &mut BTreeSet<Key>) {
    let with = |name: &str| [&at[..], &[name.to_owned()]].concat();
    match value {
        Value::Object(inside) => {
            for (name, value) in inside {
                found.insert(with(name));
                keys(value, &with(name), found);
            }
        }
        Value::Array(inside) => inside.iter().for_each(|value| keys(value, &with("[]"), found)),
        _ => {}
    }
}

fn fits(pattern: &[String], key: &[String]) -> bool {
    match (pattern, key) {
        ([all], [_, ..]) if all == "**" => true,
        ([], []) => true,
        // `a.*` says that `a` is there, and so does `a[].b`.
        ([_, ..], []) => true,
        ([one, patterns @ ..], [name, names @ ..]) => {
            (one == "*" || one == name) && fits(patterns, names)
        }
        ([], [_, ..]) => false,
    }
}

#[track_caller]
fn check(section: &str, text: &str) {
    let documented = &documented()[section];
    let mut found = BTreeSet::new();
    for document in serde_json::Deserializer::from_str(text).into_iter::<Value>() {
        let document = document.unwrap_or_else(|e| panic!("{section}: {e}: {text}"));
        assert_eq!(document["json"], 1, "{section}: {document}");
        keys(&document, &Key::new(), &mut found);
    }
    // Bytes that are no text are told so wherever text is.
    let missing: Vec<String> = found
        .iter()
        .filter(|key| key.last().is_none_or(|name| name != "bytes" || key.len() == 1))
        .filter(|key| !documented.iter().any(|pattern| fits(pattern, key)))
        .map(|key| key.join("."))
        .collect();
    assert!(missing.is_empty(), "docs/json.md, {section}, lacks {missing:?}");
}

#[test]
fn every_key_is_documented() {
    let place = Place::new();
    fs::write(place.work().join("a"), "hello").unwrap();
    let trace = place.trace("t");
    let script = "cat a missing > copy; mv copy b; ls -l > list; (exit 3) & wait; kill -USR1 $$";
    run(&mut place.record(&trace, &[], ["/bin/dash", "-c", script]));
    let say = |args: &[&str]| -> Ran { run(&mut place.reanimator(args)) };
    let path = trace.to_str().unwrap();
    let root = |name: &str| place.path(name).to_str().unwrap().to_owned();

    check("print", &say(&["print", "--json", path]).ok("print").stdout);
    check("info", &say(&["info", "--json", path]).ok("info").stdout);
    check("info", &say(&["recover", "--json", path]).ok("recover").stdout);
    check("stat", &say(&["stat", "--json", path]).ok("stat").stdout);
    for by in ["class,file,dir", "ext,fs,path", "process,thread,exe", "errno,size"] {
        let stat = say(&["stat", "--json", "--interval", "1ms", "--by", by, path]);
        check("stat", &stat.ok("stat").stdout);
    }
    // It may find something.
    check("findings", &say(&["findings", "--json", "--set", "floor.share=0", path]).stdout);
    check("findings", &say(&["findings", "--list", "--json"]).ok("findings").stdout);
    check("verify", &say(&["verify", "--json", path]).ok("verify").stdout);
    check("doctor", &say(&["doctor", "--json"]).stdout);
    check("syscalls", &say(&["syscalls", "--json"]).ok("syscalls").stdout);
    let prepared = say(&["prepare", "--json", "--root", &root("base"), path]).ok("prepare");
    check("prepare", &prepared.stdout);

    let same = ["replay", "--json", "--timing", "--pace", "recorded", "--root", &root("r"), path];
    let ran = say(&same).ok("replay");
    check("replay", &ran.stdout);
    let report: Value = serde_json::from_str(&ran.stdout).unwrap();
    assert_eq!((&report["outcome"], &report["trace"]), (&"the same".into(), &path.into()));
    check("verify", &say(&["verify", "--json", "--against", &root("r"), path]).stdout);

    let a = place.path("base").join(place.work().join("a").strip_prefix("/").unwrap());
    fs::write(a, "changed").unwrap();
    let other = ["replay", "--json", "--base", &root("base"), "--root", &root("o"), path];
    let ran = say(&other);
    assert_eq!(ran.code, Some(1), "{ran:?}");
    check("replay", &ran.stdout);
    let report: Value = serde_json::from_str(&ran.stdout).unwrap();
    assert_eq!(report["outcome"], "different");

    let target = format!("here={}", place.directory("bench").display());
    let bench = ["bench", "--json", "--repeat", "1", "--target", &target, path];
    check("bench", &say(&bench).ok("bench").stdout);
}

/// Names that are not UTF-8, of files, traces and directories, come out without loss.
#[test]
fn names_that_are_no_text() {
    let place = Place::new();
    let odd = |name: &str| OsString::from_vec([name.as_bytes(), b"\xff"].concat());
    let shown = |path: &Path| json!({"bytes": STANDARD.encode(path.as_os_str().as_bytes())});
    let trace = place.path("traces").join(odd("t"));
    fs::write(place.work().join(odd("n")), "hello").unwrap();
    run(&mut place.record(
        &trace,
        &[],
        ["/bin/sh", "-c", "for f in n*; do read line <\"$f\"; done; echo \"$line\" >copy"],
    ))
    .ok("record");
    let document = |ran: &Ran| serde_json::from_str::<Value>(&ran.stdout).unwrap();

    let base = place.path("").join(odd("base"));
    let ran = run(place.reanimator(["prepare", "--json", "--root"]).arg(&base).arg(&trace));
    assert_eq!(document(&ran.ok("prepare"))["root"], shown(&base));
    let work = place.work();
    let work = work.strip_prefix("/").unwrap();
    fs::write(base.join(work).join(odd("n")), "HELLO").unwrap();
    let root = place.path("").join(odd("root"));
    let mut replay = place.reanimator(["replay", "--json", "--base"]);
    let ran = run(replay.arg(&base).arg("--root").arg(&root).arg(&trace));
    assert_eq!(ran.code, Some(1), "{ran:?}");
    let report = document(&ran);
    assert_eq!((&report["root"], &report["trace"]), (&shown(&root), &shown(&trace)));
    let file = format!("{}/n\\xff", place.work().display());
    assert!(report["shown"].as_array().unwrap().iter().any(|d| d["file"] == *file), "{report:#}");
    let differs = |line: &Value| line.as_str().unwrap().starts_with(&format!("{file}: content: "));
    assert!(report["state"]["lines"].as_array().unwrap().iter().any(differs), "{report:#}");
    assert!(ran.stderr.contains("before it: "), "{}", ran.stderr);
    let mut verify = place.reanimator(["verify", "--json", "--against"]);
    let ran = run(verify.arg(&root).arg(&trace));
    assert!(document(&ran)["differences"].as_array().unwrap().iter().any(differs), "{ran:?}");

    let dir = place.path("").join(odd("bench"));
    fs::create_dir(&dir).unwrap();
    let mut target = OsString::from("here=");
    target.push(&dir);
    let mut bench = place.reanimator(["bench", "--json", "--repeat", "1", "--target"]);
    let ran = run(bench.arg(target).arg(&trace));
    let measured = document(&ran.ok("bench"));
    assert_eq!(
        (&measured["trace"], &measured["targets"][0]["dir"]),
        (&shown(&trace), &shown(&dir))
    );
}

#[test]
fn text_is_escaped_once() {
    let place = Place::new();
    let trace = place.trace("t");
    let script = r#"printf 'a\\b"\n\001\303\251' > text; printf '\377' > bytes; : > 'new
line'"#;
    let argv = ["/bin/dash", "-c", script];
    run(&mut place.record(&trace, &[], argv)).ok("record");
    let rows = place.rows(&trace, &[]);
    let written: Vec<&Value> =
        rows.iter().filter(|r| r["call"] == "write").map(|r| &r["args"]["buf"]).collect();
    assert_eq!(written, [&Value::from("a\\b\"\n\u{1}\u{e9}"), &json!({"bytes": "/w=="})]);
    assert!(rows.iter().any(|r| r["args"]["filename"] == "new\nline"));
    let info = place.info(&trace);
    assert_eq!(info["argv"], json!(argv));
    // The command can be pasted, as it stands and as text: it does the same again.
    let pasted = info["command"].as_str().unwrap();
    run(place.command(["/bin/bash", "-c", pasted]).current_dir(place.directory("again")))
        .ok("pasted");
    let text = run(place.reanimator(["info"]).arg(&trace)).ok("info").stdout;
    assert!(text.contains(pasted), "{text}");
    for name in ["text", "bytes", "new\nline"] {
        let both = [place.work(), place.path("again")].map(|d| fs::read(d.join(name)).unwrap());
        assert_eq!(both[0], both[1], "{name:?}");
    }
}
