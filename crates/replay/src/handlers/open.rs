//! A call whose result is a new descriptor of a file: open and its kin.

use super::refusal;
use crate::executor::{Executor, Outcome};
use crate::issue::{Arguments, raw};
use crate::job::Issue;
use crate::verify::compare_result;

pub(super) fn open(executor: &mut Executor, issue: &Issue) -> Outcome {
    let arguments = match Arguments::build(&issue.call, issue.shape, &issue.bound, &mut executor.scratch) {
        Ok(arguments) => arguments,
        Err(why) => return refusal(why),
    };
    let got = arguments.perform();
    if got >= 0 {
        match issue.bound.opened.first() {
            Some((_, descriptor)) => descriptor.real.set(got as i32),
            None => {
                raw::close(got as i32);
            }
        }
    }
    Outcome::Issued(compare_result(issue, got))
}
