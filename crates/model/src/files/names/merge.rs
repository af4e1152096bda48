//! Merges files that turn out to be the same one.

use super::Names;
use crate::files::node::{Entry, NodeId, Observed};
use crate::files::row::FileType;

/// The largest number of merges that lead from a file to the one that counts.
const MAX_MERGES: usize = 4096;

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
            let (kind, first) = (node.kind, node.initial_attributes.clone());
            let attributes = self.node_mut(to).complete_initial_attributes(first);
            self.node_mut(to).observe(&Observed { attributes, ..Observed::of_type(kind) });
            for (name, entry) in std::mem::take(&mut self.node_mut(from).entries) {
                self.merge_entry((from, to), name, entry, &mut pairs);
            }
            if self.node(to).bytes.is_none() {
                let bytes = self.node_mut(from).bytes.take();
                self.node_mut(to).bytes = bytes;
            }
            self.node_mut(from).merged_into = Some(to);
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
                entry.current = Some(to);
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
                let merged = self.merge_two_entries(known, entry, pairs);
                self.forget_name(known, (from, to), &name);
                merged
            }
            None => entry,
        };
        self.forget_name(entry, (from, to), &name);
        if let Some(now) = merged.current {
            self.node_mut(now).names.push((to, name.clone()));
        }
        if let Some(first) = merged.initial {
            self.node_mut(first).initial_names.push((to, name.clone()));
        }
        self.node_mut(to).entries.insert(name, merged);
    }

    /// Removes a name of these two directories from the files of an entry.
    fn forget_name(&mut self, entry: Entry, (from, to): (NodeId, NodeId), name: &[u8]) {
        let other = |at: &(NodeId, Box<[u8]>)| *at.1 != *name || at.0 != from && at.0 != to;
        if let Some(now) = entry.current {
            self.node_mut(now).names.retain(other);
        }
        if let Some(first) = entry.initial {
            self.node_mut(first).initial_names.retain(other);
        }
    }

    /// Returns the entry that two entries for the same name amount to, by the order in which calls
    /// used them. Adds to `pairs` the files that are the same because of that.
    fn merge_two_entries(&self, a: Entry, b: Entry, pairs: &mut Vec<(NodeId, NodeId)>) -> Entry {
        let (earlier, later) = if a.first_touched <= b.first_touched { (a, b) } else { (b, a) };
        // If one call touched both entries, the one that it changed counts.
        let same_call = b.last_changed == a.last_changed && a.current == a.initial;
        let newer = if b.last_changed > a.last_changed || same_call { b } else { a };
        let mut merged =
            Entry { current: newer.current, last_changed: newer.last_changed, ..earlier };
        if earlier.last_changed < later.first_touched {
            // The later entry began with the file to which the earlier one led at last.
            pairs.extend(later.initial.zip(earlier.current));
        } else if earlier.first_touched < later.first_touched
            || earlier.initial.is_some() == later.initial.is_some()
        {
            pairs.extend(later.initial.zip(earlier.initial));
        } else {
            // It was renamed to itself, which changes nothing. What was created under its old name
            // after that is in it.
            merged.initial = earlier.initial.or(later.initial);
            if newer.last_changed == earlier.first_touched {
                merged.current = merged.initial;
            } else if let (Some(first), Some(now)) = (merged.initial, newer.current)
                && a.last_changed.min(b.last_changed) == earlier.first_touched
                && !self.node(now).initial
                && self.node(now).kind == FileType::Directory
            {
                pairs.push((now, first));
                merged.current = Some(first);
            }
        }
        merged
    }

    /// Returns the node that a file has now, if it was merged into another one.
    pub fn follow_merges(&self, mut id: NodeId) -> NodeId {
        for _ in 0..MAX_MERGES {
            match self.node(id).merged_into {
                Some(other) => id = other,
                None => break,
            }
        }
        id
    }
}
