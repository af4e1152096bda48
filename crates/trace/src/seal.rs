//! Sealing: turns journals into segments, in bounded memory. It may be interrupted at any time.
//!
//! Invariant: until a `trace.json` with the state `sealed` is durable, the journals are complete
//! and all other files are ignored; the next sealing removes what an interrupted one left. After
//! that the journals are ignored.

mod ahead;
mod events;
mod merge;
mod names;
mod processes;
mod segment;
mod state;
mod table;
mod verdict;
mod window;

use crate::document::{Document, State};
use crate::error::Error;
use crate::journal::COMPLETE;
use crate::reader::Trace;
use crate::semantics::{Inference, Progress, SealingContext, Semantics};
use crate::storage::{FullDetectingStorage, Storage, open_directory_at, open_file_at};
pub use ahead::SealAhead;
use segment::{FilledWindow, Segments};
use state::SealState;
use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::Arc;
use std::sync::mpsc::sync_channel;
pub use table::compression;
pub use window::Limits;

/// The directory of the trace that is being sealed, and its path for error messages.
#[derive(Clone, Copy)]
pub(crate) struct OutputDir<'a> {
    pub storage: &'a dyn Storage,
    pub dir: BorrowedFd<'a>,
    pub path: &'a Path,
}

/// Options of a sealing.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct SealOptions {
    /// Whether the recorder has died.
    pub recovered: bool,
    /// When a segment is full.
    pub limits: Limits,
}

/// Seals the trace in a directory, whose lock the caller holds, and returns its document.
/// `sealed_ahead` is what was sealed while recording went on. If this fails, the journals are
/// complete, and the files written here are removed.
pub(crate) fn seal(
    output: OutputDir<'_>,
    mut document: Document,
    options: SealOptions,
    semantics: &dyn Semantics,
    sealed_ahead: Option<SealAhead>,
    progress: Progress<'_>,
) -> Result<Document, Error> {
    let (plain_storage, path) = (output.storage, output.path);
    let storage = &FullDetectingStorage::new(
        plain_storage,
        sealed_ahead.as_ref().map_or_else(Arc::default, SealAhead::full_flag),
    );
    let output = OutputDir { storage, ..output };
    document.segments.clear();
    document.tables.clear();
    let prepared = match sealed_ahead
        .and_then(|sealed_ahead| sealed_ahead.take_over(&output, &document))
    {
        Some(state) => Ok(state),
        None => remove_sealed_files(&output)
            .and_then(|()| SealState::new(&output, &document, semantics.new_inference(), false)),
    };
    let sealed = prepared
        .and_then(|state| seal_remaining(state, &output, &mut document, options, progress))
        .and_then(|()| {
            // The inference reports some errors as notes; after a full disk it must be repeated.
            if storage.was_full() {
                return Err(Error::Full { trace: path.to_owned() });
            }
            document.state = State::Sealed;
            document.write_durably(storage, output.dir, path)
        });
    if let Err(e) = sealed {
        // The journals hold everything, so that these files only take space.
        let _ = remove_sealed_files(&output);
        return Err(if e.is_full() || storage.was_full() {
            Error::Full { trace: path.to_owned() }
        } else {
            e
        });
    }
    // The trace is sealed and valid, even if its journals cannot be removed.
    let _ = remove_journals(storage, output.dir);
    Ok(document)
}

/// The names of the tables that sealing writes, besides segments.
const TABLES: [&str; 8] =
    ["events", "events-late", "processes", "files", "initial", "outside", "snapshot", "unnamed"];

/// Returns whether `name` is the name of a file that sealing writes.
fn is_sealed_file(name: &str) -> bool {
    let table = name
        .strip_suffix(".parquet")
        .is_some_and(|n| n.starts_with("calls-") || TABLES.contains(&n));
    table || name == "trace.json.new"
}

/// Returns the names of the entries of a directory.
fn file_names(dir: BorrowedFd<'_>) -> io::Result<Vec<String>> {
    let entries = rustix::fs::Dir::read_from(dir)?;
    entries.map(|e| Ok(e?.file_name().to_string_lossy().into_owned())).collect()
}

/// Removes all files that an earlier sealing wrote.
fn remove_sealed_files(output: &OutputDir<'_>) -> Result<(), Error> {
    let names = file_names(output.dir).map_err(Error::io("read", output.path))?;
    names.iter().filter(|n| is_sealed_file(n)).try_for_each(|n| {
        output.storage.remove(output.dir, n).map_err(Error::io("remove", output.path.join(n)))
    })
}

/// Removes the journals of a sealed trace. It is no error if there are none.
pub(crate) fn remove_journals(storage: &dyn Storage, dir: BorrowedFd<'_>) -> io::Result<()> {
    let journals = match open_directory_at(dir, "journal") {
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(()),
        other => other?,
    };
    for name in file_names(journals.as_fd())?
        .iter()
        .filter(|n| stream_number(n).is_some() || *n == COMPLETE)
    {
        storage.remove(journals.as_fd(), name)?;
    }
    // If a crash of the machine undoes this, the next `recover` removes it.
    Ok(rustix::fs::unlinkat(dir, "journal", rustix::fs::AtFlags::REMOVEDIR)?)
}

/// Returns the time up to which the journals of a dead recorder lack no record ([`COMPLETE`]), or
/// `None` if the recorder did not write it.
fn read_complete_until(dir: BorrowedFd<'_>) -> Option<u64> {
    let mut bytes = [0; 8];
    open_file_at(&open_directory_at(dir, "journal").ok()?, COMPLETE)
        .ok()?
        .read_exact_at(&mut bytes, 0)
        .ok()?;
    Some(u64::from_le_bytes(bytes)).filter(|t| *t > 0)
}

/// Returns the stream number in the file name of a journal, or `None` if it is no journal.
fn stream_number(name: &str) -> Option<u32> {
    (name.len() >= 5 && name.bytes().all(|b| b.is_ascii_digit())).then(|| name.parse().ok())?
}

/// If a window is larger than this, the next one is not filled before it is written. This bounds
/// memory use; smaller windows are filled and written at the same time.
const SINGLE_WINDOW_BYTES: usize = 16 << 20;

/// Seals what is not sealed yet, after recording has ended, and completes `document`.
fn seal_remaining(
    mut state: SealState,
    output: &OutputDir<'_>,
    document: &mut Document,
    options: SealOptions,
    progress: Progress<'_>,
) -> Result<(), Error> {
    let total = state.journal_bytes().map_err(Error::io("read", output.path.join("journal")))?;
    let (clock_offset, segments) = (state.clock_offset, std::mem::take(&mut state.segments));
    let segments = if total <= ONE_THREAD_BYTES {
        seal_on_one_thread(&mut state, output, options.limits, segments, &mut |done| {
            progress(done, 2 * total);
        })?
    } else {
        seal_on_two_threads(&mut state, output, options.limits, segments, &mut |done| {
            progress(done, 2 * total);
        })?
    };
    let mut summary = state.summary(document);
    summary.recovered = options.recovered;
    if document.end.is_none() {
        summary.complete_until = read_complete_until(output.dir);
        if let Some(late) = summary
            .last
            .zip(summary.complete_until)
            .and_then(|(last, until)| last.checked_sub(until))
            .filter(|late| *late > 0)
        {
            summary.notes.push(format!(
                "the last {} us may depend on calls that were not written: replay leaves them out",
                late.div_ceil(1000)
            ));
        }
    }
    document.tables = state.events.finish(output, clock_offset)?;
    document.tables.push(state.thread_table.write(output)?);
    document.segments = segments.written;
    document.summary = summary;
    write_file_tables(state.inference, output, document, &mut |done, of| {
        // Half of the work is done.
        progress(total + total * (done * 1024 / of.max(1)) / 1024, 2 * total);
    })?;
    output.storage.sync_dir(output.dir).map_err(Error::io("write", output.path))?;
    let files = document.segments.iter().map(|s| &s.sealed).chain(&document.tables);
    document.summary.bytes_on_disk = crate::call::saturating_sum(files.map(|f| f.bytes));
    progress(2 * total, 2 * total);
    Ok(())
}

/// Lets the inference write the tables about files. `progress` is called with the number of calls
/// read and the total. An error other than a full disk becomes a note of the summary.
fn write_file_tables(
    inference: Box<dyn Inference>,
    output: &OutputDir<'_>,
    document: &mut Document,
    progress: Progress<'_>,
) -> Result<(), Error> {
    let trace = Trace::being_sealed(output.dir, output.path, document)?;
    let end = document.end.as_ref();
    let sealing = SealingContext { storage: output.storage, trace: &trace, end };
    match inference.write_tables(&sealing, &mut document.summary, progress) {
        Ok(names) => {
            for name in names {
                let sealed = table::hash_file(output.dir, name);
                let sealed = sealed.map_err(Error::io("read", output.path.join(name)))?;
                document.tables.push(sealed);
            }
            Ok(())
        }
        Err(e) if e.is_full() => Err(e),
        Err(e) => {
            let note =
                format!("the files' states could not be inferred: {}", crate::error::chain(&e));
            document.summary.notes.push(note);
            Ok(())
        }
    }
}

/// Fills windows and writes each before the next one.
fn seal_on_one_thread(
    state: &mut SealState,
    output: &OutputDir<'_>,
    limits: Limits,
    mut segments: Segments,
    progress: &mut dyn FnMut(u64),
) -> Result<Segments, Error> {
    let clock_offset = state.clock_offset;
    let mut written = Ok(());
    let mut take_window = |window: Option<FilledWindow>| {
        if let Some(window) = window {
            written = segments.write(output, clock_offset, &window);
        }
        written.is_ok()
    };
    fill_windows(state, output, limits, &mut take_window, progress).and(written).map(|()| segments)
}

/// Fills one window while another thread writes the previous one.
fn seal_on_two_threads(
    state: &mut SealState,
    output: &OutputDir<'_>,
    limits: Limits,
    segments: Segments,
    progress: &mut dyn FnMut(u64),
) -> Result<Segments, Error> {
    let clock_offset = state.clock_offset;
    std::thread::scope(|scope| {
        let (full, windows) = sync_channel(0);
        let writer = scope.spawn(move || write_windows(output, clock_offset, segments, windows));
        let merged =
            fill_windows(state, output, limits, &mut |window| full.send(window).is_ok(), progress);
        drop(full);
        let written = writer.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic));
        // Merging ends early, without an error of its own, when writing has failed.
        merged.and(written)
    })
}

/// Journals with at most this many bytes are sealed by one thread, since starting another would
/// take longer.
const ONE_THREAD_BYTES: u64 = 1 << 20;

/// Reads all records, and passes each full window, and the last one, to `take_window`, until it
/// returns false. A call of `take_window` with `None` returns once the previous window is written.
fn fill_windows(
    state: &mut SealState,
    output: &OutputDir<'_>,
    limits: Limits,
    take_window: &mut dyn FnMut(Option<FilledWindow>) -> bool,
    progress: &mut dyn FnMut(u64),
) -> Result<(), Error> {
    let mut reported = state.position();
    progress(reported);
    loop {
        let more = state.fill(output, limits, u64::MAX, |position| {
            if position - reported > 1 << 20 {
                reported = position;
                progress(position);
            }
            true
        })?;
        let is_large = state.window_bytes() > SINGLE_WINDOW_BYTES;
        let sent = take_window(Some(state.take_window())) && (!is_large || take_window(None));
        if !more || !sent {
            return Ok(());
        }
    }
}

/// Writes each window that is received.
fn write_windows(
    output: &OutputDir<'_>,
    clock_offset: i64,
    mut segments: Segments,
    windows: impl IntoIterator<Item = Option<FilledWindow>>,
) -> Result<Segments, Error> {
    for window in windows.into_iter().flatten() {
        segments.write(output, clock_offset, &window)?;
    }
    Ok(segments)
}
