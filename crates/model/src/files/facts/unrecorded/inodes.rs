//! Inode numbers that were given to new files after unrecorded processes had removed the old ones.

use super::*;

impl Facts {
    /// Returns whether the inode number of a found file belonged to a file that unrecorded
    /// processes have removed, and adds that change. `proven` is whether both names are those of
    /// the files themselves, not of links.
    pub(super) fn was_recycled(
        &mut self,
        call: &Call,
        dir_entry: &DirEntry,
        seen: &Observed,
        other: NodeId,
        proven: bool,
    ) -> bool {
        let node = self.names.node(other);
        let [(dir, name)] = &node.names[..] else { return false };
        let (dir, name) = (*dir, name.clone());
        let differs = node.now.size.zip(seen.attributes.size).is_some_and(|(a, b)| a != b);
        let doubtful = self.names.doubtful.contains(&(dir, name.clone()));
        let one = seen.links == Some(1) && node.kind == FileType::Regular;
        if !one
            || !(proven || differs || dir == dir_entry.dir && name != dir_entry.name)
            || doubtful
            || self.outside.overlapping.may_have_changed_name(call, &name)
        {
            return false;
        }
        let after = node.last;
        let Some(path) = self.names.path_in(dir, &name) else { return false };
        let state = EntryState::Node(other);
        self.names.detach(&DirEntry { dir, name, state }, other);
        self.add_change(Change { after, ..change(call, path, ChangeKind::Removed) }, None);
        true
    }

    /// Returns the file whose inode number the file at this name has now, if it was removed: no
    /// call had looked at the name before, and the file has one link, so its number was given
    /// again.
    ///
    /// Nothing else follows from equal numbers: a symbolic link to the other file, and a directory
    /// that is reached in two ways, show the same number.
    pub(super) fn inode_was_reused(
        &mut self,
        call: &Call,
        spec: &CallSpec,
        follow: bool,
        dir_entry: &DirEntry,
    ) -> Option<NodeId> {
        let opened = call.identity(RESULT).filter(|_| spec.ret == Ret::Fd);
        let seen = match &opened {
            Some((identity, _)) => Observed::of_identity(identity),
            None => stat_result(call, spec)?,
        };
        let other = self.names.named(seen.id?)?;
        let listed = match dir_entry.state {
            EntryState::Node(node) if node == other || self.names.node(node).id.is_some() => {
                return None;
            }
            state => matches!(state, EntryState::Node(_)),
        };
        if seen.links != Some(1) {
            return None;
        }
        let path = self.names.path_in(dir_entry.dir, &dir_entry.name)?;
        // No link of any directory led there.
        let straight = match &opened {
            Some((_, real)) => *real == path,
            None => self.names.is_the_file(&path, &seen),
        };
        if !straight && (follow || opened.is_some()) {
            return None;
        }
        let node = self.names.node(other);
        let proven = node.confirmed || !node.initial;
        // While the program has the other file open, its number is not free: it was renamed.
        let held = |(file, n): &(Weak<OpenFile>, NodeId)| *n == other && file.strong_count() > 0;
        if !proven
            || !self.names.is_apart(other, dir_entry.dir, straight)
            || self.open.values().any(held)
            || self.outside.overlapping.may_have_changed_name(call, &dir_entry.name)
            || !self.was_recycled(call, dir_entry, &seen, other, true)
        {
            return None;
        }
        // What was only listed takes the number.
        if listed {
            return None;
        }
        let node = self.names.appear(dir_entry, &seen);
        self.add_change(change(call, path, ChangeKind::Made), Some(node));
        Some(node)
    }
}
