//! A new file is synced, and its name is not.

use crate::findings::definition::{Definition, Entry, Level, Rule};
use crate::findings::evidence::{Context, Evidence, Found, count};
use crate::findings::files::{At, FileId, PathId};
use crate::findings::view::View;
use abi::{IoClass, Role, SyncScope};
use ahash::HashMap;

static DEFINITION: Definition = Definition {
    name: "dir-unsynced",
    level: Level::Note,
    means: "A file was made or renamed and synced, but its directory was not.",
    when: "A regular file is created, or created and renamed, and synced, and is still there at \
           the end; its directory is not synced after that (fsync of the directory, sync, syncfs).",
    cost: "",
    remedy: "Open the directory and call fsync on it after the file has its final name. Without, \
             a crash can lose the name, on some file systems.",
    source: "lean-ctx#954; fsync(2)",
    query: "reanimator print -e '/open|sync|rename' {trace}",
    thresholds: &[],
    classes: &[IoClass::Open, IoClass::Sync, IoClass::Name],
    needs_files: true,
    needs_offsets: false,
};

pub(crate) const ENTRY: Entry =
    Entry { definition: &DEFINITION, create: |_| Box::new(DirUnsynced::default()) };

/// A file that was made, and whose name may be lost.
struct Made {
    path: PathId,
    seq: u64,
    synced: bool,
}

#[derive(Default)]
struct DirUnsynced {
    made: HashMap<FileId, Made>,
    by_directory: HashMap<Box<[u8]>, Vec<FileId>>,
}

/// Returns the path of the directory of a path.
fn directory(path: &[u8]) -> &[u8] {
    match path.iter().rposition(|b| *b == b'/') {
        Some(0) | None => b"/",
        Some(cut) => &path[..cut],
    }
}

impl DirUnsynced {
    fn named(&mut self, call: &View<'_>, file: FileId, path: PathId, synced: bool) {
        let dir = directory(call.files.path(path));
        match self.by_directory.get_mut(dir) {
            Some(files) => files.push(file),
            None => drop(self.by_directory.insert(dir.into(), vec![file])),
        }
        self.made.insert(file, Made { path, seq: call.seq(), synced });
    }

    fn sync(&mut self, call: &View<'_>, scope: SyncScope) {
        match (scope, call.file) {
            (SyncScope::File, Some(file)) if call.files.get(file).is_directory() => {
                let path = call.files.path(call.files.get(file).path);
                for made in self.by_directory.remove(path).into_iter().flatten() {
                    let is_there = |made: &Made| directory(call.files.path(made.path)) == path;
                    if self.made.get(&made).is_some_and(is_there) {
                        self.made.remove(&made);
                    }
                }
            }
            (SyncScope::File, Some(file)) => {
                if let Some(made) = self.made.get_mut(&file) {
                    made.synced = true;
                }
            }
            (SyncScope::All | SyncScope::FileSystem, _) => {
                self.made.clear();
                self.by_directory.clear();
            }
            _ => {}
        }
    }
}

impl Rule for DirUnsynced {
    fn call(&mut self, call: &View<'_>) {
        if call.errno.is_some() {
            return;
        }
        if let Some(scope) = call.sync {
            return self.sync(call, scope);
        }
        if let (true, Some(file)) = (call.is_new, call.regular()) {
            return self.named(call, file, call.files.get(file).path, false);
        }
        for name in call.names.iter().flatten() {
            let At::File(file) = name.before else { continue };
            match name.role {
                Role::Source => {
                    let made = self.made.remove(&file);
                    if let (Some(made), Some(to)) = (made, call.name(Role::Target)) {
                        self.named(call, file, to.path, made.synced);
                    }
                }
                Role::Remove | Role::Target => drop(self.made.remove(&file)),
                _ => {}
            }
        }
    }

    fn finish(&mut self, context: &Context<'_>) -> Option<Found> {
        let lost = self.made.values().filter(|made| made.synced);
        let place = |made: &Made| Evidence {
            seq: made.seq,
            file: context.files.text(made.path),
            text: "got its name, was synced, and its directory was not".to_owned(),
            ..Evidence::default()
        };
        Found::safety(Level::Note, lost.map(place).collect(), |places| {
            format!(
                "{} synced, but not the directory: after a crash the name can be missing.",
                match places.len() {
                    1 => "A new file was".to_owned(),
                    n => format!("{} new files were", count(n as u64)),
                }
            )
        })
    }
}
