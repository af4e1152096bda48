//! Two files that turn out to be one.

use super::Names;
use crate::files::node::{Entry, NodeId, Observed};
use crate::files::row::FileType;

/// Files that were merged one into the other, in a row.
const STEPS: usize = 4096;

impl Names {
    /// Merges two nodes that turned out to be one file: what is known of `from` is then known of
    /// `to`.
    pub(super) fn merge(&mut self, from: NodeId, to: NodeId) {
        let mut pairs = vec![(from, to)];
        while let Some((from, to)) = pairs.pop() {
            let (from, to) = (self.follow_merges(from), self.follow_merges(to));
            if from == to {
                continue;
            }
            let node = self.node(from);
            let (kind, first) = (node.kind, node.first.clone());
            let attributes = self.node_mut(to).complete_first(first);
            self.node_mut(to).observe(&Observed { attributes, ..Observed::kind(kind) });
            for (name, entry) in std::mem::take(&mut self.node_mut(from).entries) {
                self.merge_entry((from, to), name, entry, &mut pairs);
            }
            if self.node(to).bytes.is_none() {
                let bytes = self.node_mut(from).bytes.take();
                self.node_mut(to).bytes = bytes;
            }
            self.node_mut(from).merged = Some(to);
            if self.node(to).names.is_empty() {
                self.take_names(from, to);
            }
        }
    }

    /// Gives the names of `from` to `to`.
    fn take_names(&mut self, from: NodeId, to: NodeId) {
        let names = std::mem::take(&mut self.node_mut(from).names);
        for (dir, name) in &names {
            if let Some(entry) = self.node_mut(*dir).entries.get_mut(name) {
                entry.now = Some(to);
            }
        }
        self.node_mut(to).names = names;
    }

    /// Merges an entry of the directory `from` into `to`. Adds to `pairs` the files that are the
    /// same because of that.
    fn merge_entry(
        &mut self,
        (from, to): (NodeId, NodeId),
        name: Box<[u8]>,
        entry: Entry,
        pairs: &mut Vec<(NodeId, NodeId)>,
    ) {
        let merged = match self.node(to).entries.get(&name).copied() {
            Some(known) => {
                let merged = self.one_entry(known, entry, pairs);
                self.forget_name(known, (from, to), &name);
                merged
            }
            None => entry,
        };
        self.forget_name(entry, (from, to), &name);
        if let Some(now) = merged.now {
            self.node_mut(now).names.push((to, name.clone()));
        }
        if let Some(first) = merged.first {
            self.node_mut(first).stood.push((to, name.clone()));
        }
        self.node_mut(to).entries.insert(name, merged);
    }

    /// Removes a name of these two directories from the files of an entry.
    fn forget_name(&mut self, entry: Entry, (from, to): (NodeId, NodeId), name: &[u8]) {
        let other = |at: &(NodeId, Box<[u8]>)| *at.1 != *name || at.0 != from && at.0 != to;
        if let Some(now) = entry.now {
            self.node_mut(now).names.retain(other);
        }
        if let Some(first) = entry.first {
            self.node_mut(first).stood.retain(other);
        }
    }

    /// Returns what two entries show of one name, by the calls that used them. Adds to `pairs` the
    /// files that are the same because of that.
    fn one_entry(&self, a: Entry, b: Entry, pairs: &mut Vec<(NodeId, NodeId)>) -> Entry {
        let (early, late) = if a.since <= b.since { (a, b) } else { (b, a) };
        // Of two entries that one call touched, the one that it changed counts.
        let same_call = b.last == a.last && a.now == a.first;
        let newer = if b.last > a.last || same_call { b } else { a };
        let mut merged = Entry { now: newer.now, last: newer.last, ..early };
        if early.last < late.since {
            // The one name was found as the other had left it.
            pairs.extend(late.first.zip(early.now));
        } else if early.since < late.since || early.first.is_some() == late.first.is_some() {
            pairs.extend(late.first.zip(early.first));
        } else {
            // It was renamed to itself, which changes nothing; what came under its old name after
            // that went to it.
            merged.first = early.first.or(late.first);
            if newer.last == early.since {
                merged.now = merged.first;
            } else if let (Some(first), Some(now)) = (merged.first, newer.now)
                && a.last.min(b.last) == early.since
                && !self.node(now).initial
                && self.node(now).kind == FileType::Directory
            {
                pairs.push((now, first));
                merged.now = Some(first);
            }
        }
        merged
    }

    /// Returns the node that a file has now, if it was merged into another one.
    pub fn follow_merges(&self, mut id: NodeId) -> NodeId {
        for _ in 0..STEPS {
            match self.node(id).merged {
                Some(other) => id = other,
                None => break,
            }
        }
        id
    }
}
