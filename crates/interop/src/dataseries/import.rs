//! Imports a DataSeries file.
//!
//! The records of each call are in extents of their own. They are merged in the order of
//! `unique_id`, in which the library wrote them, with one extent of each type in memory. Fields
//! that the original library writes wrongly are not read: flags as bits (another field has the
//! number), thread ids of clone, `generated` of exit, times of stat, flags of fchmodat and
//! faccessat.

mod groups;
mod index;
mod parts;
mod stream;

use self::index::{Clock, Index};
use self::parts::RecordSource;
use self::stream::{Losses, Row, Stream};
use super::LEFT_OUT;
use super::records::arguments::{RecordMap, WITH_FLAGS};
use crate::importing::{begin, finish, note_no_directory};
use crate::{Error, Outcome};
use ::import::{Import, ImportedCall};
use dataseries_file::Reader;
use groups::Execs;
use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::path::Path;
use trace::RecordingInfo;

/// Imports the file `from` as the trace `to`. `directory`: the working directory of the program
/// when it was started, if it is known. `progress` gets the bytes read and the bytes of the file.
/// Fails if `from` is not a DataSeries file, or a file cannot be read or written.
pub fn import(
    from: &Path,
    to: &Path,
    directory: Option<&[u8]>,
    progress: &mut dyn FnMut(u64, u64),
) -> Result<Outcome, Error> {
    let bytes = std::fs::metadata(from).map_err(Error::io("read", from))?.len();
    let index = Index::scan(from)?;
    let clock = if index.ours { Clock::Nanos } else { Clock::guess_unit(&index.sample) };
    let forks = index.forks(clock);
    let began =
        index.sample.iter().filter_map(|(called, _)| clock.to_nanos(*called)).min().unwrap_or(0);
    let about = RecordingInfo {
        engine: "ra-strace (DataSeries)".to_owned(),
        data: "all".to_owned(),
        began,
        ..RecordingInfo::default()
    };
    let mut import = begin(to, about, directory, forks)?;
    if let Some(umask) = index.umask {
        import.set_umask(umask);
    }
    if directory.is_none() {
        note_no_directory(&mut import, "DataSeries has no working directory");
    }
    import.add_note(clock.note());
    if !index.ours {
        import
            .add_missing("the original tracers record only some calls, and do not count lost ones");
    }
    let mut conversion = DataSeriesImport {
        import,
        clock,
        original: index.original,
        execs: Execs::default(),
        losses: Losses::new(index.damage),
    };
    let mut streams: Vec<Stream> =
        index.types.into_iter().map(|(name, offsets)| Stream::new(name, offsets)).collect();
    let mut reader = Reader::open(from)?;
    // The index of each stream that has another record, by that record's `unique_id`.
    let mut heap = BinaryHeap::new();
    for (index, stream) in streams.iter_mut().enumerate() {
        if let Some(unique_id) = stream.load_next(&mut reader, &mut conversion.losses)? {
            heap.push(Reverse((unique_id, index)));
        }
    }
    let mut done = 0;
    while let Some(Reverse((_, index))) = heap.pop() {
        let stream = &mut streams[index];
        conversion.import_next(stream, &mut reader)?;
        if let Some(unique_id) = stream.load_next(&mut reader, &mut conversion.losses)? {
            heap.push(Reverse((unique_id, index)));
        }
        if stream.read > done {
            done = stream.read;
            progress(done, bytes);
        }
    }
    let DataSeriesImport { mut import, losses, .. } = conversion;
    let Losses { calls, assumed, damage, .. } = losses;
    calls.iter().for_each(|(what, n)| import.count_left_out(what, *n));
    assumed.iter().for_each(|(what, n)| import.count_ignored(what, *n));
    finish(import, damage, progress)
}

/// An import under way.
struct DataSeriesImport {
    pub import: Import,
    clock: Clock,
    /// Whether the original library wrote the file.
    original: bool,
    pub execs: Execs,
    pub losses: Losses,
}

impl DataSeriesImport {
    /// Imports the next record of `stream`, with those that belong to the same call.
    fn import_next(&mut self, stream: &mut Stream, reader: &mut Reader) -> Result<(), Error> {
        let name = stream.short_name().to_owned();
        match name.as_str() {
            "readv" | "writev" | "recvmsg" | "sendmsg" => self.import_vector(stream, reader, &name),
            "execve" => {
                let imported = stream.current_row().map(|row| self.import_exec_part(row));
                stream.next += 1;
                imported.unwrap_or(Ok(()))
            }
            LEFT_OUT => {
                if let Some(row) = stream.current_row() {
                    self.import_losses(row);
                }
                stream.next += 1;
                Ok(())
            }
            _ => {
                let imported = match (stream.map, stream.current_row()) {
                    (Some(map), Some(row)) => self.import_plain(map, row),
                    _ => {
                        self.losses.count(&name);
                        Ok(())
                    }
                };
                stream.next += 1;
                imported
            }
        }
    }

    /// Counts what our exporter says in a record that it left out of the file.
    fn import_losses(&mut self, row: Row<'_>) {
        let what = String::from_utf8_lossy(row.text("what").unwrap_or_default()).into_owned();
        let calls = row.int("calls").unwrap_or(0).max(0).cast_unsigned();
        if calls == 0 {
            return self.import.add_missing(&what);
        }
        let count = self.losses.calls.entry(what).or_default();
        *count = count.saturating_add(calls);
    }

    /// Returns the times of entry and return of a record's call, in nanoseconds since 1970. Both
    /// are the same if the file has no time of return.
    pub(crate) fn call_times(&self, row: Row<'_>) -> (u64, u64) {
        let time = |name: &str| row.int(name).and_then(|v| self.clock.to_nanos(v));
        if self.clock == Clock::Recorded {
            let recorded = time("time_recorded").unwrap_or(0);
            return (recorded, recorded);
        }
        let entered = time("time_called").unwrap_or(0);
        (entered, time("time_returned").unwrap_or(entered))
    }

    /// Creates the call of a record from the fields that all records have: thread, times and
    /// result. Returns `None` if the table has no such call, or the record has no thread, which is
    /// counted.
    pub(crate) fn begin_call(&mut self, call: &str, row: Row<'_>) -> Option<ImportedCall> {
        let Some(tid) = row.tid() else {
            self.losses.count("records without a thread");
            return None;
        };
        let (entered, left) = self.call_times(row);
        let mut imported = ImportedCall::new(call, tid, entered)?;
        if let Some(ret) = row.result() {
            imported.set_returned(left, ret);
        }
        Some(imported)
    }

    /// Imports a record that is a whole call by itself.
    fn import_plain(&mut self, map: &RecordMap, row: Row<'_>) -> Result<(), Error> {
        // The umask at the beginning is no call: its result and times mean nothing.
        if map.name == "umask" && row.int("unique_id") == Some(0) {
            return Ok(());
        }
        let with_flags = WITH_FLAGS.iter().find(|(name, _, flags)| {
            // The original library writes flags for calls that have none: what a register held.
            let field = if let super::records::arguments::Meaning::Number(_, field) = flags {
                field
            } else {
                ""
            };
            *name == map.name && !self.original && row.int(field).is_some_and(|v| v != 0)
        });
        let name = with_flags.map_or(map.call, |(_, newer, _)| newer);
        let Some(mut imported) = self.begin_call(name, row) else { return Ok(()) };
        if map.name == "exit" && !self.original && row.flag("generated") {
            // The thread did not call exit: it was ended.
            return self.import_thread_end(row, &imported);
        }
        let source = RecordSource { row, original: self.original };
        for meaning in map.parts.iter().chain(with_flags.map(|(_, _, flags)| flags)) {
            source.set_part(*meaning, &mut imported);
        }
        if map.name == "readahead" && self.original {
            imported.call.args.swap(1, 2);
        }
        let args = imported.row.spec.args.iter().enumerate();
        for (arg, spec) in args.filter(|(_, spec)| spec.kind == abi::Kind::DirFd) {
            // RA-Strace writes half an address into the new directory of symlinkat.
            if !(abi::AT_FDCWD..1 << 20).contains(&(imported.call.args[arg] as i32)) {
                imported.set_number(arg, i64::from(abi::AT_FDCWD).cast_unsigned());
                self.losses.count_assumption(format!(
                    "directory descriptor of {} (the working directory is assumed)",
                    spec.name
                ));
            }
        }
        Ok(self.import.add_call(imported)?)
    }

    /// Imports the end of a thread that did not call exit. The record has a signal as shells report
    /// it: 128 more than its number.
    fn import_thread_end(&mut self, row: Row<'_>, imported: &ImportedCall) -> Result<(), Error> {
        let status = row.int("exit_status").unwrap_or(0).cast_unsigned();
        let status = match status {
            129..=192 => status - 128,
            code => (code & 0xff) << 8,
        };
        let (tid, time) = (imported.call.tid, imported.call.entered);
        self.import.ensure_thread(tid, time)?;
        Ok(self.import.add_exit(tid, time, status)?)
    }
}
