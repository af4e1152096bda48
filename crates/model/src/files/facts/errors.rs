//! What errors prove: how far a path was followed, and what stood in the way.

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
/// What bind(2) says where others say EEXIST.
const EADDRINUSE: i32 = errno::EADDRINUSE as i32;

/// Returns how far the kernel got on a path, by the result of the call.
pub(super) fn reach(call: &Call, spec: &CallSpec) -> Reach {
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
        // Of two paths, the other one may be to blame.
        Some(ENOENT) if spec.args.iter().filter(|a| a.kind.path_use().is_some()).count() == 1 => {
            Reach::Missing
        }
        Some(errno) if proves_nothing(errno) => Reach::Nowhere,
        Some(_) => Reach::Partly,
    }
}

/// Returns whether the call reads the target of a symbolic link.
fn reads_link(spec: &CallSpec) -> bool {
    spec.args.iter().any(|a| matches!(a.kind, Kind::Out(_, layout) if layout.form == Form::Text))
}

/// Returns whether this error can come whether a path exists or not.
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
    /// Assumes what is at a name at which a path ended with this error, when nothing else explains
    /// it: the simplest file that gives the same error. Later calls can prove something else.
    fn in_the_way(&mut self, dir_entry: &DirEntry, errno: i32, refuses: FileType) {
        if self
            .names
            .node(dir_entry.dir)
            .entries
            .get(&dir_entry.name)
            .is_some_and(|e| e.now.is_none())
            || self.names.node(dir_entry.dir).is_virtual
        {
            return;
        }
        let known = self.names.node(dir_entry.dir).entries.contains_key(&dir_entry.name);
        match errno {
            ENOTDIR => {
                let node = self.names.note_exists(dir_entry, &Observed::kind(FileType::Unknown));
                if !self.names.node(node).unlinkable {
                    self.names.node_mut(node).guess = FileType::Regular;
                }
            }
            EACCES if self.names.no_file_system => {
                let node = self.names.note_exists(dir_entry, &Observed::kind(FileType::Unknown));
                let node = self.names.node_mut(node);
                node.denied = true;
                if node.likely_kind() == FileType::Unknown {
                    node.guess = refuses;
                }
            }
            ELOOP if !known || self.may_be_link(dir_entry) => {
                let node = self.names.note_exists(dir_entry, &Observed::kind(FileType::Unknown));
                let node = self.names.node_mut(node);
                if node.kind == FileType::Unknown {
                    node.guess = FileType::Link;
                    node.target = Some(dir_entry.name.to_vec());
                }
            }
            _ => {}
        }
    }

    /// Returns whether nothing contradicts that the name is a symbolic link with an unknown target.
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

    /// Applies what the error of a failed call proves.
    pub(super) fn apply_error(&mut self, spec: &CallSpec, errno: i32, paths: &[PathArg]) {
        if let [from, to] = paths
            && from.used.role == Role::Source
        {
            self.rename_failed(errno, from, to);
        }
        let alone = paths.len() == 1;
        for path in paths {
            match &path.walk {
                Walk::Entry(dir_entry) => match errno {
                    ENOENT => self.not_found(path, dir_entry, alone),
                    ENOTDIR => self.not_a_directory(path, dir_entry, alone),
                    EEXIST | EADDRINUSE | ENOTEMPTY => self.exists(errno, path, dir_entry),
                    EISDIR => self.is_a_directory(path, dir_entry),
                    _ => self.failed_otherwise(spec, errno, paths, path, dir_entry),
                },
                Walk::Stopped(dir_entry, rest) if alone => {
                    let dots = rest.iter().all(|name| &**name == b".");
                    if errno == ENOENT && dir_entry.state == EntryState::Unknown && dots {
                        self.names.note_missing(dir_entry);
                    } else {
                        self.in_the_way(dir_entry, errno, FileType::Directory);
                    }
                }
                _ => {}
            }
        }
    }

    /// Applies what a failed rename proves of both names.
    fn rename_failed(&mut self, errno: i32, from: &PathArg, to: &PathArg) {
        let slashes = from.slash || to.slash;
        let (Walk::Entry(from), Walk::Entry(to)) = (&from.walk, &to.walk) else { return };
        match errno {
            // A directory was to replace what is none.
            ENOTDIR
                if !slashes
                    && from.state != EntryState::Absent
                    && to.state != EntryState::Absent =>
            {
                self.names.note_exists(from, &Observed::kind(FileType::Directory));
                self.names.note_exists(to, &Observed::leaf());
            }
            // A directory was to be moved into itself.
            EINVAL if !self.names.is_above(from, to.dir) => {
                let above = self.names.note_exists(from, &Observed::kind(FileType::Directory));
                self.names.note_inside(to.dir, above);
            }
            _ => {}
        }
    }

    /// Applies an ENOENT at the last name of a path. `alone` is whether the call has no other path
    /// that it can come from.
    fn not_found(&mut self, path: &PathArg, dir_entry: &DirEntry, alone: bool) {
        match (dir_entry.state, path.used.role) {
            // A link that leads nowhere fails alike.
            (EntryState::Unknown, _) if alone && path.follow => self.names.note_missing(dir_entry),
            (EntryState::Unknown, _) if alone => self.names.note_absent(dir_entry),
            // It is known to exist, and leads nowhere.
            (EntryState::Node(node), Role::Lookup | Role::Open(_)) if alone && path.follow => {
                let node = self.names.node_mut(node);
                if node.initial && node.kind == FileType::Unknown && !node.followed {
                    node.kind = FileType::Link;
                }
            }
            _ => {}
        }
    }

    /// Applies an ENOTDIR at the last name of a path. `alone` is whether the call has no other path
    /// that it can come from.
    fn not_a_directory(&mut self, path: &PathArg, dir_entry: &DirEntry, alone: bool) {
        let exists = dir_entry.state != EntryState::Absent;
        match path.used.role {
            Role::Remove | Role::RemoveDirectory if exists => self.found_no_directory(dir_entry),
            // The call did not ask for a directory: a link stands there that leads through what is
            // none.
            Role::Lookup | Role::Open(_)
                if alone && path.follow && !path.directory && self.may_be_link(dir_entry) =>
            {
                let node = self.names.note_exists(dir_entry, &Observed::kind(FileType::Link));
                self.names.lead_through_file(node);
            }
            // All before the last component are directories, and what stands there had to be one.
            Role::Lookup | Role::Open(_) if alone && exists => self.found_no_directory(dir_entry),
            role => self.presume(role, dir_entry),
        }
    }

    /// Applies an EEXIST, ENOTEMPTY or EADDRINUSE at the last name of a path.
    fn exists(&mut self, errno: i32, path: &PathArg, dir_entry: &DirEntry) {
        match (errno, path.used.role) {
            (EEXIST | EADDRINUSE, role @ (Role::Create | Role::Open(_))) => {
                let node = self.names.note_exists(dir_entry, &Observed::kind(FileType::Unknown));
                self.names.node_mut(node).guess(match role {
                    _ if errno == EADDRINUSE => FileType::Socket,
                    Role::Create => FileType::Directory,
                    _ => FileType::Regular,
                });
            }
            (ENOTEMPTY, Role::Remove | Role::RemoveDirectory | Role::Target) => {
                let node = self.found_directory(dir_entry);
                self.names.must_hold_something(node);
            }
            // The old name is looked at before the new one.
            (ENOTEMPTY | EEXIST, Role::Source) => {
                self.names.note_exists(dir_entry, &Observed::kind(FileType::Unknown));
            }
            (EEXIST, Role::Lookup) => {
                self.found_old_name(path, dir_entry);
            }
            (_, role) => self.presume(role, dir_entry),
        }
    }

    /// Applies an EISDIR at the last name of a path.
    fn is_a_directory(&mut self, path: &PathArg, dir_entry: &DirEntry) {
        match path.used.role {
            Role::Target => drop(self.found_directory(dir_entry)),
            Role::Source => self.found_no_directory(dir_entry),
            // With a slash at its end, a file that is to be created fails so whatever it is.
            Role::Lookup | Role::Open(_) | Role::Remove if !(path.slash && path.creates) => {
                if path.follow {
                    let node =
                        self.names.note_exists(dir_entry, &Observed::kind(FileType::Directory));
                    self.names.mark_followed(node);
                } else {
                    // unlink(2) looks at the name itself.
                    self.found_directory(dir_entry);
                }
            }
            role => self.presume(role, dir_entry),
        }
    }

    /// Applies another error, by what the call does with the path.
    fn failed_otherwise(
        &mut self,
        spec: &CallSpec,
        errno: i32,
        paths: &[PathArg],
        path: &PathArg,
        dir_entry: &DirEntry,
    ) {
        let alone = paths.len() == 1;
        match (errno, path.used.role) {
            // Both names were looked at, and what has the old one is a directory.
            (EINVAL, Role::Source) if paths.len() == 2 => drop(self.found_directory(dir_entry)),
            // Most likely a directory. A file of another user is refused alike under
            // protected_hardlinks.
            (EPERM, Role::Lookup) if paths.iter().any(|l| l.used.role == Role::Create) => {
                let node = self.found_old_name(path, dir_entry);
                let node = self.names.node_mut(node);
                if node.kind == FileType::Unknown && !node.leaf {
                    node.guess = FileType::Directory;
                    node.unlinkable = true;
                }
            }
            (ELOOP, Role::Open(_)) if !path.follow => {
                self.names.note_exists(dir_entry, &Observed::kind(FileType::Link));
            }
            // A link that leads in a circle; the simplest one will do.
            (ELOOP | EACCES, Role::Lookup | Role::Open(_))
                if alone && (!path.creates || errno == ELOOP) =>
            {
                self.names.presume(dir_entry);
                self.in_the_way(dir_entry, errno, FileType::Regular);
            }
            // With a slash at its end, a link was followed to a directory.
            (EINVAL, Role::Lookup) if path.follow && reads_link(spec) => {
                let node = self.names.note_exists(dir_entry, &Observed::kind(FileType::Directory));
                self.names.mark_followed(node);
            }
            // Whatever it is, it is no link.
            (EINVAL, Role::Lookup) if dir_entry.state != EntryState::Absent && reads_link(spec) => {
                let node = self.names.note_exists(dir_entry, &Observed::kind(FileType::Unknown));
                let node = self.names.node_mut(node);
                node.confirmed = true;
                node.guess(FileType::Regular);
            }
            (errno, role) if !proves_nothing(errno) => self.presume(role, dir_entry),
            _ => {}
        }
    }

    /// Notes that something is in the way, most likely the file of this name.
    fn presume(&mut self, role: Role, dir_entry: &DirEntry) {
        if !matches!(role, Role::Create | Role::Source | Role::Target) {
            self.names.presume(dir_entry);
        }
    }

    /// Notes that the old name of a link(2) was found; with a slash at its end, as that of a
    /// directory, or of a link to one. Returns the file.
    fn found_old_name(&mut self, path: &PathArg, dir_entry: &DirEntry) -> NodeId {
        let kind = if path.slash { FileType::Directory } else { FileType::Unknown };
        let node = self.names.note_exists(dir_entry, &Observed::kind(kind));
        if path.slash && path.follow {
            self.names.mark_followed(node);
        }
        node
    }

    /// Notes that the name is that of a directory itself, not of a link to one. Returns the
    /// directory.
    fn found_directory(&mut self, dir_entry: &DirEntry) -> NodeId {
        let node = self.names.note_exists(dir_entry, &Observed::kind(FileType::Directory));
        self.names.node_mut(node).confirmed = true;
        node
    }

    /// Notes that the name is not that of a directory.
    fn found_no_directory(&mut self, dir_entry: &DirEntry) {
        let node = self.names.note_exists(dir_entry, &Observed::leaf());
        self.names.node_mut(node).guess(FileType::Regular);
    }
}
