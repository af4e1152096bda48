//! What was observed of a file at one time.

use crate::files::row::FileType;
use trace::record::Identity;

/// What is known of a file's attributes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Attributes {
    /// Permissions.
    pub mode: Option<u32>,
    /// Owner.
    pub uid: Option<u32>,
    /// Group.
    pub gid: Option<u32>,
    /// Bytes, of a regular file.
    pub size: Option<u64>,
}

/// What was observed of a file: a stat result, an identity, the live file system.
#[derive(Clone, Debug, Default)]
pub struct Observed {
    /// Its type, if it was observed.
    pub kind: FileType,
    /// Its attributes.
    pub attributes: Attributes,
    /// Device and inode.
    pub id: Option<(u64, u64)>,
    /// The number of hard links.
    pub links: Option<u32>,
    /// The target of a symbolic link.
    pub target: Option<Vec<u8>>,
    /// The name itself is not that of a directory. It may be that of a symbolic link to one.
    pub not_directory: bool,
}

impl Attributes {
    /// Takes the attributes that are not known from `other`.
    pub fn complete(&mut self, other: &Self) {
        self.mode = self.mode.or(other.mode);
        self.uid = self.uid.or(other.uid);
        self.gid = self.gid.or(other.gid);
        self.size = self.size.or(other.size);
    }
}

impl Observed {
    /// Returns an observation that shows only that the file exists, and perhaps its type.
    pub fn of_type(kind: FileType) -> Self {
        Self { kind, ..Self::default() }
    }

    /// Returns an observation that shows only that the name exists and is no directory.
    pub fn not_directory() -> Self {
        Self { not_directory: true, ..Self::of_type(FileType::Unknown) }
    }

    /// Returns what an identity shows of a file.
    pub fn of_identity(identity: &Identity) -> Self {
        let mut seen = Self::of_type(FileType::of_mode(identity.mode));
        if identity.is_synthetic() {
            // That it is a regular file is a guess, which must not overrule what calls show.
            return Self::of_type(if seen.kind == FileType::Directory {
                FileType::Directory
            } else {
                FileType::Unknown
            });
        }
        if identity.mode != 0 {
            seen.attributes.mode = Some(identity.mode & 0o7777);
            seen.attributes.uid = Some(identity.uid);
            seen.attributes.gid = Some(identity.gid);
            seen.attributes.size = Some(identity.size);
            seen.links = Some(identity.links);
            seen.id = Some((identity.dev, identity.ino)).filter(|id| id.1 != 0);
        }
        seen
    }
}
