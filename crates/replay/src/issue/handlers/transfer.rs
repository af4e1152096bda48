//! A move of data inside the kernel of which only one end is a file here: out of a pipe, a socket,
//! memory or a file that the kernel makes up into a file, or the other way round.
//!
//! What went into a file is written where it went, and what came out of one is read and compared;
//! the descriptor's offset moves as it did. Nothing else is performed. A clone that the file system
//! here refuses is a copy, counted as such.

use crate::issue::arguments::Refused;
use crate::issue::call::{Handled, Outcome};
use crate::issue::scratch::MOST;
use crate::issue::thread::Thread;
use crate::issue::{Real, raw};
use crate::verify::{Difference, differing};
use abi::{Copies, End};
use model::world::Bound;
use std::sync::atomic::Ordering::Relaxed;
use trace::{Call, Payload};

/// The end that is a file, if the other is none and data moved.
pub(crate) fn only_end(call: &Call, copies: Copies, bound: &Bound<Real>) -> Option<End> {
    let stored =
        |end: End| bound.fds[usize::from(end.fd)].as_ref().is_some_and(|d| d.file.is_stored());
    match (stored(copies.from), stored(copies.to)) {
        _ if !call.succeeded() || call.ret <= 0 => None,
        (true, false) => Some(copies.from),
        (false, true) => Some(copies.to),
        _ => None,
    }
}

/// EXDEV, EINVAL, ENOTTY, ENOSYS, EOPNOTSUPP: what file systems say that cannot share blocks, or
/// not these.
const REFUSED: [i64; 5] = [-18, -22, -25, -38, -95];
/// Bytes that are moved at a time: what a trace claims to have moved must not cost as much memory.
const STRETCH: usize = 1 << 20;

/// What came of it: bytes moved or a negative errno, and where what came out of a file differs.
type Moved = (i64, Option<Difference>);

pub(super) fn transfer(thread: &mut Thread, issue: &Handled, copies: Copies, end: End) -> Outcome {
    let due = (issue.call.ret as u64).min(MOST as u64);
    let (got, difference) = carry(thread, issue, copies, end, due)?;
    Ok(issue.expected().compare(got).or(difference))
}

/// A clone: the call itself; where the file system here refuses (it has no reflinks, or larger
/// blocks), a copy of the captured bytes in its place.
pub(super) fn clone(thread: &mut Thread, issue: &Handled) -> Outcome {
    let arguments = issue.translate(&mut thread.scratch)?;
    let got = arguments.perform();
    let Some(copies) =
        issue.shape.copies.filter(|_| issue.call.succeeded() && REFUSED.contains(&got))
    else {
        return Ok(issue.expected().compare(got));
    };
    thread.common.copied.fetch_add(1, Relaxed);
    let sum = |of: fn(&Payload) -> u64| trace::saturating_sum(issue.call.copied(&copies).map(of));
    let due = sum(|p| p.wanted).min(MOST as u64).max(sum(|p| p.bytes.len() as u64));
    match carry(thread, issue, copies, copies.to, due)? {
        (got, _) if got == due as i64 => Ok(None),
        (got, _) => Ok(issue.expected().compare(got.min(-1))),
    }
}

fn carry(
    thread: &mut Thread,
    issue: &Handled,
    copies: Copies,
    end: End,
    due: u64,
) -> Result<Moved, &'static str> {
    let call = &issue.call;
    let real = issue.bound.fds[usize::from(end.fd)].as_ref().map_or(-1, |d| d.real.get());
    let room = thread.scratch.take(STRETCH).ok_or(Refused::Size.why())?;
    let bytes = thread.scratch.bytes_mut(room);
    let offset = call.pointed(end.at);
    let mut captured = Captured::new(call.copied(&copies));
    let mut moved = 0;
    let mut difference = None;
    while moved < due {
        let bytes = &mut bytes[..STRETCH.min((due - moved) as usize)];
        let offset = offset.map(|o| o.saturating_add(moved));
        let got = if end == copies.to {
            // What was not captured is zeros.
            let held = captured
                .take(bytes.len(), |at, known| bytes[at..at + known.len()].copy_from_slice(known));
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
            _ => return Ok((got, None)),
        }
    }
    Ok((moved as i64, difference))
}

/// The captured bytes, one after the other, up to the first that is missing.
struct Captured<'a, I> {
    payloads: I,
    rest: &'a [u8],
    ended: bool,
}

impl<'a, I: Iterator<Item = &'a Payload>> Captured<'a, I> {
    fn new(payloads: I) -> Self {
        Self { payloads, rest: &[], ended: false }
    }

    /// Passes on the next `len` bytes, as far as they are known, with their distance from here; how
    /// many they were.
    fn take(&mut self, len: usize, mut pass: impl FnMut(usize, &[u8])) -> usize {
        let mut at = 0;
        while at < len {
            if self.rest.is_empty() {
                let Some(payload) = self.payloads.next().filter(|_| !self.ended) else { break };
                self.rest = payload.bytes.as_slice();
                self.ended = (payload.bytes.len() as u64) < payload.wanted;
                continue;
            }
            let (now, later) = self.rest.split_at(self.rest.len().min(len - at));
            pass(at, now);
            (at, self.rest) = (at + now.len(), later);
        }
        at
    }
}
