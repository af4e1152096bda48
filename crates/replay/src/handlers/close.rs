//! Close: a descriptor that children inherited, or that an overlapping call still uses, is closed by the last that lets it go, as the kernel does with open files.

use crate::executor::{Executor, Outcome};
use crate::issue::raw;
use crate::job::Issue;
use crate::verify::compare_result;
use std::sync::Arc;

const EBADF: i64 = -9;

pub(super) fn close(issue: &mut Issue) -> Outcome {
    issue.bound.fds = Default::default();
    let Some(descriptor) = issue.bound.closed.pop() else {
        // There was none: the number means nothing here either.
        return Outcome::Issued(compare_result(issue, EBADF));
    };
    if Arc::strong_count(&descriptor) > 1 {
        return Outcome::Issued(None);
    }
    let real = descriptor.real.take();
    // Nothing real is left of it; its memory is freed where it was taken.
    issue.bound.closed.push(descriptor);
    match real {
        // Its open came out differently, which has been said.
        -1 => Outcome::Issued(None),
        real => Outcome::Issued(compare_result(issue, raw::close(real))),
    }
}

pub(super) fn close_range(_: &mut Executor, issue: &mut Issue) -> Outcome {
    issue.bound.closed.clear();
    Outcome::Issued(None)
}
