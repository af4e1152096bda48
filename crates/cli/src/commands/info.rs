//! `reanimator info`: what a trace is, without reading its calls.

use crate::messages::Messages;
use crate::options::TraceArg;
use crate::output::units::{format_bytes, format_count, format_counted, format_duration};
use crate::output::{clock, json, stdout};
use crate::traces::reading;
use anyhow::Result;
use serde_json::{Value, json};
use std::ffi::OsString;
use std::fmt::Write;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use trace::text::escape;
use trace::{RecordingInfo, Summary, Trace};

/// Show a trace's command, verdict and totals
#[derive(clap::Args, Debug)]
#[command(after_help = "\
Examples:
  reanimator info
      Show the newest trace
  reanimator info --json ls.ra | jq .verdict")]
pub struct Args {
    #[command(flatten)]
    pub trace: TraceArg,
    /// Print a JSON document
    #[arg(long)]
    pub json: bool,
}

/// Runs `reanimator info`: prints facts about a trace, as a table or as JSON.
pub fn run(a: &Args, messages: &Messages) -> Result<()> {
    let trace = reading::open_trace(&a.trace, messages)?;
    if a.json {
        stdout::print_json(&to_json(&trace))
    } else {
        stdout::print_text(&facts_table(trace.path(), trace.recording_info(), trace.summary())?)
    }
}

/// Returns the document that `info --json` and `recover --json` print.
pub fn to_json(trace: &Trace) -> Value {
    let (about, s) = (trace.recording_info(), trace.summary());
    json!({
        "trace": json::bytes_to_json(trace.path().as_os_str().as_bytes()),
        "command": json::bytes_to_json(&to_shell_line(&about.command)),
        "argv": about.command.iter().map(|a| json::bytes_to_json(a.as_bytes())).collect::<Vec<_>>(),
        "joined": about.joined,
        "directory": json::bytes_to_json(&about.directory),
        "engine": about.engine,
        "filter": about.filter,
        "data": about.data,
        "verdict": s.verdict,
        "reasons": s.reasons,
        "notes": s.notes,
        "calls": s.calls,
        "events": s.events,
        "lost": s.lost,
        "held_ns": s.held_ns,
        "unreadable": s.unreadable,
        "cut": s.cut,
        "unreturned": s.unreturned,
        "processes": s.processes,
        "threads": s.threads,
        "files": s.files,
        "outside": s.outside,
        "bytes_captured": s.bytes_captured,
        "bytes_on_disk": s.bytes_on_disk,
        "snapshot_bytes": s.snapshot_bytes,
        "began": clock::rfc3339(wall_clock_start(about)),
        "seconds": traced_nanos(s) as f64 / 1e9,
        "recovered": s.recovered,
        "host": about.host,
        "kernel": about.kernel,
        "machine": about.machine,
        "cpus": about.cpus,
        "uid": about.uid,
        "version": about.version,
    })
}

/// Returns the time at which the recording began, in nanoseconds since 1970.
fn wall_clock_start(about: &RecordingInfo) -> i64 {
    about.clock_offset.saturating_add_unsigned(about.began)
}

/// Returns the time from the first entry of a call to the last return, in nanoseconds.
pub fn traced_nanos(s: &Summary) -> u64 {
    s.last.unwrap_or(0).saturating_sub(s.first.unwrap_or(0))
}

/// Returns the facts about a trace as lines of a name and a value. Lines without a value are left
/// out.
fn facts_table(path: &Path, about: &RecordingInfo, s: &Summary) -> Result<String, std::fmt::Error> {
    let mut text = String::new();
    let mut row = |name: &str, value: &str| {
        if value.is_empty() { Ok(()) } else { writeln!(text, "{name:<10} {value}") }
    };
    row("trace", &path.display().to_string())?;
    row("command", &String::from_utf8_lossy(&to_shell_line(&about.command)))?;
    row("joined", &about.joined.iter().map(u32::to_string).collect::<Vec<_>>().join(" "))?;
    row("directory", &escape(&about.directory))?;
    row(
        "recorded",
        &format!(
            "{}, for {}",
            &clock::rfc3339(wall_clock_start(about))[..19].replace('T', " "),
            format_duration(traced_nanos(s))
        ),
    )?;
    row(
        "on",
        &format!("{}, Linux {} {}, {} CPUs", about.host, about.kernel, about.machine, about.cpus),
    )?;
    row("by", &format!("reanimator {}, engine {}", about.version, about.engine))?;
    row("filter", &about.filter)?;
    row("data", if about.data == "all" { "" } else { &about.data })?;
    row("verdict", &s.verdict.to_string())?;
    for reason in &s.reasons {
        row("", &format!("- {reason}"))?;
    }
    for note in &s.notes {
        row("note", note)?;
    }
    row("calls", &describe_calls(s))?;
    row(
        "processes",
        &format!(
            "{}, {}",
            format_count(s.processes),
            format_counted(s.threads, "thread", "threads")
        ),
    )?;
    row(
        "delayed",
        &if s.held_ns > 0 {
            format!("{} in all, so that no call was lost", format_duration(s.held_ns))
        } else {
            String::new()
        },
    )?;
    row("files", &format_count(s.files))?;
    row("captured", &format_bytes(s.bytes_captured))?;
    row("snapshot", &s.snapshot_bytes.map_or_else(String::new, format_bytes))?;
    row("on disk", &format_bytes(s.bytes_on_disk))?;
    Ok(text)
}

/// Returns the number of calls, and how many were lost, did not return, or lack data.
fn describe_calls(s: &Summary) -> String {
    let mut text = format_count(s.calls);
    // The last call of a thread that exits never returns, and that is as it should be.
    let unreturned = s.unreturned.saturating_sub(s.threads);
    for (n, what) in [
        (s.lost, "lost"),
        (unreturned, "that never returned"),
        (s.unreadable, "buffers unreadable"),
        (s.cut, "buffers cut"),
    ] {
        if n > 0 {
            text.push_str(&format!(", {} {what}", format_count(n)));
        }
    }
    text
}

/// Returns a command as a line that can be pasted into bash, zsh or ksh. Words are quoted where
/// necessary, with `$'...'` if they have characters that are not printable.
fn to_shell_line(command: &[OsString]) -> Vec<u8> {
    let words: Vec<Vec<u8>> = command.iter().map(|word| quote_word(word.as_bytes())).collect();
    words.join(&b' ')
}

/// Quotes one word of a command for the shell, if necessary.
fn quote_word(word: &[u8]) -> Vec<u8> {
    let plain = |b: &u8| b.is_ascii_alphanumeric() || b"-_./=:,@%+".contains(b);
    if !word.is_empty() && word.iter().all(plain) {
        return word.to_vec();
    }
    let printable = std::str::from_utf8(word).is_ok_and(|text| !text.chars().any(char::is_control));
    if printable {
        return format!("'{}'", String::from_utf8_lossy(word).replace('\'', r"'\''")).into_bytes();
    }
    let mut text = b"$'".to_vec();
    for &byte in word {
        match byte {
            b'\'' | b'\\' => text.extend([b'\\', byte]),
            b'\n' => text.extend(b"\\n"),
            b'\t' => text.extend(b"\\t"),
            b' '..=b'~' => text.push(byte),
            // Three octal digits: a digit that follows does not belong to them.
            _ => text.extend(format!("\\{byte:03o}").bytes()),
        }
    }
    text.push(b'\'');
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::ffi::OsStr;
    use std::os::unix::ffi::OsStringExt;

    #[test]
    fn commands_can_be_pasted() {
        let words: [&[u8]; 7] =
            [b"a", b"", b"it's", b"a\n'b\\c", b"\xff7", "\u{e9}".as_bytes(), b"x y"];
        let line = to_shell_line(&words.map(|w| OsString::from_vec(w.to_vec())));
        let script = [b"printf '<%s>' ", &line[..]].concat();
        let printed = std::process::Command::new("/bin/bash")
            .args([OsStr::new("-c"), OsStr::from_bytes(&script)])
            .output()
            .expect("bash runs");
        let expected: Vec<u8> = words.iter().flat_map(|w| [b"<", *w, b">"].concat()).collect();
        assert_eq!(printed.stdout, expected, "{}", String::from_utf8_lossy(&line));
    }

    #[test]
    fn everything_in_its_row() {
        let about = RecordingInfo {
            command: ["sh", "-c", "echo 'a b'"].map(OsString::from).to_vec(),
            directory: b"/home/ada".to_vec(),
            engine: "ptrace".to_owned(),
            data: "all".to_owned(),
            version: "0.1.0".to_owned(),
            clock_offset: 1_795_378_979_000_000_000,
            host: "ada".to_owned(),
            kernel: "6.18.44".to_owned(),
            machine: "x86_64".to_owned(),
            cpus: 2,
            ..RecordingInfo::default()
        };
        let summary = Summary {
            reasons: vec!["the recorder died".to_owned()],
            calls: 1204,
            unreturned: 5,
            processes: 3,
            threads: 4,
            bytes_captured: 88_123,
            bytes_on_disk: 4_096,
            first: Some(5),
            last: Some(1_240_000_005),
            ..Summary::default()
        };
        insta::assert_snapshot!(facts_table(Path::new("sh.ra"), &about, &summary).expect("a string takes \
            it"), @r#"
        trace      sh.ra
        command    sh -c 'echo '\''a b'\'''
        directory  /home/ada
        recorded   2026-11-22 20:22:59, for 1.24 s
        on         ada, Linux 6.18.44 x86_64, 2 CPUs
        by         reanimator 0.1.0, engine ptrace
        verdict    incomplete
                   - the recorder died
        calls      1,204, 1 that never returned
        processes  3, 4 threads
        files      0
        captured   88 kB
        on disk    4.1 kB
        "#);
    }
}
