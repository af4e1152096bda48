//! getdents and getdents64.

use crate::issue::handled::{HandledCall, Outcome};
use crate::issue::thread::ExecutorThread;
use crate::verify::{ListingCall, listing_argument};

/// Performs a call that lists a directory, and compares the listing as a set once the recorded one
/// ends.
pub(super) fn list(thread: &mut ExecutorThread, handled: &HandledCall) -> Outcome {
    let arguments = handled.translate(&mut thread.scratch)?;
    let got = arguments.perform();
    let difference = handled.expected().compare_result(got);
    if difference.is_some() || !handled.call.succeeded() {
        return Ok(difference);
    }
    let follow = || {
        let (argument, form) = listing_argument(handled.spec)?;
        let file = handled.operands.fds[0].as_ref()?.file.id;
        let (call, listing_changed) = (&handled.call, handled.listing_changed);
        let listed = ListingCall { call, argument, form, file, listing_changed };
        let buffer = *arguments.buffers(argument).first()?;
        let buffer = || thread.scratch.bytes(buffer);
        thread.context.listings.compare_listing(&listed, buffer, got, || arguments.perform())
    };
    Ok(follow())
}
