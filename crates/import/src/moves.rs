//! Renames that were not recorded.
//!
//! A path appears in a directory that was created during the recording, and no recorded call
//! created it: the file was created there by a call that is missing, or it was moved there. If a
//! `struct stat` shows that it is the file of another known path, and the file has fewer links than
//! paths are known for it, then one of the other paths was renamed: the one that no later call
//! uses.

use super::tree::{self, Tree};
use ahash::{HashMap, HashSet};
use model::processes::parent;
use trace::Call;

/// The largest number of inferred renames, since each is compared with the path of every call.
const MAX_INFERRED: usize = 64;

/// The first call that used a path.
#[derive(Clone, Copy, Debug)]
pub(super) struct FirstUse {
    /// When it was entered.
    pub time: u64,
    pub tid: u32,
    pub pid: u32,
}

/// A rename that was not recorded.
#[derive(Debug)]
pub(super) struct Move {
    /// The paths that may have been the old one.
    pub possible_old_paths: Vec<Vec<u8>>,
    pub new_path: Vec<u8>,
    /// The first use of the new path, before which the rename must have happened.
    pub first_use: FirstUse,
}

/// What is needed to infer renames that were not recorded, and those that were inferred.
#[derive(Default)]
pub(super) struct Moves {
    /// Directories that recorded calls created.
    created_directories: HashSet<Vec<u8>>,
    /// Paths that recorded calls created.
    created_paths: HashSet<Vec<u8>>,
    /// The first uses of paths in these directories that no recorded call created.
    first_uses: HashMap<Vec<u8>, FirstUse>,
    /// Our inode numbers, by the recorded device and inode number.
    inodes_by_recorded: HashMap<(u64, u64), u64>,
    pub inferred_renames: Vec<Move>,
}

impl Moves {
    /// Notes that a recorded call created a path. `is_directory` is whether it is that of a
    /// directory.
    pub fn note_created(&mut self, path: &[u8], is_directory: bool) {
        self.created_paths.insert(path.to_vec());
        if is_directory {
            self.created_directories.insert(path.to_vec());
        }
    }

    /// Notes that a recorded call removed a path.
    pub fn note_removed(&mut self, path: &[u8]) {
        self.created_paths.remove(path);
        self.created_directories.remove(path);
        self.first_uses.remove(path);
    }

    /// Notes that a call used a path successfully.
    pub fn note_used(&mut self, path: &[u8], call: &Call) {
        for renamed in &mut self.inferred_renames {
            renamed
                .possible_old_paths
                .retain(|from| from != path || call.entered < renamed.first_use.time);
        }
        if !self.created_paths.contains(path) && self.created_directories.contains(parent(path)) {
            self.first_uses.entry(path.to_vec()).or_insert(FirstUse {
                time: call.entered,
                tid: call.tid,
                pid: call.pid,
            });
        }
    }

    /// Notes that a `struct stat` shows this recorded device and inode number, and this number of
    /// links, of the file at `path`. If `path` turns out to be the new path of a rename that was
    /// not recorded, adds the rename and returns our inode number of the file.
    pub fn observe_inode(
        &mut self,
        path: &[u8],
        recorded_inode: (u64, u64),
        links: u64,
        names: &mut Tree,
    ) -> Option<u64> {
        let inode = names.get_file(path)?.inode;
        let known_inode = *self.inodes_by_recorded.entry(recorded_inode).or_insert(inode);
        if known_inode == inode {
            return None;
        }
        let Some(first) =
            self.first_uses.get(path).filter(|_| self.inferred_renames.len() < MAX_INFERRED)
        else {
            self.inodes_by_recorded.insert(recorded_inode, inode);
            return None;
        };
        let others = names.other_names(known_inode, path);
        if (others.len() as u64) < links.max(1) || others.len() > tree::MAX_NAMES_OF_FILE {
            return None;
        }
        let from = others
            .iter()
            .map(|node| names.file_and_path(*node))
            .filter(|(file, _)| file.is_some_and(|file| file.last_used < first.time))
            .map(|(_, name)| name)
            .collect();
        self.inferred_renames.push(Move {
            possible_old_paths: from,
            new_path: path.to_vec(),
            first_use: *first,
        });
        Some(known_inode)
    }
}
