//! What calls show of the size of a file and of its bytes.

use super::{Bytes, Node, NodeId};
use crate::files::row::Known;

impl Node {
    /// Notes that a call showed this size. If no call has changed the size, the file had it before.
    pub fn observe_size(&mut self, size: u64) {
        if self.current_attributes.size.is_some_and(|now| now != size) {
            self.unexplained_attributes.size = Some(size);
        }
        self.current_attributes.size = Some(size);
        let existed_before = self.initial || self.appeared;
        if !self.changed.size && existed_before && self.initial_attributes.size.is_none() {
            self.initial_attributes.size = Some(size);
            self.bytes_mut().determined.insert(size, u64::MAX);
        }
    }

    /// Returns what is known of the content. All bytes of a file that a recorded call created are
    /// known from the start.
    pub fn bytes_mut(&mut self) -> &mut Bytes {
        let existed_before = self.initial || self.appeared;
        self.bytes.get_or_insert_with(|| {
            let mut bytes = Box::<Bytes>::default();
            if !existed_before {
                bytes.determined.insert(0, u64::MAX);
            }
            bytes
        })
    }

    /// Notes that a call showed the `len` bytes from `start` on. Returns the ranges among them that
    /// no call had shown or written before.
    pub fn note_read(&mut self, start: u64, len: u64) -> Vec<(u64, u64)> {
        let end = start.saturating_add(len);
        if self.current_attributes.size.is_some_and(|size| size < end) {
            self.read_beyond = self.read_beyond.max(end);
        }
        let bytes = self.bytes_mut();
        let new_ranges = bytes.determined.gaps(start, end);
        bytes.determined.insert(start, end);
        new_ranges
    }

    /// Returns where the bytes `start..end`, which no call had shown before, came from, as (origin,
    /// start, end): they are initial content of this file, whose id is `id`, or what an unrecorded
    /// process wrote.
    pub fn origins_of(&self, id: NodeId, start: u64, end: u64) -> Vec<(NodeId, u64, u64)> {
        let mut parts = vec![(id, start, end)];
        for bytes in self.unrecorded_bytes.iter().filter(|bytes| bytes.offset < end) {
            let first = bytes.offset.max(start);
            parts.retain_mut(|(_, part_start, part_end)| {
                *part_end = (*part_end).min(first);
                part_start < part_end
            });
            parts.push((bytes.origin, first, end));
        }
        parts
    }

    /// Notes that a call read from `start` to `end`. Where calls have not written, the file reached
    /// up to there when the recording began.
    pub fn note_initial_size_at_least(&mut self, start: u64, end: u64) {
        if self.initial
            && let Some((_, last)) = self.bytes_mut().written.gaps(start, end).last()
        {
            self.initial_size_at_least = self.initial_size_at_least.max(*last);
        }
    }

    /// Notes that a call wrote `len` bytes from `start` on, of which the trace holds the first
    /// `recorded`.
    pub fn note_write(&mut self, start: u64, len: u64, recorded: u64) {
        let end = start.saturating_add(len);
        let bytes = self.bytes_mut();
        bytes.determined.insert(start, end);
        bytes.written.insert(start, end);
        bytes.not_in_trace.remove(start, end);
        bytes.not_in_trace.insert(start.saturating_add(recorded), end);
        self.extend(end);
    }

    /// Notes that `start..end` is a hole, or allocated. Where calls have not written, that was so
    /// when the recording began.
    pub fn note_layout(&mut self, start: u64, end: u64, hole: bool) {
        if !self.initial {
            return;
        }
        let bytes = self.bytes_mut();
        for (s, e) in bytes.written.gaps(start, end) {
            if hole {
                bytes.initial_holes.insert(s, e);
                bytes.determined.insert(s, e);
            } else {
                bytes.initial_allocated.insert(s, e);
            }
        }
    }

    /// Notes that the file is at least as long as `end`.
    pub fn extend(&mut self, end: u64) {
        match self.current_attributes.size {
            Some(size) if size >= end => {}
            Some(_) => {
                self.current_attributes.size = Some(end);
                self.changed.size = true;
            }
            None => self.changed.size = true,
        }
    }

    /// Sets the size. Bytes beyond it are zero from now on.
    pub fn truncate(&mut self, size: u64) {
        let bytes = self.bytes_mut();
        bytes.determined.insert(size, u64::MAX);
        bytes.written.insert(size, u64::MAX);
        bytes.not_in_trace.remove(size, u64::MAX);
        self.current_attributes.size = Some(size);
        self.changed.size = true;
    }

    /// Returns which bytes of a file of `size` bytes the trace determines.
    pub fn known_bytes(&self, size: u64) -> Known {
        let Some(bytes) = &self.bytes else {
            return if size == 0 || !(self.initial || self.appeared) {
                Known::Whole
            } else {
                Known::Extents(Vec::new())
            };
        };
        let mut known = bytes.determined.clone();
        for (s, e) in bytes.not_in_trace.within(0, size) {
            known.remove(s, e);
        }
        if known.covers(0, size) {
            Known::Whole
        } else {
            Known::Extents(known.within(0, size).into_iter().map(|(s, e)| (s, e - s)).collect())
        }
    }
}
