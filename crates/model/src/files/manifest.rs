//! From the model to the manifest's rows, with a look at the live file system for what stands there
//! now.

mod final_state;
mod late;
mod scan;
mod snapshot;

pub use scan::{Differs, compared_xattr, digest};
pub use snapshot::{Copied, Reader as CopiedReader, Writer};

use super::live::{Found, Machine};
use super::names::Names;
use super::node::{Node, NodeId};
use super::row::{Content, FileType, Final, Row, State, Unnamed};
use ahash::{HashMap, HashSet};
use final_state::{Live, find_final_state, hash_content};
use late::{ONLY_LISTED, changed_late, only_listed};
use processes::{BY_OPERATIONS, BY_STORES};
use std::collections::BTreeMap;
use std::io;

/// The rows of a finished model.
pub struct Manifest {
    /// In the order of their paths.
    pub rows: Vec<Row>,
    /// Those of the files that had lost their names when the recording began, likewise.
    pub unnamed: Vec<Row>,
    /// Names whose final state no recorded call explains, in the order of their paths.
    pub late: Vec<Vec<u8>>,
    /// Names of which the final state could not be read.
    pub unreadable: u64,
    /// Files that the snapshot could not copy.
    pub uncopied: u64,
}

/// The names of a finished model, and what is known of them.
struct Paths {
    /// All of them, in order.
    all: Vec<Vec<u8>>,
    /// What stood under them at first.
    first: BTreeMap<Vec<u8>, NodeId>,
    /// What stands under them now.
    now: BTreeMap<Vec<u8>, NodeId>,
    /// What the live file system shows under each of `all`, or why that is not known.
    lasts: Vec<Result<Option<Live>, String>>,
    /// Files that are known under several numbers, and the number that counts.
    same: HashMap<NodeId, NodeId>,
    /// How many names each file had at first, and has now.
    counts: HashMap<NodeId, (u32, u32)>,
}

/// Builds the rows of the manifest. With `look`, the final state is read from the file system; else
/// it is unknown. With `snapshot`, bytes that the program opened and did not move are copied.
/// `unnamed` are files that had lost their names when the recording began.
pub fn build(
    names: &mut Names,
    unnamed: &BTreeMap<(u64, u64), NodeId>,
    look: Option<&dyn Machine>,
    watched: bool,
    snapshot: Option<&mut Writer>,
) -> io::Result<Manifest> {
    if let Some(machine) = look {
        names.apply_final_links(&mut |path| machine.find(path).ok().map(Found::seen));
    } else {
        names.lead_changed_links(&mut |_| None);
    }
    names.fill_directories();
    let mut paths = Paths::of(names, look);
    paths.learn(names);
    let uncopied = match snapshot.zip(look) {
        Some((snapshot, machine)) => copy(names, &paths, machine, snapshot)?,
        None => 0,
    };
    let mut late = Vec::new();
    if watched {
        late = changed_late(names, &paths.all, &mut paths.lasts, &paths.now, look);
    } else {
        only_listed(names, &paths.all, &mut paths.lasts, &paths.now);
    }
    paths.count(names, unnamed);

    let made_up = paths.now.iter().filter(|(_, id)| names.node(**id).made_up);
    let made_up: Vec<Vec<u8>> = made_up.map(|(path, _)| path.clone()).collect();
    let mut manifest = Manifest {
        rows: Vec::with_capacity(paths.all.len()),
        unnamed: Vec::new(),
        late,
        unreadable: 0,
        uncopied,
    };
    let mut hashes: HashMap<NodeId, Content> = HashMap::default();
    let lasts = std::mem::take(&mut paths.lasts);
    for (path, last) in std::mem::take(&mut paths.all).into_iter().zip(lasts) {
        let last = match last {
            Err(reason) => {
                let known = reason == ONLY_LISTED || manifest.late.binary_search(&path).is_ok();
                manifest.unreadable += u64::from(look.is_some() && !known);
                // Without a look, it may still be there, with what was written without a call.
                let file = paths.now.get(&path).filter(|_| look.is_none());
                let unseen = file.and_then(|id| names.node(*id).uncertain);
                let unseen = unseen.filter(|why| [BY_STORES, BY_OPERATIONS].contains(why));
                Final::Unknown(unseen.map_or(reason, str::to_owned))
            }
            Ok(_) if made_up.iter().any(|made| is_at_or_below(&path, made)) => Final::Unknown(
                "it is a symbolic link's target, whose path is not in the trace".to_owned(),
            ),
            Ok(_) if paths.now.get(&path).is_some_and(|id| names.node(*id).is_virtual) => {
                Final::Unknown("on a virtual file system".to_owned())
            }
            Ok(None) => Final::Absent,
            Ok(Some(live)) => paths.final_state_of(names, &path, live, look, &mut hashes),
        };
        manifest.unreadable += u64::from(matches!(
            &last,
            Final::Present(_, Content::Not(reason)) if reason.starts_with("cannot be read")
        ));
        manifest.rows.push(paths.row(names, path, last));
    }
    for (key, &id) in unnamed {
        manifest.unnamed.push(without_name(names.node(id), *key, id, paths.group(id)));
    }
    manifest.unnamed.sort_by(|a, b| a.path.cmp(&b.path));
    Ok(manifest)
}

/// Returns whether a path is `above` or lies below it.
fn is_at_or_below(path: &[u8], above: &[u8]) -> bool {
    path.strip_prefix(above).is_some_and(|rest| matches!(rest.first(), None | Some(b'/')))
}

impl Paths {
    /// Collects all paths, initial and current ones, with their final states.
    fn of(names: &Names, look: Option<&dyn Machine>) -> Self {
        let (mut first, mut now) = (BTreeMap::new(), BTreeMap::new());
        names.visit(true, &mut |path, id| {
            first.insert(path.to_vec(), id);
        });
        names.visit(false, &mut |path, id| {
            now.insert(path.to_vec(), id);
        });
        let mut all: Vec<Vec<u8>> = first.keys().chain(now.keys()).cloned().collect();
        all.sort_unstable();
        all.dedup();
        let mut lasts = Vec::with_capacity(all.len());
        let mut by_live: HashMap<(u64, u64), NodeId> = HashMap::default();
        let mut same: HashMap<NodeId, NodeId> = HashMap::default();
        for path in &all {
            let last = match look {
                Some(machine) => find_final_state(machine, path),
                None => Err("the recorder did not finish".to_owned()),
            };
            if let (Ok(Some(live)), Some(&node)) = (&last, now.get(path))
                && live.state.kind != FileType::Directory
            {
                same.insert(node, *by_live.entry(live.id).or_insert(node));
            }
            lasts.push(last);
        }
        Self { all, first, now, lasts, same, counts: HashMap::default() }
    }

    /// Shares what is known under one name of a file with its other names, and then completes it
    /// from the final state.
    fn learn(&self, names: &mut Names) {
        for (&node, &one) in self.same.iter().filter(|(node, one)| node != one) {
            share(names, node, one);
        }
        for (path, last) in self.all.iter().zip(&self.lasts) {
            if let (Ok(Some(live)), Some(&node)) = (last, self.now.get(path)) {
                if let Some(&one) = self.same.get(&node).filter(|one| **one != node) {
                    share(names, one, node);
                }
                fill(names.node_mut(node), live);
            }
        }
    }

    /// Counts the names that each file had initially, and has in the end.
    fn count(&mut self, names: &Names, unnamed: &BTreeMap<(u64, u64), NodeId>) {
        let mut counts: HashMap<NodeId, (u32, u32)> = HashMap::default();
        for &id in self.first.values().chain(unnamed.values()) {
            counts.entry(self.file(id)).or_default().0 += 1;
        }
        for (path, &id) in &self.now {
            // A name that is not there at last counts for nothing.
            let counts_now = names.node(id).likely_kind() != FileType::Directory
                && self.all.binary_search(path).is_ok_and(|i| !matches!(self.lasts[i], Ok(None)));
            if counts_now {
                counts.entry(self.file(id)).or_default().1 += 1;
            }
        }
        self.counts = counts;
    }

    /// Returns the node that represents a file with several names.
    fn file(&self, id: NodeId) -> NodeId {
        self.same.get(&id).copied().unwrap_or(id)
    }

    /// Returns the number of the group of a file's initial names, if it had several.
    fn group(&self, id: NodeId) -> Option<NodeId> {
        Some(self.file(id)).filter(|file| self.counts.get(file).is_some_and(|c| c.0 > 1))
    }

    /// Returns the final state of a path at which the file system has a file.
    fn final_state_of(
        &self,
        names: &Names,
        path: &[u8],
        mut live: Live,
        look: Option<&dyn Machine>,
        hashes: &mut HashMap<NodeId, Content>,
    ) -> Final {
        let current = self.now.get(path).copied();
        let count = current.map_or(0, |id| self.counts.get(&self.file(id)).map_or(0, |c| c.1));
        live.state.group = current.filter(|_| count > 1).map(|id| self.file(id));
        live.state.links = live.state.links.filter(|&l| l == count);
        let content = match current.zip(look) {
            Some((id, machine)) if live.state.kind == FileType::Regular => {
                let size = live.state.size.unwrap_or(0);
                let hash = || hash_content(machine, path, names.node(id), size);
                hashes.entry(self.file(id)).or_insert_with(hash).clone()
            }
            None if live.state.kind == FileType::Regular => {
                Content::Not("the trace has nothing about this file".to_owned())
            }
            _ => Content::None,
        };
        Final::Present(live.state, content)
    }

    /// Returns the row of a path.
    fn row(&self, names: &Names, path: Vec<u8>, last: Final) -> Row {
        let initial = self.first.get(&path).map(|&id| (id, names.node(id)));
        let state = initial.map(|(id, node)| at_first(node, self.group(id)));
        let is_file = state.as_ref().is_some_and(|s| s.kind == FileType::Regular);
        let initial = initial.filter(|_| is_file);
        let (holes, allocated) = initial.map_or_else(Default::default, |(_, node)| layout(node));
        Row { path, file: initial.map(|(id, _)| id), initial: state, holes, allocated, last }
    }
}

/// Returns the row of a file that had lost its name when the recording began.
fn without_name(node: &Node, key: (u64, u64), id: NodeId, group: Option<u32>) -> Row {
    let state = at_first(node, group);
    let is_file = state.kind == FileType::Regular;
    let (holes, allocated) = if is_file { layout(node) } else { Default::default() };
    Row {
        path: Unnamed::path(key),
        file: is_file.then_some(id),
        initial: Some(state),
        holes,
        allocated,
        last: Final::Unknown("it has no name".to_owned()),
    }
}

/// Returns the state that a file of an unrecorded process had when calls first looked at it.
pub fn as_found(node: &Node) -> State {
    at_first(node, None)
}

/// Copies the unmoved bytes of the files that the program opened, as far as they are still the
/// initial ones. Returns how many files cannot be read.
fn copy(
    names: &mut Names,
    paths: &Paths,
    machine: &dyn Machine,
    snapshot: &mut Writer,
) -> io::Result<u64> {
    let (mut uncopied, mut done) = (0, HashSet::default());
    // Of a file that the trace took for several, what was written by another name is unknown.
    let several: HashSet<NodeId> =
        paths.same.iter().filter(|(id, one)| id != one).flat_map(|(id, one)| [*id, *one]).collect();
    for (path, last) in paths.all.iter().zip(&paths.lasts) {
        let (Ok(Some(live)), Some(&id)) = (last, paths.now.get(path)) else { continue };
        let node = names.node_mut(id);
        let whole = node.uncertain.is_none() && !node.is_virtual && !several.contains(&id);
        let (true, true, FileType::Regular, Some(size)) =
            (node.initial && node.opened, whole, live.state.kind, node.first.size)
        else {
            continue;
        };
        let unmoved = node.bytes_mut().settled.gaps(0, size.min(live.state.size.unwrap_or(0)));
        if unmoved.is_empty() || !done.insert(id) {
            continue;
        }
        let Ok(from) = machine.open(path) else {
            uncopied += 1;
            continue;
        };
        for range in unmoved {
            if !snapshot.copy(id, &from, range)? {
                uncopied += 1;
                break;
            }
            names.node_mut(id).bytes_mut().settled.insert(range.0, range.1);
        }
    }
    Ok(uncopied)
}

/// Applies what is known of the initial state of `from` to `to`, as both are names of one file.
fn share(names: &mut Names, from: NodeId, to: NodeId) {
    let from = names.node(from).clone();
    let to = names.node_mut(to);
    if !from.initial || !to.initial {
        return;
    }
    if to.kind == FileType::Unknown {
        to.kind = from.kind;
    }
    to.first.complete(&from.first);
    to.changed.0 |= from.changed.0;
    to.changed.1 |= from.changed.1;
    to.changed.2 |= from.changed.2;
}

/// Completes the initial state from the final one: what the trace neither changed nor showed was
/// the same initially.
fn fill(node: &mut Node, live: &Live) {
    if node.kind == FileType::Unknown {
        node.kind = live.state.kind;
        node.target = None; // a guess
    }
    if node.kind != live.state.kind || !node.initial {
        return;
    }
    let (mode, owner, size) = node.changed;
    let first = &mut node.first;
    let missing = |value: &mut Option<u32>, changed: bool, found: Option<u32>| {
        if value.is_none() && !changed {
            *value = found;
        }
    };
    missing(&mut first.mode, mode, live.state.mode);
    missing(&mut first.uid, owner, live.state.uid);
    missing(&mut first.gid, owner, live.state.gid);
    if first.size.is_none() && !size {
        first.size = live.state.size;
    }
    if live.state.target.is_some() {
        node.target.clone_from(&live.state.target); // links do not change
    }
    for (name, value) in &live.state.xattrs {
        if !node.xattrs_changed.contains(name) {
            node.xattrs.entry(name.clone()).or_insert_with(|| value.clone());
        }
    }
}

/// Returns the initial state of a file. `group` is its group of hard links.
fn at_first(node: &Node, group: Option<u32>) -> State {
    let mut kind = node.likely_kind();
    if kind == FileType::Unknown {
        kind = if node.entries.values().any(|e| e.first.is_some()) {
            FileType::Directory
        } else {
            FileType::Regular
        };
    }
    let regular = kind == FileType::Regular;
    let read = node.bytes.as_ref().map_or(0, |b| {
        b.settled
            .within(0, u64::MAX)
            .iter()
            .filter(|r| r.1 != u64::MAX)
            .map(|r| r.1)
            .max()
            .unwrap_or(0)
    });
    State {
        kind,
        mode: node
            .first
            .mode
            .or(node.denied.then_some(0))
            .or((node.executable && regular).then_some(0o755)),
        uid: node.first.uid,
        gid: node.first.gid,
        // Of a link whose target is unknown, all that can show.
        size: if regular {
            Some(node.first.size.unwrap_or(if node.changed.2 {
                node.reach
            } else {
                read.max(node.reach)
            }))
        } else {
            node.first.size.filter(|_| kind == FileType::Link && node.target.is_none())
        },
        links: node.first_links.filter(|_| kind != FileType::Directory),
        target: node.target.clone().filter(|_| kind == FileType::Link),
        group: if kind == FileType::Directory { None } else { group },
        xattrs: node
            .xattrs
            .iter()
            .filter(|(name, _)| compared_xattr(name))
            .map(|(n, v)| (n.clone(), v.clone()))
            .collect(),
    }
}

type Extents = Vec<(u64, u64)>;

/// Returns the holes and the allocated ranges that a file had initially.
fn layout(node: &Node) -> (Extents, Extents) {
    let Some(bytes) = &node.bytes else { return Default::default() };
    let end = node.first.size.unwrap_or(0);
    let plain = |ranges: &super::ranges::Ranges| {
        ranges.within(0, end).into_iter().map(|(s, e)| (s, e - s)).collect()
    };
    (plain(&bytes.holes), plain(&bytes.allocated))
}
