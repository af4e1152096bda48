//! The program from outside: mistakes, endings, names. Recording and replaying real programs is the
//! business of `e2e`.

use assert_cmd::Command;
use std::path::Path;
use std::process::Output;

/// Runs `reanimator` in `dir`.
fn reanimator(dir: &Path, args: &[&str]) -> Output {
    Command::cargo_bin("reanimator")
        .expect("cargo built it")
        .current_dir(dir)
        .args(args)
        .env("COLUMNS", "80")
        .output()
        .expect("it runs")
}

/// What it says on stderr, and its status.
fn refused(dir: &Path, args: &[&str]) -> String {
    let output = reanimator(dir, args);
    format!("{}-> {}", String::from_utf8_lossy(&output.stderr), output.status.code().unwrap_or(-1))
}

fn empty() -> tempfile::TempDir {
    tempfile::tempdir().expect("a temporary directory")
}

#[test]
fn mistakes_end_with_a_line_that_says_what_to_do() {
    let dir = empty();
    std::fs::create_dir(dir.path().join("thing.ra")).expect("an empty directory");
    let said: Vec<String> = [
        &["print", "no.ra"][..],
        &["info"],
        &["info", "thing.ra"],
        &["print", "-e", "opne", "thing.ra"],
        &["record", "-e", "opne", "true"],
        &["record", "--data", "some", "true"],
        &["record", "--nope", "true"],
        &["record", "-p", "1", "true"],
        &["recover", "thing.ra"],
    ]
    .iter()
    .map(|args| format!("$ reanimator {}\n{}\n", args.join(" "), refused(dir.path(), args)))
    .collect();
    insta::assert_snapshot!(said.join("\n"), @r#"
    $ reanimator print no.ra
    error: no trace at no.ra
      next: `ls -d *.ra` shows the traces here; `reanimator record -o no.ra -- CMD` makes one
    -> 2

    $ reanimator info
    error: there is no trace (*.ra) in the current directory
      next: name a trace, or make one: reanimator record -- CMD
    -> 2

    $ reanimator info thing.ra
    error: thing.ra is not a trace: it has neither trace.json nor a journal
      next: a trace is the directory NAME.ra that `reanimator record` made
    -> 2

    $ reanimator print -e opne thing.ra
    error: unknown system call 'opne'; did you mean open?
    -> 2

    $ reanimator record -e opne true
    error: unknown system call 'opne'; did you mean open?
    -> 125

    $ reanimator record --data some true
    error: invalid value 'some' for '--data <WHAT>': expected all, writes, none or a number of bytes

    For more information, try '--help'.
    -> 125

    $ reanimator record --nope true
    error: unexpected argument '--nope' found

      tip: to pass '--nope' as a value, use '-- --nope'

    Usage: reanimator record [OPTIONS] [--] <COMMAND> [ARG]...
           reanimator record [OPTIONS] -p <PID>...
           reanimator record [OPTIONS] -a | -G <DIR>

    For more information, try '--help'.
    -> 125

    $ reanimator record -p 1 true
    error: the argument '-p <PID>' cannot be used with '[COMMAND]...'

    Usage: reanimator record [OPTIONS] [--] <COMMAND> [ARG]...
           reanimator record [OPTIONS] -p <PID>...
           reanimator record [OPTIONS] -a | -G <DIR>

    For more information, try '--help'.
    -> 125

    $ reanimator recover thing.ra
    error: thing.ra is not a trace: it has neither trace.json nor a journal
      next: a trace is the directory NAME.ra that `reanimator record` made
    -> 2
    "#);
}

#[test]
fn values_that_are_not_taken_are_named_with_what_is() {
    let dir = empty();
    std::fs::write(dir.path().join("text"), "no trace\n").expect("a file");
    std::fs::create_dir(dir.path().join("thing.ra")).expect("an empty directory");
    let said: Vec<String> = [
        &["record", "no-such-command"][..],
        &["record", "./text"],
        &["record", "--seccomp", "true"],
        &["record", "-e", "path=x", "true"],
        &["record", "-e", "status=broken", "true"],
        &["record", "--engine", "ptrace", "-e", "status=failed", "true"],
        &["record", "--buffer", "3M", "true"],
        &["record", "-o", "text", "true"],
        &["print", "-e", "/((", "thing.ra"],
        &["print", "-e", "%nope", "thing.ra"],
        &["replay", "--from", "x"],
        &["replay", "--map", "a=b"],
        &["replay", "--pace", "fast"],
        &["replay", "--write-data", "ones"],
        &["replay", "--memory", "1K"],
        &["bench", "--target", "x"],
        &["convert", "text", "t.ra"],
        &["convert", "text", "t.xyz"],
        &["convert", "none", "t.ra"],
        &["prepare"],
        &["completions", "tcsh"],
        &["nope"],
    ]
    .iter()
    .map(|args| format!("$ reanimator {}\n{}\n", args.join(" "), refused(dir.path(), args)))
    .collect();
    insta::assert_snapshot!("mistakes", said.join("\n"));
}

#[test]
fn every_help_can_be_read() {
    let dir = empty();
    for command in [
        "record",
        "replay",
        "prepare",
        "verify",
        "bench",
        "convert",
        "print",
        "findings",
        "info",
        "recover",
        "syscalls",
        "doctor",
        "man",
        "completions",
    ] {
        let output = reanimator(dir.path(), &[command, "--help"]);
        insta::assert_snapshot!(command, String::from_utf8_lossy(&output.stdout));
    }
}

#[test]
fn a_reader_that_leaves_is_no_error() {
    use std::process::{Command, Stdio};
    let mut child = Command::new(env!("CARGO_BIN_EXE_reanimator"))
        .args(["completions", "bash"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("it runs");
    drop(child.stdout.take());
    let output = child.wait_with_output().expect("it ends");
    assert!(output.status.success() && output.stderr.is_empty(), "{output:?}");
}

#[test]
fn the_doctor_says_what_it_found() {
    let dir = empty();
    let output = reanimator(dir.path(), &["doctor", "--json"]);
    let report: serde_json::Value =
        serde_json::from_slice(&output.stdout).expect("a JSON document");
    assert_eq!(report["works"], output.status.success(), "{report}");
    assert_eq!(
        std::fs::read_dir(dir.path()).expect("still there").count(),
        0,
        "it leaves nothing behind"
    );
}
