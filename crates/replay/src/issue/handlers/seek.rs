//! lseek: where data and holes are is the file system's affair, and so are positions in
//! directories.

use crate::issue::call::{Handled, Outcome};
use crate::issue::raw;
use crate::issue::thread::Thread;

const SEEK_SET: u64 = 0;
const SEEK_DATA: u64 = 3;
const SEEK_HOLE: u64 = 4;
const S_IFDIR: u32 = 0o040_000;

pub(super) fn seek(thread: &mut Thread, issue: &Handled) -> Outcome {
    let (offset, whence) = (issue.call.args[1], issue.call.args[2]);
    let descriptor = issue.bound.fds[0].as_ref();
    let directory = descriptor.is_some_and(|d| d.file.file_type() == S_IFDIR);
    if directory && issue.call.succeeded() {
        if whence != SEEK_SET || offset != 0 {
            return Err("position in a directory");
        }
        if let Some(d) = descriptor {
            thread.common.listings.rewind(d.file.id);
        }
    }
    let arguments = issue.translate(&mut thread.scratch)?;
    let got = arguments.perform();
    if matches!(whence, SEEK_DATA | SEEK_HOLE) {
        if issue.call.succeeded() && got != issue.call.ret {
            raw::seek(arguments.fd(0), issue.call.ret as u64, SEEK_SET as usize);
        }
        return Ok(None);
    }
    Ok(issue.expected().compare(got))
}
