//! Symbolic links that are recognised late: a name that was followed was taken for that of a file
//! or directory, until a call proved that the name itself is that of a link.
//!
//! Invariant: what was followed keeps its id, so that descriptors and working directories that were
//! opened through the link still refer to it; the link takes over the name. If no call has read the
//! target of the link, what was followed gets a made-up name
//! ([`Node::has_made_up_name`](crate::files::node::Node::has_made_up_name)). Files that calls
//! created are left alone: their types are known.

use super::{DirEntry, EntryState, Names, ROOT, Reach, Walk};
use crate::files::node::{Node, NodeId, Observed};
use crate::files::row::FileType;
use std::collections::VecDeque;

/// The largest number of components of a path, with those of the links in it.
pub(super) const MAX_DEPTH: usize = 4096;

/// Where a path led when the recording began.
enum InitialTarget {
    /// To this name, of which nothing is known.
    UnknownName(NodeId, Box<[u8]>),
    /// To this file.
    Node(NodeId),
}

impl Names {
    /// Returns whether `seen`, which was observed of a name itself, contradicts `node`, which was
    /// found by following the name, so that the name is that of a symbolic link.
    pub(super) fn shows_a_link(&self, node: NodeId, seen: &Observed) -> bool {
        let node = self.node(node);
        let was_followed =
            matches!(node.kind, FileType::Directory | FileType::Regular) || node.followed;
        node.initial
            && !node.confirmed
            && !node.is_virtual
            && was_followed
            && (seen.kind == FileType::Link
                || seen.not_directory && node.kind == FileType::Directory)
    }

    /// Returns whether a directory was found by following its name, which may be a link.
    pub fn may_be_behind_a_link(&self, node: NodeId) -> bool {
        let node = self.node(node);
        let followed = node.kind == FileType::Directory && node.followed;
        followed && node.initial && !node.confirmed && !node.path_shown && !node.is_virtual
    }

    /// Returns the file that had the name itself when the recording began, if that was a symbolic
    /// link; else `node`, which was found under the name.
    pub fn file_of_name_itself(&self, node: NodeId, dir: NodeId, name: &[u8]) -> NodeId {
        let initial = self.node(dir).entries.get(name).and_then(|entry| entry.initial);
        initial.filter(|initial| self.node(*initial).kind == FileType::Link).unwrap_or(node)
    }

    /// Notes that a name is that of a symbolic link to itself.
    pub fn mark_link_to_itself(&mut self, link: NodeId) {
        let Some((_, name)) = self.node(link).initial_names.first().cloned() else { return };
        let node = self.node_mut(link);
        node.kind = FileType::Link;
        node.target = Some(name.into());
    }

    /// Notes that the name `dir_entry` is that of a symbolic link, of which `seen` was observed,
    /// and that `node`, which seemed to have the name, is the file that it leads to. Returns the
    /// link.
    pub(super) fn split_off_link(
        &mut self,
        dir_entry: &DirEntry,
        node: NodeId,
        seen: &Observed,
    ) -> NodeId {
        let link = self.new_node(Node::new(FileType::Link, true));
        self.node_mut(link).target.clone_from(&seen.target);
        self.node_mut(link).initial_attributes.size =
            seen.attributes.size.filter(|_| seen.kind == FileType::Link);
        self.node_mut(link).names_changed = self.node(node).names_changed;
        let this_name = (dir_entry.dir, dir_entry.name.clone());
        // If the file has several names, only this one is that of the link.
        let has_one_name = self.node(node).initial_names.len() <= 1;
        let (names, initial_names): (Vec<_>, Vec<_>) =
            (self.node(node).names.clone(), self.node(node).initial_names.clone());
        for name in names.into_iter().filter(|name| has_one_name || *name == this_name) {
            if let Some(entry) =
                self.node_mut(name.0).entries.get_mut(&name.1).filter(|e| e.current == Some(node))
            {
                entry.current = Some(link);
            }
            self.node_mut(node).names.retain(|n| *n != name);
            self.node_mut(link).names.push(name);
        }
        for name in initial_names.into_iter().filter(|name| has_one_name || *name == this_name) {
            if let Some(entry) =
                self.node_mut(name.0).entries.get_mut(&name.1).filter(|e| e.initial == Some(node))
            {
                entry.initial = Some(link);
            }
            self.node_mut(node).initial_names.retain(|n| *n != name);
            self.node_mut(link).initial_names.push(name);
        }
        // The renames of the name were renames of the link.
        for (renamed, replaced) in &mut self.replaced_by_rename {
            for file in [renamed, replaced].into_iter().filter(|file| **file == node) {
                *file = link;
            }
        }
        for rename in self.undecided_renames.values_mut().filter(|rename| rename.file == node) {
            rename.file = link;
        }
        self.place_target(link, node);
        link
    }

    /// Notes that a name which is not that of a directory was followed to one, so that it is that
    /// of a symbolic link. Returns the directory.
    pub(super) fn add_directory_behind_link(&mut self, link: NodeId) -> NodeId {
        self.node_mut(link).kind = FileType::Link;
        let directory = self.new_node(Node::new(FileType::Directory, true));
        let dir = self.node(link).names.first().map(|(dir, _)| *dir);
        self.node_mut(directory).followed_from = dir;
        self.place_target(link, directory);
        directory
    }

    /// Notes that a call followed a symbolic link whose target no call has read, and continued with
    /// the components `rest`; `opened_path` is the path of what it opened. The link gets the target
    /// that explains this, or else leads to a file with a made-up name. Returns whether it has a
    /// target now.
    pub fn note_link_followed(
        &mut self,
        dir_entry: &DirEntry,
        rest: &[Box<[u8]>],
        opened_path: Option<&[u8]>,
    ) -> bool {
        let EntryState::Node(link) = dir_entry.state else { return false };
        let node = self.node(link);
        if node.kind != FileType::Link || node.target.is_some() || !node.initial {
            return false;
        }
        let target_path = opened_path.and_then(|opened_path| strip_components(opened_path, rest));
        if let (Some(target_path), Some(dir)) = (target_path, self.path(dir_entry.dir)) {
            let target = relative_path(&dir, target_path);
            if !target.is_empty()
                && node.initial_attributes.size.is_none_or(|len| len == target.len() as u64)
            {
                self.node_mut(link).target = Some(target);
                return true;
            }
            let target = target_path.to_vec();
            if self.node(link).initial_attributes.size.is_none_or(|len| len == target.len() as u64)
            {
                self.node_mut(link).target = Some(target);
                return true;
            }
        }
        let kind = if rest.is_empty() { FileType::Unknown } else { FileType::Directory };
        let behind = self.new_node(Node::new(kind, true));
        self.node_mut(behind).followed_from = Some(dir_entry.dir);
        self.place_target(link, behind);
        self.node(link).target.is_some()
    }

    /// Notes that a call followed the name of this file, which may be that of a symbolic link to
    /// it.
    pub fn mark_followed(&mut self, id: NodeId) {
        let dir = self.node(id).names.first().map(|(dir, _)| *dir);
        let node = self.node_mut(id);
        node.followed = true;
        node.presumed = false;
        node.followed_from = node.followed_from.or(dir);
    }

    /// Gives a symbolic link a made-up target that leads through a file which is no directory.
    pub fn set_target_through_file(&mut self, link: NodeId) {
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

    /// Notes that a symbolic link led to `node`. If the target of the link is known, `node` gets
    /// the name to which it leads, or is merged with the file there. Else the link gets a target:
    /// the initial name of `node`, or a made-up one.
    fn place_target(&mut self, link: NodeId, node: NodeId) {
        let Some((dir, _)) = self.node(link).initial_names.first().cloned() else { return };
        if self.node(node).presumed && self.node(node).count_initial_names() == 0 {
            return; // nothing was ever found there
        }
        // It may have been moved before a call followed it.
        let dir =
            self.node(node).followed_from.filter(|dir| self.node(*dir).initial).unwrap_or(dir);
        if let Some(target) = self.node(link).target.clone() {
            match self.resolve_initially(dir, &target) {
                // Nothing was moved away from there, and nothing is there.
                Some(InitialTarget::UnknownName(dir, name)) if self.is_gone(dir, &name) => {}
                Some(InitialTarget::UnknownName(dir, name)) => {
                    self.attach(&DirEntry { dir, name, state: EntryState::Unknown }, node, true);
                }
                Some(InitialTarget::Node(other)) if other != node && other != link => {
                    self.merge(node, other);
                }
                Some(InitialTarget::Node(_)) => {}
                None => self.merge_created_target(dir, &target, node),
            }
            return;
        }
        let size = self.node(link).initial_attributes.size;
        let fits = |target: &[u8]| size.is_none_or(|size| size == target.len() as u64);
        if let Some((at, name)) = self.node(node).initial_names.first().cloned() {
            let target = if at == dir { Some(name.to_vec()) } else { None };
            let target =
                target.filter(|t| fits(t)).or_else(|| self.initial_path(node)).filter(|t| fits(t));
            if target.is_some() {
                self.node_mut(link).target = target;
                return;
            }
        }
        if let Some(name) = self.made_up_name(dir, size) {
            self.node_mut(node).has_made_up_name = true;
            self.node_mut(link).leads_to = Some(node);
            let dir_entry = DirEntry { dir, name: name.clone().into(), state: EntryState::Unknown };
            self.attach(&dir_entry, node, true);
            self.node_mut(link).target = Some(name);
        }
    }

    /// If the target of a symbolic link leads to a directory that a recorded call created or moved
    /// there, merges `node`, the directory that was found by following the link, with it.
    fn merge_created_target(&mut self, dir: NodeId, target: &[u8], node: NodeId) {
        let (Walk::WithoutName(created)
        | Walk::Entry(DirEntry { state: EntryState::Node(created), .. })) =
            self.walk(ROOT, dir, target, true, Reach::Unknown)
        else {
            return;
        };
        if created != node
            && self.node(created).kind == FileType::Directory
            && self.node(node).kind == FileType::Directory
        {
            self.merge(node, created);
        }
    }

    /// Returns whether there is a file system to look at, and nothing has this name.
    fn is_gone(&mut self, dir: NodeId, name: &[u8]) -> bool {
        let Some(path) = self.path_in(dir, name).filter(|_| !self.no_file_system) else {
            return false;
        };
        self.live.id(&path).is_none()
    }

    /// Returns the path that a file had when the recording began. Returns `None` if it had no name.
    pub(super) fn initial_path(&self, mut id: NodeId) -> Option<Vec<u8>> {
        let mut parts: Vec<&[u8]> = Vec::new();
        while id != ROOT {
            let (dir, name) = self.node(id).initial_names.first()?;
            parts.push(name);
            id = *dir;
            if parts.len() > MAX_DEPTH {
                return None;
            }
        }
        Some(parts.iter().rev().fold(Vec::new(), |path, part| [&path[..], b"/", part].concat()))
    }

    /// Returns what `path` led to from `dir` when the recording began. Names on the way that no
    /// call has touched are taken for directories, and added. Returns `None` if it led nowhere, or
    /// to a virtual file system.
    fn resolve_initially(&mut self, dir: NodeId, path: &[u8]) -> Option<InitialTarget> {
        let mut current = if path.first() == Some(&b'/') { ROOT } else { dir };
        let mut rest: VecDeque<Box<[u8]>> = super::walk::components(path).collect();
        for _ in 0..MAX_DEPTH {
            let Some(name) = rest.pop_front() else { return Some(InitialTarget::Node(current)) };
            if self.node(current).is_virtual {
                return None;
            }
            if &*name == b"." {
                continue;
            }
            if &*name == b".." {
                current = self.node(current).initial_names.first().map_or(ROOT, |s| s.0);
                continue;
            }
            let initial = match self.node(current).entries.get(&name) {
                Some(entry) => entry.initial?,
                None if !self.node(current).initial => return None,
                None if rest.is_empty() => return Some(InitialTarget::UnknownName(current, name)),
                None => {
                    let id = self.new_node(Node::new(FileType::Directory, true));
                    self.attach(
                        &DirEntry { dir: current, name, state: EntryState::Unknown },
                        id,
                        true,
                    );
                    id
                }
            };
            match (self.node(initial).kind, self.node(initial).target.clone()) {
                (FileType::Link, Some(target)) => {
                    if target.first() == Some(&b'/') {
                        current = ROOT;
                    }
                    let parts: Vec<_> = super::walk::components(&target).collect();
                    parts.into_iter().rev().for_each(|part| rest.push_front(part));
                }
                (FileType::Directory, _) => current = initial,
                (FileType::Unknown, _) if !rest.is_empty() => {
                    self.node_mut(initial).kind = FileType::Directory;
                    current = initial;
                }
                _ if rest.is_empty() => return Some(InitialTarget::Node(initial)),
                _ => return None,
            }
        }
        None
    }

    /// Sets the target of a symbolic link whose target was made up.
    fn set_real_target(&mut self, link: NodeId, target: Vec<u8>) {
        let Some(node) = self.drop_made_up(link) else { return };
        self.node_mut(link).target = Some(target);
        self.place_target(link, node);
    }

    /// If calls show nothing of the type of an initial file, takes it from the live file system.
    pub fn learn_type(&mut self, id: NodeId) {
        let node = self.node(id);
        if node.kind == FileType::Unknown
            && node.initial
            && !node.is_virtual
            && let Some(seen) = self.path(id).and_then(|path| self.live.older(&path))
            && !(seen.kind == FileType::Directory && self.node(id).not_directory)
        {
            self.node_mut(id)
                .observe(&Observed { target: seen.target, ..Observed::of_type(seen.kind) });
        }
    }

    /// Decides, by what `find` returns for paths of the file system at the end, which of the names
    /// that calls followed are symbolic links, and where those lead.
    pub fn apply_final_links(&mut self, find: &mut dyn FnMut(&[u8]) -> Option<Observed>) {
        self.decide_remaining_renames();
        self.split_replaced_links();
        self.move_shown_links_down(find);
        let mut vanished = Vec::new();
        for id in 0..self.nodes.len() as NodeId {
            let node = self.node(id);
            if node.leads_to.is_some()
                && let Some(target) = self.node(id).names.iter().find_map(|(dir, name)| {
                    find(&self.path_in(*dir, name)?).and_then(|seen| seen.target)
                })
            {
                self.set_real_target(id, target);
                continue;
            }
            if node.leads_to.is_some()
                || !node.initial
                || node.confirmed
                || node.is_virtual
                || !(node.followed || node.kind == FileType::Directory)
                || node.merged_into.is_some()
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
        self.find_targets_of_gone_links(&vanished, find);
        self.find_untouched();
    }
}

/// Removes the components `rest` from the end of `path`. Returns `None` if it does not end with
/// them, or is not absolute.
pub(super) fn strip_components<'a>(mut path: &'a [u8], rest: &[Box<[u8]>]) -> Option<&'a [u8]> {
    for part in rest.iter().rev().filter(|part| &***part != b".") {
        path = path.strip_suffix(&part[..])?.strip_suffix(b"/")?;
    }
    Some(path).filter(|path| path.first() == Some(&b'/'))
}

/// Returns the relative path from the directory `dir` to `path`. Both are absolute, without `.`,
/// `..` and symbolic links.
pub(super) fn relative_path(dir: &[u8], path: &[u8]) -> Vec<u8> {
    let (dir, path): (Vec<_>, Vec<_>) =
        (super::walk::components(dir).collect(), super::walk::components(path).collect());
    let shared = dir.iter().zip(&path).take_while(|(a, b)| a == b).count();
    let up = std::iter::repeat_n(&b".."[..], dir.len() - shared);
    up.chain(path[shared..].iter().map(|part| &part[..])).collect::<Vec<_>>().join(&b'/')
}
