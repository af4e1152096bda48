//! Paths of files that calls reach through descriptors, for calls that DataSeries has with a path
//! only.
//!
//! An open file has the path by which it was opened, changed by the renames since; it has none once
//! that is removed. Paths are those that the program would use: relative to its working directory
//! if both are below the directory in which the program was started, else absolute. The targets of
//! symbolic links are known for opened files only: a rename through a link is not followed.

use ahash::HashMap;
use linux_raw_sys::general::RENAME_EXCHANGE;
use model::Tables;
use model::files::{FileType, Final, Row};
use model::processes::{Descriptor, Directory, OpenFile, Operands, Processes, lexical};
use std::collections::BTreeMap;
use std::sync::{Arc, Weak};
use trace::record::RecordKind;
use trace::{Call, Event, Trace};

/// The longest path that a call takes (`PATH_MAX`), without its NUL.
const MAX_PATH: usize = 4095;

/// The current path of an open file or directory.
struct CurrentPath<T> {
    /// The file or directory; it is gone when no process has it open.
    file: Weak<T>,
    /// `None`: it was removed.
    path: Option<Vec<u8>>,
}

/// The paths of all open files and directories.
#[derive(Default)]
pub(crate) struct Names {
    /// The directory in which the program was started.
    start: Option<Vec<u8>>,
    /// By the id of the open file.
    files: HashMap<u64, CurrentPath<OpenFile>>,
    /// Working directories, by their address in memory.
    directories: HashMap<usize, CurrentPath<Directory<()>>>,
    /// Whether each path of the trace was a symbolic link at any time; `None` until it is asked
    /// for.
    links: Option<BTreeMap<Vec<u8>, bool>>,
}

impl Names {
    /// Updates the known paths from an event, after [`Processes`] took it.
    pub fn observe_event(&mut self, event: &Event, processes: &Processes<()>) {
        match event.kind {
            RecordKind::State => {
                if let Some(directory) = processes.directory(event.tid) {
                    self.start.get_or_insert_with(|| directory.path.to_vec());
                    self.add_directory(directory);
                }
            }
            RecordKind::Descriptor if !event.is_mapping() => {
                if let Some(d) = processes.descriptor(event.tid, event.args[0] as i32) {
                    self.add_open_file(d);
                }
            }
            _ => {}
        }
    }

    /// Updates the known paths from a call that returned, after [`Processes`] took it.
    pub fn observe(&mut self, call: &Call, operands: &Operands<()>) {
        operands.opened.iter().for_each(|(_, d)| self.add_open_file(d));
        if let Some(directory) = &operands.directory {
            self.add_directory(directory);
        }
        let Some(spec) = call.spec().filter(|s| s.changes && call.succeeded()) else { return };
        let mut source = None;
        for (i, role) in
            spec.args.iter().enumerate().filter_map(|(i, a)| Some((i, a.kind.path_use()?.role)))
        {
            let Some(path) = self.current_path(i, call, operands) else { continue };
            match role {
                abi::Role::Source => source = Some(path),
                abi::Role::Target => {
                    if let Some(old) = source.take() {
                        let exchanged = call
                            .args
                            .get(i + 1)
                            .is_some_and(|f| f & u64::from(RENAME_EXCHANGE) != 0)
                            && spec.args.len() > i + 1;
                        self.apply_rename(&old, &path, exchanged);
                    }
                }
                abi::Role::Remove | abi::Role::RemoveDirectory => self.apply_removal(&path),
                abi::Role::Lookup | abi::Role::Open(_) | abi::Role::Create => {}
            }
        }
    }

    /// Returns the path in an argument, joined with the current path of its directory.
    fn current_path(&self, arg: usize, call: &Call, operands: &Operands<()>) -> Option<Vec<u8>> {
        let path = operands.paths[arg].as_deref()?;
        let given = call.path(arg as u8)?;
        if given.starts_with(b"/") {
            return Some(lexical(path));
        }
        let way = call.spec()?.args[arg].kind.path_use()?;
        let base = match way.dir.map(usize::from).filter(|d| !is_cwd(call.args[*d])) {
            Some(dir) => self.file_path(&operands.fds[dir].as_ref()?.file)?,
            None => self.directory_path(operands.cwd.as_ref()?)?,
        };
        Some(lexical(&[base, b"/", given].concat()))
    }

    /// Adds the path of the file of a new descriptor.
    fn add_open_file(&mut self, d: &Arc<Descriptor<()>>) {
        if !d.file.is_stored() {
            return;
        }
        prune(&mut self.files);
        self.files.entry(d.file.id).or_insert_with(|| CurrentPath {
            file: Arc::downgrade(&d.file),
            path: Some(d.file.path.to_vec()),
        });
    }

    /// Adds the path of a working directory.
    fn add_directory(&mut self, directory: &Arc<Directory<()>>) {
        prune(&mut self.directories);
        let key = Arc::as_ptr(directory) as usize;
        let new =
            CurrentPath { file: Arc::downgrade(directory), path: Some(directory.path.to_vec()) };
        // An address may be used again.
        match self.directories.get(&key) {
            Some(known) if known.file.strong_count() > 0 => {}
            _ => drop(self.directories.insert(key, new)),
        }
    }

    /// Returns the current path of an open file.
    fn file_path(&self, file: &OpenFile) -> Option<&[u8]> {
        self.files.get(&file.id)?.path.as_deref()
    }

    /// Returns the current path of a working directory.
    fn directory_path<'a>(&'a self, directory: &'a Arc<Directory<()>>) -> Option<&'a [u8]> {
        match self.directories.get(&(Arc::as_ptr(directory) as usize)) {
            Some(known) => known.path.as_deref(),
            None => Some(&directory.path),
        }
    }

    /// Returns all known paths, to change them.
    fn all_paths(&mut self) -> impl Iterator<Item = &mut Option<Vec<u8>>> {
        let files = self.files.values_mut().map(|f| &mut f.path);
        files.chain(self.directories.values_mut().map(|d| &mut d.path))
    }

    /// Changes the known paths that a rename moved, or that it exchanged. Files that it replaced
    /// have no path any more.
    fn apply_rename(&mut self, old: &[u8], new: &[u8], exchanged: bool) {
        if old == new {
            return;
        }
        for name in self.all_paths() {
            let Some(path) = name else { continue };
            if let Some(rest) = strip_base(old, path) {
                *name = Some(join(new, rest));
            } else if let Some(rest) = strip_base(new, path) {
                *name = exchanged.then(|| join(old, rest));
            }
        }
    }

    /// Forgets the path of a file that was removed.
    fn apply_removal(&mut self, path: &[u8]) {
        for name in self.all_paths() {
            if name.as_deref() == Some(path) {
                *name = None;
            }
        }
    }

    /// Returns the path of the file of descriptor argument `fd`, as the process can use it.
    pub fn descriptor_path(&self, fd: usize, operands: &Operands<()>) -> Option<Vec<u8>> {
        let file = &operands.fds[fd].as_ref()?.file;
        let path = self.path_for_process(self.file_path(file)?, operands)?;
        Some(if path.is_empty() { b".".to_vec() } else { path })
    }

    /// Returns a path that means the same as `path` relative to the directory descriptor in
    /// argument `dir`, but needs no descriptor.
    pub fn without_dirfd(
        &self,
        dir: usize,
        path: &[u8],
        call: &Call,
        operands: &Operands<()>,
    ) -> Option<Vec<u8>> {
        if path.starts_with(b"/") || is_cwd(call.args[dir]) {
            return Some(path.to_vec());
        }
        if path.is_empty() {
            return self.descriptor_path(dir, operands);
        }
        let directory =
            self.path_for_process(self.file_path(&operands.fds[dir].as_ref()?.file)?, operands)?;
        let path = if directory.is_empty() { path.to_vec() } else { join(&directory, path) };
        (path.len() <= MAX_PATH).then_some(path)
    }

    /// Converts an absolute path to one that the process can use under its root: empty for its
    /// working directory. Returns `None` if there is none, or it is unknown.
    fn path_for_process(&self, path: &[u8], operands: &Operands<()>) -> Option<Vec<u8>> {
        // In its own mount namespace the process has other paths.
        if operands.view.is_some() {
            return None;
        }
        let in_root = match &operands.root {
            Some(root) => join(b"", strip_base(&root.path, path)?),
            None => path.to_vec(),
        };
        let start = self.start.as_deref().unwrap_or(b"/");
        let cwd = operands.cwd.as_ref().and_then(|d| self.directory_path(d));
        if let Some(cwd) = cwd
            && strip_base(start, cwd).is_some()
            && strip_base(start, path).is_some()
        {
            return Some(relative_path(cwd, path));
        }
        Some(in_root)
    }

    /// Returns whether a path argument may name a symbolic link. Returns false only if the trace
    /// shows that it never did.
    pub fn may_be_link(&mut self, arg: usize, operands: &Operands<()>, trace: &Trace) -> bool {
        let Some(path) = operands.paths[arg].as_deref().map(lexical) else { return true };
        let links = self.links.get_or_insert_with(|| find_links(trace));
        links.get(&path).copied().unwrap_or(true)
    }
}

/// Returns whether a directory descriptor stands for the working directory.
pub(crate) fn is_cwd(fd: u64) -> bool {
    fd as i32 == abi::AT_FDCWD
}

/// Returns the paths of the trace's manifest, and whether each was a symbolic link at any time.
fn find_links(trace: &Trace) -> BTreeMap<Vec<u8>, bool> {
    let is_link = |row: &Row| {
        let first = row.initial.as_ref().map(|s| s.kind);
        let last = match &row.last {
            Final::Present(state, _) => Some(state.kind),
            Final::Absent | Final::Unknown(_) => None,
        };
        let plain = |k: &FileType| matches!(k, FileType::Regular | FileType::Directory);
        let kinds: Vec<FileType> = first.into_iter().chain(last).collect();
        kinds.is_empty() || !kinds.iter().all(plain)
    };
    let mut links: BTreeMap<Vec<u8>, bool> = trace
        .files()
        .unwrap_or_default()
        .into_iter()
        .map(|row| (row.path.clone(), is_link(&row)))
        .collect();
    // A link that was created and removed is in no first or last state.
    let mut processes = Processes::<()>::new();
    for item in trace.read(trace::ReadOptions { data: false }).map_while(Result::ok) {
        let call = match item {
            trace::Item::Event(event) => {
                processes.event(&event);
                continue;
            }
            trace::Item::Call(call) => call,
        };
        let mut operands = processes.enter(&call);
        processes.leave(&call, &mut operands);
        let Some(spec) = call.spec().filter(|s| s.changes && call.succeeded()) else { continue };
        let has_link_target = spec.args.iter().any(|a| a.kind == abi::Kind::Str);
        let mut source_may_be_link = true;
        for (i, role) in
            spec.args.iter().enumerate().filter_map(|(i, a)| Some((i, a.kind.path_use()?.role)))
        {
            let Some(path) = operands.paths[i].as_deref().map(lexical) else { continue };
            match role {
                abi::Role::Source => {
                    source_may_be_link = links.get(&path).copied().unwrap_or(true);
                }
                abi::Role::Target if source_may_be_link => drop(links.insert(path, true)),
                abi::Role::Create if has_link_target => drop(links.insert(path, true)),
                _ => {}
            }
        }
    }
    links
}

/// Returns the rest of a clean path that is `base` or lies below it.
fn strip_base<'a>(base: &[u8], path: &'a [u8]) -> Option<&'a [u8]> {
    let base = if base == b"/" { b"" } else { base };
    match path.strip_prefix(base)? {
        [] => Some(b""),
        [b'/', rest @ ..] => Some(rest),
        _ => None,
    }
}

/// Joins a directory and a relative path.
fn join(directory: &[u8], rest: &[u8]) -> Vec<u8> {
    match (directory, rest) {
        (directory, []) if !directory.is_empty() => directory.to_vec(),
        (b"/", rest) => [b"/", rest].concat(),
        _ => [directory, b"/", rest].concat(),
    }
}

/// Returns the relative path that leads from the directory `from` to `path`. Both are clean and
/// absolute.
fn relative_path(from: &[u8], path: &[u8]) -> Vec<u8> {
    let parts = |p: &[u8]| {
        p.split(|b| *b == b'/').filter(|p| !p.is_empty()).map(<[u8]>::to_vec).collect::<Vec<_>>()
    };
    let (from, path) = (parts(from), parts(path));
    let common = from.iter().zip(&path).take_while(|(a, b)| a == b).count();
    let up = std::iter::repeat_n(b"..".to_vec(), from.len() - common);
    up.chain(path[common..].iter().cloned()).collect::<Vec<_>>().join(&b'/')
}

/// Removes files that are not open any more, whenever the number of files has doubled.
fn prune<K: std::hash::Hash + Eq, T>(all: &mut HashMap<K, CurrentPath<T>>) {
    if all.len() >= 1024 && all.len().is_power_of_two() {
        all.retain(|_, known| known.file.strong_count() > 0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ways_between_directories() {
        assert_eq!(relative_path(b"/a/b", b"/a/b"), b"");
        assert_eq!(relative_path(b"/a", b"/a/b/c"), b"b/c");
        assert_eq!(relative_path(b"/a/b", b"/a/c"), b"../c");
        assert_eq!(relative_path(b"/", b"/a"), b"a");
        assert_eq!(strip_base(b"/a", b"/a/b"), Some(&b"b"[..]));
        assert_eq!((strip_base(b"/a", b"/ab"), strip_base(b"/", b"/ab")), (None, Some(&b"ab"[..])));
        assert_eq!((join(b"/", b"a"), join(b"/a", b"")), (b"/a".to_vec(), b"/a".to_vec()));
        assert_eq!(join(b"", b""), b"/");
    }
}
