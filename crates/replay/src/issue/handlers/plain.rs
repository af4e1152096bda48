//! A call that its kinds describe wholly.

use crate::Verify;
use crate::issue::Arguments;
use crate::issue::handled::{HandledCall, Outcome};
use crate::issue::thread::ExecutorThread;
use crate::issue::withhold::chmod_directory;
use crate::verify::{Mismatch, compare_outputs};

/// Performs a call that needs no special treatment. If its descriptor may have meant several files
/// while it ran, tries those until the results match.
pub(super) fn plain(thread: &mut ExecutorThread, handled: &mut HandledCall) -> Outcome {
    let first = perform_once(thread, handled);
    // A number that meant several files while the call ran: what came back tells which it was.
    if handled.alternatives.is_empty() || handled.spec.changes || !matches!(first, Ok(Some(_))) {
        return first;
    }
    for (i, other) in std::mem::take(&mut handled.alternatives) {
        let original = handled.operands.fds[i].replace(other);
        thread.scratch.clear();
        if let Ok(None) = perform_once(thread, handled) {
            return Ok(None);
        }
        handled.operands.fds[i] = original;
    }
    first
}

/// Performs the call once, after translating its arguments.
fn perform_once(thread: &mut ExecutorThread, handled: &HandledCall) -> Outcome {
    let arguments = handled.translate(&mut thread.scratch)?;
    let got = chmod_directory(handled, &arguments).unwrap_or_else(|| arguments.perform());
    Ok(compare(thread, handled, &arguments, got))
}

/// Compares the result of a call, and the bytes that came back in its buffers, as far as that is
/// wanted.
pub(crate) fn compare(
    thread: &ExecutorThread,
    handled: &HandledCall,
    arguments: &Arguments,
    got: i64,
) -> Option<Mismatch> {
    let verify = thread.context.verify;
    let buffers =
        |i: usize| arguments.buffers(i).iter().map(|buffer| thread.scratch.bytes(*buffer));
    let bytes =
        || compare_outputs(&handled.call, handled.expected(), buffers, got, &thread.context.rules);
    let difference =
        if verify == Verify::None { None } else { handled.expected().compare_result(got) };
    difference.or_else(|| if verify == Verify::Data { bytes() } else { None })
}
