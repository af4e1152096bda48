//! The name space: which names lead to which files, at first and now. It is learned name by name from what calls find, make and remove.
//!
//! Invariant: an entry that is not there has not been touched, so that what is found under it now stood there at first, if its directory did. Directories move
//! with their entries, so a rename moves a subtree at no cost and each initial file keeps the place where it stood.

mod walk;

pub use walk::{Place, Reach, Slot, Walk};

use super::live::{Blind, Look};
use super::node::{Entry, Node, NodeId, Seen};
use super::row::FileType;
use crate::world::Mounts;
use std::collections::{BTreeMap, HashMap, HashSet};

/// The root of the recorder's view.
pub const ROOT: NodeId = 0;
/// No name is that long: the depth of a tree that a hostile trace can build.
const PATH_BYTES: usize = 16 * 4096;

/// The name space.
pub struct Names {
    nodes: Vec<Node>,
    by_id: HashMap<(u64, u64), NodeId>,
    /// Mount points of interest: whether what is mounted there is virtual.
    mounts: BTreeMap<Vec<u8>, bool>,
    live: Box<dyn Look>,
    /// There is no live file system to look at.
    pub blind: bool,
}

impl Names {
    /// An unknown name space with these mount points.
    pub fn new(mounts: &[(Vec<u8>, String)], live: Option<Box<dyn Look>>) -> Self {
        let mounts = mounts.iter().map(|(path, kind)| (path.clone(), Mounts::new([(&path[..], &kind[..])]).is_virtual(path))).collect();
        let mut names = Self {
            nodes: vec![Node::new(FileType::Directory, true)],
            by_id: HashMap::new(),
            mounts,
            blind: live.is_none(),
            live: live.unwrap_or(Box::new(Blind)),
        };
        if let Some(seen) = names.live.unchanged(b"/") {
            names.observe(ROOT, &seen);
        }
        names
    }

    /// A file.
    pub fn node(&self, id: NodeId) -> &Node {
        &self.nodes[id as usize]
    }
    /// A file.
    pub fn node_mut(&mut self, id: NodeId) -> &mut Node {
        &mut self.nodes[id as usize]
    }

    /// Where a file stands now; `None` if it has no name any more.
    pub fn path(&self, mut id: NodeId) -> Option<Vec<u8>> {
        let mut parts: Vec<&[u8]> = Vec::new();
        while id != ROOT {
            let (dir, name) = self.node(id).names.first()?;
            parts.push(name);
            id = *dir;
            if parts.len() > 4096 {
                return None;
            }
        }
        let mut path = Vec::new();
        for part in parts.iter().rev() {
            path.push(b'/');
            path.extend_from_slice(part);
        }
        Some(if path.is_empty() { b"/".to_vec() } else { path })
    }

    fn path_in(&self, dir: NodeId, name: &[u8]) -> Option<Vec<u8>> {
        let mut path = self.path(dir)?;
        if path != b"/" {
            path.push(b'/');
        }
        path.extend_from_slice(name);
        Some(path)
    }

    /// Nothing was found where the name leads: it does not exist, or is a link that leads nowhere.
    pub fn missing(&mut self, place: &Place) {
        if self.node(place.dir).initial && !self.node(place.dir).is_virtual {
            self.node_mut(place.dir).missing.insert(place.name.clone());
        }
    }

    fn observe(&mut self, id: NodeId, seen: &Seen) {
        self.node_mut(id).observe(seen);
        if let (Some(key), true) = (seen.id, seen.kind != FileType::Directory || self.node(id).id.is_none()) {
            self.node_mut(id).id = Some(key);
            self.by_id.insert(key, id);
        }
    }

    /// A file without a name (yet): created, or open when the recording began.
    pub fn nameless(&mut self, initial: bool, seen: &Seen) -> NodeId {
        let id = self.nodes.len() as NodeId;
        self.nodes.push(Node::new(seen.kind, initial));
        self.observe(id, seen);
        id
    }

    /// The file with this identity, if it has a name.
    pub fn named(&self, key: (u64, u64)) -> Option<NodeId> {
        self.by_id.get(&key).copied().filter(|&n| !self.node(n).names.is_empty())
    }

    /// The name exists: a call found it. Whether it is the first name of its file, its identity tells.
    pub fn present(&mut self, place: &Place, seen: &Seen) -> NodeId {
        let known = seen.id.and_then(|key| self.named(key)).filter(|&n| self.node(n).kind != FileType::Directory);
        let slot = self.node(place.dir).entries.get(&place.name).map(|e| e.now);
        if let Some(Some(node)) = slot {
            // A name that was only listed so far turns out to be a link to a file known under another name.
            if let Some(other) = known.filter(|&k| k != node && self.node(node).id.is_none() && self.node(node).initial == self.node(k).initial) {
                self.unname(node, place);
                self.attach(place, other, false);
                if let Some(entry) = self.node_mut(place.dir).entries.get_mut(&place.name).filter(|e| e.first == Some(node)) {
                    entry.first = Some(other);
                }
                self.observe(other, seen);
                return other;
            }
            // Something that we did not see put another file here.
            if let Some(other) = known.filter(|&k| k != node) {
                self.unname(node, place);
                self.attach(place, other, false);
                return other;
            }
            self.observe(node, seen);
            return node;
        }
        let initial = slot.is_none() && self.node(place.dir).initial;
        if let Some(node) = known {
            let there = initial && self.node(node).initial;
            self.attach(place, node, there);
            self.observe(node, seen);
            return node;
        }
        let mut seen = seen.clone();
        if seen.kind == FileType::Unknown
            && initial
            && !self.node(place.dir).is_virtual
            && let Some(old) = self.path_in(place.dir, &place.name).and_then(|path| self.live.older(&path))
        {
            seen.kind = old.kind;
            seen.target = old.target;
        }
        // It exists after all, and following it led nowhere.
        if seen.kind == FileType::Unknown && initial && self.node(place.dir).missing.contains(&place.name) {
            seen.kind = FileType::Link;
        }
        let id = self.nameless(initial, &seen);
        self.attach(place, id, initial);
        id
    }

    /// The name, never touched before, was in a listing of its directory.
    pub fn listed(&mut self, place: &Place, kind: FileType) {
        if self.look(place.dir, &place.name) == Slot::Unknown {
            self.present(place, &Seen::kind(kind));
        }
    }

    /// The name probably exists: it does if the live file system shows something there that is older than the recording.
    pub fn presume(&mut self, place: &Place) {
        if place.slot == Slot::Unknown && !self.node(place.dir).is_virtual && !self.node(place.dir).entries.contains_key(&place.name) {
            let seen = self.path_in(place.dir, &place.name).and_then(|path| self.live.older(&path));
            if let Some(seen) = seen {
                self.present(place, &Seen { target: seen.target, ..Seen::kind(seen.kind) });
            }
        }
    }

    /// A directory holds something, whatever it is: a name that the live file system shows there and that is older than the recording.
    pub fn inhabit(&mut self, dir: NodeId) {
        if !self.node(dir).initial || self.node(dir).is_virtual || self.node(dir).entries.values().any(|e| e.now.is_some()) {
            return;
        }
        let Some(path) = self.path(dir) else { return };
        for name in self.live.list(&path) {
            if let Slot::Node(_) = self.look(dir, &name) {
                return;
            }
        }
        if self.blind {
            self.present(&Place { dir, name: b"?".as_slice().into(), slot: Slot::Unknown }, &Seen::kind(FileType::Regular));
        }
    }

    /// The name was made now, with a new file.
    pub fn create(&mut self, place: &Place, seen: &Seen) -> NodeId {
        let id = self.nameless(false, seen);
        self.link(place, id);
        id
    }

    /// What stands under the name was made in the recording, although a call that returned earlier has found it.
    pub fn was_new(&mut self, place: &Place, node: NodeId) {
        if let Some(entry) = self.node_mut(place.dir).entries.get_mut(&place.name).filter(|e| e.first == Some(node)) {
            entry.first = None;
            self.node_mut(node).was_new();
        }
    }

    /// The name was made now, and leads to `node`.
    pub fn link(&mut self, place: &Place, node: NodeId) {
        if let Some(Some(old)) = self.node(place.dir).entries.get(&place.name).map(|e| e.now) {
            if old == node {
                return;
            }
            self.unname(old, place);
        }
        self.attach(place, node, false);
    }

    /// The name does not exist: a call found nothing.
    pub fn absent(&mut self, place: &Place) {
        let dir = self.node_mut(place.dir);
        if !dir.entries.contains_key(&place.name) {
            dir.entries.insert(place.name.clone(), Entry { first: None, now: None });
        }
    }

    /// The name went now. One that nobody had seen before stood there at first, and was what `seen` says.
    pub fn remove(&mut self, place: &Place, seen: &Seen) -> NodeId {
        let node = self.present(place, seen);
        self.unname(node, place);
        if let Some(entry) = self.node_mut(place.dir).entries.get_mut(&place.name) {
            entry.now = None;
        }
        node
    }

    /// The file under `from` stands under `to` now, and what stood there is gone.
    pub fn rename(&mut self, from: &Place, to: &Place, seen: &Seen) {
        let node = self.present(from, seen);
        if self.node(to.dir).entries.get(&to.name).is_some_and(|e| e.now == Some(node)) {
            return; // rename(2): two links to one file stay
        }
        if let Some(Some(old)) = self.node(to.dir).entries.get(&to.name).map(|e| e.now) {
            // Only a directory replaces a directory.
            match (self.node(node).kind, self.node(old).kind) {
                (FileType::Directory, FileType::Unknown) => self.node_mut(old).kind = FileType::Directory,
                (FileType::Unknown, FileType::Directory) => self.node_mut(node).kind = FileType::Directory,
                _ => {}
            }
        }
        self.remove(from, seen);
        self.link(to, node);
    }

    /// The files under both names change places.
    pub fn exchange(&mut self, a: &Place, b: &Place) {
        let (x, y) = (self.present(a, &Seen::kind(FileType::Unknown)), self.present(b, &Seen::kind(FileType::Unknown)));
        self.unname(x, a);
        self.unname(y, b);
        self.attach(a, y, false);
        self.attach(b, x, false);
    }

    fn unname(&mut self, node: NodeId, place: &Place) {
        let node = self.node_mut(node);
        node.names.retain(|(d, n)| *d != place.dir || *n != place.name);
        node.relinked = true;
    }

    fn attach(&mut self, place: &Place, node: NodeId, initial: bool) {
        if self.node(node).kind == FileType::Directory {
            // A directory has one name; a trace that says otherwise must not make a loop.
            for (dir, name) in std::mem::take(&mut self.node_mut(node).names) {
                if let Some(entry) = self.node_mut(dir).entries.get_mut(&name) {
                    entry.now = None;
                }
            }
        }
        self.node_mut(node).relinked |= !initial;
        let first = initial.then_some(node);
        let entry = self.node_mut(place.dir).entries.entry(place.name.clone()).or_insert(Entry { first, now: None });
        entry.now = Some(node);
        self.node_mut(node).names.push((place.dir, place.name.clone()));
        if self.node(node).names.len() == 1 && !self.mounts.is_empty() {
            let path = self.path(node);
            let inherited = self.node(place.dir).is_virtual;
            self.node_mut(node).is_virtual = path.and_then(|p| self.mounts.get(&p).copied()).unwrap_or(inherited);
        }
    }

    /// Visits all names that stood there at first, or that stand there now, parents before children.
    pub fn visit(&self, first: bool, visitor: &mut dyn FnMut(&[u8], NodeId)) {
        let mut stack: Vec<(Vec<u8>, NodeId)> = vec![(b"/".to_vec(), ROOT)];
        let mut entered = HashSet::new();
        while let Some((path, id)) = stack.pop() {
            visitor(&path, id);
            if self.node(id).entries.is_empty() || path.len() > PATH_BYTES || !entered.insert(id) {
                continue;
            }
            for (name, entry) in self.node(id).entries.iter().rev() {
                let Some(child) = (if first { entry.first } else { entry.now }) else { continue };
                let slash: &[u8] = if path == b"/" { b"" } else { b"/" };
                stack.push(([&path[..], slash, name].concat(), child));
            }
        }
    }
}
