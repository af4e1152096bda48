//! Changes by unrecorded processes after the last call that looked at the file.

use super::*;

/// The reason why a name is not compared that calls have only seen in a listing, and that is gone
/// at the end.
pub(super) const ONLY_LISTED: &str = "it was only seen in a listing, and is gone";

/// Excludes names from the comparison that calls only saw in a listing, and that are gone although
/// no call removed them. Used if not everything that the program did is in the trace. Other
/// processes often remove such names (`/tmp`).
pub(super) fn exclude_only_listed(
    names: &Names,
    paths: &[Vec<u8>],
    final_states: &mut [Result<Option<Live>, String>],
    current_files: &BTreeMap<Vec<u8>, NodeId>,
) {
    for (path, final_state) in paths.iter().zip(final_states) {
        let Some(node) = current_files.get(path).map(|id| names.node(*id)) else { continue };
        let only_listed =
            node.confirmed && node.id.is_none() && node.opened_identity.is_none() && !node.opened;
        if only_listed
            && !node.is_virtual
            && !node.has_made_up_name
            && matches!(final_state, Ok(None))
        {
            *final_state = Err(ONLY_LISTED.to_owned());
        }
    }
}

/// Excludes paths from the comparison that an unrecorded process changed after the last call that
/// looked at them, as their final state does not follow from the calls. Returns these paths, in
/// order.
pub(super) fn exclude_changed_late(
    names: &mut Names,
    paths: &[Vec<u8>],
    final_states: &mut [Result<Option<Live>, String>],
    current_files: &BTreeMap<Vec<u8>, NodeId>,
    machine: Option<&dyn Machine>,
) -> Vec<Vec<u8>> {
    const CHANGED: &str = "a process that was not recorded changed it last";
    let mut late: Vec<Vec<u8>> = Vec::new();
    for (path, final_state) in paths.iter().zip(final_states) {
        let file = current_files.get(path).copied();
        if file.is_some_and(|id| names.node(id).is_virtual || names.node(id).has_made_up_name) {
            continue;
        }
        let name_of = |id: NodeId| names.node(id).names.first().cloned();
        let in_doubt =
            file.and_then(name_of).is_some_and(|name| names.doubtful_names.contains(&name));
        let parent = file.and_then(name_of).map(|(dir, _)| dir);
        // If the directory is another one now, calls reached these names by another path.
        let parent_is_same = |names: &Names| {
            let known = parent.and_then(|dir| names.node(dir).id);
            let found = machine.and_then(|machine| machine.find(processes::parent(path)).ok());
            known.is_some_and(|known| found.is_some_and(|found| found.id == known))
        };
        if in_doubt || matches!(final_state, Ok(None)) && file.is_some() && !parent_is_same(names) {
            continue;
        }
        match (&mut *final_state, file.map(|id| names.node_mut(id))) {
            (Ok(None), Some(node)) => {
                let certain = matches!(node.kind, FileType::Regular | FileType::Directory)
                    && (node.id.is_some() || node.opened_identity.is_some());
                if node.presumed {
                    continue;
                }
                if !certain {
                    *final_state = Err(ONLY_LISTED.to_owned());
                    continue;
                }
                *final_state = Err(format!("{CHANGED}: it is gone"));
            }
            (Ok(Some(_)), None) => *final_state = Err(format!("{CHANGED}: it is there")),
            (Ok(Some(live)), Some(node)) if live.state.kind == FileType::Regular => {
                let expected = node.current_attributes.size.filter(|_| !node.size_in_doubt);
                let replaced = node.opened_identity.is_some_and(|identity| {
                    identity.dev == live.inode.0 && identity.ino != live.inode.1
                });
                let is_unchanged =
                    expected.is_none_or(|size| Some(size) == live.state.size) && !replaced;
                if is_unchanged || node.why_uncertain.is_some() {
                    continue;
                }
                live.state.size = None;
                node.why_uncertain = Some(CHANGED);
            }
            _ => continue,
        }
        late.push(path.clone());
    }
    late
}
