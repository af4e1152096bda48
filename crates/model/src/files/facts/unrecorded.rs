//! Changes of files by processes that were not recorded: a call finds a state that no recorded call
//! explains.
//!
//! The change is added to the model before what the call itself shows. Invariant: a change is not
//! ascribed to an unrecorded process if an overlapping call, or one that the model does not follow,
//! can have made it.

mod inodes;
pub mod overlapping;
mod replaced;
mod sizes;

use super::*;
use crate::files::table::{Change, ChangeKind};
use abi::Class;
use linux_raw_sys::general::{
    BTRFS_SUPER_MAGIC, EXT4_SUPER_MAGIC, F2FS_SUPER_MAGIC, TMPFS_MAGIC, XFS_SUPER_MAGIC,
};
use overlapping::OverlappingCalls;
use processes::{Operands, Unrecorded};

/// The largest number of changes. After that, the search for them ends.
const MAX_CHANGES: usize = 1 << 16;

/// ZFS is not in the kernel's headers.
const ZFS_SUPER_MAGIC: u32 = 0x2fc1_2fc1;

/// File systems whose inode numbers stay with their files (`statfs.f_type`).
const STABLE_INODES: [u32; 6] = [
    BTRFS_SUPER_MAGIC,
    EXT4_SUPER_MAGIC,
    F2FS_SUPER_MAGIC,
    TMPFS_MAGIC,
    XFS_SUPER_MAGIC,
    ZFS_SUPER_MAGIC,
];

/// The changes that unrecorded processes made, and what is needed to find them.
#[derive(Default)]
pub struct UnrecordedChanges {
    /// The calls that may have made a change themselves.
    pub overlapping: OverlappingCalls,
    /// The changes, in the order in which calls found them.
    pub changes: Vec<Change>,
    /// For each change the file that appeared or was resized; `None`: the file was removed.
    changed_files: Vec<Option<NodeId>>,
}

impl Facts {
    /// Notes that a call begins. `call_id` identifies it until it returns; `unrecorded` tells
    /// whether it may begin an operation that is not recorded. A call whose changes cannot be
    /// followed ends the search for unrecorded changes, as what is found later may be its work.
    pub fn begin_call<T>(
        &mut self,
        call_id: usize,
        call: &Arc<Call>,
        operands: &Operands<T>,
        unrecorded: &Unrecorded,
    ) {
        if !self.names.searches_unrecorded {
            return;
        }
        let not_followed = call.spec().is_none_or(|spec| match spec.replay {
            Replay::Skip(Class::Async) => unrecorded.may_begin_unrecorded(spec),
            Replay::Skip(Class::Mounts | Class::Unknown) => true,
            _ => false,
        });
        if not_followed || self.unrecorded.overlapping.note_closing(call_id, call) {
            self.names.searches_unrecorded = false;
            return;
        }
        self.unrecorded.overlapping.enter(call_id, call, operands);
    }

    /// Finds the changes that unrecorded processes must have made, as the call found what the
    /// recorded calls do not explain, and applies them. The states of the last names in `paths` are
    /// updated.
    pub(super) fn apply_unrecorded_changes(
        &mut self,
        call: &Call,
        spec: &CallSpec,
        context: &Context,
        paths: &mut [PathArg],
    ) {
        let appeared_directories = std::mem::take(&mut self.names.appeared_directories);
        if !self.names.searches_unrecorded || self.unrecorded.changes.len() >= MAX_CHANGES {
            self.names.searches_unrecorded = false;
            return;
        }
        for dir in appeared_directories {
            self.add_appeared_directory(call, dir);
        }
        let is_only_path = paths.len() == 1;
        for path in paths.iter_mut() {
            let Walk::Entry(dir_entry) = &mut path.walk else { continue };
            let used = (path.follow, &path.path_use);
            if self.names.node(dir_entry.dir).is_virtual {
                continue;
            }
            if self.names.doubtful_names.contains(&(dir_entry.dir, dir_entry.name.clone())) {
                self.decide_doubtful_name(
                    call,
                    spec,
                    &path.path_use,
                    path.may_create || !is_only_path,
                    dir_entry,
                );
                continue;
            }
            match (call.errno(), dir_entry.state) {
                (None, EntryState::Absent | EntryState::Unknown)
                    if self.was_missing(dir_entry) && self.found_existing(call, &path.path_use) =>
                {
                    // The file was removed right after the call found it, or was created again.
                    if self.unrecorded.overlapping.may_have_changed_name(call, &dir_entry.name) {
                        let name = (dir_entry.dir, dir_entry.name.clone());
                        self.names.doubtful_names.insert(name);
                    } else if let Some(node) =
                        self.add_appeared_file(call, spec, context, dir_entry, ChangeKind::Made)
                    {
                        dir_entry.state = EntryState::Node(node);
                    }
                }
                (None, EntryState::Unknown | EntryState::Node(_))
                    if self.found_existing(call, &path.path_use) =>
                {
                    let other_file = self.find_other_file(call, spec, context, used, dir_entry);
                    if let Some(other_file) = other_file {
                        dir_entry.state = EntryState::Node(other_file);
                    }
                }
                (Some(errors::EEXIST), EntryState::Absent | EntryState::Unknown)
                    if is_only_path && self.was_missing(dir_entry) =>
                {
                    self.add_appeared_file(call, spec, context, dir_entry, ChangeKind::Made);
                }
                (Some(errors::ENOENT), EntryState::Node(node))
                    if is_only_path && !path.may_create =>
                {
                    let looks_up_name =
                        matches!(path.path_use.role, Role::Lookup | Role::Open(_) | Role::Remove);
                    if looks_up_name
                        && spec.effect != Effect::Exec
                        && self.remove_vanished_name(call, dir_entry, node, path.follow)
                    {
                        dir_entry.state = EntryState::Absent;
                    }
                }
                _ => {}
            }
        }
        self.find_size_changes(call, spec, context, paths);
    }

    /// Decides whether a name that overlapping calls changed exists, if this call shows it and no
    /// call overlaps it. `has_other_explanation` is whether an ENOENT of the call can have another
    /// reason than that the name does not exist.
    fn decide_doubtful_name(
        &mut self,
        call: &Call,
        spec: &CallSpec,
        path_use: &PathUse,
        has_other_explanation: bool,
        dir_entry: &mut DirEntry,
    ) {
        if self.unrecorded.overlapping.may_have_changed_name(call, &dir_entry.name) {
            return;
        }
        let (succeeded, role) = (call.succeeded(), path_use.role);
        let absent = call.errno() == Some(errors::ENOENT)
            && !has_other_explanation
            && spec.effect != Effect::Exec;
        let showed_file = succeeded
            && matches!(role, Role::Lookup | Role::Open(_))
            && (observed_by_stat(call, spec).is_some() || call.identity(RESULT).is_some());
        let changed_name =
            succeeded && matches!(role, Role::Create | Role::Remove | Role::RemoveDirectory);
        if let (true, EntryState::Node(node)) = (absent, dir_entry.state) {
            self.names.detach(dir_entry, node);
            dir_entry.state = EntryState::Absent;
        }
        if absent || showed_file || changed_name {
            self.names.doubtful_names.remove(&(dir_entry.dir, dir_entry.name.clone()));
        }
    }

    /// Returns whether a call found nothing at this name, or removed it, and no call has found a
    /// file there since. If a call that follows links found nothing, the name may also be that of a
    /// link to a path that does not exist.
    fn was_missing(&self, dir_entry: &DirEntry) -> bool {
        match dir_entry.state {
            EntryState::Absent => true,
            EntryState::Unknown => {
                self.names.node(dir_entry.dir).not_found_names.contains(&dir_entry.name)
            }
            EntryState::Node(_) => false,
        }
    }

    /// Returns whether a call that succeeded found an existing file at a name, as its role in
    /// `path_use` and its result show.
    pub(super) fn found_existing(&self, call: &Call, path_use: &PathUse) -> bool {
        match path_use.role {
            Role::Lookup | Role::Remove | Role::RemoveDirectory | Role::Source => true,
            Role::Open(from) => {
                let flags = u64::from(call.open_flags(from));
                let was_created =
                    call.identity(RESULT).and_then(|(identity, _)| identity.was_created());
                flags & O_TMPFILE != O_TMPFILE
                    && (flags & O_CREAT == 0 || was_created == Some(false))
            }
            _ => false,
        }
    }

    /// Adds the change that an unrecorded process created a file at a name, or put it in the place
    /// of another one: `kind` says which. Returns the file. Returns `None`, and adds nothing, if
    /// there may be another explanation.
    fn add_appeared_file(
        &mut self,
        call: &Call,
        spec: &CallSpec,
        context: &Context,
        dir_entry: &DirEntry,
        kind: ChangeKind,
    ) -> Option<NodeId> {
        if self.unrecorded.overlapping.may_have_changed_name(call, &dir_entry.name) {
            return None;
        }
        let opened = call.identity(RESULT).filter(|_| spec.ret == Ret::Fd);
        let path = self.names.path_in(dir_entry.dir, &dir_entry.name)?;
        // The name is that of a link, and the file behind it was opened: nothing is known of the
        // link itself.
        if opened.as_ref().is_some_and(|(_, real)| *real != path) {
            return None;
        }
        let seen = match opened {
            Some((identity, _)) => Observed::of_identity(&identity),
            None => observed_by_stat(call, spec)
                .or_else(|| observed_by_readlink(call, spec))
                .unwrap_or_else(|| Observed::of_type(FileType::Unknown)),
        };
        // A link to a path that did not exist then was there before.
        if dir_entry.state == EntryState::Unknown && seen.kind == FileType::Link {
            return None;
        }
        // The file has another known name: a process linked it, or the names are two paths to it;
        // unless the other file was removed, and its inode number given to this one.
        let known = seen.id.and_then(|id| self.names.find_by_inode(id));
        if known.is_some_and(|other| !self.remove_former_file(call, dir_entry, &seen, other, false))
        {
            return None;
        }
        // It is not known which file it is: it may have been created through another path to this
        // directory.
        let dir = self.names.node(dir_entry.dir);
        if seen.id.is_none() && dir.initial && !dir.confirmed && context.cwd != Some(dir_entry.dir)
        {
            return None;
        }
        let after = match dir_entry.state {
            EntryState::Node(old) => {
                self.names.detach(dir_entry, old);
                self.names.node(old).last_call
            }
            _ => None,
        };
        let node = self.names.add_unrecorded_file(dir_entry, &seen);
        self.add_change(Change { after, ..new_change(call, path, kind) }, Some(node));
        Some(node)
    }

    /// Adds the change that an unrecorded process created a directory that a path leads through,
    /// unless an overlapping call may have.
    fn add_appeared_directory(&mut self, call: &Call, node: NodeId) {
        let Some((dir, name)) = self.names.node(node).names.first().cloned() else { return };
        if self.unrecorded.overlapping.may_have_changed_name(call, &name) {
            return;
        }
        let Some(path) = self.names.path_in(dir, &name) else { return };
        self.names.node_mut(node).appeared = true;
        self.add_change(new_change(call, path, ChangeKind::Made), Some(node));
    }

    /// Adds a change that an unrecorded process made to `file`; `None`: the file is gone. Bytes
    /// that it wrote into the file get an id of their own, by which `initial.parquet` refers to
    /// them.
    pub(super) fn add_change(&mut self, mut change: Change, file: Option<NodeId>) {
        let size = change.state.as_ref().and_then(|state| state.size);
        let has_new_bytes = size.is_none_or(|size| size > change.from);
        if let Some(id) = file.filter(|_| has_new_bytes) {
            let origin = self.names.new_origin_id();
            change.file = Some(origin);
            let bytes = UnrecordedBytes { offset: change.from, origin };
            self.names.node_mut(id).unrecorded_bytes.push(bytes);
        }
        self.unrecorded.changes.push(change);
        self.unrecorded.changed_files.push(file);
    }

    /// Notes in the files that a call used, and in their names, that it was the last call that did
    /// so, and which of their states are in doubt as other calls overlapped it. Ends the search for
    /// unrecorded changes if the call wrote to a file that is not known.
    pub(super) fn note_used_files(
        &mut self,
        call: &Call,
        spec: &CallSpec,
        context: &Context,
        paths: &[PathArg],
    ) {
        if !self.names.searches_unrecorded {
            return;
        }
        let is_doubtful = |names: &Names, path: &PathArg| {
            matches!(&path.walk, Walk::Entry(dir_entry)
                if names.doubtful_names.contains(&(dir_entry.dir, dir_entry.name.clone())))
        };
        // If the old name of a file is doubtful, so is its new one.
        let any_doubtful =
            paths.len() == 2 && paths.iter().any(|path| is_doubtful(&self.names, path));
        for path in paths {
            let Walk::Entry(dir_entry) = &path.walk else { continue };
            if let EntryState::Node(node) = dir_entry.state {
                self.names.node_mut(node).last_call = Some(call.seq);
            }
            let changes_name =
                path.may_create || !matches!(path.path_use.role, Role::Lookup | Role::Open(_));
            let overlapping =
                || self.unrecorded.overlapping.may_have_changed_name(call, &dir_entry.name);
            if changes_name && call.succeeded() && (any_doubtful || overlapping()) {
                self.names.doubtful_names.insert((dir_entry.dir, dir_entry.name.clone()));
            }
        }
        if let Some(fd) = spec.uses.fd.filter(|_| spec.uses.writes_data && call.ret > 0) {
            // The call wrote to a file that is not known.
            let wrote_to_unknown = match &context.fds[usize::from(fd)] {
                None => true,
                Some(open_file) => {
                    open_file.file.is_stored() && self.file_of_argument(context, fd).is_none()
                }
            };
            if wrote_to_unknown {
                self.names.searches_unrecorded = false;
                return;
            }
        }
        if let Some(id) = spec.uses.fd.and_then(|fd| self.file_of_argument(context, fd)) {
            let open = &self.open_files;
            let overlapping = spec.uses.writes_data
                && self.unrecorded.overlapping.may_have_changed_content(call, |file| {
                    open.get(&file).map(|(_, node)| *node == id)
                });
            let is_append = spec.uses.writes_data
                && spec.uses.fd.is_some_and(|fd| {
                    context.fds[usize::from(fd)].as_ref().is_some_and(|fd| fd.file.appends())
                });
            let node = self.names.node_mut(id);
            node.last_call = Some(call.seq);
            node.size_in_doubt |= overlapping;
            node.appended |= is_append;
        }
        if let (Some(file), Some((identity, _))) = (&context.opened, call.identity(RESULT))
            && let Some((_, node)) = self.open_files.get(&file.id)
        {
            let node = self.names.node_mut(*node);
            node.last_call = Some(call.seq);
            node.opened_identity = stable_identity(&identity).or(node.opened_identity);
        }
    }

    /// Returns the changes, each with all that is known by now of the file that it created.
    pub fn changes(&self) -> Vec<Change> {
        let mut changes = self.unrecorded.changes.clone();
        for (change, node) in changes.iter_mut().zip(&self.unrecorded.changed_files) {
            if let (ChangeKind::Made | ChangeKind::Replaced, Some(node)) = (change.done, node) {
                change.state =
                    Some(crate::files::manifest::state_when_found(self.names.node(*node)));
            }
        }
        changes
    }
}

/// Creates a change of the file at `path` that happened before this call returned. It has no state,
/// origin or earlier call yet.
pub(super) fn new_change(call: &Call, path: Vec<u8>, kind: ChangeKind) -> Change {
    Change { before: call.seq, after: None, path, done: kind, file: None, from: 0, state: None }
}

/// Returns what identifies an open file. Returns `None` if it is unknown, or the inode number may
/// change on its file system.
fn stable_identity(identity: &Identity) -> Option<OpenedIdentity> {
    (identity.ino != 0 && !identity.is_synthetic() && STABLE_INODES.contains(&identity.fs_type))
        .then(|| OpenedIdentity {
            from_kernel: identity.was_created().is_some(),
            dev: identity.dev,
            ino: identity.ino,
        })
}
