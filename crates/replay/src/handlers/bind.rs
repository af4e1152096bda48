//! bind of a socket in the file system: the file that it makes is made, the socket is not.

use crate::executor::{Executor, Outcome};
use crate::issue::raw;
use crate::job::Issue;
use crate::verify::compare_result;

const EINVAL: i32 = 22;
const EEXIST: i64 = -17;
const EADDRINUSE: i64 = -98;
/// A socket that everybody may use, but for the umask (sock_alloc in net/socket.c).
const MODE: u32 = 0o140_777;

pub(super) fn bind(_: &mut Executor, issue: &Issue) -> Outcome {
    // That the socket has an address already.
    if issue.call.errno() == Some(EINVAL) {
        return Outcome::Skipped("network");
    }
    let Some(path) = issue
        .shape
        .args
        .iter()
        .enumerate()
        .find_map(|(i, arg)| issue.call.path(i as u8).filter(|_| arg.kind.path().is_some()))
    else {
        return Outcome::Skipped("network");
    };
    let got = raw::make_node(path, MODE);
    Outcome::Issued(compare_result(issue, if got == EEXIST { EADDRINUSE } else { got }))
}
