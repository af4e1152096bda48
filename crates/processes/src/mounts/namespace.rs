//! Mount namespaces: to which files paths lead in processes that mount file systems, or change
//! their root.
//!
//! A *view path* is the path of a file in the namespace of a process, from the root of the
//! namespace and without symbolic links. Its *original path* is the path of the same file in the
//! namespace in which the recording began, which is the one that inference and replay know. A file
//! on a file system that the program mounted (a tmpfs, an overlay) has no original path.
//!
//! Invariant: a path has an original path only if all mounts on the way are known. Propagation
//! between namespaces is not followed: each has its own mounts from its beginning.

use crate::paths::{join, parent};
use std::collections::VecDeque;
use std::sync::Arc;

/// The largest number of links that are followed in one path (`MAXSYMLINKS`).
const MAX_LINKS: usize = 40;
/// The largest number of mounts of a namespace that are followed. With more, none is.
const MAX_MOUNTS: usize = 1 << 16;

/// A mount that the program made.
#[derive(Clone, Debug)]
pub(crate) struct Mount {
    /// The mount point: a view path, or a path from the top of a detached tree; empty for the top.
    pub point: Vec<u8>,
    /// The original path of what is mounted there; `None`: it has none.
    pub source: Option<Vec<u8>>,
}

/// The mounts of a namespace, beyond those that it began with, in the order in which they were
/// made.
#[derive(Clone, Debug, Default)]
pub struct MountNamespace {
    mounts: Vec<Mount>,
    /// Whether the old root is mounted on top of the new one (`pivot_root(".", ".")`).
    is_root_covered: bool,
}

/// What determines to which files the paths of a process lead: its mount namespace, and its root
/// there.
#[derive(Clone, Debug)]
pub struct MountView {
    pub(crate) namespace: Arc<MountNamespace>,
    /// The view path of the root directory.
    pub(crate) root: Box<[u8]>,
}

/// Where a path leads.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Resolved {
    /// The view path. Symbolic links are resolved as far as they are known.
    pub view: Vec<u8>,
    /// The original path; `None`: there is none.
    pub path: Option<Vec<u8>>,
}

/// Returns the rest of a clean path below `directory`: empty, or with a slash at its beginning.
/// Returns `None` if the path is neither `directory` nor below it.
pub(crate) fn strip_directory<'a>(path: &'a [u8], directory: &[u8]) -> Option<&'a [u8]> {
    let directory = if directory == b"/" { b"" } else { directory };
    path.strip_prefix(directory).filter(|rest| matches!(rest.first(), None | Some(b'/')))
}

/// Appends the rest of a path, as [`strip_directory`] returns it, to a directory.
pub(crate) fn append_rest(directory: &[u8], rest: &[u8]) -> Vec<u8> {
    let directory = if directory == b"/" { b"" } else { directory };
    let rest = if rest == b"/" { b"" } else { rest };
    match [directory, rest].concat() {
        path if path.is_empty() => b"/".to_vec(),
        path => path,
    }
}

impl MountNamespace {
    /// Returns whether all paths lead to the files to which they led when the recording began.
    pub(crate) fn is_unchanged(&self) -> bool {
        self.mounts.is_empty()
    }

    /// Returns the original path for a view path. Returns `None` if it is on a mount that has none.
    pub(crate) fn original_path(&self, view: &[u8]) -> Option<Vec<u8>> {
        let covering =
            self.mounts.iter().filter_map(|m| Some((m, strip_directory(view, &m.point)?)));
        // If several mounts have the same point, the last one is on top.
        match covering.max_by_key(|(m, _)| m.point.len()) {
            Some((mount, rest)) => Some(append_rest(mount.source.as_deref()?, rest)),
            None => Some(view.to_vec()),
        }
    }

    /// Returns the mount points of all mounts, as view paths.
    pub(crate) fn mount_points(&self) -> impl Iterator<Item = &[u8]> {
        self.mounts.iter().map(|mount| &mount.point[..])
    }

    /// Returns the view path for an original path: the one through the closest mount. A path that
    /// no mount leads to is returned unchanged.
    pub(crate) fn path_here(&self, path: &[u8]) -> Vec<u8> {
        let view_through = |m: &Mount| {
            let source = m.source.as_deref()?;
            let view = append_rest(&m.point, strip_directory(path, source)?);
            (self.original_path(&view)? == path).then_some((source.len(), view))
        };
        match self.mounts.iter().filter_map(view_through).max_by_key(|(len, _)| *len) {
            Some((_, view)) => view,
            None => path.to_vec(),
        }
    }

    /// Adds a mount. If there are too many, all mounts become unknown.
    fn add_mount(&mut self, mount: Mount) {
        if self.mounts.len() >= MAX_MOUNTS {
            return self.make_all_unknown();
        }
        self.mounts.push(mount);
    }

    /// Makes everything that is mounted here unknown, so that no path has an original path.
    pub(crate) fn make_all_unknown(&mut self) {
        self.mounts = vec![Mount { point: b"/".to_vec(), source: None }];
    }

    /// Returns a detached copy of the mount at `view` and, if `with_submounts`, of those below.
    /// Their mount points are relative to `view`.
    pub(crate) fn copy_tree(&self, view: &[u8], with_submounts: bool) -> Vec<Mount> {
        let mut tree = vec![Mount { point: Vec::new(), source: self.original_path(view) }];
        if with_submounts {
            tree.extend(self.mounts.iter().filter_map(|m| {
                let relative = strip_directory(&m.point, view)
                    .filter(|relative| !relative.is_empty() && *relative != b"/")?;
                Some(Mount { point: relative.to_vec(), source: m.source.clone() })
            }));
        }
        tree
    }

    /// Mounts a detached tree at `view`.
    pub(crate) fn attach_tree(&mut self, view: &[u8], tree: Vec<Mount>) {
        for Mount { point, source } in tree {
            self.add_mount(Mount { point: append_rest(view, &point), source });
        }
    }

    /// Removes the mount at `view` and, if `with_submounts` and nothing else is mounted there,
    /// those below. If the mount was made before the recording, what was below it is unknown.
    pub(crate) fn unmount(&mut self, view: &[u8], with_submounts: bool) {
        if view == b"/" && self.is_root_covered {
            self.is_root_covered = false;
            return;
        }
        let index_found = self.mounts.iter().rposition(|m| m.point == view);
        if let Some(index) = index_found {
            self.mounts.remove(index);
        }
        if with_submounts && !self.mounts.iter().any(|m| m.point == view) {
            self.mounts.retain(|m| strip_directory(&m.point, view).is_none());
        }
        if index_found.is_none() {
            // It was mounted before the recording: what is below is unknown.
            self.add_mount(Mount { point: view.to_vec(), source: None });
        }
    }

    /// Moves the mount at `from` to `to`.
    pub(crate) fn move_mount(&mut self, from: &[u8], to: &[u8]) {
        let tree = self.copy_tree(from, true);
        self.unmount(from, true);
        self.attach_tree(to, tree);
    }

    /// Makes the mount at `new` the root, and mounts the old root at `old` below it. Returns a
    /// function that returns the new view path for an old one.
    pub(crate) fn pivot_root(
        &mut self,
        new: &[u8],
        old: &[u8],
    ) -> impl Fn(&[u8]) -> Vec<u8> + use<> {
        let old_root_at = strip_directory(old, new).map(<[u8]>::to_vec).unwrap_or_default();
        let tree = self.copy_tree(new, true);
        let old_root = self.original_path(b"/");
        let other_mounts: Vec<Mount> = self
            .mounts
            .drain(..)
            .filter(|m| strip_directory(&m.point, new).is_none() && m.point != b"/")
            .collect();
        self.attach_tree(b"/", tree);
        self.is_root_covered = old_root_at.is_empty() || old_root_at == b"/";
        if !self.is_root_covered {
            self.add_mount(Mount { point: old_root_at.clone(), source: old_root });
            for Mount { point, source } in other_mounts {
                self.add_mount(Mount { point: append_rest(&old_root_at, &point), source });
            }
        }
        let new = new.to_vec();
        move |view| match strip_directory(view, &new) {
            Some(rest) => append_rest(b"/", rest),
            None => append_rest(&old_root_at, view),
        }
    }
}

impl MountView {
    /// Follows an absolute `path` as the kernel does in a process with this view: `..` ends at the
    /// root, and absolute links start there. `follow` is whether a symbolic link in the last
    /// component is followed. `link` returns the target of a symbolic link, given its original
    /// path.
    pub fn resolve(
        &self,
        path: &[u8],
        follow: bool,
        link: &mut dyn FnMut(&[u8]) -> Option<Vec<u8>>,
    ) -> Resolved {
        let root = &self.root[..];
        let components = |path: &[u8]| -> Vec<Vec<u8>> {
            path.split(|b| *b == b'/').filter(|p| !p.is_empty()).map(<[u8]>::to_vec).collect()
        };
        let ends_in_slash = path.ends_with(b"/");
        let (mut current, rest) = match strip_directory(path, root) {
            Some(rest) => (root.to_vec(), rest),
            None => (b"/".to_vec(), path),
        };
        let mut parts: VecDeque<Vec<u8>> = components(rest).into();
        let mut link_count = 0;
        while let Some(name) = parts.pop_front() {
            match &name[..] {
                b"." => continue,
                b".." => {
                    if current != root {
                        current = parent(&current).to_vec();
                    }
                    continue;
                }
                _ => {}
            }
            let next_path = append_rest(&current, &[b"/", &name[..]].concat());
            let target = match self.namespace.original_path(&next_path) {
                Some(original) if follow || ends_in_slash || !parts.is_empty() => link(&original),
                _ => None,
            };
            let Some(target) = target.filter(|_| link_count < MAX_LINKS) else {
                current = next_path;
                continue;
            };
            link_count += 1;
            if target.first() == Some(&b'/') {
                current = root.to_vec();
            }
            for part in components(&target).into_iter().rev() {
                parts.push_front(part);
            }
        }
        let mut path = self.namespace.original_path(&current);
        if let Some(path) = path.as_mut().filter(|path| ends_in_slash && path.last() != Some(&b'/'))
        {
            path.push(b'/');
        }
        Resolved { view: current, path }
    }

    /// Returns the path in the first namespace for a path in this view.
    pub fn original_path(&self, view: &[u8]) -> Option<Vec<u8>> {
        self.namespace.original_path(view)
    }

    /// Joins a path to a directory, or to the root if it is absolute.
    pub(crate) fn join(&self, base: &[u8], path: &[u8]) -> Box<[u8]> {
        join(Some(&self.root[..]).filter(|root| *root != b"/"), base, path)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn view(mounts: &[(&str, Option<&str>)], root: &str) -> MountView {
        let mut space = MountNamespace::default();
        for (point, source) in mounts {
            let source = source.map(|s| s.as_bytes().to_vec());
            space.attach_tree(point.as_bytes(), vec![Mount { point: Vec::new(), source }]);
        }
        MountView { namespace: Arc::new(space), root: root.as_bytes().into() }
    }

    fn leads(view: &MountView, path: &str) -> Option<String> {
        let mut link = |path: &[u8]| match path {
            b"/w/l" => Some(b"b".to_vec()),
            b"/jail/abs" => Some(b"/in".to_vec()),
            b"/w/up" => Some(b"../../w/b/x".to_vec()),
            _ => None,
        };
        let path = view.resolve(path.as_bytes(), true, &mut link).path?;
        Some(String::from_utf8(path).unwrap())
    }

    #[test]
    fn mounts_cover_what_is_below_them() {
        let view = view(&[("/w/b", Some("/w/a")), ("/w/b/t", None), ("/w/f", Some("/w/g"))], "/");
        for (path, place) in [
            ("/w/b/x", Some("/w/a/x")),
            ("/w/b", Some("/w/a")),
            ("/w/bb", Some("/w/bb")),
            ("/w/b/../c", Some("/w/c")),
            ("/w/l/x", Some("/w/a/x")),
            ("/w/up", Some("/w/a/x")),
            ("/w/b/t/x", None),
            ("/w/b/t/../y", Some("/w/a/y")),
            ("/w/f", Some("/w/g")),
            ("/w/b/", Some("/w/a/")),
        ] {
            assert_eq!(leads(&view, path).as_deref(), place, "{path}");
        }
        assert_eq!(view.namespace.path_here(b"/w/a/x"), b"/w/b/x");
        assert_eq!(view.namespace.path_here(b"/w/z"), b"/w/z");
    }

    #[test]
    fn nothing_leads_out_of_a_root() {
        let view = view(&[], "/jail");
        for (path, place) in [
            ("/jail/../../x", "/jail/x"),
            ("/jail/in/../../../x", "/jail/x"),
            ("/jail/abs/x", "/jail/in/x"),
            ("/jail", "/jail"),
        ] {
            assert_eq!(leads(&view, path).as_deref(), Some(place), "{path}");
        }
        // A working directory may be outside.
        assert_eq!(leads(&view, "/out/../x").as_deref(), Some("/x"));
    }

    #[test]
    fn what_is_unmounted_shows_what_was_below() {
        let mut space = MountNamespace::default();
        space.attach_tree(b"/b", space.copy_tree(b"/a", true));
        space.attach_tree(b"/b/c", vec![Mount { point: Vec::new(), source: None }]);
        space.attach_tree(b"/d", space.copy_tree(b"/b", true));
        assert_eq!(space.original_path(b"/d/c/x"), None);
        assert_eq!(space.original_path(b"/d/x"), Some(b"/a/x".to_vec()));
        space.unmount(b"/b", true);
        assert_eq!(space.original_path(b"/b/c"), Some(b"/b/c".to_vec()));
        space.move_mount(b"/d", b"/e");
        assert_eq!(space.original_path(b"/d/x"), Some(b"/d/x".to_vec()));
        assert_eq!(space.original_path(b"/e/c/x"), None);
        // One that was there before the recording.
        space.unmount(b"/home", false);
        assert_eq!(space.original_path(b"/home/x"), None);
    }

    #[test]
    fn a_root_is_exchanged() {
        let mut space = MountNamespace::default();
        space.attach_tree(b"/n", vec![Mount { point: Vec::new(), source: None }]);
        space.attach_tree(b"/n/usr", space.copy_tree(b"/usr", true));
        let became = space.pivot_root(b"/n", b"/n/old");
        assert_eq!(became(b"/n/usr/x"), b"/usr/x");
        assert_eq!(became(b"/home"), b"/old/home");
        assert_eq!(became(b"/n"), b"/");
        assert_eq!(space.original_path(b"/usr/x"), Some(b"/usr/x".to_vec()));
        assert_eq!(space.original_path(b"/old/home"), Some(b"/home".to_vec()));
        assert_eq!(space.original_path(b"/x"), None);
        space.attach_tree(b"/h", space.copy_tree(b"/old/home", true));
        space.unmount(b"/old", true);
        assert_eq!(space.original_path(b"/old/home"), None);
        assert_eq!(space.original_path(b"/h/x"), Some(b"/home/x".to_vec()));
        let mut space = MountNamespace::default();
        space.attach_tree(b"/n", space.copy_tree(b"/n", false));
        let became = space.pivot_root(b"/n", b"/n");
        assert_eq!(became(b"/n/x"), b"/x");
        space.unmount(b"/", true);
        assert_eq!(space.original_path(b"/x"), Some(b"/n/x".to_vec()));
    }
}
