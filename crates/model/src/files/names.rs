//! The name space: which names lead to which files, at first and now. It is learned name by name
//! from what calls find, make and remove.
//!
//! Invariant: an entry that is not there has not been touched, so that what is found under it now
//! stood there at first, if its directory did. Directories move with their entries, so a rename
//! moves a subtree at no cost and each initial file keeps the place where it stood.

mod gone_links;
mod links;
mod made_up;
mod merge;
mod presumed;
mod renamed;
mod renames;
mod shown_paths;
mod unrecorded;
mod visit;
mod walk;

pub use renamed::RenamedNames;
pub use walk::{DirEntry, EntryState, Reach, Walk};

use super::live::FileSystem;
use super::node::{Entry, Node, NodeId, Observed};
use super::row::FileType;
use ahash::{HashMap, HashSet};
use processes::Mounts;
use std::collections::BTreeMap;

/// So many renames onto unknown files are kept in mind.
const MAX_RENAMES: usize = 1 << 16;
/// The root of the recorder's view.
pub const ROOT: NodeId = 0;

/// A name in a directory.
type Name = (NodeId, Box<[u8]>);

/// Where a link led, and the name that was followed next.
type ShownLink = (Box<[u8]>, Box<[u8]>);

/// The name space.
#[derive(Default)]
pub struct Names {
    nodes: Vec<Node>,
    by_id: HashMap<(u64, u64), NodeId>,
    /// Mount points of interest: whether what is mounted there is virtual.
    mounts: BTreeMap<Vec<u8>, bool>,
    live: Box<dyn FileSystem>,
    moved: RenamedNames,
    /// Files, and what they replaced in a rename, of which nothing was known: directories replace
    /// directories, and nothing else.
    replaced: Vec<(NodeId, NodeId)>,
    /// The last path that was walked ends in a slash, its own or that of a link in its last
    /// component.
    pub slashed: bool,
    /// The path that is walked next is that of a file which is created if it does not exist. No
    /// link is followed then behind one whose target ends in a slash (`open_last_lookups` in
    /// fs/namei.c).
    pub creates: bool,
    /// There is no live file system to look at.
    pub no_file_system: bool,
    /// Names that overlapping calls made or removed: which one was the last is unknown.
    pub doubtful: HashSet<Name>,
    /// Everything that the program did is in the trace: looking for what others did makes sense.
    pub watched: bool,
    /// Old names of renames to names of which nothing was known, the file and the new name. If both
    /// were links to one file, the rename changed nothing, which is so if `true`, as far as is
    /// known.
    undecided_renames: HashMap<Name, (NodeId, DirEntry, bool)>,
    /// Names of which nothing was known, and what was renamed to them first.
    pub covered: HashMap<Name, NodeId>,
    /// A directory, and one that it is or that holds it.
    inside: Vec<(NodeId, NodeId)>,
    /// How many names were tried that are made up, by their directory and length.
    made_up_names: HashMap<(NodeId, Option<u64>), usize>,
    /// Links that an open showed, where they led, and the name that it followed next.
    shown_links: HashMap<NodeId, ShownLink>,
    /// Directories that a path led through although nothing had stood there.
    pub appeared: Vec<NodeId>,
    /// The number of the call that is looked at, in the order in which they returned.
    pub clock: u64,
}

impl Names {
    /// Creates a name space of which only these mount points are known.
    pub fn new(
        mounts: &[(Vec<u8>, String)],
        live: Option<Box<dyn FileSystem>>,
        moved: RenamedNames,
    ) -> Self {
        let mounts = mounts
            .iter()
            .map(|(path, kind)| {
                (path.clone(), Mounts::new([(&path[..], &kind[..])]).is_virtual(path))
            })
            .collect();
        let mut names = Self {
            nodes: vec![Node::new(FileType::Directory, true)],
            mounts,
            no_file_system: live.is_none(),
            moved,
            live: live.unwrap_or_default(),
            ..Self::default()
        };
        if let Some(seen) = names.live.unchanged(b"/") {
            names.observe(ROOT, &seen);
        }
        names
    }

    /// Returns the node of a file.
    pub fn node(&self, id: NodeId) -> &Node {
        &self.nodes[id as usize]
    }
    /// Returns the node of a file, to change it.
    pub fn node_mut(&mut self, id: NodeId) -> &mut Node {
        &mut self.nodes[id as usize]
    }

    /// Returns the current path of a file. Returns `None` if it has no name any more.
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

    /// Returns the path of a name in a directory.
    pub(super) fn path_in(&self, dir: NodeId, name: &[u8]) -> Option<Vec<u8>> {
        let mut path = self.path(dir)?;
        if path != b"/" {
            path.push(b'/');
        }
        path.extend_from_slice(name);
        Some(path)
    }

    /// Notes that nothing was found where the name leads: it does not exist, or is a link that
    /// leads nowhere.
    pub fn note_missing(&mut self, dir_entry: &DirEntry) {
        if self.node(dir_entry.dir).initial && !self.node(dir_entry.dir).is_virtual {
            self.node_mut(dir_entry.dir).missing.insert(dir_entry.name.clone());
        }
    }

    /// Adds what was observed of a file, and remembers its identity.
    fn observe(&mut self, id: NodeId, seen: &Observed) {
        self.node_mut(id).observe(seen);
        if let (Some(key), true) =
            (seen.id, seen.kind != FileType::Directory || self.node(id).id.is_none())
        {
            self.node_mut(id).id = Some(key);
            self.by_id.insert(key, id);
        }
    }

    /// Adds a file without a name: a new one, or one that was open when the recording began
    /// (`initial`).
    pub fn add_nameless(&mut self, initial: bool, seen: &Observed) -> NodeId {
        let id = self.new_node(Node::new(seen.kind, initial));
        self.observe(id, seen);
        id
    }

    /// Adds a node, and returns its number.
    fn new_node(&mut self, node: Node) -> NodeId {
        self.nodes.push(node);
        self.nodes.len() as NodeId - 1
    }

    /// Returns the file with this device and inode, if it has a name.
    pub fn named(&self, key: (u64, u64)) -> Option<NodeId> {
        self.by_id.get(&key).copied().filter(|&n| {
            let node = self.node(n);
            !node.names.is_empty() || node.unnamed && node.first_links != Some(0)
        })
    }

    /// Notes that a call found the name, with what it saw there. Returns the file. The identity
    /// shows whether the file is known under another name.
    pub fn note_exists(&mut self, dir_entry: &DirEntry, seen: &Observed) -> NodeId {
        let known = seen
            .id
            .and_then(|key| self.named(key))
            .filter(|&n| self.node(n).kind != FileType::Directory);
        let state = self.node(dir_entry.dir).entries.get(&dir_entry.name).map(|e| e.now);
        if let Some(Some(node)) = state {
            if seen.kind == FileType::Directory {
                self.move_shown_link_down(node);
            }
            if self.shows_a_link(node, seen) {
                let link = self.split_off_link(dir_entry, node, seen);
                self.observe(link, seen);
                return link;
            }
            // A name that was only listed so far turns out to be a link to a file known under
            // another name.
            if let Some(other) = known.filter(|&k| {
                k != node
                    && self.node(node).id.is_none()
                    && self.node(node).initial == self.node(k).initial
            }) {
                self.remove_name(node, dir_entry);
                self.attach(dir_entry, other, false);
                if let Some(entry) = self
                    .node_mut(dir_entry.dir)
                    .entries
                    .get_mut(&dir_entry.name)
                    .filter(|e| e.first == Some(node))
                {
                    entry.first = Some(other);
                }
                self.observe(other, seen);
                return other;
            }
            // Something that we did not see put another file here.
            if let Some(other) = known.filter(|&k| k != node) {
                self.remove_name(node, dir_entry);
                self.attach(dir_entry, other, false);
                return other;
            }
            self.observe(node, seen);
            return node;
        }
        let initial = state.is_none() && self.node(dir_entry.dir).initial;
        if let Some(node) = known {
            let there = initial && self.node(node).initial;
            self.attach(dir_entry, node, there);
            self.observe(node, seen);
            return node;
        }
        let mut seen = seen.clone();
        if seen.kind == FileType::Unknown
            && initial
            && !self.node(dir_entry.dir).is_virtual
            && let Some(old) = self.older(dir_entry.dir, &dir_entry.name)
            && !(seen.leaf && old.kind == FileType::Directory)
        {
            seen.kind = old.kind;
            seen.target = old.target;
        }
        // It exists after all, and following it led nowhere.
        if seen.kind == FileType::Unknown
            && initial
            && self.node(dir_entry.dir).missing.contains(&dir_entry.name)
        {
            seen.kind = FileType::Link;
        }
        let id = self.add_nameless(initial, &seen);
        self.attach(dir_entry, id, initial);
        id
    }

    /// Returns what is at `name` on the live file system, if it has not changed since the recording
    /// began. Not for names below a directory that was moved, as they may have been elsewhere.
    fn unchanged(&mut self, dir: NodeId, name: &[u8]) -> Option<Observed> {
        if self.no_file_system {
            return None;
        }
        let path = self.path_in(dir, name)?;
        if self.may_have_come_late(&path[..path.len() - name.len()]) {
            None
        } else {
            self.live.unchanged(&path)
        }
    }

    /// Returns what is at `name` on the live file system, if it is older than the recording and
    /// probably was there.
    fn older(&mut self, dir: NodeId, name: &[u8]) -> Option<Observed> {
        if self.no_file_system {
            return None;
        }
        let path = self.path_in(dir, name)?;
        if self.may_have_come_late(&path) { None } else { self.live.older(&path) }
    }

    /// Returns whether a rename may have brought a component of this path to its place.
    fn may_have_come_late(&self, path: &[u8]) -> bool {
        walk::split(path).any(|part| self.moved.contains(&part))
    }

    /// Notes that the name was in a listing of its directory.
    pub fn listed(&mut self, dir_entry: &DirEntry, kind: FileType) {
        match self.look_up(dir_entry.dir, &dir_entry.name) {
            EntryState::Unknown => {
                let node = self.note_exists(dir_entry, &Observed::kind(kind));
                self.node_mut(node).confirmed = kind != FileType::Unknown;
            }
            EntryState::Node(node)
                if kind == FileType::Link || self.node(node).kind == FileType::Unknown =>
            {
                let node = self.note_exists(dir_entry, &Observed::kind(kind));
                self.node_mut(node).confirmed |= kind != FileType::Unknown;
            }
            EntryState::Node(_) | EntryState::Absent => {}
        }
    }

    /// Returns whether the file at `dir_entry` is the directory `dir` or one above it.
    pub fn is_above(&self, dir_entry: &DirEntry, mut dir: NodeId) -> bool {
        let Some(Some(node)) = self.node(dir_entry.dir).entries.get(&dir_entry.name).map(|e| e.now)
        else {
            return false;
        };
        for _ in 0..4096 {
            if dir == node {
                return true;
            }
            match self.node(dir).names.first() {
                Some((above, _)) if dir != ROOT => dir = *above,
                _ => return false,
            }
        }
        false
    }

    /// Adds a file that was initially at a name and is gone, and of which nothing was known.
    pub fn add_initial(&mut self, dir_entry: &DirEntry, seen: &Observed) -> NodeId {
        let id = self.add_nameless(true, seen);
        self.node_mut(id).stood.push((dir_entry.dir, dir_entry.name.clone()));
        if let Some(entry) = self.node_mut(dir_entry.dir).entries.get_mut(&dir_entry.name) {
            entry.first = Some(id);
        }
        id
    }

    /// Notes that the name was created now, with a new file. Returns the file.
    pub fn create(&mut self, dir_entry: &DirEntry, seen: &Observed) -> NodeId {
        let id = self.add_nameless(false, seen);
        self.link(dir_entry, id);
        id
    }

    /// Notes that the file at this name was created during the recording, although a call that
    /// returned earlier has found it.
    pub fn mark_new(&mut self, dir_entry: &DirEntry, node: NodeId) {
        if let Some(entry) = self
            .node_mut(dir_entry.dir)
            .entries
            .get_mut(&dir_entry.name)
            .filter(|e| e.first == Some(node))
        {
            entry.first = None;
            self.node_mut(node).was_new();
        }
    }

    /// Notes that the name was created now, as another name of `node`.
    pub fn link(&mut self, dir_entry: &DirEntry, node: NodeId) {
        if let Some(Some(old)) =
            self.node(dir_entry.dir).entries.get(&dir_entry.name).map(|e| e.now)
        {
            if old == node {
                return;
            }
            self.remove_name(old, dir_entry);
        }
        self.attach(dir_entry, node, false);
    }

    /// Notes that the name does not exist, as a call found nothing.
    pub fn note_absent(&mut self, dir_entry: &DirEntry) {
        let clock = self.clock;
        let dir = self.node_mut(dir_entry.dir);
        if !dir.entries.contains_key(&dir_entry.name) {
            let entry = Entry { first: None, now: None, since: clock, last: clock };
            dir.entries.insert(dir_entry.name.clone(), entry);
        }
    }

    /// Notes that the name was removed now. If no call had seen it before, it existed initially,
    /// and was what `seen` says. Returns the file.
    pub fn remove(&mut self, dir_entry: &DirEntry, seen: &Observed) -> NodeId {
        let node = self.note_exists(dir_entry, seen);
        self.detach(dir_entry, node);
        node
    }

    /// Removes a name from a file.
    fn remove_name(&mut self, node: NodeId, dir_entry: &DirEntry) {
        let node = self.node_mut(node);
        node.names.retain(|(d, n)| *d != dir_entry.dir || *n != dir_entry.name);
        node.relinked = true;
    }

    /// Adds a name to a file. `initial` is whether it had this name initially. A directory loses
    /// its former name.
    fn attach(&mut self, dir_entry: &DirEntry, node: NodeId, initial: bool) {
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
        let clock = self.clock;
        let entry = self
            .node_mut(dir_entry.dir)
            .entries
            .entry(dir_entry.name.clone())
            .or_insert(Entry { first, now: None, since: clock, last: clock });
        entry.now = Some(node);
        entry.last = clock;
        self.node_mut(node).names.push((dir_entry.dir, dir_entry.name.clone()));
        if initial
            && self
                .node(dir_entry.dir)
                .entries
                .get(&dir_entry.name)
                .is_some_and(|e| e.first == Some(node))
        {
            self.node_mut(node).stood.push((dir_entry.dir, dir_entry.name.clone()));
        }
        if self.node(node).names.len() == 1 && !self.mounts.is_empty() {
            // The path of a name takes time in proportion to its depth.
            let may_be_mount = self.mounts.keys().any(|point| point.ends_with(&dir_entry.name));
            let path = if may_be_mount { self.path(node) } else { None };
            let inherited = self.node(dir_entry.dir).is_virtual;
            self.node_mut(node).is_virtual =
                path.and_then(|p| self.mounts.get(&p).copied()).unwrap_or(inherited);
        }
    }
}
