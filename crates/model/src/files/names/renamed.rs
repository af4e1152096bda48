//! Names at which the live file system may show files that were moved there during the recording.

use abi::{Kind, Role};
use ahash::HashSet;
use trace::Call;

/// The largest number of names that are kept. A program that makes more renames hardly renames
/// directories.
const MAX_NAMES: usize = 1 << 20;

/// The last components of the paths that renames and links created. At these paths and below, the
/// live file system may show files that were moved there during the recording, however old they
/// are.
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
        if paths().nth(1).is_none() || self.0.len() >= MAX_NAMES {
            return;
        }
        // An exchange moves a file to both names.
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
