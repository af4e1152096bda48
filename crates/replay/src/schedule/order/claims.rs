//! What a call has to do with: its claims. Each says of one thing of the recorded system whether
//! the call changed it, in which state its result says that the call found it, and how the call
//! left it.
//!
//! They follow from the kinds of the arguments, never from the call's name.

use crate::issue::Real;
use abi::{Effect, Is, Kind, Layout, PathUse, Ret, Role, Shape};
use model::world::{Bound, OpenFile, lexical, parent};
use std::hash::{Hash, Hasher};
use trace::Call;

const S_IFREG: u32 = 0o100_000;
const O_CREAT: u32 = 0o100;
const O_EXCL: u32 = 0o200;
const O_TRUNC: u32 = 0o1000;
const SEEK_END: u64 = 2;
const ENOENT: i32 = 2;
const EBADF: i32 = 9;
const EEXIST: i32 = 17;
const EADDRINUSE: i32 = 98;

/// A thing that calls use and change. Names are hashes: they are only compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Resource {
    /// A descriptor's number, in the table of the process.
    Number(i32),
    /// The offset of an open file.
    Offset(u64),
    /// The status flags of an open file.
    Status(u64),
    /// A file's size and attributes; by its number: a struct that tells it may tell the device
    /// otherwise.
    File(u64),
    /// A file's size, where a call tells it.
    Size((u64, u64)),
    /// Bytes of a file.
    Bytes(Span),
    Name(u64),
    /// A directory's list of names.
    Members(u64),
    /// How many links a directory has: one for each directory in it.
    Links(u64),
    /// All names: a rename may move everything below a directory.
    Names,
    /// A file with several names.
    Alias(u64),
}

/// Bytes of a file that are ordered as one.
const CHUNK: u64 = 256 << 10;
/// An access to more chunks than this counts as one to the whole file.
const CHUNKS: u64 = 8;

/// A stretch of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Span {
    pub file: (u64, u64),
    pub start: u64,
    pub end: u64,
}

impl Span {
    /// Whether it counts as the whole file.
    pub fn is_wide(&self) -> bool {
        self.end.saturating_sub(self.start) / CHUNK >= CHUNKS
    }

    /// The stretches that are ordered as one, by number; none if it is wide.
    pub fn chunks(&self) -> impl Iterator<Item = u64> + use<> {
        let (first, last) =
            (self.start / CHUNK, self.end.saturating_sub(1).max(self.start) / CHUNK);
        (first..=last).take(if self.is_wide() { 0 } else { usize::MAX })
    }
}

/// A state that a call found or left.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum State {
    /// Nothing is known of it.
    Unknown,
    /// Of a name or a number.
    Absent,
    Present,
    /// So many bytes; of one that was left, at least so many.
    Size(u64),
    /// The bytes that the call's payloads tell.
    Bytes,
    /// Those, and then the file's end.
    Last,
    /// Those, at the file's end, wherever that was when the call acted.
    Appended,
}

impl State {
    /// Of a name or a number: the other state.
    pub fn opposite(self) -> Self {
        match self {
            Self::Absent => Self::Present,
            Self::Present => Self::Absent,
            other => other,
        }
    }
}

/// What a call has to do with one thing.
#[derive(Clone, Copy, Debug)]
pub(super) struct Claim {
    pub resource: Resource,
    /// It changes the thing, and does not only look at it.
    pub changes: bool,
    pub before: State,
    pub after: State,
    /// The argument that it follows from.
    pub argument: u8,
}

/// A name as it is compared.
pub(super) fn hash(path: &[u8]) -> u64 {
    let mut hasher = ahash::AHasher::default();
    path.hash(&mut hasher);
    hasher.finish()
}

/// Whether what a call does with an open file follows from its status flags: how data move, and
/// what the flags are.
pub(super) fn depends_on_status(shape: &Shape) -> bool {
    let asks = |a: &abi::Arg| matches!(a.kind, Kind::Fd | Kind::Flags(_));
    shape.uses.moves
        || shape.copies.is_some()
        || (shape.ret == Ret::Int && shape.uses.fd.is_some() && shape.args.iter().all(asks))
}

/// The descriptor number that a call gave out.
pub(super) fn gives(call: &Call, shape: &Shape) -> Option<i32> {
    let number = |i: u8| call.args[usize::from(i)] as i32;
    match shape.effect {
        _ if !call.succeeded() => None,
        Effect::DupTo { old, new } if number(old) != number(new) => Some(number(new)),
        _ if shape.ret == Ret::Fd => Some(call.ret as i32),
        _ => None,
    }
}

/// Enters the claims of `call` in `list`. They are what is known now: of a call under way, before
/// the world has followed it; of one that returns, afterwards.
pub(super) fn claims(list: &mut Vec<Claim>, call: &Call, shape: &Shape, bound: &Bound<Real>) {
    let mut claims = Claims { list, call, shape, bound };
    for (i, arg) in shape.args.iter().enumerate() {
        match arg.kind {
            Kind::Fd => {
                claims.number(i);
                claims.open_file(i);
            }
            Kind::DirFd => claims.number(i),
            Kind::Path(way) => claims.path(i, way),
            // The address of a socket is a name.
            Kind::In(..) => arg.kind.path().into_iter().for_each(|way| claims.path(i, way)),
            Kind::Out(_, layout) => claims.told(i, layout),
            // Numbers, and what belongs to the process.
            Kind::Int
            | Kind::Uint
            | Kind::Hex
            | Kind::Off
            | Kind::Pos
            | Kind::PosHigh
            | Kind::Size
            | Kind::Length
            | Kind::Pid
            | Kind::Uid
            | Kind::Gid
            | Kind::Mode
            | Kind::Dev
            | Kind::Signal
            | Kind::Addr
            | Kind::Flags(_)
            | Kind::Unused => {}
            // Buffers: what moves is claimed with its descriptor.
            Kind::Str
            | Kind::StrVec
            | Kind::InOut(..)
            | Kind::InIov { .. }
            | Kind::OutIov { .. }
            | Kind::InMsg
            | Kind::OutMsg
            | Kind::InMsgs { .. }
            | Kind::OutMsgs { .. }
            | Kind::Iocbs { .. } => {}
        }
    }
    if let Some(number) = gives(call, shape) {
        claims.enter(u8::MAX, Resource::Number(number), true, State::Absent, State::Present);
    }
    if bound.paths.any() {
        let moves = |a: &abi::Arg| matches!(a.kind.path(), Some(way) if moves(way.role));
        claims.push(u8::MAX, Resource::Names, shape.args.iter().any(moves));
    }
}

fn moves(role: Role) -> bool {
    matches!(role, Role::Source | Role::Target)
}

struct Claims<'a> {
    list: &'a mut Vec<Claim>,
    call: &'a Call,
    shape: &'a Shape,
    bound: &'a Bound<Real>,
}

impl Claims<'_> {
    fn push(&mut self, argument: u8, resource: Resource, changes: bool) {
        self.enter(argument, resource, changes, State::Unknown, State::Unknown);
    }

    fn enter(&mut self, i: u8, resource: Resource, changes: bool, before: State, after: State) {
        self.list.push(Claim { resource, changes, before, after, argument: i });
    }

    /// The number of a descriptor, which the call found taken unless it says that it was none.
    fn number(&mut self, i: usize) {
        let number = Resource::Number(self.call.args[i] as i32);
        let taken = self.call.returned() && self.call.errno() != Some(EBADF);
        let found = if taken { State::Present } else { State::Unknown };
        self.enter(i as u8, number, false, found, found);
    }

    /// The open file behind argument `i`.
    fn open_file(&mut self, i: usize) {
        let Self { call, shape, bound, .. } = *self;
        let Some(descriptor) = &bound.fds[i] else { return };
        let (file, arg) = (&*descriptor.file, i as u8);
        let name = hash(&file.path);
        self.push(arg, Resource::Name(name), false);
        if file.file_type() != S_IFREG {
            self.push(arg, Resource::Links(name), false);
        }
        let sets = matches!(shape.effect, Effect::SetStatusFlags | Effect::SetNonblocking);
        if sets || depends_on_status(shape) {
            self.push(arg, Resource::Status(file.id), sets);
        }
        let seeks = shape.effect == Effect::Seek;
        let positioned = shape.uses.pos.is_some_and(|i| call.args[usize::from(i)] as i64 != -1);
        let lists = shape.uses.lists;
        if (bound.offset.is_some() && !positioned) || lists || seeks || shape.copies.is_some() {
            self.push(arg, Resource::Offset(file.id), true);
        }
        if lists {
            self.push(arg, Resource::Members(name), true);
        }
        if seeks && call.args[2] == SEEK_END {
            self.size((call.ret as u64).wrapping_sub(call.args[1]), arg);
        }
        self.data(arg, file);
    }

    /// The bytes that the call moved; of one that moved none, the file.
    fn data(&mut self, arg: u8, file: &OpenFile) {
        let Self { call, shape, bound, .. } = *self;
        let inode = file.inode.key;
        let (Some(start), true, Ret::Bytes) = (bound.offset, call.succeeded(), shape.ret) else {
            return self.push(arg, Resource::File(inode.1), shape.changes);
        };
        let writes = shape.changes;
        let end = start.saturating_add(call.ret.max(0) as u64);
        let span = Span { file: inode, start, end };
        // The world has moved the size on already: a write up to it may have made the file longer.
        let extends = writes && end >= file.inode.size();
        // What moves very much meets others at the file.
        self.push(arg, Resource::File(inode.1), extends || span.is_wide());
        let known = shape.uses.fd == Some(arg) && file.is_stored() && shape.copies.is_none();
        let (before, after) = match (known, writes) {
            (false, _) => (State::Unknown, State::Unknown),
            (true, true) if file.appends() => (State::Unknown, State::Appended),
            (true, true) => (State::Unknown, State::Bytes),
            (true, false) if self.met_end() => (State::Last, State::Last),
            (true, false) => (State::Bytes, State::Bytes),
        };
        self.enter(arg, Resource::Bytes(span), writes, before, after);
        if known && writes {
            self.enter(arg, Resource::Size(inode), true, State::Unknown, State::Size(end));
        }
    }

    /// Whether a read brought less than was asked for.
    fn met_end(&self) -> bool {
        let asked = self.shape.args.iter().find_map(|a| match a.kind {
            Kind::Out(abi::Len::Ret { max: Some(n), unit: 1 }, l) if l.form == abi::Form::Data => {
                Some(self.call.args[usize::from(n)])
            }
            _ => None,
        });
        asked.is_some_and(|asked| (self.call.ret as u64) < asked)
    }

    /// The size that the call's descriptor was found to have.
    fn size(&mut self, found: u64, arg: u8) {
        let fd = self.shape.uses.fd.and_then(|fd| self.bound.fds[usize::from(fd)].as_ref());
        if let Some(descriptor) = fd.filter(|d| d.file.is_stored() && self.call.succeeded()) {
            let (size, found) = (Resource::Size(descriptor.file.inode.key), State::Size(found));
            self.enter(arg, size, false, found, found);
        }
    }

    /// A struct that tells of a file (stat and its kin).
    fn told(&mut self, i: usize, layout: &Layout) {
        if !self.call.succeeded() {
            return;
        }
        let word = |is: Is| {
            let field = layout.fields.iter().find(|f| f.is == is && f.size == 8)?;
            Some(self.call.word(i as u8, field.at as u8))
        };
        let (inode, size) = (word(Is::Ino).filter(|number| *number != 0), word(Is::Size));
        if let Some(number) = inode {
            self.push(i as u8, Resource::File(number), self.shape.changes);
        }
        if let Some(size) = size.filter(|_| self.shape.effect != Effect::Seek) {
            self.size(size, i as u8);
        }
    }

    /// The name in argument `i`, and the directory that it is in.
    fn path(&mut self, i: usize, way: PathUse) {
        let Self { call, shape, bound, .. } = *self;
        let arg = i as u8;
        // A file without a name, or with another one than its descriptor was opened by.
        let through = bound.through[i].as_ref().filter(|way| way.rest.is_empty());
        if let Some(descriptor) = through.and_then(|way| way.descriptor()) {
            self.push(arg, Resource::File(descriptor.file.inode.key.1), true);
        }
        let Some(path) = &bound.paths[i] else { return };
        let path = lexical(path);
        let (name, above) = (hash(&path), hash(parent(&path)));
        let flags = if let Role::Open(from) = way.role { call.open_flags(from) } else { 0 };
        let makes = flags & O_CREAT != 0;
        let (changes, members) = match way.role {
            Role::Lookup => (shape.changes, false),
            Role::Open(_) => (flags & (O_CREAT | O_TRUNC) != 0, makes),
            Role::Create | Role::Remove | Role::RemoveDirectory | Role::Source | Role::Target => {
                (true, true)
            }
        };
        let [at, over] = self.presence(way.role, flags);
        self.enter(arg, Resource::Name(name), changes, at.0, at.1);
        self.enter(arg, Resource::Name(above), false, over.0, over.1);
        if makes_directories(shape, way.role) {
            self.push(arg, Resource::Links(above), true);
        } else if way.role == Role::Lookup {
            self.push(arg, Resource::Links(name), false);
        }
        if changes && let Some((_, opened)) = bound.opened.first() {
            self.push(arg, Resource::File(opened.file.inode.key.1), true);
        }
        if members {
            // Makers of different names do not disturb each other; a listing, or the removal of
            // the directory, sees them all.
            self.push(arg, Resource::Members(above), false);
        }
        if moves(way.role) || matches!(way.role, Role::Remove | Role::RemoveDirectory) {
            self.push(arg, Resource::Members(name), true);
        }
    }

    /// How a name was found and left, and the directory above it, by the call's result.
    fn presence(&self, role: Role, flags: u32) -> [(State, State); 2] {
        const UNKNOWN: (State, State) = (State::Unknown, State::Unknown);
        const PRESENT: (State, State) = (State::Present, State::Present);
        const ABSENT: (State, State) = (State::Absent, State::Absent);
        let makes = role == Role::Create || flags & O_CREAT != 0;
        match self.call.errno() {
            None if self.call.returned() => {
                let before = match role {
                    Role::Create => State::Absent,
                    Role::Target => State::Unknown,
                    Role::Open(_) if makes && flags & O_EXCL != 0 => State::Absent,
                    Role::Open(_) if makes => State::Unknown,
                    _ => State::Present,
                };
                let after = match role {
                    Role::Remove | Role::RemoveDirectory | Role::Source => State::Absent,
                    _ => State::Present,
                };
                [(before, after), PRESENT]
            }
            Some(ENOENT) if self.bound.paths.values().count() == 1 => {
                if makes {
                    [UNKNOWN, ABSENT]
                } else {
                    [ABSENT, UNKNOWN]
                }
            }
            Some(EEXIST | EADDRINUSE) if makes => [PRESENT, UNKNOWN],
            _ => [UNKNOWN, UNKNOWN],
        }
    }
}

/// Whether it may make, remove or move a directory.
fn makes_directories(shape: &Shape, role: Role) -> bool {
    let has = |kind: fn(Kind) -> bool| shape.args.iter().any(|a| kind(a.kind));
    match role {
        Role::Create => has(|k| k == Kind::Mode) && !has(|k| k == Kind::Dev),
        Role::Remove => has(|k| matches!(k, Kind::Flags(_))),
        Role::RemoveDirectory | Role::Source | Role::Target => true,
        Role::Lookup | Role::Open(_) => false,
    }
}
