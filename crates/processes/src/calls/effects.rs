//! What a call did, applied when it returns.

use crate::Processes;
use crate::arguments::Operands;
use crate::calls::mounting::ReadLink;
use crate::calls::offset::explicit_position;
use crate::state::file::{Descriptor, Inode};
use crate::state::table::Slot;
use abi::plan::{ROOT_DIRECTORY, WORKING_DIRECTORY};
use abi::{CallSpec, Effect, Kind, Ret, argument_indices};
use linux_raw_sys::general::{FASYNC, O_APPEND, O_DIRECT, O_NOATIME, O_NONBLOCK, S_IFIFO};
use linux_raw_sys::{errno, general};
use std::sync::Arc;
use trace::call::{Call, saturating_sum};
use trace::record::{Identity, PayloadKind};

const EBADF: i32 = errno::EBADF as i32;
pub(crate) const O_CLOEXEC: u32 = general::O_CLOEXEC;
const CLOSE_RANGE_UNSHARE: u64 = 2;
const CLOSE_RANGE_CLOEXEC: u64 = 4;

impl<T: Default> Processes<T> {
    /// Applies the effects of a call that returns now, and completes `operands`.
    pub fn leave(&mut self, call: &Call, operands: &mut Operands<T>) {
        self.leave_with(call, operands, &mut |_| None);
    }

    /// Applies a return as [`Self::leave`] does, where `links` returns the targets of symbolic
    /// links: the paths of mounts are followed through them.
    pub fn leave_with(&mut self, call: &Call, operands: &mut Operands<T>, links: ReadLink<'_>) {
        let nothing_between = operands.entered_at == self.items_applied;
        self.items_applied += 1;
        let Some(spec) = call.spec().filter(|_| call.was_executed()) else { return };
        operands.shares_buffer = self.buffers.remove(call, operands.entered_at);
        if let Effect::Close { fd } = spec.effect {
            self.finish_close(call, operands, fd);
        }
        // By now, descriptors that overlapping calls opened are in the table, and offsets are those
        // that the calls which returned before have left.
        if !nothing_between {
            let was_not_open = call.errno() == Some(EBADF);
            if was_not_open {
                self.unbind_free_numbers(call, spec, operands);
            }
            self.bind_operands(call, spec, operands, !was_not_open);
        }
        if !call.succeeded() {
            return;
        }
        operands.cut = ended_early(call, spec, operands);
        if operands.paths.has_any() {
            self.apply_to_links(call, spec, operands);
        }
        self.advance_offsets(call, spec, operands);
        self.change_credentials(call, spec);
        self.apply_effect(call, spec, operands, links);
        self.close_rings(&mut operands.closed);
    }

    /// Determines which descriptor a close that has returned has closed, and adds it to the
    /// operands.
    fn finish_close(&mut self, call: &Call, operands: &mut Operands<T>, fd: u8) {
        let closed_fd = call.args[fd as usize] as i32;
        if let Some((table, descriptor)) = self.closings.end(call.tid, closed_fd) {
            // If the number was free at the entry, the call closed a descriptor that an overlapping
            // call has opened since. If another close has taken that one, the other close gets the
            // next one.
            let remove_from_table =
                || Some(self.tables.get_mut(&table)?.slots.remove(&closed_fd)?.descriptor);
            let found = descriptor.or_else(|| call.succeeded().then(remove_from_table)?);
            let take_from_other_close = || self.closings.take_found(table, closed_fd);
            let found = found.or_else(|| call.succeeded().then(take_from_other_close)?);
            if operands.fds[fd as usize].is_none() {
                operands.fds[fd as usize].clone_from(&found);
            }
            operands.closed.extend(found);
        }
    }

    /// Applies the effect of a call that succeeded, as the table of system calls describes it.
    fn apply_effect(
        &mut self,
        call: &Call,
        spec: &CallSpec,
        operands: &mut Operands<T>,
        links: ReadLink<'_>,
    ) {
        match spec.effect {
            Effect::None if spec.ret == Ret::Fd => {
                self.apply_open(call, spec, operands);
                self.note_created_ring(call, operands);
            }
            Effect::RegisterFiles => self.register_files(call, operands),
            Effect::Dup { old } => self.apply_dup(call, spec, operands, old, call.ret as i32),
            Effect::DupTo { old, new }
                if call.args[old as usize] as i32 != call.args[new as usize] as i32 =>
            {
                self.apply_dup(call, spec, operands, old, call.args[new as usize] as i32);
            }
            Effect::CloseRange => self.apply_close_range(call, operands),
            Effect::Chdir | Effect::Fchdir => self.change_directory(call, operands),
            Effect::Chroot => self.change_root(call, operands),
            Effect::Umask => {
                if let Some(fs) = self.fs_mut(call.tid) {
                    fs.umask = call.args[0] as u32 & 0o777;
                }
            }
            Effect::Seek => {
                if let Some(d) = &operands.fds[0] {
                    d.file.set_offset(call.ret as u64);
                }
            }
            Effect::Cloexec { on } => {
                self.change_descriptor_entry(call.tid, call.args[0] as i32, |slot| {
                    slot.cloexec = on;
                });
            }
            Effect::SetFdFlags => {
                self.change_descriptor_entry(call.tid, call.args[0] as i32, |slot| {
                    slot.cloexec = call.args[2] & 1 != 0;
                });
            }
            Effect::SetStatusFlags => set_status_flags(call, operands),
            Effect::SetNonblocking => set_nonblocking(call, operands),
            Effect::Pair { fds, flags } => self.install_pair(call, spec, operands, fds, flags),
            Effect::Receive => self.install_received(call, operands),
            Effect::Fetch { process, fd } => {
                self.apply_pidfd_getfd(call, spec, operands, process, fd);
            }
            Effect::Unshare => self.apply_unshare(call.tid, call.args[0]),
            Effect::Truncate => apply_truncate(call, spec, operands),
            Effect::Allocate => {
                if let Some(d) = &operands.fds[0] {
                    apply_allocate(&d.file.inode, call.args[1], call.args[2], call.args[3]);
                }
            }
            Effect::OpenTree | Effect::MakeMount => {
                self.apply_open(call, spec, operands);
                self.apply_mount_change(call, spec, operands, links);
            }
            Effect::Mount
            | Effect::Unmount
            | Effect::PivotRoot
            | Effect::MoveMount
            | Effect::Configure
            | Effect::EnterSpace => self.apply_mount_change(call, spec, operands, links),
            Effect::None
            | Effect::Sync
            | Effect::Aio(_)
            | Effect::Bind
            | Effect::Close { .. }
            | Effect::DupTo { .. }
            | Effect::Fork
            | Effect::Exec => {}
            Effect::Map => self.note_mapping(call, operands),
            Effect::EndMapping => self.end_mapping(call, operands),
            Effect::Exit | Effect::ExitGroup | Effect::Clone { .. } => {}
            Effect::MoveMapping | Effect::SyncMapping | Effect::Store => {}
        }
    }

    /// Sets the root directory of the thread's process after a chroot(2).
    fn change_root(&mut self, call: &Call, operands: &Operands<T>) {
        let view = call
            .identity(ROOT_DIRECTORY)
            .map(|(_, p)| p.to_vec())
            .or_else(|| operands.paths[0].as_deref().map(crate::lexical));
        if let Some(view) = view {
            let root = (view != b"/").then(|| self.directory_at(call.tid, &view));
            if let Some(fs) = self.fs_mut(call.tid) {
                fs.root = root;
            }
        }
    }

    /// Removes descriptors from the operands of a call that failed with EBADF: if a number does not
    /// refer to the same descriptor any more, it was free when the call used it.
    fn unbind_free_numbers(&self, call: &Call, spec: &CallSpec, operands: &mut Operands<T>) {
        for i in argument_indices(spec.uses.fd_args) {
            if let Some(bound) = &operands.fds[i]
                && !self
                    .descriptor(call.tid, call.args[i] as i32)
                    .is_some_and(|now| Arc::ptr_eq(now, bound))
            {
                operands.fds[i] = None;
            }
        }
    }

    /// Returns the working directory, root and umask of a thread, to change them. Returns `None` if
    /// the thread is not known.
    pub(crate) fn fs_mut(&mut self, tid: u32) -> Option<&mut crate::state::table::Fs<T>> {
        let fs = self.threads.get(&tid)?.fs_id;
        self.fs_structs.get_mut(&fs)
    }

    /// Calls `change` with the entry of `fd` in the thread's descriptor table, if there is one.
    fn change_descriptor_entry(&mut self, tid: u32, fd: i32, change: impl FnOnce(&mut Slot<T>)) {
        let Some(table) = self.threads.get(&tid).map(|t| t.table_id) else { return };
        if let Some(slot) = self.tables.get_mut(&table).and_then(|t| t.slots.get_mut(&fd)) {
            change(slot);
        }
    }

    /// Puts a new descriptor into the thread's table under the number `fd`, or registers it with a
    /// ring of io_uring if the operation asked for that, and adds it to the opened ones. A
    /// descriptor that it replaces is added to the closed ones.
    pub(crate) fn install_descriptor(
        &mut self,
        call: &Call,
        operands: &mut Operands<T>,
        fd: i32,
        descriptor: Arc<Descriptor<T>>,
        cloexec: bool,
    ) {
        let Some(table) = self.threads.get(&call.tid).map(|t| t.table_id) else { return };
        if let Some(registered) = self.register_opened_file(call, &descriptor, operands) {
            operands.opened.push((registered, descriptor));
            return;
        }
        if fd < 0 {
            return;
        }
        operands.opened.push((fd, descriptor.clone()));
        let old = self
            .tables
            .get_mut(&table)
            .and_then(|t| t.slots.insert(fd, Slot { descriptor, cloexec }))
            .map(|s| s.descriptor);
        // The replaced descriptor may have been closed before, by a call that is still under way.
        operands.closed.extend(old.and_then(|old| self.closings.give_to_close(table, fd, old)));
    }

    /// Applies a dup(2) or a similar call: the number `new` refers to the same open file as
    /// argument `old`.
    fn apply_dup(
        &mut self,
        call: &Call,
        spec: &CallSpec,
        operands: &mut Operands<T>,
        old: u8,
        new: i32,
    ) {
        let file = match &operands.fds[old as usize] {
            Some(d) => d.file.clone(),
            None => self.new_open_file(b"", Identity::default(), 0, false),
        };
        let descriptor = self.new_descriptor(file);
        self.install_descriptor(call, operands, new, descriptor, asks_cloexec(call, spec));
    }

    /// Applies a close_range(2): closes the descriptors of a range, or marks them close-on-exec.
    fn apply_close_range(&mut self, call: &Call, operands: &mut Operands<T>) {
        let [first, last, flags, ..] = call.args;
        let (first, last) = (first as u32, last as u32);
        if flags & CLOSE_RANGE_UNSHARE != 0 {
            self.unshare_table(call.tid);
        }
        let Some(table) =
            self.threads.get(&call.tid).and_then(|t| self.tables.get_mut(&t.table_id))
        else {
            return;
        };
        let in_range = |fd: i32| (first..=last).contains(&(fd as u32));
        if flags & CLOSE_RANGE_CLOEXEC != 0 {
            table
                .slots
                .iter_mut()
                .filter(|(fd, _)| in_range(**fd))
                .for_each(|(_, slot)| slot.cloexec = true);
            return;
        }
        table.slots.retain(|fd, slot| {
            if in_range(*fd) {
                operands.closed.push(slot.descriptor.clone());
            }
            !in_range(*fd)
        });
    }

    /// Sets the working directory after a chdir(2) or fchdir(2).
    fn change_directory(&mut self, call: &Call, operands: &mut Operands<T>) {
        let view = match call.identity(WORKING_DIRECTORY) {
            Some((_, path)) if path.starts_with(b"/") => path.to_vec(),
            _ => {
                match (operands.viewed[0].as_ref().or(operands.paths[0].as_ref()), &operands.fds[0])
                {
                    (Some(path), _) => crate::lexical(path),
                    (None, Some(d)) if !d.file.path.is_empty() => {
                        self.path_seen_by(call.tid, &d.file).into()
                    }
                    // The new directory is unknown. Most likely the program went back to where it
                    // was.
                    _ => return,
                }
            }
        };
        let directory = self.directory_at(call.tid, &view);
        if let Some(fs) = self.fs_mut(call.tid) {
            fs.cwd = directory.clone();
            operands.directory = Some(directory);
        }
    }

    /// Installs the two descriptors of a pipe(2) or socketpair(2), whose numbers the kernel wrote
    /// to argument `fds`. `flags` is the argument with flags, if the call has one.
    fn install_pair(
        &mut self,
        call: &Call,
        spec: &CallSpec,
        operands: &mut Operands<T>,
        fds: u8,
        flags: Option<u8>,
    ) {
        let Some(payload) = call.payload(fds, PayloadKind::Bytes) else { return };
        let bytes = payload.bytes.as_slice();
        let cloexec = flags.is_some_and(|f| call.args[f as usize] as u32 & O_CLOEXEC != 0)
            || asks_cloexec(call, spec);
        for number in bytes.chunks_exact(4).take(2) {
            let fd = i32::from_le_bytes(number.try_into().expect("chunks of four"));
            let file = self.new_open_file(
                b"pipe or socket",
                Identity { mode: S_IFIFO, ..Identity::default() },
                0,
                false,
            );
            let descriptor = self.new_descriptor(file);
            self.install_descriptor(call, operands, fd, descriptor, cloexec);
        }
    }

    /// Advances the offsets of the open files that data moved through, and the sizes of files that
    /// grew.
    fn advance_offsets(&mut self, call: &Call, spec: &CallSpec, operands: &Operands<T>) {
        if let (Effect::Clone { .. }, Some(copies)) = (spec.effect, spec.copies) {
            if let Some(d) = &operands.fds[usize::from(copies.to.fd)] {
                let bytes = saturating_sum(call.copied_payloads(&copies).map(|p| p.wanted));
                d.file
                    .inode
                    .grow(call.copy_offset(copies.to.at).unwrap_or(0).saturating_add(bytes));
            }
            return;
        }
        if spec.ret != Ret::Bytes || call.ret <= 0 {
            return;
        }
        let moved_bytes = call.ret as u64;
        if let Some(copies) = spec.copies {
            for (end, is_target) in [(copies.from, false), (copies.to, true)] {
                let Some(d) = &operands.fds[usize::from(end.fd)] else { continue };
                let uses_file_offset = call.copy_offset(end.at).is_none();
                let after = call
                    .copy_offset(end.at)
                    .unwrap_or_else(|| d.file.offset())
                    .saturating_add(moved_bytes);
                if uses_file_offset {
                    d.file.set_offset(after);
                }
                if is_target {
                    d.file.inode.grow(after);
                }
            }
            return;
        }
        let Some(start) = operands.offset else { return };
        let Some(d) = spec.uses.fd.and_then(|i| operands.fds[usize::from(i)].as_ref()) else {
            return;
        };
        let end = start.saturating_add(moved_bytes);
        if explicit_position(call, spec).is_none() {
            d.file.set_offset(end);
        }
        if spec.uses.writes_data {
            d.file.inode.grow(end);
        }
    }
}

/// Sets the size of the file whose length the call changed.
fn apply_truncate<T>(call: &Call, spec: &CallSpec, operands: &Operands<T>) {
    let length = spec.args.iter().position(|a| a.kind == Kind::Length);
    if let (Some(d), Some(length)) = (&operands.fds[0], length) {
        d.file.inode.set_size(call.args[length]);
    }
}

/// Applies an `F_SETFL` of fcntl(2) to the open file.
fn set_status_flags<T>(call: &Call, operands: &Operands<T>) {
    if let Some(d) = &operands.fds[0] {
        // Access mode and creation flags stay (fcntl(2)).
        const CHANGES: u32 = O_APPEND | O_NONBLOCK | FASYNC | O_DIRECT | O_NOATIME;
        d.file.set_status(d.file.status() & !CHANGES | call.args[2] as u32 & CHANGES);
    }
}

/// Applies an `FIONBIO` of ioctl(2) to the open file.
fn set_nonblocking<T>(call: &Call, operands: &Operands<T>) {
    if let (Some(d), Some(payload)) =
        (&operands.fds[0], call.payload(2, PayloadKind::Bytes).filter(|p| p.len >= 4))
    {
        let on = payload.bytes.as_slice().iter().take(4).any(|b| *b != 0);
        let bit = if on { O_NONBLOCK } else { 0 };
        d.file.set_status(d.file.status() & !O_NONBLOCK | bit);
    }
}

/// Updates a file's size after a fallocate(2).
fn apply_allocate(inode: &Inode, mode: u64, offset: u64, len: u64) {
    const KEEP_SIZE: u64 = general::FALLOC_FL_KEEP_SIZE as u64;
    const COLLAPSE_RANGE: u64 = general::FALLOC_FL_COLLAPSE_RANGE as u64;
    const INSERT_RANGE: u64 = general::FALLOC_FL_INSERT_RANGE as u64;
    if mode & COLLAPSE_RANGE != 0 {
        inode.set_size(inode.size().saturating_sub(len));
    } else if mode & INSERT_RANGE != 0 {
        inode.set_size(inode.size().saturating_add(len));
    } else if mode & KEEP_SIZE == 0 {
        inode.grow(offset.saturating_add(len));
    }
}

/// Returns whether a read returned data, but ended before the end of the file as far as its size is
/// known.
fn ended_early<T>(call: &Call, spec: &CallSpec, operands: &Operands<T>) -> bool {
    let is_read =
        spec.ret == Ret::Bytes && spec.uses.moves_data && !spec.uses.writes_data && call.ret > 0;
    let (true, Some(start), Some(fd)) = (is_read, operands.offset, spec.uses.fd) else {
        return false;
    };
    // A direct read that is no multiple of a block has reached the end.
    if operands.status[usize::from(fd)] & O_DIRECT != 0 && call.ret % 512 != 0 {
        return false;
    }
    operands.fds[usize::from(fd)]
        .as_ref()
        .is_some_and(|d| start.saturating_add(call.ret as u64) < d.file.inode.size())
}

/// Returns whether a flag, or the call itself (`F_DUPFD_CLOEXEC`), requests close-on-exec.
pub(crate) fn asks_cloexec(call: &Call, spec: &CallSpec) -> bool {
    spec.name.ends_with("_CLOEXEC")
        || spec
            .args
            .iter()
            .zip(call.args)
            .any(|(a, value)| matches!(a.kind, Kind::Flags(set) if value & set.cloexec != 0))
}
