//! Symbolic links that the path of an opened file shows: the kernel shows this path without links.

use super::links::{MAX_DEPTH, relative_path, strip_components};
use super::*;

impl Names {
    /// Returns the path to which a symbolic link at this name must lead: nothing is known of the
    /// name, and a call that continued with `rest` behind it opened the file at `opened_path`,
    /// which does not lie there. Returns `None` if the name need not be a link. If the path of the
    /// directory may contain links, only the last names are compared.
    pub fn link_shown_by_open<'a>(
        &self,
        dir_entry: &DirEntry,
        rest: &[Box<[u8]>],
        opened_path: &'a [u8],
    ) -> Option<&'a [u8]> {
        let (dir, straight) = (self.node(dir_entry.dir), self.has_shown_path(dir_entry.dir));
        let may_be_link = match dir_entry.state {
            EntryState::Unknown => dir.initial && !dir.is_virtual,
            EntryState::Absent => false,
            EntryState::Node(node) => {
                let node = self.node(node);
                let kind = node.kind == FileType::Unknown;
                let guessed = node.presumed || kind && !node.followed;
                guessed && node.initial && !node.is_virtual && !node.confirmed
            }
        };
        let target = strip_components(opened_path, rest).filter(|_| may_be_link)?;
        let name = target.rsplit(|&b| b == b'/').next().unwrap_or_default();
        let path = self.path_in(dir_entry.dir, &dir_entry.name).filter(|_| straight);
        let differs = path.map_or(name != &*dir_entry.name, |path| path != target);
        differs.then_some(target)
    }

    /// Returns whether the kernel has shown the path of a directory, so that it contains no
    /// symbolic link.
    fn has_shown_path(&self, mut dir: NodeId) -> bool {
        for _ in 0..MAX_DEPTH {
            let node = self.node(dir);
            match node.names.first() {
                _ if dir == ROOT || node.path_shown => return true,
                Some((above, _)) if !node.initial => dir = *above,
                _ => return false,
            }
        }
        false
    }

    /// Notes that the kernel has shown the path of this file, so that the path contains no symbolic
    /// links.
    pub fn mark_path_shown(&mut self, mut file: NodeId) {
        for _ in 0..MAX_DEPTH {
            if file == ROOT || self.node(file).path_shown {
                return;
            }
            self.node_mut(file).path_shown = true;
            let Some((above, _)) = self.node(file).names.first() else { return };
            file = *above;
        }
    }

    /// Adds a symbolic link at this name that leads to `target_path`. The open that showed it
    /// continued with `rest` behind the link.
    pub fn add_link(&mut self, dir_entry: &DirEntry, rest: &[Box<[u8]>], target_path: &[u8]) {
        let target = self
            .path(dir_entry.dir)
            .map_or_else(|| target_path.to_vec(), |dir| relative_path(&dir, target_path));
        let seen = Observed { target: Some(target), ..Observed::of_type(FileType::Link) };
        let link = match dir_entry.state {
            EntryState::Node(node) if self.node(node).presumed => {
                self.split_off_link(dir_entry, node, &seen)
            }
            _ => self.note_exists(dir_entry, &seen),
        };
        if let Some(next) = rest.first().filter(|_| self.shown_links.len() < MAX_RENAMES) {
            self.shown_links.insert(link, (target_path.into(), next.clone()));
        }
    }

    /// Goes through the symbolic links that opens showed. If the file system has a directory there,
    /// the next name on the path was the link.
    pub(super) fn move_shown_links_down(
        &mut self,
        find: &mut dyn FnMut(&[u8]) -> Option<Observed>,
    ) {
        let mut links: Vec<NodeId> = self.shown_links.keys().copied().collect();
        links.sort_unstable();
        for link in links {
            let seen = self.path(link).and_then(|path| find(&path));
            if let Some(seen) = seen.filter(|seen| seen.kind == FileType::Directory) {
                self.move_shown_link_down(link);
                self.observe(link, &seen);
            }
        }
    }

    /// Notes that this name is that of a directory. If an open seemed to show a symbolic link
    /// there, the next name on its path was that link: moves it there.
    pub(super) fn move_shown_link_down(&mut self, directory: NodeId) {
        let Some((real, next)) = self.shown_links.remove(&directory) else { return };
        let node = self.node(directory);
        if node.kind != FileType::Link || node.confirmed || !node.initial {
            return;
        }
        let Some(path) = self.initial_path(directory) else { return };
        let node = self.node_mut(directory);
        (node.kind, node.target) = (FileType::Directory, None);
        let target = relative_path(&path, &[&real[..], b"/", &next].concat());
        let link = Observed { target: Some(target), ..Observed::of_type(FileType::Link) };
        let dir_entry = DirEntry { dir: directory, name: next, state: EntryState::Unknown };
        self.note_exists(&dir_entry, &link);
    }
}
