//! Symbolic links that lead into file systems that make their files up: `/etc/mtab`, and what
//! programs link to `/dev/stdout`. Replay must know them: there they lead to
//! nothing, or to a file that is none of the recorded ones.
//!
//! They are found by their paths as written; a path to one through another link does not find it.

use crate::Processes;
use crate::arguments::Operands;
use crate::paths::{join, lexical, parent};
use abi::{CallSpec, Kind, Role};
use linux_raw_sys::general;
use std::collections::BTreeMap;
use trace::call::Call;

/// Links followed in one path (`MAXSYMLINKS`).
const LINKS: usize = 40;
/// So many are remembered.
const MOST: usize = 1 << 16;
const RENAME_EXCHANGE: u64 = general::RENAME_EXCHANGE as u64;

/// Where each link leads, clean paths both.
pub(crate) type Links = BTreeMap<Vec<u8>, Vec<u8>>;

impl<T: Default> Processes<T> {
    /// Adds symbolic links that existed when the recording began, with their targets. Those that
    /// lead into virtual file systems are remembered.
    pub fn add_links(&mut self, links: &[(&[u8], &[u8])]) {
        // One may lead to another that comes later.
        for _ in 0..LINKS {
            let before = self.links.len();
            links.iter().for_each(|(path, target)| self.add_link(None, path, target));
            if self.links.len() == before {
                break;
            }
        }
    }

    /// Remembers a symbolic link if it leads into a virtual file system.
    fn add_link(&mut self, root: Option<&[u8]>, path: &[u8], target: &[u8]) {
        let path = lexical(path);
        let leads = lexical(&join(root, parent(&path), target));
        let leads = self.follow_links(&leads, true).unwrap_or(leads);
        if self.links.len() < MOST && self.mounts.is_virtual(&leads) {
            self.links.insert(path, leads);
        }
    }

    /// Returns the path that `path` leads to by remembered links. Returns `None` if no such link is
    /// on it.
    pub(crate) fn follow_links(&self, path: &[u8], follow: bool) -> Option<Vec<u8>> {
        if self.links.is_empty() {
            return None;
        }
        let mut clean = lexical(path);
        let mut found = false;
        for _ in 0..LINKS {
            let ends = (1..=clean.len()).filter(|end| matches!(clean.get(*end), None | Some(b'/')));
            let Some((end, leads)) = ends
                .filter(|end| follow || *end < clean.len())
                .find_map(|end| Some((end, self.links.get(&clean[..end])?)))
            else {
                break;
            };
            clean = lexical(&[leads, &clean[end..]].concat());
            found = true;
        }
        found.then_some(clean)
    }

    /// Applies a call that succeeded to the remembered links: it may create, remove or rename them.
    pub(crate) fn apply_to_links(&mut self, call: &Call, spec: &CallSpec, operands: &Operands<T>) {
        let text = spec.args.iter().position(|a| a.kind == Kind::Str);
        if self.links.is_empty() && text.is_none() {
            return;
        }
        let mut moved = None;
        for (i, arg) in spec.args.iter().enumerate() {
            let (Some(way), Some(path)) = (arg.kind.path_use(), &operands.paths[i]) else {
                continue;
            };
            let path = lexical(path);
            match way.role {
                Role::Create => match text.and_then(|text| call.string(text as u8)) {
                    Some(target) => {
                        let root = operands.root.as_ref().map(|root| &*root.path);
                        self.add_link(root, &path, target);
                    }
                    None => self.add_links_below(&path, moved.take().unwrap_or_default()),
                },
                Role::Remove | Role::RemoveDirectory => drop(self.take_links_below(&path)),
                Role::Lookup => {
                    moved = self.links.get(&path).map(|at| vec![(Vec::new(), at.clone())]);
                }
                Role::Source => moved = Some(self.take_links_below(&path)),
                Role::Target => {
                    let there = self.take_links_below(&path);
                    self.add_links_below(&path, moved.take().unwrap_or_default());
                    let flags = spec.args.iter().zip(call.args);
                    let exchange = flags
                        .filter(|(a, _)| matches!(a.kind, Kind::Flags(_)))
                        .any(|(_, value)| value & RENAME_EXCHANGE != 0);
                    if let Some(from) = operands.paths.values().next().filter(|_| exchange) {
                        self.add_links_below(&lexical(from), there);
                    }
                }
                Role::Open(_) => {}
            }
        }
    }

    /// Removes the links at and below a path. Returns for each the rest of its path, and its
    /// target.
    fn take_links_below(&mut self, path: &[u8]) -> Vec<(Vec<u8>, Vec<u8>)> {
        let within = |link: &[u8]| {
            link.strip_prefix(path).is_some_and(|rest| matches!(rest.first(), None | Some(b'/')))
        };
        let links: Vec<Vec<u8>> = self
            .links
            .range(path.to_vec()..)
            .map(|(link, _)| link)
            .take_while(|link| link.starts_with(path))
            .filter(|link| within(link))
            .cloned()
            .collect();
        let taken = links.into_iter().filter_map(|link| {
            let leads = self.links.remove(&link)?;
            Some((link[path.len()..].to_vec(), leads))
        });
        taken.collect()
    }

    /// Adds links whose paths are relative to `path`.
    fn add_links_below(&mut self, path: &[u8], links: Vec<(Vec<u8>, Vec<u8>)>) {
        let links = links.into_iter().map(|(rest, leads)| ([path, &rest[..]].concat(), leads));
        self.links.extend(links);
    }
}
