//! Walks along paths as the kernel does, with symbolic links and `..`, as far as the names are
//! known.
//!
//! How far the kernel followed a path ([`Reach`]) proves what is on the way; nothing else does.
//! Names on virtual file systems are not followed ([`Walk::Virtual`]).

use super::{Names, ROOT};
use crate::files::node::{Node, NodeId, Observed};
use crate::files::row::FileType;
use std::collections::VecDeque;

/// The largest number of links that are followed in one path (`MAXSYMLINKS`).
const MAX_LINKS: u32 = 40;

/// What a name leads to now, as far as is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EntryState {
    /// Nothing yet.
    Unknown,
    /// It does not exist.
    Absent,
    /// It leads to this file.
    Node(NodeId),
}

/// A name in a directory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DirEntry {
    /// The directory.
    pub dir: NodeId,
    /// The name.
    pub name: Box<[u8]>,
    /// What it leads to, at the time when the path was walked.
    pub state: EntryState,
}

/// Where a path leads.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Walk {
    /// To a name.
    Entry(DirEntry),
    /// To a file that the path reached without a name (`/`, `..`, `.`), or that has none.
    WithoutName(NodeId),
    /// To a virtual file system.
    Virtual,
    /// Unknown: it is not known what is at this name, and these components follow.
    Stopped(DirEntry, Vec<Box<[u8]>>),
    /// To nothing: something on the way is missing, or there are too many links.
    Blocked,
}

/// How far the kernel followed a path, by the result of the call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reach {
    /// To the last component: all before it are directories.
    Proven,
    /// To the last component, and there is no link on the way or at the end.
    WithoutLinks,
    /// To something on the way that caused the error.
    ToObstacle,
    /// To the first component that does not exist; what exists of those before the last is a
    /// directory.
    ToMissing,
    /// Nothing is proven.
    Unknown,
}

impl Names {
    /// Follows `path` from `base`, in a process with the root directory `root`. `follow` is whether
    /// a symbolic link in the last component is followed. `reach` is how far the kernel followed
    /// the path, which proves what is on the way: that is added to the names.
    pub fn walk(
        &mut self,
        root: NodeId,
        base: NodeId,
        path: &[u8],
        mut follow: bool,
        reach: Reach,
    ) -> Walk {
        let is_proven = matches!(reach, Reach::Proven | Reach::WithoutLinks);
        let mut dir = self.follow_merges(if path.first() == Some(&b'/') { root } else { base });
        let mut rest: VecDeque<Box<[u8]>> = components(path).collect();
        let mut links = 0;
        self.ends_in_slash = path.ends_with(b"/");
        while let Some(name) = rest.pop_front() {
            if &*name == b"." {
                continue;
            }
            if &*name == b".." {
                let Some(parent) = self.parent_of(dir, root) else { return Walk::Blocked };
                dir = parent;
                continue;
            }
            if self.node(dir).is_virtual && !self.leads_to_mount(dir, &name) {
                return Walk::Virtual;
            }
            let last = rest.is_empty();
            let asks_live = (!last || follow) && matches!(reach, Reach::Proven | Reach::ToObstacle);
            let mut dir_entry = self.look_up_component(dir, name, asks_live, !last);
            let node = match dir_entry.state {
                EntryState::Node(node)
                    if !last || follow && self.node(node).kind == FileType::Link =>
                {
                    node
                }
                _ if last => return Walk::Entry(dir_entry),
                _ if is_proven => self.note_led_through(&dir_entry),
                EntryState::Absent => return Walk::Blocked,
                _ => return Walk::Stopped(dir_entry, rest.into()),
            };
            dir_entry.state = EntryState::Node(node);
            self.look_if_unread(dir, &dir_entry.name, node);
            if reach == Reach::ToMissing && self.is_gone_by_rename(&dir_entry) {
                return Walk::Blocked;
            }
            match self.node(node).kind {
                FileType::Directory => {
                    self.node_mut(node).presumed &= !is_proven;
                    dir = node;
                }
                FileType::Link => {
                    links += 1;
                    let Some(target) = self.node(node).target.clone() else {
                        // Its target is unknown.
                        return Walk::Stopped(dir_entry, rest.into());
                    };
                    if links > MAX_LINKS || target.is_empty() {
                        return Walk::Blocked;
                    }
                    if target[0] == b'/' {
                        dir = root;
                    }
                    if last && target.ends_with(b"/") {
                        self.ends_in_slash = true;
                        follow &= !self.may_be_created;
                    }
                    for part in components(&target).collect::<Vec<_>>().into_iter().rev() {
                        rest.push_front(part);
                    }
                }
                FileType::Unknown if is_proven || reach == Reach::ToMissing => {
                    match self.take_for_directory(node, is_proven) {
                        Some(directory) => dir = directory,
                        None => return Walk::Blocked,
                    }
                }
                _ => return Walk::Stopped(dir_entry, rest.into()),
            }
        }
        Walk::WithoutName(dir)
    }

    /// Looks at the live file system again if the type of file `node`, or the target of the link
    /// that it is, is not known. It is called `name` in directory `dir`.
    fn look_if_unread(&mut self, dir: NodeId, name: &[u8], node: NodeId) {
        let is_unread_link = |node: &Node| node.kind == FileType::Link && node.target.is_none();
        if self.node(node).kind == FileType::Unknown || is_unread_link(self.node(node)) {
            self.look_again(dir, name, node);
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

    /// Looks up a component of a path in a directory. If nothing is known of it and `asks_live` is
    /// set, asks the live file system for a symbolic link or, with `may_be_directory`, for a
    /// directory.
    fn look_up_component(
        &mut self,
        dir: NodeId,
        name: Box<[u8]>,
        asks_live: bool,
        may_be_directory: bool,
    ) -> DirEntry {
        let mut state = self.look_up(dir, &name);
        if state == EntryState::Unknown && asks_live {
            state = self.look_up_older(dir, &name, may_be_directory);
        }
        DirEntry { dir, name, state }
    }

    /// Notes that a path led through this name, of which nothing is known or which was missing.
    /// Returns the directory to which the name leads.
    fn note_led_through(&mut self, dir_entry: &DirEntry) -> NodeId {
        let was_missing = dir_entry.state == EntryState::Absent
            || self.node(dir_entry.dir).not_found_names.contains(&dir_entry.name);
        let seen = Observed::of_type(FileType::Directory);
        let node = if was_missing && self.searches_unrecorded {
            let node = self.add_unrecorded_file(dir_entry, &seen);
            self.appeared_directories.push(node);
            node
        } else {
            self.note_exists(dir_entry, &seen)
        };
        self.mark_followed(node);
        node
    }

    /// Notes that a path led through a file of unknown type. Returns the directory to which its
    /// name leads: the file itself or, if it is no directory, one behind a symbolic link.
    /// `is_proven` is whether the kernel got there. Returns `None` if the name must be that of a
    /// link to a path that does not exist.
    fn take_for_directory(&mut self, node: NodeId, is_proven: bool) -> Option<NodeId> {
        if self.node(node).not_directory && self.node(node).initial {
            if is_proven {
                return Some(self.add_directory_behind_link(node));
            }
            self.node_mut(node).kind = FileType::Link;
            return None;
        }
        self.mark_followed(node);
        let directory = self.node_mut(node);
        directory.presumed = !is_proven;
        directory.kind = FileType::Directory;
        Some(node)
    }

    /// Returns the target of the link at this path, if one is known.
    pub fn link_at(&mut self, path: &[u8]) -> Option<Vec<u8>> {
        let slashed = self.ends_in_slash;
        let walk = self.walk(ROOT, ROOT, path, false, Reach::Unknown);
        self.ends_in_slash = slashed;
        let Walk::Entry(DirEntry { state: EntryState::Node(node), .. }) = walk else { return None };
        let node = self.node(node);
        node.target.clone().filter(|target| node.kind == FileType::Link && !target.is_empty())
    }

    /// Returns whether `path`, followed from `base`, is `opened_path` itself, the path that the
    /// kernel showed of the file, so that no symbolic link was followed.
    pub fn leads_there_without_links(&self, base: NodeId, path: &[u8], opened_path: &[u8]) -> bool {
        let Some(mut plain_path) = self.path(base).filter(|_| path.first() != Some(&b'/')) else {
            return opened_path == path;
        };
        if plain_path == b"/" {
            plain_path.clear();
        }
        for component in components(path).filter(|component| &**component != b".") {
            plain_path.push(b'/');
            plain_path.extend_from_slice(&component);
        }
        opened_path == plain_path
    }

    /// Returns whether a name in a virtual directory is on the way to a mount point.
    fn leads_to_mount(&self, dir: NodeId, name: &[u8]) -> bool {
        let Some(path) = self.path_in(dir, name) else { return false };
        let prefix = [&path[..], b"/"].concat();
        self.mounts.contains_key(&path)
            || self
                .mounts
                .range(prefix.clone()..)
                .next()
                .is_some_and(|(point, _)| point.starts_with(&prefix))
    }

    /// Returns what a name in a directory leads to now. If no call has touched it, and nothing
    /// about it has changed on the live file system since the recording began, what is there is
    /// added.
    pub(super) fn look_up(&mut self, dir: NodeId, name: &[u8]) -> EntryState {
        if let Some(entry) = self.node(dir).entries.get(name) {
            return entry
                .current
                .map_or(EntryState::Absent, |node| EntryState::Node(self.follow_merges(node)));
        }
        if !self.node(dir).initial {
            return EntryState::Absent;
        }
        let seen = if self.node(dir).is_virtual { None } else { self.find_unchanged(dir, name) };
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

    /// Returns what the live file system has at a name of which nothing is known, and adds it, if
    /// it is a symbolic link or (`may_be_directory`) a directory that is older than the recording.
    fn look_up_older(&mut self, dir: NodeId, name: &[u8], may_be_directory: bool) -> EntryState {
        if self.node(dir).is_virtual {
            return EntryState::Unknown;
        }
        match self.find_older(dir, name) {
            Some(seen)
                if seen.kind == FileType::Link
                    || may_be_directory && seen.kind == FileType::Directory =>
            {
                let type_and_target =
                    Observed { target: seen.target, ..Observed::of_type(seen.kind) };
                EntryState::Node(self.note_exists(
                    &DirEntry { dir, name: name.into(), state: EntryState::Unknown },
                    &type_and_target,
                ))
            }
            _ => EntryState::Unknown,
        }
    }

    /// Adds what the live file system shows of an initial file, if it is older than the recording.
    fn look_again(&mut self, dir: NodeId, name: &[u8], node: NodeId) {
        if self.node(dir).is_virtual || !self.node(node).initial {
            return;
        }
        if let Some(seen) = self.find_older(dir, name) {
            self.node_mut(node)
                .observe(&Observed { target: seen.target, ..Observed::of_type(seen.kind) });
        }
    }
}

/// Returns the components of a path, without empty ones.
pub(super) fn components(path: &[u8]) -> impl Iterator<Item = Box<[u8]>> + '_ {
    path.split(|&b| b == b'/').filter(|part| !part.is_empty()).map(Into::into)
}
