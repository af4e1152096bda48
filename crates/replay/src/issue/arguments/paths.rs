//! Paths that are passed otherwise than they were recorded: through links of procfs, and of a
//! process with mounts or a root of its own.

use super::translation::text;
use super::{Arguments, Hole, Refused, Translation};
use crate::issue::{Real, raw};
use abi::{AT_FDCWD, Role, Shape};
use model::world::{Bound, To};
use trace::Call;

impl Translation {
    /// Paths through links of procfs. As many calls take no directory descriptor, such a call is
    /// made with procfs as its working directory.
    pub(super) fn detour(&mut self, call: &Call, shape: &Shape, bound: &Bound<Real>) {
        let leads = |i: usize| {
            bound.through[i]
                .as_ref()
                .is_some_and(|way| matches!(way.to, To::File(_) | To::Directory(_)))
        };
        self.detour = (0..shape.args.len()).any(leads);
        if !self.detour {
            return;
        }
        for (i, arg) in shape.args.iter().enumerate() {
            let (Some(way), Hole::Text) = (arg.kind.path(), self.holes[i]) else { continue };
            let dir = way.dir.map(usize::from);
            if leads(i) {
                self.holes[i] = Hole::Through;
                if let Some(dir) = dir {
                    self.values[dir] = AT_FDCWD as isize as usize;
                    self.holes[dir] = Hole::None;
                }
            } else if bound.through[i].is_none()
                && dir.is_none_or(|dir| call.args[dir] as i32 == AT_FDCWD)
                && text(call, i).is_some_and(|path| !path.is_empty() && path[0] != b'/')
            {
                self.holes[i] = Hole::Beside;
            }
        }
    }
}

impl Arguments {
    /// What path argument `i` stands for, where the process has mounts or a root of its own: links
    /// are followed as they are here, now.
    pub fn viewed(
        call: &Call,
        shape: &Shape,
        bound: &Bound<Real>,
        i: usize,
    ) -> Result<Option<Vec<u8>>, Refused> {
        let (Some(view), Some(path), Some(way)) =
            (&bound.view, &bound.viewed[i], shape.args[i].kind.path())
        else {
            return Ok(None);
        };
        let flags = match way.role {
            Role::Open(from) => Some(u64::from(call.open_flags(from))),
            _ => None,
        };
        let follow = way.follows(&call.args, flags);
        let found = view.resolve(path, follow, &mut raw::read_link);
        found.path.map(Some).ok_or(Refused::Elsewhere)
    }
}

/// Where a path starts of a call that is made in procfs, and the path from there.
pub(super) fn start<'a>(call: &'a Call, bound: &'a Bound<Real>, i: usize) -> (i32, &'a [u8]) {
    match &bound.through[i] {
        Some(way) => match &way.to {
            To::File(descriptor) => (descriptor.real.get(), &way.rest),
            To::Directory(directory) => (directory.real.get(), &way.rest),
            To::Name | To::Virtual | To::Elsewhere => (-1, &way.rest),
        },
        None => {
            let real = bound.cwd.as_ref().map_or(-1, |cwd| cwd.real.get());
            (real, text(call, i).unwrap_or_default())
        }
    }
}
