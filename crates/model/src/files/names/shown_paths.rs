//! Links that show by the path of a file that was opened: the kernel shows it without links.

use super::links::{STEPS, before, relative};
use super::*;

impl Names {
    /// Returns the target of a link at this name, if a call must have followed one: nothing is
    /// known of the name, and the call went on with `rest` to the file `real`. If the path of the
    /// directory may contain links, only the last names are compared.
    pub fn link_shown_by_open<'a>(
        &self,
        dir_entry: &DirEntry,
        rest: &[Box<[u8]>],
        real: &'a [u8],
    ) -> Option<&'a [u8]> {
        let (dir, straight) = (self.node(dir_entry.dir), self.is_straight(dir_entry.dir));
        let open = match dir_entry.state {
            EntryState::Unknown => dir.initial && !dir.is_virtual,
            EntryState::Absent => false,
            EntryState::Node(node) => {
                let node = self.node(node);
                let kind = node.kind == FileType::Unknown;
                let guessed = node.presumed || kind && !node.followed;
                guessed && node.initial && !node.is_virtual && !node.confirmed
            }
        };
        let shown = before(real, rest).filter(|_| open)?;
        let name = shown.rsplit(|&b| b == b'/').next().unwrap_or_default();
        let path = self.path_in(dir_entry.dir, &dir_entry.name).filter(|_| straight);
        let other = path.map_or(name != &*dir_entry.name, |path| path != shown);
        other.then_some(shown)
    }

    /// Returns whether the kernel has shown the path of a directory, so that it contains no link.
    fn is_straight(&self, mut dir: NodeId) -> bool {
        for _ in 0..STEPS {
            let node = self.node(dir);
            match node.names.first() {
                _ if dir == ROOT || node.straight => return true,
                Some((above, _)) if !node.initial => dir = *above,
                _ => return false,
            }
        }
        false
    }

    /// Notes that the kernel has shown the path of this file, so that all above it are directories,
    /// and no links.
    pub fn mark_path_shown(&mut self, mut file: NodeId) {
        for _ in 0..STEPS {
            if file == ROOT || self.node(file).straight {
                return;
            }
            self.node_mut(file).straight = true;
            let Some((above, _)) = self.node(file).names.first() else { return };
            file = *above;
        }
    }

    /// Adds a link at this name that leads to `real`, from where an open went on with `rest`.
    pub fn add_link(&mut self, dir_entry: &DirEntry, rest: &[Box<[u8]>], real: &[u8]) {
        let target =
            self.path(dir_entry.dir).map_or_else(|| real.to_vec(), |dir| relative(&dir, real));
        let seen = Observed { target: Some(target), ..Observed::kind(FileType::Link) };
        let link = match dir_entry.state {
            EntryState::Node(node) if self.node(node).presumed => {
                self.split_off_link(dir_entry, node, &seen)
            }
            _ => self.note_exists(dir_entry, &seen),
        };
        if let Some(next) = rest.first().filter(|_| self.shown_links.len() < MAX_RENAMES) {
            self.shown_links.insert(link, (real.into(), next.clone()));
        }
    }

    /// Corrects links that opens showed and in whose place the file system shows a directory.
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

    /// Notes that a directory stands at this name. If an open seemed to show a link there, the next
    /// name on its way was that link.
    pub(super) fn move_shown_link_down(&mut self, directory: NodeId) {
        let Some((real, next)) = self.shown_links.remove(&directory) else { return };
        let node = self.node(directory);
        if node.kind != FileType::Link || node.confirmed || !node.initial {
            return;
        }
        let Some(path) = self.first_path(directory) else { return };
        let node = self.node_mut(directory);
        (node.kind, node.target) = (FileType::Directory, None);
        let target = relative(&path, &[&real[..], b"/", &next].concat());
        let link = Observed { target: Some(target), ..Observed::kind(FileType::Link) };
        let dir_entry = DirEntry { dir: directory, name: next, state: EntryState::Unknown };
        self.note_exists(&dir_entry, &link);
    }
}
