//! The files and paths of a trace, by small numbers.

use abi::Role;
use ahash::HashMap;
use processes::{OpenFile, lexical};
use std::sync::Arc;

/// So many files, and so many paths, are told apart. What comes later has no number.
pub const MOST: usize = 1 << 21;

const REGULAR: u32 = 0o100_000;
const DIRECTORY: u32 = 0o040_000;

/// The number of a file: an inode, from its creation on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct FileId(u32);

/// The number of a path.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct PathId(u32);

/// What is known of a path.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum At {
    /// Nothing yet.
    #[default]
    Unknown,
    /// There is nothing.
    Absent,
    /// There is something.
    Something,
    /// There is this file.
    File(FileId),
}

/// A file.
#[derive(Debug, Clone, Copy)]
pub struct File {
    /// The path at which it was opened first.
    pub path: PathId,
    /// Its type, as in `st_mode`; 0 if it is not known.
    pub kind: u32,
    /// The device, 0 if it is not known.
    pub dev: u64,
    /// When it was born, in nanoseconds since 1970; 0 if that is not known.
    pub born: u64,
    /// Whether its content is kept on a file system: not procfs and the like.
    pub stored: bool,
}

impl File {
    /// Returns whether it is a regular file whose content is kept.
    pub fn is_regular(&self) -> bool {
        self.kind == REGULAR && self.stored
    }
    /// Returns whether it is a directory.
    pub fn is_directory(&self) -> bool {
        self.kind == DIRECTORY
    }
}

/// All files and paths that have numbers.
#[derive(Debug, Default)]
pub struct Files {
    paths: Vec<Arc<[u8]>>,
    numbers: HashMap<Arc<[u8]>, PathId>,
    at: Vec<At>,
    files: Vec<File>,
    inodes: HashMap<(u64, u64), FileId>,
    /// Files whose inode is not known.
    unnumbered: HashMap<PathId, FileId>,
    full: bool,
}

impl Files {
    /// Returns whether there were more files or paths than there are numbers.
    pub fn is_full(&self) -> bool {
        self.full
    }

    /// Returns the file with this number.
    pub fn get(&self, file: FileId) -> &File {
        &self.files[file.0 as usize]
    }

    /// Returns the path with this number.
    pub fn path(&self, path: PathId) -> &[u8] {
        &self.paths[path.0 as usize]
    }

    /// Returns the path of a file, escaped.
    pub fn name(&self, file: FileId) -> String {
        self.text(self.get(file).path)
    }

    /// Returns a path, escaped.
    pub fn text(&self, path: PathId) -> String {
        trace::text::escape(self.path(path))
    }

    /// Returns what is known of a path.
    pub fn at(&self, path: PathId) -> At {
        self.at[path.0 as usize]
    }

    /// Returns the number of the directory of a path, if that has a number.
    pub fn parent(&self, path: PathId) -> Option<PathId> {
        let path = self.path(path);
        let cut = path.iter().rposition(|b| *b == b'/')?;
        self.numbers.get(if cut == 0 { &b"/"[..] } else { &path[..cut] }).copied()
    }

    /// Returns the number of a path that is clean ([`lexical`]).
    pub fn intern(&mut self, path: &[u8]) -> Option<PathId> {
        if let Some(number) = self.numbers.get(path) {
            return Some(*number);
        }
        if self.paths.len() >= MOST {
            self.full = true;
            return None;
        }
        let number = PathId(self.paths.len() as u32);
        let path: Arc<[u8]> = path.into();
        self.paths.push(Arc::clone(&path));
        self.at.push(At::Unknown);
        self.numbers.insert(path, number);
        Some(number)
    }

    /// Returns the number of a path as a call used it.
    pub fn intern_path(&mut self, path: &[u8]) -> Option<PathId> {
        self.intern(&lexical(path))
    }

    /// Returns the number of the file of an open file.
    pub fn of(&mut self, open: &OpenFile) -> Option<FileId> {
        if open.inode.key != (0, 0) {
            if let Some(file) = self.inodes.get(&open.inode.key) {
                return Some(*file);
            }
            return self.add(open);
        }
        let path = self.intern(&open.path)?;
        match self.unnumbered.get(&path) {
            Some(file) => Some(*file),
            None => self.add(open),
        }
    }

    /// Returns whether the file of an open file is known that was born then.
    pub fn knows(&self, open: &OpenFile, born: u64) -> bool {
        let file = self.inodes.get(&open.inode.key);
        file.is_some_and(|file| self.get(*file).born == born)
    }

    /// Notes that a call opened a file, and returns its number. If the call created it, an earlier
    /// file with the same inode number is another one.
    pub fn opened(&mut self, open: &OpenFile, is_new: bool) -> Option<FileId> {
        let file = if is_new { self.add(open) } else { self.of(open) }?;
        if open.path.starts_with(b"/")
            && let Some(path) = self.intern(&open.path)
        {
            self.at[path.0 as usize] = At::File(file);
        }
        Some(file)
    }

    fn add(&mut self, open: &OpenFile) -> Option<FileId> {
        let path = self.intern(&open.path)?;
        if self.files.len() >= MOST {
            self.full = true;
            return None;
        }
        let file = FileId(self.files.len() as u32);
        let (kind, dev) = (open.file_type(), open.inode.key.0);
        self.files.push(File {
            path,
            kind,
            dev,
            born: open.identity.born,
            stored: open.is_stored(),
        });
        match open.inode.key {
            (0, 0) => self.unnumbered.insert(path, file),
            key => self.inodes.insert(key, file),
        };
        Some(file)
    }

    /// Notes what a call that succeeded did to a name. `file` is what is there now.
    pub fn apply(&mut self, role: Role, path: PathId, file: Option<FileId>) {
        let there = file.map_or(At::Something, At::File);
        let at = &mut self.at[path.0 as usize];
        *at = match role {
            Role::Lookup if matches!(at, At::File(_)) => return,
            Role::Lookup | Role::Create | Role::Open(_) | Role::Target => there,
            Role::Remove | Role::RemoveDirectory | Role::Source => At::Absent,
        };
    }

    /// Notes that there is nothing at a path.
    pub fn missing(&mut self, path: PathId) {
        self.at[path.0 as usize] = At::Absent;
    }
}
