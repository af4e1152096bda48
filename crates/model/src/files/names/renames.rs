//! Renames. One between two links to a file changes nothing, which shows by later calls, or at the
//! end.

use super::*;

impl Names {
    /// Moves the file at `from` to `to`. What was there is gone.
    pub fn rename(&mut self, from: &DirEntry, to: &DirEntry, seen: &Observed) {
        let node = self.note_exists(from, seen);
        if self.node(to.dir).entries.get(&to.name).is_some_and(|e| e.now == Some(node)) {
            return; // rename(2): two links to one file stay
        }
        let unknown = !self.node(to.dir).entries.contains_key(&to.name);
        if self.node(node).initial && self.node(to.dir).initial {
            let same = unknown
                && self
                    .path_in(from.dir, &from.name)
                    .zip(self.path_in(to.dir, &to.name))
                    .is_some_and(|(a, b)| self.live.same(&a, &b));
            if self.undecided_renames.len() < MAX_RENAMES {
                self.undecided_renames
                    .insert((from.dir, from.name.clone()), (node, to.clone(), same));
            }
            if same {
                return self.attach(to, node, true);
            }
        }
        if unknown && self.node(to.dir).initial && self.covered.len() < MAX_RENAMES {
            self.covered.entry((to.dir, to.name.clone())).or_insert(node);
        }
        if let Some(Some(old)) = self.node(to.dir).entries.get(&to.name).map(|e| e.now) {
            // Only a directory replaces a directory.
            let certain = !self.may_be_behind_a_link(node) && !self.may_be_behind_a_link(old);
            match (self.node(node).kind, self.node(old).kind) {
                // Behind a link or not, what was replaced is no directory.
                (FileType::Unknown, replaced)
                    if !matches!(replaced, FileType::Unknown | FileType::Directory) =>
                {
                    self.node_mut(node).observe(&Observed::leaf());
                }
                _ if !certain => {}
                (FileType::Directory, FileType::Unknown) => {
                    self.node_mut(old).kind = FileType::Directory;
                }
                (FileType::Unknown, FileType::Directory) if !self.node(node).leaf => {
                    self.node_mut(node).kind = FileType::Directory;
                }
                (FileType::Unknown | FileType::Directory, _) => {}
                _ => {
                    self.note_exists(to, &Observed::leaf());
                }
            }
            let open = self.node(old).kind == FileType::Unknown || !certain;
            if self.replaced.len() < MAX_RENAMES && open {
                self.replaced.push((node, old));
            }
            let (likely, replaced) = (self.node(node).likely_kind(), self.node(old).likely_kind());
            if likely == FileType::Unknown
                && certain
                && replaced == FileType::Directory
                && !self.node(node).leaf
            {
                self.node_mut(node).guess = FileType::Directory;
            }
        }
        self.remove(from, seen);
        self.link(to, node);
    }

    /// Notes that the old name of a rename which seemed to have no effect is gone, so that it had
    /// one. Returns whether there was such a rename.
    pub fn rename_took_place(&mut self, dir_entry: &DirEntry) -> bool {
        let Some((node, to)) = self.take_undecided_rename(dir_entry, true) else { return false };
        let at = (to.dir, to.name);
        if let Some(entry) = self.node_mut(at.0).entries.get_mut(&at.1) {
            entry.first = None;
        }
        self.node_mut(node).stood.retain(|stood| *stood != at);
        self.detach(dir_entry, node);
        true
    }

    /// Notes that a path led on behind a name, and that nothing was found there. If a rename of the
    /// name seemed to have no effect, it had one: both names were not links to one file, as that is
    /// no directory, and the error would be another one. Returns whether there was such a rename.
    pub(super) fn is_gone_by_rename(&mut self, dir_entry: &DirEntry) -> bool {
        let renamed = self.undecided_renames.get(&(dir_entry.dir, dir_entry.name.clone()));
        let Some((node, _, true)) = renamed else { return false };
        let node = *node;
        self.learn_type(node);
        self.node(node).kind != FileType::Link && self.rename_took_place(dir_entry)
    }

    /// Notes that the old name of a rename is still there, so that both names were hard links of
    /// one file. `seen` is what is there; `old` is whether it was there before the recording.
    /// Returns the file, if there was such a rename.
    pub fn rename_did_nothing(
        &mut self,
        dir_entry: &DirEntry,
        seen: Option<&Observed>,
        old: bool,
    ) -> Option<NodeId> {
        let (node, to) = self.take_undecided_rename(dir_entry, false)?;
        let id = seen.and_then(|seen| seen.id);
        let same = match id.zip(self.node(node).id) {
            Some((seen, known)) => seen == known,
            None => old || !self.watched,
        };
        if !same || self.node(node).kind == FileType::Directory {
            return None;
        }
        let at = (to.dir, to.name);
        let entry = *self.node(at.0).entries.get(&at.1)?;
        let EntryState::Node(other) = to.state else {
            self.node_mut(at.0).entries.insert(at.1.clone(), Entry { first: Some(node), ..entry });
            self.node_mut(node).stood.push(at);
            self.attach(dir_entry, node, false);
            return Some(node);
        };
        // It was known under its new name only.
        if entry.now != Some(node)
            || entry.first != Some(other)
            || self.node(other).kind == FileType::Directory
        {
            return None;
        }
        self.node_mut(at.0).entries.insert(at.1.clone(), Entry { now: Some(other), ..entry });
        self.node_mut(other).names.push(at);
        let here = self.node_mut(dir_entry.dir).entries.get_mut(&dir_entry.name)?;
        here.first = here.first.map(|first| if first == node { other } else { first });
        self.attach(dir_entry, other, false);
        let stood = std::mem::take(&mut self.node_mut(node).stood);
        self.node_mut(other).stood.extend(stood);
        self.node_mut(node).names.clear();
        self.merge(node, other);
        Some(other)
    }

    /// Removes and returns the file that was renamed from this name, and its new name. `same` is
    /// whether the rename was taken to have no effect.
    fn take_undecided_rename(
        &mut self,
        dir_entry: &DirEntry,
        same: bool,
    ) -> Option<(NodeId, DirEntry)> {
        let (node, to, taken) =
            self.undecided_renames.get(&(dir_entry.dir, dir_entry.name.clone()))?;
        let state = if same { EntryState::Node(*node) } else { EntryState::Absent };
        let found = (*taken == same && dir_entry.state == state).then(|| (*node, to.clone()))?;
        self.undecided_renames.remove(&(dir_entry.dir, dir_entry.name.clone()));
        Some(found)
    }

    /// Exchanges the files at both names.
    pub fn exchange(&mut self, a: &DirEntry, b: &DirEntry) {
        let (x, y) = (
            self.note_exists(a, &Observed::kind(FileType::Unknown)),
            self.note_exists(b, &Observed::kind(FileType::Unknown)),
        );
        self.remove_name(x, a);
        self.remove_name(y, b);
        self.attach(a, y, false);
        self.attach(b, x, false);
    }

    /// Decides about renames after which the old name is still there unchanged: both names were
    /// hard links of one file.
    pub(super) fn settle_renames(&mut self) {
        let places: Vec<_> = self.undecided_renames.keys().cloned().collect();
        for (dir, name) in places {
            let state = EntryState::Absent;
            if self.node(dir).entries.get(&name).is_none_or(|entry| entry.now.is_some()) {
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
            FileType::Unknown => node.leaf,
            kind => kind != FileType::Directory,
        }
    }

    /// Applies that only directories can replace directories: what a file of another type has
    /// replaced was none.
    pub fn learn_replaced(&mut self) {
        for (node, old) in self.replaced.clone() {
            if self.is_no_directory(node) && self.node(old).kind == FileType::Unknown {
                self.node_mut(old).observe(&Observed::leaf());
            }
        }
    }

    /// Returns the files that have replaced what is a directory, unless that is behind a link.
    pub fn replaced_directories(&self) -> Vec<NodeId> {
        let directory = |old: &NodeId| self.node(*old).kind == FileType::Directory;
        self.replaced.iter().filter(|(_, old)| directory(old)).map(|(node, _)| *node).collect()
    }

    /// Turns names that were followed to a directory, and that a file of another type has replaced,
    /// into links.
    pub(super) fn split_replaced(&mut self) {
        for (node, old) in self.replaced.clone() {
            if !self.is_no_directory(node) || !self.may_be_behind_a_link(old) {
                continue;
            }
            let Some((dir, name)) = self.node(old).stood.first().cloned() else { continue };
            let state = EntryState::Node(old);
            self.split_off_link(&DirEntry { dir, name, state }, old, &Observed::leaf());
        }
    }
}
