//! What a call did, applied when it returns.

use crate::Processes;
use crate::arguments::Operands;
use crate::calls::enter::position;
use crate::calls::mounting::ReadLink;
use crate::events::CLONE_FILES;
use crate::state::file::{Descriptor, Inode};
use crate::state::table::Slot;
use abi::plan::{ROOT_DIRECTORY, WORKING_DIRECTORY};
use abi::{Arg, CallSpec, Class, Effect, Kind, Replay, Ret, argument_indices};
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
    /// Applies what a call did that returns now, and completes `operands`.
    pub fn leave(&mut self, call: &Call, operands: &mut Operands<T>) {
        self.leave_with(call, operands, &mut |_| None);
    }

    /// The same where `links` says where links lead: the paths of mounts are followed through them.
    pub fn leave_with(&mut self, call: &Call, operands: &mut Operands<T>, links: ReadLink<'_>) {
        let alone = operands.step == self.step;
        self.step += 1;
        let Some(spec) = call.spec().filter(|_| call.was_executed()) else { return };
        if let Effect::Close { fd } = spec.effect {
            self.closed(call, operands, fd);
        }
        // Descriptors that an overlapping call opened are there by now; offsets are as the calls
        // that returned before left them.
        if !alone {
            let bad = call.errno() == Some(EBADF);
            if bad {
                self.unbind(call, spec, operands);
            }
            self.bind(call, spec, operands, !bad);
        }
        if !call.succeeded() {
            return;
        }
        operands.cut = is_cut(call, spec, operands);
        if operands.paths.any() {
            self.relink(call, spec, operands);
        }
        self.advance(call, spec, operands);
        self.change_credentials(call, spec);
        self.apply(call, spec, operands, links);
    }

    /// A close has ended.
    fn closed(&mut self, call: &Call, operands: &mut Operands<T>, fd: u8) {
        let number = call.args[fd as usize] as i32;
        if let Some((table, descriptor)) = self.closing.end(call.tid, number) {
            // If the number was free, it closed what an overlapping call had put there; or what
            // another close has taken, which then has another one coming.
            let there = || Some(self.tables.get_mut(&table)?.slots.remove(&number)?.descriptor);
            let found = descriptor.or_else(|| call.succeeded().then(there)?);
            let taken = || self.closing.take(table, number);
            let found = found.or_else(|| call.succeeded().then(taken)?);
            if operands.fds[fd as usize].is_none() {
                operands.fds[fd as usize].clone_from(&found);
            }
            operands.closed.extend(found);
        }
    }

    /// Applies what a call that succeeded did.
    fn apply(
        &mut self,
        call: &Call,
        spec: &CallSpec,
        operands: &mut Operands<T>,
        links: ReadLink<'_>,
    ) {
        match spec.effect {
            Effect::None if spec.ret == Ret::Fd => self.opened(call, spec, operands),
            Effect::Dup { old } => self.duplicate(call, spec, operands, old, call.ret as i32),
            Effect::DupTo { old, new }
                if call.args[old as usize] as i32 != call.args[new as usize] as i32 =>
            {
                self.duplicate(call, spec, operands, old, call.args[new as usize] as i32);
            }
            Effect::CloseRange => self.close_range(call, operands),
            Effect::Chdir | Effect::Fchdir => self.change_directory(call, operands),
            Effect::Chroot => self.change_root(call, operands),
            Effect::Umask => {
                if let Some(fs) = self.fs(call.tid) {
                    fs.umask = call.args[0] as u32 & 0o777;
                }
            }
            Effect::Seek => {
                if let Some(d) = &operands.fds[0] {
                    d.file.set_offset(call.ret as u64);
                }
            }
            Effect::Cloexec { on } => {
                self.with_slot(call.tid, call.args[0] as i32, |slot| slot.cloexec = on);
            }
            Effect::SetFdFlags => self.with_slot(call.tid, call.args[0] as i32, |slot| {
                slot.cloexec = call.args[2] & 1 != 0;
            }),
            Effect::SetStatusFlags => set_status_flags(call, operands),
            Effect::SetNonblocking => set_nonblocking(call, operands),
            Effect::Pair { fds, flags } => self.pair(call, spec, operands, fds, flags),
            Effect::Receive => self.receive(call, operands),
            Effect::Fetch { process, fd } => self.fetch(call, spec, operands, process, fd),
            Effect::Unshare => {
                if call.args[0] & CLONE_FILES != 0 {
                    self.own_table(call.tid);
                }
                self.unshare_space(call.tid, call.args[0]);
            }
            Effect::Truncate => {
                let length = spec.args.iter().position(|a| a.kind == Kind::Length);
                if let (Some(d), Some(length)) = (&operands.fds[0], length) {
                    d.file.inode.set_size(call.args[length]);
                }
            }
            Effect::Allocate => {
                if let Some(d) = &operands.fds[0] {
                    allocate(&d.file.inode, call.args[1], call.args[2], call.args[3]);
                }
            }
            Effect::OpenTree | Effect::MakeMount => {
                self.opened(call, spec, operands);
                self.remount(call, spec, operands, links);
            }
            Effect::Mount
            | Effect::Unmount
            | Effect::PivotRoot
            | Effect::MoveMount
            | Effect::Configure
            | Effect::EnterSpace => self.remount(call, spec, operands, links),
            Effect::None
            | Effect::Sync
            | Effect::Bind
            | Effect::Close { .. }
            | Effect::DupTo { .. }
            | Effect::Fork
            | Effect::Exec => {}
            Effect::Exit | Effect::ExitGroup | Effect::Map | Effect::Clone { .. } => {}
        }
    }

    fn change_root(&mut self, call: &Call, operands: &Operands<T>) {
        let view = call
            .identity(ROOT_DIRECTORY)
            .map(|(_, p)| p.to_vec())
            .or_else(|| operands.paths[0].as_deref().map(crate::lexical));
        if let Some(view) = view {
            let root = (view != b"/").then(|| self.directory_at(call.tid, &view));
            if let Some(fs) = self.fs(call.tid) {
                fs.root = root;
            }
        }
    }

    /// EBADF from a number that lost its meaning while the call was under way: it found the number
    /// free.
    fn unbind(&self, call: &Call, spec: &CallSpec, operands: &mut Operands<T>) {
        for i in argument_indices(spec.uses.fd_args) {
            if let Some(meant) = &operands.fds[i]
                && !self
                    .descriptor(call.tid, call.args[i] as i32)
                    .is_some_and(|now| Arc::ptr_eq(now, meant))
            {
                operands.fds[i] = None;
            }
        }
    }

    /// Applies a change of user, group or supplementary groups. Saved ids are not kept: they only
    /// allow what the recording shows to have happened.
    fn change_credentials(&mut self, call: &Call, spec: &CallSpec) {
        if spec.replay != Replay::Skip(Class::Credentials) || spec.ret == Ret::Host {
            return;
        }
        let Some(known) = self.threads.get(&call.tid).and_then(|t| t.credentials.as_deref()) else {
            return;
        };
        let mut new = known.clone();
        let privileged = new.euid == 0;
        match spec.args {
            [Arg { kind: Kind::Uid, .. }, ..] => {
                change_ids(call, spec, privileged, &mut new.uid, &mut new.euid);
            }
            [Arg { kind: Kind::Gid, .. }, ..] => {
                change_ids(call, spec, privileged, &mut new.gid, &mut new.egid);
            }
            [Arg { kind: Kind::Int, .. }, Arg { kind: Kind::In(..), .. }] => {
                let list = call.payload(1, PayloadKind::Bytes);
                let (groups, _) = list.map_or(&[][..], |p| p.bytes.as_slice()).as_chunks::<4>();
                new.groups = groups.iter().map(|group| u32::from_le_bytes(*group)).collect();
            }
            _ => return,
        }
        if let Some(thread) = self.threads.get_mut(&call.tid) {
            thread.credentials = Some(Arc::new(new));
        }
    }

    pub(crate) fn fs(&mut self, tid: u32) -> Option<&mut crate::state::table::Fs<T>> {
        let fs = self.threads.get(&tid)?.fs;
        self.groups.get_mut(&fs)
    }

    fn with_slot(&mut self, tid: u32, fd: i32, change: impl FnOnce(&mut Slot<T>)) {
        let Some(table) = self.threads.get(&tid).map(|t| t.table) else { return };
        if let Some(slot) = self.tables.get_mut(&table).and_then(|t| t.slots.get_mut(&fd)) {
            change(slot);
        }
    }

    pub(crate) fn install(
        &mut self,
        call: &Call,
        operands: &mut Operands<T>,
        fd: i32,
        descriptor: Arc<Descriptor<T>>,
        cloexec: bool,
    ) {
        let Some(table) = self.threads.get(&call.tid).map(|t| t.table) else { return };
        if fd < 0 {
            return;
        }
        operands.opened.push((fd, descriptor.clone()));
        let old = self
            .tables
            .get_mut(&table)
            .and_then(|t| t.slots.insert(fd, Slot { descriptor, cloexec }))
            .map(|s| s.descriptor);
        // What it took the place of may have been closed before, by a call that is still under way.
        operands.closed.extend(old.and_then(|old| self.closing.give(table, fd, old)));
    }

    fn duplicate(
        &mut self,
        call: &Call,
        spec: &CallSpec,
        operands: &mut Operands<T>,
        old: u8,
        new: i32,
    ) {
        let file = match &operands.fds[old as usize] {
            Some(d) => d.file.clone(),
            None => self.file(b"", Identity::default(), 0, false),
        };
        let descriptor = self.describe(file);
        self.install(call, operands, new, descriptor, asks_cloexec(call, spec));
    }

    fn close_range(&mut self, call: &Call, operands: &mut Operands<T>) {
        let [first, last, flags, ..] = call.args;
        let (first, last) = (first as u32, last as u32);
        if flags & CLOSE_RANGE_UNSHARE != 0 {
            self.own_table(call.tid);
        }
        let Some(table) = self.threads.get(&call.tid).and_then(|t| self.tables.get_mut(&t.table))
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

    fn change_directory(&mut self, call: &Call, operands: &mut Operands<T>) {
        let view = match call.identity(WORKING_DIRECTORY) {
            Some((_, path)) if path.starts_with(b"/") => path.to_vec(),
            _ => {
                match (operands.viewed[0].as_ref().or(operands.paths[0].as_ref()), &operands.fds[0])
                {
                    (Some(path), _) => crate::lexical(path),
                    (None, Some(d)) if !d.file.path.is_empty() => {
                        self.view_of(call.tid, &d.file).into()
                    }
                    // The target is unknown: most likely back to where it was.
                    _ => return,
                }
            }
        };
        let directory = self.directory_at(call.tid, &view);
        if let Some(fs) = self.fs(call.tid) {
            fs.cwd = directory.clone();
            operands.directory = Some(directory);
        }
    }

    fn pair(
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
            let file = self.file(
                b"pipe or socket",
                Identity { mode: S_IFIFO, ..Identity::default() },
                0,
                false,
            );
            let descriptor = self.describe(file);
            self.install(call, operands, fd, descriptor, cloexec);
        }
    }

    /// Moves the offsets and sizes of the files that data moved in.
    fn advance(&mut self, call: &Call, spec: &CallSpec, operands: &Operands<T>) {
        if let (Effect::Clone { .. }, Some(copies)) = (spec.effect, spec.copies) {
            if let Some(d) = &operands.fds[usize::from(copies.to.fd)] {
                let due = saturating_sum(call.copied_payloads(&copies).map(|p| p.wanted));
                d.file.inode.grow(call.copy_offset(copies.to.at).unwrap_or(0).saturating_add(due));
            }
            return;
        }
        if spec.ret != Ret::Bytes || call.ret <= 0 {
            return;
        }
        let moved = call.ret as u64;
        if let Some(copies) = spec.copies {
            for (end, target) in [(copies.from, false), (copies.to, true)] {
                let Some(d) = &operands.fds[usize::from(end.fd)] else { continue };
                let own = call.copy_offset(end.at).is_none();
                let after = call
                    .copy_offset(end.at)
                    .unwrap_or_else(|| d.file.offset())
                    .saturating_add(moved);
                if own {
                    d.file.set_offset(after);
                }
                if target {
                    d.file.inode.grow(after);
                }
            }
            return;
        }
        let Some(start) = operands.offset else { return };
        let Some(d) = spec.uses.fd.and_then(|i| operands.fds[usize::from(i)].as_ref()) else {
            return;
        };
        let end = start.saturating_add(moved);
        if position(call, spec).is_none() {
            d.file.set_offset(end);
        }
        if spec.uses.writes_data {
            d.file.inode.grow(end);
        }
    }
}

/// Sets a real and an effective id as a call does that names one or several of them. -1 leaves an
/// id as it is. A call that names one id sets both if the process is privileged.
fn change_ids(call: &Call, spec: &CallSpec, privileged: bool, real: &mut u32, effective: &mut u32) {
    const SAME: u32 = u32::MAX;
    let [first, second, ..] = call.args.map(|value| value as u32);
    let (to_real, to_effective) = match spec.args.len() {
        1 if privileged => (first, first),
        1 => (SAME, first),
        _ => (first, second),
    };
    for (id, to) in [(real, to_real), (effective, to_effective)] {
        if to != SAME {
            *id = to;
        }
    }
}

fn set_status_flags<T>(call: &Call, operands: &Operands<T>) {
    if let Some(d) = &operands.fds[0] {
        // Access mode and creation flags stay (fcntl(2)).
        const CHANGES: u32 = O_APPEND | O_NONBLOCK | FASYNC | O_DIRECT | O_NOATIME;
        d.file.set_status(d.file.status() & !CHANGES | call.args[2] as u32 & CHANGES);
    }
}

fn set_nonblocking<T>(call: &Call, operands: &Operands<T>) {
    if let (Some(d), Some(payload)) =
        (&operands.fds[0], call.payload(2, PayloadKind::Bytes).filter(|p| p.len >= 4))
    {
        let on = payload.bytes.as_slice().iter().take(4).any(|b| *b != 0);
        let bit = if on { O_NONBLOCK } else { 0 };
        d.file.set_status(d.file.status() & !O_NONBLOCK | bit);
    }
}

/// What fallocate does to a file's size.
fn allocate(inode: &Inode, mode: u64, offset: u64, len: u64) {
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

/// Whether a read ended before the file did.
fn is_cut<T>(call: &Call, spec: &CallSpec, operands: &Operands<T>) -> bool {
    let reads =
        spec.ret == Ret::Bytes && spec.uses.moves_data && !spec.uses.writes_data && call.ret > 0;
    let (true, Some(start), Some(fd)) = (reads, operands.offset, spec.uses.fd) else {
        return false;
    };
    // Direct reads go by blocks.
    if operands.status[usize::from(fd)] & O_DIRECT != 0 && call.ret % 512 != 0 {
        return false;
    }
    operands.fds[usize::from(fd)]
        .as_ref()
        .is_some_and(|d| start.saturating_add(call.ret as u64) < d.file.inode.size())
}

/// Whether a flag, or the call itself (`F_DUPFD_CLOEXEC`), asks for close-on-exec.
pub(crate) fn asks_cloexec(call: &Call, spec: &CallSpec) -> bool {
    spec.name.ends_with("_CLOEXEC")
        || spec
            .args
            .iter()
            .zip(call.args)
            .any(|(a, value)| matches!(a.kind, Kind::Flags(set) if value & set.cloexec != 0))
}
