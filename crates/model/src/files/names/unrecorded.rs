//! What unrecorded processes do to names.

use super::*;

impl Names {
    /// Adds a file that an unrecorded process put at this name. Returns its id.
    pub fn add_unrecorded_file(&mut self, dir_entry: &DirEntry, seen: &Observed) -> NodeId {
        let id = self.new_node(Node { appeared: true, ..Node::new(seen.kind, false) });
        self.observe(id, seen);
        self.attach(dir_entry, id, false);
        id
    }

    /// Removes the name from the file `node` and from its directory.
    pub fn detach(&mut self, dir_entry: &DirEntry, node: NodeId) {
        self.remove_name(node, dir_entry);
        let clock = self.calls_returned;
        if let Some(entry) = self.node_mut(dir_entry.dir).entries.get_mut(&dir_entry.name) {
            entry.current = None;
            entry.last_changed = clock;
        }
    }

    /// Returns whether [`Self::find_by_inode`] finds this file, or its inode number is not known.
    pub fn is_known_by_inode(&self, id: NodeId) -> bool {
        self.node(id).id.is_none_or(|key| self.by_inode.get(&key) == Some(&id))
    }

    /// Returns whether the file that a call saw at `path` is at this path itself, and not behind a
    /// link, by the inode number on the live file system.
    pub fn is_at_path_itself(&mut self, path: &[u8], seen: &Observed) -> bool {
        seen.id.is_some() && self.live.id(path) == seen.id
    }

    /// Returns whether a file with one hard link cannot be reached under another name in the
    /// directory `dir`: its name is in the same directory or, if no symbolic link led to either
    /// (`without_links`), it is below the same mount point.
    pub fn cannot_be_other_name(&self, file: NodeId, dir: NodeId, without_links: bool) -> bool {
        let node = self.node(file);
        let in_same_dir = node.names.first().is_some_and(|(parent, _)| *parent == dir);
        in_same_dir
            || without_links
                && node.path_shown
                && self.mount_point_of(file) == self.mount_point_of(dir)
    }

    /// Returns the mount point below which a file is, if it is one of the known ones.
    fn mount_point_of(&self, file: NodeId) -> Option<&[u8]> {
        let path = self.path(file)?;
        let mount_point_at =
            |end: usize| self.mounts.get_key_value(&path[..end]).map(|(point, _)| &point[..]);
        let ends = (1..=path.len()).rev().filter(|&end| path.get(end).is_none_or(|b| *b == b'/'));
        ends.filter_map(mount_point_at).next()
    }

    /// Reserves an id that no file has, for bytes of which a file is not the origin.
    pub fn new_origin_id(&mut self) -> NodeId {
        self.new_node(Node::new(FileType::Unknown, false))
    }
}
