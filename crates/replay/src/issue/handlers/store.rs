//! What a program stored through a shared mapping of a file.

use super::open_file::OpenFile;
use crate::issue::handled::{HandledCall, Outcome};
use crate::issue::thread::ExecutorThread;

/// Arguments of a row that says what was stored.
const LEN: usize = 2;
const POSITION: usize = 3;

/// Writes the bytes that the program stored into memory that is a shared mapping of the file; the
/// trace has them as a call of its own. Not beyond the file's end: a store to memory does not make
/// a file longer, but a write would, and the program may have made the file shorter while the
/// recorder read it.
pub(super) fn write_mapped_stores(thread: &mut ExecutorThread, handled: &HandledCall) -> Outcome {
    let mut arguments = handled.translate(&mut thread.scratch)?;
    let Some(descriptor) = &handled.operands.fds[0] else {
        return Err("a file that is not open");
    };
    let got = match OpenFile::prepare(arguments.fd(0), &descriptor.file.path) {
        Ok(file) => {
            let room = file.size.saturating_sub(handled.call.args[POSITION]);
            arguments.limit(LEN, usize::try_from(room).unwrap_or(usize::MAX));
            arguments.perform()
        }
        Err(error) => error,
    };
    // The result of a write that was limited counts as the recorded one.
    let wrote_all = got == arguments.value(LEN) as i64;
    Ok(handled.expected().compare_result(if wrote_all { handled.call.ret } else { got }))
}
