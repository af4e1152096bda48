//! Symbolic links that show late: a name that was followed seemed to be what it leads to, until a
//! call proved that the name itself is something else.
//!
//! Invariant: what was followed keeps its number, so that descriptors and working directories that
//! came through the link go on meaning it; the link takes over the name. Where no call has read
//! where the link leads, what was followed gets a name of its own that the recorded machine did not
//! have ([`Node::made_up`](crate::files::node::Node::made_up)). Nothing here is done to files that
//! the trace made: of those the type is known.

use super::{DirEntry, EntryState, Names, ROOT, Reach, Walk};
use crate::files::node::{Node, NodeId, Observed};
use crate::files::row::FileType;
use std::collections::VecDeque;

/// Links followed in one target, and directories between a name and the root.
pub(super) const STEPS: usize = 4096;

/// Where a path led at first.
enum Stood {
    /// To this name, of which nothing is known.
    Free(NodeId, Box<[u8]>),
    /// To this file.
    Node(NodeId),
}

impl Names {
    /// Returns whether `seen`, which was observed of the name itself, contradicts the file that was
    /// found by following the name, so that it is a link.
    pub(super) fn shows_a_link(&self, node: NodeId, seen: &Observed) -> bool {
        let node = self.node(node);
        let followed =
            matches!(node.kind, FileType::Directory | FileType::Regular) || node.followed;
        node.initial
            && !node.confirmed
            && !node.is_virtual
            && followed
            && (seen.kind == FileType::Link || seen.leaf && node.kind == FileType::Directory)
    }

    /// Returns whether a directory was found by following its name, which may be a link.
    pub fn may_be_behind_a_link(&self, node: NodeId) -> bool {
        let node = self.node(node);
        let followed = node.kind == FileType::Directory && node.followed;
        followed && node.initial && !node.confirmed && !node.straight && !node.is_virtual
    }

    /// Returns the file of a name itself: the link that it turned out to be, or `node`, which was
    /// found there.
    pub fn name_of(&self, node: NodeId, dir: NodeId, name: &[u8]) -> NodeId {
        let first = self.node(dir).entries.get(name).and_then(|entry| entry.first);
        first.filter(|first| self.node(*first).kind == FileType::Link).unwrap_or(node)
    }

    /// Notes that a name is a link to itself.
    pub fn leads_to_itself(&mut self, link: NodeId) {
        let Some((_, name)) = self.node(link).stood.first().cloned() else { return };
        let node = self.node_mut(link);
        node.kind = FileType::Link;
        node.target = Some(name.into());
    }

    /// Notes that the name `dir_entry` is a link, and that `node`, which seemed to be there, is the
    /// file that it leads to. Returns the link.
    pub(super) fn split_off_link(
        &mut self,
        dir_entry: &DirEntry,
        node: NodeId,
        seen: &Observed,
    ) -> NodeId {
        let link = self.new_node(Node::new(FileType::Link, true));
        self.node_mut(link).target.clone_from(&seen.target);
        self.node_mut(link).first.size =
            seen.attributes.size.filter(|_| seen.kind == FileType::Link);
        self.node_mut(link).relinked = self.node(node).relinked;
        let here = (dir_entry.dir, dir_entry.name.clone());
        // A file with several names keeps the others: only this one is the link's.
        let only = self.node(node).stood.len() <= 1;
        let (names, stood): (Vec<_>, Vec<_>) =
            (self.node(node).names.clone(), self.node(node).stood.clone());
        for at in names.into_iter().filter(|at| only || *at == here) {
            if let Some(entry) =
                self.node_mut(at.0).entries.get_mut(&at.1).filter(|e| e.now == Some(node))
            {
                entry.now = Some(link);
            }
            self.node_mut(node).names.retain(|n| *n != at);
            self.node_mut(link).names.push(at);
        }
        for at in stood.into_iter().filter(|at| only || *at == here) {
            if let Some(entry) =
                self.node_mut(at.0).entries.get_mut(&at.1).filter(|e| e.first == Some(node))
            {
                entry.first = Some(link);
            }
            self.node_mut(node).stood.retain(|n| *n != at);
            self.node_mut(link).stood.push(at);
        }
        // What was renamed was the link.
        for (renamed, replaced) in &mut self.replaced {
            for file in [renamed, replaced].into_iter().filter(|file| **file == node) {
                *file = link;
            }
        }
        for (renamed, ..) in
            self.undecided_renames.values_mut().filter(|(renamed, ..)| *renamed == node)
        {
            *renamed = link;
        }
        self.place_target(link, node);
        link
    }

    /// Notes that a name which is no directory was followed to one, so that it is a link. Returns
    /// the directory.
    pub(super) fn directory_behind(&mut self, link: NodeId) -> NodeId {
        self.node_mut(link).kind = FileType::Link;
        let directory = self.new_node(Node::new(FileType::Directory, true));
        let dir = self.node(link).names.first().map(|(dir, _)| *dir);
        self.node_mut(directory).followed_from = dir;
        self.place_target(link, directory);
        directory
    }

    /// Notes that a call followed a link whose target no call has read, and went on with `rest`;
    /// `real` is the path of what it opened. The link gets the target that explains this, or leads
    /// to a file with a made-up name. Returns whether it has a target now.
    pub fn followed(
        &mut self,
        dir_entry: &DirEntry,
        rest: &[Box<[u8]>],
        real: Option<&[u8]>,
    ) -> bool {
        let EntryState::Node(link) = dir_entry.state else { return false };
        let node = self.node(link);
        if node.kind != FileType::Link || node.target.is_some() || !node.initial {
            return false;
        }
        let shown = real.and_then(|real| before(real, rest));
        if let (Some(shown), Some(dir)) = (shown, self.path(dir_entry.dir)) {
            let target = relative(&dir, shown);
            if !target.is_empty() && node.first.size.is_none_or(|n| n == target.len() as u64) {
                self.node_mut(link).target = Some(target);
                return true;
            }
            let target = shown.to_vec();
            if self.node(link).first.size.is_none_or(|n| n == target.len() as u64) {
                self.node_mut(link).target = Some(target);
                return true;
            }
        }
        let kind = if rest.is_empty() { FileType::Unknown } else { FileType::Directory };
        let beyond = self.new_node(Node::new(kind, true));
        self.node_mut(beyond).followed_from = Some(dir_entry.dir);
        self.place_target(link, beyond);
        self.node(link).target.is_some()
    }

    /// Notes that a call followed this name, wherever it leads.
    pub fn mark_followed(&mut self, id: NodeId) {
        let dir = self.node(id).names.first().map(|(dir, _)| *dir);
        let node = self.node_mut(id);
        node.followed = true;
        node.presumed = false;
        node.followed_from = node.followed_from.or(dir);
    }

    /// Gives a link a target that leads through a file which is no directory.
    pub fn lead_through_file(&mut self, link: NodeId) {
        if self.node(link).target.is_some() {
            return;
        }
        let file = self.new_node(Node::new(FileType::Regular, true));
        self.place_target(link, file);
        let node = self.node_mut(link);
        node.leads_to = None;
        if let Some(target) = &mut node.target {
            target.extend_from_slice(b"/?");
        }
    }

    /// Gives a name in the initial tree to the file that a link leads to.
    fn place_target(&mut self, link: NodeId, node: NodeId) {
        let Some((dir, _)) = self.node(link).stood.first().cloned() else { return };
        if self.node(node).presumed && self.node(node).first_names() == 0 {
            return; // nothing was ever found there
        }
        // It may have been moved before a call followed it.
        let dir =
            self.node(node).followed_from.filter(|dir| self.node(*dir).initial).unwrap_or(dir);
        if let Some(target) = self.node(link).target.clone() {
            match self.find_first(dir, &target) {
                // Nothing came from there, and nothing is there.
                Some(Stood::Free(dir, name)) if self.is_gone(dir, &name) => {}
                Some(Stood::Free(dir, name)) => {
                    self.attach(&DirEntry { dir, name, state: EntryState::Unknown }, node, true);
                }
                Some(Stood::Node(other)) if other != node && other != link => {
                    self.merge(node, other);
                }
                Some(Stood::Node(_)) => {}
                None => self.place_later_target(dir, &target, node),
            }
            return;
        }
        let size = self.node(link).first.size;
        let fits = |target: &[u8]| size.is_none_or(|size| size == target.len() as u64);
        if let Some((at, name)) = self.node(node).stood.first().cloned() {
            let target = if at == dir { Some(name.to_vec()) } else { None };
            let target =
                target.filter(|t| fits(t)).or_else(|| self.first_path(node)).filter(|t| fits(t));
            if target.is_some() {
                self.node_mut(link).target = target;
                return;
            }
        }
        if let Some(name) = self.made_up_name(dir, size) {
            self.node_mut(node).made_up = true;
            self.node_mut(link).leads_to = Some(node);
            let dir_entry = DirEntry { dir, name: name.clone().into(), state: EntryState::Unknown };
            self.attach(&dir_entry, node, true);
            self.node_mut(link).target = Some(name);
        }
    }

    /// Notes that the file that a link leads to was created by a recorded call.
    fn place_later_target(&mut self, dir: NodeId, target: &[u8], node: NodeId) {
        let (Walk::At(made) | Walk::Entry(DirEntry { state: EntryState::Node(made), .. })) =
            self.walk(ROOT, dir, target, true, Reach::Nowhere)
        else {
            return;
        };
        if made != node
            && self.node(made).kind == FileType::Directory
            && self.node(node).kind == FileType::Directory
        {
            self.merge(node, made);
        }
    }

    /// Returns whether there is a file system to look at, and nothing has this name.
    fn is_gone(&mut self, dir: NodeId, name: &[u8]) -> bool {
        let Some(path) = self.path_in(dir, name).filter(|_| !self.no_file_system) else {
            return false;
        };
        self.live.id(&path).is_none()
    }

    /// Returns the initial path of a file.
    pub(super) fn first_path(&self, mut id: NodeId) -> Option<Vec<u8>> {
        let mut parts: Vec<&[u8]> = Vec::new();
        while id != ROOT {
            let (dir, name) = self.node(id).stood.first()?;
            parts.push(name);
            id = *dir;
            if parts.len() > STEPS {
                return None;
            }
        }
        Some(parts.iter().rev().fold(Vec::new(), |path, part| [&path[..], b"/", part].concat()))
    }

    /// Returns what `path` led to initially from `dir`. Names on the way that no call has looked at
    /// are taken for directories.
    fn find_first(&mut self, dir: NodeId, path: &[u8]) -> Option<Stood> {
        let mut at = if path.first() == Some(&b'/') { ROOT } else { dir };
        let mut rest: VecDeque<Box<[u8]>> = super::walk::split(path).collect();
        for _ in 0..STEPS {
            let Some(name) = rest.pop_front() else { return Some(Stood::Node(at)) };
            if self.node(at).is_virtual {
                return None;
            }
            if &*name == b"." {
                continue;
            }
            if &*name == b".." {
                at = self.node(at).stood.first().map_or(ROOT, |s| s.0);
                continue;
            }
            let first = match self.node(at).entries.get(&name) {
                Some(entry) => entry.first?,
                None if !self.node(at).initial => return None,
                None if rest.is_empty() => return Some(Stood::Free(at, name)),
                None => {
                    let id = self.new_node(Node::new(FileType::Directory, true));
                    self.attach(&DirEntry { dir: at, name, state: EntryState::Unknown }, id, true);
                    id
                }
            };
            match (self.node(first).kind, self.node(first).target.clone()) {
                (FileType::Link, Some(target)) => {
                    if target.first() == Some(&b'/') {
                        at = ROOT;
                    }
                    let parts: Vec<_> = super::walk::split(&target).collect();
                    parts.into_iter().rev().for_each(|part| rest.push_front(part));
                }
                (FileType::Directory, _) => at = first,
                (FileType::Unknown, _) if !rest.is_empty() => {
                    self.node_mut(first).kind = FileType::Directory;
                    at = first;
                }
                _ if rest.is_empty() => return Some(Stood::Node(first)),
                _ => return None,
            }
        }
        None
    }

    /// Sets the real target of a link, in place of a made-up one.
    fn set_target(&mut self, link: NodeId, target: Vec<u8>) {
        let Some(node) = self.drop_made_up(link) else { return };
        self.node_mut(link).target = Some(target);
        self.place_target(link, node);
    }

    /// Sets the type of a file of which the trace shows nothing, by the live file system.
    pub fn learn_type(&mut self, id: NodeId) {
        let node = self.node(id);
        if node.kind == FileType::Unknown
            && node.initial
            && !node.is_virtual
            && let Some(seen) = self.path(id).and_then(|path| self.live.older(&path))
            && !(seen.kind == FileType::Directory && self.node(id).leaf)
        {
            self.node_mut(id)
                .observe(&Observed { target: seen.target, ..Observed::kind(seen.kind) });
        }
    }

    /// Sets names that were followed, and that are links now according to `find`, to be links.
    pub fn apply_final_links(&mut self, find: &mut dyn FnMut(&[u8]) -> Option<Observed>) {
        self.settle_renames();
        self.split_replaced();
        self.move_shown_links_down(find);
        let mut vanished = Vec::new();
        for id in 0..self.nodes.len() as NodeId {
            let node = self.node(id);
            if node.leads_to.is_some()
                && let Some(target) = self.node(id).names.iter().find_map(|(dir, name)| {
                    find(&self.path_in(*dir, name)?).and_then(|seen| seen.target)
                })
            {
                self.set_target(id, target);
                continue;
            }
            if node.leads_to.is_some()
                || !node.initial
                || node.confirmed
                || node.is_virtual
                || !(node.followed || node.kind == FileType::Directory)
                || node.merged.is_some()
            {
                continue;
            }
            let (Some((dir, name)), Some(path)) = (node.names.first().cloned(), self.path(id))
            else {
                continue;
            };
            match find(&path) {
                Some(seen) if seen.kind == FileType::Link => {
                    self.split_off_link(
                        &DirEntry { dir, name, state: EntryState::Node(id) },
                        id,
                        &seen,
                    );
                }
                None if self.node(id).kind == FileType::Directory => vanished.push(id),
                _ => {}
            }
        }
        self.lead_gone_links(&vanished, find);
        self.find_untouched();
    }
}

/// Returns the beginning of `path` in front of the components `rest`, if it ends with them.
pub(super) fn before<'a>(mut path: &'a [u8], rest: &[Box<[u8]>]) -> Option<&'a [u8]> {
    for part in rest.iter().rev().filter(|part| &***part != b".") {
        path = path.strip_suffix(&part[..])?.strip_suffix(b"/")?;
    }
    Some(path).filter(|path| path.first() == Some(&b'/'))
}

/// Returns the relative path from the directory `dir` to `path`, both absolute and clean.
pub(super) fn relative(dir: &[u8], path: &[u8]) -> Vec<u8> {
    let (dir, path): (Vec<_>, Vec<_>) =
        (super::walk::split(dir).collect(), super::walk::split(path).collect());
    let shared = dir.iter().zip(&path).take_while(|(a, b)| a == b).count();
    let up = std::iter::repeat_n(&b".."[..], dir.len() - shared);
    up.chain(path[shared..].iter().map(|part| &part[..])).collect::<Vec<_>>().join(&b'/')
}
