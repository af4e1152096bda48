//! The claims of a call. Each says of one resource whether the call changed it, in which state the
//! call found it by its result, and in which state the call left it.
//!
//! They follow from the kinds of the arguments, never from the call's name.

use abi::{CallSpec, Effect, FieldKind, Kind, Layout, PathUse, Ret, Role, registered_file};
use linux_raw_sys::general::{O_CREAT, O_EXCL, O_TRUNC, S_IFREG, SEEK_END};
use model::processes::{OpenFile, Operands, lexical, parent};
use rustix::io::Errno;
use std::hash::{Hash, Hasher};
use trace::Call;

/// A resource that calls use and change. Names are hashes, as they are only compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Resource {
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
    AllNames,
    /// A file with several names.
    Alias(u64),
}

/// Bytes of a file that are ordered as one.
const CHUNK: u64 = 256 << 10;
/// An access to more chunks than this counts as one to the whole file.
const CHUNKS: u64 = 8;

/// A byte range of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Span {
    pub file: (u64, u64),
    pub start: u64,
    pub end: u64,
}

impl Span {
    /// Returns whether the range is so long that it counts as the whole file.
    pub fn is_wide(&self) -> bool {
        self.end.saturating_sub(self.start) / CHUNK >= CHUNKS
    }

    /// Returns the numbers of the file's chunks that the range touches, which are ordered as one.
    /// Empty if the range is wide.
    pub fn chunks(&self) -> impl Iterator<Item = u64> + use<> {
        let (first, last) =
            (self.start / CHUNK, self.end.saturating_sub(1).max(self.start) / CHUNK);
        (first..=last).take(if self.is_wide() { 0 } else { usize::MAX })
    }
}

/// A state that a call found or left.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ResourceState {
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

impl ResourceState {
    /// Returns the other state of a name or a number: present or absent.
    pub fn opposite(self) -> Self {
        match self {
            Self::Absent => Self::Present,
            Self::Present => Self::Absent,
            other => other,
        }
    }
}

/// What a call does with one resource.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Claim {
    pub resource: Resource,
    /// It changes the resource, and does not only use it.
    pub changes: bool,
    pub before: ResourceState,
    pub after: ResourceState,
    /// The argument that it follows from.
    pub argument: u8,
}

/// Returns the hash by which a name is compared.
pub(crate) fn hash(path: &[u8]) -> u64 {
    let mut hasher = ahash::AHasher::default();
    path.hash(&mut hasher);
    hasher.finish()
}

/// Returns whether what a call does with an open file depends on its status flags.
pub(crate) fn depends_on_status(spec: &CallSpec) -> bool {
    let asks = |a: &abi::Arg| matches!(a.kind, Kind::Fd | Kind::Flags(_));
    spec.uses.moves_data
        || spec.copies.is_some()
        || (spec.ret == Ret::Int && spec.uses.fd.is_some() && spec.args.iter().all(asks))
}

/// Returns the number of the descriptor that a call opened, if it opened one.
pub(crate) fn new_descriptor(call: &Call, spec: &CallSpec) -> Option<i32> {
    let number = |i: u8| call.args[usize::from(i)] as i32;
    match spec.effect {
        _ if !call.succeeded() => None,
        Effect::DupTo { old, new } if number(old) != number(new) => Some(number(new)),
        _ if spec.ret == Ret::Fd
            && let Some(slot) = call.sqe_word().and_then(abi::SqeWord::slot) =>
        {
            Some(registered_file(slot.unwrap_or(call.ret as u32)))
        }
        _ if spec.ret == Ret::Fd => Some(call.ret as i32),
        _ => None,
    }
}

/// Adds the claims of `call` to `list`, as they are known now: for a call under way, before
/// [`Processes`] has applied it; for one that returns, afterwards.
pub(crate) fn claims<R>(
    list: &mut Vec<Claim>,
    call: &Call,
    spec: &CallSpec,
    operands: &Operands<R>,
) {
    let mut claims = Claims { list, call, spec, operands };
    for (i, arg) in spec.args.iter().enumerate() {
        match arg.kind {
            Kind::Fd => {
                claims.number(i);
                claims.open_file(i);
            }
            Kind::DirFd => claims.number(i),
            Kind::Path(way) => claims.path(i, way),
            // The address of a socket is a name.
            Kind::In(..) => arg.kind.path_use().into_iter().for_each(|way| claims.path(i, way)),
            Kind::Out(_, layout) => claims.struct_of_file(i, layout),
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
    if let Some(number) = new_descriptor(call, spec) {
        claims.claim(
            u8::MAX,
            Resource::Number(number),
            true,
            ResourceState::Absent,
            ResourceState::Present,
        );
    }
    if operands.paths.has_any() {
        let renames = |a: &abi::Arg| matches!(a.kind.path_use(), Some(way) if renames(way.role));
        claims.claim_use(u8::MAX, Resource::AllNames, spec.args.iter().any(renames));
    }
}

/// Returns whether a path with this role is renamed.
fn renames(role: Role) -> bool {
    matches!(role, Role::Source | Role::Target)
}

struct Claims<'a, R> {
    list: &'a mut Vec<Claim>,
    call: &'a Call,
    spec: &'a CallSpec,
    operands: &'a Operands<R>,
}

impl<R> Claims<'_, R> {
    /// Adds the claim that the call uses a resource through an argument, and whether it changes it.
    fn claim_use(&mut self, argument: u8, resource: Resource, changes: bool) {
        self.claim(argument, resource, changes, ResourceState::Unknown, ResourceState::Unknown);
    }

    /// Adds a claim, with the states in which the call found and left the resource.
    fn claim(
        &mut self,
        i: u8,
        resource: Resource,
        changes: bool,
        before: ResourceState,
        after: ResourceState,
    ) {
        self.list.push(Claim { resource, changes, before, after, argument: i });
    }

    /// Adds the claim on a descriptor's number. The call found it in use, unless its result says
    /// that it was free.
    fn number(&mut self, i: usize) {
        let number = Resource::Number(self.call.args[i] as i32);
        let taken = self.call.returned() && self.call.errno() != Some(Errno::BADF.raw_os_error());
        let found = if taken { ResourceState::Present } else { ResourceState::Unknown };
        self.claim(i as u8, number, false, found, found);
    }

    /// Adds the claims on the open file behind argument `i`: its offset, its flags, and its data.
    fn open_file(&mut self, i: usize) {
        let Self { call, spec, operands, .. } = *self;
        let Some(descriptor) = &operands.fds[i] else { return };
        let (file, arg) = (&*descriptor.file, i as u8);
        let name = hash(&file.path);
        self.claim_use(arg, Resource::Name(name), false);
        if file.file_type() != S_IFREG {
            self.claim_use(arg, Resource::Links(name), false);
        }
        let sets = matches!(spec.effect, Effect::SetStatusFlags | Effect::SetNonblocking);
        if sets || depends_on_status(spec) {
            self.claim_use(arg, Resource::Status(file.id), sets);
        }
        let seeks = spec.effect == Effect::Seek;
        let positioned = spec.uses.pos.is_some_and(|i| call.args[usize::from(i)] as i64 != -1);
        let lists = spec.uses.lists_directory;
        if (operands.offset.is_some() && !positioned) || lists || seeks || spec.copies.is_some() {
            self.claim_use(arg, Resource::Offset(file.id), true);
        }
        if lists {
            self.claim_use(arg, Resource::Members(name), true);
        }
        if seeks && call.args[2] == u64::from(SEEK_END) {
            self.size((call.ret as u64).wrapping_sub(call.args[1]), arg);
        }
        self.data(arg, file);
    }

    /// Adds the claim on the bytes that the call read or wrote, or on the whole file if it moved
    /// none. A write that makes the file longer, or a very long range, also claims the whole file.
    fn data(&mut self, arg: u8, file: &OpenFile) {
        let Self { call, spec, operands, .. } = *self;
        let inode = file.inode.key;
        let (Some(start), true, Ret::Bytes) = (operands.offset, call.succeeded(), spec.ret) else {
            return self.claim_use(arg, Resource::File(inode.1), spec.changes);
        };
        let writes = spec.changes;
        let end = start.saturating_add(call.ret.max(0) as u64);
        let span = Span { file: inode, start, end };
        // The size has been advanced already: a write up to it may have made the file longer.
        let extends = writes && end >= file.inode.size();
        // A very long range is ordered with all accesses to the file.
        self.claim_use(arg, Resource::File(inode.1), extends || span.is_wide());
        let known = spec.uses.fd == Some(arg) && file.is_stored() && spec.copies.is_none();
        let (before, after) = match (known, writes) {
            (false, _) => (ResourceState::Unknown, ResourceState::Unknown),
            (true, true) if file.appends() => (ResourceState::Unknown, ResourceState::Appended),
            (true, true) => (ResourceState::Unknown, ResourceState::Bytes),
            (true, false) if self.met_end() => (ResourceState::Last, ResourceState::Last),
            (true, false) => (ResourceState::Bytes, ResourceState::Bytes),
        };
        self.claim(arg, Resource::Bytes(span), writes, before, after);
        if known && writes {
            self.claim(
                arg,
                Resource::Size(inode),
                true,
                ResourceState::Unknown,
                ResourceState::Size(end),
            );
        }
    }

    /// Returns whether a read returned less than was asked for.
    fn met_end(&self) -> bool {
        let asked = self.spec.args.iter().find_map(|a| match a.kind {
            Kind::Out(abi::Len::Ret { max: Some(n), unit: 1 }, l) if l.form == abi::Form::Data => {
                Some(self.call.args[usize::from(n)])
            }
            _ => None,
        });
        asked.is_some_and(|asked| (self.call.ret as u64) < asked)
    }

    /// Adds the claim that the call found its descriptor's file with this size.
    fn size(&mut self, found: u64, arg: u8) {
        let fd = self.spec.uses.fd.and_then(|fd| self.operands.fds[usize::from(fd)].as_ref());
        if let Some(descriptor) = fd.filter(|d| d.file.is_stored() && self.call.succeeded()) {
            let (size, found) =
                (Resource::Size(descriptor.file.inode.key), ResourceState::Size(found));
            self.claim(arg, size, false, found, found);
        }
    }

    /// Adds the claims that follow from a `struct stat` that the call returned.
    fn struct_of_file(&mut self, i: usize, layout: &Layout) {
        if !self.call.succeeded() {
            return;
        }
        let word = |kind: FieldKind| {
            let field = layout.fields.iter().find(|f| f.kind == kind && f.size == 8)?;
            Some(self.call.struct_u64(i as u8, field.at as u8))
        };
        let (inode, size) =
            (word(FieldKind::Ino).filter(|number| *number != 0), word(FieldKind::Size));
        if let Some(number) = inode {
            self.claim_use(i as u8, Resource::File(number), self.spec.changes);
        }
        if let Some(size) = size.filter(|_| self.spec.effect != Effect::Seek) {
            self.size(size, i as u8);
        }
    }

    /// Adds the claims on the path in argument `i`, and on the directory that holds its last
    /// component.
    fn path(&mut self, i: usize, way: PathUse) {
        let Self { call, spec, operands, .. } = *self;
        let arg = i as u8;
        // A file without a name, or with another one than its descriptor was opened by.
        let through = operands.through[i].as_ref().filter(|way| way.rest.is_empty());
        if let Some(descriptor) = through.and_then(|way| way.descriptor()) {
            self.claim_use(arg, Resource::File(descriptor.file.inode.key.1), true);
        }
        let Some(path) = &operands.paths[i] else { return };
        let path = lexical(path);
        let (name, parent_name) = (hash(&path), hash(parent(&path)));
        let flags = if let Role::Open(from) = way.role { call.open_flags(from) } else { 0 };
        let creates = flags & O_CREAT != 0;
        let (changes, members) = match way.role {
            Role::Lookup => (spec.changes, false),
            Role::Open(_) => (flags & (O_CREAT | O_TRUNC) != 0, creates),
            Role::Create | Role::Remove | Role::RemoveDirectory | Role::Source | Role::Target => {
                (true, true)
            }
        };
        let [name_state, parent_state] = self.name_states(way.role, flags);
        self.claim(arg, Resource::Name(name), changes, name_state.0, name_state.1);
        self.claim(arg, Resource::Name(parent_name), false, parent_state.0, parent_state.1);
        if makes_directories(spec, way.role) {
            self.claim_use(arg, Resource::Links(parent_name), true);
        } else if way.role == Role::Lookup {
            self.claim_use(arg, Resource::Links(name), false);
        }
        if changes && let Some((_, opened)) = operands.opened.first() {
            self.claim_use(arg, Resource::File(opened.file.inode.key.1), true);
        }
        if members {
            // Makers of different names do not disturb each other; a listing, or the removal of
            // the directory, sees them all.
            self.claim_use(arg, Resource::Members(parent_name), false);
        }
        if renames(way.role) || matches!(way.role, Role::Remove | Role::RemoveDirectory) {
            self.claim_use(arg, Resource::Members(name), true);
        }
    }

    /// Returns the states in which a path, and the directory that holds it, were found and left, by
    /// the call's result.
    fn name_states(&self, role: Role, flags: u32) -> [(ResourceState, ResourceState); 2] {
        const UNKNOWN: (ResourceState, ResourceState) =
            (ResourceState::Unknown, ResourceState::Unknown);
        const PRESENT: (ResourceState, ResourceState) =
            (ResourceState::Present, ResourceState::Present);
        const ABSENT: (ResourceState, ResourceState) =
            (ResourceState::Absent, ResourceState::Absent);
        let creates = role == Role::Create || flags & O_CREAT != 0;
        match self.call.errno().map(Errno::from_raw_os_error) {
            None if self.call.returned() => {
                let before = match role {
                    Role::Create => ResourceState::Absent,
                    Role::Target => ResourceState::Unknown,
                    Role::Open(_) if creates && flags & O_EXCL != 0 => ResourceState::Absent,
                    Role::Open(_) if creates => ResourceState::Unknown,
                    _ => ResourceState::Present,
                };
                let after = match role {
                    Role::Remove | Role::RemoveDirectory | Role::Source => ResourceState::Absent,
                    _ => ResourceState::Present,
                };
                [(before, after), PRESENT]
            }
            Some(Errno::NOENT) if self.operands.paths.values().count() == 1 => {
                if creates {
                    [UNKNOWN, ABSENT]
                } else {
                    [ABSENT, UNKNOWN]
                }
            }
            Some(Errno::EXIST | Errno::ADDRINUSE) if creates => [PRESENT, UNKNOWN],
            _ => [UNKNOWN, UNKNOWN],
        }
    }
}

/// Returns whether the call may create, remove or rename a directory.
fn makes_directories(spec: &CallSpec, role: Role) -> bool {
    let has = |kind: fn(Kind) -> bool| spec.args.iter().any(|a| kind(a.kind));
    match role {
        Role::Create => has(|k| k == Kind::Mode) && !has(|k| k == Kind::Dev),
        Role::Remove => has(|k| matches!(k, Kind::Flags(_))),
        Role::RemoveDirectory | Role::Source | Role::Target => true,
        Role::Lookup | Role::Open(_) => false,
    }
}
