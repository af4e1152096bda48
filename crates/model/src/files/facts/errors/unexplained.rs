//! Errors of calls that different initial states could explain. They are kept, and explained
//! together at the end ([`super::solver`]).
//!
//! Invariant: the kept part of a path begins at a name that no call had touched, so that the
//! initial state of what is below was still the state when the call failed. Equal errors are kept
//! once, and no more than [`MAX_ERRORS`]: the first ones.

use super::{ELOOP, ENOENT, ENOTDIR, Facts, PathArg};
use crate::files::names::{DirEntry, EntryState, Walk};
use crate::files::node::NodeId;
use crate::files::row::FileType;
use abi::Role;

/// The largest number of errors that are kept, so that a long trace does not cost memory for each
/// of its errors.
const MAX_ERRORS: usize = 1 << 16;
/// The largest number of names in the kept part of a path. The work is quadratic in it.
const MAX_NAMES: usize = 64;

/// What was known of a path when the call failed.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum End {
    /// It led to a directory.
    Directory,
    /// It led to something that is no directory.
    NotDirectory,
    /// It led to a name that did not exist.
    Absent,
    /// It led to this directory, and further by these names. The first of them was that of this
    /// file, if it is known.
    From(NodeId, Vec<Box<[u8]>>, Option<NodeId>),
}

/// The part of a path of a failed call that may have caused the error.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Path {
    /// Where it led, as far as was known.
    pub end: End,
    /// It ends in a slash.
    pub ends_in_slash: bool,
    /// It ends in the component `.`.
    pub ends_in_dot: bool,
}

/// A failed call whose error several initial states could explain.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct UnexplainedError {
    /// The error.
    pub errno: i32,
    /// It opens a file, which it creates if there is none.
    pub may_create: bool,
    /// The last name had to be a directory, as far as is known.
    pub must_be_directory: bool,
    /// It follows a symbolic link in the last name.
    pub follows_link: bool,
    /// It was to create the name.
    pub creates_name: bool,
    /// It was to rename a file.
    pub is_rename: bool,
    /// Its paths, in the order of its arguments.
    pub paths: Vec<Path>,
}

impl Facts {
    /// Keeps the error of a call, to explain it when all calls are known, if the initial state of
    /// unknown names can be the reason.
    pub(in crate::files::facts) fn keep_unexplained(&mut self, errno: i32, paths: &[PathArg]) {
        let Some(first) = paths.first() else { return };
        let is_explainable = match (errno, paths.len()) {
            (ENOENT, 1) => {
                first.may_create || first.follow && matches!(first.walk, Walk::Stopped(..))
            }
            (ENOTDIR, 1) => true,
            (ELOOP, 1) => {
                first.follow && !first.may_create || matches!(first.walk, Walk::Stopped(..))
            }
            (ENOTDIR, 2) => match (first.path_use.role, paths[1].path_use.role) {
                (Role::Lookup, Role::Create) => true,
                (role, _) => role == Role::Source,
            },
            _ => false,
        };
        if !is_explainable || self.unexplained_errors.len() >= MAX_ERRORS {
            return;
        }
        let paths: Option<Vec<Path>> =
            paths.iter().map(|path| self.unexplained_part(path)).collect();
        if let Some(paths) = paths {
            let (may_create, must_be_directory, follows_link) =
                (first.may_create, first.must_be_directory, first.follow);
            let role = first.path_use.role;
            let (creates_name, is_rename) = (role == Role::Create, role == Role::Source);
            let position = self.unexplained_errors.len();
            let error = UnexplainedError {
                errno,
                may_create,
                must_be_directory,
                follows_link,
                creates_name,
                is_rename,
                paths,
            };
            self.unexplained_errors.entry(error).or_insert(position);
        }
    }

    /// Returns the part of a path that may have caused the error. Returns `None` if what is known
    /// explains the error, or if nothing can explain it: the path leads to a virtual file system,
    /// through something that is missing, or has too many names.
    fn unexplained_part(&self, path: &PathArg) -> Option<Path> {
        let known_file = |dir_entry: &DirEntry| {
            if let EntryState::Node(node) = dir_entry.state { Some(node) } else { None }
        };
        let is_not_directory = |node: NodeId| {
            self.names.node(node).not_directory
                || !matches!(self.names.node(node).kind, FileType::Unknown | FileType::Directory)
        };
        let mut dot = false;
        let end = match &path.walk {
            Walk::Stopped(DirEntry { state: EntryState::Node(node), .. }, _)
                if is_not_directory(*node) =>
            {
                return None;
            }
            Walk::Stopped(dir_entry, rest) => {
                dot = rest.last().is_some_and(|name| &**name == b".");
                let rest = rest.iter().filter(|name| &***name != b".");
                let names: Vec<_> = std::iter::once(&dir_entry.name).chain(rest).cloned().collect();
                if names.len() > MAX_NAMES {
                    return None;
                }
                End::From(dir_entry.dir, names, known_file(dir_entry))
            }
            Walk::Entry(DirEntry { state: EntryState::Node(node), .. })
                if is_not_directory(*node) =>
            {
                End::NotDirectory
            }
            Walk::Entry(DirEntry { state: EntryState::Node(node), .. })
                if self.names.node(*node).kind == FileType::Directory
                    && !self.names.may_be_behind_a_link(*node) =>
            {
                End::Directory
            }
            Walk::Entry(DirEntry { state: EntryState::Absent, .. }) => End::Absent,
            Walk::Entry(dir_entry) => {
                End::From(dir_entry.dir, vec![dir_entry.name.clone()], known_file(dir_entry))
            }
            Walk::WithoutName(_) => End::Directory,
            Walk::Virtual | Walk::Blocked => return None,
        };
        Some(Path { end, ends_in_slash: path.slash, ends_in_dot: dot })
    }
}
