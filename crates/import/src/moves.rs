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

/// The most inferred renames: each is compared with the path of every call.
const MAX_INFERRED: usize = 64;

/// The first call that used a path.
#[derive(Clone, Copy, Debug)]
pub(super) struct FirstUse {
    pub time: u64,
    pub tid: u32,
    pub pid: u32,
}

/// A rename that was not recorded.
#[derive(Debug)]
pub(super) struct Move {
    /// What the old path may have been.
    pub from: Vec<Vec<u8>>,
    pub to: Vec<u8>,
    pub first: FirstUse,
}

#[derive(Default)]
pub(super) struct Moves {
    directories: HashSet<Vec<u8>>,
    /// Paths that recorded calls created.
    created: HashSet<Vec<u8>>,
    first: HashMap<Vec<u8>, FirstUse>,
    /// Our inode numbers, by recorded device and inode number.
    numbers: HashMap<(u64, u64), u64>,
    pub inferred: Vec<Move>,
}

impl Moves {
    /// Notes that a recorded call created a path; `directory` is whether it is a directory.
    pub fn note_created(&mut self, path: &[u8], directory: bool) {
        self.created.insert(path.to_vec());
        if directory {
            self.directories.insert(path.to_vec());
        }
    }

    /// Notes that a recorded call removed a path.
    pub fn note_removed(&mut self, path: &[u8]) {
        self.created.remove(path);
        self.directories.remove(path);
        self.first.remove(path);
    }

    /// Notes that a call used a path successfully.
    pub fn note_used(&mut self, path: &[u8], call: &Call) {
        for renamed in &mut self.inferred {
            renamed.from.retain(|from| from != path || call.entered < renamed.first.time);
        }
        if !self.created.contains(path) && self.directories.contains(parent(path)) {
            self.first.entry(path.to_vec()).or_insert(FirstUse {
                time: call.entered,
                tid: call.tid,
                pid: call.pid,
            });
        }
    }

    /// Notes that a `struct stat` has the device and inode `number` and this number of links for
    /// the file at `path`. Returns our inode number of the file if `path` turns out to be a renamed
    /// one.
    pub fn observe_inode(
        &mut self,
        path: &[u8],
        number: (u64, u64),
        links: u64,
        names: &mut Tree,
    ) -> Option<u64> {
        let ours = names.get_file(path)?.inode;
        let known = *self.numbers.entry(number).or_insert(ours);
        if known == ours {
            return None;
        }
        let Some(first) = self.first.get(path).filter(|_| self.inferred.len() < MAX_INFERRED)
        else {
            self.numbers.insert(number, ours);
            return None;
        };
        let others = names.other_names(known, path);
        if (others.len() as u64) < links.max(1) || others.len() > tree::MAX_NAMES_OF_FILE {
            return None;
        }
        let from = others
            .iter()
            .map(|node| names.file_and_path(*node))
            .filter(|(file, _)| file.is_some_and(|file| file.used < first.time))
            .map(|(_, name)| name)
            .collect();
        self.inferred.push(Move { from, to: path.to_vec(), first: *first });
        Some(known)
    }
}
