//! Descriptor tables and file system groups: what threads share or have of their own.

use crate::state::file::{Descriptor, Directory};
use std::collections::BTreeMap;
use std::sync::Arc;

pub(crate) struct Slot<T> {
    pub descriptor: Arc<Descriptor<T>>,
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
    pub slots: BTreeMap<i32, Slot<T>>,
    /// Threads that use it.
    pub users: usize,
}

impl<T> Table<T> {
    /// Returns the descriptor with this number.
    pub fn get(&self, fd: i32) -> Option<&Arc<Descriptor<T>>> {
        self.slots.get(&fd).map(|s| &s.descriptor)
    }
}

/// What `CLONE_FS` shares (`struct fs_struct`).
pub(crate) struct Fs<T> {
    pub cwd: Arc<Directory<T>>,
    /// `None`: `/`.
    pub root: Option<Arc<Directory<T>>>,
    pub umask: u32,
    pub users: usize,
}
