//! sync: what is written back is the file system of the root, not all of this machine.

use crate::issue::handled::{HandledCall, Outcome};
use crate::issue::raw;

/// Performs a sync(2) as a syncfs(2) of the root's file system.
pub(super) fn sync(handled: &HandledCall) -> Outcome {
    let root = raw::open(b"/", 0);
    if root < 0 {
        return Ok(handled.expected().compare_result(root));
    }
    let got = raw::syncfs(root as i32);
    raw::close(root as i32);
    Ok(handled.expected().compare_result(got))
}
