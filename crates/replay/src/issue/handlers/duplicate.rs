//! dup, dup2, dup3 and `F_DUPFD`: the copy gets any number here; the one it replaced is let go.

use crate::issue::call::{Issue, Outcome};
use crate::issue::raw;
use crate::issue::thread::Thread;

const EBADF: i32 = 9;

pub(super) fn duplicate(_: &mut Thread, issue: &mut Issue, old: u8, _new: Option<u8>) -> Outcome {
    let real = issue.bound.fds[old as usize].as_ref().map_or(-1, |d| d.real.get());
    if let Some(errno) = issue.call.errno() {
        // What fails on account of a number has none here (EINVAL: equal or negative ones; EBADF: beyond the limit).
        let got = match raw::duplicate(real, true) {
            fd if fd >= 0 => {
                raw::close(fd as i32);
                issue.call.ret
            }
            _ if errno == EBADF => issue.call.ret,
            error => error,
        };
        return Outcome::Issued(issue.expected().compare(got));
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
    Outcome::Issued(difference)
}
