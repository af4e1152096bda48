//! Decides whether a trace is complete and what is missing. The verdict follows from sequence
//! numbers, from frames, and from what the engine reported as missing.

use super::window::Counts;
use crate::document::{RecordingEnd, Summary, Verdict};
use crate::format::record::{
    COMPAT, Header, NO_EXIT, NOT_EXECUTED, PayloadKind, Payloads, RecordKind,
};
use crate::journal::{Damage, Record};

/// The largest number of an engine's notes that go into `trace.json`. All of them are events.
const MAX_NOTES: usize = 20;

/// Counts of calls, damage and missing records, and notes, collected while the journals are read.
#[derive(Default)]
pub(super) struct Findings {
    /// The damage of all journals.
    pub damage: Damage,
    /// The number of calls of which only parts were found, and of events that were dropped.
    pub incomplete_calls: u64,
    calls: u64,
    unreturned: u64,
    /// The number of calls through a 32-bit entry point.
    compat: u64,
    /// The number of calls that a seccomp filter answered.
    not_executed: u64,
    /// The number of records that the engine reported as missing.
    reported_missing: u64,
    /// The time of the first record.
    first_time: Option<u64>,
    /// The time of the last record, or of the return of the last call.
    last_time: Option<u64>,
    /// The engine's notes.
    notes: Vec<String>,
}

impl Findings {
    /// Updates the times of the first and the last record.
    pub fn note_times(&mut self, header: &Header) {
        self.first_time = Some(self.first_time.map_or(header.entered, |t| t.min(header.entered)));
        let end = if header.flags & NO_EXIT == 0 && header.kind == RecordKind::Call as u8 {
            header.left
        } else {
            header.entered
        };
        self.last_time = Some(self.last_time.map_or(end, |t| t.max(end)));
    }

    /// Counts a call.
    pub fn count_call(&mut self, header: &Header) {
        self.calls += 1;
        self.unreturned += u64::from(header.flags & (NO_EXIT | NOT_EXECUTED) == NO_EXIT);
        self.not_executed += u64::from(header.flags & NOT_EXECUTED != 0);
        self.compat += u64::from(header.flags & COMPAT != 0);
    }

    /// Counts missing records and collects notes.
    pub fn note_event(&mut self, record: &Record<'_>) {
        match RecordKind::from_number(record.header.kind) {
            Some(RecordKind::Gap) => {
                self.reported_missing = self.reported_missing.saturating_add(record.header.args[1]);
            }
            Some(RecordKind::Note) if self.notes.len() < MAX_NOTES => {
                self.notes.extend(first_string(record));
            }
            _ => {}
        }
    }

    /// Returns the summary of what was read, without the counts of threads, processes, events and
    /// files, and without sizes. `end` is what the recorder stored when it ended, or `None` if it
    /// died.
    pub fn into_summary(self, end: Option<&RecordingEnd>, counts: &Counts) -> Summary {
        let mut reasons = Vec::new();
        // A call of which only parts were found is missing. It leaves a gap in the sequence numbers
        // unless the recorder died.
        let lost = self
            .reported_missing
            .saturating_add(self.damage.missing_records)
            .max(self.incomplete_calls);
        match end {
            None => reasons
                .push("the recorder was killed: what it had not written is missing".to_owned()),
            Some(e) if !e.finished => reasons.push("recording stopped before the end".to_owned()),
            Some(_) => {}
        }
        reasons.extend(end.iter().flat_map(|e| e.missing.iter().cloned()));
        if lost > 0 {
            reasons.push(format!("{lost} calls or events are missing"));
        }
        if self.damage.unusable_bytes > 0 {
            reasons
                .push(format!("{} bytes of the journal were damaged", self.damage.unusable_bytes));
        }
        if self.damage.torn_bytes > 0 {
            reasons.push(format!(
                "the journal ends in the middle of a frame: its last {} bytes are unusable",
                self.damage.torn_bytes
            ));
        }
        if counts.shortened > 0 {
            reasons.push(format!(
                "{} pieces were cut: no call may hold more than {} MiB",
                counts.shortened,
                super::window::ROW_BYTES >> 20
            ));
        }
        let mut notes = end.map(|e| e.notes.clone()).unwrap_or_default();
        notes.extend(self.notes);
        if self.compat > 0 {
            notes.push(format!(
                "{} 32-bit calls are recorded as numbers, without paths and data, and cannot be \
                 replayed",
                self.compat
            ));
        }
        if self.not_executed > 0 {
            notes.push(format!(
                "{} calls were answered by a seccomp filter and not made by the kernel: replay \
                 leaves them out",
                self.not_executed
            ));
        }
        Summary {
            verdict: if reasons.is_empty() { Verdict::Complete } else { Verdict::Incomplete },
            reasons,
            notes,
            calls: self.calls,
            lost,
            held_ns: end.map_or(0, |e| e.held_ns),
            unreadable: counts.unreadable,
            cut: counts.cut,
            unreturned: self.unreturned,
            bytes_captured: counts.captured_bytes,
            damaged_bytes: self.damage.unusable_bytes + self.damage.torn_bytes,
            first: self.first_time,
            last: self.last_time,
            ..Summary::default()
        }
    }
}

/// Returns the text of the first String payload of an event.
fn first_string(record: &Record<'_>) -> Option<String> {
    let mut payloads = Payloads::new(record.body);
    payloads
        .find(|(h, _)| h.kind == PayloadKind::String as u8)
        .map(|(_, text)| String::from_utf8_lossy(text).into_owned())
}
