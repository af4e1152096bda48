//! Names under which the live file system may show what came there during the recording.

use abi::{Kind, Role};
use ahash::HashSet;
use trace::Call;

/// So many names are kept: a program that moves more files than this moves files, not directories.
const MOST: usize = 1 << 20;

/// Last components of the names that renames and links made. Under them, and below them, the live
/// file system shows what may have come during the recording, however old it is.
#[derive(Clone, Debug, Default)]
pub struct RenamedNames(HashSet<Box<[u8]>>);

impl RenamedNames {
    /// Adds the names that a call created, if it is a rename or a link. Calls may come in any
    /// order.
    pub fn add(&mut self, call: &Call) {
        let Some(spec) = call.spec().filter(|_| call.succeeded()) else { return };
        let paths = || {
            spec.args.iter().enumerate().filter_map(|(i, a)| match a.kind {
                Kind::Path(used) => Some((i as u8, used.role)),
                _ => None,
            })
        };
        if paths().nth(1).is_none() || self.0.len() >= MOST {
            return;
        }
        // Of an exchange both names are new.
        for (arg, _) in
            paths().filter(|(_, role)| matches!(role, Role::Source | Role::Target | Role::Create))
        {
            let path = call.string(arg).unwrap_or_default();
            if let Some(name) = path.rsplit(|&b| b == b'/').find(|part| !part.is_empty()) {
                self.0.insert(name.into());
            }
        }
    }

    /// Returns whether a rename or a link created a name with this last component.
    pub fn contains(&self, name: &[u8]) -> bool {
        self.0.contains(name)
    }
}
