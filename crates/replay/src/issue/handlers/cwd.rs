//! chdir, fchdir and umask. A thread that goes elsewhere keeps a descriptor of the place for the
//! threads that share it; its umask is that of the traced process whenever a call is issued.

use super::plain::plain;
use crate::issue::handled::{HandledCall, Outcome};
use crate::issue::raw;
use crate::issue::thread::ExecutorThread;

/// Performs a chdir(2) or fchdir(2) of the executor's thread.
pub(super) fn chdir(thread: &mut ExecutorThread, handled: &HandledCall) -> Outcome {
    let arguments = handled.translate(&mut thread.scratch)?;
    let got = arguments.perform();
    if got >= 0 {
        thread.cwd = None;
        if let Some(directory) = &handled.operands.directory {
            let fd = raw::open_directory(b".");
            if fd >= 0 {
                directory.real.set(fd as i32);
                thread.cwd = Some(directory.clone());
            }
        }
    }
    Ok(handled.expected().compare_result(got))
}

/// Performs a umask(2) of the executor's thread.
pub(super) fn umask(thread: &mut ExecutorThread, handled: &mut HandledCall) -> Outcome {
    thread.umask = handled.call.args[0] as u32 & 0o777;
    plain(thread, handled)
}
