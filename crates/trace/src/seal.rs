//! Sealing: journals become segments, in bounded memory, and may be interrupted at any moment.
//!
//! Invariant: until the `trace.json` that says `sealed` is durable, the journals are whole and
//! nothing else counts; what an interrupted sealing left behind is removed by the next. After that
//! the journals count for nothing.

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
use crate::semantics::{Inference, Progress, Sealing, Semantics};
use crate::storage::{NotesFull, Storage, directory_at, file_at};
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

/// Where tables are written.
#[derive(Clone, Copy)]
pub(crate) struct Place<'a> {
    pub storage: &'a dyn Storage,
    pub dir: BorrowedFd<'a>,
    pub path: &'a Path,
}

/// How to seal.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct SealOptions {
    /// The recorder has died.
    pub recovered: bool,
    /// When a segment is full.
    pub limits: Limits,
}

/// Seals the trace in a directory, whose lock the caller holds; `along`: what is sealed of it
/// already.
pub(crate) fn seal(
    place: Place<'_>,
    mut document: Document,
    how: SealOptions,
    semantics: &dyn Semantics,
    along: Option<SealAhead>,
    progress: Progress<'_>,
) -> Result<Document, Error> {
    let (plain, path) = (place.storage, place.path);
    let storage = &NotesFull::new(plain, along.as_ref().map_or_else(Arc::default, SealAhead::full));
    let place = Place { storage, ..place };
    document.segments.clear();
    document.tables.clear();
    let begun = match along.and_then(|along| along.take_over(&place, &document)) {
        Some(work) => Ok(work),
        None => {
            clean(&place).and_then(|()| SealState::new(&place, &document, semantics.begin(), false))
        }
    };
    let sealed =
        begun.and_then(|work| finish(work, &place, &mut document, how, progress)).and_then(|()| {
            // Inference that met a full disk and said something else must be done again.
            if storage.was_full() {
                return Err(Error::Full { trace: path.to_owned() });
            }
            document.state = State::Sealed;
            document.store(storage, place.dir, path)
        });
    if let Err(e) = sealed {
        // Give the space back: the journals hold everything.
        let _ = clean(&place);
        return Err(if e.is_full() || storage.was_full() {
            Error::Full { trace: path.to_owned() }
        } else {
            e
        });
    }
    // The trace is whole: that its journals could not be removed would be no reason to say
    // otherwise.
    let _ = remove_journals(storage, place.dir);
    Ok(document)
}

/// Tables that sealing makes, besides those with calls.
const TABLES: [&str; 8] =
    ["events", "events-late", "processes", "files", "initial", "outside", "snapshot", "unnamed"];

/// Whether a file in a trace's directory is made by sealing.
fn is_ours(name: &str) -> bool {
    let table = name
        .strip_suffix(".parquet")
        .is_some_and(|n| n.starts_with("calls-") || TABLES.contains(&n));
    table || name == "trace.json.new"
}

fn names_in(dir: BorrowedFd<'_>) -> io::Result<Vec<String>> {
    let entries = rustix::fs::Dir::read_from(dir)?;
    entries.map(|e| Ok(e?.file_name().to_string_lossy().into_owned())).collect()
}

fn clean(place: &Place<'_>) -> Result<(), Error> {
    let names = names_in(place.dir).map_err(Error::io("read", place.path))?;
    names.iter().filter(|n| is_ours(n)).try_for_each(|n| {
        place.storage.remove(place.dir, n).map_err(Error::io("remove", place.path.join(n)))
    })
}

/// Removes the journals of a sealed trace.
pub(crate) fn remove_journals(storage: &dyn Storage, dir: BorrowedFd<'_>) -> io::Result<()> {
    let journals = match directory_at(dir, "journal") {
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(()),
        other => other?,
    };
    for name in
        names_in(journals.as_fd())?.iter().filter(|n| stream_number(n).is_some() || *n == COMPLETE)
    {
        storage.remove(journals.as_fd(), name)?;
    }
    // If a crash of the machine brings it back, the next reader removes it.
    Ok(rustix::fs::unlinkat(dir, "journal", rustix::fs::AtFlags::REMOVEDIR)?)
}

/// Until when the journals of a recorder that died hold everything, if it said so.
fn complete_until(dir: BorrowedFd<'_>) -> Option<u64> {
    let mut word = [0; 8];
    file_at(&directory_at(dir, "journal").ok()?, COMPLETE)
        .ok()?
        .read_exact_at(&mut word, 0)
        .ok()?;
    Some(u64::from_le_bytes(word)).filter(|t| *t > 0)
}

fn stream_number(name: &str) -> Option<u32> {
    (name.len() >= 5 && name.bytes().all(|b| b.is_ascii_digit())).then(|| name.parse().ok())?
}

/// While a window of more bytes is written, none is filled: there are rows enough to do for two
/// threads, but of bytes one at a time is enough to hold.
const SINGLE_WINDOW_BYTES: usize = 16 << 20;

/// Seals what is not sealed yet of a recording that has ended.
fn finish(
    mut work: SealState,
    place: &Place<'_>,
    document: &mut Document,
    how: SealOptions,
    progress: Progress<'_>,
) -> Result<(), Error> {
    let total = work.total().map_err(Error::io("read", place.path.join("journal")))?;
    let (clock_offset, segments) = (work.clock_offset, std::mem::take(&mut work.segments));
    let segments = if total <= ONE_THREAD_BYTES {
        in_turn(&mut work, place, how.limits, segments, &mut |done| progress(done, 2 * total))?
    } else {
        in_two_threads(&mut work, place, how.limits, segments, &mut |done| {
            progress(done, 2 * total);
        })?
    };
    let mut summary = work.summary(document);
    summary.recovered = how.recovered;
    if document.end.is_none() {
        summary.complete_until = complete_until(place.dir);
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
    document.tables = work.events.finish(place, clock_offset)?;
    document.tables.push(work.thread_table.write(place)?);
    document.segments = segments.done;
    document.summary = summary;
    infer(work.inference, place, document, &mut |done, of| {
        // Half of the work is done.
        progress(total + total * (done * 1024 / of.max(1)) / 1024, 2 * total);
    })?;
    place.storage.sync_dir(place.dir).map_err(Error::io("write", place.path))?;
    let files = document.segments.iter().map(|s| &s.sealed).chain(&document.tables);
    document.summary.bytes_on_disk = crate::call::saturating_sum(files.map(|f| f.bytes));
    progress(2 * total, 2 * total);
    Ok(())
}

/// Has the tables about files made of what was just sealed.
/// `progress`: calls looked at, of how many.
fn infer(
    inference: Box<dyn Inference>,
    place: &Place<'_>,
    document: &mut Document,
    progress: Progress<'_>,
) -> Result<(), Error> {
    let trace = Trace::being_sealed(place.dir, place.path, document)?;
    let end = document.end.as_ref();
    let sealing = Sealing { storage: place.storage, trace: &trace, end };
    match inference.tables(&sealing, &mut document.summary, progress) {
        Ok(names) => {
            for name in names {
                let sealed = table::hash(place.dir, name);
                let sealed = sealed.map_err(Error::io("read", place.path.join(name)))?;
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

/// Fills a window and writes it.
fn in_turn(
    work: &mut SealState,
    place: &Place<'_>,
    limits: Limits,
    mut segments: Segments,
    progress: &mut dyn FnMut(u64),
) -> Result<Segments, Error> {
    let clock_offset = work.clock_offset;
    let mut written = Ok(());
    let mut full = |window: Option<FilledWindow>| {
        if let Some(window) = window {
            written = segments.write(place, clock_offset, &window);
        }
        written.is_ok()
    };
    merge(work, place, limits, &mut full, progress).and(written).map(|()| segments)
}

/// Fills one window while another one is written.
fn in_two_threads(
    work: &mut SealState,
    place: &Place<'_>,
    limits: Limits,
    segments: Segments,
    progress: &mut dyn FnMut(u64),
) -> Result<Segments, Error> {
    let clock_offset = work.clock_offset;
    std::thread::scope(|scope| {
        let (full, windows) = sync_channel(0);
        let writer = scope.spawn(move || write(place, clock_offset, segments, windows));
        let merged = merge(work, place, limits, &mut |window| full.send(window).is_ok(), progress);
        drop(full);
        let written = writer.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic));
        // Merging ends early, without an error of its own, when writing has failed.
        merged.and(written)
    })
}

/// Journals of no more bytes are sealed by one thread: to start another takes longer.
const ONE_THREAD_BYTES: u64 = 1 << 20;

/// Merges all records into windows, and hands them on when they are full, with their answers, and
/// at the end; until `full` says that it takes no more. `None` is taken when the one before is
/// written.
fn merge(
    work: &mut SealState,
    place: &Place<'_>,
    limits: Limits,
    full: &mut dyn FnMut(Option<FilledWindow>) -> bool,
    progress: &mut dyn FnMut(u64),
) -> Result<(), Error> {
    let mut reported = work.position();
    progress(reported);
    loop {
        let more = work.fill(place, limits, u64::MAX, |position| {
            if position - reported > 1 << 20 {
                reported = position;
                progress(position);
            }
            true
        })?;
        let heavy = work.bytes() > SINGLE_WINDOW_BYTES;
        let sent = full(Some(work.window())) && (!heavy || full(None));
        if !more || !sent {
            return Ok(());
        }
    }
}

/// Writes the windows that come.
fn write(
    place: &Place<'_>,
    clock_offset: i64,
    mut segments: Segments,
    windows: impl IntoIterator<Item = Option<FilledWindow>>,
) -> Result<Segments, Error> {
    for window in windows.into_iter().flatten() {
        segments.write(place, clock_offset, &window)?;
    }
    Ok(segments)
}
