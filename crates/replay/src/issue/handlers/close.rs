//! Close: a descriptor that children inherited, or that an overlapping call still uses, is closed by the last that lets it go, as the kernel does with open files.

use crate::issue::call::{Issue, Outcome};
use crate::issue::thread::Thread;
use crate::issue::{Real, raw};
use model::world::Descriptor;
use std::sync::Arc;

const EBADF: i64 = -9;

pub(super) fn close(issue: &mut Issue) -> Outcome {
    issue.bound.fds = Default::default();
    let mut descriptor = issue.bound.closed.pop();
    if descriptor.is_none() {
        // There was none: the number means nothing here either.
        return Outcome::Issued(issue.expected().compare(EBADF));
    }
    let got = close_last(&mut descriptor);
    issue.bound.closed.extend(descriptor);
    Outcome::Issued(got.and_then(|got| issue.expected().compare(got)))
}

/// Closes a descriptor, or lets it go where others hold it: the result of the call, if there was one (there is none if its open came out differently, which has been
/// said). Where nothing real is left of it, its memory stays, and is freed where it was taken.
pub(crate) fn close_last(descriptor: &mut Option<Arc<Descriptor<Real>>>) -> Option<i64> {
    if descriptor.take_if(|d| Arc::strong_count(d) > 1).is_some() {
        return None;
    }
    match descriptor.as_ref()?.real.take() {
        -1 => None,
        real => Some(raw::close(real)),
    }
}

pub(super) fn close_range(_: &mut Thread, issue: &mut Issue) -> Outcome {
    issue.bound.closed.clear();
    Outcome::Issued(None)
}
