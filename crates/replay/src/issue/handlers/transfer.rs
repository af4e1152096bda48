//! A move of data inside the kernel of which only one end is a file here: out of a pipe, a socket,
//! memory or a file that the kernel makes up into a file, or the other way round.
//!
//! What went into a file is written where it went, and what came out of one is read and compared;
//! the descriptor's offset moves as it did. Nothing else is performed. A clone that the file system
//! here refuses is a copy, counted as such.

use crate::issue::arguments::TranslateError;
use crate::issue::handled::{HandledCall, Outcome};
use crate::issue::scratch::MAX_RW_COUNT;
use crate::issue::thread::ExecutorThread;
use crate::issue::{RealFd, raw};
use crate::verify::{Mismatch, first_difference};
use abi::{Copies, CopyEnd, errno_of};
use model::processes::Operands;
use rustix::io::Errno;
use std::sync::atomic::Ordering::Relaxed;
use trace::{Call, Payload};

/// Returns which end of a copy in the kernel is a file, if the other end is none and data moved.
pub(crate) fn file_end(
    call: &Call,
    copies: Copies,
    operands: &Operands<RealFd>,
) -> Option<CopyEnd> {
    let stored = |end: CopyEnd| {
        operands.fds[usize::from(end.fd)].as_ref().is_some_and(|d| d.file.is_stored())
    };
    match (stored(copies.from), stored(copies.to)) {
        _ if !call.succeeded() || call.ret <= 0 => None,
        (true, false) => Some(copies.from),
        (false, true) => Some(copies.to),
        _ => None,
    }
}

/// Returns whether the file system refused to share blocks, in general or for these ranges.
fn cannot_share(result: i64) -> bool {
    matches!(
        errno_of(result).map(Errno::from_raw_os_error),
        Some(Errno::XDEV | Errno::INVAL | Errno::NOTTY | Errno::NOSYS | Errno::OPNOTSUPP)
    )
}

/// Bytes that are moved at a time: what a trace claims to have moved must not cost as much memory.
const CHUNK: usize = 1 << 20;

/// What came of it: bytes moved or a negative errno, and where what came out of a file differs.
type Copied = (i64, Option<Mismatch>);

/// Performs a copy between a file and something that replay does not have, such as a socket: reads
/// from the file and compares, or writes the captured data.
pub(super) fn transfer(
    thread: &mut ExecutorThread,
    handled: &HandledCall,
    copies: Copies,
    end: CopyEnd,
) -> Outcome {
    let length = (handled.call.ret as u64).min(MAX_RW_COUNT as u64);
    let (got, difference) = copy(thread, handled, copies, end, length)?;
    Ok(handled.expected().compare_result(got).or(difference))
}

/// Performs a clone of blocks. If the file system refuses (it has no reflinks, or larger blocks),
/// copies the captured bytes instead.
pub(super) fn clone(thread: &mut ExecutorThread, handled: &HandledCall) -> Outcome {
    let arguments = handled.translate(&mut thread.scratch)?;
    let got = arguments.perform();
    let Some(copies) =
        handled.spec.copies.filter(|_| handled.call.succeeded() && cannot_share(got))
    else {
        return Ok(handled.expected().compare_result(got));
    };
    thread.context.copied.fetch_add(1, Relaxed);
    let sum = |of: fn(&Payload) -> u64| {
        trace::saturating_sum(handled.call.copied_payloads(&copies).map(of))
    };
    let length = sum(|p| p.wanted).min(MAX_RW_COUNT as u64).max(sum(|p| p.bytes.len() as u64));
    match copy(thread, handled, copies, copies.to, length)? {
        (got, _) if got == length as i64 => Ok(None),
        (got, _) => Ok(handled.expected().compare_result(got.min(-1))),
    }
}

/// Reads or writes the file of a transfer, piece by piece, with the captured data. Returns how many
/// bytes moved, or the reason why that is not possible.
fn copy(
    thread: &mut ExecutorThread,
    handled: &HandledCall,
    copies: Copies,
    end: CopyEnd,
    length: u64,
) -> Result<Copied, &'static str> {
    let call = &handled.call;
    let real = handled.operands.fds[usize::from(end.fd)].as_ref().map_or(-1, |d| d.real.get());
    let buffer = thread.scratch.alloc(CHUNK).ok_or(TranslateError::Size.why())?;
    let bytes = thread.scratch.bytes_mut(buffer);
    let offset = call.copy_offset(end.at);
    let mut captured = Captured::new(call.copied_payloads(&copies));
    let mut moved = 0;
    let mut difference = None;
    while moved < length {
        let bytes = &mut bytes[..CHUNK.min((length - moved) as usize)];
        let offset = offset.map(|o| o.saturating_add(moved));
        let got = if end == copies.to {
            // What was not captured is zeros.
            let filled = captured
                .take(bytes.len(), |at, known| bytes[at..at + known.len()].copy_from_slice(known));
            bytes[filled..].fill(0);
            raw::write(real, bytes, offset)
        } else {
            let got = raw::read(real, bytes, offset);
            let read = &bytes[..got.max(0) as usize];
            captured.take(read.len(), |at, known| {
                if !handled.unseen_writes && difference.is_none() {
                    difference =
                        first_difference(moved as usize + at, known, &read[at..at + known.len()]);
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

    /// Calls `pass` with the next `len` bytes, as far as they were captured, and their distance
    /// from the current position. Returns how many bytes were captured.
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
