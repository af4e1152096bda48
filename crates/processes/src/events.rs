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
    /// Applies an event. Returns the descriptors that went with it (close-on-exec, a process's
    /// end); others may share them.
    pub fn event(&mut self, event: &Event) -> Vec<Arc<Descriptor<T>>> {
        self.step += 1;
        match event.kind {
            RecordKind::Start => self.start(event),
            RecordKind::State => {
                self.state(event);
                Vec::new()
            }
            RecordKind::Descriptor => {
                self.present(event);
                Vec::new()
            }
            RecordKind::Exec => self.exec(event),
            RecordKind::Exit => self.end(event.tid),
            RecordKind::Call
            | RecordKind::Part
            | RecordKind::Signal
            | RecordKind::Gap
            | RecordKind::Note => Vec::new(),
        }
    }

    /// A thread that the trace has not told of shares everything with its process, or is a new
    /// process in `/`.
    pub(crate) fn know(&mut self, pid: u32, tid: u32) {
        if self.threads.contains_key(&tid) {
            return;
        }
        let other = || self.threads.get(&self.threads.of(pid).next()?);
        let like = self.threads.get(&pid).or_else(other);
        match like.map(|t| (t.table, t.fs, t.space, t.credentials.clone())) {
            Some((table, fs, space, credentials)) => {
                self.add(pid, tid, Some((table, fs, space)), credentials);
            }
            None => self.add(pid, tid, None, None),
        }
    }

    fn add(
        &mut self,
        pid: u32,
        tid: u32,
        has: Option<(u32, u32, u32)>,
        credentials: Option<Arc<Credentials>>,
    ) {
        let space = has.map_or(0, |(_, _, space)| space);
        let table = has.map_or_else(
            || {
                let id = self.fresh() as u32;
                self.tables.insert(id, Table { slots: BTreeMap::new(), users: 0 });
                id
            },
            |(table, ..)| table,
        );
        let fs = has.map_or_else(
            || {
                let id = self.fresh() as u32;
                let cwd = plain(b"/");
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

    fn start(&mut self, event: &Event) -> Vec<Arc<Descriptor<T>>> {
        let [ppid, ptid, flags, ..] = event.args;
        // A thread's number that is used again belongs to a new thread.
        let gone = self.end(event.tid);
        if ppid == 0 {
            self.know(event.pid, event.tid);
            return gone;
        }
        self.know(ppid as u32, ptid as u32);
        let Some(parent) = self.threads.get(&(ptid as u32)) else { return gone };
        let (table, fs, space) = (parent.table, parent.fs, parent.space);
        let credentials = parent.credentials.clone();
        let table = if flags & CLONE_FILES != 0 { table } else { self.copy_table(table) };
        let fs = if flags & CLONE_FS != 0 { fs } else { self.copy_fs(fs) };
        let space = if flags & CLONE_NEWNS != 0 { self.copy_space(space) } else { space };
        self.add(event.pid, event.tid, Some((table, fs, space)), credentials);
        self.sweep_spaces();
        gone
    }

    /// A copy without users.
    pub(crate) fn copy_table(&mut self, table: u32) -> u32 {
        let id = self.fresh() as u32;
        let slots = self.tables.get(&table).map(|t| t.slots.clone()).unwrap_or_default();
        self.tables.insert(id, Table { slots, users: 0 });
        id
    }

    pub(crate) fn copy_fs(&mut self, fs: u32) -> u32 {
        let id = self.fresh() as u32;
        if let Some(f) = self.groups.get(&fs) {
            let copy = Fs { cwd: f.cwd.clone(), root: f.root.clone(), umask: f.umask, users: 0 };
            self.groups.insert(id, copy);
        }
        id
    }

    /// Makes thread `tid` use a table of its own. The old one is left to its other users.
    pub(crate) fn own_table(&mut self, tid: u32) {
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

    /// Makes thread `tid` use a working directory and umask of its own.
    pub(crate) fn own_fs(&mut self, tid: u32) {
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

    fn state(&mut self, event: &Event) {
        self.know(event.pid, event.tid);
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
            fs.cwd = plain(path);
        }
        fs.root = root.map(plain);
    }

    fn present(&mut self, event: &Event) {
        self.know(event.pid, event.tid);
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
                let file = self.file(path, identity, identity.status, false);
                self.present.insert(key, file.clone());
                file
            }
        };
        let descriptor = self.describe(file);
        let Some(table) = self.threads.get(&event.tid).and_then(|t| self.tables.get_mut(&t.table))
        else {
            return;
        };
        table.slots.insert(fd as i32, Slot { descriptor, cloexec: cloexec & 1 != 0 });
    }

    fn exec(&mut self, event: &Event) -> Vec<Arc<Descriptor<T>>> {
        self.know(event.pid, event.tid);
        // The thread that called takes the leader's place; all others are gone.
        let caller = event.args[0] as u32;
        let mut gone = Vec::new();
        if caller != event.tid
            && caller != 0
            && let Some(mut thread) = self.threads.remove(&caller)
        {
            thread.pid = event.pid;
            gone.extend(self.end(event.tid));
            self.threads.insert(event.tid, thread);
        }
        let others: Vec<u32> = self.threads.of(event.pid).filter(|tid| *tid != event.tid).collect();
        for tid in others {
            gone.extend(self.end(tid));
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
        self.own_table(event.tid);
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

    fn end(&mut self, tid: u32) -> Vec<Arc<Descriptor<T>>> {
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

    pub(crate) fn describe(&mut self, file: Arc<OpenFile>) -> Arc<Descriptor<T>> {
        Arc::new(Descriptor { id: self.fresh(), file, real: T::default() })
    }

    /// A new open file of what `identity` says.
    /// `elsewhere`: it lies on a file system that the program mounted.
    pub(crate) fn file(
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
        let id = self.fresh();
        Arc::new(OpenFile::new(id, path, identity, inode, status, &self.mounts, elsewhere))
    }
}

/// A directory of the namespace that the recording began in.
fn plain<T: Default>(path: &[u8]) -> Arc<Directory<T>> {
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
