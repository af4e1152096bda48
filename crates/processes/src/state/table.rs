//! Descriptor tables, and directories with umasks: what threads share, or have of their own.

use crate::state::file::{Descriptor, Directory};
use std::collections::BTreeMap;
use std::sync::Arc;

/// An entry of a descriptor table.
pub(crate) struct Slot<T> {
    pub descriptor: Arc<Descriptor<T>>,
    /// Whether it is close-on-exec.
    pub cloexec: bool,
}

// Not derived: a slot is cloned without cloning what is attached.
impl<T> Clone for Slot<T> {
    fn clone(&self) -> Self {
        Self { descriptor: self.descriptor.clone(), cloexec: self.cloexec }
    }
}

/// A descriptor table (`struct files_struct`).
pub(crate) struct Table<T> {
    /// The entries, by number.
    pub slots: BTreeMap<i32, Slot<T>>,
    /// The number of threads that use it.
    pub users: usize,
}

impl<T> Table<T> {
    /// Returns the descriptor with the number `fd`.
    pub fn get(&self, fd: i32) -> Option<&Arc<Descriptor<T>>> {
        self.slots.get(&fd).map(|s| &s.descriptor)
    }
}

/// A working directory, root and umask, which `CLONE_FS` shares (`struct fs_struct`).
pub(crate) struct Fs<T> {
    pub cwd: Arc<Directory<T>>,
    /// The root; `None`: it is `/`.
    pub root: Option<Arc<Directory<T>>>,
    pub umask: u32,
    /// The number of threads that use it.
    pub users: usize,
}
