//! Imports kdump's output.

use super::line::{Line, is_data, parse_data};
use crate::importing::forks::{Forks, is_fork};
use crate::importing::{
    add_unrecorded_data, add_unreturned, begin, count_unentered, ends_thread, finish,
    note_no_directory,
};
use crate::text::lines::Lines;
use crate::text::strace::value;
use crate::{Error, Outcome};
use ::import::{Import, ImportedCall};
use abi::{Form, Kind};
use ahash::HashMap;
use linux_raw_sys::errno::*;
use std::path::Path;
use trace::RecordingInfo;

/// Nanoseconds between lines without times.
const STEP: u64 = 1000;
macro_rules! errors {
    ($($freebsd:literal $linux:ident),+) => { &[$(($freebsd, $linux as i64)),+] };
}
/// Errors that have another number on FreeBSD (sys/errno.h) than on Linux. Up to 34 all but one are
/// the same.
const ERRORS: &[(i64, i64)] = errors! {
    11 EDEADLK, 35 EAGAIN, 36 EINPROGRESS, 37 EALREADY, 38 ENOTSOCK, 39 EDESTADDRREQ, 40 EMSGSIZE,
    41 EPROTOTYPE, 42 ENOPROTOOPT, 43 EPROTONOSUPPORT, 45 EOPNOTSUPP, 47 EAFNOSUPPORT,
    48 EADDRINUSE, 49 EADDRNOTAVAIL, 54 ECONNRESET, 55 ENOBUFS, 56 EISCONN, 57 ENOTCONN,
    60 ETIMEDOUT, 61 ECONNREFUSED, 62 ELOOP, 63 ENAMETOOLONG, 66 ENOTEMPTY, 69 EDQUOT, 70 ESTALE,
    77 ENOLCK, 78 ENOSYS, 84 EOVERFLOW, 87 ENODATA
};

/// Returns the name in the table for a call of FreeBSD.
fn linux_name(name: &str) -> &str {
    match name.rsplit_once("freebsd").and_then(|(_, n)| n.split_once('_')).map_or(name, |(_, n)| n)
    {
        "pread" => "pread64",
        "pwrite" => "pwrite64",
        "fstatat" => "newfstatat",
        "exit" => "exit_group",
        "getdirentries" => "getdents64",
        other => other,
    }
}

/// Imports the log `from` as the trace `to`. `directory`: the working directory of the program when
/// it was started, if it is known. `progress` gets the bytes read and the bytes of the log. Fails
/// if a file cannot be read or written.
pub fn import(
    from: &Path,
    to: &Path,
    directory: Option<&[u8]>,
    progress: &mut dyn FnMut(u64, u64),
) -> Result<Outcome, Error> {
    let mut first = FirstPass::default();
    for_each_record(from, &mut |record| {
        first.scan_record(record);
        Ok(())
    })?;
    let about = RecordingInfo {
        engine: "kdump".to_owned(),
        data: "all".to_owned(),
        kernel: "FreeBSD".to_owned(),
        machine: "x86_64".to_owned(),
        began: first.began.unwrap_or(0),
        ..RecordingInfo::default()
    };
    let mut import = begin(to, about, directory, first.forks.starts)?;
    import.add_note(
        "recorded on FreeBSD: calls, flags and errors count as those of the same name on \
            Linux",
    );
    if directory.is_none() {
        note_no_directory(&mut import, "kdump prints no working directory");
    }
    if !first.timed {
        import.add_note(
            "the log has no times (kdump -T prints them): calls are in the order of the lines",
        );
    }
    let mut conversion = KdumpImport { import, pending_calls: HashMap::default() };
    let all_bytes = for_each_record(from, &mut |record| conversion.import_record(record))?;
    progress(all_bytes, all_bytes);
    let KdumpImport { mut import, pending_calls } = conversion;
    for pending in pending_calls.into_values() {
        import.add_call(pending.imported)?;
    }
    finish(import, None, progress)
}

/// A line, and the lines of data behind it.
struct Record<'t> {
    line: Option<Line<'t>>,
    time: u64,
    data: &'t [String],
    /// ktrace lost events before this one.
    dropped: bool,
}

/// Calls `each` with every record. Returns the number of bytes read.
fn for_each_record(
    from: &Path,
    each: &mut dyn FnMut(&Record<'_>) -> Result<(), Error>,
) -> Result<u64, Error> {
    let mut lines = Lines::open(from)?;
    let (mut data, mut clock) = (Vec::new(), 0);
    let mut head = lines.next_line()?;
    while let Some(text) = head {
        data.clear();
        head = lines.next_line()?;
        while let Some(more) = head.take_if(|more| is_data(more)) {
            data.push(more);
            head = lines.next_line()?;
        }
        let line = Line::parse(&text);
        clock = line.and_then(|l| l.time).unwrap_or(0).max(clock + STEP);
        let dropped = text.trim_end().ends_with(" Events dropped.");
        each(&Record { line, time: clock, data: &data, dropped })?;
    }
    Ok(lines.bytes)
}

/// What a first pass over the log finds.
#[derive(Default)]
struct FirstPass {
    began: Option<u64>,
    timed: bool,
    forks: Forks,
}

impl FirstPass {
    /// Notes what the import has to know beforehand: the first time, and which calls started
    /// threads.
    fn scan_record(&mut self, record: &Record<'_>) {
        self.began.get_or_insert(record.time);
        let Some(line) = record.line else { return };
        self.timed |= line.time.is_some();
        let is_fork_record =
            || is_fork(linux_name(line.rest.split(['(', ' ']).next().unwrap_or_default()));
        match line.kind {
            "CALL" if is_fork_record() => self.forks.begin_fork(line.tid, record.time, 0),
            "RET" if is_fork_record() => {
                self.forks.end_fork(line.tid, parse_result(line.rest).unwrap_or(0));
            }
            _ => {}
        }
    }
}

/// Returns the result in `read 12/0xc` or `open -1 errno 2 No such file or directory`. `execve
/// JUSTRETURN` is 0.
fn parse_result(rest: &str) -> Option<i64> {
    let mut words = rest.split_whitespace().skip(1);
    let value = words.next()?;
    if value == "JUSTRETURN" {
        return Some(0);
    }
    let value = value::parse_number(value.split('/').next()?, None)?.cast_signed();
    if value == -1 && words.next() == Some("errno") {
        let errno: i64 = words.next()?.parse().ok().filter(|e| (1..4096).contains(e))?;
        return Some(
            -ERRORS.iter().find(|(there, _)| *there == errno).map_or(errno, |(_, here)| *here),
        );
    }
    Some(value)
}

/// A call that has not returned, and what the records since its entry say about it.
struct PendingCall {
    imported: ImportedCall,
    /// How many paths (`NAMI` records) there were.
    paths: usize,
    /// The data that the call read or wrote (`GIO` records), as far as kdump prints them.
    data: Vec<u8>,
    /// How many bytes the data have.
    data_bytes: u64,
}

impl PendingCall {
    /// Sets the call's next path argument to the path of a `NAMI` record, which is in quotes.
    fn add_path(&mut self, quoted: &str) {
        let inside = quoted.strip_prefix('"').and_then(|rest| rest.strip_suffix('"'));
        let args = self.imported.row.spec.args.iter().enumerate();
        let mut paths = args.filter(|(_, a)| matches!(a.kind, Kind::Path(_)));
        if let Some((arg, _)) = paths.nth(self.paths) {
            self.imported.add_string(arg, inside.unwrap_or(quoted).as_bytes());
        }
        self.paths += 1;
    }
}

struct KdumpImport {
    import: Import,
    /// By thread id.
    pending_calls: HashMap<u32, PendingCall>,
}

impl KdumpImport {
    /// Imports a record: the entry or return of a call, or data or a path of the call under way.
    fn import_record(&mut self, record: &Record<'_>) -> Result<(), Error> {
        let Some(line) = record.line else {
            if record.dropped {
                self.import.add_missing("ktrace dropped events, and does not say how many");
            } else {
                self.import.count_left_out("lines that cannot be read", 1);
            }
            return Ok(());
        };
        let tid = line.tid;
        match line.kind {
            "CALL" => self.begin_call(tid, record.time, line.rest),
            "RET" => self.end_call(tid, record.time, line.rest),
            "NAMI" => {
                if let Some(pending) = self.pending_calls.get_mut(&tid) {
                    pending.add_path(line.rest);
                }
                Ok(())
            }
            "GIO" => {
                // `fd 3 read 12 bytes`
                let count =
                    line.rest.split(' ').nth(3).and_then(|n| n.parse::<u64>().ok()).unwrap_or(0);
                if let Some(pending) = self.pending_calls.get_mut(&tid) {
                    pending.data.extend(parse_data(
                        record.data,
                        usize::try_from(count).unwrap_or(usize::MAX),
                    ));
                    pending.data_bytes += count;
                }
                Ok(())
            }
            "PSIG" => {
                let signal = value::signal_by_name(line.rest.split(' ').next().unwrap_or_default());
                Ok(self.import.add_signal(tid, record.time, signal.unwrap_or(0))?)
            }
            other => {
                self.import.count_ignored(&format!("records {other}"), 1);
                Ok(())
            }
        }
    }

    /// Begins a call from the text of its `CALL` record.
    fn begin_call(&mut self, tid: u32, time: u64, text: &str) -> Result<(), Error> {
        if let Some(before) = self.pending_calls.remove(&tid) {
            add_unreturned(&mut self.import, before.imported)?;
        }
        let (name, args) = text
            .split_once('(')
            .map_or((text, ""), |(name, rest)| (name, rest.strip_suffix(')').unwrap_or(rest)));
        let Some(mut imported) = ImportedCall::new(linux_name(name), tid, time) else {
            self.import.count_left_out(&format!("calls of {name}, which Linux does not have"), 1);
            return Ok(());
        };
        let mut has_unknown = false;
        for (index, text) in value::split(args).iter().enumerate() {
            if let Some(kind) = imported.row.spec.args.get(index).map(|a| a.kind) {
                let value = parse_argument(kind, text);
                has_unknown |= value.is_none();
                imported.set_number(index, value.unwrap_or(0));
            }
        }
        if has_unknown && imported.row.spec.replay == abi::Replay::Issue {
            self.import.count_left_out(&format!("arguments of {name} that cannot be read"), 1);
        }
        self.import.ensure_thread(tid, time)?;
        if ends_thread(imported.row) {
            return Ok(self.import.add_call(imported)?);
        }
        self.pending_calls
            .insert(tid, PendingCall { imported, paths: 0, data: Vec::new(), data_bytes: 0 });
        Ok(())
    }

    /// Ends the thread's call from the text of its `RET` record, and adds it to the trace.
    fn end_call(&mut self, tid: u32, time: u64, text: &str) -> Result<(), Error> {
        let name = linux_name(text.split(' ').next().unwrap_or_default());
        let Some(PendingCall { mut imported, data, data_bytes, .. }) =
            self.pending_calls.remove(&tid).filter(|pending| pending.imported.row.name() == name)
        else {
            // The end of a call for which Linux has none, or a child's return from its fork.
            let is_child_return = is_fork(name) && parse_result(text) == Some(0);
            let known = self.import.is_alive(tid);
            self.import.ensure_thread(tid, time)?;
            if !is_child_return && abi::by_name(name).is_some() {
                count_unentered(&mut self.import, known);
            }
            return Ok(());
        };
        if let Some(ret) = parse_result(text) {
            imported.set_returned(time, ret);
        }
        let is_data = |kind: Kind| match kind {
            Kind::In(_, layout) | Kind::Out(_, layout) => layout.form == Form::Data,
            Kind::InIov { .. } | Kind::OutIov { .. } => true,
            _ => false,
        };
        if data_bytes > 0
            && imported.call.succeeded()
            && let Some(arg) = imported.row.spec.args.iter().position(|a| is_data(a.kind))
        {
            imported.add_data(arg, &data, data_bytes);
        }
        add_unrecorded_data(&mut imported);
        Ok(self.import.add_call(imported)?)
    }
}

/// Parses a number, `O_RDONLY|O_CREAT`, or `0x601<O_WRONLY|O_CREAT|O_TRUNC>`. Names are preferred,
/// as the numbers are FreeBSD's. Returns `None` if it cannot be parsed.
fn parse_argument(kind: Kind, text: &str) -> Option<u64> {
    let (number, names) = text
        .split_once('<')
        .map_or((text, None), |(number, rest)| (number, rest.strip_suffix('>')));
    match kind {
        Kind::Flags(set) => {
            let names = names.unwrap_or(number);
            let plain = names.starts_with(|c: char| c.is_ascii_digit());
            value::parse_number(names, Some(set)).filter(|v| !plain || *v < 4)
        }
        Kind::Fd | Kind::DirFd if text.contains("AT_FDCWD") => {
            Some(i64::from(abi::AT_FDCWD).cast_unsigned())
        }
        _ => value::parse_number(number, None),
    }
}
