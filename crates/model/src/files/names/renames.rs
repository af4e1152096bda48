//! Renames. One between two links to a file changes nothing, which shows by later calls, or at the
//! end.

use super::*;

impl Names {
    /// The file under `from` stands under `to` now, and what stood there is gone.
    pub fn rename(&mut self, from: &Place, to: &Place, seen: &Seen) {
        let node = self.present(from, seen);
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
            if self.twins.len() < MOST_REPLACED {
                self.twins.insert((from.dir, from.name.clone()), (node, to.clone(), same));
            }
            if same {
                return self.attach(to, node, true);
            }
        }
        if unknown && self.node(to.dir).initial && self.covered.len() < MOST_REPLACED {
            self.covered.insert((to.dir, to.name.clone()));
        }
        if let Some(Some(old)) = self.node(to.dir).entries.get(&to.name).map(|e| e.now) {
            // Only a directory replaces a directory.
            match (self.node(node).kind, self.node(old).kind) {
                (FileType::Directory, FileType::Unknown) => {
                    self.node_mut(old).kind = FileType::Directory;
                }
                (FileType::Unknown, FileType::Directory) if !self.node(node).leaf => {
                    self.node_mut(node).kind = FileType::Directory;
                }
                (FileType::Unknown | FileType::Directory, _) => {}
                _ => {
                    self.present(to, &Seen::leaf());
                }
            }
            if self.replaced.len() < MOST_REPLACED && self.node(old).kind == FileType::Unknown {
                self.replaced.push((node, old));
            }
            let (likely, replaced) = (self.node(node).likely_kind(), self.node(old).likely_kind());
            if likely == FileType::Unknown
                && replaced == FileType::Directory
                && !self.node(node).leaf
            {
                self.node_mut(node).guess = FileType::Directory;
            }
        }
        self.remove(from, seen);
        self.link(to, node);
    }

    /// The old name of a rename that seemed to change nothing is gone: it changed something.
    /// Whether there was such a rename.
    pub fn moved_after_all(&mut self, place: &Place) -> bool {
        let Some((node, to)) = self.twin(place, true) else { return false };
        let at = (to.dir, to.name);
        if let Some(entry) = self.node_mut(at.0).entries.get_mut(&at.1) {
            entry.first = None;
        }
        self.node_mut(node).stood.retain(|stood| *stood != at);
        self.displace(place, node);
        true
    }

    /// The old name of a rename that seemed to move a file is still there: both names were links to
    /// it. The file, if there was such a rename. `seen`: what is there.
    /// `old`: and it was there before the recording.
    pub fn stayed_after_all(
        &mut self,
        place: &Place,
        seen: Option<&Seen>,
        old: bool,
    ) -> Option<NodeId> {
        let (node, to) = self.twin(place, false)?;
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
        let Slot::Node(other) = to.slot else {
            self.node_mut(at.0).entries.insert(at.1.clone(), Entry { first: Some(node), ..entry });
            self.node_mut(node).stood.push(at);
            self.attach(place, node, false);
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
        let here = self.node_mut(place.dir).entries.get_mut(&place.name)?;
        here.first = here.first.map(|first| if first == node { other } else { first });
        self.attach(place, other, false);
        let stood = std::mem::take(&mut self.node_mut(node).stood);
        self.node_mut(other).stood.extend(stood);
        self.node_mut(node).names.clear();
        self.merge(node, other);
        Some(other)
    }

    /// What was renamed from this name, and to which, where it was taken to stay (`same`) or go.
    fn twin(&mut self, place: &Place, same: bool) -> Option<(NodeId, Place)> {
        let (node, to, taken) = self.twins.get(&(place.dir, place.name.clone()))?;
        let slot = if same { Slot::Node(*node) } else { Slot::Absent };
        let found = (*taken == same && place.slot == slot).then(|| (*node, to.clone()))?;
        self.twins.remove(&(place.dir, place.name.clone()));
        Some(found)
    }

    /// The files under both names change places.
    pub fn exchange(&mut self, a: &Place, b: &Place) {
        let (x, y) = (
            self.present(a, &Seen::kind(FileType::Unknown)),
            self.present(b, &Seen::kind(FileType::Unknown)),
        );
        self.unname(x, a);
        self.unname(y, b);
        self.attach(a, y, false);
        self.attach(b, x, false);
    }

    /// Renames after which the old name is there still, as it was: both names were links to a file.
    pub(super) fn settle_twins(&mut self) {
        let places: Vec<_> = self.twins.keys().cloned().collect();
        for (dir, name) in places {
            let slot = Slot::Absent;
            if self.node(dir).entries.get(&name).is_none_or(|entry| entry.now.is_some()) {
                continue;
            }
            let seen = self.path_in(dir, &name).and_then(|path| self.live.older(&path));
            if seen.is_some() {
                self.stayed_after_all(&Place { dir, name, slot }, seen.as_ref(), true);
            }
        }
    }
}
