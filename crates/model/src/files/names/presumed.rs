//! Files that probably existed, although no call has found them.

use super::*;

impl Names {
    /// If nothing is known of the name, and the live file system has a file there that is older
    /// than the recording, notes that the name exists.
    pub fn presume_exists(&mut self, dir_entry: &DirEntry) {
        if dir_entry.state == EntryState::Unknown
            && !self.node(dir_entry.dir).is_virtual
            && !self.node(dir_entry.dir).entries.contains_key(&dir_entry.name)
            && let Some(seen) = self.find_older(dir_entry.dir, &dir_entry.name)
        {
            self.note_exists(
                dir_entry,
                &Observed { target: seen.target, ..Observed::of_type(seen.kind) },
            );
        }
    }

    /// Returns whether the live file system has a directory at the name that is older than the
    /// recording. If so, notes that the name exists.
    pub fn find_old_directory(&mut self, dir_entry: &DirEntry) -> bool {
        if self.node(dir_entry.dir).is_virtual || !self.node(dir_entry.dir).initial {
            return false;
        }
        let live = self.find_older(dir_entry.dir, &dir_entry.name);
        let is_directory = live.is_some_and(|seen| seen.kind == FileType::Directory);
        if is_directory {
            self.note_exists(dir_entry, &Observed::of_type(FileType::Directory));
        }
        is_directory
    }

    /// Adds initial names that no call has touched, from the live file system: if a directory was
    /// moved to a path where another file was before, a name in it that no call has touched was in
    /// that directory before.
    pub(super) fn find_untouched(&mut self) {
        let mut paths = Vec::new();
        self.visit(true, &mut |path, _| paths.push(path.to_vec()));
        for path in paths {
            let mut walk = self.walk(ROOT, ROOT, &path, false, Reach::Unknown);
            while let Walk::Stopped(DirEntry { state: EntryState::Node(node), .. }, _) = walk
                && self.turns_out_to_be_directory(node)
            {
                walk = self.walk(ROOT, ROOT, &path, false, Reach::Unknown);
            }
            let Walk::Entry(dir_entry) = walk else { continue };
            if dir_entry.state != EntryState::Unknown || self.node(dir_entry.dir).is_virtual {
                continue;
            }
            if let Some(path) = self.path_in(dir_entry.dir, &dir_entry.name)
                && let Some(seen) = self.live.older(&path)
            {
                let seen = Observed { target: seen.target, ..Observed::of_type(seen.kind) };
                self.note_exists(&dir_entry, &seen);
            }
        }
    }

    /// Returns whether the file system shows that a file of unknown type is a directory.
    fn turns_out_to_be_directory(&mut self, node: NodeId) -> bool {
        let unknown = self.node(node).kind == FileType::Unknown;
        self.learn_type(node);
        unknown && self.node(node).kind == FileType::Directory
    }

    /// Notes that a call found a directory not empty. If no name in it is known, adds one of the
    /// live file system that has not changed since the recording began; else remembers that there
    /// was one more name.
    pub fn note_not_empty(&mut self, dir: NodeId) {
        if !self.node(dir).initial
            || self.node(dir).is_virtual
            || self.node(dir).entries.values().any(|e| e.current.is_some())
        {
            return;
        }
        let Some(path) = self.path(dir) else { return };
        for name in self.live.list(&path) {
            if let EntryState::Node(_) = self.look_up(dir, &name) {
                return;
            }
        }
        let known = self.node(dir).count_initial_names();
        let node = self.node_mut(dir);
        node.held_more_than = node.held_more_than.max(Some(known));
    }

    /// Adds a name to each directory that is known to have held more initial names than are known.
    /// Also moves made-up names out of listed directories, and applies what renames show of types.
    pub fn fill_directories(&mut self) {
        self.move_made_up_names();
        self.apply_types_of_replaced();
        for dir in 0..self.nodes.len() as NodeId {
            self.fill_directory(dir);
        }
    }

    /// Applies to each rename that replaced a file: only a directory can replace a directory, and
    /// it can replace nothing else.
    fn apply_types_of_replaced(&mut self) {
        for (renamed, replaced) in std::mem::take(&mut self.replaced_by_rename).into_iter().rev() {
            self.learn_type(renamed);
            let kind = self.node(renamed).kind;
            if kind == FileType::Directory {
                if self.node(replaced).kind == FileType::Unknown {
                    self.node_mut(replaced).kind = kind;
                }
            } else if kind != FileType::Unknown {
                self.node_mut(replaced).observe(&Observed::not_directory());
            } else if self.node(replaced).kind == FileType::Directory
                && !self.node(renamed).not_directory
            {
                // No call has shown that the name was that of a link.
                self.node_mut(renamed).kind = FileType::Directory;
            } else if self.node(replaced).kind == FileType::Unknown {
                self.guess_alike(renamed, replaced);
            }
        }
    }

    /// Makes the guessed types of a renamed file and the one that it replaced agree: both were
    /// directories, or none was.
    fn guess_alike(&mut self, a: NodeId, b: NodeId) {
        let is_directory = |node: &Node| node.likely_type() == FileType::Directory;
        let is_open = |node: &Node| node.likely_type() == FileType::Unknown;
        let (node_a, node_b) = (self.node(a), self.node(b));
        if is_directory(node_a) == is_directory(node_b) {
            return;
        }
        let guess_directories =
            (node_a.link_refused || node_b.link_refused || is_open(node_a) || is_open(node_b))
                && !(node_a.not_directory || node_b.not_directory);
        for id in [a, b] {
            let node = self.node_mut(id);
            match (guess_directories, node.guessed_type) {
                (true, FileType::Unknown | FileType::Regular) => {
                    node.guessed_type = FileType::Directory;
                }
                (false, FileType::Directory) => node.guessed_type = FileType::Regular,
                _ => {}
            }
        }
    }

    /// If a directory is known to have held more initial names than are known, adds one: of the
    /// live file system, or else a made-up one.
    fn fill_directory(&mut self, dir: NodeId) {
        let node = self.node(dir);
        if node.held_more_than.is_none_or(|known_names| node.count_initial_names() > known_names) {
            return;
        }
        let Some(path) = self.path(dir) else { return };
        let found = self.live.list(&path).into_iter().find_map(|name| {
            let path = self.path_in(dir, &name)?;
            let seen = self
                .live
                .older(&path)
                .filter(|_| !self.node(dir).entries.contains_key(&name[..]))?;
            Some((name, Observed { target: seen.target, ..Observed::of_type(seen.kind) }))
        });
        if let Some((name, seen)) = found {
            self.note_exists(
                &DirEntry { dir, name: name.into(), state: EntryState::Unknown },
                &seen,
            );
            return;
        }
        let entry = DirEntry { dir, name: b"?".as_slice().into(), state: EntryState::Unknown };
        let id = self.add_nameless(true, &Observed::of_type(FileType::Regular));
        self.node_mut(id).has_made_up_name = true;
        self.attach(&entry, id, true);
    }
}
