//! What is probably there, although no call has found it.

use super::*;

impl Names {
    /// Assumes that the name exists, if the live file system has a file there that is older than
    /// the recording.
    pub fn presume(&mut self, dir_entry: &DirEntry) {
        if dir_entry.state == EntryState::Unknown
            && !self.node(dir_entry.dir).is_virtual
            && !self.node(dir_entry.dir).entries.contains_key(&dir_entry.name)
            && let Some(seen) = self.older(dir_entry.dir, &dir_entry.name)
        {
            self.note_exists(
                dir_entry,
                &Observed { target: seen.target, ..Observed::kind(seen.kind) },
            );
        }
    }

    /// Returns whether the live file system has a directory, older than the recording, at a name of
    /// which nothing is known. If so, the name is known then.
    pub fn find_old_directory(&mut self, dir_entry: &DirEntry) -> bool {
        if self.node(dir_entry.dir).is_virtual || !self.node(dir_entry.dir).initial {
            return false;
        }
        let older = self.older(dir_entry.dir, &dir_entry.name);
        let found = older.is_some_and(|seen| seen.kind == FileType::Directory);
        if found {
            self.note_exists(dir_entry, &Observed::kind(FileType::Directory));
        }
        found
    }

    /// Looks for files where other ones stood at first. A name that no call has touched, of a
    /// directory that was moved there, stood in that directory before.
    pub(super) fn find_untouched(&mut self) {
        let mut paths = Vec::new();
        self.visit(true, &mut |path, _| paths.push(path.to_vec()));
        for path in paths {
            let mut walk = self.walk(ROOT, ROOT, &path, false, Reach::Nowhere);
            while let Walk::Stopped(DirEntry { state: EntryState::Node(node), .. }, _) = walk
                && self.turns_out_to_be_directory(node)
            {
                walk = self.walk(ROOT, ROOT, &path, false, Reach::Nowhere);
            }
            let Walk::Entry(dir_entry) = walk else { continue };
            if dir_entry.state != EntryState::Unknown || self.node(dir_entry.dir).is_virtual {
                continue;
            }
            if let Some(path) = self.path_in(dir_entry.dir, &dir_entry.name)
                && let Some(seen) = self.live.older(&path)
            {
                let seen = Observed { target: seen.target, ..Observed::kind(seen.kind) };
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

    /// Notes that a directory is not empty: it holds a name of the live file system that is older
    /// than the recording, or any.
    pub fn must_hold_something(&mut self, dir: NodeId) {
        if !self.node(dir).initial
            || self.node(dir).is_virtual
            || self.node(dir).entries.values().any(|e| e.now.is_some())
        {
            return;
        }
        let Some(path) = self.path(dir) else { return };
        for name in self.live.list(&path) {
            if let EntryState::Node(_) = self.look_up(dir, &name) {
                return;
            }
        }
        let known = self.node(dir).first_names();
        let node = self.node_mut(dir);
        node.held_more_than = node.held_more_than.max(Some(known));
    }

    /// Puts a made-up file into each directory that is known not to be empty and of which no name
    /// is known.
    pub fn fill_directories(&mut self) {
        self.move_made_up_names();
        self.settle_replaced();
        for dir in 0..self.nodes.len() as NodeId {
            self.fill_directory(dir);
        }
    }

    /// Applies that only a directory can replace a directory.
    fn settle_replaced(&mut self) {
        for (node, old) in std::mem::take(&mut self.replaced).into_iter().rev() {
            self.learn_type(node);
            let kind = self.node(node).kind;
            if kind == FileType::Directory {
                if self.node(old).kind == FileType::Unknown {
                    self.node_mut(old).kind = kind;
                }
            } else if kind != FileType::Unknown {
                self.node_mut(old).observe(&Observed::leaf());
            } else if self.node(old).kind == FileType::Directory && !self.node(node).leaf {
                // Nothing has shown a link in its place.
                self.node_mut(node).kind = FileType::Directory;
            } else if self.node(old).kind == FileType::Unknown {
                self.guess_alike(node, old);
            }
        }
    }

    /// Makes guesses agree at a file and what it replaced: both were directories, or none was.
    fn guess_alike(&mut self, a: NodeId, b: NodeId) {
        let is_directory = |node: &Node| node.likely_kind() == FileType::Directory;
        let is_open = |node: &Node| node.likely_kind() == FileType::Unknown;
        let (x, y) = (self.node(a), self.node(b));
        if is_directory(x) == is_directory(y) {
            return;
        }
        let directories =
            (x.unlinkable || y.unlinkable || is_open(x) || is_open(y)) && !(x.leaf || y.leaf);
        for id in [a, b] {
            let node = self.node_mut(id);
            match (directories, node.guess) {
                (true, FileType::Unknown | FileType::Regular) => node.guess = FileType::Directory,
                (false, FileType::Directory) => node.guess = FileType::Regular,
                _ => {}
            }
        }
    }

    /// Puts a made-up file into a directory that is known not to be empty and of which no name is
    /// known.
    fn fill_directory(&mut self, dir: NodeId) {
        let node = self.node(dir);
        if node.held_more_than.is_none_or(|known| node.first_names() > known) {
            return;
        }
        let Some(path) = self.path(dir) else { return };
        let found = self.live.list(&path).into_iter().find_map(|name| {
            let path = self.path_in(dir, &name)?;
            let seen = self
                .live
                .older(&path)
                .filter(|_| !self.node(dir).entries.contains_key(&name[..]))?;
            Some((name, Observed { target: seen.target, ..Observed::kind(seen.kind) }))
        });
        if let Some((name, seen)) = found {
            self.note_exists(
                &DirEntry { dir, name: name.into(), state: EntryState::Unknown },
                &seen,
            );
            return;
        }
        let entry = DirEntry { dir, name: b"?".as_slice().into(), state: EntryState::Unknown };
        let id = self.add_nameless(true, &Observed::kind(FileType::Regular));
        self.node_mut(id).made_up = true;
        self.attach(&entry, id, true);
    }
}
