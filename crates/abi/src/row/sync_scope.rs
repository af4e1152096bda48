//! What a call makes durable.

use super::{CallSpec, Effect, IoClass};
use crate::Kind;

/// What a call that makes writes durable ([`IoClass::Sync`]) reaches.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum SyncScope {
    /// The data of its file, and what is needed to find them again.
    File,
    /// A range of its file, without what is needed to find it again: no promise after a crash.
    Range,
    /// What was stored through a mapping.
    Mapping,
    /// The file system of its descriptor.
    FileSystem,
    /// All file systems.
    All,
}

impl CallSpec {
    /// Returns what the call makes durable, if that is its work. `class` is its class.
    pub fn sync_scope(&self, class: IoClass) -> Option<SyncScope> {
        if class != IoClass::Sync {
            return None;
        }
        let has_range = || self.args.iter().any(|arg| matches!(arg.kind, Kind::Off));
        Some(match self.effect {
            Effect::Sync => SyncScope::All,
            Effect::SyncMapping => SyncScope::Mapping,
            _ if self.name == "syncfs" => SyncScope::FileSystem,
            _ if has_range() => SyncScope::Range,
            _ => SyncScope::File,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scopes() {
        let of = |name: &str| {
            let row = crate::by_name(name).expect("a row");
            row.spec.sync_scope(row.io_class(&row.spec))
        };
        assert_eq!([of("fsync"), of("fdatasync"), of("uring_fsync")], [Some(SyncScope::File); 3]);
        assert_eq!(of("sync_file_range"), Some(SyncScope::Range));
        assert_eq!(of("syncfs"), Some(SyncScope::FileSystem));
        assert_eq!((of("sync"), of("msync")), (Some(SyncScope::All), Some(SyncScope::Mapping)));
        assert_eq!(of("write"), None);
    }
}
