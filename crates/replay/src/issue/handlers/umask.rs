//! umask: each executor has its own; it is the traced process's when a call is issued.

use super::plain::plain;
use crate::issue::call::{Issue, Outcome};
use crate::issue::thread::Thread;

pub(super) fn umask(thread: &mut Thread, issue: &mut Issue) -> Outcome {
    thread.umask = issue.call.args[0] as u32 & 0o777;
    plain(thread, issue)
}
