//! Paths are walked as the kernel walks them, links and `..` included, as far as the name space is
//! known.
//!
//! What a walk goes through is proven by how far the kernel got ([`Reach`]), and by nothing else.
//! Names under virtual file systems are refused ([`Walk::Virtual`]).

use super::{Names, ROOT};
use crate::files::node::{Node, NodeId, Observed};
use crate::files::row::FileType;
use std::collections::VecDeque;

/// Links followed in one path (`MAXSYMLINKS`).
const LINKS: u32 = 40;

/// What is known of a name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EntryState {
    /// Nothing yet.
    Unknown,
    /// It does not exist.
    Absent,
    /// It leads here.
    Node(NodeId),
}

/// A name in a directory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DirEntry {
    /// The directory.
    pub dir: NodeId,
    /// The name.
    pub name: Box<[u8]>,
    /// What is known of it.
    pub state: EntryState,
}

/// Where a path leads.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Walk {
    /// To a name.
    Entry(DirEntry),
    /// To a directory, without a name (`/`, `..`, `.`).
    At(NodeId),
    /// Into a virtual file system.
    Virtual,
    /// Unknown: the walk stopped here, before these components.
    Stopped(DirEntry, Vec<Box<[u8]>>),
    /// Unknown: something on the way is missing.
    Blocked,
}

/// How far the kernel got on a path, by the call's result.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reach {
    /// To the last component: all before it are directories.
    Proven,
    /// To the last component, and without any link on the way or at the end.
    Straight,
    /// To something that was in the way.
    Partly,
    /// To the first component that does not exist; what exists of those before the last is a
    /// directory.
    Missing,
    /// Perhaps nowhere.
    Nowhere,
}

impl Names {
    /// Follows `path` from `base` below `root`. `follow` is whether a link in the last component is
    /// followed. `reach` is how far the kernel got, which proves what is on the way.
    pub fn walk(
        &mut self,
        root: NodeId,
        base: NodeId,
        path: &[u8],
        mut follow: bool,
        reach: Reach,
    ) -> Walk {
        let proven = matches!(reach, Reach::Proven | Reach::Straight);
        let mut at = self.follow_merges(if path.first() == Some(&b'/') { root } else { base });
        let mut rest: VecDeque<Box<[u8]>> = split(path).collect();
        let mut links = 0;
        self.slashed = path.ends_with(b"/");
        while let Some(name) = rest.pop_front() {
            if &*name == b"." {
                continue;
            }
            if &*name == b".." {
                let Some(parent) = self.parent_of(at, root) else { return Walk::Blocked };
                at = parent;
                continue;
            }
            if self.node(at).is_virtual && !self.leads_to_mount(at, &name) {
                return Walk::Virtual;
            }
            let last = rest.is_empty();
            let looks = (!last || follow) && matches!(reach, Reach::Proven | Reach::Partly);
            let mut dir_entry = self.component(at, name, looks, !last);
            let node = match dir_entry.state {
                EntryState::Node(node)
                    if !last || follow && self.node(node).kind == FileType::Link =>
                {
                    node
                }
                _ if last => return Walk::Entry(dir_entry),
                _ if proven => self.led_through(&dir_entry),
                EntryState::Absent => return Walk::Blocked,
                _ => return Walk::Stopped(dir_entry, rest.into()),
            };
            dir_entry.state = EntryState::Node(node);
            self.look_if_unread(at, &dir_entry.name, node);
            if reach == Reach::Missing && self.is_gone_by_rename(&dir_entry) {
                return Walk::Blocked;
            }
            match self.node(node).kind {
                FileType::Directory => {
                    self.node_mut(node).presumed &= !proven;
                    at = node;
                }
                FileType::Link => {
                    links += 1;
                    let Some(target) = self.node(node).target.clone() else {
                        // Its target is unknown.
                        return Walk::Stopped(dir_entry, rest.into());
                    };
                    if links > LINKS || target.is_empty() {
                        return Walk::Blocked;
                    }
                    if target[0] == b'/' {
                        at = root;
                    }
                    if last && target.ends_with(b"/") {
                        self.slashed = true;
                        follow &= !self.creates;
                    }
                    for part in split(&target).collect::<Vec<_>>().into_iter().rev() {
                        rest.push_front(part);
                    }
                }
                FileType::Unknown if proven || reach == Reach::Missing => {
                    match self.take_for_directory(node, proven) {
                        Some(directory) => at = directory,
                        None => return Walk::Blocked,
                    }
                }
                _ => return Walk::Stopped(dir_entry, rest.into()),
            }
        }
        Walk::At(at)
    }

    /// Looks at the file system again if the type of file `node`, or where the link leads, is not
    /// known. It is called `name` in directory `at`.
    fn look_if_unread(&mut self, at: NodeId, name: &[u8], node: NodeId) {
        let unread = |node: &Node| node.kind == FileType::Link && node.target.is_none();
        if self.node(node).kind == FileType::Unknown || unread(self.node(node)) {
            self.look_again(at, name, node);
        }
    }

    /// Returns the parent of a directory; a root is its own parent. Returns `None` if the directory
    /// has no name.
    fn parent_of(&self, dir: NodeId, root: NodeId) -> Option<NodeId> {
        if dir == root || dir == ROOT {
            return Some(dir);
        }
        self.node(dir).names.first().map(|(parent, _)| *parent)
    }

    /// Looks a name up in a directory. With `looks`, a call followed it, so that the live file
    /// system is asked if nothing is known; with `directory`, also for a directory.
    fn component(
        &mut self,
        dir: NodeId,
        name: Box<[u8]>,
        looks: bool,
        directory: bool,
    ) -> DirEntry {
        let mut state = self.look_up(dir, &name);
        if state == EntryState::Unknown && looks {
            state = self.look_up_older(dir, &name, directory);
        }
        DirEntry { dir, name, state }
    }

    /// Notes that a path led through this name, of which nothing is known or which was missing.
    /// Returns the directory there.
    fn led_through(&mut self, dir_entry: &DirEntry) -> NodeId {
        let was_missing = dir_entry.state == EntryState::Absent
            || self.node(dir_entry.dir).missing.contains(&dir_entry.name);
        let seen = Observed::kind(FileType::Directory);
        let node = if was_missing && self.watched {
            let node = self.appear(dir_entry, &seen);
            self.appeared.push(node);
            node
        } else {
            self.note_exists(dir_entry, &seen)
        };
        self.mark_followed(node);
        node
    }

    /// Notes that a path led through a file of which nothing more is known. Returns the directory
    /// that is there, or `None` if it must be a link that leads nowhere.
    fn take_for_directory(&mut self, node: NodeId, proven: bool) -> Option<NodeId> {
        if self.node(node).leaf && self.node(node).initial {
            if proven {
                return Some(self.directory_behind(node));
            }
            self.node_mut(node).kind = FileType::Link;
            return None;
        }
        self.mark_followed(node);
        let this = self.node_mut(node);
        this.presumed = !proven;
        this.kind = FileType::Directory;
        Some(node)
    }

    /// Returns the target of the link at this path, if one is known.
    pub fn link_at(&mut self, path: &[u8]) -> Option<Vec<u8>> {
        let slashed = self.slashed;
        let walk = self.walk(ROOT, ROOT, path, false, Reach::Nowhere);
        self.slashed = slashed;
        let Walk::Entry(DirEntry { state: EntryState::Node(node), .. }) = walk else { return None };
        let node = self.node(node);
        node.target.clone().filter(|target| node.kind == FileType::Link && !target.is_empty())
    }

    /// Returns whether the file that `path` leads to has exactly this path, by the path `real` that
    /// the kernel showed, so that no link was followed.
    pub fn leads_straight(&self, base: NodeId, path: &[u8], real: &[u8]) -> bool {
        let Some(mut straight) = self.path(base).filter(|_| path.first() != Some(&b'/')) else {
            return real == path;
        };
        if straight == b"/" {
            straight.clear();
        }
        for part in split(path).filter(|part| &**part != b".") {
            straight.push(b'/');
            straight.extend_from_slice(&part);
        }
        real == straight
    }

    /// Returns whether a name in a virtual directory is on the way to a mount point.
    fn leads_to_mount(&self, dir: NodeId, name: &[u8]) -> bool {
        let Some(path) = self.path_in(dir, name) else { return false };
        let below = [&path[..], b"/"].concat();
        self.mounts.contains_key(&path)
            || self.mounts.range(below.clone()..).next().is_some_and(|(p, _)| p.starts_with(&below))
    }

    /// Returns what is known of a name, from the trace or because the live file system has not
    /// changed it since.
    pub(super) fn look_up(&mut self, dir: NodeId, name: &[u8]) -> EntryState {
        if let Some(entry) = self.node(dir).entries.get(name) {
            return entry
                .now
                .map_or(EntryState::Absent, |node| EntryState::Node(self.follow_merges(node)));
        }
        if !self.node(dir).initial {
            return EntryState::Absent;
        }
        let seen = if self.node(dir).is_virtual { None } else { self.unchanged(dir, name) };
        match seen {
            Some(seen) => {
                let node = self.note_exists(
                    &DirEntry { dir, name: name.into(), state: EntryState::Unknown },
                    &seen,
                );
                self.node_mut(node).confirmed = true;
                EntryState::Node(node)
            }
            None => EntryState::Unknown,
        }
    }

    /// Returns what the live file system has at a name that was followed and of which nothing is
    /// known, if it is older than the recording.
    fn look_up_older(&mut self, dir: NodeId, name: &[u8], directory: bool) -> EntryState {
        if self.node(dir).is_virtual {
            return EntryState::Unknown;
        }
        match self.older(dir, name) {
            Some(seen)
                if seen.kind == FileType::Link || directory && seen.kind == FileType::Directory =>
            {
                let bare = Observed { target: seen.target, ..Observed::kind(seen.kind) };
                EntryState::Node(self.note_exists(
                    &DirEntry { dir, name: name.into(), state: EntryState::Unknown },
                    &bare,
                ))
            }
            _ => EntryState::Unknown,
        }
    }

    /// Asks the live file system about a file of which nothing is known but that it exists.
    fn look_again(&mut self, dir: NodeId, name: &[u8], node: NodeId) {
        if self.node(dir).is_virtual || !self.node(node).initial {
            return;
        }
        if let Some(seen) = self.older(dir, name) {
            self.node_mut(node)
                .observe(&Observed { target: seen.target, ..Observed::kind(seen.kind) });
        }
    }
}

/// Returns the components of a path, without empty ones.
pub(super) fn split(path: &[u8]) -> impl Iterator<Item = Box<[u8]>> + '_ {
    path.split(|&b| b == b'/').filter(|part| !part.is_empty()).map(Into::into)
}
