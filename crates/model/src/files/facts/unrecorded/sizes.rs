//! Sizes that no recorded call explains.

use super::*;
use crate::files::row::State;
use trace::record::CREATED;

impl Facts {
    /// Adds changes of size that no recorded call explains.
    pub(in crate::files::facts) fn sizes(
        &mut self,
        call: &Call,
        spec: &CallSpec,
        context: &Context,
        paths: &[PathArg],
    ) {
        if !call.succeeded() {
            return;
        }
        if let Some((node, size)) = self.size_seen(call, spec, context, paths) {
            self.size_is(call, node, size, true);
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
        if let (Some(node), Some(offset)) = (self.fd(context, from), offset)
            && call.ret > 0
        {
            self.size_is(call, node, offset.saturating_add(call.ret as u64), false);
        }
    }

    /// Returns the file whose size a call shows, and the size.
    fn size_seen(
        &mut self,
        call: &Call,
        spec: &CallSpec,
        context: &Context,
        paths: &[PathArg],
    ) -> Option<(NodeId, u64)> {
        if let [
            PathArg {
                used, walk: Walk::Entry(DirEntry { state: EntryState::Node(node), .. }), ..
            },
        ] = paths
        {
            let seen = match used.role {
                Role::Lookup => stat_result(call, spec)?,
                Role::Open(from) if u64::from(call.open_flags(from)) & O_TRUNC == 0 => {
                    let (identity, _) = call.identity(RESULT)?;
                    // It made the file: an overlapping call has removed the one before.
                    if identity.created & CREATED != 0 {
                        return None;
                    }
                    Observed::of_identity(&identity)
                }
                _ => return None,
            };
            // Another file stands there now.
            let other = self.names.node(*node).id.zip(seen.id).is_some_and(|(a, b)| a != b);
            return if other { None } else { Some((*node, seen.attributes.size?)) };
        }
        let size = stat_result(call, spec).filter(|_| paths.is_empty())?.attributes.size?;
        let fd = spec.args.iter().position(|a| matches!(a.kind, Kind::Fd | Kind::DirFd))?;
        Some((self.fd(context, fd as u8)?, size))
    }

    /// Notes that a file has this size or, unless `exact`, at least this one. Adds a change if no
    /// recorded call explains it.
    fn size_is(&mut self, call: &Call, id: NodeId, size: u64, exact: bool) {
        let id = self.names.follow_merges(id);
        let open = &self.open;
        let overlapping = self
            .outside
            .overlapping
            .may_have_changed_content(call, |file| open.get(&file).map(|(_, node)| *node == id));
        let known = self.names.is_known_as(id);
        let node = self.names.node_mut(id);
        if !known || node.kind != FileType::Regular || node.is_virtual || node.uncertain.is_some() {
            return;
        }
        let Some(was) = node.now.size else { return };
        if overlapping || node.size_in_doubt {
            // What it is depends on the order, until a call looks at it that none overlaps.
            node.size_in_doubt = overlapping;
            return;
        }
        if size == was || size < was && !exact {
            return;
        }
        let (after, appended) = (node.last, node.appended);
        node.changed.2 = true;
        // What was cut may have been written anew.
        let from = if size < was { 0 } else { was };
        if size < was {
            node.truncate(size);
        }
        node.now.size = Some(size);
        let bytes = node.bytes_mut();
        bytes.settled.remove(from, size);
        bytes.written.remove(from, size);
        if appended {
            // Which bytes came first is unknown.
            node.uncertain = Some("other processes wrote to its end, too");
        }
        let Some(path) = self.names.path(id) else { return };
        let state = Some(resized(size));
        let told = Change { after, from, state, ..change(call, path, ChangeKind::Resized) };
        self.add_change(told, Some(id));
    }
}

/// Returns the state of a change in which only the size differs.
fn resized(size: u64) -> State {
    State { size: Some(size), ..State::of(FileType::Regular) }
}
