//! What the result of each call proves about files. It follows from the argument kinds, path roles,
//! layouts and effects in the table of calls.
//!
//! Calls come in the order of their exits. Nothing here knows a call's name.

mod attributes;
mod context;
mod data;
mod errors;
mod layouts;
mod opened;
mod paths;
mod unrecorded;

pub use context::{Context, Processes};

use super::names::{DirEntry, EntryState, Names, ROOT, Reach, Walk};
use super::node::{NodeId, Observed, OpenedIdentity, UnrecordedBytes};
use super::row::{FileType, Origin};
use abi::plan::RESULT;
use abi::{CallSpec, Effect, Follow, Kind, PathUse, Replay, Ret, Role};
use ahash::HashMap;
use attributes::{observed_by_readlink, observed_by_stat};
use context::{BehindProcfsLink, FdArg};
use linux_raw_sys::general;
use linux_raw_sys::general::S_ISVTX;
use paths::follows_last_link;
use processes::OpenFile;
use std::collections::BTreeMap;
use std::sync::{Arc, Weak};
use trace::call::Call;
use trace::record::Identity;

const O_CREAT: u64 = general::O_CREAT as u64;
const O_EXCL: u64 = general::O_EXCL as u64;
const O_TRUNC: u64 = general::O_TRUNC as u64;
const O_DIRECTORY: u64 = general::O_DIRECTORY as u64;
const O_NOFOLLOW: u64 = general::O_NOFOLLOW as u64;
const O_TMPFILE: u64 = general::O_TMPFILE as u64;
const AT_REMOVEDIR: u64 = general::AT_REMOVEDIR as u64;
const RENAME_EXCHANGE: u64 = general::RENAME_EXCHANGE as u64;

/// The coarsest clock tick, by which a file's birth may seem to lie before it: nanoseconds
/// (`CONFIG_HZ` 100).
const TICK: u64 = 10_000_000;

/// The model of the recorded files.
#[derive(Default)]
pub struct Facts {
    /// All names, and the files to which they lead.
    pub names: Names,
    /// The files behind open files, by the ids of the open files.
    open_files: HashMap<u64, (Weak<OpenFile>, NodeId)>,
    /// Files that had lost their names when the recording began, by device and inode.
    pub unnamed: BTreeMap<(u64, u64), NodeId>,
    /// At this many elements, closed files are removed from `open_files`.
    prune_at: usize,
    /// When the recording began, less a clock tick.
    began: u64,
    /// Errors that are explained at the end, and the order in which they were added.
    unexplained_errors: HashMap<errors::unexplained::UnexplainedError, usize>,
    /// The changes that unrecorded processes made.
    pub unrecorded: unrecorded::UnrecordedChanges,
    /// Where calls showed initial content, since the caller last removed the elements.
    pub origins: Vec<Origin>,
    /// Where the program has mounted something that is still there at the end.
    pub program_mounts: Vec<Vec<u8>>,
}

/// A path argument of a call, and where it leads.
struct PathArg {
    path_use: PathUse,
    /// Whether a symbolic link in the last component is followed.
    follow: bool,
    /// The call opens a file, which it creates if there is none.
    may_create: bool,
    /// The path, or the target of a link in its last component, ends in a slash.
    slash: bool,
    /// The call fails unless the path leads to a directory, as far as is known.
    must_be_directory: bool,
    walk: Walk,
}

impl Facts {
    /// Starts without knowledge of files. `began` is the start of the recording, in nanoseconds of
    /// `CLOCK_REALTIME`.
    pub fn new(names: Names, began: u64) -> Self {
        Self { names, prune_at: 1024, began: began.saturating_sub(TICK), ..Self::default() }
    }

    /// Adds a file that existed when the recording began: the root or working directory of a
    /// process, or an open file. Returns `None` if it is on a virtual file system.
    pub fn add_existing_file(&mut self, path: &[u8], identity: &Identity) -> Option<NodeId> {
        let seen = Observed::of_identity(identity);
        if identity.lost_name(path).is_some() {
            return Some(self.add_unnamed(&seen));
        }
        let node = match self.names.walk(ROOT, ROOT, path, false, Reach::Proven) {
            Walk::Entry(dir_entry) => self.names.note_exists(&dir_entry, &seen),
            Walk::WithoutName(node) => node,
            Walk::Virtual | Walk::Stopped(..) | Walk::Blocked => return None,
        };
        self.names.mark_path_shown(node);
        Some(node)
    }

    /// Returns the file with this identity, which had lost its name when the recording began. Adds
    /// it if it is new: two descriptors may refer to one such file.
    fn add_unnamed(&mut self, observed: &Observed) -> NodeId {
        let Some(inode) = observed.id else { return self.names.add_nameless(true, observed) };
        if let Some(node) = self.unnamed.get(&inode) {
            return *node;
        }
        let node = self
            .names
            .find_by_inode(inode)
            .unwrap_or_else(|| self.names.add_nameless(true, observed));
        self.names.node_mut(node).unnamed = true;
        self.unnamed.insert(inode, node);
        node
    }

    /// Notes which file an open file refers to. Forgets open files that were closed, if there are
    /// many.
    pub fn add_open_file(&mut self, file: &Arc<OpenFile>, node: NodeId) {
        if self.open_files.len() >= self.prune_at {
            self.open_files.retain(|_, (file, _)| file.strong_count() > 0);
            self.prune_at = (self.open_files.len() * 2).max(1024);
        }
        self.open_files.insert(file.id, (Arc::downgrade(file), node));
        self.names.node_mut(node).opened = true;
    }

    /// Returns whether it is known which file an open file refers to.
    pub fn knows_open_file(&self, file: &OpenFile) -> bool {
        self.open_files.contains_key(&file.id)
    }

    /// Returns the file that a descriptor refers to. If that is not known yet, it follows from the
    /// path that the open file had. Returns `None` if it is not stored, or has no path.
    fn file_of_descriptor(&mut self, descriptor: &FdArg) -> Option<NodeId> {
        let file = &descriptor.file;
        if let Some(&(_, node)) = self.open_files.get(&file.id) {
            return Some(self.names.follow_merges(node));
        }
        if !file.is_stored() || file.path.first() != Some(&b'/') {
            return None;
        }
        let observed = Observed::of_identity(&file.identity);
        if file.identity.lost_name(&file.path).is_some() {
            let node = self.add_unnamed(&observed);
            self.add_open_file(file, node);
            return Some(node);
        }
        let node = match self.names.walk(ROOT, ROOT, &file.path, false, Reach::Proven) {
            Walk::Entry(dir_entry) => self
                .names
                .note_exists(&dir_entry, &Observed { attributes: Default::default(), ..observed }),
            Walk::WithoutName(node) => node,
            Walk::Virtual | Walk::Stopped(..) | Walk::Blocked => return None,
        };
        self.add_open_file(file, node);
        Some(node)
    }

    /// Notes that the content of a file is uncertain, for this reason.
    pub fn mark_uncertain(&mut self, file: &Arc<OpenFile>, reason: &'static str) {
        if let Some(node) = self.file_of_descriptor(&FdArg { file: file.clone(), offset: None }) {
            self.names.node_mut(node).why_uncertain = Some(reason);
        }
    }

    /// Returns the directory that is at this path now; it is added to the names if it is new.
    /// Returns `None` if it is on a virtual file system. A path that cannot be followed stands for
    /// the root.
    pub fn directory_at(&mut self, path: &[u8]) -> Option<NodeId> {
        match self.names.walk(ROOT, ROOT, path, true, Reach::Proven) {
            Walk::WithoutName(node) => Some(node).filter(|node| !self.names.node(*node).is_virtual),
            Walk::Entry(dir_entry) => {
                Some(self.names.note_exists(&dir_entry, &Observed::of_type(FileType::Directory)))
                    .filter(|node| !self.names.node(*node).is_virtual)
            }
            Walk::Virtual => None,
            Walk::Stopped(..) | Walk::Blocked => Some(ROOT),
        }
    }

    /// Returns the file that the descriptor in argument `arg` refers to, if it is known.
    pub(super) fn file_of_argument(&mut self, context: &Context, arg: u8) -> Option<NodeId> {
        let descriptor = context.fds.get(usize::from(arg))?.as_ref()?;
        self.file_of_descriptor(descriptor)
    }

    /// Applies a call that has returned. Returns the one file that it used, if it neither created,
    /// removed nor renamed a name.
    pub fn apply_returned_call(
        &mut self,
        call: &Call,
        spec: &CallSpec,
        context: &Context,
    ) -> Option<NodeId> {
        self.names.calls_returned += 1;
        let mut paths = Vec::new();
        for (i, arg) in spec.args.iter().enumerate() {
            // A bind(2) has a path only if the address is that of a file.
            if let Some(path_use) = arg
                .kind
                .path_use()
                .filter(|_| spec.effect != Effect::Bind || call.path(i as u8).is_some())
            {
                // If an earlier path may have caused the error, the kernel may not have looked at
                // this one.
                let earlier_unknown = paths.iter().any(|path: &PathArg| {
                    !matches!(path.walk, Walk::Entry(_) | Walk::WithoutName(_))
                });
                let reach = errors::reach_of(call, spec);
                let reach =
                    if earlier_unknown && reach != Reach::Proven { Reach::Unknown } else { reach };
                let creates = match path_use.role {
                    Role::Open(from) => u64::from(call.open_flags(from)) & O_CREAT != 0,
                    _ => false,
                };
                (self.names.ends_in_slash, self.names.may_be_created) = (false, creates);
                let walk = self.resolve(call, spec, context, i as u8, path_use, reach);
                let slash = self.names.ends_in_slash;
                self.names.may_be_created = false;
                paths.push(PathArg {
                    path_use,
                    follow: follows_last_link(
                        call,
                        path_use,
                        call.path(i as u8).is_some_and(|path| path.ends_with(b"/")),
                    ),
                    may_create: creates,
                    slash,
                    must_be_directory: slash || wants_directory(call, spec, path_use),
                    walk,
                });
            }
        }
        self.decide_earlier_rename(call, spec, &mut paths);
        self.apply_unrecorded_changes(call, spec, context, &mut paths);
        let used_file = match call.errno() {
            None => self.apply_success(call, spec, context, &paths),
            Some(errno) => {
                self.apply_error(spec, errno, &paths);
                self.keep_unexplained(errno, &paths);
                self.apply_seek(call, spec, context);
                None
            }
        };
        self.note_used_files(call, spec, context, &paths);
        used_file
    }

    /// Decides whether an earlier rename had no effect, if this call shows it. A rename between two
    /// hard links of one file does nothing; calls that find or create the old name, or find it
    /// missing, show whether that was so. The states of the last names in `paths` are updated.
    fn decide_earlier_rename(&mut self, call: &Call, spec: &CallSpec, paths: &mut [PathArg]) {
        let is_only_path = paths.len() == 1;
        for path in paths {
            let Walk::Entry(dir_entry) = &mut path.walk else { continue };
            if dir_entry.state == EntryState::Absent
                && (call.succeeded() && self.found_existing(call, &path.path_use)
                    || call.errno() == Some(errors::EEXIST))
                && !(call.errno().is_some() && path.path_use.role != Role::Create)
            {
                let seen = match call.identity(RESULT) {
                    Some((identity, _)) => Some(Observed::of_identity(&identity)),
                    None => observed_by_stat(call, spec),
                };
                if let Some(node) = self.names.rename_did_nothing(dir_entry, seen.as_ref(), false) {
                    dir_entry.state = EntryState::Node(node);
                    continue;
                }
            }
            let old_name_is_gone = match (call.errno(), path.path_use.role) {
                (Some(errors::ENOENT), _) => is_only_path && !path.may_create,
                (None, Role::Create) => true,
                (None, Role::Open(_)) => {
                    call.identity(RESULT).and_then(|(i, _)| i.was_created()) == Some(true)
                }
                _ => false,
            };
            if old_name_is_gone && self.names.rename_took_place(dir_entry) {
                dir_entry.state = EntryState::Absent;
            }
        }
    }

    /// Applies a call that never returned: if it may have changed the files of its descriptors,
    /// their content is uncertain.
    pub fn apply_lost_call(&mut self, spec: &CallSpec, context: &Context) {
        if spec.changes {
            for (i, arg) in spec.args.iter().enumerate() {
                if let (Kind::Fd, Some(node)) = (arg.kind, self.file_of_argument(context, i as u8))
                {
                    self.names.node_mut(node).why_uncertain =
                        Some("a call that changes it never returned");
                }
            }
        }
    }

    /// Applies a call that succeeded: what it shows of the names in its paths, and what it did to
    /// them. Returns the one file that it used, if it neither opened a file nor changed a name.
    fn apply_success(
        &mut self,
        call: &Call,
        spec: &CallSpec,
        context: &Context,
        paths: &[PathArg],
    ) -> Option<NodeId> {
        let mut used_file = None;
        for path in paths {
            match (&path.path_use.role, &path.walk) {
                (Role::Lookup, Walk::Entry(dir_entry)) => {
                    used_file = Some(self.apply_lookup(call, spec, path, dir_entry));
                }
                (Role::Lookup, Walk::WithoutName(node)) => {
                    used_file = Some(*node);
                    if let Some(seen) = observed_by_stat(call, spec) {
                        self.names.node_mut(*node).observe(&seen);
                    }
                }
                (Role::Open(from), walk) => {
                    self.apply_open(call, context, u64::from(call.open_flags(*from)), walk);
                }
                (Role::Create, Walk::Entry(dir_entry)) => {
                    self.apply_create(call, spec, context, dir_entry, paths);
                }
                (Role::Remove | Role::RemoveDirectory, Walk::Entry(dir_entry)) => {
                    let directory = path.path_use.role == Role::RemoveDirectory
                        || flag_arguments(call, spec).any(|f| f & AT_REMOVEDIR != 0);
                    self.apply_removal(dir_entry, directory);
                }
                (Role::Target, Walk::Entry(to)) => self.apply_rename(call, spec, paths, to),
                _ => {}
            }
        }
        let opens = paths.iter().any(|path| matches!(path.path_use.role, Role::Open(_)));
        let changes_names = paths.iter().any(|path| {
            matches!(
                path.path_use.role,
                Role::Create | Role::Remove | Role::RemoveDirectory | Role::Source | Role::Target
            )
        });
        if opens || changes_names {
            return None;
        }
        if spec.ret == Ret::Fd {
            self.add_received_descriptor(call, context);
            return None;
        }
        if used_file.is_none() && paths.is_empty() {
            let fd = spec.args.iter().position(|a| matches!(a.kind, Kind::Fd | Kind::DirFd));
            used_file = fd.and_then(|i| self.file_of_argument(context, i as u8));
        }
        let Some(node) = used_file else {
            self.apply_copy(call, spec, context);
            return None;
        };
        self.apply_output(call, spec, node);
        self.apply_attributes(call, spec, node);
        self.apply_data(call, spec, context);
        self.apply_copy(call, spec, context);
        self.apply_resize(call, spec, node);
        self.apply_seek(call, spec, context);
        Some(node)
    }

    /// Applies a call that found a name, or followed it to a file. Returns that file.
    fn apply_lookup(
        &mut self,
        call: &Call,
        spec: &CallSpec,
        path: &PathArg,
        dir_entry: &DirEntry,
    ) -> NodeId {
        let must_be_directory = path.slash || matches!(spec.effect, Effect::Chdir | Effect::Chroot);
        let file_type = if must_be_directory { FileType::Directory } else { FileType::Unknown };
        let observed = observed_by_stat(call, spec)
            .or_else(|| observed_by_readlink(call, spec))
            .unwrap_or_else(|| Observed::of_type(file_type));
        let node = self.names.note_exists(dir_entry, &observed);
        if path.follow {
            self.names.mark_followed(node);
        } else if observed.kind != FileType::Unknown {
            self.names.node_mut(node).confirmed = true;
        }
        node
    }

    /// Applies a call that removed a name. `is_directory` is whether it was that of a directory.
    fn apply_removal(&mut self, dir_entry: &DirEntry, is_directory: bool) {
        let file_type = if is_directory { FileType::Directory } else { FileType::Regular };
        let seen =
            if is_directory { Observed::of_type(file_type) } else { Observed::not_directory() };
        let node = self.names.remove(dir_entry, &seen);
        self.names.node_mut(node).guess_type(file_type);
    }

    /// Applies a rename that moved a file to `to`, or exchanged two files.
    fn apply_rename(&mut self, call: &Call, spec: &CallSpec, paths: &[PathArg], to: &DirEntry) {
        let source = paths.iter().find(|path| path.path_use.role == Role::Source);
        let Some(PathArg { walk: Walk::Entry(from), .. }) = source else { return };
        if flag_arguments(call, spec).any(|f| f & RENAME_EXCHANGE != 0) {
            return self.names.exchange(from, to);
        }
        let is_directory = paths.iter().any(|path| path.slash);
        let file_type = if is_directory { FileType::Directory } else { FileType::Unknown };
        // A directory cannot be moved into itself. So the old name is that of a link to a directory
        // above the new one.
        let into_itself = self.names.is_above(from, to.dir);
        let observed =
            if into_itself { Observed::not_directory() } else { Observed::of_type(file_type) };
        // A directory that is not empty cannot be replaced.
        if self.names.is_above(to, from.dir) {
            self.names.note_exists(to, &Observed::not_directory());
        }
        self.names.rename(from, to, &observed);
    }
}

/// Returns whether a call requires, or may require, that its last name is a directory.
fn wants_directory(call: &Call, spec: &CallSpec, path_use: PathUse) -> bool {
    match path_use.role {
        Role::Create | Role::Source | Role::Target => false,
        Role::Open(from) => u64::from(call.open_flags(from)) & O_DIRECTORY != 0,
        Role::RemoveDirectory => true,
        Role::Lookup | Role::Remove => {
            !matches!(spec.effect, Effect::None | Effect::Truncate)
                || matches!(spec.replay, Replay::Skip(_))
                || flag_arguments(call, spec).any(|f| f != 0)
        }
    }
}

/// Returns the values of those arguments of the call that are sets of flags.
fn flag_arguments<'a>(call: &'a Call, spec: &'a CallSpec) -> impl Iterator<Item = u64> + 'a {
    spec.args
        .iter()
        .zip(call.args)
        .filter(|(arg, _)| matches!(arg.kind, Kind::Flags(_)))
        .map(|(_, value)| value)
}
