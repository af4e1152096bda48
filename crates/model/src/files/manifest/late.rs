//! What others changed after the last call that looked.

use super::*;

/// Why a name is not compared that is there for the calls, and nowhere else.
pub(super) const ONLY_LISTED: &str = "it was only seen in a listing, and is gone";

/// Excludes names from the comparison that are gone although no call removed them, and that were
/// only listed, if not everything that the program did is in the trace. Other processes remove such
/// names often (`/tmp`).
pub(super) fn only_listed(
    names: &Names,
    paths: &[Vec<u8>],
    lasts: &mut [Result<Option<Live>, String>],
    now: &BTreeMap<Vec<u8>, NodeId>,
) {
    for (path, last) in paths.iter().zip(lasts) {
        let Some(node) = now.get(path).map(|id| names.node(*id)) else { continue };
        let listed = node.confirmed && node.id.is_none() && node.told.is_none() && !node.opened;
        if listed && !node.is_virtual && !node.made_up && matches!(last, Ok(None)) {
            *last = Err(ONLY_LISTED.to_owned());
        }
    }
}

/// Excludes names from the comparison that an unrecorded process changed after the last call that
/// looked at them, as their final state does not follow from the calls. Returns these names.
pub(super) fn changed_late(
    names: &mut Names,
    paths: &[Vec<u8>],
    lasts: &mut [Result<Option<Live>, String>],
    now: &BTreeMap<Vec<u8>, NodeId>,
    look: Option<&dyn Machine>,
) -> Vec<Vec<u8>> {
    const CHANGED: &str = "a process that was not recorded changed it last";
    let mut late: Vec<Vec<u8>> = Vec::new();
    for (path, last) in paths.iter().zip(lasts) {
        let current = now.get(path).copied();
        if current.is_some_and(|id| names.node(id).is_virtual || names.node(id).made_up) {
            continue;
        }
        let dir_entry = |id: NodeId| names.node(id).names.first().cloned();
        let in_doubt = current.and_then(dir_entry).is_some_and(|at| names.doubtful.contains(&at));
        let parent = current.and_then(dir_entry).map(|(dir, _)| dir);
        // Where the directory is another one, all this was seen from elsewhere.
        let sees = |names: &Names| {
            let known = parent.and_then(|dir| names.node(dir).id);
            let found = look.and_then(|machine| machine.find(processes::parent(path)).ok());
            known.is_some_and(|known| found.is_some_and(|found| found.id == known))
        };
        if in_doubt || matches!(last, Ok(None)) && current.is_some() && !sees(names) {
            continue;
        }
        match (&mut *last, current.map(|id| names.node_mut(id))) {
            (Ok(None), Some(node)) => {
                let certain = matches!(node.kind, FileType::Regular | FileType::Directory)
                    && (node.id.is_some() || node.told.is_some());
                if node.presumed {
                    continue;
                }
                if !certain {
                    *last = Err(ONLY_LISTED.to_owned());
                    continue;
                }
                *last = Err(format!("{CHANGED}: it is gone"));
            }
            (Ok(Some(_)), None) => *last = Err(format!("{CHANGED}: it is there")),
            (Ok(Some(live)), Some(node)) if live.state.kind == FileType::Regular => {
                let expected = node.now.size.filter(|_| !node.size_in_doubt);
                let replaced =
                    node.told.is_some_and(|(_, dev, ino)| dev == live.id.0 && ino != live.id.1);
                let same = expected.is_none_or(|size| Some(size) == live.state.size) && !replaced;
                if same || node.uncertain.is_some() {
                    continue;
                }
                live.state.size = None;
                node.uncertain = Some(CHANGED);
            }
            _ => continue,
        }
        late.push(path.clone());
    }
    late
}
