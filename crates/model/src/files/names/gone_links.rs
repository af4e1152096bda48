//! Symbolic links that were removed before a call read their targets. At the end, the file system
//! shows under the target what calls did through such a link.

use super::links::{MAX_DEPTH, relative_path};
use super::{DirEntry, EntryState, MAX_RENAMES, Names, ROOT};
use crate::files::node::{NodeId, Observed};
use crate::files::row::FileType;
use ahash::HashMap;

/// Returns what is at a path of the file system at the end.
type Find<'a> = &'a mut dyn FnMut(&[u8]) -> Option<Observed>;

impl Names {
    /// Sets the targets of symbolic links that no call read and that are gone, by the file system
    /// at the end. `vanished` are directories whose names are gone although no call removed them,
    /// so that the names may have been those of links to other directories.
    pub(super) fn find_targets_of_gone_links(&mut self, vanished: &[NodeId], find: Find<'_>) {
        let mut cache: HashMap<Box<[u8]>, Option<Observed>> = HashMap::default();
        let find: Find<'_> = &mut |path| {
            if let Some(cached) = cache.get(path) {
                return cached.clone();
            }
            let seen = find(path);
            if cache.len() < MAX_RENAMES {
                cache.insert(path.into(), seen.clone());
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
                .or_else(|| self.same_directory_by_changed_file(directory, &directories, find));
            if let Some(other) = other {
                self.set_link_to_directory(link, other, self.initial_path(other));
            } else if let Some(other) = self.directory_created_later(link, directory, find) {
                self.set_link_to_directory(link, other, self.path(other));
            }
        }
        for &directory in vanished {
            let Some((dir, name)) = self.node(directory).names.first().cloned() else { continue };
            let other = self.directory_that_changed(directory, &directories, find);
            let target = other.and_then(|other| self.target_text(dir, &self.initial_path(other)?));
            let Some(target) = target else { continue };
            let seen = Observed { target: Some(target), ..Observed::of_type(FileType::Link) };
            self.split_off_link(
                &DirEntry { dir, name, state: EntryState::Node(directory) },
                directory,
                &seen,
            );
        }
        self.find_links_by_changes(find);
    }

    /// Returns, for each name that calls changed in a directory that may have been reached through
    /// a symbolic link, all directories in which calls used the name.
    fn directories_by_name(&self, vanished: &[NodeId]) -> HashMap<Box<[u8]>, Vec<NodeId>> {
        let mut by_name: HashMap<Box<[u8]>, Vec<NodeId>> = HashMap::default();
        let links = self.nodes.iter().filter_map(|node| node.leads_to);
        for directory in links.chain(vanished.iter().copied()) {
            let entries = self.node(directory).entries.iter();
            let changed = entries.filter(|(_, entry)| {
                entry.initial != entry.current
                    || entry.initial.is_some_and(|file| self.was_changed(file))
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

    /// Notes that a rename to a name in `directory` was refused, as it would have moved a directory
    /// into itself: `above` is `directory` or above it.
    pub fn note_directory_inside(&mut self, directory: NodeId, above: NodeId) {
        if self.directories_inside.len() < MAX_RENAMES {
            self.directories_inside.push((directory, above));
        }
    }

    /// Returns the directory that a refused rename showed to be this one or above it. Without other
    /// evidence, it is taken for this one.
    fn directory_above(&self, directory: NodeId) -> Option<NodeId> {
        let (_, above) =
            self.directories_inside.iter().find(|(inner, _)| self.holds(directory, *inner))?;
        Some(self.follow_merges(*above)).filter(|above| *above != directory)
    }

    /// Returns whether `directory` is `other`, or is above it.
    fn holds(&self, directory: NodeId, mut other: NodeId) -> bool {
        for _ in 0..MAX_DEPTH {
            match self.node(other).names.first() {
                _ if other == directory => return true,
                Some((above, _)) if other != ROOT => other = *above,
                _ => return false,
            }
        }
        false
    }

    /// Returns another directory that has the inode number of this one, or that holds a file with
    /// the inode number of one of the files in this one.
    fn directory_of_same_inode(&self, directory: NodeId, find: Find<'_>) -> Option<NodeId> {
        if let Some(id) = self.node(directory).id {
            let has_same_inode = |other: &NodeId| {
                let node = self.node(*other);
                let is_other = *other != directory && node.kind == FileType::Directory;
                is_other
                    && node.merged_into.is_none()
                    && match node.id {
                        Some(known) => known == id,
                        None => {
                            let found = self.path(*other).and_then(|path| find(&path));
                            found.and_then(|found| found.id) == Some(id)
                        }
                    }
            };
            if let Some(other) = (0..self.nodes.len() as NodeId).find(has_same_inode) {
                return Some(other);
            }
        }
        self.node(directory).entries.iter().find_map(|(name, e)| {
            let file = e.initial?;
            let id = find(&self.path(file)?)?.id?;
            let known = *self.by_inode.get(&id).filter(|known| **known != file)?;
            let mut names = self.node(known).initial_names.iter().chain(&self.node(known).names);
            names
                .find(|(dir, other_name)| other_name == name && *dir != directory)
                .map(|(dir, _)| *dir)
        })
    }

    /// Returns another directory that the file system shows to have changed as calls changed
    /// `directory`: a name that they removed is gone, or one that they created is there.
    /// `directories` are the candidates, by the names in them.
    fn directory_that_changed(
        &self,
        directory: NodeId,
        directories: &HashMap<Box<[u8]>, Vec<NodeId>>,
        find: Find<'_>,
    ) -> Option<NodeId> {
        let entries = self.node(directory).entries.iter();
        let mut changed = entries.filter(|(_, e)| e.initial.is_some() != e.current.is_some());
        changed.find_map(|(name, change)| {
            directories.get(name)?.iter().copied().find(|other| {
                let known = self.node(*other).entries.get(name).map(|e| e.current.is_some());
                *other != directory
                    && known == Some(change.initial.is_some())
                    && self
                        .path_in(*other, name)
                        .is_some_and(|path| find(&path).is_some() == change.current.is_some())
            })
        })
    }

    /// Returns a directory that is likely the same as `directory`, which calls reached through a
    /// symbolic link that is gone: it holds a file whose permissions or size at the end only those
    /// calls explain which changed the file of the same name in `directory`. `directories` are the
    /// candidates, by the names in them; `find` shows a path at the end.
    fn same_directory_by_changed_file(
        &self,
        directory: NodeId,
        directories: &HashMap<Box<[u8]>, Vec<NodeId>>,
        find: Find<'_>,
    ) -> Option<NodeId> {
        let entries = self.node(directory).entries.iter();
        let mut changed = entries.filter_map(|(name, e)| {
            Some((name, e.initial.filter(|file| self.was_changed(*file))?))
        });
        changed.find_map(|(name, file)| {
            directories.get(name)?.iter().copied().find(|other| {
                let other_file = self.node(*other).entries.get(name).and_then(|e| e.current);
                other_file
                    .filter(|other_file| *other_file != file)
                    .and_then(|other_file| {
                        Some((other_file, self.unexplained_attributes(other_file, find)?))
                    })
                    .is_some_and(|(other_file, seen)| self.was_changed_to(file, other_file, &seen))
            })
        })
    }

    /// Returns whether calls changed the permissions or the size of a file.
    fn was_changed(&self, file: NodeId) -> bool {
        let changed = self.node(file).changed;
        changed.mode || changed.size
    }

    /// Returns whether calls gave `file` the permissions or the size that were seen of `other`,
    /// although no call gave them to `other`.
    fn was_changed_to(&self, file: NodeId, other: NodeId, other_attributes: &Observed) -> bool {
        let read_beyond = self.node(other).read_beyond;
        let node = self.node(file);
        let changed = node.changed;
        let other_attributes = &other_attributes.attributes;
        changed.mode
            && other_attributes.mode.is_some()
            && other_attributes.mode == node.current_attributes.mode
            || changed.size
                && other_attributes.size.is_some()
                && other_attributes.size == node.current_attributes.size
            || changed.size
                && read_beyond > 0
                && node.current_attributes.size.is_some_and(|now| now >= read_beyond)
    }

    /// Returns the directory that a symbolic link led to later, if it led to a path that did not
    /// exist when the recording began: calls created the directory, or moved it there.
    fn directory_created_later(
        &self,
        link: NodeId,
        directory: NodeId,
        find: Find<'_>,
    ) -> Option<NodeId> {
        let (dir, name) = self.node(link).initial_names.first()?;
        if !self.node(*dir).not_found_names.contains(name) {
            return None;
        }
        let mut is_directory = |id: NodeId| match self.node(id).kind {
            FileType::Unknown => self
                .path(id)
                .and_then(|path| find(&path))
                .is_some_and(|found| found.kind == FileType::Directory),
            kind => kind == FileType::Directory,
        };
        let is_target = |id: &NodeId| {
            let node = self.node(*id);
            *id != directory
                && node.names.first().is_some_and(|(dir, name)| {
                    self.node(*dir).entries.get(name).is_some_and(|entry| entry.initial.is_none())
                })
                && self.node(directory).entries.iter().all(|(name, entry)| {
                    entry.initial.is_none()
                        || node
                            .entries
                            .get(name)
                            .map_or(node.initial, |entry| entry.current.is_some())
                })
                && is_directory(*id)
        };
        (0..self.nodes.len() as NodeId).find(is_target)
    }

    /// Returns the target of a symbolic link in `dir` that leads to `path`. Returns `None` if `dir`
    /// had no name when the recording began.
    fn target_text(&self, dir: NodeId, path: &[u8]) -> Option<Vec<u8>> {
        let target = relative_path(&self.initial_path(dir)?, path);
        Some(if target.is_empty() { b".".to_vec() } else { target })
    }

    /// Sets that a symbolic link led to the directory `other`, which had this path, instead of to a
    /// made-up name. Changes nothing if the link had another length.
    fn set_link_to_directory(&mut self, link: NodeId, other: NodeId, path: Option<Vec<u8>>) {
        let Some((dir, _)) = self.node(link).initial_names.first().cloned() else { return };
        let size = self.node(link).initial_attributes.size;
        let target = path.and_then(|path| self.target_text(dir, &path));
        let target = target.filter(|t| size.is_none_or(|len| len == t.len() as u64));
        let Some(target) = target else { return };
        let Some(made_up) = self.drop_made_up(link) else { return };
        self.node_mut(link).target = Some(target);
        self.merge(made_up, other);
    }

    /// Looks for names that were followed by calls which change a file and show nothing of it. If
    /// another file has changed in that way, the name was a symbolic link to it, or another hard
    /// link of it. A name that is still there is only considered if there is no file system to look
    /// at.
    pub fn find_links_by_changes(&mut self, find: Find<'_>) {
        let all_files = 0..self.nodes.len() as NodeId;
        let may_be_link = |names: &Self, id: NodeId| {
            let node = names.node(id);
            node.initial
                && node.followed
                && !node.confirmed
                && !node.is_virtual
                && node.id.is_none()
                && node.merged_into.is_none()
                && (node.names.is_empty() || names.no_file_system)
                && matches!(node.kind, FileType::Unknown | FileType::Regular)
                && names.was_changed(id)
        };
        let links: Vec<NodeId> = all_files.clone().filter(|id| may_be_link(self, *id)).collect();
        if links.is_empty() {
            return;
        }
        let changed_files: Vec<(NodeId, Observed)> =
            all_files.filter_map(|id| Some((id, self.unexplained_attributes(id, find)?))).collect();
        for link in links {
            let changed = self.node(link).changed;
            let found = changed_files
                .iter()
                .find(|(other, seen)| *other != link && self.was_changed_to(link, *other, seen));
            let Some((other, _)) = found else { continue };
            if self.has_another_name(*other) {
                self.move_names(link, *other);
            } else if !self.make_link_to_file(link, *other) {
                continue;
            }
            let other = self.node_mut(*other);
            other.changed.mode |= changed.mode;
            other.changed.size |= changed.size;
        }
    }

    /// Returns whether a file had more hard links when the recording began than names of it are
    /// known.
    fn has_another_name(&self, file: NodeId) -> bool {
        let node = self.node(file);
        let is_file = node.initial && node.kind == FileType::Regular;
        is_file && node.initial_links.is_some_and(|count| count as usize > node.initial_names.len())
    }

    /// Notes that `file` is the same file as `other`: gives its names to `other`, and merges the
    /// two.
    fn move_names(&mut self, file: NodeId, other: NodeId) {
        for name in std::mem::take(&mut self.node_mut(file).names) {
            if let Some(entry) = self.node_mut(name.0).entries.get_mut(&name.1) {
                entry.current = Some(other);
            }
            self.node_mut(other).names.push(name);
        }
        for name in std::mem::take(&mut self.node_mut(file).initial_names) {
            if let Some(entry) = self.node_mut(name.0).entries.get_mut(&name.1) {
                entry.initial = Some(other);
            }
            self.node_mut(other).initial_names.push(name);
        }
        self.merge(file, other);
    }

    /// Turns a followed name into a symbolic link to the file `other`. Returns false, and changes
    /// nothing, if there is no path for the target.
    fn make_link_to_file(&mut self, link: NodeId, other: NodeId) -> bool {
        let Some((dir, _)) = self.node(link).initial_names.first() else { return false };
        let dir = self.node(link).followed_from.unwrap_or(*dir);
        let paths = self.initial_path(dir).zip(self.path(other));
        let Some(target) = paths.map(|(dir, path)| relative_path(&dir, &path)) else {
            return false;
        };
        let node = self.node_mut(link);
        node.kind = FileType::Link;
        node.target = Some(target);
        node.bytes = None;
        true
    }

    /// Returns the permissions and the size of a file that no call gave it: a call has seen them,
    /// or the file system shows them at the end. Returns `None` if there are none.
    fn unexplained_attributes(&self, id: NodeId, find: Find<'_>) -> Option<Observed> {
        let node = self.node(id);
        if node.is_virtual || node.merged_into.is_some() || node.kind == FileType::Link {
            return None;
        }
        let known = &node.current_attributes;
        let mut seen = Observed {
            attributes: node.unexplained_attributes.clone(),
            ..Observed::of_type(node.kind)
        };
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
