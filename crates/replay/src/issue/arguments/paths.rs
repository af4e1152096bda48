//! Paths that are passed otherwise than they were recorded: through links of procfs, and of a
//! process with mounts or a root of its own.

use super::translation::string_payload;
use super::{Arguments, Deferred, TranslateError, Translation};
use crate::issue::{RealFd, raw};
use abi::{AT_FDCWD, CallSpec, Role};
use model::processes::{LinkTarget, Operands};
use trace::Call;

impl Translation {
    /// Prepares paths that lead through links of procfs. As many calls take no directory
    /// descriptor, such a call is made with procfs as its working directory.
    pub(super) fn defer_procfs_paths(
        &mut self,
        call: &Call,
        spec: &CallSpec,
        operands: &Operands<RealFd>,
    ) {
        let leads_through_fd = |i: usize| {
            operands.through[i]
                .as_ref()
                .is_some_and(|way| matches!(way.to, LinkTarget::File(_) | LinkTarget::Directory(_)))
        };
        self.in_procfs = (0..spec.args.len()).any(leads_through_fd);
        if !self.in_procfs {
            return;
        }
        for (i, arg) in spec.args.iter().enumerate() {
            let (Some(way), Deferred::String) = (arg.kind.path_use(), self.deferred[i]) else {
                continue;
            };
            let dir = way.dir.map(usize::from);
            if leads_through_fd(i) {
                self.deferred[i] = Deferred::ThroughFd;
                if let Some(dir) = dir {
                    self.values[dir] = AT_FDCWD as isize as usize;
                    self.deferred[dir] = Deferred::None;
                }
            } else if operands.through[i].is_none()
                && dir.is_none_or(|dir| call.args[dir] as i32 == AT_FDCWD)
                && string_payload(call, i).is_some_and(|path| !path.is_empty() && path[0] != b'/')
            {
                self.deferred[i] = Deferred::RelativePath;
            }
        }
    }
}

impl Arguments {
    /// Returns the path that argument `i` means if the process has mounts or a root of its own:
    /// links are followed as they are here, now. Returns `None` for other processes.
    pub fn resolve_in_view(
        call: &Call,
        spec: &CallSpec,
        operands: &Operands<RealFd>,
        i: usize,
    ) -> Result<Option<Vec<u8>>, TranslateError> {
        let (Some(view), Some(path), Some(way)) =
            (&operands.view, &operands.viewed[i], spec.args[i].kind.path_use())
        else {
            return Ok(None);
        };
        let flags = match way.role {
            Role::Open(from) => Some(u64::from(call.open_flags(from))),
            _ => None,
        };
        let follow = way.follows_symlink(&call.args, flags);
        let found = view.resolve(path, follow, &mut raw::readlink);
        found.path.map(Some).ok_or(TranslateError::Elsewhere)
    }
}

/// Returns the descriptor from which a path of a call in procfs starts, and the path from there.
pub(super) fn start<'a>(
    call: &'a Call,
    operands: &'a Operands<RealFd>,
    i: usize,
) -> (i32, &'a [u8]) {
    match &operands.through[i] {
        Some(way) => match &way.to {
            LinkTarget::File(descriptor) => (descriptor.real.get(), &way.rest),
            LinkTarget::Directory(directory) => (directory.real.get(), &way.rest),
            LinkTarget::Name | LinkTarget::Virtual | LinkTarget::Elsewhere => (-1, &way.rest),
        },
        None => {
            let real = operands.cwd.as_ref().map_or(-1, |cwd| cwd.real.get());
            (real, string_payload(call, i).unwrap_or_default())
        }
    }
}
