//! A call whose result is a new descriptor of a file: open and its kin.

use crate::issue::call::{Issue, Outcome};
use crate::issue::thread::Thread;
use crate::issue::{Arguments, Real, raw};
use model::world::Descriptor;
use std::sync::Arc;

pub(super) fn open(thread: &mut Thread, issue: &Issue) -> Outcome {
    let arguments =
        match Arguments::build(&issue.call, issue.shape, &issue.bound, &mut thread.scratch) {
            Ok(arguments) => arguments,
            Err(why) => return why.into(),
        };
    let got = arguments.perform();
    opened(issue.bound.opened.first().map(|(_, descriptor)| descriptor), got);
    Outcome::Issued(issue.expected().compare(got))
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
