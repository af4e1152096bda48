//! Whether everything is there, and what is not. The verdict follows from numbers: what sequence
//! numbers, frames and the engine itself say is missing.

use super::window::Counts;
use crate::document::{End, Summary, Verdict};
use crate::format::record::{COMPAT, Header, NO_EXIT, NOT_MADE, PayloadKind, Payloads, RecordKind};
use crate::journal::{Damage, Record};

/// So many of an engine's notes go into `trace.json`; all of them are events.
const MAX_NOTES: usize = 20;

/// What was found on the way.
#[derive(Default)]
pub(super) struct Findings {
    pub damage: Damage,
    pub orphans: u64,
    calls: u64,
    unreturned: u64,
    compat: u64,
    not_made: u64,
    gaps: u64,
    first: Option<u64>,
    last: Option<u64>,
    notes: Vec<String>,
}

impl Findings {
    pub fn times(&mut self, header: &Header) {
        self.first = Some(self.first.map_or(header.entered, |t| t.min(header.entered)));
        let end = if header.flags & NO_EXIT == 0 && header.kind == RecordKind::Call as u8 {
            header.left
        } else {
            header.entered
        };
        self.last = Some(self.last.map_or(end, |t| t.max(end)));
    }

    pub fn call(&mut self, header: &Header) {
        self.calls += 1;
        self.unreturned += u64::from(header.flags & (NO_EXIT | NOT_MADE) == NO_EXIT);
        self.not_made += u64::from(header.flags & NOT_MADE != 0);
        self.compat += u64::from(header.flags & COMPAT != 0);
    }

    pub fn event(&mut self, record: &Record<'_>) {
        match RecordKind::from_number(record.header.kind) {
            Some(RecordKind::Gap) => self.gaps = self.gaps.saturating_add(record.header.args[1]),
            Some(RecordKind::Note) if self.notes.len() < MAX_NOTES => {
                self.notes.extend(note(record));
            }
            _ => {}
        }
    }

    /// The summary, as far as it follows from these; `end` is what the recorder said, if it came to
    /// that.
    pub fn summary(self, end: Option<&End>, counts: &Counts) -> Summary {
        let mut reasons = Vec::new();
        // A call of which only parts came is missing itself, and has left a gap, unless the
        // recorder died.
        let lost = self.gaps.saturating_add(self.damage.records).max(self.orphans);
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
        if self.damage.bytes > 0 {
            reasons.push(format!("{} bytes of the journal were damaged", self.damage.bytes));
        }
        if self.damage.torn > 0 {
            reasons.push(format!(
                "the journal ends in the middle of a frame: its last {} bytes are unusable",
                self.damage.torn
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
        if self.not_made > 0 {
            notes.push(format!(
                "{} calls were answered by a seccomp filter and not made by the kernel: replay \
                 leaves them out",
                self.not_made
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
            bytes_captured: counts.captured,
            damaged_bytes: self.damage.bytes + self.damage.torn,
            first: self.first,
            last: self.last,
            ..Summary::default()
        }
    }
}

/// Text of an event's payload.
fn note(record: &Record<'_>) -> Option<String> {
    let mut payloads = Payloads::new(record.body);
    payloads
        .find(|(h, _)| h.kind == PayloadKind::String as u8)
        .map(|(_, text)| String::from_utf8_lossy(text).into_owned())
}
