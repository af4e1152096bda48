//! What events do to the traced processes: threads begin and end, programs are replaced, and what
//! was there at the start.

use crate::state::file::{Descriptor, Directory, Inode, OpenFile};
use crate::state::table::{Fs, Slot, Table};
use crate::{Credentials, Processes, Thread};
use abi::plan::{ROOT_DIRECTORY, WORKING_DIRECTORY};
use linux_raw_sys::general;
use std::collections::BTreeMap;
use std::sync::{Arc, Weak};
use trace::call::Event;
use trace::record::{Identity, PayloadKind, RecordKind};

pub(crate) const CLONE_FS: u64 = general::CLONE_FS as u64;
pub(crate) const CLONE_FILES: u64 = general::CLONE_FILES as u64;
pub(crate) const CLONE_NEWNS: u64 = general::CLONE_NEWNS as u64;

impl<T: Default> Processes<T> {
    /// Applies an event. Returns the descriptors that it closed (close-on-exec, the end of a
    /// process); other processes may share them.
    pub fn event(&mut self, event: &Event) -> Vec<Arc<Descriptor<T>>> {
        self.step += 1;
        match event.kind {
            RecordKind::Start => self.start_thread(event),
            RecordKind::State => {
                self.set_state(event);
                Vec::new()
            }
            RecordKind::Descriptor => {
                self.add_open_descriptor(event);
                Vec::new()
            }
            RecordKind::Exec => self.apply_exec(event),
            RecordKind::Exit => self.apply_exit(event),
            RecordKind::Call
            | RecordKind::Part
            | RecordKind::Signal
            | RecordKind::Gap
            | RecordKind::Note => Vec::new(),
        }
    }

    /// Adds the thread if the trace has not shown it yet. It shares everything with the other
    /// threads of its process, or is a new process in `/`.
    pub(crate) fn ensure_thread(&mut self, pid: u32, tid: u32) {
        if self.threads.contains_key(&tid) {
            return;
        }
        let other = || self.threads.get(&self.threads.of_process(pid).next()?);
        let like = self.threads.get(&pid).or_else(other);
        match like.map(|t| (t.table, t.fs, t.space, t.credentials.clone())) {
            Some((table, fs, space, credentials)) => {
                self.add_thread(pid, tid, Some((table, fs, space)), credentials);
            }
            None => self.add_thread(pid, tid, None, None),
        }
    }

    /// Adds a thread. `has` are the numbers of its descriptor table, directories and mount
    /// namespace; `None` gives it new ones.
    fn add_thread(
        &mut self,
        pid: u32,
        tid: u32,
        has: Option<(u32, u32, u32)>,
        credentials: Option<Arc<Credentials>>,
    ) {
        let space = has.map_or(0, |(_, _, space)| space);
        let table = has.map_or_else(
            || {
                let id = self.next_id() as u32;
                self.tables.insert(id, Table { slots: BTreeMap::new(), users: 0 });
                id
            },
            |(table, ..)| table,
        );
        let fs = has.map_or_else(
            || {
                let id = self.next_id() as u32;
                let cwd = first_namespace_directory(b"/");
                self.groups.insert(id, Fs { cwd, root: None, umask: 0o022, users: 0 });
                id
            },
            |(_, fs, _)| fs,
        );
        if let Some(t) = self.tables.get_mut(&table) {
            t.users += 1;
        }
        if let Some(f) = self.groups.get_mut(&fs) {
            f.users += 1;
        }
        self.threads.insert(tid, Thread { pid, table, fs, space, credentials });
    }

    /// Applies the start of a thread or process: it shares or copies what the flags of clone(2)
    /// say. Returns the descriptors of an earlier thread with this number.
    fn start_thread(&mut self, event: &Event) -> Vec<Arc<Descriptor<T>>> {
        let [ppid, ptid, flags, ..] = event.args;
        // A thread's number that is used again belongs to a new thread.
        let gone = self.end_thread(event.tid);
        if ppid == 0 {
            self.ensure_thread(event.pid, event.tid);
            return gone;
        }
        self.ensure_thread(ppid as u32, ptid as u32);
        let Some(parent) = self.threads.get(&(ptid as u32)) else { return gone };
        let (table, fs, space) = (parent.table, parent.fs, parent.space);
        let credentials = parent.credentials.clone();
        let table = if flags & CLONE_FILES != 0 { table } else { self.copy_table(table) };
        let fs = if flags & CLONE_FS != 0 { fs } else { self.copy_fs(fs) };
        let space = if flags & CLONE_NEWNS != 0 { self.copy_mount_namespace(space) } else { space };
        self.add_thread(event.pid, event.tid, Some((table, fs, space)), credentials);
        self.remove_unused_namespaces();
        gone
    }

    /// Adds a copy of a descriptor table, which no thread uses yet. Returns its number.
    pub(crate) fn copy_table(&mut self, table: u32) -> u32 {
        let id = self.next_id() as u32;
        let slots = self.tables.get(&table).map(|t| t.slots.clone()).unwrap_or_default();
        self.tables.insert(id, Table { slots, users: 0 });
        id
    }

    /// Adds a copy of a working directory, root and umask, which no thread uses yet. Returns its
    /// number.
    pub(crate) fn copy_fs(&mut self, fs: u32) -> u32 {
        let id = self.next_id() as u32;
        if let Some(f) = self.groups.get(&fs) {
            let copy = Fs { cwd: f.cwd.clone(), root: f.root.clone(), umask: f.umask, users: 0 };
            self.groups.insert(id, copy);
        }
        id
    }

    /// Gives thread `tid` a descriptor table of its own, a copy of the one that it shares with
    /// others.
    pub(crate) fn unshare_table(&mut self, tid: u32) {
        let Some(table) = self.threads.get(&tid).map(|t| t.table) else { return };
        if self.tables.get(&table).is_some_and(|t| t.users > 1) {
            let own = self.copy_table(table);
            self.tables.entry(table).and_modify(|t| t.users -= 1);
            self.tables.entry(own).and_modify(|t| t.users = 1);
            if let Some(t) = self.threads.get_mut(&tid) {
                t.table = own;
            }
        }
    }

    /// Gives thread `tid` a working directory, root and umask of its own.
    pub(crate) fn unshare_fs(&mut self, tid: u32) {
        let Some(fs) = self.threads.get(&tid).map(|t| t.fs) else { return };
        if self.groups.get(&fs).is_some_and(|f| f.users > 1) {
            let own = self.copy_fs(fs);
            self.groups.entry(fs).and_modify(|f| f.users -= 1);
            self.groups.entry(own).and_modify(|f| f.users = 1);
            if let Some(t) = self.threads.get_mut(&tid) {
                t.fs = own;
            }
        }
    }

    /// Applies an event with the state of a process when the recording began: umask, credentials,
    /// working directory and root.
    fn set_state(&mut self, event: &Event) {
        self.ensure_thread(event.pid, event.tid);
        let [umask, uid, gid, euid, egid, _] = event.args.map(|a| a as u32);
        let groups = event
            .payloads
            .iter()
            .find(|p| p.kind == PayloadKind::StrVec && p.arg == 1)
            .map_or(&b""[..], |p| p.bytes.as_slice());
        let groups = groups
            .split(|b| *b == 0)
            .filter_map(|g| std::str::from_utf8(g).ok()?.parse().ok())
            .collect();
        let credentials = Arc::new(Credentials { uid, gid, euid, egid, groups });
        let cwd = event.identity(WORKING_DIRECTORY).map(|(_, path)| path);
        let root = event
            .identity(ROOT_DIRECTORY)
            .map(|(_, path)| path)
            .filter(|p| *p != b"/" && !p.is_empty());
        let Some(thread) = self.threads.get_mut(&event.tid) else { return };
        thread.credentials = Some(credentials);
        let Some(fs) = self.groups.get_mut(&thread.fs) else { return };
        fs.umask = umask & 0o777;
        if let Some(path) = cwd {
            fs.cwd = first_namespace_directory(path);
        }
        fs.root = root.map(first_namespace_directory);
    }

    /// Adds a descriptor that was open when the recording began. Descriptors with the same key
    /// share one open file.
    fn add_open_descriptor(&mut self, event: &Event) {
        self.ensure_thread(event.pid, event.tid);
        let [fd, cloexec, key, ..] = event.args;
        if event.is_mapping() {
            return;
        }
        let file = match self.present.get(&key) {
            Some(file) => file.clone(),
            None => {
                let (identity, path) = event
                    .identity(0)
                    .or_else(|| event.payloads.iter().find_map(|p| event.identity(p.arg)))
                    .unwrap_or_default();
                let file = self.new_open_file(path, identity, identity.status, false);
                self.present.insert(key, file.clone());
                file
            }
        };
        let descriptor = self.new_descriptor(file);
        let Some(table) = self.threads.get(&event.tid).and_then(|t| self.tables.get_mut(&t.table))
        else {
            return;
        };
        table.slots.insert(fd as i32, Slot { descriptor, cloexec: cloexec & 1 != 0 });
    }

    /// Applies an execve(2): ends the other threads of the process, and closes what is
    /// close-on-exec. Returns the closed descriptors.
    fn apply_exec(&mut self, event: &Event) -> Vec<Arc<Descriptor<T>>> {
        self.ensure_thread(event.pid, event.tid);
        // The thread that called takes the leader's place; all others are gone.
        let caller = event.args[0] as u32;
        let mut gone = Vec::new();
        if caller != event.tid
            && caller != 0
            && let Some(mut thread) = self.threads.remove(&caller)
        {
            thread.pid = event.pid;
            gone.extend(self.end_thread(event.tid));
            self.threads.insert(event.tid, thread);
        }
        let others: Vec<u32> =
            self.threads.of_process(event.pid).filter(|tid| *tid != event.tid).collect();
        for tid in others {
            gone.extend(self.end_thread(tid));
        }
        if let [_, euid, egid, 1, ..] = event.args
            && let Some(thread) = self.threads.get_mut(&event.tid)
            && let Some(known) = &thread.credentials
        {
            let (euid, egid) = (euid as u32, egid as u32);
            if (known.euid, known.egid) != (euid, egid) {
                let changed = Credentials { euid, egid, ..Credentials::clone(known) };
                thread.credentials = Some(Arc::new(changed));
            }
        }
        self.unshare_table(event.tid);
        if let Some(table) =
            self.threads.get(&event.tid).and_then(|t| self.tables.get_mut(&t.table))
        {
            table.slots.retain(|_, slot| {
                if slot.cloexec {
                    gone.push(slot.descriptor.clone());
                }
                !slot.cloexec
            });
        }
        gone
    }

    /// Removes a thread that has ended. Returns the descriptors that nothing has open any more.
    fn apply_exit(&mut self, event: &Event) -> Vec<Arc<Descriptor<T>>> {
        let mut gone = self.end_thread(event.tid);
        let [_, is_last, ..] = event.args;
        if is_last == 1 && self.rings.has_any() {
            // The kernel's threads that carry out operations of a ring end unseen.
            let others: Vec<u32> = self.threads.of_process(event.pid).collect();
            others.into_iter().for_each(|tid| gone.extend(self.end_thread(tid)));
        }
        self.close_rings(&mut gone);
        gone
    }

    /// Removes a thread. Returns the descriptors of its table if no other thread uses it.
    fn end_thread(&mut self, tid: u32) -> Vec<Arc<Descriptor<T>>> {
        let Some(thread) = self.threads.remove(&tid) else { return Vec::new() };
        self.closing.forget(tid);
        if let Some(fs) = self.groups.get_mut(&thread.fs) {
            fs.users -= 1;
            if fs.users == 0 {
                self.groups.remove(&thread.fs);
            }
        }
        let Some(table) = self.tables.get_mut(&thread.table) else { return Vec::new() };
        table.users -= 1;
        if table.users > 0 {
            return Vec::new();
        }
        let table = self.tables.remove(&thread.table);
        table.into_iter().flat_map(|t| t.slots.into_values()).map(|s| s.descriptor).collect()
    }

    /// Returns a new descriptor of an open file.
    pub(crate) fn new_descriptor(&mut self, file: Arc<OpenFile>) -> Arc<Descriptor<T>> {
        Arc::new(Descriptor { id: self.next_id(), file, real: T::default() })
    }

    /// Returns a new open file with this path and identity. `elsewhere` is whether it is on a file
    /// system that the program mounted.
    pub(crate) fn new_open_file(
        &mut self,
        path: &[u8],
        identity: Identity,
        status: u32,
        elsewhere: bool,
    ) -> Arc<OpenFile> {
        let key = (identity.dev, identity.ino);
        let known =
            if key == (0, 0) { None } else { self.inodes.get(&key).and_then(Weak::upgrade) };
        let inode = match known {
            Some(inode) => {
                inode.set_size(identity.size);
                inode
            }
            None => {
                let inode = Arc::new(Inode::new(key, identity.size));
                if key != (0, 0) {
                    if self.inodes.len() >= 4096 && self.inodes.len().is_power_of_two() {
                        self.inodes.retain(|_, i| i.strong_count() > 0);
                    }
                    self.inodes.insert(key, Arc::downgrade(&inode));
                }
                inode
            }
        };
        let id = self.next_id();
        Arc::new(OpenFile::new(id, path, identity, inode, status, &self.mounts, elsewhere))
    }
}

/// Returns a directory of the namespace that the recording began in.
fn first_namespace_directory<T: Default>(path: &[u8]) -> Arc<Directory<T>> {
    let (path, view) = (path.into(), path.into());
    Arc::new(Directory { path, view, elsewhere: false, real: T::default() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_execve_closes_what_is_close_on_exec() {
        let event =
            |kind, args| Event { time: 0, kind, pid: 1, tid: 1, args, payloads: Vec::new() };
        let mut processes = Processes::<()>::default();
        processes.event(&event(RecordKind::Start, [0; 6]));
        for (fd, close_on_exec) in [(3, 1), (4, 0)] {
            processes.event(&event(RecordKind::Descriptor, [fd, close_on_exec, fd, 0, 0, 0]));
        }
        let open = |processes: &Processes| [3, 4].map(|fd| processes.descriptor(1, fd).is_some());
        assert_eq!(open(&processes), [true, true]);
        let closed = processes.event(&event(RecordKind::Exec, [1, 0, 0, 0, 0, 0]));
        assert_eq!((open(&processes), closed.len()), ([false, true], 1));
    }
}
