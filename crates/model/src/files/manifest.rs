//! From the model to the manifest's rows, with a look at the live file system for what stands there now.

mod late;

use super::live;
use super::names::Names;
use super::node::{Node, NodeId};
use super::row::{Content, FileType, Final, Known, Row, State, Unnamed};
use super::scan::{compared_xattr, digest};
use super::snapshot::Writer;
use ahash::{HashMap, HashSet};
use late::{ONLY_LISTED, changed_late, only_listed};
use rustix::fd::OwnedFd;
use rustix::fs::{OFlags, fgetxattr, flistxattr};
use std::collections::BTreeMap;
use std::io;

/// What the live file system shows under a name.
struct Live {
    state: State,
    id: (u64, u64),
}

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

/// Makes the rows. `look`: write down what the live file system shows; else the final state is unknown. `snapshot`: copy what the program opened and did not move.
/// `unnamed`: files that had lost their names when the recording began.
pub fn build(
    names: &mut Names,
    unnamed: &BTreeMap<(u64, u64), NodeId>,
    look: bool,
    watched: bool,
    snapshot: Option<&mut Writer>,
) -> io::Result<Manifest> {
    if look {
        names.settle(&mut |path| {
            live::open(path, OFlags::PATH)
                .ok()
                .and_then(|fd| live::inspect(&fd).ok())
                .map(|found| found.seen)
        });
    }
    names.furnish();
    let mut first: BTreeMap<Vec<u8>, NodeId> = BTreeMap::new();
    let mut now: BTreeMap<Vec<u8>, NodeId> = BTreeMap::new();
    names.visit(true, &mut |path, id| {
        first.insert(path.to_vec(), id);
    });
    names.visit(false, &mut |path, id| {
        now.insert(path.to_vec(), id);
    });
    let mut paths: Vec<Vec<u8>> = first.keys().chain(now.keys()).cloned().collect();
    paths.sort_unstable();
    paths.dedup();

    let mut lasts: Vec<Result<Option<Live>, String>> = Vec::with_capacity(paths.len());
    let mut by_live: HashMap<(u64, u64), NodeId> = HashMap::default();
    let mut same: HashMap<NodeId, NodeId> = HashMap::default();
    for path in &paths {
        let node = now.get(path).copied();
        let last = if look { seen(path) } else { Err("the recorder did not finish".to_owned()) };
        if let (Ok(Some(live)), Some(node)) = (&last, node)
            && live.state.kind != FileType::Directory
        {
            same.insert(node, *by_live.entry(live.id).or_insert(node));
        }
        lasts.push(last);
    }
    // What is known under one name of a file is known under all of them, before the rest is taken from how it is at last.
    for (&node, &one) in same.iter().filter(|(node, one)| node != one) {
        share(names, node, one);
    }
    for (path, last) in paths.iter().zip(&lasts) {
        if let (Ok(Some(live)), Some(&node)) = (last, now.get(path)) {
            if let Some(&one) = same.get(&node).filter(|one| **one != node) {
                share(names, one, node);
            }
            fill(names.node_mut(node), live);
        }
    }

    let uncopied = match snapshot {
        Some(snapshot) => copy(names, &paths, &lasts, &now, &same, snapshot)?,
        None => 0,
    };

    let late = if watched {
        changed_late(names, &paths, &mut lasts, &now)
    } else {
        only_listed(names, &paths, &mut lasts, &now);
        Vec::new()
    };

    let file = |id: NodeId| same.get(&id).copied().unwrap_or(id);
    let mut counts: HashMap<NodeId, (u32, u32)> = HashMap::default();
    for &id in first.values().chain(unnamed.values()) {
        counts.entry(file(id)).or_default().0 += 1;
    }
    for (path, &id) in &now {
        // A name that is not there at last counts for nothing.
        if names.node(id).likely_kind() != FileType::Directory
            && paths.binary_search(path).is_ok_and(|i| matches!(lasts[i], Ok(Some(_)) | Err(_)))
        {
            counts.entry(file(id)).or_default().1 += 1;
        }
    }

    let made_up: Vec<&Vec<u8>> =
        now.iter().filter(|(_, id)| names.node(**id).made_up).map(|(path, _)| path).collect();
    let mut manifest = Manifest {
        rows: Vec::with_capacity(paths.len()),
        unnamed: Vec::new(),
        late,
        unreadable: 0,
        uncopied,
    };
    let mut hashes: HashMap<NodeId, Content> = HashMap::default();
    for (path, last) in paths.into_iter().zip(lasts) {
        let initial = first.get(&path).map(|&id| (id, names.node(id)));
        let current = now.get(&path).copied();
        let last = match last {
            Err(reason) => {
                let known = reason == ONLY_LISTED || manifest.late.binary_search(&path).is_ok();
                manifest.unreadable += u64::from(look && !known);
                Final::Unknown(reason)
            }
            Ok(_)
                if made_up.iter().any(|made| {
                    path.strip_prefix(&made[..])
                        .is_some_and(|rest| matches!(rest.first(), None | Some(b'/')))
                }) =>
            {
                Final::Unknown(
                    "it is a symbolic link's target, whose path is not in the trace".to_owned(),
                )
            }
            Ok(_) if current.is_some_and(|id| names.node(id).is_virtual) => {
                Final::Unknown("on a virtual file system".to_owned())
            }
            Ok(None) => Final::Absent,
            Ok(Some(mut live)) => {
                let count = current.map_or(0, |id| counts.get(&file(id)).map_or(0, |c| c.1));
                live.state.group = current.filter(|_| count > 1).map(file);
                live.state.links = live.state.links.filter(|&l| l == count);
                let content = match current {
                    Some(id) if live.state.kind == FileType::Regular => {
                        let content = hashes.entry(file(id)).or_insert_with(|| {
                            content(&path, names.node(id), live.state.size.unwrap_or(0))
                        });
                        content.clone()
                    }
                    None if live.state.kind == FileType::Regular => {
                        Content::Not("the trace has nothing about this file".to_owned())
                    }
                    _ => Content::None,
                };
                manifest.unreadable += u64::from(
                    matches!(&content, Content::Not(reason) if reason.starts_with("cannot be read")),
                );
                Final::Present(live.state, content)
            }
        };
        let group = initial
            .and_then(|(id, _)| Some(file(id)).filter(|f| counts.get(f).is_some_and(|c| c.0 > 1)));
        let state = initial.map(|(_, node)| at_first(node, group));
        let is_file = state.as_ref().is_some_and(|s| s.kind == FileType::Regular);
        let (holes, allocated) =
            initial.filter(|_| is_file).map_or_else(Default::default, |(_, node)| layout(node));
        let number = initial.filter(|_| is_file).map(|(id, _)| id);
        manifest.rows.push(Row { path, file: number, initial: state, holes, allocated, last });
    }
    for (key, &id) in unnamed {
        let group = Some(file(id)).filter(|f| counts.get(f).is_some_and(|c| c.0 > 1));
        manifest.unnamed.push(without_name(names.node(id), *key, id, group));
    }
    manifest.unnamed.sort_by(|a, b| a.path.cmp(&b.path));
    Ok(manifest)
}

/// The row of a file that had lost its name when the recording began.
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

/// What a file that somebody brought was, when calls first looked at it.
pub fn as_found(node: &Node) -> State {
    at_first(node, None)
}

/// Copies the unmoved bytes of the files that the program opened, as far as they had them at first; they are settled then. How many files cannot be read.
fn copy(
    names: &mut Names,
    paths: &[Vec<u8>],
    lasts: &[Result<Option<Live>, String>],
    now: &BTreeMap<Vec<u8>, NodeId>,
    same: &HashMap<NodeId, NodeId>,
    snapshot: &mut Writer,
) -> io::Result<u64> {
    let (mut uncopied, mut done) = (0, HashSet::default());
    // Of a file that the trace took for several, nobody knows what was written by another name.
    let several: HashSet<NodeId> =
        same.iter().filter(|(id, one)| id != one).flat_map(|(id, one)| [*id, *one]).collect();
    for (path, last) in paths.iter().zip(lasts) {
        let (Ok(Some(live)), Some(&id)) = (last, now.get(path)) else { continue };
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
        let Ok(from) = live::open(path, OFlags::RDONLY) else {
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

/// Two names turn out to be of one file: what `from` tells of it at first is true of `to`.
fn share(names: &mut Names, from: NodeId, to: NodeId) {
    let from = names.node(from).clone();
    let to = names.node_mut(to);
    if !from.initial || !to.initial {
        return;
    }
    if to.kind == FileType::Unknown {
        to.kind = from.kind;
    }
    to.first.mode = to.first.mode.or(from.first.mode);
    to.first.uid = to.first.uid.or(from.first.uid);
    to.first.gid = to.first.gid.or(from.first.gid);
    to.first.size = to.first.size.or(from.first.size);
    to.changed = (
        to.changed.0 || from.changed.0,
        to.changed.1 || from.changed.1,
        to.changed.2 || from.changed.2,
    );
}

/// What the trace did not change and did not tell was at first as it is at last.
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
        // Of a link whose target nobody has read, all that can show.
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

fn layout(node: &Node) -> (Extents, Extents) {
    let Some(bytes) = &node.bytes else { return Default::default() };
    let end = node.first.size.unwrap_or(0);
    let plain = |ranges: &super::ranges::Ranges| {
        ranges.within(0, end).into_iter().map(|(s, e)| (s, e - s)).collect()
    };
    (plain(&bytes.holes), plain(&bytes.allocated))
}

fn seen(path: &[u8]) -> Result<Option<Live>, String> {
    use rustix::io::Errno;
    let fd = match live::open(path, OFlags::PATH) {
        Ok(fd) => fd,
        Err(Errno::NOENT | Errno::NOTDIR | Errno::NAMETOOLONG) => return Ok(None),
        Err(Errno::LOOP) => return Err("a symbolic link stands in its path".to_owned()),
        Err(e) => return Err(format!("cannot be examined: {e}")),
    };
    let found = live::inspect(&fd).map_err(|e| format!("cannot be examined: {e}"))?.seen;
    let regular = found.kind == FileType::Regular;
    let xattrs = if regular || found.kind == FileType::Directory {
        live::open(path, OFlags::RDONLY).map(|fd| xattrs(&fd)).unwrap_or_default()
    } else {
        Vec::new()
    };
    let attributes = found.attributes;
    Ok(Some(Live {
        id: found.id.unwrap_or_default(),
        state: State {
            kind: found.kind,
            mode: attributes.mode.filter(|_| found.kind != FileType::Link),
            uid: attributes.uid,
            gid: attributes.gid,
            size: attributes.size.filter(|_| regular),
            links: found.links.filter(|_| found.kind != FileType::Directory),
            target: found.target,
            group: None,
            xattrs,
        },
    }))
}

fn xattrs(fd: &OwnedFd) -> Vec<(Vec<u8>, Vec<u8>)> {
    let mut list = vec![0u8; 1 << 16];
    let Ok(n) = flistxattr(fd, &mut list[..]) else { return Vec::new() };
    let mut found: Vec<(Vec<u8>, Vec<u8>)> = Vec::new();
    for name in list[..n].split(|&b| b == 0).filter(|name| compared_xattr(name)) {
        let mut value = vec![0u8; 1 << 16];
        if let Ok(n) = fgetxattr(fd, name, &mut value[..]) {
            value.truncate(n);
            found.push((name.to_vec(), value));
        }
    }
    found.sort_unstable();
    found
}

fn content(path: &[u8], node: &Node, size: u64) -> Content {
    if let Some(reason) = node.uncertain {
        return Content::Not(reason.to_owned());
    }
    let known = node.known(size);
    if matches!(&known, Known::Extents(extents) if extents.is_empty()) {
        return Content::Not("the trace holds none of its bytes".to_owned());
    }
    let hash = live::open(path, OFlags::RDONLY)
        .map_err(std::io::Error::from)
        .and_then(|file| digest(&file, known, size));
    match hash {
        Ok(digest) => Content::Hash(digest),
        Err(e) => Content::Not(format!("cannot be read: {e}")),
    }
}
