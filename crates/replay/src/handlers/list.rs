//! getdents and getdents64.

use super::refusal;
use crate::executor::{Executor, Outcome};
use crate::issue::Arguments;
use crate::job::Issue;
use crate::verify::compare_result;

pub(super) fn list(executor: &mut Executor, issue: &Issue) -> Outcome {
    let arguments =
        match Arguments::build(&issue.call, issue.shape, &issue.bound, &mut executor.scratch) {
            Ok(arguments) => arguments,
            Err(why) => return refusal(why),
        };
    let got = arguments.perform();
    let difference = compare_result(issue, got);
    if difference.is_some() || !issue.call.succeeded() {
        return Outcome::Issued(difference);
    }
    let shared = executor.shared.clone();
    Outcome::Issued(
        shared.listings.follow(issue, &arguments, &executor.scratch, got, || arguments.perform()),
    )
}
