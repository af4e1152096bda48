//! The state of a file when the recording began, as rows have it.

use super::*;

/// Returns the initial state of a file; where calls show nothing, what is most likely. `group` is
/// its group of hard links.
pub(super) fn initial_state(node: &Node, group: Option<u32>) -> State {
    let mut file_type = node.likely_type();
    if file_type == FileType::Unknown {
        file_type = if node.entries.values().any(|e| e.initial.is_some()) {
            FileType::Directory
        } else {
            FileType::Regular
        };
    }
    let is_regular = file_type == FileType::Regular;
    let read_end = node.bytes.as_ref().map_or(0, |b| {
        b.determined
            .within(0, u64::MAX)
            .iter()
            .filter(|r| r.1 != u64::MAX)
            .map(|r| r.1)
            .max()
            .unwrap_or(0)
    });
    State {
        kind: file_type,
        mode: node
            .initial_attributes
            .mode
            .or(node.access_denied.then_some(0))
            .or((node.executable && is_regular).then_some(0o755)),
        uid: node.initial_attributes.uid,
        gid: node.initial_attributes.gid,
        // Of a link whose target is unknown, only the size is known.
        size: if is_regular {
            Some(node.initial_attributes.size.unwrap_or(if node.changed.size {
                node.initial_size_at_least
            } else {
                read_end.max(node.initial_size_at_least)
            }))
        } else {
            node.initial_attributes
                .size
                .filter(|_| file_type == FileType::Link && node.target.is_none())
        },
        links: node.initial_links.filter(|_| file_type != FileType::Directory),
        target: node.target.clone().filter(|_| file_type == FileType::Link),
        group: if file_type == FileType::Directory { None } else { group },
        xattrs: node
            .xattrs
            .iter()
            .filter(|(name, _)| compared_xattr(name))
            .map(|(n, v)| (n.clone(), v.clone()))
            .collect(),
    }
}

/// Returns the holes and the allocated ranges that a file had when the recording began, as (offset,
/// length).
pub(super) fn initial_layout(node: &Node) -> (Extents, Extents) {
    let Some(bytes) = &node.bytes else { return Default::default() };
    let end = node.initial_attributes.size.unwrap_or(0);
    let with_lengths = |ranges: &crate::files::ranges::Ranges| {
        ranges.within(0, end).into_iter().map(|(s, e)| (s, e - s)).collect()
    };
    (with_lengths(&bytes.initial_holes), with_lengths(&bytes.initial_allocated))
}
