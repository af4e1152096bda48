//! lseek: where data and holes are is the file system's affair, and so are positions in
//! directories.

use crate::issue::handled::{HandledCall, Outcome};
use crate::issue::raw;
use crate::issue::thread::ExecutorThread;
use linux_raw_sys::general::{S_IFDIR, SEEK_DATA, SEEK_HOLE, SEEK_SET};

/// Performs an lseek(2). In a directory only the way back to its beginning is performed, as other
/// positions mean something else here.
pub(super) fn seek(thread: &mut ExecutorThread, handled: &HandledCall) -> Outcome {
    let (offset, whence) = (handled.call.args[1], handled.call.args[2] as u32);
    let descriptor = handled.operands.fds[0].as_ref();
    let directory = descriptor.is_some_and(|d| d.file.file_type() == S_IFDIR);
    if directory && handled.call.succeeded() {
        if whence != SEEK_SET || offset != 0 {
            return Err("position in a directory");
        }
        if let Some(d) = descriptor {
            thread.context.listings.rewind(d.file.id);
        }
    }
    let arguments = handled.translate(&mut thread.scratch)?;
    let got = arguments.perform();
    if matches!(whence, SEEK_DATA | SEEK_HOLE) {
        if handled.call.succeeded() && got != handled.call.ret {
            raw::lseek(arguments.fd(0), handled.call.ret as u64, SEEK_SET as usize);
        }
        return Ok(None);
    }
    Ok(handled.expected().compare_result(got))
}
