//! Names that calls create and remove.

use super::*;

impl Names {
    /// Notes that a call created a new file at the name. Returns the file.
    pub fn note_created(&mut self, dir_entry: &DirEntry, seen: &Observed) -> NodeId {
        let id = self.add_nameless(false, seen);
        self.link(dir_entry, id);
        id
    }

    /// Notes that the file at this name was created during the recording, although it was taken for
    /// an initial one, as another call that returned earlier found it.
    pub fn mark_new(&mut self, dir_entry: &DirEntry, node: NodeId) {
        if let Some(entry) = self
            .node_mut(dir_entry.dir)
            .entries
            .get_mut(&dir_entry.name)
            .filter(|e| e.initial == Some(node))
        {
            entry.initial = None;
            self.node_mut(node).mark_created();
        }
    }

    /// Notes that the name leads to `node` now. A file that had the name loses it.
    pub fn link(&mut self, dir_entry: &DirEntry, node: NodeId) {
        if let Some(Some(old)) =
            self.node(dir_entry.dir).entries.get(&dir_entry.name).map(|e| e.current)
        {
            if old == node {
                return;
            }
            self.remove_name(old, dir_entry);
        }
        self.attach(dir_entry, node, false);
    }

    /// Notes that a call found that the name does not exist. If no call has touched the name
    /// before, it did not exist when the recording began.
    pub fn note_absent(&mut self, dir_entry: &DirEntry) {
        let clock = self.calls_returned;
        let dir = self.node_mut(dir_entry.dir);
        if !dir.entries.contains_key(&dir_entry.name) {
            let entry =
                Entry { initial: None, current: None, first_touched: clock, last_changed: clock };
            dir.entries.insert(dir_entry.name.clone(), entry);
        }
    }

    /// Notes that a call removed the name. If no call has touched it before, it existed when the
    /// recording began, and was what `seen` says. Returns the file.
    pub fn remove(&mut self, dir_entry: &DirEntry, seen: &Observed) -> NodeId {
        let node = self.note_exists(dir_entry, seen);
        self.detach(dir_entry, node);
        node
    }

    /// Removes a name from the list of names of a file. The entry of its directory is not changed.
    pub(super) fn remove_name(&mut self, node: NodeId, dir_entry: &DirEntry) {
        let node = self.node_mut(node);
        node.names.retain(|(d, n)| *d != dir_entry.dir || *n != dir_entry.name);
        node.names_changed = true;
    }
}
