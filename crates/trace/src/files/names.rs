//! The name space: which names lead to which files, at first and now. It is learned name by name from what calls find, make and remove.
//!
//! Invariant: an entry that is not there has not been touched, so that what is found under it now stood there at first, if its directory did. Directories move
//! with their entries, so a rename moves a subtree at no cost and each initial file keeps the place where it stood. Paths are walked as the kernel walks
//! them, links and `..` included; names under virtual file systems are refused ([`Walk::Virtual`]).

use super::live::{Blind, Look};
use super::node::{Entry, Node, NodeId, Seen};
use super::row::FileType;
use crate::world::Mounts;
use std::collections::{BTreeMap, HashMap, HashSet, VecDeque};

/// The root of the recorder's view.
pub const ROOT: NodeId = 0;
/// Links followed in one path (`MAXSYMLINKS`).
const LINKS: u32 = 40;
/// No name is that long: the depth of a tree that a hostile trace can build.
const PATH_BYTES: usize = 16 * 4096;

/// What is known of a name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Slot {
    /// Nothing yet.
    Unknown,
    /// It does not exist.
    Absent,
    /// It leads here.
    Node(NodeId),
}

/// A name in a directory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// The directory.
    pub dir: NodeId,
    /// The name.
    pub name: Box<[u8]>,
    /// What is known of it.
    pub slot: Slot,
}

/// Where a path leads.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Walk {
    /// To a name.
    Place(Place),
    /// To a directory, without a name (`/`, `..`, `.`).
    At(NodeId),
    /// Into a virtual file system.
    Virtual,
    /// Nobody knows: the walk stopped here, before the last component.
    Stopped(Place),
    /// Nobody knows: the walk lost its way.
    Blocked,
}

/// How far the kernel got on a path, by the call's result.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reach {
    /// To the last component: all before it are directories.
    Proven,
    /// To something that was in the way.
    Partly,
    /// To the first component that does not exist; what exists of those before the last is a directory.
    Missing,
    /// Perhaps nowhere.
    Nowhere,
}

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

    /// Follows `path` from `base` below `root`. `follow`: a link in the last component too.
    pub fn walk(&mut self, root: NodeId, base: NodeId, path: &[u8], follow: bool, reach: Reach) -> Walk {
        let proven = reach == Reach::Proven;
        let mut at = if path.first() == Some(&b'/') { root } else { base };
        let mut rest: VecDeque<Box<[u8]>> = split(path).collect();
        let mut links = 0;
        while let Some(name) = rest.pop_front() {
            if &*name == b"." {
                continue;
            }
            if &*name == b".." {
                if at != root && at != ROOT {
                    let Some((dir, _)) = self.node(at).names.first() else { return Walk::Blocked };
                    at = *dir;
                }
                continue;
            }
            if self.node(at).is_virtual && !self.leads_to_mount(at, &name) {
                return Walk::Virtual;
            }
            let last = rest.is_empty();
            let here = name.clone();
            let mut slot = self.look(at, &name);
            if slot == Slot::Unknown && (!last || follow) && matches!(reach, Reach::Proven | Reach::Partly) {
                slot = self.look_closer(at, &name, !last);
            }
            let node = match slot {
                Slot::Node(node) if last && !(follow && self.node(node).kind == FileType::Link) => {
                    return Walk::Place(Place { dir: at, name, slot });
                }
                Slot::Node(node) => node,
                Slot::Unknown | Slot::Absent if last => return Walk::Place(Place { dir: at, name, slot }),
                Slot::Unknown | Slot::Absent if proven => self.present(&Place { dir: at, name, slot }, &Seen::kind(FileType::Directory)),
                Slot::Unknown => return Walk::Stopped(Place { dir: at, name, slot }),
                Slot::Absent => return Walk::Blocked,
            };
            if self.node(node).kind == FileType::Unknown {
                self.look_again(at, &here, node);
            }
            match self.node(node).kind {
                FileType::Directory => at = node,
                FileType::Link => {
                    links += 1;
                    let Some(target) = self.node(node).target.clone() else { return Walk::Blocked };
                    if links > LINKS || target.is_empty() {
                        return Walk::Blocked;
                    }
                    if target[0] == b'/' {
                        at = root;
                    }
                    for part in split(&target).collect::<Vec<_>>().into_iter().rev() {
                        rest.push_front(part);
                    }
                }
                FileType::Unknown if proven || reach == Reach::Missing => {
                    self.node_mut(node).kind = FileType::Directory;
                    at = node;
                }
                _ => return Walk::Stopped(Place { dir: at, name: here, slot: Slot::Node(node) }),
            }
        }
        Walk::At(at)
    }

    /// Whether a name in a virtual directory is on the way to a mount point.
    fn leads_to_mount(&self, dir: NodeId, name: &[u8]) -> bool {
        let Some(path) = self.path_in(dir, name) else { return false };
        let below = [&path[..], b"/"].concat();
        self.mounts.contains_key(&path) || self.mounts.range(below.clone()..).next().is_some_and(|(p, _)| p.starts_with(&below))
    }

    /// What is known of a name, from the trace or because the live file system has not changed it since.
    fn look(&mut self, dir: NodeId, name: &[u8]) -> Slot {
        if let Some(entry) = self.node(dir).entries.get(name) {
            return entry.now.map_or(Slot::Absent, Slot::Node);
        }
        if !self.node(dir).initial {
            return Slot::Absent;
        }
        let seen = if self.node(dir).is_virtual { None } else { self.path_in(dir, name).and_then(|path| self.live.unchanged(&path)) };
        match seen {
            Some(seen) => Slot::Node(self.present(&Place { dir, name: name.into(), slot: Slot::Unknown }, &seen)),
            None => Slot::Unknown,
        }
    }

    /// A component that must be followed and of which nothing is known: what the live file system shows, if it is older than the recording.
    fn look_closer(&mut self, dir: NodeId, name: &[u8], directory: bool) -> Slot {
        let Some(path) = self.path_in(dir, name).filter(|_| !self.node(dir).is_virtual) else { return Slot::Unknown };
        match self.live.older(&path) {
            Some(seen) if seen.kind == FileType::Link || directory && seen.kind == FileType::Directory => {
                let bare = Seen { target: seen.target, ..Seen::kind(seen.kind) };
                Slot::Node(self.present(&Place { dir, name: name.into(), slot: Slot::Unknown }, &bare))
            }
            _ => Slot::Unknown,
        }
    }

    /// Nothing was found where the name leads: it does not exist, or is a link that leads nowhere.
    pub fn missing(&mut self, place: &Place) {
        if self.node(place.dir).initial && !self.node(place.dir).is_virtual {
            self.node_mut(place.dir).missing.insert(place.name.clone());
        }
    }

    /// A file that is known to exist and of which nothing else is known.
    fn look_again(&mut self, dir: NodeId, name: &[u8], node: NodeId) {
        let path = self.path_in(dir, name).filter(|_| !self.node(dir).is_virtual && self.node(node).initial);
        if let Some(seen) = path.and_then(|path| self.live.older(&path)) {
            self.node_mut(node).observe(&Seen { target: seen.target, ..Seen::kind(seen.kind) });
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

fn split(path: &[u8]) -> impl Iterator<Item = Box<[u8]>> + '_ {
    path.split(|&b| b == b'/').filter(|part| !part.is_empty()).map(Into::into)
}
