//! What a call's arguments mean when it is entered.

use crate::World;
use crate::arguments::Bound;
use crate::mounts::namespace::View;
use crate::paths::join;
use crate::procfs_links::{To, Way};
use crate::state::file::Descriptor;
use crate::state::table::Fs;
use abi::{AT_FDCWD, Effect, FieldKind, Kind, Role, Shape, argument_indices, registered_index};
use linux_raw_sys::errno;
use std::sync::Arc;
use trace::call::Call;
use trace::record::PayloadKind;

const EBADF: i32 = errno::EBADF as i32;

impl<T: Default> World<T> {
    /// Says what the arguments of a call that is being entered mean. A close takes its descriptor
    /// out of the table now.
    pub fn enter(&mut self, call: &Call) -> Bound<T> {
        self.know(call.pid, call.tid);
        self.moment += 1;
        let mut bound = Bound { moment: self.moment, umask: 0o022, ..Bound::default() };
        let Some(shape) = call.shape() else { return bound };
        self.bind(call, shape, &mut bound, true);
        if !call.was_executed() {
            return bound;
        }
        if shape.uses.sends_messages {
            self.send(call);
        }
        if let Effect::Close { fd } = shape.effect {
            let number = call.args[fd as usize] as i32;
            let Some(thread) = self.threads.get(&call.tid) else { return bound };
            if let (Some(index), Some(word)) = (registered_index(number), call.sqe_word()) {
                let found = self.rings.remove(word.ring(), index);
                self.closing.begin(call.tid, thread.table, number, found);
            } else if call.errno() != Some(EBADF) {
                let found = self
                    .tables
                    .get_mut(&thread.table)
                    .and_then(|t| t.slots.remove(&number))
                    .map(|s| s.descriptor);
                self.closing.begin(call.tid, thread.table, number, found);
            }
        }
        bound
    }

    /// Fills in what is still missing: descriptors (where `numbers` may still mean something), then
    /// the paths that start from them.
    pub(crate) fn bind(&self, call: &Call, shape: &Shape, bound: &mut Bound<T>, numbers: bool) {
        let Some(thread) = self.threads.get(&call.tid) else { return };
        for i in argument_indices(shape.uses.fd_args).filter(|_| numbers) {
            if bound.fds[i].is_none() {
                let found = self.find(thread.table, call, call.args[i] as i32);
                // Where the engine saw another file behind the number, it has changed its meaning
                // without our knowing.
                bound.fds[i] = found
                    .filter(|d| shape.uses.fd != Some(i as u8) || d.file.may_be(call.fd_snapshot));
            }
            bound.status[i] = bound.fds[i].as_ref().map_or(0, |d| d.file.status());
        }
        if bound.inner.is_empty() {
            argument_indices(shape.uses.struct_fd_args).for_each(|i| {
                self.bind_inner(thread.table, call, shape.args[i].kind, i as u8, bound);
            });
        }
        bound.offset = offset(call, shape, bound);
        let Some(fs) = self.groups.get(&thread.fs) else { return };
        bound.umask = fs.umask;
        if bound.cwd.is_none() && (shape.uses.path_args != 0 || !shape.uses.moves_data) {
            bound.cwd = Some(fs.cwd.clone());
            bound.root.clone_from(&fs.root);
        }
        let view = self.view(thread, fs);
        if view.is_some() && bound.view.is_none() {
            bound.view.clone_from(&view);
        }
        for i in argument_indices(shape.uses.path_args) {
            self.bind_path(call, shape, bound, i, fs, view.as_ref());
        }
    }

    /// The path in argument `i`, for a thread with these directories and this view.
    fn bind_path(
        &self,
        call: &Call,
        shape: &Shape,
        bound: &mut Bound<T>,
        i: usize,
        fs: &Fs<T>,
        view: Option<&View>,
    ) {
        let Some(way) = shape.args[i].kind.path_use().filter(|_| bound.paths[i].is_none()) else {
            return;
        };
        let Some(recorded) = call.path(i as u8) else { return };
        let root = fs.root.as_ref().map(|r| &*r.view);
        let seen;
        let base = match way.dir.filter(|d| call.args[*d as usize] as i32 != AT_FDCWD) {
            None => &*fs.cwd.view,
            Some(d) => match &bound.fds[d as usize] {
                Some(descriptor) if view.is_some() => {
                    seen = self.view_of(call.tid, &descriptor.file);
                    &*seen
                }
                Some(descriptor) => &*descriptor.file.path,
                None if recorded.first() == Some(&b'/') => b"/",
                None => return,
            },
        };
        let joined = join(root, base, recorded);
        // An empty path means the descriptor, be it that of a link.
        if recorded.is_empty() {
            let (path, _) = self.place_of(call.tid, &joined);
            bound.paths.put(i, path);
            return;
        }
        let flags = match way.role {
            Role::Open(from) => Some(u64::from(call.open_flags(from))),
            _ => None,
        };
        let (path, through) =
            self.through(call, root, joined, way.follows_symlink(&call.args, flags));
        let leads = |way: &Way<T>| {
            matches!(way.to, To::Virtual) || way.rest.is_empty() && way.descriptor().is_some()
        };
        if let Some(view) = view
            && !through.as_ref().is_some_and(leads)
        {
            // Where a detached file system was mounted is unknown.
            let base = way.dir.and_then(|d| bound.fds[usize::from(d)].as_ref());
            let lost =
                recorded.first() != Some(&b'/') && base.is_some_and(|d| d.file.is_elsewhere());
            let found = view.resolve(&path, false, &mut |_| None);
            match found.path.filter(|_| !lost) {
                Some(place) => {
                    bound.paths.put(i, place.into());
                    bound.viewed.put(i, path);
                }
                None => {
                    bound.paths.put(i, found.view.into());
                    bound.through.put(i, Way { to: To::Elsewhere, rest: Box::default() });
                }
            }
            return;
        }
        bound.paths.put(i, path);
        if let Some(through) = through {
            bound.through.put(i, through);
        }
    }

    /// The descriptors in a struct.
    fn bind_inner(&self, table: u32, call: &Call, kind: Kind, i: u8, bound: &mut Bound<T>) {
        let (Kind::In(_, layout) | Kind::InOut(_, layout)) = kind else { return };
        for field in layout.fields.iter().filter(|f| f.kind == FieldKind::Fd) {
            let bytes = call.payload(i, PayloadKind::Bytes).map_or(&[][..], |p| p.bytes.as_slice());
            let number = bytes
                .get(field.at as usize..field.at as usize + 4)
                .and_then(|b| b.try_into().ok())
                .map(i32::from_le_bytes);
            if let Some(descriptor) = number.and_then(|n| self.find(table, call, n)) {
                bound.inner.push((i, field.at, descriptor));
            }
        }
    }

    /// A descriptor in the table, or one that a call under way is closing, unless the result says
    /// that there was none.
    pub(crate) fn find(&self, table: u32, call: &Call, number: i32) -> Option<Arc<Descriptor<T>>> {
        if number < 0 {
            return self.registered(call, number);
        }
        if let Some(descriptor) = self.tables.get(&table).and_then(|t| t.get(number)) {
            return Some(descriptor.clone());
        }
        if call.errno() == Some(EBADF) {
            return None;
        }
        self.closing.found(table, number)
    }
}

/// The position that the call names, if it takes one.
pub(crate) fn position(call: &Call, shape: &Shape) -> Option<u64> {
    shape.uses.pos.map(|i| call.args[usize::from(i)]).filter(|&at| at as i64 != -1)
}

/// Where the call's data move: its own position, or the offset of its first descriptor if the call
/// moves data. Writes to a descriptor that appends go to the end, whatever position they name
/// (pwrite(2), BUGS).
fn offset<T>(call: &Call, shape: &Shape, bound: &Bound<T>) -> Option<u64> {
    let named = position(call, shape);
    let Some(file) = bound.fds[usize::from(shape.uses.fd?)].as_ref().map(|d| &d.file) else {
        return named;
    };
    let moves = shape.uses.pos.is_some() || shape.uses.moves_data;
    match moves && file.file_type() == 0o100_000 {
        true if shape.uses.writes_data && file.appends() => Some(file.inode.size()),
        true => Some(named.unwrap_or_else(|| file.offset())),
        false => named,
    }
}
