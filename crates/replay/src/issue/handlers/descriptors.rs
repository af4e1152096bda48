//! Descriptors that come and go: open and its kin, dup, dup2, dup3, `F_DUPFD` and close.
//!
//! A descriptor that children inherited, or that an overlapping call still uses, is closed by the
//! last that lets it go, as the kernel does with open files. A copy gets any number here; the one
//! that it replaced is let go.

use crate::issue::handled::{HandledCall, Outcome};
use crate::issue::thread::ExecutorThread;
use crate::issue::{RealFd, raw};
use model::processes::Descriptor;
use rustix::io::Errno;
use std::sync::Arc;

/// Performs a close(2): closes the real descriptor of the traced one.
pub(super) fn close(handled: &mut HandledCall) -> Outcome {
    handled.operands.fds = Default::default();
    let mut descriptor = handled.operands.closed.pop();
    if descriptor.is_none() {
        // There was none: the number means nothing here either.
        return Ok(handled.expected().compare_result(raw::result_of(Errno::BADF)));
    }
    let got = close_if_last(&mut descriptor);
    handled.operands.closed.extend(descriptor);
    Ok(got.and_then(|got| handled.expected().compare_result(got)))
}

/// Closes a descriptor if nothing else refers to it, and returns the result of the call. Returns
/// `None` if there was no real descriptor, as its open came out differently (which was reported
/// then). The memory of a descriptor stays where it was allocated.
pub(crate) fn close_if_last(descriptor: &mut Option<Arc<Descriptor<RealFd>>>) -> Option<i64> {
    if descriptor.take_if(|d| Arc::strong_count(d) > 1).is_some() {
        return None;
    }
    match descriptor.as_ref()?.real.take() {
        -1 => None,
        real => Some(raw::close(real)),
    }
}

/// Performs a close_range(2): closes the real descriptors of the traced ones that the call closed.
pub(super) fn close_range(handled: &mut HandledCall) -> Outcome {
    handled.operands.closed.clear();
    Ok(None)
}

/// Performs a call that opens a file, and stores the new descriptor.
pub(super) fn open(thread: &mut ExecutorThread, handled: &HandledCall) -> Outcome {
    let arguments = handled.translate(&mut thread.scratch)?;
    let got = arguments.perform();
    set_opened(handled.operands.opened.first().map(|(_, descriptor)| descriptor), got);
    Ok(handled.expected().compare_result(got))
}

/// Stores the result of an open as the real descriptor of the traced one. If there is no traced
/// one, the descriptor is closed.
pub(crate) fn set_opened(descriptor: Option<&Arc<Descriptor<RealFd>>>, got: i64) {
    match descriptor {
        _ if got < 0 => {}
        Some(descriptor) => descriptor.real.set(got as i32),
        None => {
            raw::close(got as i32);
        }
    }
}

/// Performs a dup(2) or similar call of argument `old`. The real descriptor is another number for
/// the same open file.
pub(super) fn duplicate(handled: &mut HandledCall, old: u8) -> Outcome {
    let real = handled.operands.fds[old as usize].as_ref().map_or(-1, |d| d.real.get());
    if let Some(errno) = handled.call.errno() {
        // What fails on account of a number has none here (EINVAL: equal or negative ones; EBADF:
        // beyond the limit).
        let got = match raw::dup(real, true) {
            fd if fd >= 0 => {
                raw::close(fd as i32);
                handled.call.ret
            }
            _ if errno == Errno::BADF.raw_os_error() => handled.call.ret,
            error => error,
        };
        return Ok(handled.expected().compare_result(got));
    }
    let cloexec = handled.spec.name.ends_with("_CLOEXEC");
    let difference = match handled.operands.opened.first() {
        // dup2 of a descriptor to itself.
        None => None,
        Some((_, descriptor)) => match raw::dup(real, cloexec) {
            fd if fd >= 0 => {
                descriptor.real.set(fd as i32);
                None
            }
            error => handled.expected().compare_failure(error),
        },
    };
    handled.operands.closed.clear();
    Ok(difference)
}
