//! From calls to facts: what each call's result proves about files, by the kinds, roles, layouts and effects of its row.
//!
//! Calls come in the order of their exits. Nothing here knows a call's name.

mod about;
mod data;
mod doubts;
mod errors;
mod lead;
mod made;
mod outside;
mod sizes;
mod solve;

use super::names::{Names, Place, ROOT, Reach, Slot, Walk};
use super::node::{NodeId, Seen};
use super::row::{FileType, Origin};
use super::scene::{Given, Scene, Via};
use crate::world::OpenFile;
use abi::plan::RESULT;
use abi::{Effect, Follow, Kind, PathUse, Replay, Ret, Role, Shape};
use about::{link_read, stat_result};
use ahash::HashMap;
use lead::looks_through;
use linux_raw_sys::general;
use linux_raw_sys::general::S_ISVTX;
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

/// The coarsest clock tick, by which a file's birth may seem to lie before it: nanoseconds (`CONFIG_HZ` 100).
const TICK: u64 = 10_000_000;

/// The model of the recorded files.
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
    doubts: HashMap<doubts::Doubt, usize>,
    /// What was done by others than the recorded processes.
    pub outside: outside::Outside,
    /// Initial content found and not yet taken away.
    pub origins: Vec<Origin>,
    /// Where the live file system shows what the program has mounted.
    pub covered: Vec<Vec<u8>>,
}

/// A path argument and where it leads.
struct Led {
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
    /// A model that knows nothing. `began`: nanoseconds of `CLOCK_REALTIME`.
    pub fn new(names: Names, began: u64) -> Self {
        Self {
            names,
            open: HashMap::default(),
            unnamed: BTreeMap::new(),
            sweep: 1024,
            began: began.saturating_sub(TICK),
            doubts: HashMap::default(),
            outside: outside::Outside::default(),
            origins: Vec::new(),
            covered: Vec::new(),
        }
    }

    /// A directory that a process has as its root or working directory, or a file that was open, at the start.
    pub fn stood(&mut self, path: &[u8], identity: &Identity) -> Option<NodeId> {
        let seen = seen_of(identity);
        if identity.lost_name(path).is_some() {
            return Some(self.unnamed(&seen));
        }
        match self.names.walk(ROOT, ROOT, path, false, Reach::Proven) {
            Walk::Place(place) => Some(self.names.present(&place, &seen)),
            Walk::At(node) => Some(node),
            Walk::Virtual | Walk::Stopped(..) | Walk::Blocked => None,
        }
    }

    /// A file that had lost its name when the recording began. Two descriptors may lead to one.
    fn unnamed(&mut self, seen: &Seen) -> NodeId {
        let Some(key) = seen.id else { return self.names.nameless(true, seen) };
        if let Some(node) = self.unnamed.get(&key) {
            return *node;
        }
        let node = self.names.named(key).unwrap_or_else(|| self.names.nameless(true, seen));
        self.names.node_mut(node).unnamed = true;
        self.unnamed.insert(key, node);
        node
    }

    /// An open file leads to this.
    pub fn leads(&mut self, file: &Arc<OpenFile>, node: NodeId) {
        if self.open.len() >= self.sweep {
            self.open.retain(|_, (file, _)| file.strong_count() > 0);
            self.sweep = (self.open.len() * 2).max(1024);
        }
        self.open.insert(file.id, (Arc::downgrade(file), node));
        self.names.node_mut(node).opened = true;
    }

    /// Whether it is known where an open file leads.
    pub fn knows(&self, file: &OpenFile) -> bool {
        self.open.contains_key(&file.id)
    }

    /// The file behind a descriptor.
    fn behind(&mut self, given: &Given) -> Option<NodeId> {
        let file = &given.file;
        if let Some(&(_, node)) = self.open.get(&file.id) {
            return Some(self.names.itself(node));
        }
        if !file.is_stored() || file.path.first() != Some(&b'/') {
            return None;
        }
        let seen = seen_of(&file.identity);
        if file.identity.lost_name(&file.path).is_some() {
            let node = self.unnamed(&seen);
            self.leads(file, node);
            return Some(node);
        }
        let node = match self.names.walk(ROOT, ROOT, &file.path, false, Reach::Proven) {
            Walk::Place(place) => {
                self.names.present(&place, &Seen { attributes: Default::default(), ..seen })
            }
            Walk::At(node) => node,
            Walk::Virtual | Walk::Stopped(..) | Walk::Blocked => return None,
        };
        self.leads(file, node);
        Some(node)
    }

    /// The file can have been changed by what no record tells of.
    pub fn unrecorded(&mut self, file: &Arc<OpenFile>, why: &'static str) {
        if let Some(node) = self.behind(&Given { file: file.clone(), offset: None }) {
            self.names.node_mut(node).uncertain = Some(why);
        }
    }

    /// The directory that stands under this path now; `None`: it is virtual.
    pub fn at(&mut self, path: &[u8]) -> Option<NodeId> {
        match self.names.walk(ROOT, ROOT, path, true, Reach::Proven) {
            Walk::At(node) => Some(node).filter(|node| !self.names.node(*node).is_virtual),
            Walk::Place(place) => {
                Some(self.names.present(&place, &Seen::kind(FileType::Directory)))
                    .filter(|node| !self.names.node(*node).is_virtual)
            }
            Walk::Virtual => None,
            Walk::Stopped(..) | Walk::Blocked => Some(ROOT),
        }
    }

    pub(super) fn fd(&mut self, scene: &Scene, arg: u8) -> Option<NodeId> {
        let fd = scene.fds.get(usize::from(arg))?.as_ref()?;
        self.behind(fd)
    }

    /// A call returned. The file that it was about, if it was about one that stays where it is.
    pub fn returned(&mut self, call: &Call, shape: &Shape, scene: &Scene) -> Option<NodeId> {
        self.names.clock += 1;
        let mut led = Vec::new();
        for (i, a) in shape.args.iter().enumerate() {
            // An address that names no file is no path.
            if let Some(used) = a
                .kind
                .path()
                .filter(|_| shape.effect != Effect::Bind || call.path(i as u8).is_some())
            {
                // Where an error may be an earlier path's, nobody may have looked at the later one.
                let lost =
                    led.iter().any(|l: &Led| !matches!(l.walk, Walk::Place(_) | Walk::At(_)));
                let reach = errors::reach(call, shape);
                let reach = if lost && reach != Reach::Proven { Reach::Nowhere } else { reach };
                self.names.slashed = false;
                let walk = self.lead(call, shape, scene, i as u8, used, reach);
                let slash = self.names.slashed;
                let creates = matches!(used.role, Role::Open(from) if u64::from(call.open_flags(from)) & O_CREAT != 0);
                led.push(Led {
                    used,
                    follow: looks_through(
                        call,
                        used,
                        call.path(i as u8).is_some_and(|path| path.ends_with(b"/")),
                    ),
                    creates,
                    slash,
                    directory: slash || wants_directory(call, shape, used),
                    walk,
                });
            }
        }
        self.renamed(call, shape, &mut led);
        self.others(call, shape, scene, &mut led);
        let subject = match call.errno() {
            None => self.succeeded(call, shape, scene, &led),
            Some(errno) => {
                self.failed(shape, errno, &led);
                self.doubt(errno, &led);
                self.layout(call, shape, scene);
                None
            }
        };
        self.dealt_with(call, shape, scene, &led);
        subject
    }

    /// A rename between two links to one file changes nothing. Whether one was of this kind, calls
    /// tell that find the old name or make it, or find nothing there.
    fn renamed(&mut self, call: &Call, shape: &Shape, led: &mut [Led]) {
        let alone = led.len() == 1;
        for l in led {
            let Walk::Place(place) = &mut l.walk else { continue };
            if place.slot == Slot::Absent
                && (call.succeeded() && self.finds(call, &l.used)
                    || call.errno() == Some(errors::EEXIST))
                && !(call.errno().is_some() && l.used.role != Role::Create)
            {
                let seen = match call.identity(RESULT) {
                    Some((identity, _)) => Some(seen_of(&identity)),
                    None => stat_result(call, shape),
                };
                if let Some(node) = self.names.stayed_after_all(place, seen.as_ref(), false) {
                    place.slot = Slot::Node(node);
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
            if gone && self.names.moved_after_all(place) {
                place.slot = Slot::Absent;
            }
        }
    }

    /// A call that may have changed files never returned: nobody knows how far it got.
    pub fn vanished(&mut self, shape: &Shape, scene: &Scene) {
        if shape.changes {
            for (i, a) in shape.args.iter().enumerate() {
                if let (Kind::Fd, Some(node)) = (a.kind, self.fd(scene, i as u8)) {
                    self.names.node_mut(node).uncertain =
                        Some("a call that changes it never returned");
                }
            }
        }
    }

    fn succeeded(
        &mut self,
        call: &Call,
        shape: &Shape,
        scene: &Scene,
        led: &[Led],
    ) -> Option<NodeId> {
        let mut subject = None;
        let source = led.iter().find(|l| l.used.role == Role::Source);
        for l in led {
            match (&l.used.role, &l.walk) {
                (Role::Lookup, Walk::Place(place)) => {
                    let directory =
                        l.slash || matches!(shape.effect, Effect::Chdir | Effect::Chroot);
                    let kind = if directory { FileType::Directory } else { FileType::Unknown };
                    let seen = stat_result(call, shape)
                        .or_else(|| link_read(call, shape))
                        .unwrap_or_else(|| Seen::kind(kind));
                    let node = self.names.present(place, &seen);
                    if l.follow {
                        self.names.was_followed(node);
                    } else if seen.kind != FileType::Unknown {
                        self.names.node_mut(node).confirmed = true;
                    }
                    subject = Some(node);
                }
                (Role::Lookup, Walk::At(node)) => {
                    subject = Some(*node);
                    if let Some(seen) = stat_result(call, shape) {
                        self.names.node_mut(*node).observe(&seen);
                    }
                }
                (Role::Open(from), walk) => {
                    self.opened(call, scene, u64::from(call.open_flags(*from)), walk);
                }
                (Role::Create, Walk::Place(place)) => self.created(call, shape, scene, place, led),
                (Role::Remove | Role::RemoveDirectory, Walk::Place(place)) => {
                    let directory = l.used.role == Role::RemoveDirectory
                        || flags(call, shape).any(|f| f & AT_REMOVEDIR != 0);
                    let seen =
                        if directory { Seen::kind(FileType::Directory) } else { Seen::leaf() };
                    let node = self.names.remove(place, &seen);
                    let node = self.names.node_mut(node);
                    if node.likely_kind() == FileType::Unknown {
                        node.guess =
                            if directory { FileType::Directory } else { FileType::Regular };
                    }
                }
                (Role::Target, Walk::Place(to)) => {
                    if let Some(Led { walk: Walk::Place(from), .. }) = source {
                        if flags(call, shape).any(|f| f & RENAME_EXCHANGE != 0) {
                            self.names.exchange(from, to);
                        } else {
                            let directory = led.iter().any(|l| l.slash);
                            let kind =
                                if directory { FileType::Directory } else { FileType::Unknown };
                            // Nothing moves into itself: what has the old name is a link to where the new one is.
                            let seen = if self.names.is_above(from, to.dir) {
                                Seen::leaf()
                            } else {
                                Seen::kind(kind)
                            };
                            // Nor does what holds it get replaced.
                            if self.names.is_above(to, from.dir) {
                                self.names.present(to, &Seen::leaf());
                            }
                            self.names.rename(from, to, &seen);
                        }
                    }
                }
                _ => {}
            }
        }
        let opens = led.iter().any(|l| matches!(l.used.role, Role::Open(_)));
        let makes = led.iter().any(|l| {
            matches!(
                l.used.role,
                Role::Create | Role::Remove | Role::RemoveDirectory | Role::Source | Role::Target
            )
        });
        if opens || makes {
            return None;
        }
        if shape.ret == Ret::Fd {
            self.obtained(call, scene);
            return None;
        }
        if subject.is_none() && led.is_empty() {
            let fd = shape.args.iter().position(|a| matches!(a.kind, Kind::Fd | Kind::DirFd));
            subject = fd.and_then(|i| self.fd(scene, i as u8));
        }
        let Some(node) = subject else {
            self.copied(call, shape, scene);
            return None;
        };
        self.described(call, shape, node);
        self.attributes(call, shape, node);
        self.moved(call, shape, scene);
        self.copied(call, shape, scene);
        self.resized(call, shape, node);
        self.layout(call, shape, scene);
        Some(node)
    }
}

/// Whether a call demands that its last name is a directory, or may do so.
fn wants_directory(call: &Call, shape: &Shape, used: PathUse) -> bool {
    match used.role {
        Role::Create | Role::Source | Role::Target => false,
        Role::Open(from) => u64::from(call.open_flags(from)) & O_DIRECTORY != 0,
        Role::RemoveDirectory => true,
        Role::Lookup | Role::Remove => {
            !matches!(shape.effect, Effect::None | Effect::Truncate)
                || matches!(shape.replay, Replay::Skip(_))
                || flags(call, shape).any(|f| f != 0)
        }
    }
}

fn flags<'a>(call: &'a Call, shape: &'a Shape) -> impl Iterator<Item = u64> + 'a {
    shape
        .args
        .iter()
        .zip(call.args)
        .filter(|(a, _)| matches!(a.kind, Kind::Flags(_)))
        .map(|(_, v)| v)
}

/// What an identity says.
pub fn seen_of(identity: &Identity) -> Seen {
    let mut seen = Seen::kind(FileType::of_mode(identity.mode));
    if identity.is_made_up() {
        // A guess at a regular file is none that counts against what calls show.
        return Seen::kind(if seen.kind == FileType::Directory {
            FileType::Directory
        } else {
            FileType::Unknown
        });
    }
    if identity.mode != 0 {
        seen.attributes.mode = Some(identity.mode & 0o7777);
        seen.attributes.uid = Some(identity.uid);
        seen.attributes.gid = Some(identity.gid);
        seen.attributes.size = Some(identity.size);
        seen.links = Some(identity.links);
        seen.id = Some((identity.dev, identity.ino)).filter(|id| id.1 != 0);
    }
    seen
}
