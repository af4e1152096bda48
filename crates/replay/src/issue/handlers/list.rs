//! getdents and getdents64.

use crate::issue::call::{Handled, Outcome};
use crate::issue::thread::Thread;
use crate::verify::{Listed, lists};

pub(super) fn list(thread: &mut Thread, issue: &Handled) -> Outcome {
    let arguments = issue.translate(&mut thread.scratch)?;
    let got = arguments.perform();
    let difference = issue.expected().compare(got);
    if difference.is_some() || !issue.call.succeeded() {
        return Ok(difference);
    }
    let follow = || {
        let (argument, form) = lists(issue.shape)?;
        let file = issue.bound.fds[0].as_ref()?.file.id;
        let (call, disturbed) = (&issue.call, issue.disturbed);
        let listed = Listed { call, argument, form, file, disturbed };
        let room = *arguments.rooms(argument).first()?;
        let room = || thread.scratch.bytes(room);
        thread.common.listings.follow(&listed, room, got, || arguments.perform())
    };
    Ok(follow())
}
