//! What the world says of one call's descriptors and directories: all that the model needs of it.

use super::node::NodeId;
use crate::call::Call;
use crate::world::{Bound, Descriptor, OpenFile, Six, World};
use abi::{Ret, Shape, arguments};
use std::cell::Cell;
use std::sync::Arc;

/// The world, with the model's file attached to each working and root directory.
pub type Processes = World<Cell<Option<NodeId>>>;

/// A descriptor that a call was given.
#[derive(Clone, Debug)]
pub struct Given {
    /// The open file.
    pub file: Arc<OpenFile>,
    /// Where data move: the call's own offset, or the descriptor's; `None` if nobody knows.
    pub offset: Option<u64>,
}

/// The surroundings of one call.
#[derive(Clone, Debug, Default)]
pub struct Scene {
    /// The descriptors among the arguments.
    pub fds: [Option<Given>; 6],
    /// Descriptors that path arguments mean (`/proc/self/fd/3`, `/dev/stdin`).
    pub magic: Six<Given>,
    /// The open file behind the resulting descriptor.
    pub opened: Option<Arc<OpenFile>>,
    /// The working directory, of calls with paths.
    pub cwd: Option<NodeId>,
    /// The root directory, unless it is the recorder's.
    pub root: Option<NodeId>,
    /// The umask.
    pub umask: u32,
}

impl Scene {
    /// The surroundings of a call that has just been left, except its directories.
    pub fn of(
        call: &Call,
        shape: &Shape,
        bound: &Bound<Cell<Option<NodeId>>>,
        world: &Processes,
    ) -> Self {
        let given = |descriptor: &Arc<Descriptor<_>>| {
            let offset = match shape.copies {
                // The world has moved the offsets on.
                Some(_) => Some(descriptor.file.offset().saturating_sub(call.ret.max(0) as u64)),
                None => bound.offset,
            };
            Given { file: descriptor.file.clone(), offset }
        };
        let mut scene = Self { umask: bound.umask, ..Self::default() };
        for i in arguments(shape.uses.fds) {
            scene.fds[i] = bound.fds[i].as_ref().map(given);
        }
        for (arg, _, descriptor) in &bound.inner {
            scene.fds[usize::from(*arg)] = Some(given(descriptor));
        }
        for i in arguments(shape.uses.paths) {
            let number = bound.paths[i].as_deref().and_then(|path| magic(path, call.pid));
            if let Some(descriptor) = number.and_then(|fd| world.descriptor(call.tid, fd)) {
                scene.magic.put(i, given(descriptor));
            }
        }
        if shape.ret == Ret::Fd && call.succeeded() {
            scene.opened = bound
                .opened
                .iter()
                .find(|(fd, _)| i64::from(*fd) == call.ret)
                .map(|(_, d)| d.file.clone());
        }
        scene
    }
}

/// The descriptor of the calling process that a path means by the magic of procfs.
fn magic(path: &[u8], pid: u32) -> Option<i32> {
    let path = std::str::from_utf8(path).ok()?;
    match path {
        "/dev/stdin" => return Some(0),
        "/dev/stdout" => return Some(1),
        "/dev/stderr" => return Some(2),
        _ => {}
    }
    let own = format!("/proc/{pid}/fd/");
    let number = ["/proc/self/fd/", "/proc/thread-self/fd/", "/dev/fd/", &own]
        .into_iter()
        .find_map(|prefix| path.strip_prefix(prefix))?;
    number.parse().ok()
}
