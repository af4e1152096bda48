//! What events do to the traced processes: threads start and end, programs are replaced, and
//! descriptors and directories existed when the recording began.

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
    /// process). Other processes may share them.
    pub fn event(&mut self, event: &Event) -> Vec<Arc<Descriptor<T>>> {
        self.items_applied += 1;
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

    /// Adds the thread if it is not known yet. It then shares everything with another thread of its
    /// process or, if there is none, is a new process in `/`.
    pub(crate) fn ensure_thread(&mut self, pid: u32, tid: u32) {
        if self.threads.contains_key(&tid) {
            return;
        }
        let any_of_process = || self.threads.get(&self.threads.of_process(pid).next()?);
        let sibling = self.threads.get(&pid).or_else(any_of_process);
        match sibling.map(|t| (t.table_id, t.fs_id, t.namespace_id, t.credentials.clone())) {
            Some((table_id, fs_id, namespace_id, credentials)) => {
                self.add_thread(pid, tid, Some((table_id, fs_id, namespace_id)), credentials);
            }
            None => self.add_thread(pid, tid, None, None),
        }
    }

    /// Adds a thread. `shared` are the ids of its descriptor table, of its directories and of its
    /// mount namespace. `None`: it gets an empty table and new directories, in the namespace in
    /// which the recording began.
    fn add_thread(
        &mut self,
        pid: u32,
        tid: u32,
        shared: Option<(u32, u32, u32)>,
        credentials: Option<Arc<Credentials>>,
    ) {
        let namespace_id = shared.map_or(0, |(_, _, namespace_id)| namespace_id);
        let table_id = shared.map_or_else(
            || {
                let id = self.next_id() as u32;
                self.tables.insert(id, Table { slots: BTreeMap::new(), users: 0 });
                id
            },
            |(table_id, ..)| table_id,
        );
        let fs_id = shared.map_or_else(
            || {
                let id = self.next_id() as u32;
                let cwd = first_namespace_directory(b"/");
                self.fs_structs.insert(id, Fs { cwd, root: None, umask: 0o022, users: 0 });
                id
            },
            |(_, fs_id, _)| fs_id,
        );
        if let Some(t) = self.tables.get_mut(&table_id) {
            t.users += 1;
        }
        if let Some(f) = self.fs_structs.get_mut(&fs_id) {
            f.users += 1;
        }
        self.threads.insert(tid, Thread { pid, table_id, fs_id, namespace_id, credentials });
    }

    /// Applies the start of a thread or process: it shares or copies what the flags of clone(2)
    /// say. Returns the closed descriptors of an earlier thread with this id, whose end was not
    /// recorded.
    fn start_thread(&mut self, event: &Event) -> Vec<Arc<Descriptor<T>>> {
        let [parent_pid, parent_tid, flags, ..] = event.args;
        // A thread id that is used again is that of a new thread.
        let closed = self.end_thread(event.tid);
        if parent_pid == 0 {
            self.ensure_thread(event.pid, event.tid);
            return closed;
        }
        self.ensure_thread(parent_pid as u32, parent_tid as u32);
        let Some(parent) = self.threads.get(&(parent_tid as u32)) else { return closed };
        let (table_id, fs_id, namespace_id) = (parent.table_id, parent.fs_id, parent.namespace_id);
        let credentials = parent.credentials.clone();
        let table_id = if flags & CLONE_FILES != 0 { table_id } else { self.copy_table(table_id) };
        let fs_id = if flags & CLONE_FS != 0 { fs_id } else { self.copy_fs(fs_id) };
        let namespace_id = if flags & CLONE_NEWNS != 0 {
            self.copy_mount_namespace(namespace_id)
        } else {
            namespace_id
        };
        self.add_thread(event.pid, event.tid, Some((table_id, fs_id, namespace_id)), credentials);
        self.remove_unused_namespaces();
        closed
    }

    /// Adds a copy of the descriptor table with this id, which no thread uses yet. Returns the id
    /// of the copy.
    pub(crate) fn copy_table(&mut self, table_id: u32) -> u32 {
        let id = self.next_id() as u32;
        let slots = self.tables.get(&table_id).map(|t| t.slots.clone()).unwrap_or_default();
        self.tables.insert(id, Table { slots, users: 0 });
        id
    }

    /// Adds a copy of the working directory, root and umask with this id, which no thread uses yet.
    /// Returns the id of the copy.
    pub(crate) fn copy_fs(&mut self, fs_id: u32) -> u32 {
        let id = self.next_id() as u32;
        if let Some(f) = self.fs_structs.get(&fs_id) {
            let copy = Fs { cwd: f.cwd.clone(), root: f.root.clone(), umask: f.umask, users: 0 };
            self.fs_structs.insert(id, copy);
        }
        id
    }

    /// Gives thread `tid` a copy of its descriptor table, if it shares the table with others.
    pub(crate) fn unshare_table(&mut self, tid: u32) {
        let Some(table_id) = self.threads.get(&tid).map(|t| t.table_id) else { return };
        if self.tables.get(&table_id).is_some_and(|t| t.users > 1) {
            let copy_id = self.copy_table(table_id);
            self.tables.entry(table_id).and_modify(|t| t.users -= 1);
            self.tables.entry(copy_id).and_modify(|t| t.users = 1);
            if let Some(t) = self.threads.get_mut(&tid) {
                t.table_id = copy_id;
            }
        }
    }

    /// Gives thread `tid` a working directory, root and umask of its own, if it shares them with
    /// others.
    pub(crate) fn unshare_fs(&mut self, tid: u32) {
        let Some(fs_id) = self.threads.get(&tid).map(|t| t.fs_id) else { return };
        if self.fs_structs.get(&fs_id).is_some_and(|f| f.users > 1) {
            let copy_id = self.copy_fs(fs_id);
            self.fs_structs.entry(fs_id).and_modify(|f| f.users -= 1);
            self.fs_structs.entry(copy_id).and_modify(|f| f.users = 1);
            if let Some(t) = self.threads.get_mut(&tid) {
                t.fs_id = copy_id;
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
        let Some(fs) = self.fs_structs.get_mut(&thread.fs_id) else { return };
        fs.umask = umask & 0o777;
        if let Some(path) = cwd {
            fs.cwd = first_namespace_directory(path);
        }
        fs.root = root.map(first_namespace_directory);
    }

    /// Adds a descriptor that was open when the recording began. Descriptors with the same key
    /// refer to one open file.
    fn add_open_descriptor(&mut self, event: &Event) {
        self.ensure_thread(event.pid, event.tid);
        let [fd, cloexec, key, ..] = event.args;
        if event.is_mapping() {
            return;
        }
        let file = match self.initial_open_files.get(&key) {
            Some(file) => file.clone(),
            None => {
                let (identity, path) = event
                    .identity(0)
                    .or_else(|| event.payloads.iter().find_map(|p| event.identity(p.arg)))
                    .unwrap_or_default();
                let file = self.new_open_file(path, identity, identity.status, false);
                self.initial_open_files.insert(key, file.clone());
                file
            }
        };
        let descriptor = self.new_descriptor(file);
        let Some(table) =
            self.threads.get(&event.tid).and_then(|t| self.tables.get_mut(&t.table_id))
        else {
            return;
        };
        table.slots.insert(fd as i32, Slot { descriptor, cloexec: cloexec & 1 != 0 });
    }

    /// Applies an execve(2): ends the other threads of the process, and closes what is
    /// close-on-exec. Returns the closed descriptors.
    fn apply_exec(&mut self, event: &Event) -> Vec<Arc<Descriptor<T>>> {
        self.ensure_thread(event.pid, event.tid);
        // The thread that called gets the id of the process. All other threads have ended.
        let caller = event.args[0] as u32;
        let mut closed = Vec::new();
        if caller != event.tid
            && caller != 0
            && let Some(mut thread) = self.threads.remove(&caller)
        {
            thread.pid = event.pid;
            closed.extend(self.end_thread(event.tid));
            self.threads.insert(event.tid, thread);
        }
        let others: Vec<u32> =
            self.threads.of_process(event.pid).filter(|tid| *tid != event.tid).collect();
        for tid in others {
            closed.extend(self.end_thread(tid));
        }
        if let [_, euid, egid, 1, ..] = event.args
            && let Some(thread) = self.threads.get_mut(&event.tid)
            && let Some(credentials) = &thread.credentials
        {
            let (euid, egid) = (euid as u32, egid as u32);
            if (credentials.euid, credentials.egid) != (euid, egid) {
                let changed = Credentials { euid, egid, ..Credentials::clone(credentials) };
                thread.credentials = Some(Arc::new(changed));
            }
        }
        self.unshare_table(event.tid);
        if let Some(table) =
            self.threads.get(&event.tid).and_then(|t| self.tables.get_mut(&t.table_id))
        {
            table.slots.retain(|_, slot| {
                if slot.cloexec {
                    closed.push(slot.descriptor.clone());
                }
                !slot.cloexec
            });
        }
        closed
    }

    /// Removes a thread that has ended; after the last one that the program can see, also the
    /// kernel's threads of the process, which end without an event. Returns the descriptors that
    /// this closed. Other processes may share them.
    fn apply_exit(&mut self, event: &Event) -> Vec<Arc<Descriptor<T>>> {
        let mut closed = self.end_thread(event.tid);
        let [_, is_last, ..] = event.args;
        if is_last == 1 && self.rings.has_any() {
            // There are no events for the ends of the kernel's threads that perform operations of a
            // ring.
            let others: Vec<u32> = self.threads.of_process(event.pid).collect();
            others.into_iter().for_each(|tid| closed.extend(self.end_thread(tid)));
        }
        self.close_rings(&mut closed);
        closed
    }

    /// Removes a thread, with its directories and its descriptor table if no other thread uses
    /// them. Returns the descriptors of a table that was removed.
    fn end_thread(&mut self, tid: u32) -> Vec<Arc<Descriptor<T>>> {
        let Some(thread) = self.threads.remove(&tid) else { return Vec::new() };
        self.closings.forget(tid);
        if let Some(fs) = self.fs_structs.get_mut(&thread.fs_id) {
            fs.users -= 1;
            if fs.users == 0 {
                self.fs_structs.remove(&thread.fs_id);
            }
        }
        let Some(table) = self.tables.get_mut(&thread.table_id) else { return Vec::new() };
        table.users -= 1;
        if table.users > 0 {
            return Vec::new();
        }
        let table = self.tables.remove(&thread.table_id);
        table.into_iter().flat_map(|t| t.slots.into_values()).map(|s| s.descriptor).collect()
    }

    /// Creates a descriptor of an open file.
    pub(crate) fn new_descriptor(&mut self, file: Arc<OpenFile>) -> Arc<Descriptor<T>> {
        Arc::new(Descriptor { id: self.next_id(), file, real: T::default() })
    }

    /// Creates an open file with this path and identity. It shares its inode with other open files
    /// of the same device and inode number. `status` are its flags; `elsewhere` is whether it is on
    /// a file system that the program mounted.
    pub(crate) fn new_open_file(
        &mut self,
        path: &[u8],
        identity: Identity,
        status: u32,
        elsewhere: bool,
    ) -> Arc<OpenFile> {
        let inode_key = (identity.dev, identity.ino);
        let known_inode = if inode_key == (0, 0) {
            None
        } else {
            self.inodes.get(&inode_key).and_then(Weak::upgrade)
        };
        let inode = match known_inode {
            Some(inode) => {
                inode.set_size(identity.size);
                inode
            }
            None => {
                let inode = Arc::new(Inode::new(inode_key, identity.size));
                if inode_key != (0, 0) {
                    if self.inodes.len() >= 4096 && self.inodes.len().is_power_of_two() {
                        self.inodes.retain(|_, i| i.strong_count() > 0);
                    }
                    self.inodes.insert(inode_key, Arc::downgrade(&inode));
                }
                inode
            }
        };
        let id = self.next_id();
        Arc::new(OpenFile::new(id, path, identity, inode, status, &self.mounts, elsewhere))
    }
}

/// Returns a directory of the namespace in which the recording began.
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
