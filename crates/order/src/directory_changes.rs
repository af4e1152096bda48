//! Directories that change while they are listed: POSIX leaves open whether the listing has the
//! names that come and go.

use abi::{CallSpec, Role};
use ahash::HashMap;
use linux_raw_sys::general::O_CREAT;
use model::processes::{Operands, lexical, parent};
use trace::Call;

#[derive(Default)]
pub(crate) struct DirectoryChanges {
    /// Those under way: open file, and how often its directory had changed when it began.
    listings: HashMap<u64, u64>,
    /// How often directories changed since the first of them began.
    changes: HashMap<Box<[u8]>, u64>,
}

impl DirectoryChanges {
    /// Notes what a call that returns changes in directories. Returns whether the directory that it
    /// lists has changed since its listing began.
    pub fn returned<R>(&mut self, call: &Call, spec: &CallSpec, operands: &Operands<R>) -> bool {
        if !call.succeeded() {
            return false;
        }
        if !self.listings.is_empty() && operands.paths.has_any() {
            self.count_changes(call, spec, operands);
        }
        let listed = operands.fds[0].as_ref().filter(|_| spec.uses.lists_directory);
        let Some(file) = listed.map(|d| &d.file) else { return false };
        let now = self.changes.get(&file.path).copied().unwrap_or(0);
        let began = *self.listings.entry(file.id).or_insert(now);
        if call.ret == 0 {
            self.listings.remove(&file.id);
            if self.listings.is_empty() {
                self.changes.clear();
            }
        }
        began != now
    }

    /// Counts the changes of the directories in which a call creates, removes or renames names.
    fn count_changes<R>(&mut self, call: &Call, spec: &CallSpec, operands: &Operands<R>) {
        for (i, arg) in spec.args.iter().enumerate() {
            let (Some(way), Some(path)) = (arg.kind.path_use(), &operands.paths[i]) else {
                continue;
            };
            let changes = match way.role {
                Role::Lookup => false,
                Role::Open(from) => call.open_flags(from) & O_CREAT != 0,
                Role::Create
                | Role::Remove
                | Role::RemoveDirectory
                | Role::Source
                | Role::Target => spec.changes,
            };
            if changes {
                *self.changes.entry(parent(&lexical(path)).into()).or_default() += 1;
            }
        }
    }
}
