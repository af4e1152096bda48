//! What calls do to mount namespaces: mounts, and exchanged roots.

use crate::arguments::Operands;
use crate::events::{CLONE_FS, CLONE_NEWNS};
use crate::mounts::namespace::{Mount, Space, View};
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
/// Shared, private, slave, unbindable: how mounts propagate.
const PROPAGATION: u64 =
    (general::MS_SHARED | general::MS_PRIVATE | general::MS_SLAVE | general::MS_UNBINDABLE) as u64;
const MNT_DETACH: u64 = general::MNT_DETACH as u64;
const OPEN_TREE_CLONE: u64 = general::OPEN_TREE_CLONE as u64;
const AT_RECURSIVE: u64 = general::AT_RECURSIVE as u64;

/// The settings of an overlay that name the directories which it writes to.
const WRITTEN: [&[u8]; 2] = [b"upperdir", b"workdir"];

/// Where a link leads that stands under a path; `None`: it is none, or that is unknown.
pub type ReadLink<'a> = &'a mut dyn FnMut(&[u8]) -> Option<Vec<u8>>;

impl<T: Default> Processes<T> {
    /// The namespace of a thread.
    pub(crate) fn space(&self, tid: u32) -> Option<&Arc<Space>> {
        self.spaces.get(&self.threads.get(&tid)?.space)
    }

    fn space_mut(&mut self, tid: u32) -> Option<&mut Space> {
        let space = self.threads.get(&tid)?.space;
        self.spaces.get_mut(&space).map(Arc::make_mut)
    }

    /// What a thread's names mean, unless they mean what they did at the start.
    pub(crate) fn view(&self, thread: &Thread, fs: &Fs<T>) -> Option<View> {
        let space = self.spaces.get(&thread.space)?;
        let root = fs.root.as_ref();
        (root.is_some() || !space.is_plain()).then(|| View {
            space: space.clone(),
            root: root.map_or_else(|| Box::from(*b"/"), |root| root.view.clone()),
        })
    }

    /// A directory by a view path.
    pub(crate) fn directory_at(&self, tid: u32, view: &[u8]) -> Arc<Directory<T>> {
        let (path, elsewhere) = self.place_of(tid, view);
        Arc::new(Directory { path, view: view.into(), elsewhere, real: T::default() })
    }

    /// What a view path stands for; if for nothing, itself, and that it is so.
    pub(crate) fn place_of(&self, tid: u32, view: &[u8]) -> (Box<[u8]>, bool) {
        match self.space(tid).filter(|space| !space.is_plain() && view.first() == Some(&b'/')) {
            Some(space) => match space.stands_for(view) {
                Some(path) => (path.into(), false),
                None => (view.into(), true),
            },
            None => (view.into(), false),
        }
    }

    /// The view path of an open file.
    pub(crate) fn view_of(&self, tid: u32, file: &OpenFile) -> Box<[u8]> {
        match self.space(tid).filter(|space| !space.is_plain() && !file.is_elsewhere()) {
            Some(space) => space.view_of(&file.path).into(),
            None => file.path.clone(),
        }
    }

    /// Where something is mounted in the namespace that the recording began in and was not before.
    pub fn mounted(&self) -> Vec<Vec<u8>> {
        let space = self.spaces.get(&0);
        space.into_iter().flat_map(|space| space.points()).map(<[u8]>::to_vec).collect()
    }

    /// A namespace that is a copy of a thread's.
    pub(crate) fn copy_space(&mut self, space: u32) -> u32 {
        let id = self.fresh() as u32;
        let copy = self.spaces.get(&space).cloned().unwrap_or_default();
        self.spaces.insert(id, copy);
        id
    }

    /// unshare(2).
    pub(crate) fn unshare_space(&mut self, tid: u32, flags: u64) {
        if flags & (CLONE_FS | CLONE_NEWNS) != 0 {
            self.own_fs(tid);
        }
        if let Some(space) = self.threads.get(&tid).map(|t| t.space)
            && flags & CLONE_NEWNS != 0
        {
            let own = self.copy_space(space);
            if let Some(thread) = self.threads.get_mut(&tid) {
                thread.space = own;
            }
            self.sweep_spaces();
        }
    }

    /// Forgets the namespaces that no thread is in.
    pub(crate) fn sweep_spaces(&mut self) {
        if self.spaces.len() >= 64 && self.spaces.len().is_power_of_two() {
            let used: Vec<u32> = self.threads.values().map(|t| t.space).collect();
            self.spaces.retain(|id, _| *id == 0 || used.contains(id));
        }
    }

    /// A call that changes what is mounted, or whose namespace is which, succeeded.
    pub(crate) fn remount(
        &mut self,
        call: &Call,
        spec: &CallSpec,
        operands: &Operands<T>,
        links: ReadLink<'_>,
    ) {
        let tid = call.tid;
        let args = call.args;
        match spec.effect {
            Effect::Mount => self.mount(call, operands, links),
            Effect::Unmount => {
                if let Some(place) = self.led(call, operands, 0, links)
                    && let Some(space) = self.space_mut(tid)
                {
                    space.unmount(&place, args[1] & MNT_DETACH != 0);
                }
            }
            Effect::PivotRoot => {
                if let (Some(new), Some(old)) =
                    (self.led(call, operands, 0, links), self.led(call, operands, 1, links))
                {
                    self.pivot(tid, &new, &old);
                }
            }
            Effect::MoveMount => {
                let Some(to) = self.led(call, operands, 3, links) else { return };
                let detached = operands.fds[0].as_ref().and_then(|d| self.trees.get(&d.file.id));
                match detached.filter(|_| call.path(1).is_none_or(<[u8]>::is_empty)).cloned() {
                    Some(tree) => {
                        if let Some(space) = self.space_mut(tid) {
                            space.mount(&to, tree);
                        }
                    }
                    None => {
                        if let Some(from) = self.led(call, operands, 1, links)
                            && let Some(space) = self.space_mut(tid)
                        {
                            space.move_mount(&from, &to);
                        }
                    }
                }
            }
            Effect::OpenTree => {
                let tree = match self.led(call, operands, 1, links) {
                    Some(view) if args[2] & OPEN_TREE_CLONE != 0 => {
                        self.space(tid).map(|space| space.tree(&view, args[2] & AT_RECURSIVE != 0))
                    }
                    _ => return,
                };
                self.detached(operands, tree.unwrap_or_else(unknown));
            }
            Effect::MakeMount => self.detached(operands, unknown()),
            Effect::Configure => {
                let value = call.string(3).or_else(|| call.path(3));
                if let Some((name, value)) = call.string(2).zip(value)
                    && WRITTEN.contains(&name)
                {
                    self.write_to(call, value, links);
                }
            }
            Effect::EnterSpace => self.enter_space(call, operands),
            _ => {}
        }
    }

    fn detached(&mut self, operands: &Operands<T>, tree: Vec<Mount>) {
        if let Some((_, descriptor)) = operands.opened.first() {
            self.trees.insert(descriptor.file.id, tree);
        }
    }

    fn mount(&mut self, call: &Call, operands: &Operands<T>, links: ReadLink<'_>) {
        let [_, _, _, flags, ..] = call.args;
        if flags & MS_REMOUNT != 0 || flags & (MS_BIND | MS_MOVE) == 0 && flags & PROPAGATION != 0 {
            return;
        }
        let Some(to) = self.led(call, operands, 1, links) else { return };
        if flags & (MS_BIND | MS_MOVE) == 0 && call.string(2) == Some(b"overlay") {
            for (name, value) in call.string(4).into_iter().flat_map(settings) {
                if WRITTEN.contains(&&name[..]) {
                    self.write_to(call, &value, links);
                }
            }
        }
        let source = if flags & (MS_BIND | MS_MOVE) != 0 {
            call.string(0).and_then(|name| self.leads(call, None, name, links))
        } else {
            None
        };
        let Some(space) = self.space_mut(call.tid) else { return };
        match source {
            Some(from) if flags & MS_MOVE != 0 => space.move_mount(&from, &to),
            Some(from) => {
                let tree = space.tree(&from, flags & MS_REC != 0);
                space.mount(&to, tree);
            }
            None => space.mount(&to, unknown()),
        }
    }

    /// An overlay writes to this directory: from now on it holds what no call put there, and in
    /// every namespace it stands for nothing that is known.
    fn write_to(&mut self, call: &Call, directory: &[u8], links: ReadLink<'_>) {
        let Some(view) = self.leads(call, None, directory, links) else { return };
        let (place, elsewhere) = self.place_of(call.tid, &view);
        if elsewhere {
            return;
        }
        for space in self.spaces.values_mut().map(Arc::make_mut) {
            let view = space.view_of(&place);
            space.mount(&view, unknown());
        }
    }

    /// The view path that argument `arg` leads to.
    fn led(
        &self,
        call: &Call,
        operands: &Operands<T>,
        arg: u8,
        links: ReadLink<'_>,
    ) -> Option<Vec<u8>> {
        let way = call.spec()?.args[usize::from(arg)].kind.path_use()?;
        let dir = way.dir.filter(|dir| call.args[usize::from(*dir)] as i32 != AT_FDCWD);
        let base = match dir {
            Some(dir) => {
                Some(self.view_of(call.tid, &operands.fds[usize::from(dir)].as_ref()?.file))
            }
            None => None,
        };
        self.leads(call, base.as_deref(), call.path(arg)?, links)
    }

    /// The same of a path from a directory, or from the working directory.
    fn leads(
        &self,
        call: &Call,
        base: Option<&[u8]>,
        path: &[u8],
        links: ReadLink<'_>,
    ) -> Option<Vec<u8>> {
        let thread = self.threads.get(&call.tid)?;
        let fs = self.groups.get(&thread.fs)?;
        let root = fs.root.as_ref().map_or(&b"/"[..], |root| &root.view);
        let view = View { space: self.spaces.get(&thread.space)?.clone(), root: root.into() };
        let joined = view.join(base.unwrap_or(&fs.cwd.view), path);
        let inner = fs.root.as_ref().map(|root| &*root.view);
        let (path, way) = self.through(call, inner, joined, true);
        let descriptor =
            way.as_ref().filter(|way| way.rest.is_empty()).and_then(|w| w.descriptor());
        if let Some(descriptor) = descriptor {
            return Some(self.view_of(call.tid, &descriptor.file).into());
        }
        Some(view.resolve(&path, true, links).view)
    }

    fn pivot(&mut self, tid: u32, new: &[u8], old: &[u8]) {
        let Some(space) = self.threads.get(&tid).map(|t| t.space) else { return };
        let Some(changed) = self.spaces.get_mut(&space).map(Arc::make_mut) else { return };
        let became = changed.pivot(new, old);
        let mut groups: Vec<(u32, u32)> = self
            .threads
            .iter()
            .filter(|(_, t)| t.space == space)
            .map(|(tid, t)| (t.fs, *tid))
            .collect();
        groups.sort_unstable();
        groups.dedup_by_key(|(fs, _)| *fs);
        // Threads at the old root are at the new one (chroot_fs_refs in fs/fs_struct.c).
        let at = |view: &[u8]| if view == b"/" { b"/".to_vec() } else { became(view) };
        for (fs, tid) in groups {
            let Some(group) = self.groups.get(&fs) else { continue };
            let (cwd, root) = (group.cwd.clone(), group.root.clone());
            // The file stays the same one, and so does what stands for it.
            let cwd = match &cwd.view[..] {
                b"/" => self.directory_at(tid, b"/"),
                view => Arc::new(Directory {
                    path: cwd.path.clone(),
                    view: at(view).into(),
                    elsewhere: cwd.elsewhere,
                    real: T::default(),
                }),
            };
            let root = root.map(|root| at(&root.view)).filter(|view| view != b"/");
            let root = root.map(|view| self.directory_at(tid, &view));
            if let Some(group) = self.groups.get_mut(&fs) {
                (group.cwd, group.root) = (cwd, root);
            }
        }
    }

    /// setns(2): into the namespace of a process; of another one nothing is known.
    fn enter_space(&mut self, call: &Call, operands: &Operands<T>) {
        let [_, kind, ..] = call.args;
        let file = operands.fds[0].as_ref().map(|d| &d.file);
        let of_mounts = file.is_none_or(|f| f.path.starts_with(b"mnt:") || f.process().is_some());
        if kind & CLONE_NEWNS == 0 && !(kind == 0 && of_mounts) {
            return;
        }
        let other = file
            .and_then(|f| f.process())
            .and_then(|pid| self.threads.get(&pid))
            .map(|thread| thread.space);
        let space = match other {
            Some(space) => space,
            None => {
                let space = self.copy_space(0);
                if let Some(space) = self.spaces.get_mut(&space) {
                    Arc::make_mut(space).lose();
                }
                space
            }
        };
        self.own_fs(call.tid);
        let Some(thread) = self.threads.get_mut(&call.tid) else { return };
        thread.space = space;
        // It is at the root there.
        let cwd = self.directory_at(call.tid, b"/");
        if let Some(fs) = self.fs(call.tid) {
            (fs.cwd, fs.root) = (cwd, None);
        }
    }
}

/// The settings of a mount, `name=value` with commas between, in which a backslash takes the
/// meaning from what follows it.
fn settings(text: &[u8]) -> Vec<(Vec<u8>, Vec<u8>)> {
    let (mut all, mut one, mut taken) = (Vec::new(), Vec::new(), false);
    for &b in text.iter().chain(b",") {
        match b {
            b',' if !taken => {
                let setting: Vec<u8> = std::mem::take(&mut one);
                let at = setting.iter().position(|b| *b == b'=');
                all.extend(at.map(|at| (setting[..at].to_vec(), setting[at + 1..].to_vec())));
            }
            b'\\' if !taken => {
                taken = true;
                continue;
            }
            b => one.push(b),
        }
        taken = false;
    }
    all
}

/// A tree that stands for nothing.
fn unknown() -> Vec<Mount> {
    vec![Mount { point: Vec::new(), source: None }]
}

#[cfg(test)]
mod tests {
    #[test]
    fn settings_of_a_mount() {
        let read = |text: &str| {
            let pairs = super::settings(text.as_bytes()).into_iter();
            pairs.map(|(n, v)| [n, v].map(|b| String::from_utf8(b).unwrap()).join("=")).collect()
        };
        let of: Vec<String> = read("lowerdir=a:b,upperdir=/x\\,y\\\\z,index,workdir=w");
        assert_eq!(of, ["lowerdir=a:b", "upperdir=/x,y\\z", "workdir=w"]);
        assert_eq!(read(""), Vec::<String>::new());
    }
}
