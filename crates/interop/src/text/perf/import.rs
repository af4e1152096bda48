//! Imports perf's output.

use super::line::{Called, Line};
use crate::importing::forks::{Forks, is_fork, parse_clone_flags};
use crate::importing::{
    add_unrecorded_data, add_unreturned, begin, count_unentered, ends_thread, finish,
    note_no_directory,
};
use crate::text::lines::Lines;
use crate::text::strace::value;
use crate::{Error, Outcome};
use ::import::{Import, ImportedCall};
use abi::{AT_FDCWD, Kind};
use ahash::HashMap;
use std::path::Path;
use trace::RecordingInfo;

/// Imports the log `from` as the trace `to`. `directory`: the working directory of the programs
/// when the recording began, if it is known. `progress` gets the bytes read and the bytes of the
/// log. Fails if a file cannot be read or written.
pub fn import(
    from: &Path,
    to: &Path,
    directory: Option<&[u8]>,
    progress: &mut dyn FnMut(u64, u64),
) -> Result<Outcome, Error> {
    let mut first = FirstPass::default();
    for_each_line(from, &mut |line| {
        first.scan_line(line);
        Ok(())
    })?;
    let about = RecordingInfo {
        engine: "perf".to_owned(),
        data: "none".to_owned(),
        machine: "x86_64".to_owned(),
        began: first.began.unwrap_or(0),
        ..RecordingInfo::default()
    };
    let mut import = begin(to, about, directory, first.forks.starts)?;
    import.add_note("perf records no data and few paths: calls that need them are not replayed");
    import.add_note("times count from the start of the machine or of perf");
    if directory.is_none() {
        note_no_directory(&mut import, "perf records no working directories");
    }
    let mut conversion = PerfImport { import, pending_calls: HashMap::default(), time: 0 };
    let bytes = for_each_line(from, &mut |line| conversion.import_line(line))?;
    progress(bytes, bytes);
    let PerfImport { mut import, pending_calls, .. } = conversion;
    for imported in pending_calls.into_values() {
        import.add_call(imported)?;
    }
    finish(import, None, progress)
}

/// Calls `each` with every line. Returns the number of bytes read.
fn for_each_line(
    from: &Path,
    each: &mut dyn FnMut(Line<'_>) -> Result<(), Error>,
) -> Result<u64, Error> {
    let mut lines = Lines::open(from)?;
    while let Some(text) = lines.next_line()? {
        let text = text.trim_end();
        if !text.is_empty() && !text.starts_with('#') {
            each(Line::parse(text))?;
        }
    }
    Ok(lines.bytes)
}

/// What a first pass over the log finds.
#[derive(Default)]
struct FirstPass {
    began: Option<u64>,
    forks: Forks,
}

impl FirstPass {
    /// Notes what the import has to know beforehand: the first time, and which calls started
    /// threads.
    fn scan_line(&mut self, line: Line<'_>) {
        let is_fork_number = |nr: u32| abi::by_number(nr).is_some_and(|r| is_fork(r.name()));
        let time = match line {
            Line::Enter(_, time, ..) | Line::Leave(_, time, ..) => Some(time),
            Line::Call(c, _) | Line::Begin(c) | Line::End(c, _) => c.entered,
            Line::Lost(_) | Line::Event | Line::Other => None,
        };
        let Some(time) = time else { return };
        self.began.get_or_insert(time);
        match line {
            Line::Enter(tid, _, nr, args) if is_fork_number(nr) => {
                self.forks.begin_fork(tid, time, args[0]);
            }
            Line::Leave(tid, _, nr, ret) if is_fork_number(nr) => self.forks.end_fork(tid, ret),
            Line::Begin(c) if is_fork(c.name) => {
                self.forks.begin_fork(c.tid, time, parse_clone_flags(c.args));
            }
            Line::End(c, result) if is_fork(c.name) => {
                self.forks.end_fork(c.tid, parse_result(result).unwrap_or(0));
            }
            Line::Call(c, result) if is_fork(c.name) => {
                self.forks.begin_fork(c.tid, time, parse_clone_flags(c.args));
                self.forks.end_fork(c.tid, parse_result(result).unwrap_or(0));
            }
            _ => {}
        }
    }
}

/// Returns the result in `-1 ENOENT (No such file)`, `0x7f00`, `12` or `19871 (dash)`. Returns
/// `None` for `?`, as the call did not return.
fn parse_result(result: &str) -> Option<i64> {
    let mut words = result.split(' ');
    let value = value::parse_number(words.next()?, None)?.cast_signed();
    let errno = words.next().filter(|_| value == -1).and_then(value::errno_by_name);
    Some(errno.map_or(value, |e| -e))
}

struct PerfImport {
    import: Import,
    /// Calls that have not returned, by thread id.
    pending_calls: HashMap<u32, ImportedCall>,
    /// The time of the last line.
    time: u64,
}

impl PerfImport {
    /// Imports a line: the entry or return of a call, a whole call, or a count of lost events.
    fn import_line(&mut self, line: Line<'_>) -> Result<(), Error> {
        match line {
            Line::Enter(tid, time, nr, registers) => {
                self.time = time;
                let Some(row) = abi::by_number(nr) else {
                    let what = format!(
                        "calls with number {nr}, which is not in the table of \
                        system calls"
                    );
                    self.import.count_left_out(&what, 1);
                    return Ok(());
                };
                let Some(mut imported) = ImportedCall::new(row.name(), tid, time) else {
                    return Ok(());
                };
                imported.call.args = registers;
                self.begin_call(imported)
            }
            Line::Leave(tid, time, nr, ret) => {
                self.time = time;
                let pending = self
                    .pending_calls
                    .remove(&tid)
                    .filter(|t| nr == u32::MAX || t.row.number == nr);
                self.end_call(pending, (tid, nr), time, ret)
            }
            Line::Begin(called) => match self.parse_call(called)? {
                Some(imported) => self.begin_call(imported),
                None => Ok(()),
            },
            Line::Call(called, result) => {
                self.time = called.entered.unwrap_or(self.time);
                let Some(mut imported) = self.parse_call(called)? else { return Ok(()) };
                let Some(ret) = parse_result(result) else {
                    return Ok(self.import.add_call(imported)?);
                };
                let left = imported.call.entered + called.spent.unwrap_or(0);
                imported.set_returned(left, ret);
                add_unrecorded_data(&mut imported);
                Ok(self.import.add_call(imported)?)
            }
            Line::End(called, result) => {
                let pending =
                    self.pending_calls.remove(&called.tid).filter(|t| t.row.name() == called.name);
                let left = called.entered.unwrap_or(0) + called.spent.unwrap_or(0);
                let number = abi::by_name(called.name).map_or(u32::MAX, |r| r.number);
                self.end_call(
                    pending,
                    (called.tid, number),
                    left,
                    parse_result(result).unwrap_or(0),
                )
            }
            Line::Lost(n) => Ok(self.import.add_gap(self.time, n)?),
            Line::Event => {
                self.import.count_ignored("events that are not system calls", 1);
                Ok(())
            }
            Line::Other => {
                self.import.count_left_out("lines that cannot be read", 1);
                Ok(())
            }
        }
    }

    /// Begins a call of a thread. A call that the thread had under way did not return.
    fn begin_call(&mut self, imported: ImportedCall) -> Result<(), Error> {
        let tid = imported.call.tid;
        if let Some(before) = self.pending_calls.remove(&tid) {
            add_unreturned(&mut self.import, before)?;
        }
        self.import.ensure_thread(tid, imported.call.entered)?;
        if ends_thread(imported.row) {
            return Ok(self.import.add_call(imported)?);
        }
        self.pending_calls.insert(tid, imported);
        Ok(())
    }

    /// Ends a call of thread `tid` with the system call number `nr` (`u32::MAX`: it is unknown),
    /// which returned `ret` at the time `left`. `pending` is the call if its entry was seen.
    fn end_call(
        &mut self,
        pending: Option<ImportedCall>,
        (tid, nr): (u32, u32),
        left: u64,
        ret: i64,
    ) -> Result<(), Error> {
        let Some(mut imported) = pending else {
            // A child's own return from the clone that made it has no beginning.
            let is_child_return = ret == 0 && abi::by_number(nr).is_some_and(|r| is_fork(r.name()));
            let known = self.import.is_alive(tid);
            self.import.ensure_thread(tid, left)?;
            if !is_child_return {
                count_unentered(&mut self.import, known);
            }
            return Ok(());
        };
        imported.set_returned(left.max(imported.call.entered), ret);
        add_unrecorded_data(&mut imported);
        Ok(self.import.add_call(imported)?)
    }

    /// Returns the call in a line of `perf trace`, with its arguments. The paths that perf prints
    /// for descriptors are not used: perf looks them up later, when they may be those of other
    /// files.
    fn parse_call(&mut self, called: Called<'_>) -> Result<Option<ImportedCall>, Error> {
        let (Some(entered), tid) = (called.entered, called.tid) else {
            count_unentered(&mut self.import, false);
            return Ok(None);
        };
        let Some(mut imported) = ImportedCall::new(called.name, tid, entered) else {
            let what =
                format!("calls of {}, which is not in the table of system calls", called.name);
            self.import.count_left_out(&what, 1);
            return Ok(None);
        };
        let mut has_unknown = false;
        for part in value::split(called.args) {
            let Some((name, text)) = part.split_once(": ") else { continue };
            let Some((index, arg)) =
                imported.row.spec.args.iter().enumerate().find(|(_, a)| a.name == name)
            else {
                has_unknown = true;
                continue;
            };
            has_unknown |= !set_argument(&mut imported, index, arg.kind, text);
        }
        if has_unknown && imported.row.spec.replay == abi::Replay::Issue {
            let what = format!("arguments of {} that cannot be read", called.name);
            self.import.count_left_out(&what, 1);
        }
        Ok(Some(imported))
    }
}

/// Sets an argument from its text. Returns false if it cannot be parsed.
fn set_argument(imported: &mut ImportedCall, index: usize, kind: Kind, text: &str) -> bool {
    if let Some((bytes, _)) = value::parse_string(text) {
        imported.add_string(index, &bytes);
        return true;
    }
    let value = match kind {
        Kind::Fd | Kind::DirFd if text.starts_with("CWD") => {
            Some(i64::from(AT_FDCWD).cast_unsigned())
        }
        Kind::Fd | Kind::DirFd => {
            value::parse_number(text.split('<').next().unwrap_or_default(), None)
        }
        // perf prints names without the prefix that all names of a set have in common.
        Kind::Flags(set) if set.name.is_empty() => {
            value::parse_number(&map_words(text, |w| format!("{w}_OK")), Some(set))
        }
        Kind::Flags(set) => {
            value::parse_number(&map_words(text, |w| format!("{}{w}", set.name)), Some(set))
        }
        Kind::Mode => value::parse_number(&map_words(text, |w| format!("S_{w}")), None),
        _ => value::parse_number(text, None),
    };
    value.map(|v| imported.set_number(index, v)).is_some()
}

/// Replaces the words of `A|B|0x80` that are no numbers by what `name` returns for them.
fn map_words(text: &str, name: impl Fn(&str) -> String) -> String {
    let word =
        |w: &str| if w.starts_with(|c: char| c.is_ascii_digit()) { w.to_owned() } else { name(w) };
    text.split('|').map(word).collect::<Vec<_>>().join("|")
}
