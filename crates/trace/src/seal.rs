//! Sealing: journals become segments, in bounded memory, and may be interrupted at any moment.
//!
//! Invariant: until the `trace.json` that says `sealed` is durable, the journals are whole and nothing else counts; what an interrupted sealing left behind is
//! removed by the next. After that the journals count for nothing.

mod census;
mod events;
mod infer;
mod merge;
mod names;
mod segment;
mod table;
mod verdict;
mod window;

use crate::document::{Document, Segment, State};
use crate::error::Error;
use crate::journal::{COMPLETE, Pieces, Record, Records, other_version};
use crate::record::RecordKind;
use crate::recording::Progress;
use crate::storage::{Noticing, Storage, directory_at, file_at};
use census::Census;
use events::Events;
use infer::infer;
use merge::Streams;
use names::Names;
use segment::{Full, Segments};
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use verdict::Findings;
pub(crate) use window::Limits;
use window::{Counts, Parts, Window};

/// Where tables are written.
struct Place<'a> {
    storage: &'a dyn Storage,
    dir: BorrowedFd<'a>,
    path: &'a Path,
}

/// How to seal.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct How {
    /// The recording has just ended in this process, on this machine.
    pub live: bool,
    /// The recorder has died.
    pub recovered: bool,
    /// When a segment is full.
    pub limits: Limits,
}

/// Seals the trace in `dir`, whose lock the caller holds.
pub(crate) fn seal(storage: &dyn Storage, dir: &OwnedFd, path: &Path, mut document: Document, how: How, progress: Progress<'_>) -> Result<Document, Error> {
    let storage = &Noticing::new(storage);
    let place = Place { storage, dir: dir.as_fd(), path };
    document.segments.clear();
    document.tables.clear();
    let sealed = clean(&place).and_then(|()| Sealing::new(&place, &document)).and_then(|s| s.run(&mut document, how, progress)).and_then(|()| {
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
        return Err(if e.is_full() || storage.was_full() { Error::Full { trace: path.to_owned() } } else { e });
    }
    // The trace is whole: that its journals could not be removed would be no reason to say otherwise.
    let _ = remove_journals(storage, place.dir);
    Ok(document)
}

/// Whether a file in a trace's directory is made by sealing.
fn is_ours(name: &str) -> bool {
    let table = name
        .strip_suffix(".parquet")
        .is_some_and(|n| n.starts_with("calls-") || ["events", "events-late", "processes", "files", "initial", "snapshot"].contains(&n));
    table || name == "trace.json.new"
}

fn names_in(dir: BorrowedFd<'_>) -> io::Result<Vec<String>> {
    let entries = rustix::fs::Dir::read_from(dir)?;
    entries.map(|e| Ok(e?.file_name().to_string_lossy().into_owned())).collect()
}

fn clean(place: &Place<'_>) -> Result<(), Error> {
    let names = names_in(place.dir).map_err(Error::io("read", place.path))?;
    names.iter().filter(|n| is_ours(n)).try_for_each(|n| place.storage.remove(place.dir, n).map_err(Error::io("remove", place.path.join(n))))
}

/// Removes the journals of a sealed trace.
pub(crate) fn remove_journals(storage: &dyn Storage, dir: BorrowedFd<'_>) -> io::Result<()> {
    let journals = match directory_at(dir, "journal") {
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(()),
        other => other?,
    };
    for name in names_in(journals.as_fd())?.iter().filter(|n| stream_number(n).is_some() || *n == COMPLETE) {
        storage.remove(journals.as_fd(), name)?;
    }
    rustix::fs::unlinkat(dir, "journal", rustix::fs::AtFlags::REMOVEDIR)?;
    storage.sync_dir(dir)
}

/// Until when the journals of a recorder that died hold everything, if it said so.
fn complete_until(dir: BorrowedFd<'_>) -> Option<u64> {
    let mut word = [0; 8];
    file_at(&directory_at(dir, "journal").ok()?, COMPLETE).ok()?.read_exact_at(&mut word, 0).ok()?;
    Some(u64::from_le_bytes(word)).filter(|t| *t > 0)
}

fn stream_number(name: &str) -> Option<u32> {
    (name.len() >= 5 && name.bytes().all(|b| b.is_ascii_digit())).then(|| name.parse().ok())?
}

/// While a window of more bytes is written, none is filled: there are rows enough to do for two threads, but of bytes one at a time is enough to hold.
const HEAVY: usize = 16 << 20;

struct Sealing<'a> {
    place: &'a Place<'a>,
    streams: Streams,
    total: u64,
    clock_offset: i64,
    window: Window,
    names: Names,
    parts: Parts,
    counts: Counts,
    events: Events,
    census: Census,
    findings: Findings,
}

impl<'a> Sealing<'a> {
    fn new(place: &'a Place<'a>, document: &Document) -> Result<Self, Error> {
        let path = place.path.join("journal");
        let mut other = None;
        let mut open = || {
            let dir = match directory_at(place.dir, "journal") {
                // The recorder died before it made one.
                Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok((Vec::new(), 0)),
                other => other?,
            };
            let mut numbers: Vec<u32> = names_in(dir.as_fd())?.iter().filter_map(|n| stream_number(n)).collect();
            numbers.sort_unstable();
            let (mut streams, mut total) = (Vec::new(), 0);
            for number in numbers {
                let file = file_at(&dir, &format!("{number:05}"))?;
                total += file.metadata()?.len();
                other = other.or(other_version(&file)?);
                streams.push(Records::new(file, number, document.recording()));
            }
            Ok((streams, total))
        };
        let (streams, total) = open().map_err(Error::io("open", &path))?;
        if let Some(digit) = other {
            return Err(Error::OtherJournal { path: place.path.to_owned(), digit });
        }
        Ok(Self {
            place,
            streams: Streams::new(streams).map_err(Error::io("read", &path))?,
            total,
            clock_offset: document.about.clock_offset,
            window: Window::new(document.recording()),
            names: Names::default(),
            parts: Parts::default(),
            counts: Counts::default(),
            events: Events::default(),
            census: Census::default(),
            findings: Findings::default(),
        })
    }

    fn run(mut self, document: &mut Document, how: How, progress: Progress<'_>) -> Result<(), Error> {
        let (place, clock_offset) = (self.place, self.clock_offset);
        let segments = std::thread::scope(|scope| {
            // One window is filled while another is written.
            let (full, windows) = sync_channel(0);
            let writer = scope.spawn(move || write(place, clock_offset, windows));
            let merged = self.merge(how.limits, &full, progress);
            drop(full);
            let written = writer.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic));
            // Merging ends early, without an error of its own, when writing has failed.
            merged.and(written)
        })?;
        self.findings.damage = self.streams.damage();
        self.findings.orphans = self.parts.orphans() + self.events.dropped;
        let mut summary = self.findings.summary(document.end.as_ref(), &self.counts);
        summary.events = self.events.count;
        summary.threads = self.census.threads();
        summary.processes = self.census.processes();
        summary.recovered = how.recovered;
        if document.end.is_none() {
            summary.complete_until = complete_until(self.place.dir);
            if let Some(late) = summary.last.zip(summary.complete_until).and_then(|(last, until)| last.checked_sub(until)).filter(|late| *late > 0) {
                summary.notes.push(format!("the last {} us may follow from what was not written: replay leaves them out", late.div_ceil(1000)));
            }
        }
        document.tables = self.events.finish(self.place, self.clock_offset)?;
        document.tables.push(self.census.write(self.place)?);
        document.segments = segments;
        document.summary = summary;
        self.place.storage.sync_dir(self.place.dir).map_err(Error::io("write", self.place.path))?;
        infer(self.place, document, how.live)?;
        let files = document.segments.iter().map(|s| &s.sealed).chain(&document.tables);
        document.summary.bytes_on_disk = files.map(|f| f.bytes).sum();
        progress(self.total, self.total);
        Ok(())
    }

    /// Merges all records into windows, and sends them on when they are full, with their answers, and at the end.
    fn merge(&mut self, limits: Limits, full: &SyncSender<Option<Full>>, progress: Progress<'_>) -> Result<(), Error> {
        progress(0, self.total);
        let mut reported = 0;
        loop {
            let Self { streams, window, names, parts, counts, events, census, findings, place, clock_offset, .. } = &mut *self;
            let more = streams.next(|stream| {
                let record = stream.take(|header, data| header.kind == RecordKind::Call as u8 && !parts.are_of(header) && window.knows(data));
                findings.times(&record.header);
                match RecordKind::from_number(record.header.kind) {
                    Some(RecordKind::Call) => {
                        let before = counts.captured;
                        window.add(record, parts, counts);
                        census.call(&record.header, counts.captured - before);
                        findings.call(&record.header);
                        Ok(())
                    }
                    Some(RecordKind::Part) => {
                        parts.add(record, counts);
                        Ok(())
                    }
                    _ => {
                        census.event(&record);
                        window.happened(&record);
                        findings.event(&record);
                        events.add(&record, place, *clock_offset)
                    }
                }
            })?;
            if !more || window.is_full(limits) {
                let heavy = window.bytes() > HEAVY;
                let ready = Full::new(window.take(), names);
                // None is taken when the one before it is written.
                let sent = full.send(Some(ready)).and_then(|()| if heavy { full.send(None) } else { Ok(()) });
                if !more || sent.is_err() {
                    return Ok(());
                }
            }
            if self.streams.position() - reported > self.total / 512 {
                reported = self.streams.position();
                progress(reported, self.total);
            }
        }
    }
}

/// Writes the windows that come.
fn write(place: &Place<'_>, clock_offset: i64, windows: Receiver<Option<Full>>) -> Result<Vec<Segment>, Error> {
    let mut segments = Segments::default();
    for window in windows.into_iter().flatten() {
        segments.write(place, clock_offset, &window)?;
    }
    Ok(segments.done)
}

/// Text of an event's piece.
fn note(record: &Record<'_>) -> Option<String> {
    let mut pieces = Pieces::new(record.body);
    pieces.find(|(h, _)| h.kind == crate::record::PieceKind::String as u8).map(|(_, text)| String::from_utf8_lossy(text).into_owned())
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests;
