//! Which names lead to which files, when the recording began and now. It is learned name by name
//! from what calls find, create and remove.
//!
//! Invariant: if there is no entry for a name, no call has touched it, so that a file which is
//! found there now was there when the recording began, if its directory was. Directories keep their
//! entries when they are renamed, so that a rename is cheap and each initial file keeps its place.

mod changes;
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

/// The largest number of renames, and of other uncertain facts, that are kept to decide them later.
const MAX_RENAMES: usize = 1 << 16;
/// The root of the recorder's view.
pub const ROOT: NodeId = 0;

/// A name in a directory, as (directory, name).
type Name = (NodeId, Box<[u8]>);

/// Where a link that an open showed leads, and the name that followed it in the path.
type ShownLink = (Box<[u8]>, Box<[u8]>);

/// An earlier rename that changed nothing if both names were hard links of one file.
struct UndecidedRename {
    /// The file that had the old name.
    file: NodeId,
    /// The new name, and what was known of it before.
    new_name: DirEntry,
    /// As far as is known, both names are hard links of one file.
    had_no_effect: bool,
}

/// All names, and the files to which they lead.
#[derive(Default)]
pub struct Names {
    nodes: Vec<Node>,
    /// Files by device and inode.
    by_inode: HashMap<(u64, u64), NodeId>,
    /// Mount points of interest: whether what is mounted there is virtual.
    mounts: BTreeMap<Vec<u8>, bool>,
    /// The file system of the recorded machine, to look at what calls do not show.
    live: Box<dyn FileSystem>,
    /// The names to which calls renamed or linked files.
    renamed_names: RenamedNames,
    /// Renames that replaced a file, as (renamed, replaced), if the type of one was not known: only
    /// directories replace directories, and they replace nothing else.
    replaced_by_rename: Vec<(NodeId, NodeId)>,
    /// The last path that was walked, or the target of a link in its last component, ends in a
    /// slash.
    pub ends_in_slash: bool,
    /// The call whose path is walked next creates the file if there is none. It then follows no
    /// link behind one whose target ends in a slash (`open_last_lookups` in
    /// fs/namei.c).
    pub may_be_created: bool,
    /// There is no live file system to look at.
    pub no_file_system: bool,
    /// Names that overlapping calls created or removed, so that it is unknown whether they exist.
    pub doubtful_names: HashSet<Name>,
    /// Changes by unrecorded processes are searched for: so far all that the program did is in the
    /// trace, and can be followed.
    pub searches_unrecorded: bool,
    /// Renames that may have changed nothing, by their old names.
    undecided_renames: HashMap<Name, UndecidedRename>,
    /// Names of which nothing was known when a file was renamed to them for the first time, and
    /// that file. Whether there was another file before is unknown.
    pub renamed_over_unknown: HashMap<Name, NodeId>,
    /// Pairs (directory, other), where `other` is the directory or is above it.
    directories_inside: Vec<(NodeId, NodeId)>,
    /// How many made-up names were tried, by directory and length.
    made_up_names: HashMap<(NodeId, Option<u64>), usize>,
    /// Links that the path of an opened file showed.
    shown_links: HashMap<NodeId, ShownLink>,
    /// Directories that a path led through although a call had found nothing there.
    pub appeared_directories: Vec<NodeId>,
    /// How many calls have returned, with the one that is being applied.
    pub calls_returned: u64,
}

impl Names {
    /// Starts with these mount points and the root directory only. `live` is the file system of the
    /// recorded machine, if it can be looked at; `moved` are the names to which calls of the trace
    /// renamed or linked files.
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
            renamed_names: moved,
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

    /// Returns the current path of a name in a directory. Returns `None` if the directory has no
    /// name any more.
    pub(super) fn path_in(&self, dir: NodeId, name: &[u8]) -> Option<Vec<u8>> {
        let mut path = self.path(dir)?;
        if path != b"/" {
            path.push(b'/');
        }
        path.extend_from_slice(name);
        Some(path)
    }

    /// Notes that a call which follows links found nothing at a name of an initial directory: the
    /// name does not exist, or is that of a link to a path that does not exist.
    pub fn note_missing(&mut self, dir_entry: &DirEntry) {
        if self.node(dir_entry.dir).initial && !self.node(dir_entry.dir).is_virtual {
            self.node_mut(dir_entry.dir).not_found_names.insert(dir_entry.name.clone());
        }
    }

    /// Adds what was observed of a file, and remembers its device and inode, so that
    /// [`Self::find_by_inode`] finds it.
    fn observe(&mut self, id: NodeId, observed: &Observed) {
        self.node_mut(id).observe(observed);
        if let (Some(inode), true) =
            (observed.id, observed.kind != FileType::Directory || self.node(id).id.is_none())
        {
            self.node_mut(id).id = Some(inode);
            self.by_inode.insert(inode, id);
        }
    }

    /// Adds a file without a name: a new one, or one that was open when the recording began
    /// (`initial`). Returns its id.
    pub fn add_nameless(&mut self, initial: bool, observed: &Observed) -> NodeId {
        let id = self.new_node(Node::new(observed.kind, initial));
        self.observe(id, observed);
        id
    }

    /// Adds a node, and returns its id.
    fn new_node(&mut self, node: Node) -> NodeId {
        self.nodes.push(node);
        self.nodes.len() as NodeId - 1
    }

    /// Returns the file with this device and inode, if it still has a name.
    pub fn find_by_inode(&self, inode: (u64, u64)) -> Option<NodeId> {
        self.by_inode.get(&inode).copied().filter(|&n| {
            let node = self.node(n);
            !node.names.is_empty() || node.unnamed && node.initial_links != Some(0)
        })
    }

    /// Notes that a call found a file at the name, of which it saw `seen`. Returns the file: the
    /// one that is known to have the name, or the inode, or else a new one. If `seen` contradicts
    /// what is known, a link or another file takes the name.
    pub fn note_exists(&mut self, dir_entry: &DirEntry, seen: &Observed) -> NodeId {
        let known = seen
            .id
            .and_then(|key| self.find_by_inode(key))
            .filter(|&n| self.node(n).kind != FileType::Directory);
        let state = self.node(dir_entry.dir).entries.get(&dir_entry.name).map(|e| e.current);
        if let Some(Some(node)) = state {
            if seen.kind == FileType::Directory {
                self.move_shown_link_down(node);
            }
            if self.shows_a_link(node, seen) {
                let link = self.split_off_link(dir_entry, node, seen);
                self.observe(link, seen);
                return link;
            }
            // A name that was only listed so far turns out to be a hard link of a file that is
            // known under another name.
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
                    .filter(|e| e.initial == Some(node))
                {
                    entry.initial = Some(other);
                }
                self.observe(other, seen);
                return other;
            }
            // Another file was put here without a recorded call.
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
            let was_there = initial && self.node(node).initial;
            self.attach(dir_entry, node, was_there);
            self.observe(node, seen);
            return node;
        }
        let mut seen = seen.clone();
        if seen.kind == FileType::Unknown
            && initial
            && !self.node(dir_entry.dir).is_virtual
            && let Some(old) = self.find_older(dir_entry.dir, &dir_entry.name)
            && !(seen.not_directory && old.kind == FileType::Directory)
        {
            seen.kind = old.kind;
            seen.target = old.target;
        }
        // The name exists, and a call that followed it found nothing: it is that of a link.
        if seen.kind == FileType::Unknown
            && initial
            && self.node(dir_entry.dir).not_found_names.contains(&dir_entry.name)
        {
            seen.kind = FileType::Link;
        }
        let id = self.add_nameless(initial, &seen);
        self.attach(dir_entry, id, initial);
        id
    }

    /// Returns what is at `name` on the live file system, if nothing about it has changed since the
    /// recording began. Returns `None` if calls may have renamed a directory in its path, so that
    /// the file may have been elsewhere.
    fn find_unchanged(&mut self, dir: NodeId, name: &[u8]) -> Option<Observed> {
        if self.no_file_system {
            return None;
        }
        let path = self.path_in(dir, name)?;
        if self.may_have_been_renamed(&path[..path.len() - name.len()]) {
            None
        } else {
            self.live.unchanged(&path)
        }
    }

    /// Returns what is at `name` on the live file system, if it is older than the recording and
    /// calls cannot have renamed a component of its path.
    fn find_older(&mut self, dir: NodeId, name: &[u8]) -> Option<Observed> {
        if self.no_file_system {
            return None;
        }
        let path = self.path_in(dir, name)?;
        if self.may_have_been_renamed(&path) { None } else { self.live.older(&path) }
    }

    /// Returns whether a call may have renamed something to a component of this path.
    fn may_have_been_renamed(&self, path: &[u8]) -> bool {
        walk::components(path).any(|component| self.renamed_names.contains(&component))
    }

    /// Notes that the name was in a listing of its directory, with this type.
    pub fn note_listed(&mut self, dir_entry: &DirEntry, file_type: FileType) {
        match self.look_up(dir_entry.dir, &dir_entry.name) {
            EntryState::Unknown => {
                let node = self.note_exists(dir_entry, &Observed::of_type(file_type));
                self.node_mut(node).confirmed = file_type != FileType::Unknown;
            }
            EntryState::Node(node)
                if file_type == FileType::Link || self.node(node).kind == FileType::Unknown =>
            {
                let node = self.note_exists(dir_entry, &Observed::of_type(file_type));
                self.node_mut(node).confirmed |= file_type != FileType::Unknown;
            }
            EntryState::Node(_) | EntryState::Absent => {}
        }
    }

    /// Returns whether the file at `dir_entry` is the directory `dir` or one above it.
    pub fn is_above(&self, dir_entry: &DirEntry, mut dir: NodeId) -> bool {
        let Some(Some(node)) =
            self.node(dir_entry.dir).entries.get(&dir_entry.name).map(|e| e.current)
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

    /// Adds a file that had a name when the recording began, and that a rename to the name has
    /// replaced. Returns its id.
    pub fn add_replaced_file(&mut self, dir_entry: &DirEntry, seen: &Observed) -> NodeId {
        let id = self.add_nameless(true, seen);
        self.node_mut(id).initial_names.push((dir_entry.dir, dir_entry.name.clone()));
        if let Some(entry) = self.node_mut(dir_entry.dir).entries.get_mut(&dir_entry.name) {
            entry.initial = Some(id);
        }
        id
    }

    /// Adds a name to a file. `initial` is whether it had this name initially. A directory loses
    /// its former name.
    fn attach(&mut self, dir_entry: &DirEntry, node: NodeId, initial: bool) {
        if self.node(node).kind == FileType::Directory {
            // A directory has one name. A trace that says otherwise must not cause a loop.
            for (dir, name) in std::mem::take(&mut self.node_mut(node).names) {
                if let Some(entry) = self.node_mut(dir).entries.get_mut(&name) {
                    entry.current = None;
                }
            }
        }
        self.node_mut(node).names_changed |= !initial;
        let first = initial.then_some(node);
        let clock = self.calls_returned;
        let entry =
            self.node_mut(dir_entry.dir).entries.entry(dir_entry.name.clone()).or_insert(Entry {
                initial: first,
                current: None,
                first_touched: clock,
                last_changed: clock,
            });
        entry.current = Some(node);
        entry.last_changed = clock;
        self.node_mut(node).names.push((dir_entry.dir, dir_entry.name.clone()));
        if initial
            && self
                .node(dir_entry.dir)
                .entries
                .get(&dir_entry.name)
                .is_some_and(|e| e.initial == Some(node))
        {
            self.node_mut(node).initial_names.push((dir_entry.dir, dir_entry.name.clone()));
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
