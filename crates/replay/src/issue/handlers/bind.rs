//! bind of a socket in the file system: the file that it makes is made, the socket is not.

use crate::issue::arguments::TranslateError;
use crate::issue::handled::{HandledCall, Outcome};
use crate::issue::{Arguments, raw};
use abi::{AT_FDCWD, errno_of};
use linux_raw_sys::general::S_IFSOCK;
use model::processes::LinkTarget;
use rustix::io::Errno;

/// The mode of a socket before the umask (sock_alloc in net/socket.c).
const MODE: u32 = S_IFSOCK | 0o777;

/// Performs a bind(2) to a path: creates a socket file there with mknod(2), as replay has no
/// sockets.
pub(super) fn bind(handled: &HandledCall) -> Outcome {
    // That the socket has an address already.
    if handled.call.errno() == Some(Errno::INVAL.raw_os_error()) {
        return Err("network");
    }
    let Some((i, path)) = handled.spec.args.iter().enumerate().find_map(|(i, arg)| {
        Some((i, handled.call.path(i as u8)?)).filter(|_| arg.kind.path_use().is_some())
    }) else {
        return Err("network");
    };
    // Names too long for a socket's address are reached through a descriptor of their directory.
    let (start, path) = match handled.operands.through[i].as_ref().map(|way| (&way.to, &*way.rest))
    {
        Some((LinkTarget::File(descriptor), rest)) => {
            (descriptor.real.get(), &rest[rest.len().min(1)..])
        }
        Some((LinkTarget::Directory(directory), rest)) => {
            (directory.real.get(), &rest[rest.len().min(1)..])
        }
        Some((LinkTarget::Name, _)) => {
            (AT_FDCWD, handled.operands.paths[i].as_deref().unwrap_or_default())
        }
        Some((LinkTarget::Virtual | LinkTarget::Elsewhere, _)) | None => (AT_FDCWD, path),
    };
    let resolved = Arguments::resolve_in_view(&handled.call, handled.spec, &handled.operands, i)
        .map_err(TranslateError::why)?;
    let got = raw::mknodat(start, resolved.as_deref().unwrap_or(path), MODE);
    Ok(handled.expected().compare_result(match errno_of(got).map(Errno::from_raw_os_error) {
        Some(Errno::EXIST) => raw::result_of(Errno::ADDRINUSE),
        _ => got,
    }))
}
