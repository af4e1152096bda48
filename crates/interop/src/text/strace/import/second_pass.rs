//! The second pass: each line goes into the trace.

use super::first_pass::FirstPass;
use super::thread_parents::Parents;
use crate::importing::finish;
use crate::text::strace::line::{Body, Line};
use crate::text::strace::value::{self, Parsed};
use crate::{Error, Outcome};
use ::import::{Import, ImportedCall};
use abi::{CallSpec, Effect, Kind, Replay, Row};
use ahash::HashMap;
use linux_raw_sys::errno::{EBADF, EFAULT};
use linux_raw_sys::general::O_RDWR;
use std::collections::BTreeSet;

/// The bit of a wait status that means a core dump (WCOREDUMP).
const CORE_DUMPED: u64 = 0x80;

/// A call that has not returned.
struct PendingCall {
    tid: u32,
    entered: u64,
    name: String,
    args: String,
}

/// An import under way: what the second pass has read so far.
pub(crate) struct StraceImport {
    pub import: Import,
    pub first: FirstPass,
    /// The thread of lines that have no thread id.
    main: u32,
    parents: Parents,
    /// Calls that have not returned, by thread id.
    pending_calls: HashMap<u32, PendingCall>,
    /// Threads that have made a call and have not ended.
    alive: BTreeSet<u32>,
    /// Calls with strings that strace cut.
    cut: u64,
    /// Calls with structs or strings that strace abbreviated.
    abbreviated: u64,
}

impl StraceImport {
    /// Starts the second pass. `main` is the thread of lines without a thread id; `first` and
    /// `parents` are what the first pass found.
    pub fn new(import: Import, main: u32, first: FirstPass, parents: Parents) -> Self {
        Self {
            import,
            first,
            main,
            parents,
            pending_calls: HashMap::default(),
            alive: BTreeSet::new(),
            cut: 0,
            abbreviated: 0,
        }
    }

    /// Counts a call or line that is not imported; `what` says which.
    fn count_left_out(&mut self, what: &str) {
        self.import.count_left_out(what, 1);
    }

    /// Imports a line. `number` counts lines from 1.
    pub fn import_line(&mut self, line: Line<'_>, time: u64, number: u64) -> Result<(), Error> {
        // Lines without a thread id are about the only thread that is left.
        let only_thread = || self.alive.first().copied().filter(|_| self.alive.len() == 1);
        let tid = line.tid.or_else(only_thread).unwrap_or(self.main);
        if self.parents.orphans.contains(&number) {
            let directory = self.first.directory_of(tid).cloned();
            self.import.add_existing_thread(tid, time, directory.as_deref())?;
        }
        for (child, fork) in self.parents.children_by_line.remove(&number).unwrap_or_default() {
            self.import.add_fork(child, fork)?;
        }
        let pending = |name: &str, args: &str| PendingCall {
            tid,
            entered: time,
            name: name.to_owned(),
            args: args.to_owned(),
        };
        match line.body {
            Body::Call(name, args, after) => self.import_call(pending(name, args), after, None),
            Body::Begin(name, args) => {
                self.alive.insert(tid);
                let before = self.pending_calls.insert(tid, pending(name, args));
                self.add_broken(before, "starts of calls without a return")
            }
            Body::Resume(name, args, after) => match self.pending_calls.remove(&tid) {
                Some(mut begun) if begun.name == name => {
                    join_arguments(&mut begun.args, args);
                    self.import_call(begun, after, Some(time))
                }
                before => {
                    self.count_left_out("returns of calls without a start");
                    self.add_broken(before, "starts of calls without a return")
                }
            },
            Body::Signal(name) => match value::signal_by_name(name) {
                Some(signal) => Ok(self.import.add_signal(tid, time, signal)?),
                None => {
                    self.count_left_out("signals with an unknown name");
                    Ok(())
                }
            },
            Body::Exited(status) => self.end_thread(tid, time, u64::from(status & 0xff) << 8),
            Body::Killed(name, dumped) => match value::signal_by_name(name) {
                Some(signal) => {
                    self.end_thread(tid, time, signal | if dumped { CORE_DUMPED } else { 0 })
                }
                None => {
                    self.count_left_out("ends by signals with an unknown name");
                    self.end_thread(tid, time, 0x7f)
                }
            },
            Body::Superseded(by) => {
                // The call of the first thread ends; the execve(2) continues under its id.
                let ended = self.pending_calls.remove(&tid);
                if let Some(execve) = self.pending_calls.remove(&by) {
                    self.pending_calls.insert(tid, execve);
                }
                self.alive.remove(&by);
                self.add_unreturned(ended)
            }
            Body::Message => Ok(()),
            Body::Unknown => {
                self.count_left_out("lines that are not calls");
                Ok(())
            }
        }
    }

    /// Adds a call, if there is one, whose return is missing in the log, and counts it for the
    /// reason `why`.
    fn add_broken(&mut self, begun: Option<PendingCall>, why: &str) -> Result<(), Error> {
        if begun.is_some() {
            self.count_left_out(why);
        }
        self.add_unreturned(begun)
    }

    /// Adds a call, if there is one, that did not return.
    fn add_unreturned(&mut self, begun: Option<PendingCall>) -> Result<(), Error> {
        begun.map_or(Ok(()), |begun| self.import_call(begun, "?", None))
    }

    /// Adds the end of a thread, with its wait status. A call under way did not return.
    fn end_thread(&mut self, tid: u32, time: u64, status: u64) -> Result<(), Error> {
        let ended = self.pending_calls.remove(&tid);
        self.add_unreturned(ended)?;
        self.alive.remove(&tid);
        Ok(self.import.add_exit(tid, time, status)?)
    }

    /// Imports a call whose line is whole. `after` is the text behind its arguments; `resumed` is
    /// the time of the line that resumes an unfinished call.
    fn import_call(
        &mut self,
        begun: PendingCall,
        after: &str,
        resumed: Option<u64>,
    ) -> Result<(), Error> {
        let PendingCall { tid, entered, name, args } = begun;
        self.alive.insert(tid);
        let Some(mut imported) =
            table_row(&name).map(|row| ImportedCall::from_row(row, tid, entered))
        else {
            self.count_left_out(&format!(
                "calls of {name}, which is not in the table of system calls"
            ));
            return Ok(());
        };
        if let Some(ret) = value::parse_result(after) {
            imported.set_returned(
                value::parse_return_time(after, entered).or(resumed).unwrap_or(entered),
                ret,
            );
        }
        let parts = value::split(&args);
        let parts: Vec<(usize, &str)> = assign_arguments(&imported, &parts);
        // The value of one argument may decide what the others are.
        if let Some((i, text)) = selecting_argument(imported.row, &parts) {
            let kind = imported.row.spec.args[i].kind;
            value::parse(&mut imported, i, kind, text);
        }
        let spec = imported.row.spec(&imported.call.args);
        let (mut cut, mut unknown, mut abbreviated) = (false, false, false);
        for &(i, text) in &parts {
            let Some(arg) = spec.args.get(i) else { continue };
            match value::parse(&mut imported, i, arg.kind, text) {
                Parsed::Whole => {}
                Parsed::Cut => cut = true,
                Parsed::Unknown => unknown = true,
                Parsed::Abbreviated => abbreviated |= was_copied(&imported, arg.kind),
            }
        }
        self.cut += u64::from(cut);
        if unknown {
            self.count_left_out(&format!("unknown words in arguments of {name}"));
        }
        self.abbreviated += u64::from(abbreviated && spec.replay == Replay::Issue);
        for &(i, text) in &parts {
            self.add_open_descriptor(&imported, spec, i, text)?;
        }
        if matches!(spec.effect, Effect::Exit | Effect::ExitGroup) {
            imported.call.exited = None;
            imported.call.flags |= trace::record::NO_EXIT;
            self.alive.remove(&tid);
        }
        Ok(self.import.add_call(imported)?)
    }

    /// Adds a descriptor that `-y` shows and no call opened, as it was open when the recording
    /// began.
    fn add_open_descriptor(
        &mut self,
        imported: &ImportedCall,
        spec: &CallSpec,
        arg: usize,
        text: &str,
    ) -> Result<(), Error> {
        let is_fd = spec.args.get(arg).is_some_and(|a| matches!(a.kind, Kind::Fd | Kind::DirFd));
        let fd = imported.call.args.get(arg).map_or(-1, |v| *v as i32);
        // strace prints a path even if the call fails as the descriptor is closed.
        if !is_fd || fd < 0 || imported.call.errno() == Some(EBADF.cast_signed()) {
            return Ok(());
        }
        let (tid, time) = (imported.call.tid, imported.call.entered);
        match value::parse_path(text).filter(|(path, _)| path.starts_with(b"/")) {
            Some((path, deleted)) if !self.import.has_descriptor(tid, fd) => match deleted {
                true => Ok(self.import.add_unlinked_descriptor(tid, time, fd, &path, O_RDWR)?),
                false => Ok(self.import.add_open_descriptor(tid, time, fd, &path, O_RDWR)?),
            },
            _ => Ok(()),
        }
    }

    /// Adds the calls that are unfinished, and ends the trace.
    pub fn finish(mut self, progress: &mut dyn FnMut(u64, u64)) -> Result<Outcome, Error> {
        let mut unfinished: Vec<PendingCall> =
            std::mem::take(&mut self.pending_calls).into_values().collect();
        unfinished.sort_by_key(|begun| (begun.entered, begun.tid));
        for begun in unfinished {
            self.add_unreturned(Some(begun))?;
        }
        let Self { mut import, parents, cut, abbreviated, .. } = self;
        let mut count = |n: u64, what: &str| {
            if n > 0 {
                import.count_left_out(what, n);
            }
        };
        count(cut, "ends of strings that strace cut (a larger -s keeps them)");
        count(abbreviated, "structs and strings that strace abbreviated (-v prints them)");
        let orphans = parents.orphans.len() as u64;
        count(
            orphans,
            "starts of threads or processes (their directory and descriptors are guessed)",
        );
        count(
            parents.ambiguous,
            "parents of processes that are ambiguous (--decode-pids=pidns prints them)",
        );
        finish(import, None, progress)
    }
}

/// Returns the row of a call, by its name or by the number of one that strace does not know.
fn table_row(name: &str) -> Option<&'static Row> {
    let number = || u32::from_str_radix(name.strip_prefix("syscall_0x")?, 16).ok();
    abi::by_name(name).or_else(|| abi::by_number(number()?))
}

/// Joins the arguments of an unfinished call with those of the line that resumes it.
fn join_arguments(begun: &mut String, rest: &str) {
    let list = !begun.is_empty() && !begun.ends_with(',') && !rest.is_empty();
    if list && !rest.starts_with([',', '=']) {
        begun.push(',');
    }
    begun.push(' ');
    begun.push_str(rest);
}

/// Returns the arguments with their indices. strace prints the two halves of an offset as one, and
/// the arguments of clone(2) by name.
fn assign_arguments<'t>(
    imported: &ImportedCall,
    parts: &'t [std::borrow::Cow<'_, str>],
) -> Vec<(usize, &'t str)> {
    let args = imported.row.spec.args;
    let joined = parts.len() < args.len();
    let mut indices = (0..usize::MAX)
        .filter(|i| !joined || !args.get(*i).is_some_and(|a| a.kind == Kind::PosHigh));
    parts
        .iter()
        .filter_map(|text| {
            let index = indices.next()?;
            argument_by_name(&imported.row.spec, text).or(Some((index, &**text)))
        })
        .collect()
}

/// Returns the argument whose value decides what the others mean, with its index. Returns `None` if
/// the call has no such argument, or the line lacks it.
fn selecting_argument<'t>(row: &Row, parts: &[(usize, &'t str)]) -> Option<(usize, &'t str)> {
    let selector = usize::from(row.selector);
    parts.iter().copied().find(|(i, _)| *i == selector && !row.variants.is_empty())
}

/// Returns whether the kernel read or wrote the memory that the argument points to.
fn was_copied(imported: &ImportedCall, kind: Kind) -> bool {
    let is_output = matches!(kind, Kind::Out(..) | Kind::OutIov { .. });
    let is_input = matches!(
        kind,
        Kind::Path(_)
            | Kind::Str
            | Kind::StrVec
            | Kind::In(..)
            | Kind::InOut(..)
            | Kind::InIov { .. }
    );
    is_input && imported.call.errno() != Some(EFAULT.cast_signed())
        || is_output && imported.call.succeeded()
}

/// Parses `name=value`, as strace prints the arguments of clone(2). Returns the index of the
/// argument with this name (`usize::MAX` if there is none) and the text of its value, or `None` if
/// `text` has another form.
fn argument_by_name<'t>(spec: &CallSpec, text: &'t str) -> Option<(usize, &'t str)> {
    let (name, value) = text.split_once('=').filter(|(name, _)| {
        !name.is_empty() && name.bytes().all(|b| b.is_ascii_lowercase() || b == b'_')
    })?;
    let known = spec.args.iter().position(|a| {
        a.name == name
            || a.name.ends_with(name)
            || a.name.starts_with(name)
            || (name == "child_stack" && a.name == "newsp")
    });
    Some((known.unwrap_or(usize::MAX), value))
}
