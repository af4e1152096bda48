//! What others than the recorded processes do to the name space.

use super::*;

impl Names {
    /// Somebody who was not recorded put something under the name.
    pub fn appear(&mut self, place: &Place, seen: &Seen) -> NodeId {
        let id = self.new_node(Node { appeared: true, ..Node::new(seen.kind, false) });
        self.observe(id, seen);
        self.attach(place, id, false);
        id
    }

    /// Somebody who was not recorded took away what stood under the name.
    pub fn displace(&mut self, place: &Place, node: NodeId) {
        self.unname(node, place);
        if let Some(entry) = self.node_mut(place.dir).entries.get_mut(&place.name) {
            entry.now = None;
        }
    }

    /// Whether what is known of a file under its number is this one's.
    pub fn is_known_as(&self, id: NodeId) -> bool {
        self.node(id).id.is_none_or(|key| self.by_id.get(&key) == Some(&id))
    }

    /// A number that no file has.
    pub fn number(&mut self) -> NodeId {
        self.new_node(Node::new(FileType::Unknown, false))
    }
}
