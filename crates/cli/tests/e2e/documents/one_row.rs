//! Adding a system call is adding one row to the table: shown on a copy of the sources, from which
//! a row is taken and put back.

use crate::harness::place::{Place, number};
use crate::harness::proof::same_again;
use crate::harness::run::{Ran, run, run_for};
use crate::harness::tracee::{repository, tracee};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

/// The call that the copy's table does not know at first.
const CALL: &str = "pwrite64";

/// Copies what the program is built from, and links what its dependencies were built to, so that
/// only our own crates are built again.
fn copy(there: &Path) {
    let sources = there.join("sources");
    fs::create_dir_all(&sources).unwrap();
    let repository = repository();
    run(Command::new("cp")
        .arg("-r")
        .args(["Cargo.toml", "Cargo.lock", "crates"].map(|n| repository.join(n)))
        .arg(&sources))
    .ok("cp");
    fs::remove_dir_all(sources.join("crates/cli/tests")).unwrap();
    fs::create_dir(sources.join("crates/cli/tests")).unwrap();
    fs::write(sources.join("crates/cli/tests/empty.rs"), "").unwrap();
    // Our own crates are built quickly rather than well.
    let mut manifest = fs::read_to_string(sources.join("Cargo.toml")).unwrap();
    for member in fs::read_dir(sources.join("crates")).unwrap() {
        let text = fs::read_to_string(member.unwrap().path().join("Cargo.toml")).unwrap();
        let name = text.lines().find_map(|l| l.strip_prefix("name = ")).unwrap();
        manifest += &format!("\n[profile.release.package.{name}]\nopt-level = 0\n");
    }
    fs::write(sources.join("Cargo.toml"), manifest).unwrap();
    let built = Path::new(crate::harness::place::REANIMATOR).parent().unwrap();
    fs::create_dir_all(there.join("target/release")).unwrap();
    run(Command::new("cp")
        .arg("-al")
        .args(["deps", "build", ".fingerprint"].map(|n| built.join(n)))
        .arg(there.join("target/release")))
    .ok("cp -al");
}

#[track_caller]
fn build(there: &Path) -> PathBuf {
    let mut cargo = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    // What the cargo that runs this test tells it is not for the cargo that it runs.
    for (name, _) in std::env::vars_os().filter(|(n, _)| {
        n.to_str().is_some_and(|n| {
            n.starts_with("CARGO_") && n != "CARGO_HOME" || n.starts_with("NEXTEST")
        })
    }) {
        cargo.env_remove(name);
    }
    // With a test, although it is empty: what tests need decides with which features dependencies
    // are built, and they have been built for tests.
    cargo.args([
        "build",
        "--release",
        "--offline",
        "--locked",
        "-p",
        "reanimator",
        "--bins",
        "--test",
        "empty",
    ]);
    cargo.current_dir(there.join("sources")).env("CARGO_TARGET_DIR", there.join("target"));
    let built = run_for(&mut cargo, Duration::from_secs(600)).ok("cargo build of the copy");
    assert!(
        !built.stderr.contains("Compiling arrow"),
        "dependencies are built again: {}",
        built.stderr
    );
    there.join("target/release/reanimator")
}

/// The file of the table with the row of [`CALL`], and where in it the row stands.
fn row(dir: &Path) -> Option<(PathBuf, std::ops::Range<usize>)> {
    for entry in fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            if let Some(found) = row(&path) {
                return Some(found);
            }
            continue;
        }
        let text = fs::read_to_string(&path).unwrap();
        let Some(begin) =
            text.find(&format!("X::{CALL}, &[")).and_then(|at| text[..at].rfind("\n    "))
        else {
            continue;
        };
        let mut depth = 0;
        for (i, c) in text[begin..].char_indices() {
            match c {
                '(' | '[' => depth += 1,
                ')' | ']' => depth -= 1,
                ',' if depth == 0 => return Some((path, begin..begin + i + 1)),
                _ => {}
            }
        }
    }
    None
}

fn with(program: &Path, place: &Place, args: &[&str]) -> Ran {
    run(place.command([program]).args(args))
}

#[test]
fn a_system_call_is_one_row() {
    let place = Place::new();
    let there = tempfile::Builder::new()
        .prefix("one-row-")
        .tempdir_in(env!("CARGO_TARGET_TMPDIR"))
        .unwrap();
    copy(there.path());
    let (file, range) =
        row(&there.path().join("sources/crates/abi/src")).expect("the table has the row");
    let complete = fs::read_to_string(&file).unwrap();
    let line = &complete[range.clone()];
    fs::write(&file, complete.replacen(line, "", 1)).unwrap();
    let counter = tracee("count");
    let counter = counter.to_str().unwrap();
    let traces = [place.trace("without"), place.trace("with")];
    let [without, with_row] = traces.each_ref().map(|t| t.to_str().unwrap());

    let program = build(there.path());
    let ran = with(&program, &place, &["-q", "record", "-o", without, "--", counter, "out", "50"])
        .ok("record");
    assert_eq!(ran.stdout, "50 writes, 0 failed\n");
    let printed = with(&program, &place, &["print", without]).ok("print").stdout;
    assert!(!printed.contains(CALL), "{printed}");
    let number_18 =
        printed.lines().filter(|l| l.contains("syscall_0x12(") && l.contains("= 64")).count();
    assert!(
        number_18 >= 50,
        "an unknown call is recorded by its number, with its arguments and its result:\n{printed}"
    );

    fs::write(&file, &complete).unwrap();
    let program = build(there.path());
    with(&program, &place, &["-q", "record", "-o", with_row, "--", counter, "out", "50"])
        .ok("record");
    let printed = with(&program, &place, &["print", "-e", CALL, with_row]).ok("print").stdout;
    assert_eq!(printed.lines().filter(|l| l.contains("pwrite64(")).count(), 50, "{printed}");
    let root = place.directory("root");
    let report = same_again(&place, &traces[1], &root);
    assert!(number(&report, "performed") > 100, "{report}");
    let again = with(
        &program,
        &place,
        &["replay", "--json", "--root", place.directory("again").to_str().unwrap(), with_row],
    )
    .ok("replay by the copy");
    let again: serde_json::Value = serde_json::from_str(&again.stdout).unwrap();
    assert_eq!(
        (number(&again, "divergences"), number(&again, "state.different")),
        (0, 0),
        "{again}"
    );
    let out = place.work().strip_prefix("/").unwrap().join("out");
    assert_eq!(fs::read(root.join(&out)).unwrap(), fs::read(place.work().join("out")).unwrap());
}
