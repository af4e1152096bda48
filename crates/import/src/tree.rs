//! Names as a tree: a directory that is renamed takes all below with it in one step.

use ahash::HashMap;
use std::collections::BTreeSet;

/// A file.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct File {
    pub inode: u64,
    /// When a call was last entered that used this name.
    pub used: u64,
    pub(super) size: u64,
    pub(super) directory: bool,
}

/// A name's place in the tree.
pub(super) type Place = usize;

struct Name {
    directory: Place,
    name: Box<[u8]>,
    file: Option<File>,
}

/// The names, and what files they have.
pub(super) struct Tree {
    names: Vec<Name>,
    below: HashMap<(Place, Box<[u8]>), Place>,
    /// The places of each of our inodes.
    places: HashMap<u64, BTreeSet<Place>>,
    /// Names looked at.
    #[cfg_attr(not(test), allow(dead_code, reason = "tests count them"))]
    pub steps: u64,
}

impl Default for Tree {
    fn default() -> Self {
        let root = Name { directory: 0, name: Box::default(), file: None };
        Self { names: vec![root], below: HashMap::default(), places: HashMap::default(), steps: 0 }
    }
}

fn components(path: &[u8]) -> impl Iterator<Item = &[u8]> {
    path.split(|b| *b == b'/').filter(|part| !part.is_empty())
}

impl Tree {
    fn place(&mut self, path: &[u8]) -> Option<Place> {
        let mut at = 0;
        for part in components(path) {
            self.steps += 1;
            at = *self.below.get(&(at, Box::from(part)))?;
        }
        Some(at)
    }

    fn make(&mut self, path: &[u8]) -> Place {
        let mut at = 0;
        for part in components(path) {
            self.steps += 1;
            let next = self.names.len();
            let found = *self.below.entry((at, Box::from(part))).or_insert(next);
            if found == next {
                self.names.push(Name { directory: at, name: Box::from(part), file: None });
            }
            at = found;
        }
        at
    }

    /// The file of this name.
    pub fn get(&mut self, path: &[u8]) -> Option<&mut File> {
        let at = self.place(path)?;
        self.names[at].file.as_mut()
    }

    /// Gives the name a file.
    pub fn insert(&mut self, path: &[u8], file: File) {
        let at = self.make(path);
        self.set(at, Some(file));
    }

    fn set(&mut self, at: Place, file: Option<File>) {
        if let Some(old) = &self.names[at].file {
            let inode = old.inode;
            if let Some(places) = self.places.get_mut(&inode) {
                places.remove(&at);
                if places.is_empty() {
                    self.places.remove(&inode);
                }
            }
        }
        if let Some(file) = &file {
            self.places.entry(file.inode).or_default().insert(at);
        }
        self.names[at].file = file;
    }

    /// The name is gone, and all below.
    pub fn remove(&mut self, path: &[u8]) {
        if let Some(at) = self.place(path).filter(|at| *at != 0) {
            self.set(at, None);
            self.take_out(at);
        }
    }

    fn take_out(&mut self, at: Place) {
        let key = (self.names[at].directory, self.names[at].name.clone());
        if self.below.get(&key) == Some(&at) {
            self.below.remove(&key);
        }
    }

    /// What was called `old` is called `new`, with all below.
    pub fn rename(&mut self, old: &[u8], new: &[u8]) {
        let Some(at) = self.place(old).filter(|at| *at != 0) else { return };
        let Some((directory, name)) = split_last(new) else { return };
        self.take_out(at);
        let directory = self.make(directory);
        // Nonsense: it would be below itself.
        let mut above = directory;
        while above != 0 {
            self.steps += 1;
            if above == at {
                return;
            }
            above = self.names[above].directory;
        }
        let key = (directory, Box::from(name));
        if let Some(there) = self.below.insert(key, at) {
            self.set(there, None);
        }
        (self.names[at].directory, self.names[at].name) = (directory, Box::from(name));
    }

    /// The other places of the file with this inode.
    pub fn others(&mut self, inode: u64, path: &[u8]) -> Vec<Place> {
        let own = self.place(path);
        let places = self.places.get(&inode).into_iter().flatten().copied();
        let others: Vec<Place> = places.filter(|at| Some(*at) != own).take(MOST + 1).collect();
        self.steps += others.len() as u64;
        others
    }

    /// What is known of the file at a place, and its path.
    pub fn at(&self, place: Place) -> (Option<&File>, Vec<u8>) {
        let (mut at, mut parts) = (place, Vec::new());
        while at != 0 {
            parts.push(&*self.names[at].name);
            at = self.names[at].directory;
        }
        let path = parts.iter().rev().flat_map(|part| [&b"/"[..], part]).flatten().copied();
        (self.names[place].file.as_ref(), path.collect())
    }
}

/// So many names of one file are told apart.
pub(super) const MOST: usize = 64;

fn split_last(path: &[u8]) -> Option<(&[u8], &[u8])> {
    let at = path.iter().rposition(|b| *b == b'/')?;
    let name = &path[at + 1..];
    (!name.is_empty()).then_some((&path[..at], name))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(inode: u64) -> File {
        File { inode, ..File::default() }
    }

    #[test]
    fn a_directory_takes_all_below_with_it() {
        let mut tree = Tree::default();
        tree.insert(b"/a/b/c", file(7));
        tree.insert(b"/x", file(8));
        tree.rename(b"/a", b"/z/y");
        assert!(tree.get(b"/a/b/c").is_none());
        assert_eq!(tree.get(b"/z/y/b/c").map(|f| f.inode), Some(7));
        tree.insert(b"/z/y/b/d", file(7));
        let others = tree.others(7, b"/z/y/b/d");
        assert_eq!((others.len(), tree.at(others[0]).1), (1, b"/z/y/b/c".to_vec()));
        tree.rename(b"/x", b"/z/y/b/c");
        assert_eq!(tree.get(b"/z/y/b/c").map(|f| f.inode), Some(8));
        assert!(tree.others(7, b"/z/y/b/d").is_empty());
        // Into itself: nothing is left of it, and nothing loops.
        tree.rename(b"/z", b"/z/y/w");
        assert!(tree.get(b"/z/y/b/c").is_none());
        tree.remove(b"/z");
    }

    /// Twice as many names and renames take twice as many steps.
    #[test]
    fn steps_grow_with_the_input() {
        let steps = |n: u64| {
            let mut tree = Tree::default();
            for i in 0..n {
                tree.insert(format!("/d0/{i}").as_bytes(), file(i % 10));
            }
            for i in 0..n {
                tree.rename(format!("/d{i}").as_bytes(), format!("/d{}", i + 1).as_bytes());
                tree.others(i % 10, format!("/d{}/{i}", i + 1).as_bytes());
            }
            assert!(tree.get(format!("/d{n}/0").as_bytes()).is_some());
            tree.steps
        };
        let (one, two) = (steps(2000), steps(4000));
        assert!(two <= one * 5 / 2, "{one} {two}");
    }
}
