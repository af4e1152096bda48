//! Reading several ranges of a process's memory as one sequence of bytes.

use crate::inspect::memory::{Span, read_spans, span};

/// The most ranges per read; their array is on the stack.
const BATCH_SPANS: usize = 64;

/// A position in a list of memory ranges.
pub(super) struct SpanReader<'a> {
    spans: &'a [Span],
    /// The index of the current range.
    index: usize,
    /// How many bytes of it have been read.
    offset: usize,
}

impl<'a> SpanReader<'a> {
    /// Starts at the beginning of the first range.
    pub fn new(spans: &'a [Span]) -> Self {
        Self { spans, index: 0, offset: 0 }
    }
    /// Fills `local` from the current position on, from the memory of thread `tid`. Returns how
    /// many bytes could be read: fewer than asked for if memory is unreadable or the ranges end.
    pub fn read(&mut self, tid: i32, local: &mut [u8]) -> usize {
        let mut filled = 0;
        while filled < local.len() {
            let mut batch = [span(0, 0); BATCH_SPANS];
            let (count, bytes) = self.next_batch(&mut batch, local.len() - filled);
            let read = if count == 0 {
                0
            } else {
                read_spans(tid, &batch[..count], &mut local[filled..filled + bytes])
            };
            filled += read;
            if count == 0 || read < bytes {
                break;
            }
        }
        filled
    }
    /// Puts the next ranges, of at most `max` bytes together, into `into`. Returns their number and
    /// their length in bytes.
    fn next_batch(&mut self, into: &mut [Span; BATCH_SPANS], max: usize) -> (usize, usize) {
        let (mut count, mut bytes) = (0, 0);
        while count < BATCH_SPANS && bytes < max && self.index < self.spans.len() {
            let Span { iov_base, iov_len } = self.spans[self.index];
            let len = (iov_len - self.offset).min(max - bytes);
            if len > 0 {
                into[count] =
                    Span { iov_base: iov_base.wrapping_byte_add(self.offset), iov_len: len };
                count += 1;
                bytes += len;
            }
            self.offset += len;
            if self.offset == iov_len {
                (self.index, self.offset) = (self.index + 1, 0);
            }
        }
        (count, bytes)
    }
}
