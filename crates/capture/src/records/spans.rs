//! Reading stretches of a process's memory, one after the other.

use crate::inspect::memory::{Span, read_spans, span};

/// Stretches per read, on the stack.
const SPANS: usize = 64;

/// A place in a row of stretches.
pub(super) struct SpanReader<'a> {
    spans: &'a [Span],
    at: usize,
    within: usize,
}

impl<'a> SpanReader<'a> {
    pub fn new(spans: &'a [Span]) -> Self {
        Self { spans, at: 0, within: 0 }
    }
    /// Reads on into `local`; how many bytes could be read.
    pub fn read(&mut self, tid: i32, local: &mut [u8]) -> usize {
        let mut got = 0;
        while got < local.len() {
            let mut batch = [span(0, 0); SPANS];
            let (n, bytes) = self.batch(&mut batch, local.len() - got);
            let read =
                if n == 0 { 0 } else { read_spans(tid, &batch[..n], &mut local[got..got + bytes]) };
            got += read;
            if n == 0 || read < bytes {
                break;
            }
        }
        got
    }
    /// The next stretches, of at most `max` bytes together: how many, and how long.
    fn batch(&mut self, into: &mut [Span; SPANS], max: usize) -> (usize, usize) {
        let (mut n, mut bytes) = (0, 0);
        while n < SPANS && bytes < max && self.at < self.spans.len() {
            let Span { iov_base, iov_len } = self.spans[self.at];
            let len = (iov_len - self.within).min(max - bytes);
            if len > 0 {
                into[n] = Span { iov_base: iov_base.wrapping_byte_add(self.within), iov_len: len };
                n += 1;
                bytes += len;
            }
            self.within += len;
            if self.within == iov_len {
                (self.at, self.within) = (self.at + 1, 0);
            }
        }
        (n, bytes)
    }
}
