//! Errors that did not tell which of several names was to blame when they came, and do once more is known of the names before it.
//!
//! Invariant: a doubt begins at a name that nothing had touched, so that what is known of the tree at first from there on was so when the call failed.
//! What remains doubtful at the end proves nothing. No more than [`MOST`] are kept: the first ones.

use super::errors::{ELOOP, ENOENT, ENOTDIR};
use super::{Facts, Led};
use crate::files::names::{Names, Place, Slot, Walk};
use crate::files::node::{Entry, NodeId, Seen};
use crate::files::row::FileType;
use abi::Role;

/// So many doubts are kept, so that a long trace does not cost memory for each of its errors.
const MOST: usize = 1 << 16;

/// What was known of a path when the call failed.
enum Path {
    /// It led to a directory.
    Directory,
    /// It led to something that is no directory.
    Leaf,
    /// It led to a name that did not exist.
    Absent,
    /// It led to this directory, and on by these names; the first of them was this file, if it is known.
    From(NodeId, Vec<Box<[u8]>>, Option<NodeId>),
}

impl Path {
    /// How many of its names are open.
    fn open(&self) -> usize {
        if let Self::From(_, names, _) = self { names.len() } else { 0 }
    }
}

/// A call that failed.
pub(super) struct Doubt {
    errno: i32,
    /// A name ends in a slash.
    slash: bool,
    creates: bool,
    role: Role,
    paths: Vec<Path>,
}

/// How far a path leads in the tree as it was at first.
enum Stop {
    /// To a name of which nothing is known, the path's last or not.
    Free(Place, bool),
    /// To a file, the path's last or not, of which nobody knows what it is.
    Unknown(NodeId, bool),
    /// To a directory, by the whole path.
    Directory,
    /// To something on the way that is no directory.
    InTheWay,
    /// To this, which is no directory, by the whole path.
    Leaf(NodeId),
    /// Nobody knows.
    Lost,
}

impl Facts {
    /// Keeps an error in mind.
    pub(super) fn doubt(&mut self, errno: i32, led: &[Led]) {
        let Some(first) = led.first() else { return };
        let wanted = match (errno, led.len()) {
            (ENOENT, 1) => first.creates || first.follow && matches!(first.walk, Walk::Stopped(..)),
            (ENOTDIR, 1) => true,
            (ELOOP, 1) => first.follow && !first.creates || matches!(first.walk, Walk::Stopped(..)),
            (ENOTDIR, 2) => first.used.role == Role::Source,
            _ => false,
        };
        if !wanted || self.doubts.len() >= MOST {
            return;
        }
        if let Some(paths) = led.iter().map(|l| self.reached(&l.walk)).collect() {
            self.doubts.push(Doubt {
                errno,
                slash: led.iter().any(|l| l.slash),
                creates: first.creates,
                role: first.used.role,
                paths,
            });
        }
    }

    /// `None`: what is known explains the error, or nothing will.
    fn reached(&self, walk: &Walk) -> Option<Path> {
        let known =
            |place: &Place| if let Slot::Node(node) = place.slot { Some(node) } else { None };
        let leaf = |node: NodeId| {
            self.names.node(node).leaf
                || !matches!(self.names.node(node).kind, FileType::Unknown | FileType::Directory)
        };
        Some(match walk {
            Walk::Stopped(Place { slot: Slot::Node(node), .. }, _) if leaf(*node) => return None,
            Walk::Stopped(place, rest) => Path::From(
                place.dir,
                std::iter::once(&place.name).chain(rest).cloned().collect(),
                known(place),
            ),
            Walk::Place(Place { slot: Slot::Node(node), .. }) if leaf(*node) => Path::Leaf,
            Walk::Place(Place { slot: Slot::Node(node), .. })
                if self.names.node(*node).kind == FileType::Directory =>
            {
                Path::Directory
            }
            Walk::Place(Place { slot: Slot::Absent, .. }) => Path::Absent,
            Walk::Place(place) => Path::From(place.dir, vec![place.name.clone()], known(place)),
            Walk::At(_) => Path::Directory,
            Walk::Virtual | Walk::Blocked => return None,
        })
    }

    /// Looks at all doubts again, at the end.
    pub fn settle_doubts(&mut self) {
        // Those that leave the fewest names open first: they may settle others.
        let mut doubts = std::mem::take(&mut self.doubts);
        doubts.sort_by_key(|doubt| doubt.paths.iter().map(Path::open).sum::<usize>());
        for doubt in doubts {
            match &doubt.paths[..] {
                [path] if doubt.errno == ENOENT => {
                    // What stands there, or what kept the file from being made where its directory was, is a link that leads nowhere.
                    match lead(&mut self.names, path) {
                        Stop::Free(place, true) if doubt.creates => {
                            self.names.present(&place, &Seen::kind(FileType::Link));
                        }
                        Stop::Leaf(node) | Stop::Unknown(node, true)
                            if self.names.node(node).kind == FileType::Unknown
                                && !self.names.node(node).followed =>
                        {
                            self.names.node_mut(node).kind = FileType::Link;
                        }
                        _ => {}
                    }
                }
                [path] if doubt.errno == ELOOP => {
                    if let Stop::Free(place, _) = lead(&mut self.names, path) {
                        let target = Some(place.name.to_vec());
                        self.names.present(&place, &Seen { target, ..Seen::kind(FileType::Link) });
                    }
                }
                [path] => {
                    self.blame(path, doubt.role != Role::Create);
                }
                [from, to] => self.refused_rename(from, to, doubt.slash),
                _ => {}
            }
        }
    }

    /// Something on this path is no directory: the first of which nobody knows what it is; the last only if `last`. Whether such a one was found.
    fn blame(&mut self, path: &Path, last: bool) -> bool {
        match lead(&mut self.names, path) {
            Stop::Free(place, at_last) if last || !at_last => self.no_directory(&place),
            Stop::Unknown(node, at_last) if last || !at_last => {
                self.names.node_mut(node).observe(&Seen::leaf());
            }
            Stop::InTheWay => {}
            Stop::Leaf(_) if last => {}
            _ => return false,
        }
        true
    }

    /// A rename failed with ENOTDIR: a path leads through what is no directory; or a directory was to replace what is none; or what is none was to get a name
    /// with a slash.
    fn refused_rename(&mut self, from: &Path, to: &Path, slash: bool) {
        if self.blame(from, false) || self.blame(to, false) {
            return;
        }
        let source = lead(&mut self.names, from);
        if matches!(source, Stop::Lost) && matches!(from, Path::From(..)) {
            return;
        }
        if slash && matches!(to, Path::Leaf) {
            return; // either may be to blame
        }
        if slash {
            match source {
                Stop::Unknown(node, _) => self.names.node_mut(node).observe(&Seen::leaf()),
                Stop::Free(place, _) => self.no_directory(&place),
                _ => {}
            }
            return;
        }
        let replaces = match (to, lead(&mut self.names, to)) {
            (Path::Leaf, _) | (_, Stop::Leaf(_)) => true,
            (_, Stop::Free(place, _)) => {
                self.no_directory(&place);
                true
            }
            (_, Stop::Unknown(node, _)) => {
                self.names.node_mut(node).observe(&Seen::leaf());
                true
            }
            _ => false,
        };
        match source {
            Stop::Unknown(node, _) if replaces => {
                self.names.node_mut(node).kind = FileType::Directory;
            }
            Stop::Free(place, _) if replaces => {
                self.names.present(&place, &Seen::kind(FileType::Directory));
            }
            _ => {}
        }
    }

    fn no_directory(&mut self, place: &Place) {
        let node = self.names.present(place, &Seen::leaf());
        let node = self.names.node_mut(node);
        if node.likely_kind() == FileType::Unknown {
            node.guess = FileType::Regular;
        }
    }
}

fn lead(names: &mut Names, path: &Path) -> Stop {
    let (dir, parts, known) = match path {
        Path::From(dir, parts, known) => (dir, parts, known),
        Path::Directory => return Stop::Directory,
        Path::Leaf | Path::Absent => return Stop::Lost,
    };
    let mut at = names.itself(*dir);
    if names.node(at).presumed {
        return Stop::Lost;
    }
    let last = parts.len() - 1;
    for (i, name) in parts.iter().enumerate() {
        let dir = names.node(at);
        if &**name == b".." || &**name == b"." || !dir.initial || dir.is_virtual {
            return Stop::Lost;
        }
        let known = known.filter(|_| i == 0);
        let Some(entry) =
            dir.entries.get(name).copied().or(known.map(|id| Entry { first: Some(id), now: None }))
        else {
            return Stop::Free(
                Place { dir: at, name: name.clone(), slot: Slot::Unknown },
                i == last,
            );
        };
        let Some(first) = known.or(entry.first).filter(|&first| names.node(first).initial) else {
            return Stop::Lost;
        };
        names.learn(first);
        let node = names.node(first);
        match node.kind {
            FileType::Directory if node.presumed => return Stop::Lost,
            FileType::Directory => at = first,
            FileType::Unknown if node.leaf => {
                return if i == last { Stop::Leaf(first) } else { Stop::InTheWay };
            }
            FileType::Unknown
                if node.unlinkable || node.entries.values().any(|e| e.first.is_some()) =>
            {
                at = first;
            }
            FileType::Unknown => return Stop::Unknown(first, i == last),
            FileType::Link => return Stop::Lost,
            _ => return if i == last { Stop::Leaf(first) } else { Stop::InTheWay },
        }
    }
    Stop::Directory
}
