//! chdir and fchdir: this thread goes there, and keeps a descriptor of the place for the threads that share it.

use super::refusal;
use crate::executor::{Executor, Outcome, open_directory};
use crate::issue::Arguments;
use crate::job::Issue;
use crate::verify::compare_result;

pub(super) fn chdir(executor: &mut Executor, issue: &Issue) -> Outcome {
    let arguments =
        match Arguments::build(&issue.call, issue.shape, &issue.bound, &mut executor.scratch) {
            Ok(arguments) => arguments,
            Err(why) => return refusal(why),
        };
    let got = arguments.perform();
    if got >= 0 {
        executor.cwd = None;
        if let Some(directory) = &issue.bound.directory {
            let fd = open_directory(b".");
            if fd >= 0 {
                directory.real.set(fd as i32);
                executor.cwd = Some(directory.clone());
            }
        }
    }
    Outcome::Issued(compare_result(issue, got))
}
