//! What is printed: the calls that `-e`, `-P`, `-z` and `-Z` choose, and which of the lines that
//! tell what happened to processes.

use super::Args;
use super::event::signal_name;
use crate::filter::{self, Filter, Status};
use anyhow::{Result, bail};
use std::collections::BTreeSet;
use std::os::unix::ffi::OsStrExt;
use std::path::{Component, Path, PathBuf};
use trace::RecordKind;

/// What is printed.
#[derive(Debug, Default)]
pub struct Selection {
    /// Which calls.
    pub filter: Filter,
    /// Which signals, where that was said.
    signals: Option<Signals>,
    /// Everything that is no call is left out.
    calls_only: bool,
    /// Ends, starts and changes of processes are left out, each sort for itself.
    silent: BTreeSet<Sort>,
    /// `-e abbrev=none`: all of structs.
    pub whole: bool,
}

/// What happens to a process and is no signal.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Sort {
    Start,
    Exec,
    Exit,
}

#[derive(Debug, PartialEq, Eq)]
struct Signals {
    listed: BTreeSet<String>,
    all_but: bool,
}

impl Selection {
    /// Selects all calls and events.
    pub fn all() -> Self {
        Self { whole: true, ..Self::default() }
    }
    /// Creates the selection that the options express, except for `-P` (see
    /// [`Selection::add_paths`]). `quiet` is whether `-q` was given.
    pub fn from_args(a: &Args, quiet: bool) -> Result<Self> {
        let mut choice = Self::default();
        let mut of_calls = Vec::new();
        for expression in &a.filter {
            match expression.split_once('=') {
                Some(("signal" | "signals" | "s", set)) => {
                    choice.signals = Some(parse_signals(set)?);
                }
                Some(("quiet" | "silent" | "silence" | "q", set)) => {
                    choice.silent = parse_quiet(set)?;
                }
                Some(("abbrev" | "a", "none")) => choice.whole = true,
                Some(("abbrev" | "a", "all")) => choice.whole = false,
                _ => of_calls.push(expression.clone()),
            }
        }
        choice.filter = match Filter::parse(&of_calls) {
            Err(filter::Error::Qualifier(word)) => bail!(
                "-e {word}= is not something that print knows: there are trace=, status=, path=, \
                 signal=, quiet=, and abbrev=none or all"
            ),
            parsed => parsed?,
        };
        if a.successful || a.failed {
            let status = if a.failed { Status::Failed } else { Status::Successful };
            choice.filter.only_status(status);
        }
        choice.calls_only = quiet || choice.filter.chooses();
        Ok(choice)
    }

    /// Adds the paths of `-P`. Relative ones begin at `directory`, where the recorded program was
    /// started.
    pub fn add_paths(&mut self, paths: &[PathBuf], directory: &[u8]) -> Result<()> {
        for path in paths {
            self.filter.add_path(&to_absolute(path, directory))?;
            self.calls_only = true;
        }
        Ok(())
    }

    /// Returns whether the line of an event is printed. Gaps and notes always are.
    pub fn selects_event(&self, event: &trace::Event) -> bool {
        match event.kind {
            RecordKind::Gap | RecordKind::Note => true,
            RecordKind::Signal => {
                let name = signal_name(event.args[0]);
                self.signals.as_ref().map_or(!self.calls_only, |s| s.has(&name))
            }
            RecordKind::Start => self.has_sort(Sort::Start),
            RecordKind::Exec => self.has_sort(Sort::Exec),
            RecordKind::Exit => self.has_sort(Sort::Exit),
            _ => !self.calls_only,
        }
    }
    fn has_sort(&self, sort: Sort) -> bool {
        !self.calls_only && !self.silent.contains(&sort)
    }
}

impl Signals {
    fn has(&self, name: &str) -> bool {
        self.listed.contains(name) != self.all_but
    }
}

/// Parses a set of signals: `none`, `all`, `SIGINT,term`, `!SIGCHLD`.
fn parse_signals(set: &str) -> Result<Signals> {
    let (all_but, names) = set.strip_prefix('!').map_or((false, set), |rest| (true, rest));
    let mut listed = BTreeSet::new();
    match names {
        "all" => return Ok(Signals { listed, all_but: !all_but }),
        "none" => return Ok(Signals { listed, all_but }),
        _ => {}
    }
    for name in names.split(',') {
        let name = format!("SIG{}", name.to_ascii_uppercase().trim_start_matches("SIG"));
        if !(1..=64).any(|n| signal_name(n) == name) {
            bail!(
                "there is no signal {name} (in \"-e signal={set}\"); `kill -l` lists their names"
            );
        }
        listed.insert(name);
    }
    Ok(Signals { listed, all_but })
}

/// Parses the set of strace's `--quiet`. Words about messages that only strace prints are accepted
/// and have no effect.
fn parse_quiet(set: &str) -> Result<BTreeSet<Sort>> {
    let mut silent = BTreeSet::new();
    for word in set.split(',') {
        match word {
            "all" => silent.extend([Sort::Start, Sort::Exec, Sort::Exit]),
            "attach" => drop(silent.insert(Sort::Start)),
            "exit" => drop(silent.insert(Sort::Exit)),
            "thread-execve" | "superseded" => drop(silent.insert(Sort::Exec)),
            "none" | "path-resolution" | "personality" => {}
            _ => bail!("-e quiet={set}: there are attach, exit, thread-execve, all and none"),
        }
    }
    Ok(silent)
}

/// Returns a path as the trace has it: from the root, without `.` and `..`.
fn to_absolute(path: &Path, directory: &[u8]) -> Vec<u8> {
    let mut whole = if path.is_absolute() { Vec::new() } else { directory.to_vec() };
    for part in path.components() {
        if part != Component::RootDir {
            whole.push(b'/');
            whole.extend_from_slice(part.as_os_str().as_bytes());
        }
    }
    model::processes::lexical(&whole)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn signals_as_strace_takes_them() {
        let has = |set: &str, name: &str| parse_signals(set).expect("a set").has(name);
        assert!(has("all", "SIGINT") && !has("none", "SIGINT"));
        assert!(has("SIGINT,term", "SIGTERM") && !has("SIGINT,term", "SIGCHLD"));
        assert!(has("!chld", "SIGINT") && !has("!chld", "SIGCHLD"));
        assert_eq!(
            parse_signals("SIGNIX").expect_err("no signal").to_string(),
            "there is no signal SIGNIX (in \"-e signal=SIGNIX\"); `kill -l` lists their names"
        );
    }

    #[test]
    fn paths_from_where_the_program_began() {
        let of = |path: &str| to_absolute(Path::new(path), b"/home/ada");
        assert_eq!(of("app.db"), b"/home/ada/app.db");
        assert_eq!(of("./x/../app.db"), b"/home/ada/app.db");
        assert_eq!(of("/etc/passwd"), b"/etc/passwd");
    }
}
