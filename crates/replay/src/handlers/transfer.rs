//! A move of data inside the kernel of which only one end is a file here: out of a pipe, a socket, memory or a file that the kernel makes up into a file, or the
//! other way round.
//!
//! What went into a file is written where it went, and what came out of one is read and compared; the descriptor's offset moves as it did. Nothing else is performed.

use super::refusal;
use crate::executor::{Executor, Outcome};
use crate::issue::arguments::Refused;
use crate::issue::{Real, raw};
use crate::job::Issue;
use crate::verify::{compare_result, differing};
use abi::{Copies, End};
use trace::world::Bound;
use trace::{Call, Piece};

/// The end that is a file, if the other is none and data moved.
pub(crate) fn only_end(call: &Call, copies: Copies, bound: &Bound<Real>) -> Option<End> {
    let stored = |end: End| bound.fds[usize::from(end.fd)].as_ref().is_some_and(|d| d.file.is_stored());
    match (stored(copies.from), stored(copies.to)) {
        _ if !call.succeeded() || call.ret <= 0 => None,
        (true, false) => Some(copies.from),
        (false, true) => Some(copies.to),
        _ => None,
    }
}

/// Bytes that are moved at a time: what a trace claims to have moved must not cost as much memory.
const STRETCH: usize = 1 << 20;

pub(super) fn transfer(executor: &mut Executor, issue: &Issue, copies: Copies, end: End) -> Outcome {
    let call = &issue.call;
    let real = issue.bound.fds[usize::from(end.fd)].as_ref().map_or(-1, |d| d.real.get());
    let due = call.ret as u64;
    let Some(room) = executor.scratch.take(STRETCH) else { return refusal(Refused::Size) };
    let bytes = executor.scratch.bytes_mut(room);
    let offset = call.pointed(end.at);
    let mut captured = Captured::new(call.copied(&copies));
    let mut moved = 0;
    let mut difference = None;
    while moved < due {
        let bytes = &mut bytes[..STRETCH.min((due - moved) as usize)];
        let offset = offset.map(|o| o.saturating_add(moved));
        let got = if end == copies.to {
            // What was not captured is zeros.
            let held = captured.take(bytes.len(), |at, known| bytes[at..at + known.len()].copy_from_slice(known));
            bytes[held..].fill(0);
            raw::write(real, bytes, offset)
        } else {
            let got = raw::read(real, bytes, offset);
            let come = &bytes[..got.max(0) as usize];
            captured.take(come.len(), |at, known| {
                if !issue.mapped && difference.is_none() {
                    difference = differing(moved as usize + at, known, &come[at..at + known.len()]);
                }
            });
            got
        };
        match got {
            1.. => {
                moved += got as u64;
                if end == copies.to && (got as usize) < bytes.len() {
                    break;
                }
            }
            _ if moved > 0 => break,
            _ => return Outcome::Issued(compare_result(issue, got)),
        }
    }
    Outcome::Issued(compare_result(issue, moved as i64).or(difference))
}

/// The captured bytes, one after the other, up to the first that is missing.
struct Captured<'a, I> {
    pieces: I,
    rest: &'a [u8],
    ended: bool,
}

impl<'a, I: Iterator<Item = &'a Piece>> Captured<'a, I> {
    fn new(pieces: I) -> Self {
        Self { pieces, rest: &[], ended: false }
    }

    /// Passes on the next `len` bytes, as far as they are known, with their distance from here; how many they were.
    fn take(&mut self, len: usize, mut pass: impl FnMut(usize, &[u8])) -> usize {
        let mut at = 0;
        while at < len {
            if self.rest.is_empty() {
                let Some(piece) = self.pieces.next().filter(|_| !self.ended) else { break };
                self.rest = piece.bytes.as_slice();
                self.ended = (piece.bytes.len() as u64) < piece.wanted;
                continue;
            }
            let (now, later) = self.rest.split_at(self.rest.len().min(len - at));
            pass(at, now);
            (at, self.rest) = (at + now.len(), later);
        }
        at
    }
}
