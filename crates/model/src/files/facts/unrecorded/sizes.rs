//! Sizes that no recorded call explains.

use super::*;
use crate::files::row::State;
use trace::record::CREATED;

impl Facts {
    /// Adds the changes of size that no recorded call explains: a call saw another size, or read
    /// bytes beyond the known end.
    pub(in crate::files::facts) fn find_size_changes(
        &mut self,
        call: &Call,
        spec: &CallSpec,
        context: &Context,
        paths: &[PathArg],
    ) {
        if !call.succeeded() {
            return;
        }
        if let Some((node, size)) = self.observed_size(call, spec, context, paths) {
            self.note_size(call, node, size, true);
        }
        let Some(fd) = spec.uses.fd.filter(|_| spec.ret == Ret::Bytes && call.ret >= 0) else {
            return;
        };
        let (from, offset) = match spec.copies {
            Some(copies) => (
                copies.from.fd,
                call.copy_offset(copies.from.at).or_else(|| {
                    context.fds[usize::from(copies.from.fd)].as_ref().and_then(|fd| fd.offset)
                }),
            ),
            None if spec.uses.moves_data && !spec.uses.writes_data => {
                (fd, context.fds[usize::from(fd)].as_ref().and_then(|fd| fd.offset))
            }
            None => return,
        };
        if let (Some(node), Some(offset)) = (self.file_of_argument(context, from), offset)
            && call.ret > 0
        {
            self.note_size(call, node, offset.saturating_add(call.ret as u64), false);
        }
    }

    /// Returns the file whose size a call shows, and the size. Returns `None` if it shows none.
    fn observed_size(
        &mut self,
        call: &Call,
        spec: &CallSpec,
        context: &Context,
        paths: &[PathArg],
    ) -> Option<(NodeId, u64)> {
        if let [
            PathArg {
                path_use: used,
                walk: Walk::Entry(DirEntry { state: EntryState::Node(node), .. }),
                ..
            },
        ] = paths
        {
            let observed = match used.role {
                Role::Lookup => observed_by_stat(call, spec)?,
                Role::Open(from) if u64::from(call.open_flags(from)) & O_TRUNC == 0 => {
                    let (identity, _) = call.identity(RESULT)?;
                    // The call created the file: an overlapping call has removed the former one.
                    if identity.created & CREATED != 0 {
                        return None;
                    }
                    Observed::of_identity(&identity)
                }
                _ => return None,
            };
            // Another file has the name now.
            let is_other_file =
                self.names.node(*node).id.zip(observed.id).is_some_and(|(a, b)| a != b);
            return if is_other_file { None } else { Some((*node, observed.attributes.size?)) };
        }
        let size = observed_by_stat(call, spec).filter(|_| paths.is_empty())?.attributes.size?;
        let fd = spec.args.iter().position(|a| matches!(a.kind, Kind::Fd | Kind::DirFd))?;
        Some((self.file_of_argument(context, fd as u8)?, size))
    }

    /// Notes that a call saw that a file has this size or, unless `exact`, at least this one. If no
    /// recorded call explains it, adds the change that an unrecorded process resized the file.
    fn note_size(&mut self, call: &Call, id: NodeId, size: u64, exact: bool) {
        let id = self.names.follow_merges(id);
        let open = &self.open_files;
        let is_overlapped = self
            .unrecorded
            .overlapping
            .may_have_changed_content(call, |file| open.get(&file).map(|(_, node)| *node == id));
        let is_known = self.names.is_known_by_inode(id);
        let node = self.names.node_mut(id);
        if !is_known
            || node.kind != FileType::Regular
            || node.is_virtual
            || node.why_uncertain.is_some()
        {
            return;
        }
        let Some(known_size) = node.current_attributes.size else { return };
        if is_overlapped || node.size_in_doubt {
            // The size depends on the order of the calls, until one looks at it that no other
            // overlaps.
            node.size_in_doubt = is_overlapped;
            return;
        }
        if size == known_size || size < known_size && !exact {
            return;
        }
        let (last_call, appended) = (node.last_call, node.appended);
        node.changed.size = true;
        // All bytes of a file that became shorter may be new.
        let from = if size < known_size { 0 } else { known_size };
        if size < known_size {
            node.truncate(size);
        }
        node.current_attributes.size = Some(size);
        let bytes = node.bytes_mut();
        bytes.determined.remove(from, size);
        bytes.written.remove(from, size);
        if appended {
            // Which bytes were written first is unknown.
            node.why_uncertain = Some("other processes wrote to its end, too");
        }
        let Some(path) = self.names.path(id) else { return };
        let state = Some(state_with_size(size));
        let resized =
            Change { after: last_call, from, state, ..new_change(call, path, ChangeKind::Resized) };
        self.add_change(resized, Some(id));
    }
}

/// Returns the state of a regular file of which only the size is known.
fn state_with_size(size: u64) -> State {
    State { size: Some(size), ..State::of(FileType::Regular) }
}
