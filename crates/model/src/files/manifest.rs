//! Builds the rows of the manifest from the model, and from the live file system, which shows the
//! final state.

mod final_state;
mod initial_state;
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
use initial_state::{initial_layout, initial_state};
use late::{ONLY_LISTED, exclude_changed_late, exclude_only_listed};
use processes::{BY_OPERATIONS, BY_STORES};
use std::collections::BTreeMap;
use std::io;

/// The rows of a finished model.
pub struct Manifest {
    /// In the order of their paths.
    pub rows: Vec<Row>,
    /// The rows of the files that had lost their names when the recording began, likewise.
    pub unnamed: Vec<Row>,
    /// Paths that an unrecorded process changed after the last call that looked at them, in order.
    pub late: Vec<Vec<u8>>,
    /// The number of paths whose final state could not be read.
    pub unreadable: u64,
    /// The number of files that the snapshot could not copy.
    pub uncopied: u64,
}

/// All paths of a finished model, and the files there.
struct Paths {
    /// All of them, in order.
    all: Vec<Vec<u8>>,
    /// The files at these paths when the recording began.
    initial: BTreeMap<Vec<u8>, NodeId>,
    /// The files at these paths after the last call.
    current: BTreeMap<Vec<u8>, NodeId>,
    /// What the live file system shows under each of `all`, or why that is not known.
    final_states: Vec<Result<Option<Live>, String>>,
    /// For files that the live file system shows to be the same one: the id that represents them.
    representatives: HashMap<NodeId, NodeId>,
    /// How many paths each file had when the recording began, and has after the last call.
    hard_link_counts: HashMap<NodeId, (u32, u32)>,
}

/// Builds the rows of the manifest. If `machine` is given, the final state is read from its file
/// system; else it is unknown. If `snapshot` is given, too, initial bytes of opened files that no
/// call read or wrote are copied into it. `unnamed` are files that had lost their names when the
/// recording began. `searches_unrecorded` is whether all changes that no call explains are those of
/// unrecorded processes.
pub fn build(
    names: &mut Names,
    unnamed: &BTreeMap<(u64, u64), NodeId>,
    machine: Option<&dyn Machine>,
    searches_unrecorded: bool,
    snapshot: Option<&mut Writer>,
) -> io::Result<Manifest> {
    if let Some(machine) = machine {
        names.apply_final_links(&mut |path| machine.find(path).ok().map(Found::observed));
    } else {
        names.find_links_by_changes(&mut |_| None);
    }
    names.fill_directories();
    let mut paths = Paths::collect(names, machine);
    paths.complete_states(names);
    let uncopied = match snapshot.zip(machine) {
        Some((snapshot, machine)) => copy_unmoved(names, &paths, machine, snapshot)?,
        None => 0,
    };
    let mut late = Vec::new();
    if searches_unrecorded {
        late = exclude_changed_late(
            names,
            &paths.all,
            &mut paths.final_states,
            &paths.current,
            machine,
        );
    } else {
        exclude_only_listed(names, &paths.all, &mut paths.final_states, &paths.current);
    }
    paths.count_hard_links(names, unnamed);

    let made_up = paths.current.iter().filter(|(_, id)| names.node(**id).has_made_up_name);
    let made_up: Vec<Vec<u8>> = made_up.map(|(path, _)| path.clone()).collect();
    let mut manifest = Manifest {
        rows: Vec::with_capacity(paths.all.len()),
        unnamed: Vec::new(),
        late,
        unreadable: 0,
        uncopied,
    };
    let mut hashes: HashMap<NodeId, Content> = HashMap::default();
    let final_states = std::mem::take(&mut paths.final_states);
    for (path, final_state) in std::mem::take(&mut paths.all).into_iter().zip(final_states) {
        let final_state = match final_state {
            Err(reason) => {
                let is_explained =
                    reason == ONLY_LISTED || manifest.late.binary_search(&path).is_ok();
                manifest.unreadable += u64::from(machine.is_some() && !is_explained);
                // The file system was not looked at: the file may still exist, and have been
                // written to without a recorded call.
                let file = paths.current.get(&path).filter(|_| machine.is_none());
                let reason_without_call = file.and_then(|id| names.node(*id).why_uncertain);
                let reason_without_call = reason_without_call
                    .filter(|reason| [BY_STORES, BY_OPERATIONS].contains(reason));
                Final::Unknown(reason_without_call.map_or(reason, str::to_owned))
            }
            Ok(_) if made_up.iter().any(|above| is_at_or_below(&path, above)) => Final::Unknown(
                "it is a symbolic link's target, whose path is not in the trace".to_owned(),
            ),
            Ok(_) if paths.current.get(&path).is_some_and(|id| names.node(*id).is_virtual) => {
                Final::Unknown("on a virtual file system".to_owned())
            }
            Ok(None) => Final::Absent,
            Ok(Some(live)) => paths.final_state_of(names, &path, live, machine, &mut hashes),
        };
        manifest.unreadable += u64::from(matches!(
            &final_state,
            Final::Present(_, Content::Not(reason)) if reason.starts_with("cannot be read")
        ));
        manifest.rows.push(paths.row(names, path, final_state));
    }
    for (inode, &id) in unnamed {
        manifest.unnamed.push(unnamed_row(names.node(id), *inode, id, paths.hard_link_group(id)));
    }
    manifest.unnamed.sort_by(|a, b| a.path.cmp(&b.path));
    Ok(manifest)
}

/// Returns whether a path is `above` or lies below it.
fn is_at_or_below(path: &[u8], above: &[u8]) -> bool {
    path.strip_prefix(above).is_some_and(|rest| matches!(rest.first(), None | Some(b'/')))
}

impl Paths {
    /// Collects all initial and current paths, and what the file system of `machine` shows there.
    /// Without a machine, the final states are unknown.
    fn collect(names: &Names, machine: Option<&dyn Machine>) -> Self {
        let (mut initial, mut current) = (BTreeMap::new(), BTreeMap::new());
        names.visit(true, &mut |path, id| {
            initial.insert(path.to_vec(), id);
        });
        names.visit(false, &mut |path, id| {
            current.insert(path.to_vec(), id);
        });
        let mut all: Vec<Vec<u8>> = initial.keys().chain(current.keys()).cloned().collect();
        all.sort_unstable();
        all.dedup();
        let mut final_states = Vec::with_capacity(all.len());
        let mut by_inode: HashMap<(u64, u64), NodeId> = HashMap::default();
        let mut representatives: HashMap<NodeId, NodeId> = HashMap::default();
        for path in &all {
            let final_state = match machine {
                Some(machine) => find_final_state(machine, path),
                None => Err("the recorder did not finish".to_owned()),
            };
            if let (Ok(Some(live)), Some(&node)) = (&final_state, current.get(path))
                && live.state.kind != FileType::Directory
            {
                representatives.insert(node, *by_inode.entry(live.inode).or_insert(node));
            }
            final_states.push(final_state);
        }
        Self {
            all,
            initial,
            current,
            final_states,
            representatives,
            hard_link_counts: HashMap::default(),
        }
    }

    /// Applies what is known of a file under one path to the nodes under which it is known by other
    /// paths, then completes all from the final states.
    fn complete_states(&self, names: &mut Names) {
        for (&node, &representative) in
            self.representatives.iter().filter(|(node, representative)| node != representative)
        {
            share_initial_state(names, node, representative);
        }
        for (path, final_state) in self.all.iter().zip(&self.final_states) {
            if let (Ok(Some(live)), Some(&node)) = (final_state, self.current.get(path)) {
                if let Some(&representative) = self
                    .representatives
                    .get(&node)
                    .filter(|representative| **representative != node)
                {
                    share_initial_state(names, representative, node);
                }
                complete_from_final_state(names.node_mut(node), live);
            }
        }
    }

    /// Counts the hard links of each file that are known: when the recording began, and after the
    /// last call, so that files with several are rows of one group. A file that is known by its
    /// inode alone (`unnamed`) counts as one more.
    fn count_hard_links(&mut self, names: &Names, unnamed: &BTreeMap<(u64, u64), NodeId>) {
        let mut counts: HashMap<NodeId, (u32, u32)> = HashMap::default();
        for &id in self.initial.values().chain(unnamed.values()) {
            counts.entry(self.representative(id)).or_default().0 += 1;
        }
        for (path, &id) in &self.current {
            // Directories, and paths that do not exist at the end, are not counted.
            let counts_now = names.node(id).likely_type() != FileType::Directory
                && self
                    .all
                    .binary_search(path)
                    .is_ok_and(|i| !matches!(self.final_states[i], Ok(None)));
            if counts_now {
                counts.entry(self.representative(id)).or_default().1 += 1;
            }
        }
        self.hard_link_counts = counts;
    }

    /// Returns the node that represents a file with several names.
    fn representative(&self, id: NodeId) -> NodeId {
        self.representatives.get(&id).copied().unwrap_or(id)
    }

    /// Returns the number of the group of hard links to which a file belongs; `None` if it had one
    /// initial path only.
    fn hard_link_group(&self, id: NodeId) -> Option<NodeId> {
        Some(self.representative(id))
            .filter(|file| self.hard_link_counts.get(file).is_some_and(|c| c.0 > 1))
    }

    /// Returns the final state of a path at which the file system has the file `live`. The hashes
    /// of files with several paths are computed once, and kept in `hashes`.
    fn final_state_of(
        &self,
        names: &Names,
        path: &[u8],
        mut live: Live,
        machine: Option<&dyn Machine>,
        hashes: &mut HashMap<NodeId, Content>,
    ) -> Final {
        let file = self.current.get(path).copied();
        let count = file
            .map_or(0, |id| self.hard_link_counts.get(&self.representative(id)).map_or(0, |c| c.1));
        live.state.group = file.filter(|_| count > 1).map(|id| self.representative(id));
        live.state.links = live.state.links.filter(|&l| l == count);
        let content = match file.zip(machine) {
            Some((id, machine)) if live.state.kind == FileType::Regular => {
                let size = live.state.size.unwrap_or(0);
                let hash = || hash_content(machine, path, names.node(id), size);
                hashes.entry(self.representative(id)).or_insert_with(hash).clone()
            }
            None if live.state.kind == FileType::Regular => {
                Content::Not("the trace has nothing about this file".to_owned())
            }
            _ => Content::None,
        };
        Final::Present(live.state, content)
    }

    /// Returns the row of a path, with this final state.
    fn row(&self, names: &Names, path: Vec<u8>, last: Final) -> Row {
        let initial = self.initial.get(&path).map(|&id| (id, names.node(id)));
        let state = initial.map(|(id, node)| initial_state(node, self.hard_link_group(id)));
        let is_file = state.as_ref().is_some_and(|s| s.kind == FileType::Regular);
        let initial = initial.filter(|_| is_file);
        let (holes, allocated) =
            initial.map_or_else(Default::default, |(_, node)| initial_layout(node));
        Row { path, file: initial.map(|(id, _)| id), initial: state, holes, allocated, last }
    }
}

/// Returns the row of a file that had lost its name when the recording began. `inode` is its device
/// and inode, `id` its id, `group` its group of hard links.
fn unnamed_row(node: &Node, inode: (u64, u64), id: NodeId, group: Option<u32>) -> Row {
    let state = initial_state(node, group);
    let is_file = state.kind == FileType::Regular;
    let (holes, allocated) = if is_file { initial_layout(node) } else { Default::default() };
    Row {
        path: Unnamed::path(inode),
        file: is_file.then_some(id),
        initial: Some(state),
        holes,
        allocated,
        last: Final::Unknown("it has no name".to_owned()),
    }
}

/// Returns the state of a file that an unrecorded process created, when calls first found it.
pub fn state_when_found(node: &Node) -> State {
    initial_state(node, None)
}

/// Copies the initial bytes of the files that the program opened into the snapshot, as far as no
/// call read or wrote them. Returns how many files could not be read.
fn copy_unmoved(
    names: &mut Names,
    paths: &Paths,
    machine: &dyn Machine,
    snapshot: &mut Writer,
) -> io::Result<u64> {
    let (mut uncopied, mut copied) = (0, HashSet::default());
    // If the trace took a file for several ones, it is unknown what was written under which path.
    let ambiguous: HashSet<NodeId> = paths
        .representatives
        .iter()
        .filter(|(id, representative)| id != representative)
        .flat_map(|(id, representative)| [*id, *representative])
        .collect();
    for (path, last) in paths.all.iter().zip(&paths.final_states) {
        let (Ok(Some(live)), Some(&id)) = (last, paths.current.get(path)) else { continue };
        let node = names.node_mut(id);
        let is_certain =
            node.why_uncertain.is_none() && !node.is_virtual && !ambiguous.contains(&id);
        let (true, true, FileType::Regular, Some(size)) = (
            node.initial && node.opened,
            is_certain,
            live.state.kind,
            node.initial_attributes.size,
        ) else {
            continue;
        };
        let not_moved = node.bytes_mut().determined.gaps(0, size.min(live.state.size.unwrap_or(0)));
        if not_moved.is_empty() || !copied.insert(id) {
            continue;
        }
        let Ok(from) = machine.open(path) else {
            uncopied += 1;
            continue;
        };
        for range in not_moved {
            if !snapshot.copy(id, &from, range)? {
                uncopied += 1;
                break;
            }
            names.node_mut(id).bytes_mut().determined.insert(range.0, range.1);
        }
    }
    Ok(uncopied)
}

/// Completes what is known of the initial state of `to` from `from`: both are the same file.
fn share_initial_state(names: &mut Names, from: NodeId, to: NodeId) {
    let from = names.node(from).clone();
    let to = names.node_mut(to);
    if !from.initial || !to.initial {
        return;
    }
    if to.kind == FileType::Unknown {
        to.kind = from.kind;
    }
    to.initial_attributes.complete(&from.initial_attributes);
    to.changed.mode |= from.changed.mode;
    to.changed.owner |= from.changed.owner;
    to.changed.size |= from.changed.size;
}

/// Completes the initial state of a file from its final one: what calls neither changed nor showed
/// was the same when the recording began.
fn complete_from_final_state(node: &mut Node, live: &Live) {
    if node.kind == FileType::Unknown {
        node.kind = live.state.kind;
        node.target = None; // a guess
    }
    if node.kind != live.state.kind || !node.initial {
        return;
    }
    let changed = node.changed;
    let initial = &mut node.initial_attributes;
    let complete = |attribute: &mut Option<u32>, changed: bool, final_value: Option<u32>| {
        if attribute.is_none() && !changed {
            *attribute = final_value;
        }
    };
    complete(&mut initial.mode, changed.mode, live.state.mode);
    complete(&mut initial.uid, changed.owner, live.state.uid);
    complete(&mut initial.gid, changed.owner, live.state.gid);
    if initial.size.is_none() && !changed.size {
        initial.size = live.state.size;
    }
    if live.state.target.is_some() {
        node.target.clone_from(&live.state.target); // links do not change
    }
    for (name, attribute) in &live.state.xattrs {
        if !node.xattrs_changed.contains(name) {
            node.xattrs.entry(name.clone()).or_insert_with(|| attribute.clone());
        }
    }
}

type Extents = Vec<(u64, u64)>;
