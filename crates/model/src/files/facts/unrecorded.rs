//! What a call found and no recorded call explains: an unrecorded process did it.
//!
//! The model is put right before the call's own facts are taken in. Invariant: nothing is put down
//! to others that an overlapping call, or one that the model does not follow, can have done.

mod inodes;
pub mod overlapping;
mod sizes;

use super::*;
use crate::files::table::{Change, ChangeKind};
use abi::Class;
use linux_raw_sys::general::{
    BTRFS_SUPER_MAGIC, EXT4_SUPER_MAGIC, F2FS_SUPER_MAGIC, TMPFS_MAGIC, XFS_SUPER_MAGIC,
};
use overlapping::OverlappingCalls;
use processes::{Operands, Unrecorded};

/// So many changes are told; a trace with more is of another kind.
const MOST: usize = 1 << 16;

/// ZFS is not in the kernel's headers.
const ZFS_SUPER_MAGIC: u32 = 0x2fc1_2fc1;

/// File systems whose inode numbers stay with their files (`statfs.f_type`).
const STEADY: [u32; 6] = [
    BTRFS_SUPER_MAGIC,
    EXT4_SUPER_MAGIC,
    F2FS_SUPER_MAGIC,
    TMPFS_MAGIC,
    XFS_SUPER_MAGIC,
    ZFS_SUPER_MAGIC,
];

/// What is followed to tell others' changes from our own.
#[derive(Default)]
pub struct UnrecordedChanges {
    /// The calls that may have done it themselves.
    pub overlapping: OverlappingCalls,
    /// What was found, in the order in which calls found it.
    pub changes: Vec<Change>,
    /// The file that came with each of these, or that was resized.
    nodes: Vec<Option<NodeId>>,
}

impl Facts {
    /// Notes that a call begins; `number` identifies it until it returns. A call whose changes
    /// cannot be followed ends the search for unrecorded changes, as what is found later may be its
    /// work. `are_rings_recorded`: operations of io_uring have rows of their own.
    pub fn begin_call<T>(
        &mut self,
        number: usize,
        call: &Arc<Call>,
        operands: &Operands<T>,
        unrecorded: &Unrecorded,
    ) {
        if !self.names.watched {
            return;
        }
        let not_followed = call.spec().is_none_or(|spec| match spec.replay {
            Replay::Skip(Class::Async) => unrecorded.may_begin_unrecorded(spec),
            Replay::Skip(Class::Mounts | Class::Unknown) => true,
            _ => false,
        });
        if not_followed || self.outside.overlapping.lose_track(number, call) {
            self.names.watched = false;
            return;
        }
        self.outside.overlapping.enter(number, call, operands);
    }

    /// Adds the unrecorded changes that must have happened, as the call found what the recorded
    /// calls do not explain.
    pub(super) fn apply_unrecorded_changes(
        &mut self,
        call: &Call,
        spec: &CallSpec,
        context: &Context,
        paths: &mut [PathArg],
    ) {
        let directories = std::mem::take(&mut self.names.appeared);
        if !self.names.watched || self.outside.changes.len() >= MOST {
            self.names.watched = false;
            return;
        }
        for dir in directories {
            self.directory_appeared(call, dir);
        }
        let alone = paths.len() == 1;
        for l in paths.iter_mut() {
            let Walk::Entry(dir_entry) = &mut l.walk else { continue };
            if self.names.node(dir_entry.dir).is_virtual {
                continue;
            }
            if self.names.doubtful.contains(&(dir_entry.dir, dir_entry.name.clone())) {
                self.decide_doubtful_name(call, spec, &l.used, l.creates || !alone, dir_entry);
                continue;
            }
            match (call.errno(), dir_entry.state) {
                (None, EntryState::Absent | EntryState::Unknown)
                    if self.was_missing(dir_entry) && self.finds_existing(call, &l.used) =>
                {
                    // It was removed right after the call found it, or is there again.
                    if self.outside.overlapping.may_have_changed_name(call, &dir_entry.name) {
                        let name = (dir_entry.dir, dir_entry.name.clone());
                        self.names.doubtful.insert(name);
                    } else if let Some(node) =
                        self.add_appeared_file(call, spec, context, dir_entry, ChangeKind::Made)
                    {
                        dir_entry.state = EntryState::Node(node);
                    }
                }
                (None, EntryState::Unknown | EntryState::Node(_))
                    if self.finds_existing(call, &l.used) =>
                {
                    let new = match self.inode_was_reused(call, spec, l.follow, dir_entry) {
                        Some(node) => Some(node),
                        None => self.find_replaced_file(call, spec, context, &l.used, dir_entry),
                    };
                    if let Some(new) = new {
                        dir_entry.state = EntryState::Node(new);
                    }
                }
                (Some(errors::EEXIST), EntryState::Absent | EntryState::Unknown)
                    if alone && self.was_missing(dir_entry) =>
                {
                    self.add_appeared_file(call, spec, context, dir_entry, ChangeKind::Made);
                }
                (Some(errors::ENOENT), EntryState::Node(node)) if alone && !l.creates => {
                    let looks = matches!(l.used.role, Role::Lookup | Role::Open(_) | Role::Remove);
                    if looks
                        && spec.effect != Effect::Exec
                        && self.remove_vanished_name(call, dir_entry, node, l.follow)
                    {
                        dir_entry.state = EntryState::Absent;
                    }
                }
                _ => {}
            }
        }
        self.sizes(call, spec, context, paths);
    }

    /// Decides what overlapping calls did to a name, if this call shows it.
    fn decide_doubtful_name(
        &mut self,
        call: &Call,
        spec: &CallSpec,
        used: &PathUse,
        unclear: bool,
        dir_entry: &mut DirEntry,
    ) {
        if self.outside.overlapping.may_have_changed_name(call, &dir_entry.name) {
            return;
        }
        let (ok, role) = (call.succeeded(), used.role);
        let absent =
            call.errno() == Some(errors::ENOENT) && !unclear && spec.effect != Effect::Exec;
        let told = ok
            && matches!(role, Role::Lookup | Role::Open(_))
            && (stat_result(call, spec).is_some() || call.identity(RESULT).is_some());
        let new = ok && matches!(role, Role::Create | Role::Remove | Role::RemoveDirectory);
        if let (true, EntryState::Node(node)) = (absent, dir_entry.state) {
            self.names.detach(dir_entry, node);
            dir_entry.state = EntryState::Absent;
        }
        if absent || told || new {
            self.names.doubtful.remove(&(dir_entry.dir, dir_entry.name.clone()));
        }
    }

    /// Returns whether a call found nothing at this name, or a call removed it. A call that follows
    /// links also finds nothing at a link that leads nowhere.
    fn was_missing(&self, dir_entry: &DirEntry) -> bool {
        match dir_entry.state {
            EntryState::Absent => true,
            EntryState::Unknown => self.names.node(dir_entry.dir).missing.contains(&dir_entry.name),
            EntryState::Node(_) => false,
        }
    }

    /// Returns whether a call that succeeded found a name and did not create it.
    pub(super) fn finds_existing(&self, call: &Call, used: &PathUse) -> bool {
        match used.role {
            Role::Lookup | Role::Remove | Role::RemoveDirectory | Role::Source => true,
            Role::Open(from) => {
                let flags = u64::from(call.open_flags(from));
                let created =
                    call.identity(RESULT).and_then(|(identity, _)| identity.was_created());
                flags & O_TMPFILE != O_TMPFILE && (flags & O_CREAT == 0 || created == Some(false))
            }
            _ => false,
        }
    }

    /// Adds the change that an unrecorded process put a file at a name where there was none, or
    /// another one. Returns the file.
    fn add_appeared_file(
        &mut self,
        call: &Call,
        spec: &CallSpec,
        context: &Context,
        dir_entry: &DirEntry,
        done: ChangeKind,
    ) -> Option<NodeId> {
        if self.outside.overlapping.may_have_changed_name(call, &dir_entry.name) {
            return None;
        }
        let opened = call.identity(RESULT).filter(|_| spec.ret == Ret::Fd);
        let path = self.names.path_in(dir_entry.dir, &dir_entry.name)?;
        // The name is a link, and what it leads to was opened: what the link is, is unknown.
        if opened.as_ref().is_some_and(|(_, real)| *real != path) {
            return None;
        }
        let seen = match opened {
            Some((identity, _)) => Observed::of_identity(&identity),
            None => stat_result(call, spec)
                .or_else(|| link_read(call, spec))
                .unwrap_or_else(|| Observed::kind(FileType::Unknown)),
        };
        // A link that led nowhere then was there.
        if dir_entry.state == EntryState::Unknown && seen.kind == FileType::Link {
            return None;
        }
        // It has another name that we know of: a process linked it, or the name leads there by
        // another way; unless its number was given to a new file when the other one was removed.
        let known = seen.id.and_then(|id| self.names.named(id));
        if known.is_some_and(|other| !self.was_recycled(call, dir_entry, &seen, other, false)) {
            return None;
        }
        // Nothing tells what it is: another way to this directory may have led to its making.
        let dir = self.names.node(dir_entry.dir);
        if seen.id.is_none() && dir.initial && !dir.confirmed && context.cwd != Some(dir_entry.dir)
        {
            return None;
        }
        let after = match dir_entry.state {
            EntryState::Node(old) => {
                self.names.detach(dir_entry, old);
                self.names.node(old).last
            }
            _ => None,
        };
        let node = self.names.appear(dir_entry, &seen);
        self.add_change(Change { after, ..change(call, path, done) }, Some(node));
        Some(node)
    }

    /// Adds the change that an unrecorded process created a directory that a path leads through.
    fn directory_appeared(&mut self, call: &Call, node: NodeId) {
        let Some((dir, name)) = self.names.node(node).names.first().cloned() else { return };
        if self.outside.overlapping.may_have_changed_name(call, &name) {
            return;
        }
        let Some(path) = self.names.path_in(dir, &name) else { return };
        self.names.node_mut(node).appeared = true;
        self.add_change(change(call, path, ChangeKind::Made), Some(node));
    }

    /// Adds the change that an unrecorded process replaced a file, if the one that was opened at
    /// its name is another one.
    fn find_replaced_file(
        &mut self,
        call: &Call,
        spec: &CallSpec,
        context: &Context,
        used: &PathUse,
        dir_entry: &DirEntry,
    ) -> Option<NodeId> {
        let (Role::Open(_), EntryState::Node(node)) = (used.role, dir_entry.state) else {
            return None;
        };
        let (identity, _) = call.identity(RESULT).filter(|_| spec.ret == Ret::Fd)?;
        let told = steady_identity(&identity)?;
        let this = self.names.node(node);
        let was = this.told?;
        let kind = FileType::of_mode(identity.mode);
        if was == told || was.0 != told.0 || this.merged.is_some() || kind == FileType::Directory {
            return None;
        }
        self.add_appeared_file(call, spec, context, dir_entry, ChangeKind::Replaced)
    }

    /// Adds the change that an unrecorded process removed a name that is known to have existed.
    /// Returns whether that is the explanation.
    fn remove_vanished_name(
        &mut self,
        call: &Call,
        dir_entry: &DirEntry,
        node: NodeId,
        follow: bool,
    ) -> bool {
        let this = self.names.node(node);
        // What was only presumed to be there may never have been; and a link may lead nowhere.
        let certain = matches!(this.kind, FileType::Regular | FileType::Directory)
            && (this.id.is_some() || this.told.is_some())
            && !this.presumed
            && !this.made_up
            && this.merged.is_none();
        let may_lead_nowhere = follow && !this.confirmed && this.told.is_none();
        if !certain
            || may_lead_nowhere
            || self.outside.overlapping.may_have_changed_name(call, &dir_entry.name)
        {
            return false;
        }
        let Some(path) = self.names.path_in(dir_entry.dir, &dir_entry.name) else { return false };
        let after = self.names.node(node).last;
        self.names.detach(dir_entry, node);
        self.add_change(Change { after, ..change(call, path, ChangeKind::Removed) }, None);
        true
    }

    /// Adds a change. Its data get a file number of their own.
    pub(super) fn add_change(&mut self, mut change: Change, node: Option<NodeId>) {
        let brings = change.state.as_ref().and_then(|s| s.size).is_none_or(|to| to > change.from);
        if let Some(id) = node.filter(|_| brings) {
            let number = self.names.new_file_number();
            change.file = Some(number);
            self.names.node_mut(id).came.push((change.from, number));
        }
        self.outside.changes.push(change);
        self.outside.nodes.push(node);
    }

    /// Notes the files that a call used.
    pub(super) fn note_call(
        &mut self,
        call: &Call,
        spec: &CallSpec,
        context: &Context,
        paths: &[PathArg],
    ) {
        if !self.names.watched {
            return;
        }
        let doubtful = |names: &Names, l: &PathArg| {
            matches!(&l.walk, Walk::Entry(dir_entry)
                if names.doubtful.contains(&(dir_entry.dir, dir_entry.name.clone())))
        };
        // What has a doubtful name takes the doubt along to its new one.
        let spreads = paths.len() == 2 && paths.iter().any(|l| doubtful(&self.names, l));
        for l in paths {
            let Walk::Entry(dir_entry) = &l.walk else { continue };
            if let EntryState::Node(node) = dir_entry.state {
                self.names.node_mut(node).last = Some(call.seq);
            }
            let changes = l.creates || !matches!(l.used.role, Role::Lookup | Role::Open(_));
            let overlapping =
                || self.outside.overlapping.may_have_changed_name(call, &dir_entry.name);
            if changes && call.succeeded() && (spreads || overlapping()) {
                self.names.doubtful.insert((dir_entry.dir, dir_entry.name.clone()));
            }
        }
        if let Some(fd) = spec.uses.fd.filter(|_| spec.uses.writes_data && call.ret > 0) {
            // It wrote to something that is not known.
            let lost = match &context.fds[usize::from(fd)] {
                None => true,
                Some(given) => given.file.is_stored() && self.fd(context, fd).is_none(),
            };
            if lost {
                self.names.watched = false;
                return;
            }
        }
        if let Some(id) = spec.uses.fd.and_then(|fd| self.fd(context, fd)) {
            let open = &self.open;
            let overlapping = spec.uses.writes_data
                && self.outside.overlapping.may_have_changed_content(call, |file| {
                    open.get(&file).map(|(_, node)| *node == id)
                });
            let appends = spec.uses.writes_data
                && spec.uses.fd.is_some_and(|fd| {
                    context.fds[usize::from(fd)].as_ref().is_some_and(|fd| fd.file.appends())
                });
            let node = self.names.node_mut(id);
            node.last = Some(call.seq);
            node.size_in_doubt |= overlapping;
            node.appended |= appends;
        }
        if let (Some(file), Some((identity, _))) = (&context.opened, call.identity(RESULT))
            && let Some((_, node)) = self.open.get(&file.id)
        {
            let node = self.names.node_mut(*node);
            node.last = Some(call.seq);
            node.told = steady_identity(&identity).or(node.told);
        }
    }

    /// Returns the changes, with what is known by now of each file.
    pub fn changes(&self) -> Vec<Change> {
        let mut changes = self.outside.changes.clone();
        for (change, node) in changes.iter_mut().zip(&self.outside.nodes) {
            if let (ChangeKind::Made | ChangeKind::Replaced, Some(node)) = (change.done, node) {
                change.state = Some(crate::files::manifest::as_found(self.names.node(*node)));
            }
        }
        changes
    }
}

/// Returns a change of the file at `path` that happened before this call returned.
pub(super) fn change(call: &Call, path: Vec<u8>, done: ChangeKind) -> Change {
    Change { before: call.seq, after: None, path, done, file: None, from: 0, state: None }
}

/// Returns what identifies an open file: whether the kernel itself provided it, device, and inode.
/// Numbers from different sources are not compared.
fn steady_identity(identity: &Identity) -> Option<(bool, u64, u64)> {
    (identity.ino != 0 && !identity.is_synthetic() && STEADY.contains(&identity.fs_type))
        .then(|| (identity.was_created().is_some(), identity.dev, identity.ino))
}
