//! Two files that turn out to be one.

use super::Names;
use crate::files::node::{Entry, NodeId, Seen};
use crate::files::row::FileType;

/// Files that were merged one into the other, in a row.
const STEPS: usize = 4096;

impl Names {
    /// Two files are one: what is known of `from` is known of `to`.
    pub(super) fn merge(&mut self, from: NodeId, to: NodeId) {
        let mut pairs = vec![(from, to)];
        while let Some((from, to)) = pairs.pop() {
            let (from, to) = (self.itself(from), self.itself(to));
            if from == to {
                continue;
            }
            let node = self.node(from);
            let known = Seen { attributes: node.first.clone(), ..Seen::kind(node.kind) };
            self.node_mut(to).observe(&known);
            for (name, entry) in std::mem::take(&mut self.node_mut(from).entries) {
                self.merge_entry((from, to), name, entry, &mut pairs);
            }
            if self.node(to).bytes.is_none() {
                let bytes = self.node_mut(from).bytes.take();
                self.node_mut(to).bytes = bytes;
            }
            self.node_mut(from).merged = Some(to);
        }
    }

    /// A name of `from` is one of `to`. `pairs`: files that are one then.
    fn merge_entry(
        &mut self,
        (from, to): (NodeId, NodeId),
        name: Box<[u8]>,
        entry: Entry,
        pairs: &mut Vec<(NodeId, NodeId)>,
    ) {
        let Some(known) = self.node(to).entries.get(&name).copied() else {
            self.node_mut(to).entries.insert(name.clone(), entry);
            for child in [entry.first, entry.now].into_iter().flatten() {
                let child = self.node_mut(child);
                for at in child.names.iter_mut().chain(&mut child.stood) {
                    if at.0 == from && at.1 == name {
                        at.0 = to;
                    }
                }
            }
            return;
        };
        match (known.first, entry.first) {
            (Some(one), Some(other)) => pairs.push((other, one)),
            (None, None) => {}
            (Some(first), None) | (None, Some(first)) => {
                // It was renamed to itself, which changes nothing; what came under its old name
                // after that went to it. Or what was made under the one name was found under the
                // other.
                let came = entry.now.filter(|&now| {
                    let now = self.node(now);
                    !now.initial && now.kind == FileType::Directory
                });
                let stays = known.now == Some(first) && entry.now == came;
                let kept = Some(first).filter(|_| stays);
                self.node_mut(to).entries.insert(name.clone(), Entry { first: kept, ..known });
                let stood = &mut self.node_mut(first).stood;
                stood.retain(|at| at.1 != name || at.0 != from && at.0 != to);
                if stays {
                    stood.push((to, name));
                    pairs.extend(came.map(|came| (came, first)));
                }
            }
        }
    }

    /// The file itself, if it was merged into another one since.
    pub fn itself(&self, mut id: NodeId) -> NodeId {
        for _ in 0..STEPS {
            match self.node(id).merged {
                Some(other) => id = other,
                None => break,
            }
        }
        id
    }
}
