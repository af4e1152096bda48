//! What errors prove: how far the kernel followed a path, and what stopped it.

mod solver;
pub mod unexplained;

use super::{Facts, PathArg};
use crate::files::names::{DirEntry, EntryState, Reach, Walk};
use crate::files::node::{NodeId, Observed};
use crate::files::row::FileType;
use abi::{CallSpec, Form, Kind, Role};
use linux_raw_sys::errno;
use trace::Call;

const EPERM: i32 = errno::EPERM as i32;
pub(super) const ENOENT: i32 = errno::ENOENT as i32;
const EACCES: i32 = errno::EACCES as i32;
const EBUSY: i32 = errno::EBUSY as i32;
pub(super) const EEXIST: i32 = errno::EEXIST as i32;
pub(super) const ENOTDIR: i32 = errno::ENOTDIR as i32;
const EISDIR: i32 = errno::EISDIR as i32;
const EINVAL: i32 = errno::EINVAL as i32;
const ENOTEMPTY: i32 = errno::ENOTEMPTY as i32;
pub(super) const ELOOP: i32 = errno::ELOOP as i32;
/// The error of bind(2) where other calls fail with EEXIST.
const EADDRINUSE: i32 = errno::EADDRINUSE as i32;

/// Returns how far the kernel must have followed the paths of a call, by its result.
pub(super) fn reach_of(call: &Call, spec: &CallSpec) -> Reach {
    let has =
        |role| spec.args.iter().any(|a| a.kind.path_use().is_some_and(|used| used.role == role));
    match call.errno() {
        // link(2) looks whether the new name is free before it refuses directories; rename(2) looks
        // at both names before it refuses to move a directory into itself.
        Some(EPERM) if has(Role::Lookup) && has(Role::Create) => Reach::Proven,
        // Names that end in a dot, and mount points, are refused after the directories have been
        // found.
        Some(EBUSY) if has(Role::Source) => Reach::Proven,
        Some(EINVAL)
            if (has(Role::Source) || has(Role::RemoveDirectory))
                && !spec.args.iter().any(|a| matches!(a.kind, Kind::Flags(_))) =>
        {
            Reach::Proven
        }
        None | Some(EEXIST | EADDRINUSE | ENOTEMPTY | EISDIR) => Reach::Proven,
        Some(EINVAL) if reads_link(spec) => Reach::Proven,
        // If there are two paths, the other one may have caused the error.
        Some(ENOENT) if spec.args.iter().filter(|a| a.kind.path_use().is_some()).count() == 1 => {
            Reach::ToMissing
        }
        Some(errno) if proves_nothing(errno) => Reach::Unknown,
        Some(_) => Reach::ToObstacle,
    }
}

/// Returns whether the call is readlink(2) or similar.
fn reads_link(spec: &CallSpec) -> bool {
    spec.args.iter().any(|a| matches!(a.kind, Kind::Out(_, layout) if layout.form == Form::Text))
}

/// Returns whether this error can occur both if a path exists and if it does not.
fn proves_nothing(number: i32) -> bool {
    use errno::{EBADF, EDQUOT, EFAULT, EINTR, EMFILE, ENAMETOOLONG, ENFILE, ENOMEM, ENOSPC};
    matches!(
        number as u32,
        errno::ENOENT
            | EINTR
            | EBADF
            | ENOMEM
            | EFAULT
            | ENFILE
            | EMFILE
            | ENOSPC
            | ENAMETOOLONG
            | EDQUOT
    )
}

impl Facts {
    /// Guesses what is at a name at which a path ended with this error, if nothing is known of it:
    /// the simplest file that gives the same error. After EACCES, the guess is a file of type
    /// `type_if_refused` without permissions. Later calls can prove something else.
    fn guess_obstacle(&mut self, dir_entry: &DirEntry, errno: i32, type_if_refused: FileType) {
        if self
            .names
            .node(dir_entry.dir)
            .entries
            .get(&dir_entry.name)
            .is_some_and(|e| e.current.is_none())
            || self.names.node(dir_entry.dir).is_virtual
        {
            return;
        }
        let known = self.names.node(dir_entry.dir).entries.contains_key(&dir_entry.name);
        match errno {
            ENOTDIR => {
                let node = self.names.note_exists(dir_entry, &Observed::of_type(FileType::Unknown));
                if !self.names.node(node).link_refused {
                    self.names.node_mut(node).guessed_type = FileType::Regular;
                }
            }
            EACCES if self.names.no_file_system => {
                let node = self.names.note_exists(dir_entry, &Observed::of_type(FileType::Unknown));
                let node = self.names.node_mut(node);
                node.access_denied = true;
                if node.likely_type() == FileType::Unknown {
                    node.guessed_type = type_if_refused;
                }
            }
            ELOOP if !known || self.may_be_link(dir_entry) => {
                let node = self.names.note_exists(dir_entry, &Observed::of_type(FileType::Unknown));
                let node = self.names.node_mut(node);
                if node.kind == FileType::Unknown {
                    node.guessed_type = FileType::Link;
                    node.target = Some(dir_entry.name.to_vec());
                }
            }
            _ => {}
        }
    }

    /// Returns whether the name may be that of a symbolic link with an unknown target, initially.
    fn may_be_link(&self, dir_entry: &DirEntry) -> bool {
        match dir_entry.state {
            EntryState::Unknown => {
                let dir = self.names.node(dir_entry.dir);
                dir.initial && !dir.is_virtual
            }
            EntryState::Absent => false,
            EntryState::Node(node) => {
                let node = self.names.node(node);
                node.initial && node.kind == FileType::Unknown && !node.followed && !node.confirmed
            }
        }
    }

    /// Applies what the error of a failed call proves of the names in its paths.
    pub(super) fn apply_error(&mut self, spec: &CallSpec, errno: i32, paths: &[PathArg]) {
        if let [from, to] = paths
            && from.path_use.role == Role::Source
        {
            self.apply_failed_rename(errno, from, to);
        }
        let is_only_path = paths.len() == 1;
        for path in paths {
            match &path.walk {
                Walk::Entry(dir_entry) => match errno {
                    ENOENT => self.apply_enoent(path, dir_entry, is_only_path),
                    ENOTDIR => self.apply_enotdir(path, dir_entry, is_only_path),
                    EEXIST | EADDRINUSE | ENOTEMPTY => self.apply_eexist(errno, path, dir_entry),
                    EISDIR => self.apply_eisdir(path, dir_entry),
                    _ => self.apply_other_error(spec, errno, paths, path, dir_entry),
                },
                Walk::Stopped(dir_entry, rest) if is_only_path => {
                    let only_dots_follow = rest.iter().all(|name| &**name == b".");
                    if errno == ENOENT && dir_entry.state == EntryState::Unknown && only_dots_follow
                    {
                        self.names.note_missing(dir_entry);
                    } else {
                        self.guess_obstacle(dir_entry, errno, FileType::Directory);
                    }
                }
                _ => {}
            }
        }
    }

    /// Applies what a failed rename proves of the file that was to be moved and of the one that was
    /// to be replaced.
    fn apply_failed_rename(&mut self, errno: i32, from: &PathArg, to: &PathArg) {
        let any_slash = from.slash || to.slash;
        let (Walk::Entry(from), Walk::Entry(to)) = (&from.walk, &to.walk) else { return };
        match errno {
            // A directory was to replace a file that is none.
            ENOTDIR
                if !any_slash
                    && from.state != EntryState::Absent
                    && to.state != EntryState::Absent =>
            {
                self.names.note_exists(from, &Observed::of_type(FileType::Directory));
                self.names.note_exists(to, &Observed::not_directory());
            }
            // A directory was to be moved into itself.
            EINVAL if !self.names.is_above(from, to.dir) => {
                let moved = self.names.note_exists(from, &Observed::of_type(FileType::Directory));
                self.names.note_directory_inside(to.dir, moved);
            }
            _ => {}
        }
    }

    /// Applies an ENOENT at the last name of a path. `is_only_path` is whether no other path of the
    /// call can have caused it.
    fn apply_enoent(&mut self, path: &PathArg, dir_entry: &DirEntry, is_only_path: bool) {
        match (dir_entry.state, path.path_use.role) {
            // A call fails in the same way at a link to a path that does not exist.
            (EntryState::Unknown, _) if is_only_path && path.follow => {
                self.names.note_missing(dir_entry);
            }
            (EntryState::Unknown, _) if is_only_path => self.names.note_absent(dir_entry),
            // The name is known to exist, so it is a link to a path that does not exist.
            (EntryState::Node(node), Role::Lookup | Role::Open(_))
                if is_only_path && path.follow =>
            {
                let node = self.names.node_mut(node);
                if node.initial && node.kind == FileType::Unknown && !node.followed {
                    node.kind = FileType::Link;
                }
            }
            _ => {}
        }
    }

    /// Applies an ENOTDIR at the last name of a path. `is_only_path` is whether no other path of
    /// the call can have caused it.
    fn apply_enotdir(&mut self, path: &PathArg, dir_entry: &DirEntry, is_only_path: bool) {
        let exists = dir_entry.state != EntryState::Absent;
        match path.path_use.role {
            Role::Remove | Role::RemoveDirectory if exists => self.found_no_directory(dir_entry),
            // The call did not ask for a directory. So the name is that of a link whose target
            // leads through a file that is none.
            Role::Lookup | Role::Open(_)
                if is_only_path
                    && path.follow
                    && !path.must_be_directory
                    && self.may_be_link(dir_entry) =>
            {
                let node = self.names.note_exists(dir_entry, &Observed::of_type(FileType::Link));
                self.names.set_target_through_file(node);
            }
            // All components before the last one are directories. So the last one, which had to be a
            // directory, is none.
            Role::Lookup | Role::Open(_) if is_only_path && exists => {
                self.found_no_directory(dir_entry);
            }
            role => self.presume_obstacle(role, dir_entry),
        }
    }

    /// Applies an EEXIST, ENOTEMPTY or EADDRINUSE at the last name of a path.
    fn apply_eexist(&mut self, errno: i32, path: &PathArg, dir_entry: &DirEntry) {
        match (errno, path.path_use.role) {
            (EEXIST | EADDRINUSE, role @ (Role::Create | Role::Open(_))) => {
                let node = self.names.note_exists(dir_entry, &Observed::of_type(FileType::Unknown));
                self.names.node_mut(node).guess_type(match role {
                    _ if errno == EADDRINUSE => FileType::Socket,
                    Role::Create => FileType::Directory,
                    _ => FileType::Regular,
                });
            }
            (ENOTEMPTY, Role::Remove | Role::RemoveDirectory | Role::Target) => {
                let node = self.found_directory(dir_entry);
                self.names.note_not_empty(node);
            }
            // The kernel looks at the old name before the new one.
            (ENOTEMPTY | EEXIST, Role::Source) => {
                self.names.note_exists(dir_entry, &Observed::of_type(FileType::Unknown));
            }
            (EEXIST, Role::Lookup) => {
                self.found_old_name(path, dir_entry);
            }
            (_, role) => self.presume_obstacle(role, dir_entry),
        }
    }

    /// Applies an EISDIR at the last name of a path.
    fn apply_eisdir(&mut self, path: &PathArg, dir_entry: &DirEntry) {
        match path.path_use.role {
            Role::Target => drop(self.found_directory(dir_entry)),
            Role::Source => self.found_no_directory(dir_entry),
            // If the path ends in a slash, an open that may create the file fails whatever is
            // there.
            Role::Lookup | Role::Open(_) | Role::Remove if !(path.slash && path.may_create) => {
                if path.follow {
                    let node =
                        self.names.note_exists(dir_entry, &Observed::of_type(FileType::Directory));
                    self.names.mark_followed(node);
                } else {
                    // unlink(2) looks at the name itself.
                    self.found_directory(dir_entry);
                }
            }
            role => self.presume_obstacle(role, dir_entry),
        }
    }

    /// Applies an error without a function of its own at the last name of `path`, which is one of
    /// `paths`, the paths of the call.
    fn apply_other_error(
        &mut self,
        spec: &CallSpec,
        errno: i32,
        paths: &[PathArg],
        path: &PathArg,
        dir_entry: &DirEntry,
    ) {
        let is_only_path = paths.len() == 1;
        match (errno, path.path_use.role) {
            // The kernel has looked at both names, and the file with the old one is a directory.
            (EINVAL, Role::Source) if paths.len() == 2 => drop(self.found_directory(dir_entry)),
            // Most likely a directory. With fs.protected_hardlinks, a file of another user is
            // refused, too.
            (EPERM, Role::Lookup) if paths.iter().any(|l| l.path_use.role == Role::Create) => {
                let node = self.found_old_name(path, dir_entry);
                let node = self.names.node_mut(node);
                if node.kind == FileType::Unknown && !node.not_directory {
                    node.guessed_type = FileType::Directory;
                    node.link_refused = true;
                }
            }
            (ELOOP, Role::Open(_)) if !path.follow => {
                self.names.note_exists(dir_entry, &Observed::of_type(FileType::Link));
            }
            // There is a loop of links. The simplest one is a link to itself.
            (ELOOP | EACCES, Role::Lookup | Role::Open(_))
                if is_only_path && (!path.may_create || errno == ELOOP) =>
            {
                self.names.presume_exists(dir_entry);
                self.guess_obstacle(dir_entry, errno, FileType::Regular);
            }
            // The path ends in a slash, so that the link was followed, to a directory.
            (EINVAL, Role::Lookup) if path.follow && reads_link(spec) => {
                let node =
                    self.names.note_exists(dir_entry, &Observed::of_type(FileType::Directory));
                self.names.mark_followed(node);
            }
            // The file is no link. Its type is not known.
            (EINVAL, Role::Lookup) if dir_entry.state != EntryState::Absent && reads_link(spec) => {
                let node = self.names.note_exists(dir_entry, &Observed::of_type(FileType::Unknown));
                let node = self.names.node_mut(node);
                node.confirmed = true;
                node.guess_type(FileType::Regular);
            }
            (errno, role) if !proves_nothing(errno) => self.presume_obstacle(role, dir_entry),
            _ => {}
        }
    }

    /// Assumes that a path failed at this last name as a file is there, unless the call was to
    /// create, move or replace the name.
    fn presume_obstacle(&mut self, role: Role, dir_entry: &DirEntry) {
        if !matches!(role, Role::Create | Role::Source | Role::Target) {
            self.names.presume_exists(dir_entry);
        }
    }

    /// Notes that a link(2) found the file that was to get another name. If the path ends in a
    /// slash, the file is a directory, or a link to one that the call followed. Returns the file.
    fn found_old_name(&mut self, path: &PathArg, dir_entry: &DirEntry) -> NodeId {
        let kind = if path.slash { FileType::Directory } else { FileType::Unknown };
        let node = self.names.note_exists(dir_entry, &Observed::of_type(kind));
        if path.slash && path.follow {
            self.names.mark_followed(node);
        }
        node
    }

    /// Notes that the name is that of a directory itself, not of a link to one. Returns the
    /// directory.
    fn found_directory(&mut self, dir_entry: &DirEntry) -> NodeId {
        let node = self.names.note_exists(dir_entry, &Observed::of_type(FileType::Directory));
        self.names.node_mut(node).confirmed = true;
        node
    }

    /// Notes that the name is not that of a directory.
    fn found_no_directory(&mut self, dir_entry: &DirEntry) {
        let node = self.names.note_exists(dir_entry, &Observed::not_directory());
        self.names.node_mut(node).guess_type(FileType::Regular);
    }
}
