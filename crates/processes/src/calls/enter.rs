//! What the arguments of a call refer to when it is entered.

use crate::Processes;
use crate::arguments::Operands;
use crate::calls::offset::{explicit_position, offset_of_data};
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
    /// Returns what the arguments of a call that is being entered refer to. A close takes its
    /// descriptor out of the table now.
    pub fn enter(&mut self, call: &Call) -> Operands<T> {
        self.items_applied += 1;
        let mut operands =
            Operands { entered_at: self.items_applied, umask: 0o022, ..Operands::default() };
        if let Some(mapped) = self.descriptor_of_mapping(call) {
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
        self.buffers.add(call, spec, operands.entered_at);
        if spec.uses.sends_messages {
            self.note_sent(call);
        }
        if let Effect::Close { fd } = spec.effect {
            let fd_number = call.args[fd as usize] as i32;
            let Some(thread) = self.threads.get(&call.tid) else { return operands };
            if let (Some(index), Some(word)) = (registered_index(fd_number), call.sqe_word()) {
                let found = self.rings.remove(word.ring(), index);
                self.closings.begin(call.tid, thread.table_id, fd_number, found);
            } else if call.errno() != Some(EBADF) {
                let found = self
                    .tables
                    .get_mut(&thread.table_id)
                    .and_then(|t| t.slots.remove(&fd_number))
                    .map(|s| s.descriptor);
                self.closings.begin(call.tid, thread.table_id, fd_number, found);
            }
        }
        operands
    }

    /// Sets operands that are still missing: the descriptors, if `binds_descriptors` is set, then
    /// the paths that start from them, and the directories. Those that are set already are kept.
    pub(crate) fn bind_operands(
        &self,
        call: &Call,
        spec: &CallSpec,
        operands: &mut Operands<T>,
        binds_descriptors: bool,
    ) {
        let Some(thread) = self.threads.get(&call.tid) else { return };
        for i in argument_indices(spec.uses.fd_args).filter(|_| binds_descriptors) {
            if operands.fds[i].is_none() {
                let found = self.find_descriptor(thread.table_id, call, call.args[i] as i32);
                // If the engine saw another file behind the number, a change of the table is not
                // recorded.
                operands.fds[i] = found.filter(|d| {
                    spec.uses.fd != Some(i as u8) || d.file.may_match(call.fd_snapshot)
                });
            }
            operands.status[i] = operands.fds[i].as_ref().map_or(0, |d| d.file.status());
        }
        if operands.inner.is_empty() {
            argument_indices(spec.uses.struct_fd_args).for_each(|i| {
                self.bind_struct_descriptors(
                    thread.table_id,
                    call,
                    spec.args[i].kind,
                    i as u8,
                    operands,
                );
            });
        }
        operands.offset = offset_of_data(call, spec, operands);
        let Some(fs) = self.fs_structs.get(&thread.fs_id) else { return };
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

    /// Sets the operands for the path in argument `i`, in a process with the directories `fs` and,
    /// if it has mounts or a root of its own, `view`.
    fn bind_path(
        &self,
        call: &Call,
        spec: &CallSpec,
        operands: &mut Operands<T>,
        i: usize,
        fs: &Fs<T>,
        view: Option<&MountView>,
    ) {
        let Some(path_use) = spec.args[i].kind.path_use().filter(|_| operands.paths[i].is_none())
        else {
            return;
        };
        let Some(recorded) = call.path(i as u8) else { return };
        let root = fs.root.as_ref().map(|r| &*r.view);
        let path_in_view;
        let base = match path_use.dir.filter(|d| call.args[*d as usize] as i32 != AT_FDCWD) {
            None => &*fs.cwd.view,
            Some(d) => match &operands.fds[d as usize] {
                Some(descriptor) if view.is_some() => {
                    path_in_view = self.path_seen_by(call.tid, &descriptor.file);
                    &*path_in_view
                }
                Some(descriptor) => &*descriptor.file.path,
                None if recorded.first() == Some(&b'/') => b"/",
                None => return,
            },
        };
        let joined = join(root, base, recorded);
        // An empty path refers to the descriptor itself, also if that is a symbolic link.
        if recorded.is_empty() {
            let (path, _) = self.recorded_path(call.tid, &joined);
            operands.paths.set(i, path);
            return;
        }
        let flags = match path_use.role {
            Role::Open(from) => Some(u64::from(call.open_flags(from))),
            _ => None,
        };
        let (path, through) = self.follow_procfs_links(
            call,
            root,
            joined,
            path_use.follows_symlink(&call.args, flags),
        );
        let ends_at_link = |path_use: &LinkRoute<T>| {
            matches!(path_use.to, LinkTarget::Virtual)
                || path_use.rest.is_empty() && path_use.descriptor().is_some()
        };
        if let Some(view) = view
            && !through.as_ref().is_some_and(ends_at_link)
        {
            // It is not known where a detached file system was mounted.
            let base = path_use.dir.and_then(|d| operands.fds[usize::from(d)].as_ref());
            let base_is_unknown =
                recorded.first() != Some(&b'/') && base.is_some_and(|d| d.file.is_elsewhere());
            let resolved = view.resolve(&path, false, &mut |_| None);
            match resolved.path.filter(|_| !base_is_unknown) {
                Some(place) => {
                    operands.paths.set(i, place.into());
                    operands.viewed.set(i, path);
                }
                None => {
                    operands.paths.set(i, resolved.view.into());
                    operands
                        .through
                        .set(i, LinkRoute { to: LinkTarget::Elsewhere, rest: Box::default() });
                }
            }
            return;
        }
        operands.paths.set(i, path);
        if let Some(through) = through {
            operands.through.set(i, through);
        }
    }

    /// Sets the operands for the descriptors in the struct that argument `arg` of this kind points
    /// to.
    fn bind_struct_descriptors(
        &self,
        table_id: u32,
        call: &Call,
        kind: Kind,
        arg: u8,
        operands: &mut Operands<T>,
    ) {
        let (Kind::In(_, layout) | Kind::InOut(_, layout)) = kind else { return };
        for field in layout.fields.iter().filter(|f| f.kind == FieldKind::Fd) {
            let bytes =
                call.payload(arg, PayloadKind::Bytes).map_or(&[][..], |p| p.bytes.as_slice());
            let fd = bytes
                .get(field.at as usize..field.at as usize + 4)
                .and_then(|b| b.try_into().ok())
                .map(i32::from_le_bytes);
            if let Some(descriptor) = fd.and_then(|n| self.find_descriptor(table_id, call, n)) {
                operands.inner.push((arg, field.at, descriptor));
            }
        }
    }

    /// Returns the descriptor `fd` of a table, or one that a call under way is closing; a negative
    /// `fd` is a registered file of io_uring. Returns `None` if there is none, or if the call
    /// failed with EBADF and the table has none.
    pub(crate) fn find_descriptor(
        &self,
        table_id: u32,
        call: &Call,
        fd: i32,
    ) -> Option<Arc<Descriptor<T>>> {
        if fd < 0 {
            return self.find_registered(call, fd);
        }
        if let Some(descriptor) = self.tables.get(&table_id).and_then(|t| t.get(fd)) {
            return Some(descriptor.clone());
        }
        if call.errno() == Some(EBADF) {
            return None;
        }
        self.closings.latest_found(table_id, fd)
    }
}
