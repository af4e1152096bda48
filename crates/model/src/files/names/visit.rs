//! Visits all paths.

use super::{Names, ROOT};
use crate::files::node::NodeId;
use ahash::HashSet;

/// Directories with longer paths are not entered: a hostile trace can make a tree of any depth.
const PATH_BYTES: usize = 16 * 4096;
/// The longest path that a call can name, in bytes.
const PATH_MAX: usize = 4096;
/// The number of bytes of all longer paths together; further ones are left out. A few bytes of a
/// hostile trace make each of them, and for each the kernel takes time in proportion to the depth.
const LONG_PATHS: usize = 8 << 20;

impl Names {
    /// Returns the number of names that contain a NUL, which no file's name can.
    pub fn count_names_with_nul(&self) -> u64 {
        let names = self.nodes.iter().flat_map(|node| node.entries.keys());
        names.filter(|name| name.contains(&0)).count() as u64
    }

    /// Calls `visitor` with all paths that existed when the recording began (`initial`), or exist
    /// now, and their files; parents before children. Names with a NUL, which only a forged trace
    /// has, are left out with what is below them.
    pub fn visit(&self, initial: bool, visitor: &mut dyn FnMut(&[u8], NodeId)) {
        let mut stack: Vec<(Vec<u8>, NodeId)> = vec![(b"/".to_vec(), ROOT)];
        let mut visited = HashSet::default();
        let mut long_path_bytes = 0;
        while let Some((path, id)) = stack.pop() {
            if path.len() > PATH_MAX {
                long_path_bytes += path.len();
                if long_path_bytes > LONG_PATHS {
                    continue;
                }
            }
            visitor(&path, id);
            if self.node(id).entries.is_empty() || path.len() > PATH_BYTES || !visited.insert(id) {
                continue;
            }
            for (name, entry) in self.node(id).entries.iter().rev() {
                if name.contains(&0) {
                    continue;
                }
                let Some(child) = (if initial { entry.initial } else { entry.current }) else {
                    continue;
                };
                let slash: &[u8] = if path == b"/" { b"" } else { b"/" };
                stack.push(([&path[..], slash, name].concat(), child));
            }
        }
    }
}
