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
    /// Its type, if it was told.
    pub kind: FileType,
    /// Its attributes.
    pub attributes: Attributes,
    /// Device and inode.
    pub id: Option<(u64, u64)>,
    /// Links.
    pub links: Option<u32>,
    /// Where a symbolic link leads.
    pub target: Option<Vec<u8>>,
    /// The name itself is no directory, whatever it leads to.
    pub leaf: bool,
}

impl Attributes {
    /// Takes what is not known from `other`.
    pub fn complete(&mut self, other: &Self) {
        self.mode = self.mode.or(other.mode);
        self.uid = self.uid.or(other.uid);
        self.gid = self.gid.or(other.gid);
        self.size = self.size.or(other.size);
    }
}

impl Observed {
    /// Returns an observation that shows only that the file exists, and perhaps its type.
    pub fn kind(kind: FileType) -> Self {
        Self { kind, ..Self::default() }
    }

    /// Returns an observation that shows only that the name exists and is no directory.
    pub fn leaf() -> Self {
        Self { leaf: true, ..Self::kind(FileType::Unknown) }
    }

    /// Returns what an identity shows of a file.
    pub fn of_identity(identity: &Identity) -> Self {
        let mut seen = Self::kind(FileType::of_mode(identity.mode));
        if identity.is_synthetic() {
            // A guess at a regular file is none that counts against what calls show.
            return Self::kind(if seen.kind == FileType::Directory {
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
