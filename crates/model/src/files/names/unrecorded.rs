//! What others than the recorded processes do to the name space.

use super::*;

impl Names {
    /// Puts a file at the name that an unrecorded process created. Returns the file.
    pub fn appear(&mut self, dir_entry: &DirEntry, seen: &Observed) -> NodeId {
        let id = self.new_node(Node { appeared: true, ..Node::new(seen.kind, false) });
        self.observe(id, seen);
        self.attach(dir_entry, id, false);
        id
    }

    /// Removes the name, as an unrecorded process did.
    pub fn detach(&mut self, dir_entry: &DirEntry, node: NodeId) {
        self.remove_name(node, dir_entry);
        let clock = self.clock;
        if let Some(entry) = self.node_mut(dir_entry.dir).entries.get_mut(&dir_entry.name) {
            entry.now = None;
            entry.last = clock;
        }
    }

    /// Returns whether this node is the one that is known under its inode number.
    pub fn is_known_as(&self, id: NodeId) -> bool {
        self.node(id).id.is_none_or(|key| self.by_id.get(&key) == Some(&id))
    }

    /// Returns whether the file that a call saw at `path` is at this path itself, and not behind a
    /// link, by the inode number on the live file system.
    pub fn is_the_file(&mut self, path: &[u8], seen: &Observed) -> bool {
        seen.id.is_some() && self.live.id(path) == seen.id
    }

    /// Returns whether a file with one link cannot be a file of the directory `dir` under another
    /// name: it is in the same directory or, if no link led to either (`straight`), below the same
    /// mount point.
    pub fn is_apart(&self, file: NodeId, dir: NodeId, straight: bool) -> bool {
        let node = self.node(file);
        let one = node.names.first().is_some_and(|(of, _)| *of == dir);
        one || straight && node.straight && self.mount(file) == self.mount(dir)
    }

    /// Returns the mount point below which a file is.
    fn mount(&self, file: NodeId) -> Option<&[u8]> {
        let path = self.path(file)?;
        let above =
            |end: usize| self.mounts.get_key_value(&path[..end]).map(|(point, _)| &point[..]);
        let ends = (1..=path.len()).rev().filter(|&end| path.get(end).is_none_or(|b| *b == b'/'));
        ends.filter_map(above).next()
    }

    /// Returns a number that no file has.
    pub fn new_file_number(&mut self) -> NodeId {
        self.new_node(Node::new(FileType::Unknown, false))
    }
}
