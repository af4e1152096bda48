//! bind of a socket in the file system: the file that it makes is made, the socket is not.

use crate::issue::arguments::Refused;
use crate::issue::call::{Handled, Outcome};
use crate::issue::{Arguments, raw};
use abi::AT_FDCWD;
use model::world::To;

const EINVAL: i32 = 22;
const EEXIST: i64 = -17;
const EADDRINUSE: i64 = -98;
/// A socket that everybody may use, but for the umask (sock_alloc in net/socket.c).
const MODE: u32 = 0o140_777;

pub(super) fn bind(issue: &Handled) -> Outcome {
    // That the socket has an address already.
    if issue.call.errno() == Some(EINVAL) {
        return Err("network");
    }
    let Some((i, path)) = issue.shape.args.iter().enumerate().find_map(|(i, arg)| {
        Some((i, issue.call.path(i as u8)?)).filter(|_| arg.kind.path().is_some())
    }) else {
        return Err("network");
    };
    // Names too long for a socket's address are reached through a descriptor of their directory.
    let (start, path) = match issue.bound.through[i].as_ref().map(|way| (&way.to, &*way.rest)) {
        Some((To::File(descriptor), rest)) => (descriptor.real.get(), &rest[rest.len().min(1)..]),
        Some((To::Directory(directory), rest)) => {
            (directory.real.get(), &rest[rest.len().min(1)..])
        }
        Some((To::Name, _)) => (AT_FDCWD, issue.bound.paths[i].as_deref().unwrap_or_default()),
        Some((To::Virtual | To::Elsewhere, _)) | None => (AT_FDCWD, path),
    };
    let seen =
        Arguments::viewed(&issue.call, issue.shape, &issue.bound, i).map_err(Refused::why)?;
    let got = raw::make_node(start, seen.as_deref().unwrap_or(path), MODE);
    Ok(issue.expected().compare(if got == EEXIST { EADDRINUSE } else { got }))
}
