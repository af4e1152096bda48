//! Symbolic links that were gone before a call read them. What calls did through such a link shows
//! at the end in the file system, under the path where the link led.

use super::links::{STEPS, relative};
use super::{DirEntry, EntryState, MAX_RENAMES, Names, ROOT};
use crate::files::node::{NodeId, Observed};
use crate::files::row::FileType;
use ahash::HashMap;

/// What stands under a path of the file system at the end.
type Find<'a> = &'a mut dyn FnMut(&[u8]) -> Option<Observed>;

impl Names {
    /// Decides where links led that no call read and that are gone, by the file system at the end.
    /// `vanished` are directories whose names are gone although no call removed them, so that they
    /// may have been reached through links.
    pub(super) fn lead_gone_links(&mut self, vanished: &[NodeId], find: Find<'_>) {
        let mut found: HashMap<Box<[u8]>, Option<Observed>> = HashMap::default();
        let find: Find<'_> = &mut |path| {
            if let Some(known) = found.get(path) {
                return known.clone();
            }
            let seen = find(path);
            if found.len() < MAX_RENAMES {
                found.insert(path.into(), seen.clone());
            }
            seen
        };
        let directories = self.directories_by_name(vanished);
        for link in 0..self.nodes.len() as NodeId {
            let Some(directory) = self.node(link).leads_to else { continue };
            let other = self
                .directory_of_same_inode(directory, find)
                .or_else(|| self.directory_above(directory))
                .or_else(|| self.directory_that_changed(directory, &directories, find))
                .or_else(|| self.directory_of_changed_file(directory, &directories, find));
            if let Some(other) = other {
                self.lead_to(link, other, self.first_path(other));
            } else if let Some(other) = self.directory_that_came(link, directory, find) {
                self.lead_to(link, other, self.path(other));
            }
        }
        for &directory in vanished {
            let Some((dir, name)) = self.node(directory).names.first().cloned() else { continue };
            let other = self.directory_that_changed(directory, &directories, find);
            let target = other.and_then(|other| self.target(dir, &self.first_path(other)?));
            let Some(target) = target else { continue };
            let seen = Observed { target: Some(target), ..Observed::kind(FileType::Link) };
            self.split_off_link(
                &DirEntry { dir, name, state: EntryState::Node(directory) },
                directory,
                &seen,
            );
        }
        self.lead_changed_links(find);
    }

    /// Returns the directories that may have been reached through a link, by the names that calls
    /// created or removed in them.
    fn directories_by_name(&self, vanished: &[NodeId]) -> HashMap<Box<[u8]>, Vec<NodeId>> {
        let mut by_name: HashMap<Box<[u8]>, Vec<NodeId>> = HashMap::default();
        let links = self.nodes.iter().filter_map(|node| node.leads_to);
        for directory in links.chain(vanished.iter().copied()) {
            let entries = self.node(directory).entries.iter();
            let changed = entries.filter(|(_, e)| {
                e.first != e.now || e.first.is_some_and(|file| self.was_changed(file))
            });
            by_name.extend(changed.map(|(name, _)| (name.clone(), Vec::new())));
        }
        if by_name.is_empty() {
            return by_name;
        }
        for (id, node) in self.nodes.iter().enumerate() {
            for name in node.entries.keys() {
                if let Some(directories) = by_name.get_mut(name) {
                    directories.push(id as NodeId);
                }
            }
        }
        by_name
    }

    /// Notes that a rename into `directory` was refused, as it would have moved a directory into
    /// itself: `above` holds `directory`.
    pub fn note_inside(&mut self, directory: NodeId, above: NodeId) {
        if self.inside.len() < MAX_RENAMES {
            self.inside.push((directory, above));
        }
    }

    /// Returns the directory that this one is, or that holds it. If nothing else is known, it is
    /// that one.
    fn directory_above(&self, directory: NodeId) -> Option<NodeId> {
        let (_, above) = self.inside.iter().find(|(inside, _)| self.holds(directory, *inside))?;
        Some(self.follow_merges(*above)).filter(|above| *above != directory)
    }

    /// Returns whether `directory` is `other`, or holds it.
    fn holds(&self, directory: NodeId, mut other: NodeId) -> bool {
        for _ in 0..STEPS {
            match self.node(other).names.first() {
                _ if other == directory => return true,
                Some((above, _)) if other != ROOT => other = *above,
                _ => return false,
            }
        }
        false
    }

    /// Returns another directory that has the inode number of this one, or that holds a file with
    /// the inode number of one of its files.
    fn directory_of_same_inode(&self, directory: NodeId, find: Find<'_>) -> Option<NodeId> {
        if let Some(id) = self.node(directory).id {
            let same = |other: &NodeId| {
                let node = self.node(*other);
                let is_other = *other != directory && node.kind == FileType::Directory;
                is_other
                    && node.merged.is_none()
                    && match node.id {
                        Some(known) => known == id,
                        None => {
                            let found = self.path(*other).and_then(|path| find(&path));
                            found.and_then(|found| found.id) == Some(id)
                        }
                    }
            };
            if let Some(other) = (0..self.nodes.len() as NodeId).find(same) {
                return Some(other);
            }
        }
        self.node(directory).entries.iter().find_map(|(name, e)| {
            let file = e.first?;
            let id = find(&self.path(file)?)?.id?;
            let known = *self.by_id.get(&id).filter(|known| **known != file)?;
            let mut stood = self.node(known).stood.iter().chain(&self.node(known).names);
            stood.find(|(dir, at)| at == name && *dir != directory).map(|(dir, _)| *dir)
        })
    }

    /// Returns another directory that has changed in the end as calls changed `directory`: a name
    /// that they removed is gone, or one that they created is there.
    fn directory_that_changed(
        &self,
        directory: NodeId,
        directories: &HashMap<Box<[u8]>, Vec<NodeId>>,
        find: Find<'_>,
    ) -> Option<NodeId> {
        let entries = self.node(directory).entries.iter();
        let mut changed = entries.filter(|(_, e)| e.first.is_some() != e.now.is_some());
        changed.find_map(|(name, change)| {
            directories.get(name)?.iter().copied().find(|other| {
                let known = self.node(*other).entries.get(name).map(|e| e.now.is_some());
                *other != directory
                    && known == Some(change.first.is_some())
                    && self
                        .path_in(*other, name)
                        .is_some_and(|path| find(&path).is_some() == change.now.is_some())
            })
        })
    }

    /// Returns another directory that holds a file which has the same name and has changed as calls
    /// changed that of `directory`.
    fn directory_of_changed_file(
        &self,
        directory: NodeId,
        directories: &HashMap<Box<[u8]>, Vec<NodeId>>,
        find: Find<'_>,
    ) -> Option<NodeId> {
        let entries = self.node(directory).entries.iter();
        let mut changed = entries
            .filter_map(|(name, e)| Some((name, e.first.filter(|file| self.was_changed(*file))?)));
        changed.find_map(|(name, file)| {
            directories.get(name)?.iter().copied().find(|other| {
                let now = self.node(*other).entries.get(name).and_then(|e| e.now);
                now.filter(|now| *now != file)
                    .and_then(|now| Some((now, self.unexplained(now, find)?)))
                    .is_some_and(|(now, seen)| self.was_changed_to(file, now, &seen))
            })
        })
    }

    /// Returns whether calls changed the permissions or the size of a file.
    fn was_changed(&self, file: NodeId) -> bool {
        let (mode, _, size) = self.node(file).changed;
        mode || size
    }

    /// Returns whether calls gave a file the permissions or the size that were seen of `other`.
    fn was_changed_to(&self, file: NodeId, other: NodeId, seen: &Observed) -> bool {
        let beyond = self.node(other).read_beyond;
        let node = self.node(file);
        let (mode, _, size) = node.changed;
        let seen = &seen.attributes;
        mode && seen.mode.is_some() && seen.mode == node.now.mode
            || size && seen.size.is_some() && seen.size == node.now.size
            || size && beyond > 0 && node.now.size.is_some_and(|now| now >= beyond)
    }

    /// Returns the directory that a link led to later, if it led nowhere initially: calls created
    /// the directory, or moved it there.
    fn directory_that_came(
        &self,
        link: NodeId,
        directory: NodeId,
        find: Find<'_>,
    ) -> Option<NodeId> {
        let (dir, name) = self.node(link).stood.first()?;
        if !self.node(*dir).missing.contains(name) {
            return None;
        }
        let mut is_directory = |id: NodeId| match self.node(id).kind {
            FileType::Unknown => self
                .path(id)
                .and_then(|path| find(&path))
                .is_some_and(|found| found.kind == FileType::Directory),
            kind => kind == FileType::Directory,
        };
        let came = |id: &NodeId| {
            let node = self.node(*id);
            *id != directory
                && node.names.first().is_some_and(|(dir, name)| {
                    self.node(*dir).entries.get(name).is_some_and(|e| e.first.is_none())
                })
                && self.node(directory).entries.iter().all(|(name, e)| {
                    e.first.is_none()
                        || node.entries.get(name).map_or(node.initial, |e| e.now.is_some())
                })
                && is_directory(*id)
        };
        (0..self.nodes.len() as NodeId).find(came)
    }

    /// Returns the text of a link in `dir` that leads to the path `to`.
    fn target(&self, dir: NodeId, to: &[u8]) -> Option<Vec<u8>> {
        let target = relative(&self.first_path(dir)?, to);
        Some(if target.is_empty() { b".".to_vec() } else { target })
    }

    /// Sets that the link led to the directory `other`, which had the path `to`, in place of what
    /// was made up.
    fn lead_to(&mut self, link: NodeId, other: NodeId, to: Option<Vec<u8>>) {
        let Some((dir, _)) = self.node(link).stood.first().cloned() else { return };
        let size = self.node(link).first.size;
        let target = to.and_then(|to| self.target(dir, &to));
        let target = target.filter(|t| size.is_none_or(|n| n == t.len() as u64));
        let Some(target) = target else { return };
        let Some(made_up) = self.drop_made_up(link) else { return };
        self.node_mut(link).target = Some(target);
        self.merge(made_up, other);
    }

    /// Finds names that were followed by calls which change a file and show nothing of it. If
    /// another file has changed in that way, the name was a link to that one. A name that is still
    /// there is looked at in the file system, if there is one.
    pub fn lead_changed_links(&mut self, find: Find<'_>) {
        let all = 0..self.nodes.len() as NodeId;
        let followed = |names: &Self, id: NodeId| {
            let node = names.node(id);
            node.initial
                && node.followed
                && !node.confirmed
                && !node.is_virtual
                && node.id.is_none()
                && node.merged.is_none()
                && (node.names.is_empty() || names.no_file_system)
                && matches!(node.kind, FileType::Unknown | FileType::Regular)
                && names.was_changed(id)
        };
        let links: Vec<NodeId> = all.clone().filter(|id| followed(self, *id)).collect();
        if links.is_empty() {
            return;
        }
        let changed: Vec<(NodeId, Observed)> =
            all.filter_map(|id| Some((id, self.unexplained(id, find)?))).collect();
        for link in links {
            let (mode, _, size) = self.node(link).changed;
            let found = changed
                .iter()
                .find(|(other, seen)| *other != link && self.was_changed_to(link, *other, seen));
            let Some((other, _)) = found else { continue };
            if self.has_another_name(*other) {
                self.join(link, *other);
            } else if !self.lead_to_file(link, *other) {
                continue;
            }
            let other = self.node_mut(*other);
            other.changed.0 |= mode;
            other.changed.2 |= size;
        }
    }

    /// Returns whether a file had more names at first than are known.
    fn has_another_name(&self, file: NodeId) -> bool {
        let node = self.node(file);
        let is_file = node.initial && node.kind == FileType::Regular;
        is_file && node.first_links.is_some_and(|links| links as usize > node.stood.len())
    }

    /// Notes that the names of `file` are further names of `other`.
    fn join(&mut self, file: NodeId, other: NodeId) {
        for at in std::mem::take(&mut self.node_mut(file).names) {
            if let Some(entry) = self.node_mut(at.0).entries.get_mut(&at.1) {
                entry.now = Some(other);
            }
            self.node_mut(other).names.push(at);
        }
        for at in std::mem::take(&mut self.node_mut(file).stood) {
            if let Some(entry) = self.node_mut(at.0).entries.get_mut(&at.1) {
                entry.first = Some(other);
            }
            self.node_mut(other).stood.push(at);
        }
        self.merge(file, other);
    }

    /// Makes a followed name a link to the file `other`. Returns whether that is possible.
    fn lead_to_file(&mut self, link: NodeId, other: NodeId) -> bool {
        let Some((dir, _)) = self.node(link).stood.first() else { return false };
        let dir = self.node(link).followed_from.unwrap_or(*dir);
        let paths = self.first_path(dir).zip(self.path(other));
        let Some(target) = paths.map(|(dir, path)| relative(&dir, &path)) else { return false };
        let node = self.node_mut(link);
        node.kind = FileType::Link;
        node.target = Some(target);
        node.bytes = None;
        true
    }

    /// Returns attributes of a file that no call gave it: a call has seen them, or the file system
    /// shows them in the end.
    fn unexplained(&self, id: NodeId, find: Find<'_>) -> Option<Observed> {
        let node = self.node(id);
        if node.is_virtual || node.merged.is_some() || node.kind == FileType::Link {
            return None;
        }
        let known = &node.now;
        let mut seen =
            Observed { attributes: node.unexplained.clone(), ..Observed::kind(node.kind) };
        if known.mode.is_some() || known.size.is_some() {
            let found = self.path(id).and_then(|path| find(&path));
            if let Some(found) = found.filter(|found| found.kind == node.kind) {
                let differs = |a: Option<u64>, b: Option<u64>| a.is_some() && a != b;
                let (now, last) = (known, found.attributes);
                if differs(now.mode.map(u64::from), last.mode.map(u64::from)) {
                    seen.attributes.mode = last.mode;
                }
                if node.kind == FileType::Regular && differs(now.size, last.size) {
                    seen.attributes.size = last.size;
                }
            }
        }
        let found = &seen.attributes;
        let grown = node.read_beyond > 0 && !node.size_in_doubt;
        let any = found.mode.is_some() || found.size.is_some() || grown;
        any.then_some(seen)
    }
}
