//! What a call's arguments mean when it is entered.

use crate::Processes;
use crate::arguments::Operands;
use crate::mounts::namespace::MountView;
use crate::paths::join;
use crate::procfs_links::{LinkRoute, LinkTarget};
use crate::state::file::Descriptor;
use crate::state::table::Fs;
use abi::{AT_FDCWD, CallSpec, Effect, FieldKind, Kind, Role, argument_indices, registered_index};
use linux_raw_sys::errno;
use std::sync::Arc;
use trace::call::Call;
use trace::record::PayloadKind;

const EBADF: i32 = errno::EBADF as i32;

impl<T: Default> Processes<T> {
    /// Returns what the arguments of a call that is being entered refer to. A close removes its
    /// descriptor from the table now.
    pub fn enter(&mut self, call: &Call) -> Operands<T> {
        self.step += 1;
        let mut operands = Operands { step: self.step, umask: 0o022, ..Operands::default() };
        if let Some(mapped) = self.find_mapped(call) {
            operands.status[0] = mapped.file.status();
            operands.fds[0] = Some(mapped);
            operands.offset = call.spec().and_then(|spec| explicit_position(call, spec));
            return operands;
        }
        self.ensure_thread(call.pid, call.tid);
        let Some(spec) = call.spec() else { return operands };
        self.bind_operands(call, spec, &mut operands, true);
        if !call.was_executed() {
            return operands;
        }
        self.buffers.add(call, spec, operands.step);
        if spec.uses.sends_messages {
            self.note_sent(call);
        }
        if let Effect::Close { fd } = spec.effect {
            let number = call.args[fd as usize] as i32;
            let Some(thread) = self.threads.get(&call.tid) else { return operands };
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
        operands
    }

    /// Fills in operands that are still missing: descriptors, if their `numbers` may still mean the
    /// same, then the paths that start from them.
    pub(crate) fn bind_operands(
        &self,
        call: &Call,
        spec: &CallSpec,
        operands: &mut Operands<T>,
        numbers: bool,
    ) {
        let Some(thread) = self.threads.get(&call.tid) else { return };
        for i in argument_indices(spec.uses.fd_args).filter(|_| numbers) {
            if operands.fds[i].is_none() {
                let found = self.find_descriptor(thread.table, call, call.args[i] as i32);
                // Where the engine saw another file behind the number, it has changed its meaning
                // without our knowing.
                operands.fds[i] = found.filter(|d| {
                    spec.uses.fd != Some(i as u8) || d.file.may_match(call.fd_snapshot)
                });
            }
            operands.status[i] = operands.fds[i].as_ref().map_or(0, |d| d.file.status());
        }
        if operands.inner.is_empty() {
            argument_indices(spec.uses.struct_fd_args).for_each(|i| {
                self.bind_struct_descriptors(
                    thread.table,
                    call,
                    spec.args[i].kind,
                    i as u8,
                    operands,
                );
            });
        }
        operands.offset = data_offset(call, spec, operands);
        let Some(fs) = self.groups.get(&thread.fs) else { return };
        operands.umask = fs.umask;
        if operands.cwd.is_none() && (spec.uses.path_args != 0 || !spec.uses.moves_data) {
            operands.cwd = Some(fs.cwd.clone());
            operands.root.clone_from(&fs.root);
        }
        let view = self.view_of_thread(thread, fs);
        if view.is_some() && operands.view.is_none() {
            operands.view.clone_from(&view);
        }
        for i in argument_indices(spec.uses.path_args) {
            self.bind_path(call, spec, operands, i, fs, view.as_ref());
        }
    }

    /// Sets the operands of the path in argument `i`, for a thread with these directories and this
    /// view of mounts.
    fn bind_path(
        &self,
        call: &Call,
        spec: &CallSpec,
        operands: &mut Operands<T>,
        i: usize,
        fs: &Fs<T>,
        view: Option<&MountView>,
    ) {
        let Some(way) = spec.args[i].kind.path_use().filter(|_| operands.paths[i].is_none()) else {
            return;
        };
        let Some(recorded) = call.path(i as u8) else { return };
        let root = fs.root.as_ref().map(|r| &*r.view);
        let seen;
        let base = match way.dir.filter(|d| call.args[*d as usize] as i32 != AT_FDCWD) {
            None => &*fs.cwd.view,
            Some(d) => match &operands.fds[d as usize] {
                Some(descriptor) if view.is_some() => {
                    seen = self.path_seen_by(call.tid, &descriptor.file);
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
            let (path, _) = self.recorded_path(call.tid, &joined);
            operands.paths.put(i, path);
            return;
        }
        let flags = match way.role {
            Role::Open(from) => Some(u64::from(call.open_flags(from))),
            _ => None,
        };
        let (path, through) =
            self.follow_procfs_links(call, root, joined, way.follows_symlink(&call.args, flags));
        let leads = |way: &LinkRoute<T>| {
            matches!(way.to, LinkTarget::Virtual)
                || way.rest.is_empty() && way.descriptor().is_some()
        };
        if let Some(view) = view
            && !through.as_ref().is_some_and(leads)
        {
            // Where a detached file system was mounted is unknown.
            let base = way.dir.and_then(|d| operands.fds[usize::from(d)].as_ref());
            let lost =
                recorded.first() != Some(&b'/') && base.is_some_and(|d| d.file.is_elsewhere());
            let found = view.resolve(&path, false, &mut |_| None);
            match found.path.filter(|_| !lost) {
                Some(place) => {
                    operands.paths.put(i, place.into());
                    operands.viewed.put(i, path);
                }
                None => {
                    operands.paths.put(i, found.view.into());
                    operands
                        .through
                        .put(i, LinkRoute { to: LinkTarget::Elsewhere, rest: Box::default() });
                }
            }
            return;
        }
        operands.paths.put(i, path);
        if let Some(through) = through {
            operands.through.put(i, through);
        }
    }

    /// Sets the operands for descriptors inside a struct.
    fn bind_struct_descriptors(
        &self,
        table: u32,
        call: &Call,
        kind: Kind,
        i: u8,
        operands: &mut Operands<T>,
    ) {
        let (Kind::In(_, layout) | Kind::InOut(_, layout)) = kind else { return };
        for field in layout.fields.iter().filter(|f| f.kind == FieldKind::Fd) {
            let bytes = call.payload(i, PayloadKind::Bytes).map_or(&[][..], |p| p.bytes.as_slice());
            let number = bytes
                .get(field.at as usize..field.at as usize + 4)
                .and_then(|b| b.try_into().ok())
                .map(i32::from_le_bytes);
            if let Some(descriptor) = number.and_then(|n| self.find_descriptor(table, call, n)) {
                operands.inner.push((i, field.at, descriptor));
            }
        }
    }

    /// Returns the descriptor with this number in the table, or one that a call under way is
    /// closing. Returns `None` if the result of the call says that there was none.
    pub(crate) fn find_descriptor(
        &self,
        table: u32,
        call: &Call,
        number: i32,
    ) -> Option<Arc<Descriptor<T>>> {
        if number < 0 {
            return self.find_registered(call, number);
        }
        if let Some(descriptor) = self.tables.get(&table).and_then(|t| t.get(number)) {
            return Some(descriptor.clone());
        }
        if call.errno() == Some(EBADF) {
            return None;
        }
        self.closing.latest_found(table, number)
    }
}

/// Returns the position in the file that the call takes as an argument, if it takes one.
pub(crate) fn explicit_position(call: &Call, spec: &CallSpec) -> Option<u64> {
    spec.uses.pos.map(|i| call.args[usize::from(i)]).filter(|&at| at as i64 != -1)
}

/// Returns the offset in the file at which the call moves data: its position argument, or the
/// offset of its first descriptor. Writes to a descriptor with `O_APPEND` go to the end, whatever
/// position they take (pwrite(2), BUGS).
fn data_offset<T>(call: &Call, spec: &CallSpec, operands: &Operands<T>) -> Option<u64> {
    let named = explicit_position(call, spec);
    let Some(file) = operands.fds[usize::from(spec.uses.fd?)].as_ref().map(|d| &d.file) else {
        return named;
    };
    let moves = spec.uses.pos.is_some() || spec.uses.moves_data;
    match moves && file.file_type() == 0o100_000 {
        true if spec.uses.writes_data && file.appends() => Some(file.inode.size()),
        true => Some(named.unwrap_or_else(|| file.offset())),
        false => named,
    }
}
