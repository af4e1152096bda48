//! chdir, fchdir and umask. A thread that goes elsewhere keeps a descriptor of the place for the
//! threads that share it; its umask is that of the traced process whenever a call is issued.

use super::plain::plain;
use crate::issue::call::{Handled, Outcome};
use crate::issue::raw;
use crate::issue::thread::Thread;

pub(super) fn chdir(thread: &mut Thread, issue: &Handled) -> Outcome {
    let arguments = issue.translate(&mut thread.scratch)?;
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
    Ok(issue.expected().compare(got))
}

pub(super) fn umask(thread: &mut Thread, issue: &mut Handled) -> Outcome {
    thread.umask = issue.call.args[0] as u32 & 0o777;
    plain(thread, issue)
}
