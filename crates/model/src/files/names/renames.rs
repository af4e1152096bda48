//! Renames. A rename between two hard links of one file changes nothing. Later calls, or the file
//! system at the end, show whether that was so.

use super::*;

impl Names {
    /// Applies a rename of the file at `from`, of which the call showed `seen`, to `to`. A file
    /// that had the name `to` loses it, and the types of both are learned from each other: only
    /// directories replace directories. A rename between two hard links of one file changes
    /// nothing.
    pub fn rename(&mut self, from: &DirEntry, to: &DirEntry, seen: &Observed) {
        let node = self.note_exists(from, seen);
        if self.node(to.dir).entries.get(&to.name).is_some_and(|e| e.current == Some(node)) {
            return; // rename(2): two links to one file stay
        }
        let to_is_unknown = !self.node(to.dir).entries.contains_key(&to.name);
        if self.node(node).initial && self.node(to.dir).initial {
            let same_file = to_is_unknown
                && self
                    .path_in(from.dir, &from.name)
                    .zip(self.path_in(to.dir, &to.name))
                    .is_some_and(|(a, b)| self.live.same(&a, &b));
            if self.undecided_renames.len() < MAX_RENAMES {
                self.undecided_renames.insert(
                    (from.dir, from.name.clone()),
                    UndecidedRename { file: node, new_name: to.clone(), had_no_effect: same_file },
                );
            }
            if same_file {
                return self.attach(to, node, true);
            }
        }
        if to_is_unknown
            && self.node(to.dir).initial
            && self.renamed_over_unknown.len() < MAX_RENAMES
        {
            self.renamed_over_unknown.entry((to.dir, to.name.clone())).or_insert(node);
        }
        if let Some(Some(old)) = self.node(to.dir).entries.get(&to.name).map(|e| e.current) {
            // Only a directory replaces a directory.
            let types_are_certain =
                !self.may_be_behind_a_link(node) && !self.may_be_behind_a_link(old);
            match (self.node(node).kind, self.node(old).kind) {
                // The replaced file is no directory, and the name not that of a link to one.
                (FileType::Unknown, replaced)
                    if !matches!(replaced, FileType::Unknown | FileType::Directory) =>
                {
                    self.node_mut(node).observe(&Observed::not_directory());
                }
                _ if !types_are_certain => {}
                (FileType::Directory, FileType::Unknown) => {
                    self.node_mut(old).kind = FileType::Directory;
                }
                (FileType::Unknown, FileType::Directory) if !self.node(node).not_directory => {
                    self.node_mut(node).kind = FileType::Directory;
                }
                (FileType::Unknown | FileType::Directory, _) => {}
                _ => {
                    self.note_exists(to, &Observed::not_directory());
                }
            }
            let type_is_open = self.node(old).kind == FileType::Unknown || !types_are_certain;
            if self.replaced_by_rename.len() < MAX_RENAMES && type_is_open {
                self.replaced_by_rename.push((node, old));
            }
            let (likely_type, replaced) =
                (self.node(node).likely_type(), self.node(old).likely_type());
            if likely_type == FileType::Unknown
                && types_are_certain
                && replaced == FileType::Directory
                && !self.node(node).not_directory
            {
                self.node_mut(node).guessed_type = FileType::Directory;
            }
        }
        self.remove(from, seen);
        self.link(to, node);
    }

    /// Notes that the old name of a rename which seemed to have no effect is gone, so that the
    /// rename moved the file. Returns whether there was such a rename.
    pub fn rename_took_place(&mut self, dir_entry: &DirEntry) -> bool {
        let Some((node, to)) = self.take_undecided_rename(dir_entry, true) else { return false };
        let new_name = (to.dir, to.name);
        if let Some(entry) = self.node_mut(new_name.0).entries.get_mut(&new_name.1) {
            entry.initial = None;
        }
        self.node_mut(node).initial_names.retain(|name| *name != new_name);
        self.detach(dir_entry, node);
        true
    }

    /// Notes that a path led on behind a name, and that nothing was found. If a rename of the name
    /// seemed to have no effect, it moved the file after all, and the name is gone: if it were a
    /// hard link of a file that is no directory, the error would be another one. Returns whether
    /// there was such a rename.
    pub(super) fn is_gone_by_rename(&mut self, dir_entry: &DirEntry) -> bool {
        let rename = self.undecided_renames.get(&(dir_entry.dir, dir_entry.name.clone()));
        let Some(&UndecidedRename { file, had_no_effect: true, .. }) = rename else { return false };
        self.learn_type(file);
        self.node(file).kind != FileType::Link && self.rename_took_place(dir_entry)
    }

    /// Notes that the old name of a rename is still there, so that both names were hard links of
    /// one file. `seen` is what is there; `is_older` is whether that is older than the recording.
    /// Returns the file. Returns `None` if there was no such rename, or another file is there.
    pub fn rename_did_nothing(
        &mut self,
        dir_entry: &DirEntry,
        seen: Option<&Observed>,
        is_older: bool,
    ) -> Option<NodeId> {
        let (node, to) = self.take_undecided_rename(dir_entry, false)?;
        let inode = seen.and_then(|seen| seen.id);
        let is_same_file = match inode.zip(self.node(node).id) {
            Some((seen, known)) => seen == known,
            None => is_older || !self.searches_unrecorded,
        };
        if !is_same_file || self.node(node).kind == FileType::Directory {
            return None;
        }
        let new_name = (to.dir, to.name);
        let entry = *self.node(new_name.0).entries.get(&new_name.1)?;
        let EntryState::Node(former) = to.state else {
            self.node_mut(new_name.0)
                .entries
                .insert(new_name.1.clone(), Entry { initial: Some(node), ..entry });
            self.node_mut(node).initial_names.push(new_name);
            self.attach(dir_entry, node, false);
            return Some(node);
        };
        // The file was known under its new name only.
        if entry.current != Some(node)
            || entry.initial != Some(former)
            || self.node(former).kind == FileType::Directory
        {
            return None;
        }
        self.node_mut(new_name.0)
            .entries
            .insert(new_name.1.clone(), Entry { current: Some(former), ..entry });
        self.node_mut(former).names.push(new_name);
        let old_entry = self.node_mut(dir_entry.dir).entries.get_mut(&dir_entry.name)?;
        old_entry.initial =
            old_entry.initial.map(|first| if first == node { former } else { first });
        self.attach(dir_entry, former, false);
        let initial_names = std::mem::take(&mut self.node_mut(node).initial_names);
        self.node_mut(former).initial_names.extend(initial_names);
        self.node_mut(node).names.clear();
        self.merge(node, former);
        Some(former)
    }

    /// Removes the undecided rename of this old name, and returns the renamed file and its new
    /// name. Returns `None` if there is none, or if it was not taken for what `had_no_effect` says.
    fn take_undecided_rename(
        &mut self,
        dir_entry: &DirEntry,
        had_no_effect: bool,
    ) -> Option<(NodeId, DirEntry)> {
        let rename = self.undecided_renames.get(&(dir_entry.dir, dir_entry.name.clone()))?;
        let state = if had_no_effect { EntryState::Node(rename.file) } else { EntryState::Absent };
        let found = (rename.had_no_effect == had_no_effect && dir_entry.state == state)
            .then(|| (rename.file, rename.new_name.clone()))?;
        self.undecided_renames.remove(&(dir_entry.dir, dir_entry.name.clone()));
        Some(found)
    }

    /// Applies an exchange of the files at both names.
    pub fn exchange(&mut self, a: &DirEntry, b: &DirEntry) {
        let (file_a, file_b) = (
            self.note_exists(a, &Observed::of_type(FileType::Unknown)),
            self.note_exists(b, &Observed::of_type(FileType::Unknown)),
        );
        self.remove_name(file_a, a);
        self.remove_name(file_b, b);
        self.attach(a, file_b, false);
        self.attach(b, file_a, false);
    }

    /// Decides about the renames that no later call decided: if the live file system still has the
    /// old name, unchanged since before the recording, both names were hard links of one file.
    pub(super) fn decide_remaining_renames(&mut self) {
        let old_names: Vec<_> = self.undecided_renames.keys().cloned().collect();
        for (dir, name) in old_names {
            let state = EntryState::Absent;
            if self.node(dir).entries.get(&name).is_none_or(|entry| entry.current.is_some()) {
                continue;
            }
            let seen = self.path_in(dir, &name).and_then(|path| self.live.older(&path));
            if seen.is_some() {
                self.rename_did_nothing(&DirEntry { dir, name, state }, seen.as_ref(), true);
            }
        }
    }

    /// Returns whether a file that was renamed is known to be no directory.
    fn is_no_directory(&mut self, id: NodeId) -> bool {
        self.learn_type(id);
        let node = self.node(id);
        match node.kind {
            FileType::Unknown => node.not_directory,
            kind => kind != FileType::Directory,
        }
    }

    /// If a file that is no directory has replaced one of unknown type, notes that this one was no
    /// directory either.
    pub fn learn_types_of_replaced(&mut self) {
        for (renamed, replaced) in self.replaced_by_rename.clone() {
            if self.is_no_directory(renamed) && self.node(replaced).kind == FileType::Unknown {
                self.node_mut(replaced).observe(&Observed::not_directory());
            }
        }
    }

    /// Returns the files that were renamed to the name of a directory.
    pub fn replaced_directories(&self) -> Vec<NodeId> {
        let is_directory = |replaced: &NodeId| self.node(*replaced).kind == FileType::Directory;
        self.replaced_by_rename
            .iter()
            .filter(|(_, replaced)| is_directory(replaced))
            .map(|(renamed, _)| *renamed)
            .collect()
    }

    /// If a file that is no directory has replaced a name that was followed to a directory, that
    /// name was a symbolic link to the directory: adds the link.
    pub(super) fn split_replaced_links(&mut self) {
        for (renamed, replaced) in self.replaced_by_rename.clone() {
            if !self.is_no_directory(renamed) || !self.may_be_behind_a_link(replaced) {
                continue;
            }
            let Some((dir, name)) = self.node(replaced).initial_names.first().cloned() else {
                continue;
            };
            let state = EntryState::Node(replaced);
            self.split_off_link(
                &DirEntry { dir, name, state },
                replaced,
                &Observed::not_directory(),
            );
        }
    }
}
