//! Which files have bytes that were written and not made durable.

use crate::findings::files::FileId;
use crate::findings::view::View;
use abi::{IoClass, MAPPINGS, SyncScope};
use ahash::HashMap;

/// Bytes of a file that were written since it was synced last.
#[derive(Debug, Clone, Copy, Default)]
pub struct Unsynced {
    /// How many.
    pub bytes: u64,
    /// The number of the first call that wrote some.
    pub seq: u64,
}

/// Files with unsynced bytes.
#[derive(Debug, Default)]
pub struct Dirty {
    files: HashMap<FileId, Unsynced>,
}

impl Dirty {
    /// Applies a write or sync. What is stored through mappings does not count, as a msync does not
    /// name its file.
    pub fn apply(&mut self, view: &View<'_>) {
        match (view.class, view.sync) {
            (IoClass::Write, _) if view.moved > 0 && view.call.nr < MAPPINGS => {
                if let Some(file) = view.regular().filter(|_| !view.is_durable()) {
                    let unsynced = self.files.entry(file).or_default();
                    if unsynced.bytes == 0 {
                        unsynced.seq = view.seq();
                    }
                    unsynced.bytes = unsynced.bytes.saturating_add(view.moved);
                }
            }
            (_, Some(scope)) if view.errno.is_none() => self.sync(view, scope),
            _ => {}
        }
    }

    fn sync(&mut self, view: &View<'_>, scope: SyncScope) {
        match (scope, view.file) {
            (SyncScope::File, Some(file)) => drop(self.files.remove(&file)),
            (SyncScope::FileSystem, Some(file)) => {
                let dev = view.files.get(file).dev;
                self.files.retain(|other, _| view.files.get(*other).dev != dev);
            }
            (SyncScope::All, _) => self.files.clear(),
            _ => {}
        }
    }

    /// Returns the unsynced bytes of a file.
    pub fn get(&self, file: FileId) -> Option<Unsynced> {
        self.files.get(&file).copied()
    }
}
