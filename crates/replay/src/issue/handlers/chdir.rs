//! chdir and fchdir: this thread goes there, and keeps a descriptor of the place for the threads that share it.

use crate::issue::call::{Issue, Outcome};
use crate::issue::thread::Thread;
use crate::issue::{Arguments, raw};

pub(super) fn chdir(thread: &mut Thread, issue: &Issue) -> Outcome {
    let arguments =
        match Arguments::build(&issue.call, issue.shape, &issue.bound, &mut thread.scratch) {
            Ok(arguments) => arguments,
            Err(why) => return why.into(),
        };
    let got = arguments.perform();
    if got >= 0 {
        thread.cwd = None;
        if let Some(directory) = &issue.bound.directory {
            let fd = raw::open_directory(b".");
            if fd >= 0 {
                directory.real.set(fd as i32);
                thread.cwd = Some(directory.clone());
            }
        }
    }
    Outcome::Issued(issue.expected().compare(got))
}
