//! Sealing under way: how far the journals are read, and what came of that. It can be left off
//! after any record, and gone on with in another thread.

use super::events::Events;
use super::merge::Streams;
use super::processes::ThreadTable;
use super::segment::{FilledWindow, Segments};
use super::verdict::Findings;
use super::window::{Counts, Limits, Parts, Window};
use super::{Place, names_in, stream_number};
use crate::document::{Document, Summary};
use crate::error::Error;
use crate::format::record::RecordKind;
use crate::journal::{Records, other_version};
use crate::semantics::Inference;
use crate::storage::{directory_at, file_at};
use std::fs::File;
use std::io;
use std::os::fd::AsFd;

/// All that sealing knows.
pub(super) struct SealState {
    streams: Streams,
    pub clock_offset: i64,
    window: Window,
    pub inference: Box<dyn Inference>,
    parts: Parts,
    counts: Counts,
    pub events: Events,
    pub thread_table: ThreadTable,
    findings: Findings,
    pub segments: Segments,
}

impl SealState {
    /// Nothing is read yet. `grow`: the journals are being written.
    pub fn new(
        place: &Place<'_>,
        document: &Document,
        inference: Box<dyn Inference>,
        grow: bool,
    ) -> Result<Self, Error> {
        let path = place.path.join("journal");
        let streams =
            Streams::new(open(place, document, 0)?, grow).map_err(Error::io("open", &path))?;
        Ok(Self {
            streams,
            clock_offset: document.about.clock_offset,
            window: Window::new(document.recording()),
            inference,
            parts: Parts::default(),
            counts: Counts::default(),
            events: Events::default(),
            thread_table: ThreadTable::default(),
            findings: Findings::default(),
            segments: Segments::default(),
        })
    }

    /// The journals have grown as long as they get; those that were made meanwhile are there, too.
    pub fn finish_growing(&mut self, place: &Place<'_>, document: &Document) -> Result<(), Error> {
        let known = self.streams.count();
        self.streams
            .add(open(place, document, known)?, false)
            .map_err(Error::io("open", place.path.join("journal")))
    }

    /// Looks what has come to the journals.
    pub fn refresh(&mut self) -> io::Result<()> {
        self.streams.refresh()
    }

    /// Bytes of the journals.
    pub fn total(&self) -> io::Result<u64> {
        self.streams.bytes()
    }

    /// And those that are read.
    pub fn position(&self) -> u64 {
        self.streams.position()
    }

    /// Reads on until the window is full, which is true, or until there is no record of before
    /// `until` or `go_on`, asked at a position, does not want to: false.
    pub fn fill(
        &mut self,
        place: &Place<'_>,
        limits: Limits,
        until: u64,
        mut go_on: impl FnMut(u64) -> bool,
    ) -> Result<bool, Error> {
        while !self.window.is_full(limits) {
            if !self.take(place, until)? || !go_on(self.streams.position()) {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Takes a record.
    fn take(&mut self, place: &Place<'_>, until: u64) -> Result<bool, Error> {
        let Self {
            streams,
            window,
            parts,
            counts,
            events,
            thread_table,
            findings,
            clock_offset,
            ..
        } = self;
        streams.next(until, |stream| {
            let record = stream.take(|header, data| {
                header.kind == RecordKind::Call as u8
                    && !parts.has_parts_of(header)
                    && window.knows(data)
            });
            findings.times(&record.header);
            match RecordKind::from_number(record.header.kind) {
                Some(RecordKind::Call) => {
                    let before = counts.captured;
                    window.add(record, parts, counts);
                    thread_table.call(&record.header, counts.captured - before);
                    findings.call(&record.header);
                    Ok(())
                }
                Some(RecordKind::Part) => {
                    parts.add(record, counts);
                    Ok(())
                }
                _ => {
                    thread_table.event(&record);
                    window.add_event(&record);
                    findings.event(&record);
                    events.add(&record, place, *clock_offset)
                }
            }
        })
    }

    /// Bytes of data and payloads in the window.
    pub fn bytes(&self) -> usize {
        self.window.bytes()
    }

    /// The window with its answers; an empty one takes its place.
    pub fn window(&mut self) -> FilledWindow {
        FilledWindow::new(self.window.take(), &mut *self.inference)
    }

    /// What is to be said of all that was read.
    pub fn summary(&mut self, document: &Document) -> Summary {
        let mut findings = std::mem::take(&mut self.findings);
        findings.damage = self.streams.damage();
        findings.orphans = self.parts.orphans() + self.events.dropped;
        let mut summary = findings.summary(document.end.as_ref(), &self.counts);
        summary.events = self.events.count;
        summary.threads = self.thread_table.threads();
        summary.processes = self.thread_table.processes();
        summary
    }
}

/// The journals, in the order of their numbers, but for the first few.
fn open(place: &Place<'_>, document: &Document, known: usize) -> Result<Vec<Records>, Error> {
    let files = files(place, known).map_err(Error::io("open", place.path.join("journal")))?;
    let records = |(number, file)| match other_version(&file)? {
        Some(digit) => Err(Error::OtherJournal { path: place.path.to_owned(), digit }),
        None => Ok(Records::new(file, number, document.recording())),
    };
    files.into_iter().map(records).collect()
}

fn files(place: &Place<'_>, known: usize) -> io::Result<Vec<(u32, File)>> {
    let dir = match directory_at(place.dir, "journal") {
        // The recorder died before it made one.
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        other => other?,
    };
    let mut numbers: Vec<u32> =
        names_in(dir.as_fd())?.iter().filter_map(|n| stream_number(n)).collect();
    numbers.sort_unstable();
    numbers.drain(..known.min(numbers.len()));
    numbers.into_iter().map(|n| Ok((n, file_at(&dir, &format!("{n:05}"))?))).collect()
}
