//! Paths as a tree: renaming a directory moves everything below it in one step.

use ahash::HashMap;
use std::collections::BTreeSet;

/// A file.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct File {
    /// Our inode number.
    pub inode: u64,
    /// When the last call was entered that used this name.
    pub last_used: u64,
    /// The size in bytes.
    pub(super) size: u64,
    pub(super) is_directory: bool,
}

/// The index of a node in the tree.
pub(super) type NodeId = usize;

/// A name in a directory.
struct Name {
    /// The directory; that of the root is the root itself.
    parent: NodeId,
    name: Box<[u8]>,
    file: Option<File>,
}

/// Paths and their files.
pub(super) struct Tree {
    /// The root, then all other nodes. Those that were removed stay.
    nodes: Vec<Name>,
    /// The nodes by directory and name.
    children: HashMap<(NodeId, Box<[u8]>), NodeId>,
    /// The nodes of each of our inode numbers.
    nodes_of_inode: HashMap<u64, BTreeSet<NodeId>>,
    /// How many nodes were visited so far.
    #[cfg_attr(not(test), allow(dead_code, reason = "tests count them"))]
    pub visited_nodes: u64,
}

impl Default for Tree {
    fn default() -> Self {
        let root = Name { parent: 0, name: Box::default(), file: None };
        Self {
            nodes: vec![root],
            children: HashMap::default(),
            nodes_of_inode: HashMap::default(),
            visited_nodes: 0,
        }
    }
}

/// Returns the components of a path.
fn components(path: &[u8]) -> impl Iterator<Item = &[u8]> {
    path.split(|b| *b == b'/').filter(|part| !part.is_empty())
}

impl Tree {
    /// Returns the node at a path, if there is one.
    fn find_node(&mut self, path: &[u8]) -> Option<NodeId> {
        let mut node = 0;
        for part in components(path) {
            self.visited_nodes += 1;
            node = *self.children.get(&(node, Box::from(part)))?;
        }
        Some(node)
    }

    /// Returns the node at a path. Adds it and the nodes above it if they do not exist.
    fn get_or_add(&mut self, path: &[u8]) -> NodeId {
        let mut node = 0;
        for part in components(path) {
            self.visited_nodes += 1;
            let next_node = self.nodes.len();
            let found = *self.children.entry((node, Box::from(part))).or_insert(next_node);
            if found == next_node {
                self.nodes.push(Name { parent: node, name: Box::from(part), file: None });
            }
            node = found;
        }
        node
    }

    /// Returns the file at `path`.
    pub fn get_file(&mut self, path: &[u8]) -> Option<&mut File> {
        let node = self.find_node(path)?;
        self.nodes[node].file.as_mut()
    }

    /// Sets the file at `path`.
    pub fn insert_file(&mut self, path: &[u8], file: File) {
        let node = self.get_or_add(path);
        self.set_file(node, Some(file));
    }

    /// Sets or removes the file of a node, and updates the index by inode number.
    fn set_file(&mut self, node: NodeId, file: Option<File>) {
        if let Some(old) = &self.nodes[node].file {
            let inode = old.inode;
            if let Some(nodes) = self.nodes_of_inode.get_mut(&inode) {
                nodes.remove(&node);
                if nodes.is_empty() {
                    self.nodes_of_inode.remove(&inode);
                }
            }
        }
        if let Some(file) = &file {
            self.nodes_of_inode.entry(file.inode).or_default().insert(node);
        }
        self.nodes[node].file = file;
    }

    /// Removes `path` and everything below it.
    pub fn remove(&mut self, path: &[u8]) {
        if let Some(node) = self.find_node(path).filter(|node| *node != 0) {
            self.set_file(node, None);
            self.detach_node(node);
        }
    }

    /// Removes a node from its directory, with everything below it.
    fn detach_node(&mut self, node: NodeId) {
        let key = (self.nodes[node].parent, self.nodes[node].name.clone());
        if self.children.get(&key) == Some(&node) {
            self.children.remove(&key);
        }
    }

    /// Renames `old` to `new`, with everything below it. A file at `new` loses its name. Does
    /// nothing if nothing is at `old`.
    pub fn rename(&mut self, old: &[u8], new: &[u8]) {
        let Some(node) = self.find_node(old).filter(|node| *node != 0) else { return };
        let Some((directory, name)) = split_last(new) else { return };
        self.detach_node(node);
        let directory = self.get_or_add(directory);
        // A directory cannot be moved below itself.
        let mut above = directory;
        while above != 0 {
            self.visited_nodes += 1;
            if above == node {
                return;
            }
            above = self.nodes[above].parent;
        }
        let key = (directory, Box::from(name));
        if let Some(replaced) = self.children.insert(key, node) {
            self.set_file(replaced, None);
        }
        (self.nodes[node].parent, self.nodes[node].name) = (directory, Box::from(name));
    }

    /// Returns the nodes of the file with this inode number, except that of `path`.
    pub fn other_names(&mut self, inode: u64, path: &[u8]) -> Vec<NodeId> {
        let own = self.find_node(path);
        let nodes = self.nodes_of_inode.get(&inode).into_iter().flatten().copied();
        let others: Vec<NodeId> =
            nodes.filter(|node| Some(*node) != own).take(MAX_NAMES_OF_FILE + 1).collect();
        self.visited_nodes += others.len() as u64;
        others
    }

    /// Returns the file at a node, and the node's path.
    pub fn file_and_path(&self, node: NodeId) -> (Option<&File>, Vec<u8>) {
        let (mut current, mut parts) = (node, Vec::new());
        while current != 0 {
            parts.push(&*self.nodes[current].name);
            current = self.nodes[current].parent;
        }
        let path = parts.iter().rev().flat_map(|part| [&b"/"[..], part]).flatten().copied();
        (self.nodes[node].file.as_ref(), path.collect())
    }
}

/// The largest number of paths of one file that are compared.
pub(super) const MAX_NAMES_OF_FILE: usize = 64;

/// Splits a path into its directory and its last component. Returns `None` if it has no slash, or
/// ends in one.
fn split_last(path: &[u8]) -> Option<(&[u8], &[u8])> {
    let slash = path.iter().rposition(|b| *b == b'/')?;
    let name = &path[slash + 1..];
    (!name.is_empty()).then_some((&path[..slash], name))
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
        tree.insert_file(b"/a/b/c", file(7));
        tree.insert_file(b"/x", file(8));
        tree.rename(b"/a", b"/z/y");
        assert!(tree.get_file(b"/a/b/c").is_none());
        assert_eq!(tree.get_file(b"/z/y/b/c").map(|f| f.inode), Some(7));
        tree.insert_file(b"/z/y/b/d", file(7));
        let others = tree.other_names(7, b"/z/y/b/d");
        assert_eq!((others.len(), tree.file_and_path(others[0]).1), (1, b"/z/y/b/c".to_vec()));
        tree.rename(b"/x", b"/z/y/b/c");
        assert_eq!(tree.get_file(b"/z/y/b/c").map(|f| f.inode), Some(8));
        assert!(tree.other_names(7, b"/z/y/b/d").is_empty());
        // Into itself: nothing is left of it, and nothing loops.
        tree.rename(b"/z", b"/z/y/w");
        assert!(tree.get_file(b"/z/y/b/c").is_none());
        tree.remove(b"/z");
    }

    /// Twice as many names and renames take twice as many steps.
    #[test]
    fn steps_grow_with_the_input() {
        let steps = |n: u64| {
            let mut tree = Tree::default();
            for i in 0..n {
                tree.insert_file(format!("/d0/{i}").as_bytes(), file(i % 10));
            }
            for i in 0..n {
                tree.rename(format!("/d{i}").as_bytes(), format!("/d{}", i + 1).as_bytes());
                tree.other_names(i % 10, format!("/d{}/{i}", i + 1).as_bytes());
            }
            assert!(tree.get_file(format!("/d{n}/0").as_bytes()).is_some());
            tree.visited_nodes
        };
        let (one, two) = (steps(2000), steps(4000));
        assert!(two <= one * 5 / 2, "{one} {two}");
    }
}
