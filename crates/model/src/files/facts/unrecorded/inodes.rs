//! Inode numbers that were given to new files after unrecorded processes had removed the old ones.

use super::*;

impl Facts {
    /// A call found a file at `dir_entry` with the inode number of `former`, which is known under
    /// another name. If unrecorded processes must have removed `former` before, so that its number
    /// was given to the new file, adds that change and removes the name. `both_without_links` is
    /// whether both names are those of the files themselves, not of symbolic links. Returns whether
    /// `former` was removed.
    pub(super) fn remove_former_file(
        &mut self,
        call: &Call,
        dir_entry: &DirEntry,
        found: &Observed,
        former: NodeId,
        both_without_links: bool,
    ) -> bool {
        let node = self.names.node(former);
        let [(dir, name)] = &node.names[..] else { return false };
        let (dir, name) = (*dir, name.clone());
        let size_differs =
            node.current_attributes.size.zip(found.attributes.size).is_some_and(|(a, b)| a != b);
        let is_doubtful = self.names.doubtful_names.contains(&(dir, name.clone()));
        let has_one_name = found.links == Some(1) && node.kind == FileType::Regular;
        if !has_one_name
            || !(both_without_links
                || size_differs
                || dir == dir_entry.dir && name != dir_entry.name)
            || is_doubtful
            || self.unrecorded.overlapping.may_have_changed_name(call, &name)
        {
            return false;
        }
        let after = node.last_call;
        let Some(path) = self.names.path_in(dir, &name) else { return false };
        let state = EntryState::Node(former);
        self.names.detach(&DirEntry { dir, name, state }, former);
        self.add_change(Change { after, ..new_change(call, path, ChangeKind::Removed) }, None);
        true
    }

    /// If a call found a file at `dir_entry` that has the inode number of another file, which
    /// unrecorded processes must have removed, adds the changes and returns the new file. Returns
    /// `None` if that is not so, or if the name was known from a listing: its file then takes the
    /// number.
    ///
    /// This is only concluded if no call had looked at the name before and the file has one link.
    /// Nothing else follows from equal numbers: a symbolic link to the other file, and a directory
    /// that is reached in two ways, show the same number.
    pub(super) fn find_file_with_reused_inode(
        &mut self,
        call: &Call,
        spec: &CallSpec,
        follow: bool,
        dir_entry: &DirEntry,
    ) -> Option<NodeId> {
        let opened = call.identity(RESULT).filter(|_| spec.ret == Ret::Fd);
        let found = match &opened {
            Some((identity, _)) => Observed::of_identity(identity),
            None => observed_by_stat(call, spec)?,
        };
        let former = self.names.find_by_inode(found.id?)?;
        let only_listed = match dir_entry.state {
            EntryState::Node(node) if node == former || self.names.node(node).id.is_some() => {
                return None;
            }
            state => matches!(state, EntryState::Node(_)),
        };
        if found.links != Some(1) {
            return None;
        }
        let path = self.names.path_in(dir_entry.dir, &dir_entry.name)?;
        // Whether no symbolic link led to the name.
        let without_links = match &opened {
            Some((_, real)) => *real == path,
            None => self.names.is_at_path_itself(&path, &found),
        };
        if !without_links && (follow || opened.is_some()) {
            return None;
        }
        let node = self.names.node(former);
        let former_is_certain = node.confirmed || !node.initial;
        // While the program has the other file open, its inode number is not free: the file was
        // renamed.
        let is_open =
            |(file, n): &(Weak<OpenFile>, NodeId)| *n == former && file.strong_count() > 0;
        if !former_is_certain
            || !self.names.cannot_be_other_name(former, dir_entry.dir, without_links)
            || self.open_files.values().any(is_open)
            || self.unrecorded.overlapping.may_have_changed_name(call, &dir_entry.name)
            || !self.remove_former_file(call, dir_entry, &found, former, true)
        {
            return None;
        }
        // The file that was only listed gets the inode number.
        if only_listed {
            return None;
        }
        let node = self.names.add_unrecorded_file(dir_entry, &found);
        self.add_change(new_change(call, path, ChangeKind::Made), Some(node));
        Some(node)
    }
}
