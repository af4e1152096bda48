//! Errors that several names could explain when they came. They are kept, and explained together
//! at the end ([`super::solver`]).
//!
//! Invariant: a path of a doubt begins at a name that nothing had touched, so that what is known
//! of the tree at first from there on was so when the call failed. Equal errors are kept once, and
//! no more than [`MOST`]: the first ones.

use super::{ELOOP, ENOENT, ENOTDIR, Facts, PathArg};
use crate::files::names::{DirEntry, EntryState, Walk};
use crate::files::node::NodeId;
use crate::files::row::FileType;
use abi::Role;

/// So many errors are kept, so that a long trace does not cost memory for each of its errors.
const MOST: usize = 1 << 16;
/// Names of a path that are looked at. The work is quadratic in them.
const LONG: usize = 64;

/// What was known of a path when the call failed.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum End {
    /// It led to a directory.
    Directory,
    /// It led to something that is no directory.
    Leaf,
    /// It led to a name that did not exist.
    Absent,
    /// It led to this directory, and on by these names; the first of them was this file, if it is
    /// known.
    From(NodeId, Vec<Box<[u8]>>, Option<NodeId>),
}

/// A path of a call that failed.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Path {
    pub end: End,
    /// It ends in a slash.
    pub slash: bool,
    /// It ends in a dot.
    pub dot: bool,
}

/// A call that failed.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct UnexplainedError {
    pub errno: i32,
    pub creates: bool,
    /// The last name had to be a directory, as far as is known.
    pub directory: bool,
    /// A link in the last name was followed.
    pub follow: bool,
    /// It was to make the name.
    pub makes: bool,
    /// It was to rename a file.
    pub renames: bool,
    pub paths: Vec<Path>,
}

impl Facts {
    /// Keeps an error, to explain it when all calls are known.
    pub(in crate::files::facts) fn keep_unexplained(&mut self, errno: i32, paths: &[PathArg]) {
        let Some(first) = paths.first() else { return };
        let wanted = match (errno, paths.len()) {
            (ENOENT, 1) => first.creates || first.follow && matches!(first.walk, Walk::Stopped(..)),
            (ENOTDIR, 1) => true,
            (ELOOP, 1) => first.follow && !first.creates || matches!(first.walk, Walk::Stopped(..)),
            (ENOTDIR, 2) => match (first.used.role, paths[1].used.role) {
                (Role::Lookup, Role::Create) => true,
                (role, _) => role == Role::Source,
            },
            _ => false,
        };
        if !wanted || self.unexplained_errors.len() >= MOST {
            return;
        }
        let paths: Option<Vec<Path>> = paths.iter().map(|l| self.reached(l)).collect();
        if let Some(paths) = paths {
            let (creates, directory, follow) = (first.creates, first.directory, first.follow);
            let role = first.used.role;
            let (makes, renames) = (role == Role::Create, role == Role::Source);
            let number = self.unexplained_errors.len();
            let doubt =
                UnexplainedError { errno, creates, directory, follow, makes, renames, paths };
            self.unexplained_errors.entry(doubt).or_insert(number);
        }
    }

    /// Returns the part of a path that the error may come from. Returns `None` if what is known
    /// explains the error, or nothing can.
    fn reached(&self, paths: &PathArg) -> Option<Path> {
        let known = |dir_entry: &DirEntry| {
            if let EntryState::Node(node) = dir_entry.state { Some(node) } else { None }
        };
        let leaf = |node: NodeId| {
            self.names.node(node).leaf
                || !matches!(self.names.node(node).kind, FileType::Unknown | FileType::Directory)
        };
        let mut dot = false;
        let end = match &paths.walk {
            Walk::Stopped(DirEntry { state: EntryState::Node(node), .. }, _) if leaf(*node) => {
                return None;
            }
            Walk::Stopped(dir_entry, rest) => {
                dot = rest.last().is_some_and(|name| &**name == b".");
                let rest = rest.iter().filter(|name| &***name != b".");
                let names: Vec<_> = std::iter::once(&dir_entry.name).chain(rest).cloned().collect();
                if names.len() > LONG {
                    return None;
                }
                End::From(dir_entry.dir, names, known(dir_entry))
            }
            Walk::Entry(DirEntry { state: EntryState::Node(node), .. }) if leaf(*node) => End::Leaf,
            Walk::Entry(DirEntry { state: EntryState::Node(node), .. })
                if self.names.node(*node).kind == FileType::Directory
                    && !self.names.may_be_behind_a_link(*node) =>
            {
                End::Directory
            }
            Walk::Entry(DirEntry { state: EntryState::Absent, .. }) => End::Absent,
            Walk::Entry(dir_entry) => {
                End::From(dir_entry.dir, vec![dir_entry.name.clone()], known(dir_entry))
            }
            Walk::At(_) => End::Directory,
            Walk::Virtual | Walk::Blocked => return None,
        };
        Some(Path { end, slash: paths.slash, dot })
    }
}
