//! A call whose result is a new descriptor of a file: open and its kin.

use super::refusal;
use crate::executor::{Executor, Outcome};
use crate::issue::{Arguments, Real, raw};
use crate::job::Issue;
use crate::verify::compare_result;
use model::world::Descriptor;
use std::sync::Arc;

pub(super) fn open(executor: &mut Executor, issue: &Issue) -> Outcome {
    let arguments =
        match Arguments::build(&issue.call, issue.shape, &issue.bound, &mut executor.scratch) {
            Ok(arguments) => arguments,
            Err(why) => return refusal(why),
        };
    let got = arguments.perform();
    opened(issue.bound.opened.first().map(|(_, descriptor)| descriptor), got);
    Outcome::Issued(compare_result(issue, got))
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
