//! What a call's arguments mean in its process.

use crate::mounts::namespace::MountView;
use crate::procfs_links::LinkRoute;
use crate::state::file::{Descriptor, Directory};
use std::ops::Index;
use std::sync::Arc;

/// Values for some of the six arguments of a call. Most calls have none, which takes no memory.
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
    pub fn set(&mut self, argument: usize, value: V) {
        self.0.get_or_insert_default()[argument] = Some(value);
    }
    /// Returns whether any argument has a value.
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

/// What the arguments of a call refer to, and what the call changed.
#[derive(Debug, Default)]
pub struct Operands<T> {
    /// For each argument that is a descriptor (`Fd`, `DirFd`): the descriptor. `None` also for
    /// `AT_FDCWD` and for a number that is not open.
    pub fds: [Option<Arc<Descriptor<T>>>; 6],
    /// The status flags (`O_*`) of each of these when the call was made. Later calls may change the
    /// flags of the open file.
    pub status: [u32; 6],
    /// For each path argument: the absolute path in the recorder's view, below the root of the
    /// process. It is joined to its directory, but symbolic links and `..` are not resolved.
    pub paths: PerArgument<Box<[u8]>>,
    /// For each path argument that leads through a link of procfs: where the link leads. The path
    /// in `paths` is then that of what it leads to, followed by the rest of the argument's path.
    pub through: PerArgument<LinkRoute<T>>,
    /// The mounts and the root of the process, if it has its own. `paths` then does not take
    /// symbolic links into account: `viewed` has to be resolved again by who knows the links.
    pub view: Option<MountView>,
    /// With `view`, for each path argument: the absolute path as the process sees it.
    pub viewed: PerArgument<Box<[u8]>>,
    /// Descriptors in structs that the call is given: the index of the argument, the offset of the
    /// field, the descriptor.
    pub inner: Vec<(u8, u32, Arc<Descriptor<T>>)>,
    /// The working directory at the entry; `None` for calls that only move data.
    pub cwd: Option<Arc<Directory<T>>>,
    /// The root directory at the entry, unless that is `/`.
    pub root: Option<Arc<Directory<T>>>,
    /// The umask at the entry.
    pub umask: u32,
    /// The offset in the file at which the call reads or writes: its position argument, or the
    /// offset of the open file before the call.
    pub offset: Option<u64>,
    /// After `leave`: the call read less than the file held from `offset` on. If it asked for more,
    /// the end of the file was not the reason.
    pub cut: bool,
    /// After `leave`: another operation read into the same memory at the same time, so it is not
    /// known which of them the captured bytes came from.
    pub shares_buffer: bool,
    /// After `leave`: descriptors that the call created, with their numbers.
    pub opened: Vec<(i32, Arc<Descriptor<T>>)>,
    /// After `leave`: descriptors that the call removed from the table of its process. Other tables
    /// may share them.
    pub closed: Vec<Arc<Descriptor<T>>>,
    /// After `leave`: the new working directory.
    pub directory: Option<Arc<Directory<T>>>,
    /// `Processes::items_applied` at the entry: if only the return was applied since, no
    /// other call or event can have changed what the arguments refer to.
    pub(crate) entered_at: u64,
}

impl<T> Operands<T> {
    /// Drops all descriptors and directories, so that the last user of one can close it.
    pub fn release(&mut self) {
        self.fds.fill_with(|| None);
        self.through.clear();
        self.inner.clear();
        (self.cwd, self.root, self.directory) = (None, None, None);
        self.opened.clear();
        self.closed.clear();
    }
}
