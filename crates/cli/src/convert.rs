//! `reanimator convert`: traces of other tools in, and ours out.

use crate::failure::Advise;
use crate::naming;
use crate::talk::Talk;
use crate::units::{bytes, count, counted};
use anyhow::{Result, bail};
use interop::format::{Format, READABLE, sniff};
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

/// Convert a trace from or into another tool's format
///
/// What FROM is, is found out from its content. What could not be taken over is said, by name and number; what the other tool does not tell is left open, or marked as
/// made up where replay needs it.
#[derive(clap::Args, Debug)]
#[command(after_help = "\
Examples:
  reanimator convert trace.ds trace.ra         a DataSeries file of RA-Strace, for replay
  reanimator convert --directory /srv trace.ds trace.ra
  strace -f -ttt -T -y -xx -v -s 9999999 -o log CMD; reanimator convert log log.ra
  reanimator convert ~/lttng-traces/s/ s.ra    a kernel trace of LTTng: calls without data")]
pub struct Args {
    /// The trace to read
    #[arg(value_name = "FROM")]
    pub from: PathBuf,
    /// What to write; its name says the format: NAME.ra
    #[arg(value_name = "TO")]
    pub to: PathBuf,
    /// The working directory of the recorded program, where the other tool does not tell it
    #[arg(long, value_name = "DIR")]
    pub directory: Option<PathBuf>,
}

/// `reanimator convert`.
pub fn run(a: &Args, talk: &Talk) -> Result<()> {
    let from = sniff(&a.from)?;
    let Some(from) = from else {
        let unknown: Result<()> = Err(anyhow::anyhow!("{} is in no format that can be read", a.from.display()));
        return unknown.advise(format!("these can be read: {READABLE}"));
    };
    if a.to.extension() != Some(OsStr::new("ra")) {
        let unknown: Result<()> = Err(anyhow::anyhow!("{} has no extension that says a format", a.to.display()));
        return unknown.advise("name it .ra");
    }
    let to = naming::output(Some(&a.to), OsStr::new(""), false)?;
    let progress = talk.progress("converting");
    let outcome = match from {
        Format::Trace => bail!("{} is a trace already", a.from.display()),
        Format::DataSeries => interop::dataseries::import(&a.from, &to, directory(a).as_deref(), &mut |done, of| progress.at(done, of)),
        Format::Ctf => interop::ctf::import(&a.from, &to, directory(a).as_deref(), &mut |done, of| progress.at(done, of)),
        Format::Strace => interop::strace::import(&a.from, &to, directory(a).as_deref(), &mut |done, of| progress.at(done, of)),
    };
    drop(progress);
    let outcome = outcome?;
    tell(&outcome, &to, talk);
    Ok(())
}

fn directory(a: &Args) -> Option<Vec<u8>> {
    a.directory.as_ref().map(|d| d.as_os_str().as_bytes().to_vec())
}

fn tell(outcome: &interop::Outcome, to: &Path, talk: &Talk) {
    let s = &outcome.summary;
    for note in &s.notes {
        talk.say(format_args!("note: {note}"));
    }
    for (what, n) in &outcome.lost {
        talk.warn(format_args!("not taken over: {} {what}", count(*n)));
    }
    talk.say(format_args!(
        "wrote {}  {}  {}  {}  {}",
        to.display(),
        counted(s.calls, "call", "calls"),
        counted(s.processes, "process", "processes"),
        bytes(s.bytes_on_disk),
        s.verdict
    ));
    if let Some(damage) = &outcome.damage {
        talk.warn(format_args!("it was not read to its end: {damage}"));
    }
}
