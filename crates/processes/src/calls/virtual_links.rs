//! Symbolic links to virtual file systems: `/etc/mtab`, and links of programs to `/dev/stdout`.
//! Replay must know them, since in its root they lead to nothing, or to another file.
//!
//! They are found by their own paths. A path that leads to one through another symbolic link does
//! not find it.

use crate::Processes;
use crate::arguments::Operands;
use crate::paths::{join, lexical, parent};
use abi::{CallSpec, Kind, Role};
use linux_raw_sys::general;
use std::collections::BTreeMap;
use trace::call::Call;

/// The largest number of links that are followed in one path (`MAXSYMLINKS`).
const MAX_LINKS: usize = 40;
/// The largest number of links that are remembered.
const MAX_REMEMBERED: usize = 1 << 16;
const RENAME_EXCHANGE: u64 = general::RENAME_EXCHANGE as u64;

/// Symbolic links to virtual file systems: their paths, and the paths that they lead to. Both are
/// clean.
pub(crate) type Links = BTreeMap<Vec<u8>, Vec<u8>>;

impl<T: Default> Processes<T> {
    /// Adds symbolic links that existed when the recording began, as (path, target). Those that
    /// lead to virtual file systems are remembered.
    pub fn add_links(&mut self, links: &[(&[u8], &[u8])]) {
        // A link may lead to one that is later in the list.
        for _ in 0..MAX_LINKS {
            let count_before = self.virtual_links.len();
            links.iter().for_each(|(path, target)| self.add_link(None, path, target));
            if self.virtual_links.len() == count_before {
                break;
            }
        }
    }

    /// Remembers the symbolic link at `path` if it leads to a virtual file system. `root` is the
    /// root directory of the process that created it.
    fn add_link(&mut self, root: Option<&[u8]>, path: &[u8], target: &[u8]) {
        let path = lexical(path);
        let destination = lexical(&join(root, parent(&path), target));
        let destination = self.follow_virtual_links(&destination, true).unwrap_or(destination);
        if self.virtual_links.len() < MAX_REMEMBERED && self.mounts.is_virtual(&destination) {
            self.virtual_links.insert(path, destination);
        }
    }

    /// Follows remembered symbolic links on `path`. Returns the path that results, or `None` if
    /// there is no such link on it. `follow` is whether a link in the last component is followed.
    pub(crate) fn follow_virtual_links(&self, path: &[u8], follow: bool) -> Option<Vec<u8>> {
        if self.virtual_links.is_empty() {
            return None;
        }
        let mut clean = lexical(path);
        let mut followed_any = false;
        for _ in 0..MAX_LINKS {
            let ends = (1..=clean.len()).filter(|end| matches!(clean.get(*end), None | Some(b'/')));
            let Some((end, destination)) = ends
                .filter(|end| follow || *end < clean.len())
                .find_map(|end| Some((end, self.virtual_links.get(&clean[..end])?)))
            else {
                break;
            };
            clean = lexical(&[destination, &clean[end..]].concat());
            followed_any = true;
        }
        followed_any.then_some(clean)
    }

    /// Applies a call that succeeded to the remembered links: it may create, remove or rename them.
    pub(crate) fn apply_to_links(&mut self, call: &Call, spec: &CallSpec, operands: &Operands<T>) {
        let target_arg = spec.args.iter().position(|a| a.kind == Kind::Str);
        if self.virtual_links.is_empty() && target_arg.is_none() {
            return;
        }
        let mut moved = None;
        for (i, arg) in spec.args.iter().enumerate() {
            let (Some(path_use), Some(path)) = (arg.kind.path_use(), &operands.paths[i]) else {
                continue;
            };
            let path = lexical(path);
            match path_use.role {
                Role::Create => {
                    match target_arg.and_then(|target_arg| call.string(target_arg as u8)) {
                        Some(target) => {
                            let root = operands.root.as_ref().map(|root| &*root.path);
                            self.add_link(root, &path, target);
                        }
                        None => self.add_links_below(&path, moved.take().unwrap_or_default()),
                    }
                }
                Role::Remove | Role::RemoveDirectory => drop(self.remove_links_below(&path)),
                Role::Lookup => {
                    moved = self
                        .virtual_links
                        .get(&path)
                        .map(|destination| vec![(Vec::new(), destination.clone())]);
                }
                Role::Source => moved = Some(self.remove_links_below(&path)),
                Role::Target => {
                    let replaced = self.remove_links_below(&path);
                    self.add_links_below(&path, moved.take().unwrap_or_default());
                    let flags = spec.args.iter().zip(call.args);
                    let is_exchange = flags
                        .filter(|(a, _)| matches!(a.kind, Kind::Flags(_)))
                        .any(|(_, value)| value & RENAME_EXCHANGE != 0);
                    if let Some(from) = operands.paths.values().next().filter(|_| is_exchange) {
                        self.add_links_below(&lexical(from), replaced);
                    }
                }
                Role::Open(_) => {}
            }
        }
    }

    /// Removes the remembered links at and below a path. Returns for each the rest of its path, and
    /// the path that it leads to.
    fn remove_links_below(&mut self, path: &[u8]) -> Vec<(Vec<u8>, Vec<u8>)> {
        let is_at_or_below = |link: &[u8]| {
            link.strip_prefix(path).is_some_and(|rest| matches!(rest.first(), None | Some(b'/')))
        };
        let links: Vec<Vec<u8>> = self
            .virtual_links
            .range(path.to_vec()..)
            .map(|(link, _)| link)
            .take_while(|link| link.starts_with(path))
            .filter(|link| is_at_or_below(link))
            .cloned()
            .collect();
        let removed = links.into_iter().filter_map(|link| {
            let destination = self.virtual_links.remove(&link)?;
            Some((link[path.len()..].to_vec(), destination))
        });
        removed.collect()
    }

    /// Adds links whose paths are relative to `path`.
    fn add_links_below(&mut self, path: &[u8], links: Vec<(Vec<u8>, Vec<u8>)>) {
        let links =
            links.into_iter().map(|(rest, destination)| ([path, &rest[..]].concat(), destination));
        self.virtual_links.extend(links);
    }
}
