//! Renames that the other tool did not record, worked out from inode numbers.
//!
//! A name in a directory that was made while the tool recorded was made there by a recorded call, or moved there. If a struct says that it is the file of another known name,
//! and that this file has fewer names than are known with it, then one of the others went; the one that nobody uses any more is what it was called before.

use super::tree::{self, Tree};
use ahash::{HashMap, HashSet};
use model::world::parent;
use trace::Call;

/// So many are looked at: each is compared with all names.
const MOST: usize = 64;

/// The first that was done with a name.
#[derive(Clone, Copy, Debug)]
pub(super) struct First {
    pub time: u64,
    pub tid: u32,
    pub pid: u32,
}

/// A name that came from elsewhere.
#[derive(Debug)]
pub(super) struct Move {
    /// What it may have been called before.
    pub from: Vec<Vec<u8>>,
    pub to: Vec<u8>,
    pub first: First,
}

#[derive(Default)]
pub(super) struct Moves {
    directories: HashSet<Vec<u8>>,
    /// Names that recorded calls made.
    made: HashSet<Vec<u8>>,
    first: HashMap<Vec<u8>, First>,
    /// Our inodes by theirs.
    numbers: HashMap<(u64, u64), u64>,
    pub found: Vec<Move>,
}

impl Moves {
    /// A recorded call made a name, and a directory with it.
    pub fn made(&mut self, path: &[u8], directory: bool) {
        self.made.insert(path.to_vec());
        if directory {
            self.directories.insert(path.to_vec());
        }
    }

    /// A recorded call took a name away.
    pub fn gone(&mut self, path: &[u8]) {
        self.made.remove(path);
        self.directories.remove(path);
        self.first.remove(path);
    }

    /// A call succeeded on a name.
    pub fn used(&mut self, path: &[u8], call: &Call) {
        for found in &mut self.found {
            found.from.retain(|from| from != path || call.entered < found.first.time);
        }
        if !self.made.contains(path) && self.directories.contains(parent(path)) {
            self.first.entry(path.to_vec()).or_insert(First {
                time: call.entered,
                tid: call.tid,
                pid: call.pid,
            });
        }
    }

    /// A struct says which file this is, and how many names it has. Our inode for it.
    pub fn told(
        &mut self,
        path: &[u8],
        number: (u64, u64),
        links: u64,
        names: &mut Tree,
    ) -> Option<u64> {
        let ours = names.get(path)?.inode;
        let known = *self.numbers.entry(number).or_insert(ours);
        if known == ours {
            return None;
        }
        let Some(first) = self.first.get(path).filter(|_| self.found.len() < MOST) else {
            self.numbers.insert(number, ours);
            return None;
        };
        let others = names.others(known, path);
        if (others.len() as u64) < links.max(1) || others.len() > tree::MOST {
            return None;
        }
        let from = others
            .iter()
            .map(|place| names.at(*place))
            .filter(|(file, _)| file.is_some_and(|file| file.used < first.time))
            .map(|(_, name)| name)
            .collect();
        self.found.push(Move { from, to: path.to_vec(), first: *first });
        Some(known)
    }
}
