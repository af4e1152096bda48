//! What calls do to mount namespaces: mount(2), umount(2), pivot_root(2), setns(2) and similar
//! calls.

use crate::arguments::Operands;
use crate::events::{CLONE_FILES, CLONE_FS, CLONE_NEWNS};
use crate::mounts::namespace::{Mount, MountNamespace, MountView};
use crate::state::file::{Directory, OpenFile};
use crate::state::table::Fs;
use crate::{Processes, Thread};
use abi::{AT_FDCWD, CallSpec, Effect};
use linux_raw_sys::general;
use std::sync::Arc;
use trace::call::Call;

const MS_REMOUNT: u64 = general::MS_REMOUNT as u64;
const MS_BIND: u64 = general::MS_BIND as u64;
const MS_MOVE: u64 = general::MS_MOVE as u64;
const MS_REC: u64 = general::MS_REC as u64;
/// The flags that change how mounts propagate to other namespaces.
const PROPAGATION: u64 =
    (general::MS_SHARED | general::MS_PRIVATE | general::MS_SLAVE | general::MS_UNBINDABLE) as u64;
const MNT_DETACH: u64 = general::MNT_DETACH as u64;
const OPEN_TREE_CLONE: u64 = general::OPEN_TREE_CLONE as u64;
const AT_RECURSIVE: u64 = general::AT_RECURSIVE as u64;

/// The options of an overlay mount that name the directories to which it writes.
const WRITTEN_DIRECTORIES: [&[u8]; 2] = [b"upperdir", b"workdir"];

/// Returns the target of the symbolic link at a path; `None`: there is no link, or it is unknown.
pub type ReadLink<'a> = &'a mut dyn FnMut(&[u8]) -> Option<Vec<u8>>;

impl<T: Default> Processes<T> {
    /// Returns the mount namespace of a thread.
    pub(crate) fn mount_namespace(&self, tid: u32) -> Option<&Arc<MountNamespace>> {
        self.mount_namespaces.get(&self.threads.get(&tid)?.namespace_id)
    }

    /// Returns the mount namespace of a thread, to change it.
    fn mount_namespace_mut(&mut self, tid: u32) -> Option<&mut MountNamespace> {
        let namespace_id = self.threads.get(&tid)?.namespace_id;
        self.mount_namespaces.get_mut(&namespace_id).map(Arc::make_mut)
    }

    /// Returns the mounts and the root of a thread with the directories `fs`. Returns `None` if its
    /// paths refer to the same files as in the namespace in which the recording began.
    pub(crate) fn view_of_thread(&self, thread: &Thread, fs: &Fs<T>) -> Option<MountView> {
        let namespace = self.mount_namespaces.get(&thread.namespace_id)?;
        let root = fs.root.as_ref();
        (root.is_some() || !namespace.is_unchanged()).then(|| MountView {
            namespace: namespace.clone(),
            root: root.map_or_else(|| Box::from(*b"/"), |root| root.view.clone()),
        })
    }

    /// Returns the directory at a path as the thread sees it.
    pub(crate) fn directory_at(&self, tid: u32, view: &[u8]) -> Arc<Directory<T>> {
        let (path, elsewhere) = self.recorded_path(tid, view);
        Arc::new(Directory { path, view: view.into(), elsewhere, real: T::default() })
    }

    /// Returns the path in the namespace in which the recording began for a path as the thread sees
    /// it. If there is none, returns the path itself, and true.
    pub(crate) fn recorded_path(&self, tid: u32, view: &[u8]) -> (Box<[u8]>, bool) {
        match self
            .mount_namespace(tid)
            .filter(|namespace| !namespace.is_unchanged() && view.first() == Some(&b'/'))
        {
            Some(namespace) => match namespace.original_path(view) {
                Some(path) => (path.into(), false),
                None => (view.into(), true),
            },
            None => (view.into(), false),
        }
    }

    /// Returns the path of an open file as the thread sees it.
    pub(crate) fn path_seen_by(&self, tid: u32, file: &OpenFile) -> Box<[u8]> {
        match self
            .mount_namespace(tid)
            .filter(|namespace| !namespace.is_unchanged() && !file.is_elsewhere())
        {
            Some(namespace) => namespace.path_here(&file.path).into(),
            None => file.path.clone(),
        }
    }

    /// Returns the paths at which something is mounted, in the namespace in which the recording
    /// began, that was not mounted when it began.
    pub fn mount_points(&self) -> Vec<Vec<u8>> {
        let namespace = self.mount_namespaces.get(&0);
        namespace
            .into_iter()
            .flat_map(|namespace| namespace.mount_points())
            .map(<[u8]>::to_vec)
            .collect()
    }

    /// Adds a copy of the mount namespace with this id. Returns the id of the copy.
    pub(crate) fn copy_mount_namespace(&mut self, namespace_id: u32) -> u32 {
        let id = self.next_id() as u32;
        let copy = self.mount_namespaces.get(&namespace_id).cloned().unwrap_or_default();
        self.mount_namespaces.insert(id, copy);
        id
    }

    /// Applies an unshare(2) to the thread's descriptors, directories and mount namespace.
    pub(crate) fn apply_unshare(&mut self, tid: u32, flags: u64) {
        if flags & CLONE_FILES != 0 {
            self.unshare_table(tid);
        }
        if flags & (CLONE_FS | CLONE_NEWNS) != 0 {
            self.unshare_fs(tid);
        }
        if let Some(namespace_id) = self.threads.get(&tid).map(|t| t.namespace_id)
            && flags & CLONE_NEWNS != 0
        {
            let copy_id = self.copy_mount_namespace(namespace_id);
            if let Some(thread) = self.threads.get_mut(&tid) {
                thread.namespace_id = copy_id;
            }
            self.remove_unused_namespaces();
        }
    }

    /// Removes the mount namespaces that no thread is in, from time to time: when their number is a
    /// power of two.
    pub(crate) fn remove_unused_namespaces(&mut self) {
        if self.mount_namespaces.len() >= 64 && self.mount_namespaces.len().is_power_of_two() {
            let used: Vec<u32> = self.threads.values().map(|t| t.namespace_id).collect();
            self.mount_namespaces.retain(|id, _| *id == 0 || used.contains(id));
        }
    }

    /// Applies a call that succeeded and changed what is mounted, or the namespace of a thread.
    pub(crate) fn apply_mount_change(
        &mut self,
        call: &Call,
        spec: &CallSpec,
        operands: &Operands<T>,
        links: ReadLink<'_>,
    ) {
        let tid = call.tid;
        let args = call.args;
        match spec.effect {
            Effect::Mount => self.apply_mount(call, operands, links),
            Effect::Unmount => {
                if let Some(point) = self.resolve_argument(call, operands, 0, links)
                    && let Some(namespace) = self.mount_namespace_mut(tid)
                {
                    namespace.unmount(&point, args[1] & MNT_DETACH != 0);
                }
            }
            Effect::PivotRoot => {
                if let (Some(new), Some(old)) = (
                    self.resolve_argument(call, operands, 0, links),
                    self.resolve_argument(call, operands, 1, links),
                ) {
                    self.apply_pivot_root(tid, &new, &old);
                }
            }
            Effect::MoveMount => {
                let Some(to) = self.resolve_argument(call, operands, 3, links) else { return };
                let detached =
                    operands.fds[0].as_ref().and_then(|d| self.detached_trees.get(&d.file.id));
                match detached.filter(|_| call.path(1).is_none_or(<[u8]>::is_empty)).cloned() {
                    Some(tree) => {
                        if let Some(namespace) = self.mount_namespace_mut(tid) {
                            namespace.attach_tree(&to, tree);
                        }
                    }
                    None => {
                        if let Some(from) = self.resolve_argument(call, operands, 1, links)
                            && let Some(namespace) = self.mount_namespace_mut(tid)
                        {
                            namespace.move_mount(&from, &to);
                        }
                    }
                }
            }
            Effect::OpenTree => {
                let tree = match self.resolve_argument(call, operands, 1, links) {
                    Some(view) if args[2] & OPEN_TREE_CLONE != 0 => self
                        .mount_namespace(tid)
                        .map(|namespace| namespace.copy_tree(&view, args[2] & AT_RECURSIVE != 0)),
                    _ => return,
                };
                self.add_detached_tree(operands, tree.unwrap_or_else(unknown_tree));
            }
            Effect::MakeMount => self.add_detached_tree(operands, unknown_tree()),
            Effect::Configure => {
                let value = call.string(3).or_else(|| call.path(3));
                if let Some((name, value)) = call.string(2).zip(value)
                    && WRITTEN_DIRECTORIES.contains(&name)
                {
                    self.hide_overlay_directory(call, value, links);
                }
            }
            Effect::EnterSpace => self.apply_setns(call, operands),
            _ => {}
        }
    }

    /// Keeps a tree of mounts that is attached nowhere, by the open file of the descriptor that the
    /// call opened for it.
    fn add_detached_tree(&mut self, operands: &Operands<T>, tree: Vec<Mount>) {
        if let Some((_, descriptor)) = operands.opened.first() {
            self.detached_trees.insert(descriptor.file.id, tree);
        }
    }

    /// Applies a mount(2): a new mount, a bind mount, or a move.
    fn apply_mount(&mut self, call: &Call, operands: &Operands<T>, links: ReadLink<'_>) {
        let [_, _, _, flags, ..] = call.args;
        if flags & MS_REMOUNT != 0 || flags & (MS_BIND | MS_MOVE) == 0 && flags & PROPAGATION != 0 {
            return;
        }
        let Some(to) = self.resolve_argument(call, operands, 1, links) else { return };
        if flags & (MS_BIND | MS_MOVE) == 0 && call.string(2) == Some(b"overlay") {
            for (name, value) in call.string(4).into_iter().flat_map(split_options) {
                if WRITTEN_DIRECTORIES.contains(&&name[..]) {
                    self.hide_overlay_directory(call, &value, links);
                }
            }
        }
        let source = if flags & (MS_BIND | MS_MOVE) != 0 {
            call.string(0).and_then(|name| self.resolve_from(call, None, name, links))
        } else {
            None
        };
        let Some(namespace) = self.mount_namespace_mut(call.tid) else { return };
        match source {
            Some(from) if flags & MS_MOVE != 0 => namespace.move_mount(&from, &to),
            Some(from) => {
                let tree = namespace.copy_tree(&from, flags & MS_REC != 0);
                namespace.attach_tree(&to, tree);
            }
            None => namespace.attach_tree(&to, unknown_tree()),
        }
    }

    /// Applies that an overlay writes to this directory: it then has files that no call created, so
    /// that its path refers to nothing known in all namespaces.
    fn hide_overlay_directory(&mut self, call: &Call, directory: &[u8], links: ReadLink<'_>) {
        let Some(view) = self.resolve_from(call, None, directory, links) else { return };
        let (path, elsewhere) = self.recorded_path(call.tid, &view);
        if elsewhere {
            return;
        }
        for namespace in self.mount_namespaces.values_mut().map(Arc::make_mut) {
            let view = namespace.path_here(&path);
            namespace.attach_tree(&view, unknown_tree());
        }
    }

    /// Returns the path, as the thread sees it, to which argument `arg` leads. `links` returns the
    /// targets of symbolic links. Returns `None` if the argument or its directory is not known.
    fn resolve_argument(
        &self,
        call: &Call,
        operands: &Operands<T>,
        arg: u8,
        links: ReadLink<'_>,
    ) -> Option<Vec<u8>> {
        let path_use = call.spec()?.args[usize::from(arg)].kind.path_use()?;
        let dir = path_use.dir.filter(|dir| call.args[usize::from(*dir)] as i32 != AT_FDCWD);
        let base = match dir {
            Some(dir) => {
                Some(self.path_seen_by(call.tid, &operands.fds[usize::from(dir)].as_ref()?.file))
            }
            None => None,
        };
        self.resolve_from(call, base.as_deref(), call.path(arg)?, links)
    }

    /// Returns the path, as the thread sees it, to which `path` leads from the directory `base`;
    /// `None`: from the working directory. `links` returns the targets of symbolic links.
    fn resolve_from(
        &self,
        call: &Call,
        base: Option<&[u8]>,
        path: &[u8],
        links: ReadLink<'_>,
    ) -> Option<Vec<u8>> {
        let thread = self.threads.get(&call.tid)?;
        let fs = self.fs_structs.get(&thread.fs_id)?;
        let root = fs.root.as_ref().map_or(&b"/"[..], |root| &root.view);
        let view = MountView {
            namespace: self.mount_namespaces.get(&thread.namespace_id)?.clone(),
            root: root.into(),
        };
        let joined = view.join(base.unwrap_or(&fs.cwd.view), path);
        let inner = fs.root.as_ref().map(|root| &*root.view);
        let (path, route) = self.follow_procfs_links(call, inner, joined, true);
        let descriptor =
            route.as_ref().filter(|route| route.rest.is_empty()).and_then(|w| w.descriptor());
        if let Some(descriptor) = descriptor {
            return Some(self.path_seen_by(call.tid, &descriptor.file).into());
        }
        Some(view.resolve(&path, true, links).view)
    }

    /// Applies a pivot_root(2): changes the mounts of the namespace, and the root and working
    /// directories of all threads in it.
    fn apply_pivot_root(&mut self, tid: u32, new: &[u8], old: &[u8]) {
        let Some(namespace_id) = self.threads.get(&tid).map(|t| t.namespace_id) else { return };
        let Some(namespace) = self.mount_namespaces.get_mut(&namespace_id).map(Arc::make_mut)
        else {
            return;
        };
        let new_path_of = namespace.pivot_root(new, old);
        let mut groups: Vec<(u32, u32)> = self
            .threads
            .iter()
            .filter(|(_, t)| t.namespace_id == namespace_id)
            .map(|(tid, t)| (t.fs_id, *tid))
            .collect();
        groups.sort_unstable();
        groups.dedup_by_key(|(fs, _)| *fs);
        // Threads at the old root are at the new one (chroot_fs_refs in fs/fs_struct.c).
        let new_view = |view: &[u8]| if view == b"/" { b"/".to_vec() } else { new_path_of(view) };
        for (fs, tid) in groups {
            let Some(group) = self.fs_structs.get(&fs) else { continue };
            let (cwd, root) = (group.cwd.clone(), group.root.clone());
            // The working directory stays the same file.
            let cwd = match &cwd.view[..] {
                b"/" => self.directory_at(tid, b"/"),
                view => Arc::new(Directory {
                    path: cwd.path.clone(),
                    view: new_view(view).into(),
                    elsewhere: cwd.elsewhere,
                    real: T::default(),
                }),
            };
            let root = root.map(|root| new_view(&root.view)).filter(|view| view != b"/");
            let root = root.map(|view| self.directory_at(tid, &view));
            if let Some(group) = self.fs_structs.get_mut(&fs) {
                (group.cwd, group.root) = (cwd, root);
            }
        }
    }

    /// Applies a setns(2): the thread enters the mount namespace of another process. If that
    /// process is not recorded, nothing is known of its mounts.
    fn apply_setns(&mut self, call: &Call, operands: &Operands<T>) {
        let [_, namespace_types, ..] = call.args;
        let file = operands.fds[0].as_ref().map(|d| &d.file);
        let may_be_mount_namespace =
            file.is_none_or(|f| f.path.starts_with(b"mnt:") || f.process().is_some());
        if namespace_types & CLONE_NEWNS == 0 && !(namespace_types == 0 && may_be_mount_namespace) {
            return;
        }
        let known_id = file
            .and_then(|f| f.process())
            .and_then(|pid| self.threads.get(&pid))
            .map(|thread| thread.namespace_id);
        let namespace_id = match known_id {
            Some(namespace_id) => namespace_id,
            None => {
                let namespace_id = self.copy_mount_namespace(0);
                if let Some(namespace) = self.mount_namespaces.get_mut(&namespace_id) {
                    Arc::make_mut(namespace).make_all_unknown();
                }
                namespace_id
            }
        };
        self.unshare_fs(call.tid);
        let Some(thread) = self.threads.get_mut(&call.tid) else { return };
        thread.namespace_id = namespace_id;
        // The thread is at the root of its new namespace.
        let cwd = self.directory_at(call.tid, b"/");
        if let Some(fs) = self.fs_mut(call.tid) {
            (fs.cwd, fs.root) = (cwd, None);
        }
    }
}

/// Splits the options of a mount into names and values. They have the form `name=value`, with
/// commas between; those without a value are left out. A backslash escapes the character after it.
fn split_options(text: &[u8]) -> Vec<(Vec<u8>, Vec<u8>)> {
    let (mut options, mut current, mut is_escaped) = (Vec::new(), Vec::new(), false);
    for &b in text.iter().chain(b",") {
        match b {
            b',' if !is_escaped => {
                let option: Vec<u8> = std::mem::take(&mut current);
                let index = option.iter().position(|b| *b == b'=');
                options.extend(
                    index.map(|index| (option[..index].to_vec(), option[index + 1..].to_vec())),
                );
            }
            b'\\' if !is_escaped => {
                is_escaped = true;
                continue;
            }
            b => current.push(b),
        }
        is_escaped = false;
    }
    options
}

/// Returns a mounted tree of which nothing is known.
fn unknown_tree() -> Vec<Mount> {
    vec![Mount { point: Vec::new(), source: None }]
}

#[cfg(test)]
mod tests {
    #[test]
    fn settings_of_a_mount() {
        let read = |text: &str| {
            let pairs = super::split_options(text.as_bytes()).into_iter();
            pairs.map(|(n, v)| [n, v].map(|b| String::from_utf8(b).unwrap()).join("=")).collect()
        };
        let of: Vec<String> = read("lowerdir=a:b,upperdir=/x\\,y\\\\z,index,workdir=w");
        assert_eq!(of, ["lowerdir=a:b", "upperdir=/x,y\\z", "workdir=w"]);
        assert_eq!(read(""), Vec::<String>::new());
    }
}
