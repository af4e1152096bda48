//! Files that unrecorded processes have replaced or removed.

use super::*;

impl Facts {
    /// Returns the file that is at the name now, if a call shows that it is not the one that was
    /// known there: its inode number was used again, or another file replaced it. `follow` and
    /// `path_use` are what the call does with the path.
    pub(super) fn find_other_file(
        &mut self,
        call: &Call,
        spec: &CallSpec,
        context: &Context,
        (follow, path_use): (bool, &PathUse),
        dir_entry: &DirEntry,
    ) -> Option<NodeId> {
        self.find_file_with_reused_inode(call, spec, follow, dir_entry)
            .or_else(|| self.find_replaced_file(call, spec, context, path_use, dir_entry))
    }

    /// If a call opened another file than the one that is known to have this name, adds the change
    /// that an unrecorded process replaced the file. Returns the new file, or `None` if that is not
    /// so.
    fn find_replaced_file(
        &mut self,
        call: &Call,
        spec: &CallSpec,
        context: &Context,
        used: &PathUse,
        dir_entry: &DirEntry,
    ) -> Option<NodeId> {
        let (Role::Open(_), EntryState::Node(node)) = (used.role, dir_entry.state) else {
            return None;
        };
        let (identity, _) = call.identity(RESULT).filter(|_| spec.ret == Ret::Fd)?;
        let found = stable_identity(&identity)?;
        let known = self.names.node(node);
        let former = known.opened_identity?;
        let kind = FileType::of_mode(identity.mode);
        if former == found
            || former.from_kernel != found.from_kernel
            || known.merged_into.is_some()
            || kind == FileType::Directory
        {
            return None;
        }
        self.add_appeared_file(call, spec, context, dir_entry, ChangeKind::Replaced)
    }

    /// If nothing but an unrecorded process can have removed this name, which is known to have
    /// existed, adds that change and removes the name. Returns whether it did.
    pub(super) fn remove_vanished_name(
        &mut self,
        call: &Call,
        dir_entry: &DirEntry,
        node: NodeId,
        follow: bool,
    ) -> bool {
        let known = self.names.node(node);
        // A file that was only presumed may never have existed, and a link may lead to a path that
        // does not exist.
        let certain = matches!(known.kind, FileType::Regular | FileType::Directory)
            && (known.id.is_some() || known.opened_identity.is_some())
            && !known.presumed
            && !known.has_made_up_name
            && known.merged_into.is_none();
        let may_lead_nowhere = follow && !known.confirmed && known.opened_identity.is_none();
        if !certain
            || may_lead_nowhere
            || self.unrecorded.overlapping.may_have_changed_name(call, &dir_entry.name)
        {
            return false;
        }
        let Some(path) = self.names.path_in(dir_entry.dir, &dir_entry.name) else { return false };
        let after = self.names.node(node).last_call;
        self.names.detach(dir_entry, node);
        self.add_change(Change { after, ..new_change(call, path, ChangeKind::Removed) }, None);
        true
    }
}
