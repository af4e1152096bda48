//! What a call's arguments mean in its process.

use crate::mounts::namespace::MountView;
use crate::procfs_links::LinkRoute;
use crate::state::file::{Descriptor, Directory};
use std::ops::Index;
use std::sync::Arc;

/// A value for each argument of a call that has one. Most calls have none, which takes no memory.
#[derive(Clone, Debug)]
pub struct PerArgument<V>(Option<Box<[Option<V>; 6]>>);

impl<V> Default for PerArgument<V> {
    fn default() -> Self {
        Self(None)
    }
}

impl<V> PerArgument<V> {
    /// Returns the values of those arguments that have one.
    pub fn values(&self) -> impl Iterator<Item = &V> {
        self.0.iter().flat_map(|all| all.iter().flatten())
    }
    /// Sets the value of an argument.
    pub fn put(&mut self, argument: usize, value: V) {
        self.0.get_or_insert_default()[argument] = Some(value);
    }
    /// Returns whether an argument has a value.
    pub fn has_any(&self) -> bool {
        self.values().next().is_some()
    }
    /// Removes all values.
    pub fn clear(&mut self) {
        if let Some(all) = &mut self.0 {
            all.fill_with(|| None);
        }
    }
}

impl<V> Index<usize> for PerArgument<V> {
    type Output = Option<V>;
    fn index(&self, argument: usize) -> &Option<V> {
        self.0.as_ref().map_or(const { &None }, |all| &all[argument])
    }
}

/// What a call's arguments meant, and what it changed.
#[derive(Debug, Default)]
pub struct Operands<T> {
    /// For each argument that is a descriptor (`Fd`, `DirFd`): the one it meant. `None` also for
    /// `AT_FDCWD` and for numbers that mean nothing.
    pub fds: [Option<Arc<Descriptor<T>>>; 6],
    /// The status flags (`O_*`) of each of those when the call ran: later calls change those of
    /// the open file.
    pub status: [u32; 6],
    /// For each path argument: the absolute path, joined but not resolved, as the recorder would
    /// see it (under the process's root).
    pub paths: PerArgument<Box<[u8]>>,
    /// For each path argument that leads through a link of procfs: where that leads. The path in
    /// `paths` is then that of what the link leads to, with what follows the link.
    pub through: PerArgument<LinkRoute<T>>,
    /// Where the process has mounts or a root of its own: what its names mean. What `paths` says is
    /// then without links, and has to be resolved again where they are known.
    pub view: Option<MountView>,
    /// With `view`: the path that each argument means, as the process sees it.
    pub viewed: PerArgument<Box<[u8]>>,
    /// Descriptors inside structs that go in: argument, offset of the field, meaning.
    pub inner: Vec<(u8, u32, Arc<Descriptor<T>>)>,
    /// The working directory that it started from; not said of calls that only move data.
    pub cwd: Option<Arc<Directory<T>>>,
    /// The root directory that it started from, unless that is `/`.
    pub root: Option<Arc<Directory<T>>>,
    /// The umask at its entry.
    pub umask: u32,
    /// Where in the file the data moved: its own position, or the descriptor's offset (after
    /// `leave`: before the call advanced it).
    pub offset: Option<u64>,
    /// After `leave`: it read less than the file held from there on. Where it asked for more, what
    /// cut it short was its memory or the moment, not the file's end.
    pub cut: bool,
    /// After `leave`: another operation read into the same memory at the same time, so it is not
    /// known which of them the captured bytes came from.
    pub shares_buffer: bool,
    /// After `leave`: descriptors that came into being.
    pub opened: Vec<(i32, Arc<Descriptor<T>>)>,
    /// After `leave`: descriptors taken out of the caller's table. Others may share them.
    pub closed: Vec<Arc<Descriptor<T>>>,
    /// After `leave`: the new working directory.
    pub directory: Option<Arc<Directory<T>>>,
    /// When the call was entered: nothing is to be filled in if it is left at the next moment.
    pub(crate) step: u64,
}

impl<T> Operands<T> {
    /// Releases all descriptors and directories, so that the last user of one can close it.
    pub fn release(&mut self) {
        self.fds.fill_with(|| None);
        self.through.clear();
        self.inner.clear();
        (self.cwd, self.root, self.directory) = (None, None, None);
        self.opened.clear();
        self.closed.clear();
    }
}
