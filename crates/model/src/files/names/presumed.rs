//! What is probably there, although no call has found it.

use super::*;

impl Names {
    /// The name probably exists: it does if the live file system shows something there that is
    /// older than the recording.
    pub fn presume(&mut self, place: &Place) {
        if place.slot == Slot::Unknown
            && !self.node(place.dir).is_virtual
            && !self.node(place.dir).entries.contains_key(&place.name)
            && let Some(seen) = self.older(place.dir, &place.name)
        {
            self.present(place, &Seen { target: seen.target, ..Seen::kind(seen.kind) });
        }
    }

    /// A directory holds something, whatever it is: a name that the live file system shows there
    /// and that is older than the recording.
    pub fn inhabit(&mut self, dir: NodeId) {
        if !self.node(dir).initial
            || self.node(dir).is_virtual
            || self.node(dir).entries.values().any(|e| e.now.is_some())
        {
            return;
        }
        let Some(path) = self.path(dir) else { return };
        for name in self.live.list(&path) {
            if let Slot::Node(_) = self.look(dir, &name) {
                return;
            }
        }
        let known = self.node(dir).first_names();
        let node = self.node_mut(dir);
        node.inhabited = node.inhabited.max(Some(known));
    }

    /// Directories that held something of which the trace tells nothing hold something made up.
    pub fn furnish(&mut self) {
        self.leave_listings();
        for (node, old) in std::mem::take(&mut self.replaced).into_iter().rev() {
            self.learn(node);
            let kind = self.node(node).kind;
            if kind == FileType::Directory && self.node(old).kind == FileType::Unknown {
                self.node_mut(old).kind = kind;
            } else if kind != FileType::Unknown {
                self.node_mut(old).observe(&Seen::leaf());
            }
        }
        for dir in 0..self.nodes.len() as NodeId {
            let node = self.node(dir);
            if node.inhabited.is_some_and(|known| node.first_names() <= known) {
                let Some(path) = self.path(dir) else { continue };
                let found = self.live.list(&path).into_iter().find_map(|name| {
                    let path = self.path_in(dir, &name)?;
                    let seen = self
                        .live
                        .older(&path)
                        .filter(|_| !self.node(dir).entries.contains_key(&name[..]))?;
                    Some((name, Seen { target: seen.target, ..Seen::kind(seen.kind) }))
                });
                if let Some((name, seen)) = found {
                    self.present(&Place { dir, name: name.into(), slot: Slot::Unknown }, &seen);
                    continue;
                }
                let entry = Place { dir, name: b"?".as_slice().into(), slot: Slot::Unknown };
                let id = self.nameless(true, &Seen::kind(FileType::Regular));
                self.node_mut(id).made_up = true;
                self.attach(&entry, id, true);
            }
        }
    }
}
