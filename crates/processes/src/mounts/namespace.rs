//! Mount namespaces: what names mean to processes that mount file systems, or change their root.
//!
//! A *view* path is what a process's names mean in its namespace: absolute from the namespace's
//! root, without links. It *stands for* the path where the same file is in the namespace that the
//! recording began in, which is the one that inference and replay know. What a file system of the
//! program's own holds (a tmpfs, an overlay) stands nowhere there.
//!
//! Invariant: what a path stands for is said only where every mount on the way is known.
//! Propagation between namespaces is not followed: each has its own mounts from its beginning.

use crate::paths::{join, parent};
use std::collections::VecDeque;
use std::sync::Arc;

/// Links followed in one path (`MAXSYMLINKS`).
const LINKS: usize = 40;
/// So many mounts of a namespace are followed; with more, none is.
const MOST: usize = 1 << 16;

/// A mount that the program made.
#[derive(Clone, Debug)]
pub(crate) struct Mount {
    /// Where: a view path, or one from the top of a detached tree. Empty: the top itself.
    pub point: Vec<u8>,
    /// What the point stands for; `None`: nothing.
    pub source: Option<Vec<u8>>,
}

/// The mounts of a namespace, beyond those that it began with, in the order in which they were
/// made.
#[derive(Clone, Debug, Default)]
pub struct MountNamespace {
    mounts: Vec<Mount>,
    /// The old root lies on top of the new one (`pivot_root(".", ".")`).
    covered: bool,
}

/// What a process's paths mean: its namespace, and its root there.
#[derive(Clone, Debug)]
pub struct MountView {
    pub(crate) space: Arc<MountNamespace>,
    /// A view path.
    pub(crate) root: Box<[u8]>,
}

/// Where a path leads.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Resolved {
    /// The view path, without links as far as they are known.
    pub view: Vec<u8>,
    /// What it stands for.
    pub path: Option<Vec<u8>>,
}

/// Returns the rest of a clean path below `top`: empty, or with a slash at its beginning. Returns
/// `None` if the path is not below `top`.
pub(crate) fn strip_top<'a>(path: &'a [u8], top: &[u8]) -> Option<&'a [u8]> {
    let top = if top == b"/" { b"" } else { top };
    path.strip_prefix(top).filter(|rest| matches!(rest.first(), None | Some(b'/')))
}

/// Appends the rest of a path, as [`strip_top`] returns it, to a directory.
pub(crate) fn append_rest(top: &[u8], rest: &[u8]) -> Vec<u8> {
    let top = if top == b"/" { b"" } else { top };
    let rest = if rest == b"/" { b"" } else { rest };
    match [top, rest].concat() {
        path if path.is_empty() => b"/".to_vec(),
        path => path,
    }
}

impl MountNamespace {
    /// Returns whether paths mean what they meant when the recording began.
    pub(crate) fn is_unchanged(&self) -> bool {
        self.mounts.is_empty()
    }

    /// Returns the path in the first namespace for a path in this one. Returns `None` if it is on
    /// an unknown mount.
    pub(crate) fn original_path(&self, view: &[u8]) -> Option<Vec<u8>> {
        let over = self.mounts.iter().filter_map(|m| Some((m, strip_top(view, &m.point)?)));
        // Of equal ones the last is on top.
        match over.max_by_key(|(m, _)| m.point.len()) {
            Some((mount, rest)) => Some(append_rest(mount.source.as_deref()?, rest)),
            None => Some(view.to_vec()),
        }
    }

    /// Returns where something is mounted.
    pub(crate) fn mount_points(&self) -> impl Iterator<Item = &[u8]> {
        self.mounts.iter().map(|mount| &mount.point[..])
    }

    /// Returns a path in this namespace for a path in the first one: the one through the closest
    /// mount.
    pub(crate) fn path_here(&self, path: &[u8]) -> Vec<u8> {
        let through = |m: &Mount| {
            let source = m.source.as_deref()?;
            let view = append_rest(&m.point, strip_top(path, source)?);
            (self.original_path(&view)? == path).then_some((source.len(), view))
        };
        match self.mounts.iter().filter_map(through).max_by_key(|(len, _)| *len) {
            Some((_, view)) => view,
            None => path.to_vec(),
        }
    }

    /// Adds a mount. If there are too many, all mounts become unknown.
    fn add_mount(&mut self, mount: Mount) {
        if self.mounts.len() >= MOST {
            return self.forget_all();
        }
        self.mounts.push(mount);
    }

    /// Makes everything that is mounted here unknown.
    pub(crate) fn forget_all(&mut self) {
        self.mounts = vec![Mount { point: b"/".to_vec(), source: None }];
    }

    /// Returns the mounts at `view`, relative to it: the mount there and, if `all`, those below.
    pub(crate) fn copy_tree(&self, view: &[u8], all: bool) -> Vec<Mount> {
        let mut tree = vec![Mount { point: Vec::new(), source: self.original_path(view) }];
        if all {
            tree.extend(self.mounts.iter().filter_map(|m| {
                let rest =
                    strip_top(&m.point, view).filter(|rest| !rest.is_empty() && *rest != b"/")?;
                Some(Mount { point: rest.to_vec(), source: m.source.clone() })
            }));
        }
        tree
    }

    /// Mounts a tree at `view`.
    pub(crate) fn attach_tree(&mut self, view: &[u8], tree: Vec<Mount>) {
        for Mount { point, source } in tree {
            self.add_mount(Mount { point: append_rest(view, &point), source });
        }
    }

    /// Removes the mount at `view` and, if `all`, those below.
    pub(crate) fn unmount(&mut self, view: &[u8], all: bool) {
        if view == b"/" && self.covered {
            self.covered = false;
            return;
        }
        let found = self.mounts.iter().rposition(|m| m.point == view);
        if let Some(at) = found {
            self.mounts.remove(at);
        }
        if all && !self.mounts.iter().any(|m| m.point == view) {
            self.mounts.retain(|m| strip_top(&m.point, view).is_none());
        }
        if found.is_none() {
            // It was there at the start: what was below is unknown.
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
    /// function from old paths to new ones.
    pub(crate) fn pivot_root(
        &mut self,
        new: &[u8],
        old: &[u8],
    ) -> impl Fn(&[u8]) -> Vec<u8> + use<> {
        let place = strip_top(old, new).map(<[u8]>::to_vec).unwrap_or_default();
        let tree = self.copy_tree(new, true);
        let top = self.original_path(b"/");
        let rest: Vec<Mount> = self
            .mounts
            .drain(..)
            .filter(|m| strip_top(&m.point, new).is_none() && m.point != b"/")
            .collect();
        self.attach_tree(b"/", tree);
        self.covered = place.is_empty() || place == b"/";
        if !self.covered {
            self.add_mount(Mount { point: place.clone(), source: top });
            for Mount { point, source } in rest {
                self.add_mount(Mount { point: append_rest(&place, &point), source });
            }
        }
        let new = new.to_vec();
        move |view| match strip_top(view, &new) {
            Some(rest) => append_rest(b"/", rest),
            None => append_rest(&place, view),
        }
    }
}

impl MountView {
    /// Follows an absolute `path` as the kernel does, from the root of this view: `..` ends at the
    /// root, and absolute links start there. `link` returns the target of a symbolic link, given
    /// its path in the first namespace.
    pub fn resolve(
        &self,
        path: &[u8],
        follow: bool,
        link: &mut dyn FnMut(&[u8]) -> Option<Vec<u8>>,
    ) -> Resolved {
        let root = &self.root[..];
        let split = |path: &[u8]| -> Vec<Vec<u8>> {
            path.split(|b| *b == b'/').filter(|p| !p.is_empty()).map(<[u8]>::to_vec).collect()
        };
        let slash = path.ends_with(b"/");
        let (mut at, rest) = match strip_top(path, root) {
            Some(rest) => (root.to_vec(), rest),
            None => (b"/".to_vec(), path),
        };
        let mut parts: VecDeque<Vec<u8>> = split(rest).into();
        let mut links = 0;
        while let Some(name) = parts.pop_front() {
            match &name[..] {
                b"." => continue,
                b".." => {
                    if at != root {
                        at = parent(&at).to_vec();
                    }
                    continue;
                }
                _ => {}
            }
            let next = append_rest(&at, &[b"/", &name[..]].concat());
            let target = match self.space.original_path(&next) {
                Some(place) if follow || slash || !parts.is_empty() => link(&place),
                _ => None,
            };
            let Some(target) = target.filter(|_| links < LINKS) else {
                at = next;
                continue;
            };
            links += 1;
            if target.first() == Some(&b'/') {
                at = root.to_vec();
            }
            for part in split(&target).into_iter().rev() {
                parts.push_front(part);
            }
        }
        let mut path = self.space.original_path(&at);
        if let Some(path) = path.as_mut().filter(|path| slash && path.last() != Some(&b'/')) {
            path.push(b'/');
        }
        Resolved { view: at, path }
    }

    /// Returns the path in the first namespace for a path in this view.
    pub fn original_path(&self, view: &[u8]) -> Option<Vec<u8>> {
        self.space.original_path(view)
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
        MountView { space: Arc::new(space), root: root.as_bytes().into() }
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
        assert_eq!(view.space.path_here(b"/w/a/x"), b"/w/b/x");
        assert_eq!(view.space.path_here(b"/w/z"), b"/w/z");
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
