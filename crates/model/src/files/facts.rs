//! From calls to facts: what each call's result proves about files, by the kinds, roles, layouts
//! and effects of its row.
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
use super::node::{NodeId, Observed};
use super::row::{FileType, Origin};
use abi::plan::RESULT;
use abi::{CallSpec, Effect, Follow, Kind, PathUse, Replay, Ret, Role};
use ahash::HashMap;
use attributes::{link_read, stat_result};
use context::{BehindProcfsLink, FdArg};
use linux_raw_sys::general;
use linux_raw_sys::general::S_ISVTX;
use paths::looks_through;
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
    /// The name space.
    pub names: Names,
    /// Files behind open file descriptions.
    open: HashMap<u64, (Weak<OpenFile>, NodeId)>,
    /// Files that had lost their names when the recording began, by device and inode.
    pub unnamed: BTreeMap<(u64, u64), NodeId>,
    /// When to look for open files that are gone.
    sweep: usize,
    /// When the recording began, less a clock tick.
    began: u64,
    /// Errors that may tell more at the end.
    unexplained_errors: HashMap<errors::unexplained::UnexplainedError, usize>,
    /// What was done by others than the recorded processes.
    pub outside: unrecorded::UnrecordedChanges,
    /// Initial content found and not yet taken away.
    pub origins: Vec<Origin>,
    /// Where the live file system shows what the program has mounted.
    pub covered: Vec<Vec<u8>>,
}

/// A path argument and where it leads.
struct PathArg {
    used: PathUse,
    follow: bool,
    /// It is created if it does not exist.
    creates: bool,
    /// It ends in a slash.
    slash: bool,
    /// What stands there must be a directory, as far as is known.
    directory: bool,
    walk: Walk,
}

impl Facts {
    /// Starts without knowledge of files. `began` is the start of the recording, in nanoseconds of
    /// `CLOCK_REALTIME`.
    pub fn new(names: Names, began: u64) -> Self {
        Self { names, sweep: 1024, began: began.saturating_sub(TICK), ..Self::default() }
    }

    /// Adds a file that existed when the recording began: the root or working directory of a
    /// process, or an open file. Returns `None` if it is on a virtual file system.
    pub fn add_existing_file(&mut self, path: &[u8], identity: &Identity) -> Option<NodeId> {
        let seen = Observed::of_identity(identity);
        if identity.lost_name(path).is_some() {
            return Some(self.unnamed(&seen));
        }
        let node = match self.names.walk(ROOT, ROOT, path, false, Reach::Proven) {
            Walk::Entry(dir_entry) => self.names.note_exists(&dir_entry, &seen),
            Walk::At(node) => node,
            Walk::Virtual | Walk::Stopped(..) | Walk::Blocked => return None,
        };
        self.names.mark_path_shown(node);
        Some(node)
    }

    /// Adds a file that had lost its name when the recording began. Two descriptors may refer to
    /// one such file.
    fn unnamed(&mut self, seen: &Observed) -> NodeId {
        let Some(key) = seen.id else { return self.names.add_nameless(true, seen) };
        if let Some(node) = self.unnamed.get(&key) {
            return *node;
        }
        let node = self.names.named(key).unwrap_or_else(|| self.names.add_nameless(true, seen));
        self.names.node_mut(node).unnamed = true;
        self.unnamed.insert(key, node);
        node
    }

    /// Notes which file an open file refers to.
    pub fn add_open_file(&mut self, file: &Arc<OpenFile>, node: NodeId) {
        if self.open.len() >= self.sweep {
            self.open.retain(|_, (file, _)| file.strong_count() > 0);
            self.sweep = (self.open.len() * 2).max(1024);
        }
        self.open.insert(file.id, (Arc::downgrade(file), node));
        self.names.node_mut(node).opened = true;
    }

    /// Returns whether it is known which file an open file refers to.
    pub fn has_open_file(&self, file: &OpenFile) -> bool {
        self.open.contains_key(&file.id)
    }

    /// Returns the file that a descriptor refers to, as far as it is known.
    fn directory_behind(&mut self, given: &FdArg) -> Option<NodeId> {
        let file = &given.file;
        if let Some(&(_, node)) = self.open.get(&file.id) {
            return Some(self.names.follow_merges(node));
        }
        if !file.is_stored() || file.path.first() != Some(&b'/') {
            return None;
        }
        let seen = Observed::of_identity(&file.identity);
        if file.identity.lost_name(&file.path).is_some() {
            let node = self.unnamed(&seen);
            self.add_open_file(file, node);
            return Some(node);
        }
        let node = match self.names.walk(ROOT, ROOT, &file.path, false, Reach::Proven) {
            Walk::Entry(dir_entry) => self
                .names
                .note_exists(&dir_entry, &Observed { attributes: Default::default(), ..seen }),
            Walk::At(node) => node,
            Walk::Virtual | Walk::Stopped(..) | Walk::Blocked => return None,
        };
        self.add_open_file(file, node);
        Some(node)
    }

    /// Notes that a file can have been changed without a record, for the reason `why`.
    pub fn mark_uncertain(&mut self, file: &Arc<OpenFile>, why: &'static str) {
        if let Some(node) = self.directory_behind(&FdArg { file: file.clone(), offset: None }) {
            self.names.node_mut(node).uncertain = Some(why);
        }
    }

    /// Returns the directory that is at this path now. Returns `None` if it is on a virtual file
    /// system.
    pub fn at(&mut self, path: &[u8]) -> Option<NodeId> {
        match self.names.walk(ROOT, ROOT, path, true, Reach::Proven) {
            Walk::At(node) => Some(node).filter(|node| !self.names.node(*node).is_virtual),
            Walk::Entry(dir_entry) => {
                Some(self.names.note_exists(&dir_entry, &Observed::kind(FileType::Directory)))
                    .filter(|node| !self.names.node(*node).is_virtual)
            }
            Walk::Virtual => None,
            Walk::Stopped(..) | Walk::Blocked => Some(ROOT),
        }
    }

    /// Returns the file behind the descriptor in argument `arg`.
    pub(super) fn fd(&mut self, context: &Context, arg: u8) -> Option<NodeId> {
        let fd = context.fds.get(usize::from(arg))?.as_ref()?;
        self.directory_behind(fd)
    }

    /// Applies a call that returned. Returns the file that it used, if that did not move.
    pub fn apply_returned_call(
        &mut self,
        call: &Call,
        spec: &CallSpec,
        context: &Context,
    ) -> Option<NodeId> {
        self.names.clock += 1;
        let mut paths = Vec::new();
        for (i, a) in spec.args.iter().enumerate() {
            // An address that names no file is no path.
            if let Some(used) = a
                .kind
                .path_use()
                .filter(|_| spec.effect != Effect::Bind || call.path(i as u8).is_some())
            {
                // Where an error may be an earlier path's, the kernel may not have looked at the
                // later one.
                let lost =
                    paths.iter().any(|l: &PathArg| !matches!(l.walk, Walk::Entry(_) | Walk::At(_)));
                let reach = errors::reach(call, spec);
                let reach = if lost && reach != Reach::Proven { Reach::Nowhere } else { reach };
                let creates = match used.role {
                    Role::Open(from) => u64::from(call.open_flags(from)) & O_CREAT != 0,
                    _ => false,
                };
                (self.names.slashed, self.names.creates) = (false, creates);
                let walk = self.resolve(call, spec, context, i as u8, used, reach);
                let slash = self.names.slashed;
                self.names.creates = false;
                paths.push(PathArg {
                    used,
                    follow: looks_through(
                        call,
                        used,
                        call.path(i as u8).is_some_and(|path| path.ends_with(b"/")),
                    ),
                    creates,
                    slash,
                    directory: slash || wants_directory(call, spec, used),
                    walk,
                });
            }
        }
        self.decide_earlier_rename(call, spec, &mut paths);
        self.apply_unrecorded_changes(call, spec, context, &mut paths);
        let subject = match call.errno() {
            None => self.apply_success(call, spec, context, &paths),
            Some(errno) => {
                self.apply_error(spec, errno, &paths);
                self.keep_unexplained(errno, &paths);
                self.apply_seek(call, spec, context);
                None
            }
        };
        self.note_call(call, spec, context, &paths);
        subject
    }

    /// Decides about an earlier rename that may have had no effect. A rename between two hard links
    /// of one file does nothing; whether that was the case shows in calls that find or create the
    /// old name, or find it missing.
    fn decide_earlier_rename(&mut self, call: &Call, spec: &CallSpec, paths: &mut [PathArg]) {
        let alone = paths.len() == 1;
        for l in paths {
            let Walk::Entry(dir_entry) = &mut l.walk else { continue };
            if dir_entry.state == EntryState::Absent
                && (call.succeeded() && self.finds_existing(call, &l.used)
                    || call.errno() == Some(errors::EEXIST))
                && !(call.errno().is_some() && l.used.role != Role::Create)
            {
                let seen = match call.identity(RESULT) {
                    Some((identity, _)) => Some(Observed::of_identity(&identity)),
                    None => stat_result(call, spec),
                };
                if let Some(node) = self.names.rename_did_nothing(dir_entry, seen.as_ref(), false) {
                    dir_entry.state = EntryState::Node(node);
                    continue;
                }
            }
            let gone = match (call.errno(), l.used.role) {
                (Some(errors::ENOENT), _) => alone && !l.creates,
                (None, Role::Create) => true,
                (None, Role::Open(_)) => {
                    call.identity(RESULT).and_then(|(i, _)| i.was_created()) == Some(true)
                }
                _ => false,
            };
            if gone && self.names.rename_took_place(dir_entry) {
                dir_entry.state = EntryState::Absent;
            }
        }
    }

    /// Applies a call that may have changed files and never returned. How far it got is unknown.
    pub fn apply_lost_call(&mut self, spec: &CallSpec, context: &Context) {
        if spec.changes {
            for (i, a) in spec.args.iter().enumerate() {
                if let (Kind::Fd, Some(node)) = (a.kind, self.fd(context, i as u8)) {
                    self.names.node_mut(node).uncertain =
                        Some("a call that changes it never returned");
                }
            }
        }
    }

    /// Applies a call that succeeded: what it shows of the names in its paths, and what it did to
    /// them. Returns the file that it used, if that did not move.
    fn apply_success(
        &mut self,
        call: &Call,
        spec: &CallSpec,
        context: &Context,
        paths: &[PathArg],
    ) -> Option<NodeId> {
        let mut subject = None;
        for path in paths {
            match (&path.used.role, &path.walk) {
                (Role::Lookup, Walk::Entry(dir_entry)) => {
                    subject = Some(self.looked_up(call, spec, path, dir_entry));
                }
                (Role::Lookup, Walk::At(node)) => {
                    subject = Some(*node);
                    if let Some(seen) = stat_result(call, spec) {
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
                    let directory = path.used.role == Role::RemoveDirectory
                        || flags(call, spec).any(|f| f & AT_REMOVEDIR != 0);
                    self.removed(dir_entry, directory);
                }
                (Role::Target, Walk::Entry(to)) => self.moved_to(call, spec, paths, to),
                _ => {}
            }
        }
        let opens = paths.iter().any(|l| matches!(l.used.role, Role::Open(_)));
        let makes = paths.iter().any(|l| {
            matches!(
                l.used.role,
                Role::Create | Role::Remove | Role::RemoveDirectory | Role::Source | Role::Target
            )
        });
        if opens || makes {
            return None;
        }
        if spec.ret == Ret::Fd {
            self.add_received_descriptor(call, context);
            return None;
        }
        if subject.is_none() && paths.is_empty() {
            let fd = spec.args.iter().position(|a| matches!(a.kind, Kind::Fd | Kind::DirFd));
            subject = fd.and_then(|i| self.fd(context, i as u8));
        }
        let Some(node) = subject else {
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

    /// Notes that a call found a name, or the file that it leads to. Returns the file.
    fn looked_up(
        &mut self,
        call: &Call,
        spec: &CallSpec,
        path: &PathArg,
        dir_entry: &DirEntry,
    ) -> NodeId {
        let directory = path.slash || matches!(spec.effect, Effect::Chdir | Effect::Chroot);
        let kind = if directory { FileType::Directory } else { FileType::Unknown };
        let seen = stat_result(call, spec)
            .or_else(|| link_read(call, spec))
            .unwrap_or_else(|| Observed::kind(kind));
        let node = self.names.note_exists(dir_entry, &seen);
        if path.follow {
            self.names.mark_followed(node);
        } else if seen.kind != FileType::Unknown {
            self.names.node_mut(node).confirmed = true;
        }
        node
    }

    /// Notes that a call removed a name; `directory` is whether it was that of a directory.
    fn removed(&mut self, dir_entry: &DirEntry, directory: bool) {
        let kind = if directory { FileType::Directory } else { FileType::Regular };
        let seen = if directory { Observed::kind(kind) } else { Observed::leaf() };
        let node = self.names.remove(dir_entry, &seen);
        self.names.node_mut(node).guess(kind);
    }

    /// Notes that a rename moved a file to `to`, or exchanged two files.
    fn moved_to(&mut self, call: &Call, spec: &CallSpec, paths: &[PathArg], to: &DirEntry) {
        let source = paths.iter().find(|path| path.used.role == Role::Source);
        let Some(PathArg { walk: Walk::Entry(from), .. }) = source else { return };
        if flags(call, spec).any(|f| f & RENAME_EXCHANGE != 0) {
            return self.names.exchange(from, to);
        }
        let directory = paths.iter().any(|path| path.slash);
        let kind = if directory { FileType::Directory } else { FileType::Unknown };
        // A directory cannot move into itself: the old name is that of a link to what holds the
        // new one.
        let into_itself = self.names.is_above(from, to.dir);
        let seen = if into_itself { Observed::leaf() } else { Observed::kind(kind) };
        // Nor is a directory replaced that holds something.
        if self.names.is_above(to, from.dir) {
            self.names.note_exists(to, &Observed::leaf());
        }
        self.names.rename(from, to, &seen);
    }
}

/// Returns whether a call requires, or may require, that its last name is a directory.
fn wants_directory(call: &Call, spec: &CallSpec, used: PathUse) -> bool {
    match used.role {
        Role::Create | Role::Source | Role::Target => false,
        Role::Open(from) => u64::from(call.open_flags(from)) & O_DIRECTORY != 0,
        Role::RemoveDirectory => true,
        Role::Lookup | Role::Remove => {
            !matches!(spec.effect, Effect::None | Effect::Truncate)
                || matches!(spec.replay, Replay::Skip(_))
                || flags(call, spec).any(|f| f != 0)
        }
    }
}

/// Returns the values of the call's arguments that are sets of flags.
fn flags<'a>(call: &'a Call, spec: &'a CallSpec) -> impl Iterator<Item = u64> + 'a {
    spec.args
        .iter()
        .zip(call.args)
        .filter(|(a, _)| matches!(a.kind, Kind::Flags(_)))
        .map(|(_, v)| v)
}
