//! Made-up names for the files that symbolic links lead to, if no call has read the links.

use super::{DirEntry, EntryState, Names};
use crate::files::node::NodeId;

/// The largest number of made-up names of one length in a directory, since each link that is gone
/// is compared with all directories.
const MAX_MADE_UP: usize = 1024;

impl Names {
    /// Returns a name of `size` bytes that nothing has in a directory. Returns `None` if there are
    /// no more.
    pub(super) fn made_up_name(&mut self, dir: NodeId, size: Option<u64>) -> Option<Vec<u8>> {
        let tried = self.made_up_names.get(&(dir, size)).copied().unwrap_or(0);
        let mut found = None;
        for number in tried..MAX_MADE_UP {
            let name = nth_made_up_name(number, size)?;
            if !self.node(dir).entries.contains_key(&name[..]) {
                found = Some((number, name));
                break;
            }
        }
        let (number, name) = found?;
        self.made_up_names.insert((dir, size), number + 1);
        Some(name)
    }

    /// Moves files with made-up names out of directories that a call has listed into the directory
    /// above, unless a call has listed that one, too.
    pub(super) fn move_made_up_names(&mut self) {
        for link in 0..self.nodes.len() as NodeId {
            let Some(node) = self.node(link).leads_to else { continue };
            let [(dir, name)] = &self.node(node).initial_names[..] else { continue };
            let (dir, name) = (*dir, name.clone());
            let size = self.node(link).initial_attributes.size.map(|size| size.saturating_sub(3));
            let Some((above, _)) = self.node(dir).initial_names.first().cloned() else { continue };
            if !self.node(dir).listed || self.node(above).listed || size == Some(0) {
                continue;
            }
            let Some(other) = self.made_up_name(above, size) else { continue };
            self.node_mut(dir).entries.remove(&name);
            self.node_mut(node).initial_names.clear();
            self.node_mut(node).names.clear();
            let dir_entry =
                DirEntry { dir: above, name: other.clone().into(), state: EntryState::Unknown };
            self.attach(&dir_entry, node, true);
            self.node_mut(link).target = Some([b"../", &other[..]].concat());
        }
    }

    /// Removes the made-up name of the file that a link leads to. Returns the file, or `None` if
    /// the link has no made-up target.
    pub(super) fn drop_made_up(&mut self, link: NodeId) -> Option<NodeId> {
        let node = self.node_mut(link).leads_to.take()?;
        for (dir, name) in std::mem::take(&mut self.node_mut(node).initial_names) {
            self.node_mut(dir).entries.remove(&name);
        }
        self.node_mut(node).names.clear();
        self.node_mut(node).has_made_up_name = false;
        Some(node)
    }
}

/// Returns made-up name number `n`, from 0, of `size` bytes; they have characters that programs
/// hardly use in names. Returns `None` if there are not so many.
fn nth_made_up_name(n: usize, size: Option<u64>) -> Option<Vec<u8>> {
    const DIGITS: &[u8] = b"?!=+~^%@#$&*:;<>|,_";
    let Some(size) = size else { return Some(format!("?{}", n + 1).into_bytes()) };
    let mut name = vec![DIGITS[0]; size.clamp(1, 255) as usize];
    let mut rest = n;
    for digit in name.iter_mut().rev() {
        *digit = DIGITS[rest % DIGITS.len()];
        rest /= DIGITS.len();
    }
    (rest == 0).then_some(name)
}
