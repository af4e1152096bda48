//! Descriptors that come and go: open and its kin, dup, dup2, dup3, `F_DUPFD` and close.
//!
//! A descriptor that children inherited, or that an overlapping call still uses, is closed by the
//! last that lets it go, as the kernel does with open files. A copy gets any number here; the one
//! that it replaced is let go.

use crate::issue::call::{Handled, Outcome};
use crate::issue::thread::Thread;
use crate::issue::{Real, raw};
use model::world::Descriptor;
use std::sync::Arc;

const EBADF: i64 = -9;

pub(super) fn close(issue: &mut Handled) -> Outcome {
    issue.bound.fds = Default::default();
    let mut descriptor = issue.bound.closed.pop();
    if descriptor.is_none() {
        // There was none: the number means nothing here either.
        return Ok(issue.expected().compare(EBADF));
    }
    let got = close_last(&mut descriptor);
    issue.bound.closed.extend(descriptor);
    Ok(got.and_then(|got| issue.expected().compare(got)))
}

/// Closes a descriptor, or lets it go where others hold it: the result of the call, if there was
/// one (there is none if its open came out differently, which has been said). Where nothing real is
/// left of it, its memory stays, and is freed where it was taken.
pub(crate) fn close_last(descriptor: &mut Option<Arc<Descriptor<Real>>>) -> Option<i64> {
    if descriptor.take_if(|d| Arc::strong_count(d) > 1).is_some() {
        return None;
    }
    match descriptor.as_ref()?.real.take() {
        -1 => None,
        real => Some(raw::close(real)),
    }
}

pub(super) fn close_range(issue: &mut Handled) -> Outcome {
    issue.bound.closed.clear();
    Ok(None)
}

pub(super) fn open(thread: &mut Thread, issue: &Handled) -> Outcome {
    let arguments = issue.translate(&mut thread.scratch)?;
    let got = arguments.perform();
    opened(issue.bound.opened.first().map(|(_, descriptor)| descriptor), got);
    Ok(issue.expected().compare(got))
}

/// An open came out with `got`: the real descriptor of this traced one, or of none.
pub(crate) fn opened(descriptor: Option<&Arc<Descriptor<Real>>>, got: i64) {
    match descriptor {
        _ if got < 0 => {}
        Some(descriptor) => descriptor.real.set(got as i32),
        None => {
            raw::close(got as i32);
        }
    }
}

pub(super) fn duplicate(issue: &mut Handled, old: u8) -> Outcome {
    let real = issue.bound.fds[old as usize].as_ref().map_or(-1, |d| d.real.get());
    if let Some(errno) = issue.call.errno() {
        // What fails on account of a number has none here (EINVAL: equal or negative ones; EBADF:
        // beyond the limit).
        let got = match raw::duplicate(real, true) {
            fd if fd >= 0 => {
                raw::close(fd as i32);
                issue.call.ret
            }
            _ if errno == -EBADF as i32 => issue.call.ret,
            error => error,
        };
        return Ok(issue.expected().compare(got));
    }
    let cloexec = issue.shape.name.ends_with("_CLOEXEC");
    let difference = match issue.bound.opened.first() {
        // dup2 of a descriptor to itself.
        None => None,
        Some((_, descriptor)) => match raw::duplicate(real, cloexec) {
            fd if fd >= 0 => {
                descriptor.real.set(fd as i32);
                None
            }
            error => issue.expected().failure(error),
        },
    };
    issue.bound.closed.clear();
    Ok(difference)
}
