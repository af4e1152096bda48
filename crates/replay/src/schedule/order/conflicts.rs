//! Which overlapping calls must keep the order of their exits: those on one file, name, directory listing or offset of which at least one changes it.
//!
//! For each such thing the numbers of the latest calls that used and that changed it are kept, while calls that might overlap them are still under way.

use crate::issue::Real;
use abi::{Arg, Effect, Form, Is, Kind, Ret, Role, Shape};
use ahash::HashMap;
use model::world::{Bound, lexical, parent};
use std::hash::{Hash, Hasher};
use trace::Call;

/// Bytes of a file that are ordered as one.
const CHUNK: u64 = 256 << 10;
/// Names of files with several that are remembered.
const NAMES: usize = 1 << 17;
/// So many renames of a directory are followed.
const RENAMES: usize = 8;
/// So many users of a thing are remembered at least before those are looked for that are done.
const USERS: usize = 16;
/// An access to more chunks than this counts as one to the whole file.
const CHUNKS: u64 = 8;
const S_IFREG: u32 = 0o100_000;
const O_CREAT: u32 = 0o100;
const O_TRUNC: u32 = 0o1000;

#[derive(Default)]
struct Last {
    /// One more than the number of the last call that changed it; 0: none.
    changed: u64,
    used: u64,
    /// The calls that used it since, in order, if somebody waits for each of them.
    users: Vec<u64>,
    /// At so many users those are looked for that are done.
    sweep: usize,
}

#[derive(Default)]
pub(crate) struct Conflicts {
    last: HashMap<u64, Last>,
    /// Names that links made of one file, by the file.
    aliases: HashMap<Vec<u8>, u64>,
    /// Names that renames gave, by the old ones.
    renamed: HashMap<Vec<u8>, Vec<u8>>,
}

#[derive(Hash)]
enum Thing<'a> {
    Offset(u64),
    /// The status flags of an open file.
    Status(u64),
    /// By its number: a struct that tells it may tell the device otherwise.
    Inode(u64),
    Chunk((u64, u64), u64),
    Name(&'a [u8]),
    Members(&'a [u8]),
    /// How many links a directory has: one for each directory in it.
    Links(&'a [u8]),
    Names,
    /// A file with several names.
    Alias(u64),
}

struct Touch {
    key: u64,
    changes: bool,
}

fn touch(list: &mut Vec<Touch>, thing: &Thing<'_>, changes: bool) {
    let mut hasher = ahash::AHasher::default();
    thing.hash(&mut hasher);
    list.push(Touch { key: hasher.finish(), changes });
}

impl Conflicts {
    /// Enters call `number`, and says how many of the calls before it must be done first, on account of conflicts: 0 if there are none after `overlapped`, the
    /// number of calls that were done when it began.
    pub fn enter(
        &mut self,
        number: u64,
        overlapped: u64,
        call: &Call,
        shape: &Shape,
        bound: &Bound<Real>,
    ) -> u64 {
        let mut after = 0;
        for Touch { key, changes } in self.touches(number, call, shape, bound) {
            let last = self.last.entry(key).or_default();
            // A call that touches a thing twice does not wait for itself.
            let before = |n: u64| if n > number { 0 } else { n };
            after = after.max(before(last.changed));
            if changes {
                after = after.max(before(last.used));
                last.changed = number + 1;
            } else {
                last.used = number + 1;
            }
        }
        if after > overlapped { after } else { 0 }
    }

    /// All that a call touches.
    fn touches(
        &mut self,
        number: u64,
        call: &Call,
        shape: &Shape,
        bound: &Bound<Real>,
    ) -> Vec<Touch> {
        let mut list = Vec::with_capacity(8);
        touches(&mut list, call, shape, bound);
        self.place(&mut list, shape, bound);
        if bound.paths.any() || !self.aliases.is_empty() {
            self.links(&mut list, number, call, shape, bound);
        }
        list
    }

    /// A call that takes neither a name nor a descriptor tells where its thread is (getcwd): it
    /// looks at the names that the directory had and has.
    fn place(&self, list: &mut Vec<Touch>, shape: &Shape, bound: &Bound<Real>) {
        let told = |a: &Arg| matches!(a.kind, Kind::Out(_, l) if l.form == Form::Text);
        let named = shape.uses.fds != 0 || shape.uses.paths != 0;
        let Some(directory) = bound.cwd.as_ref().filter(|_| !named) else { return };
        if !shape.args.iter().any(told) {
            return;
        }
        touch(list, &Thing::Names, false);
        let mut path = directory.path.to_vec();
        for _ in 0..RENAMES {
            touch(list, &Thing::Name(&path), false);
            let mut above = &path[..];
            let new = loop {
                match self.renamed.get(above) {
                    Some(new) => break Some([new, &path[above.len()..]].concat()),
                    None if above.len() <= 1 => break None,
                    None => above = parent(above),
                }
            };
            match new {
                Some(new) => path = new,
                None => break,
            }
        }
    }

    /// A file's links are counted under all of its names.
    fn links(
        &mut self,
        list: &mut Vec<Touch>,
        number: u64,
        call: &Call,
        shape: &Shape,
        bound: &Bound<Real>,
    ) {
        let paths: Vec<(Role, Vec<u8>)> = shape
            .args
            .iter()
            .enumerate()
            .filter_map(|(i, a)| Some((a.kind.path()?.role, lexical(bound.paths[i].as_ref()?))))
            .collect();
        if let [(Role::Lookup, old), (Role::Create, new)] = &paths[..]
            && call.succeeded()
            && self.aliases.len() < NAMES
        {
            let file = *self.aliases.entry(old.clone()).or_insert(number);
            self.aliases.insert(new.clone(), file);
        }
        if let [(Role::Source, old), (Role::Target, new)] = &paths[..]
            && call.succeeded()
            && self.renamed.len() < NAMES
        {
            self.renamed.remove(new);
            self.renamed.insert(old.clone(), new.clone());
        }
        if self.aliases.is_empty() {
            return;
        }
        for (role, path) in &paths {
            if let Some(file) = self.aliases.get(path) {
                touch(list, &Thing::Alias(*file), shape.changes && !matches!(role, Role::Open(_)));
            }
        }
        for file in bound.fds.iter().flatten().filter_map(|d| self.aliases.get(&d.file.path[..])) {
            touch(list, &Thing::Alias(*file), false);
        }
        if let [(Role::Source, old), (Role::Target, new)] = &paths[..]
            && call.succeeded()
            && let Some(file) = self.aliases.remove(old)
        {
            self.aliases.insert(new.clone(), file);
        }
    }

    /// The same where the calls that conflict are waited for one by one: their numbers.
    pub fn needs(
        &mut self,
        number: u64,
        reached: u64,
        call: &Call,
        shape: &Shape,
        bound: &Bound<Real>,
    ) -> Vec<u64> {
        let mut needs = Vec::new();
        for Touch { key, changes } in self.touches(number, call, shape, bound) {
            let last = self.last.entry(key).or_default();
            needs.extend(last.changed.checked_sub(1));
            if changes {
                needs.append(&mut last.users);
                last.changed = number + 1;
            } else {
                if last.users.len() >= last.sweep.max(USERS) {
                    last.users.retain(|user| *user >= reached);
                    last.sweep = last.users.len() * 2;
                }
                last.users.push(number);
                last.used = number + 1;
            }
        }
        needs.retain(|n| *n >= reached && *n != number);
        needs.sort_unstable();
        needs.dedup();
        needs
    }

    /// Forgets what no call can overlap any longer: everything below `number`.
    pub fn forget(&mut self, number: u64) {
        if self.last.len() > 1 << 14 {
            self.last.retain(|_, last| last.changed.max(last.used) > number);
        }
    }
}

fn touches(list: &mut Vec<Touch>, call: &Call, shape: &Shape, bound: &Bound<Real>) {
    for (i, arg) in shape.args.iter().enumerate() {
        let Some(descriptor) = bound.fds[i].as_ref().filter(|_| arg.kind == Kind::Fd) else {
            continue;
        };
        let file = &descriptor.file;
        touch(list, &Thing::Name(&file.path), false);
        if file.file_type() != S_IFREG {
            touch(list, &Thing::Links(&file.path), false);
        }
        let sets = matches!(shape.effect, Effect::SetStatusFlags | Effect::SetNonblocking);
        if sets || depends_on_status(shape) {
            touch(list, &Thing::Status(file.id), sets);
        }
        let positioned = shape.uses.pos.is_some_and(|i| call.args[usize::from(i)] as i64 != -1);
        let lists = shape.uses.lists;
        let moves = bound.offset.is_some();
        if (moves && !positioned) || lists || shape.effect == Effect::Seek || shape.copies.is_some()
        {
            touch(list, &Thing::Offset(file.id), true);
        }
        if lists {
            touch(list, &Thing::Members(&file.path), true);
        }
        data(list, call, shape, bound, file, moves);
    }
    for way in bound.through.values() {
        // A file without a name, or with another one than its descriptor was opened by.
        if let Some(descriptor) = way.descriptor().filter(|_| way.rest.is_empty()) {
            touch(list, &Thing::Inode(descriptor.file.inode.key.1), true);
        }
    }
    if let Some(number) = told_inode(call, shape) {
        touch(list, &Thing::Inode(number), shape.changes);
    }
    let mut renames = false;
    for (i, arg) in shape.args.iter().enumerate() {
        let (Some(way), Some(path)) = (arg.kind.path(), &bound.paths[i]) else { continue };
        let path = lexical(path);
        let (changes, members) = match way.role {
            Role::Lookup => (shape.changes, false),
            Role::Open(flags) => {
                let flags = call.open_flags(flags);
                (flags & (O_CREAT | O_TRUNC) != 0, flags & O_CREAT != 0)
            }
            Role::Create => (true, true),
            Role::Remove | Role::RemoveDirectory | Role::Source | Role::Target => (true, true),
        };
        renames |= matches!(way.role, Role::Source | Role::Target);
        touch(list, &Thing::Name(&path), changes);
        touch(list, &Thing::Name(parent(&path)), false);
        if makes_directories(shape, way.role) {
            touch(list, &Thing::Links(parent(&path)), true);
        } else if way.role == Role::Lookup {
            touch(list, &Thing::Links(&path), false);
        }
        if changes && let Some((_, opened)) = bound.opened.first() {
            touch(list, &Thing::Inode(opened.file.inode.key.1), true);
        }
        if members {
            // Makers of different names do not disturb each other; a listing, or the removal of the directory, sees them all.
            touch(list, &Thing::Members(parent(&path)), false);
        }
        if matches!(way.role, Role::Remove | Role::RemoveDirectory | Role::Source | Role::Target) {
            touch(list, &Thing::Members(&path), true);
        }
    }
    if bound.paths.any() {
        // A rename may move everything below a directory.
        touch(list, &Thing::Names, renames);
    }
}

/// Whether what a call does with an open file follows from its status flags: how data move, and
/// what the flags are.
pub(crate) fn depends_on_status(shape: &Shape) -> bool {
    let asks = |a: &Arg| matches!(a.kind, Kind::Fd | Kind::Flags(_));
    shape.uses.moves
        || shape.copies.is_some()
        || (shape.ret == Ret::Int && shape.uses.fd.is_some() && shape.args.iter().all(asks))
}

/// The inode that a call told about (stat and its kin).
fn told_inode(call: &Call, shape: &Shape) -> Option<u64> {
    let told = |(i, a): (usize, &Arg)| match a.kind {
        Kind::Out(_, l) => Some(
            call.word(i as u8, l.fields.iter().find(|f| f.is == Is::Ino && f.size == 8)?.at as u8),
        ),
        _ => None,
    };
    shape.args.iter().enumerate().find_map(told).filter(|number| *number != 0 && call.succeeded())
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

fn data(
    list: &mut Vec<Touch>,
    call: &Call,
    shape: &Shape,
    bound: &Bound<Real>,
    file: &model::world::OpenFile,
    moves: bool,
) {
    let inode = file.inode.key;
    let moved = call.ret.max(0) as u64;
    let (Some(start), true, Ret::Bytes) = (bound.offset, moves && call.succeeded(), shape.ret)
    else {
        return touch(list, &Thing::Inode(inode.1), shape.changes);
    };
    let writes = shape.changes;
    let end = start.saturating_add(moved);
    // `leave` has moved the size on already: a write up to it may have made the file longer.
    let extends = writes && end >= file.inode.size();
    let many = end.saturating_sub(start) / CHUNK >= CHUNKS;
    // One of many chunks meets the others at the file.
    touch(list, &Thing::Inode(inode.1), extends || many);
    if !many {
        for chunk in start / CHUNK..=end.saturating_sub(1).max(start) / CHUNK {
            touch(list, &Thing::Chunk(inode, chunk), writes);
        }
    }
}
