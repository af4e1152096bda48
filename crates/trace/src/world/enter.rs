//! What a call's arguments mean when it is entered.

use super::World;
use super::bound::Bound;
use super::file::{Descriptor, OpenFile};
use super::path::join;
use super::table::Closing;
use crate::call::Call;
use crate::record::PieceKind;
use abi::{AT_FDCWD, Effect, Follow, Is, Kind, Shape, arguments};
use std::sync::Arc;

const EBADF: i32 = 9;

impl<T: Default> World<T> {
    /// Says what the arguments of a call that is being entered mean. A close takes its descriptor out of the table now.
    pub fn enter(&mut self, call: &Call) -> Bound<T> {
        self.know(call.pid, call.tid);
        self.moment += 1;
        let mut bound = Bound { moment: self.moment, ..Bound::default() };
        let Some(shape) = call.shape() else { return bound };
        self.bind(call, shape, &mut bound, true);
        if !call.made() {
            return bound;
        }
        if shape.uses.sends {
            self.send(call);
        }
        if let Effect::Close { fd } = shape.effect {
            let number = call.args[fd as usize] as i32;
            let Some(thread) = self.threads.get(&call.tid) else { return bound };
            if call.errno() != Some(EBADF) {
                let found = self
                    .tables
                    .get_mut(&thread.table)
                    .and_then(|t| t.slots.remove(&number))
                    .map(|s| s.descriptor);
                self.closing.push(Closing {
                    tid: call.tid,
                    table: thread.table,
                    fd: number,
                    descriptor: found,
                });
            }
        }
        bound
    }

    /// Fills in what is still missing: descriptors (where `numbers` may still mean something), then the paths that start from them.
    pub(super) fn bind(&self, call: &Call, shape: &Shape, bound: &mut Bound<T>, numbers: bool) {
        let Some(thread) = self.threads.get(&call.tid) else { return };
        for i in arguments(shape.uses.fds).filter(|_| numbers) {
            if bound.fds[i].is_none() {
                let found = self.find(thread.table, call, call.args[i] as i32);
                // Where the engine saw another file behind the number, it has changed its meaning without our knowing.
                bound.fds[i] =
                    found.filter(|d| shape.uses.fd != Some(i as u8) || d.file.may_be(call.seen));
            }
            bound.status[i] = bound.fds[i].as_ref().map_or(0, |d| d.file.status());
        }
        if bound.inner.is_empty() {
            arguments(shape.uses.inner).for_each(|i| {
                self.bind_inner(thread.table, call, shape.args[i].kind, i as u8, bound)
            });
        }
        bound.offset = offset(call, shape, bound);
        let Some(fs) = self.groups.get(&thread.fs) else { return };
        bound.umask = fs.umask;
        if bound.cwd.is_none() && (shape.uses.paths != 0 || !shape.uses.moves) {
            bound.cwd = Some(fs.cwd.clone());
            bound.root.clone_from(&fs.root);
        }
        for i in arguments(shape.uses.paths) {
            let Some(way) = shape.args[i].kind.path().filter(|_| bound.paths[i].is_none()) else {
                continue;
            };
            let Some(path) = call.path(i as u8) else { continue };
            let root = fs.root.as_ref().map(|r| &*r.path);
            let base = match way.dir.filter(|d| call.args[*d as usize] as i32 != AT_FDCWD) {
                None => &*fs.cwd.path,
                Some(d) => match &bound.fds[d as usize] {
                    Some(descriptor) => &*descriptor.file.path,
                    None if path.first() == Some(&b'/') => b"/",
                    None => continue,
                },
            };
            let mut joined = join(root, base, path);
            if let Some((number, rest)) = own_descriptor(&joined, call.pid)
                && (!rest.is_empty() || follows(way.follow, call))
                && let Some(descriptor) =
                    self.find(thread.table, call, number).filter(|d| has_name(&d.file))
            {
                if descriptor.file.identity.links > 0 {
                    joined = if rest.is_empty() {
                        descriptor.file.path.clone()
                    } else {
                        join(None, &descriptor.file.path, rest)
                    };
                }
                bound.through.put(i, descriptor);
            }
            bound.paths.put(i, joined);
        }
    }

    /// The descriptors in a struct.
    fn bind_inner(&self, table: u32, call: &Call, kind: Kind, i: u8, bound: &mut Bound<T>) {
        let (Kind::In(_, layout) | Kind::InOut(_, layout)) = kind else { return };
        for field in layout.fields.iter().filter(|f| f.is == Is::Fd) {
            let bytes = call.piece(i, PieceKind::Bytes).map_or(&[][..], |p| p.bytes.as_slice());
            let number = bytes
                .get(field.at as usize..field.at as usize + 4)
                .and_then(|b| b.try_into().ok())
                .map(i32::from_le_bytes);
            if let Some(descriptor) = number.and_then(|n| self.find(table, call, n)) {
                bound.inner.push((i, field.at, descriptor));
            }
        }
    }

    /// A descriptor in the table, or one that a call under way is closing, unless the result says that there was none.
    fn find(&self, table: u32, call: &Call, number: i32) -> Option<Arc<Descriptor<T>>> {
        if number < 0 {
            return None;
        }
        if let Some(descriptor) = self.tables.get(&table).and_then(|t| t.get(number)) {
            return Some(descriptor.clone());
        }
        if call.errno() == Some(EBADF) {
            return None;
        }
        self.closing
            .iter()
            .rev()
            .filter(|c| c.table == table && c.fd == number)
            .find_map(|c| c.descriptor.clone())
    }
}

/// The descriptor of its own that a process names by a path below `/proc` or `/dev`, and the rest of the path: how C libraries do what no call does with a descriptor.
fn own_descriptor(path: &[u8], pid: u32) -> Option<(i32, &[u8])> {
    let rest = match path.strip_prefix(b"/dev/fd/") {
        Some(rest) => rest,
        None => {
            let rest = path.strip_prefix(b"/proc/")?;
            let end = rest.iter().position(|b| *b == b'/')?;
            let own = matches!(&rest[..end], b"self" | b"thread-self")
                || rest[..end] == *pid.to_string().as_bytes();
            rest[end..].strip_prefix(b"/fd/").filter(|_| own)?
        }
    };
    let end = rest.iter().position(|b| *b == b'/').unwrap_or(rest.len());
    let number = std::str::from_utf8(&rest[..end]).ok()?.parse().ok()?;
    Some((number, rest[end..].strip_prefix(b"/").unwrap_or_default()))
}

/// Whether it stands in a directory that replay makes: a stored file, or a FIFO (which `O_PATH` opens without connecting to it).
fn has_name(file: &OpenFile) -> bool {
    file.is_stored() || (file.file_type() == 0o010_000 && file.path.first() == Some(&b'/'))
}

/// Whether a link in the last component is followed.
fn follows(follow: Follow, call: &Call) -> bool {
    match follow {
        Follow::Always => true,
        Follow::Never => false,
        Follow::Unless { arg, bit } => call.args[arg as usize] & bit == 0,
        Follow::If { arg, bit } => call.args[arg as usize] & bit != 0,
    }
}

/// The position that the call names, if it takes one.
pub(super) fn position(call: &Call, shape: &Shape) -> Option<u64> {
    shape.uses.pos.map(|i| call.args[usize::from(i)]).filter(|&at| at as i64 != -1)
}

/// Where the call's data move: its own position, or the offset of its first descriptor if the call moves data. Writes to a descriptor that appends go to the end,
/// whatever position they name (pwrite(2), BUGS).
fn offset<T>(call: &Call, shape: &Shape, bound: &Bound<T>) -> Option<u64> {
    let named = position(call, shape);
    let Some(file) = bound.fds[usize::from(shape.uses.fd?)].as_ref().map(|d| &d.file) else {
        return named;
    };
    let moves = shape.uses.pos.is_some() || shape.uses.moves;
    match moves && file.file_type() == 0o100_000 {
        true if shape.uses.writes && file.appends() => Some(file.inode.size()),
        true => Some(named.unwrap_or_else(|| file.offset())),
        false => named,
    }
}
