//! umask: each executor has its own; it is the traced process's when a call is issued.

use super::plain::plain;
use crate::executor::{Executor, Outcome};
use crate::job::Issue;

pub(super) fn umask(executor: &mut Executor, issue: &mut Issue) -> Outcome {
    executor.umask = issue.call.args[0] as u32 & 0o777;
    plain(executor, issue)
}
