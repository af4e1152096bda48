//! What a call's arguments mean in its process.

use super::file::{Descriptor, Directory};
use std::sync::Arc;

/// What a call's arguments meant, and what it changed.
#[derive(Debug)]
pub struct Bound<T> {
    /// For each argument that is a descriptor (`Fd`, `DirFd`): the one it meant. `None` also for `AT_FDCWD` and for numbers that mean nothing.
    pub fds: [Option<Arc<Descriptor<T>>>; 6],
    /// For each path argument: the absolute path, joined but not resolved, as the recorder would see it (under the process's root).
    pub paths: [Option<Box<[u8]>>; 6],
    /// For each path argument that leads through `/proc/self/fd/N` (or its other names): the descriptor. Its path in `paths` is then the file's, unless that has no name.
    pub through: [Option<Arc<Descriptor<T>>>; 6],
    /// Descriptors inside structs that go in: argument, offset of the field, meaning.
    pub inner: Vec<(u8, u32, Arc<Descriptor<T>>)>,
    /// The working directory that it started from.
    pub cwd: Option<Arc<Directory<T>>>,
    /// The root directory that it started from, unless that is `/`.
    pub root: Option<Arc<Directory<T>>>,
    /// The umask at its entry.
    pub umask: u32,
    /// Where in the file the data moved: its own position, or the descriptor's offset (after `leave`: before the call advanced it).
    pub offset: Option<u64>,
    /// After `leave`: descriptors that came into being.
    pub opened: Vec<(i32, Arc<Descriptor<T>>)>,
    /// After `leave`: descriptors taken out of the caller's table. Others may share them.
    pub closed: Vec<Arc<Descriptor<T>>>,
    /// After `leave`: the new working directory.
    pub directory: Option<Arc<Directory<T>>>,
}

impl<T> Bound<T> {
    /// Lets all descriptors and directories go.
    pub fn let_go(&mut self) {
        self.fds.fill_with(|| None);
        self.through.fill_with(|| None);
        self.inner.clear();
        (self.cwd, self.root, self.directory) = (None, None, None);
        self.opened.clear();
        self.closed.clear();
    }
}

impl<T> Default for Bound<T> {
    fn default() -> Self {
        Self {
            fds: Default::default(),
            paths: Default::default(),
            through: Default::default(),
            inner: Vec::new(),
            cwd: None,
            root: None,
            umask: 0o022,
            offset: None,
            opened: Vec::new(),
            closed: Vec::new(),
            directory: None,
        }
    }
}
