//! The state of a sealing: how far the journals were read, and what was derived so far. Sealing can
//! stop after any record and continue in another thread.

use super::events::Events;
use super::merge::Streams;
use super::processes::ThreadTable;
use super::segment::{FilledWindow, Segments};
use super::verdict::Findings;
use super::window::{Counts, Limits, PendingParts, Window};
use super::{OutputDir, file_names, stream_number};
use crate::document::{Document, Summary};
use crate::error::Error;
use crate::format::record::RecordKind;
use crate::journal::{Records, version_of_other_journal};
use crate::semantics::Inference;
use crate::storage::{open_directory_at, open_file_at};
use std::fs::File;
use std::io;
use std::os::fd::AsFd;

/// The state of a sealing.
pub(super) struct SealState {
    streams: Streams,
    /// `CLOCK_REALTIME` minus `CLOCK_MONOTONIC`, in nanoseconds.
    pub clock_offset: i64,
    /// The rows that were read and are in no segment yet.
    window: Window,
    pub inference: Box<dyn Inference>,
    pending_parts: PendingParts,
    counts: Counts,
    pub events: Events,
    pub thread_table: ThreadTable,
    findings: Findings,
    pub segments: Segments,
}

impl SealState {
    /// Opens the journals and reads nothing yet. `grow` is whether they are still being written.
    pub fn new(
        output: &OutputDir<'_>,
        document: &Document,
        inference: Box<dyn Inference>,
        grow: bool,
    ) -> Result<Self, Error> {
        let path = output.path.join("journal");
        let streams = Streams::new(open_journals(output, document, 0)?, grow)
            .map_err(Error::io("open", &path))?;
        Ok(Self {
            streams,
            clock_offset: document.info.clock_offset,
            window: Window::new(document.recording_id()),
            inference,
            pending_parts: PendingParts::default(),
            counts: Counts::default(),
            events: Events::default(),
            thread_table: ThreadTable::default(),
            findings: Findings::default(),
            segments: Segments::default(),
        })
    }

    /// Says that the journals are complete, and opens those that were created in the meantime.
    pub fn finish_growing(
        &mut self,
        output: &OutputDir<'_>,
        document: &Document,
    ) -> Result<(), Error> {
        let known = self.streams.count();
        self.streams
            .add(open_journals(output, document, known)?, false)
            .map_err(Error::io("open", output.path.join("journal")))
    }

    /// Looks for new records at the ends of the journals.
    pub fn refresh(&mut self) -> io::Result<()> {
        self.streams.refresh()
    }

    /// Returns the total size of the journals in bytes.
    pub fn journal_bytes(&self) -> io::Result<u64> {
        self.streams.bytes()
    }

    /// Returns how many bytes of the journals were read.
    pub fn position(&self) -> u64 {
        self.streams.position()
    }

    /// Reads records into the window until it is full, and then returns true. Returns false if no
    /// record that was written up to the time `until` is left, or if `go_on` returned false.
    /// `go_on` is called after each record with the number of bytes of the journals that were read.
    pub fn fill(
        &mut self,
        output: &OutputDir<'_>,
        limits: Limits,
        until: u64,
        mut go_on: impl FnMut(u64) -> bool,
    ) -> Result<bool, Error> {
        while !self.window.is_full(limits) {
            if !self.read_record(output, until)? || !go_on(self.streams.position()) {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Reads the next record, if it was written no later than `until`, and adds it to the window
    /// and the tables. Returns false if there is none.
    fn read_record(&mut self, output: &OutputDir<'_>, until: u64) -> Result<bool, Error> {
        let Self {
            streams,
            window,
            pending_parts,
            counts,
            events,
            thread_table,
            findings,
            clock_offset,
            ..
        } = self;
        streams.handle_next(until, |stream| {
            let record = stream.next_record(|header, data| {
                header.kind == RecordKind::Call as u8
                    && !pending_parts.has_parts_of(header)
                    && window.has_data(data)
            });
            findings.note_times(&record.header);
            match RecordKind::from_number(record.header.kind) {
                Some(RecordKind::Call) => {
                    let captured_before = counts.captured_bytes;
                    window.add(record, pending_parts, counts);
                    thread_table.add_call(&record.header, counts.captured_bytes - captured_before);
                    findings.count_call(&record.header);
                    Ok(())
                }
                Some(RecordKind::Part) => {
                    pending_parts.add(record, counts);
                    Ok(())
                }
                _ => {
                    thread_table.add_event(&record);
                    window.add_event(&record);
                    findings.note_event(&record);
                    events.add(&record, output, *clock_offset)
                }
            }
        })
    }

    /// Returns the number of bytes of data and payloads in the window.
    pub fn window_bytes(&self) -> usize {
        self.window.bytes()
    }

    /// Returns the window with its derived columns, and starts an empty one.
    pub fn take_window(&mut self) -> FilledWindow {
        FilledWindow::new(self.window.take(), &mut *self.inference)
    }

    /// Returns the summary of everything that was read.
    pub fn summary(&mut self, document: &Document) -> Summary {
        let mut findings = std::mem::take(&mut self.findings);
        findings.damage = self.streams.damage();
        findings.incomplete_calls =
            self.pending_parts.incomplete_calls() + self.events.dropped_late;
        let mut summary = findings.into_summary(document.end.as_ref(), &self.counts);
        summary.events = self.events.event_count;
        summary.threads = self.thread_table.thread_count();
        summary.processes = self.thread_table.process_count();
        summary
    }
}

/// Opens the journals in the order of their stream numbers, without the first `skip`. Fails if one
/// has the format of another version of this program.
fn open_journals(
    output: &OutputDir<'_>,
    document: &Document,
    skip: usize,
) -> Result<Vec<Records>, Error> {
    let files =
        journal_files(output, skip).map_err(Error::io("open", output.path.join("journal")))?;
    let records = |(stream, file)| match version_of_other_journal(&file)? {
        Some(digit) => Err(Error::OtherJournal { path: output.path.to_owned(), digit }),
        None => Ok(Records::new(file, stream, document.recording_id())),
    };
    files.into_iter().map(records).collect()
}

/// Opens the journal files in the order of their stream numbers, without the first `skip`. Returns
/// them with these numbers.
fn journal_files(output: &OutputDir<'_>, skip: usize) -> io::Result<Vec<(u32, File)>> {
    let dir = match open_directory_at(output.dir, "journal") {
        // The recorder died before it made one.
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        other => other?,
    };
    let mut stream_numbers: Vec<u32> =
        file_names(dir.as_fd())?.iter().filter_map(|number| stream_number(number)).collect();
    stream_numbers.sort_unstable();
    stream_numbers.drain(..skip.min(stream_numbers.len()));
    stream_numbers
        .into_iter()
        .map(|number| Ok((number, open_file_at(&dir, &format!("{number:05}"))?)))
        .collect()
}
