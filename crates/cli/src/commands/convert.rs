//! `reanimator convert`: traces of other tools in, and ours out.

use crate::commands::print;
use crate::messages::Messages;
use crate::messages::failure::{self, Advise};
use crate::output::units::{format_bytes, format_count, format_counted};
use crate::traces::naming;
use crate::traces::unfinished::Unfinished;
use anyhow::{Context, Result, bail};
use interop::export::{Exported, FORMATS, Format, Sink};
use interop::format::{READABLE, sniff};
use interop::{Importer, Outcome};
use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::io::{self, BufWriter};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

/// Convert a trace from or to another tool's format
#[derive(clap::Args, Debug)]
#[command(long_about = long_about(), after_help = "\
Examples:
  strace -f -ttt -T -y -xx -v -s 9999999 -o log CMD
  reanimator convert log log.ra
      Record with strace, and convert the log
  reanimator convert trace.ds trace.ra
      Convert a DataSeries file of RA-Strace
  reanimator convert --directory /srv trace.ds trace.ra
      The same, where the program's working directory is not in the file
  reanimator convert ~/lttng-traces/s/ s.ra
      Convert a kernel trace of LTTng, which has calls without data
  perf record -e 'raw_syscalls:*' CMD; perf script >log
  reanimator convert log log.ra
      Record with perf, and convert its text
  reanimator convert app.ra app.pftrace
      Write a timeline for ui.perfetto.dev
  reanimator convert app.ra app.iolog; fio --name=x --read_iolog=app.iolog
      Replay the I/O with fio")]
pub struct Args {
    /// The trace or log to read
    #[arg(value_name = "FROM")]
    pub from: PathBuf,
    /// The file to write; its extension chooses the format
    #[arg(value_name = "TO")]
    pub to: PathBuf,
    /// The recorded program's working directory, if the input does not have it
    #[arg(long, value_name = "DIR", value_hint = clap::ValueHint::DirPath)]
    pub directory: Option<PathBuf>,
}

/// What is written.
#[derive(Clone, Copy, Debug)]
enum Target {
    /// A trace of ours.
    Trace,
    /// What `print` prints.
    Lines { json: bool },
    /// The format of another tool.
    Export(&'static Format),
}

/// Returns all file name extensions, and the output format that each stands for.
fn targets() -> impl Iterator<Item = (&'static str, Target)> {
    let exports = FORMATS.iter().flat_map(|format| {
        format.extensions.iter().map(move |extension| (*extension, Target::Export(format)))
    });
    let lines = [("jsonl", true), ("strace", false)];
    [("ra", Target::Trace)]
        .into_iter()
        .chain(exports)
        .chain(lines.map(|(extension, json)| (extension, Target::Lines { json })))
}

/// Returns the description of the command for its help, with the list of output formats.
fn long_about() -> String {
    let exports: Vec<String> = FORMATS
        .iter()
        .map(|format| match format.name {
            "" => format!(".{}", format.extensions[0]),
            name => format!(".{} ({name})", format.extensions[0]),
        })
        .collect();
    format!(
        "Convert a trace from or to another tool's format\n\n\
         The input's format is found from its content, the output's from its name. Existing files \
         are not replaced. What cannot be converted is counted and reported.\n\n\
         Reads DataSeries (RA-Strace, RA-LTTng), CTF 1.8 (LTTng kernel traces), and text of \
         strace, perf trace, perf script, FreeBSD's kdump and blkparse.\n\n\
         Writes .ra (Reanimator), {}, .jsonl and .strace.",
        exports.join(", ")
    )
}

/// Runs `reanimator convert`: detects the input format from the content and the output format from
/// the extension, and converts.
pub fn run(a: &Args, messages: &Messages) -> Result<()> {
    let from = sniff(&a.from)?;
    let Some(from) = from else {
        let unknown: Result<()> =
            Err(anyhow::anyhow!("unknown input format: {}", a.from.display()));
        return unknown.advise(format!("these formats can be read: {READABLE}"));
    };
    let extension = a.to.extension().and_then(OsStr::to_str);
    let Some((_, target)) = targets().find(|(name, _)| Some(*name) == extension) else {
        let names: Vec<String> = targets().map(|(name, _)| format!(".{name}")).collect();
        let unknown: Result<()> = Err(anyhow::anyhow!("unknown output format: {}", a.to.display()));
        return unknown.advise(format!("the extension must be one of {}", names.join(" ")));
    };
    match (from.importer(), target) {
        (None, Target::Trace) => bail!("{} is a trace already", a.from.display()),
        (None, target) => export(a, target, messages),
        (Some(import), Target::Trace) => {
            let to = naming::choose_output(Some(&a.to), OsStr::new(""), false)?;
            let (unfinished, outcome) = import_beside(a, import, messages)?;
            unfinished.finish(&to)?;
            print_imported(&outcome, Some(&to), messages);
            Ok(())
        }
        (Some(import), target) => {
            // By way of a trace of ours, which goes again.
            let (through, outcome) = import_beside(a, import, messages)?;
            print_imported(&outcome, None, messages);
            let from = through.path().to_owned();
            export(&Args { from, to: a.to.clone(), directory: None }, target, messages)
        }
    }
}

/// Imports another tool's recording as a trace in a hidden directory beside the output. The caller
/// renames it, or it is removed when dropped.
fn import_beside(a: &Args, import: Importer, messages: &Messages) -> Result<(Unfinished, Outcome)> {
    let unfinished = Unfinished::beside(&a.to)?;
    let directory = a.directory.as_ref().map(|d| d.as_os_str().as_bytes());
    let bar = messages.progress("reading");
    let outcome =
        import(&a.from, unfinished.path(), directory, &mut |done, of| bar.set_position(done, of));
    drop(bar);
    Ok((unfinished, outcome?))
}

/// Exports a trace in the target format, and prints what could not be converted. Fails if the
/// output exists already.
fn export(a: &Args, target: Target, messages: &Messages) -> Result<()> {
    let opened = model::recover(&a.from, &mut |_, _| {}).and_then(|_| trace::Trace::open(&a.from));
    let trace = failure::with_advice(opened, &a.from)?;
    if a.to.symlink_metadata().is_ok() {
        let there: Result<()> = Err(anyhow::anyhow!("{} exists", a.to.display()));
        return there.advise("choose another name: existing files are not replaced");
    }
    let bar = messages.progress("converting");
    let progress = &mut |done, of| bar.set_position(done, of);
    let written = match target {
        Target::Export(format) => {
            format.export(&trace, &a.to, progress).map_err(anyhow::Error::from)
        }
        Target::Lines { json } => export_lines(&trace, &a.to, json, messages),
        Target::Trace => bail!("{} is a trace already", a.from.display()),
    };
    drop(bar);
    let exported = written?;
    for (what, n) in &exported.changed {
        messages.say(format_args!("note: {} {what}", format_count(*n)));
    }
    print_lost(&exported.lost, messages);
    let size = std::fs::metadata(&a.to).map_or(0, |m| m.len());
    messages.say(format_args!(
        "wrote {}  {}  {}",
        a.to.display(),
        format_counted(exported.calls, "call", "calls"),
        format_bytes(size)
    ));
    Ok(())
}

/// Exports a trace as the lines that `reanimator print` prints, with nothing shortened: as text, or
/// as JSON.
fn export_lines(
    trace: &trace::Trace,
    to: &Path,
    json: bool,
    messages: &Messages,
) -> Result<Exported> {
    let cannot = || format!("cannot write {}", to.display());
    let mut out = BufWriter::new(Sink::new(to)?);
    print::print_all(json, messages, trace, &mut out)?;
    out.into_inner().map_err(io::IntoInnerError::into_error).with_context(cannot)?.finish()?;
    Ok(Exported { calls: trace.summary().calls, ..Exported::default() })
}

/// Warns about what was not converted: each kind with its count.
fn print_lost(lost: &BTreeMap<String, u64>, messages: &Messages) {
    for (what, n) in lost {
        messages.caution(format_args!("not converted: {} {what}", format_count(*n)));
    }
}

/// Prints notes, losses and a summary of an import. `to` is the path of the trace, or `None` if the
/// trace was only a step to another format.
fn print_imported(outcome: &Outcome, to: Option<&Path>, messages: &Messages) {
    let s = &outcome.summary;
    for note in &s.notes {
        messages.say(format_args!("note: {note}"));
    }
    print_lost(&outcome.lost, messages);
    if let Some(to) = to {
        let (calls, processes) = (
            format_counted(s.calls, "call", "calls"),
            format_counted(s.processes, "process", "processes"),
        );
        messages.say(format_args!(
            "wrote {}  {calls}  {processes}  {}  {}",
            to.display(),
            format_bytes(s.bytes_on_disk),
            s.verdict
        ));
    }
    if let Some(damage) = &outcome.damage {
        messages.caution(format_args!("the input was read only up to a damaged place: {damage}"));
    }
}
