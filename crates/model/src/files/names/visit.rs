//! All paths of the name space.

use super::{Names, ROOT};
use crate::files::node::NodeId;
use ahash::HashSet;

/// No name is that long: the depth of a tree that a hostile trace can build.
const PATH_BYTES: usize = 16 * 4096;
/// A path that one call can have named.
const PATH_MAX: usize = 4096;
/// Bytes of all longer ones together: a few bytes of a hostile trace make each of them, and the
/// kernel takes time in proportion to the depth for each call in them.
const LONG_PATHS: usize = 8 << 20;

impl Names {
    /// Returns the number of names that contain a NUL, which no file's name can.
    pub fn count_names_with_nul(&self) -> u64 {
        let names = self.nodes.iter().flat_map(|node| node.entries.keys());
        names.filter(|name| name.contains(&0)).count() as u64
    }

    /// Calls `visitor` with all paths that existed initially (`first`), or exist now, and their
    /// files; parents before children. Names with a NUL, which only a forged trace has, are left
    /// out with what is below them.
    pub fn visit(&self, first: bool, visitor: &mut dyn FnMut(&[u8], NodeId)) {
        let mut stack: Vec<(Vec<u8>, NodeId)> = vec![(b"/".to_vec(), ROOT)];
        let mut entered = HashSet::default();
        let mut long = 0;
        while let Some((path, id)) = stack.pop() {
            if path.len() > PATH_MAX {
                long += path.len();
                if long > LONG_PATHS {
                    continue;
                }
            }
            visitor(&path, id);
            if self.node(id).entries.is_empty() || path.len() > PATH_BYTES || !entered.insert(id) {
                continue;
            }
            for (name, entry) in self.node(id).entries.iter().rev() {
                if name.contains(&0) {
                    continue;
                }
                let Some(child) = (if first { entry.first } else { entry.now }) else { continue };
                let slash: &[u8] = if path == b"/" { b"" } else { b"/" };
                stack.push(([&path[..], slash, name].concat(), child));
            }
        }
    }
}
