//! A row of the manifest: a path, with the file there before the first call and after the last.

/// What kind of file a name leads to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[repr(u8)]
pub enum FileType {
    /// Nothing proves what it is.
    #[default]
    Unknown = 0,
    /// A named pipe.
    Fifo = 1,
    /// A character device.
    Char = 2,
    /// A directory.
    Directory = 4,
    /// A block device.
    Block = 6,
    /// A regular file.
    Regular = 8,
    /// A symbolic link.
    Link = 10,
    /// A socket.
    Socket = 12,
}

impl FileType {
    /// Returns the type in bits 12 to 15 of a `st_mode`, or of `d_type << 12`.
    pub const fn of_mode(mode: u32) -> Self {
        match (mode >> 12) & 15 {
            1 => Self::Fifo,
            2 => Self::Char,
            4 => Self::Directory,
            6 => Self::Block,
            8 => Self::Regular,
            10 => Self::Link,
            12 => Self::Socket,
            _ => Self::Unknown,
        }
    }
    /// Returns the name of the type in tables and messages.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Unknown => "unknown",
            Self::Fifo => "fifo",
            Self::Char => "character device",
            Self::Directory => "directory",
            Self::Block => "block device",
            Self::Regular => "file",
            Self::Link => "symlink",
            Self::Socket => "socket",
        }
    }
    /// Returns the type with this name; [`Self::Unknown`] if there is none.
    pub fn by_name(name: &str) -> Self {
        [
            Self::Fifo,
            Self::Char,
            Self::Directory,
            Self::Block,
            Self::Regular,
            Self::Link,
            Self::Socket,
        ]
        .into_iter()
        .find(|t| t.name() == name)
        .unwrap_or(Self::Unknown)
    }
    /// Returns whether replay can create a file of this type. It does not create devices.
    pub const fn performed(self) -> bool {
        matches!(self, Self::Regular | Self::Directory | Self::Link | Self::Fifo | Self::Socket)
    }
}

/// The state of a file at one time. What is not known is `None`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct State {
    /// Its type.
    pub kind: FileType,
    /// Permissions: the low twelve bits of `st_mode`.
    pub mode: Option<u32>,
    /// Owner.
    pub uid: Option<u32>,
    /// Group.
    pub gid: Option<u32>,
    /// The size in bytes, of regular files, and of symbolic links whose target is not known.
    pub size: Option<u64>,
    /// The number of its hard links, of which the manifest may have only some; not of directories.
    pub links: Option<u32>,
    /// The target of a symbolic link; `None`: no call has read it.
    pub target: Option<Vec<u8>>,
    /// The group of hard links: paths with the same number are those of one file. `None`: the
    /// manifest has one path of the file only.
    pub group: Option<u32>,
    /// Extended attributes, by name.
    pub xattrs: Vec<(Vec<u8>, Vec<u8>)>,
}

impl State {
    /// Creates the state of a file of which only this type is known: all other fields are `None`,
    /// and there are no extended attributes.
    pub fn of(kind: FileType) -> Self {
        Self {
            kind,
            mode: None,
            uid: None,
            gid: None,
            size: None,
            links: None,
            target: None,
            group: None,
            xattrs: Vec::new(),
        }
    }
}

/// Which bytes of a file the trace determines.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Known {
    /// All of them.
    Whole,
    /// These ranges, as (offset, length), in order.
    Extents(Vec<(u64, u64)>),
}

/// What the recorded machine showed under a name when the recording ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Final {
    /// The recording did not end in order, or the name could not be looked at: why.
    Unknown(String),
    /// There was no file.
    Absent,
    /// A file with this state and content.
    Present(State, Content),
}

/// A regular file's content, as far as it can be compared.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Content {
    /// It is not a regular file, and has no content.
    None,
    /// The digest of its known bytes.
    Hash(Digest),
    /// It cannot be compared: why.
    Not(String),
}

/// A digest of the known bytes of a regular file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Digest {
    /// Which bytes were hashed.
    pub known: Known,
    /// Large holes, as (offset, length): known to be zeros, and not hashed. Empty with
    /// [`Known::Whole`].
    pub zeros: Vec<(u64, u64)>,
    /// The BLAKE3 of the hashed bytes, one extent after the other.
    pub hash: [u8; 32],
}

/// A path that calls of the trace touched. Paths are absolute and without `.`, `..`, symbolic links
/// or a trailing slash, in the recorder's view of the file system.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Row {
    /// The path.
    pub path: Vec<u8>,
    /// The id by which `initial.parquet` refers to the initial file, if that is a regular file.
    pub file: Option<u32>,
    /// The file here before the first call; `None`: there was none.
    pub initial: Option<State>,
    /// Ranges of the initial file that calls showed to be holes, as (offset, length).
    pub holes: Vec<(u64, u64)>,
    /// Ranges of the initial file that calls showed to be allocated, as (offset, length).
    pub allocated: Vec<(u64, u64)>,
    /// The file here after the last call.
    pub last: Final,
}

/// A file that was open when the recording began and had lost its name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unnamed {
    /// Device and inode of the file.
    pub key: (u64, u64),
    /// Its state. The path is `/DEVICE.INODE`, at which there is no file.
    pub row: Row,
}

impl Unnamed {
    /// Returns the path that stands for a file without a name in `unnamed.parquet`.
    pub(super) fn path(key: (u64, u64)) -> Vec<u8> {
        format!("/{}.{}", key.0, key.1).into_bytes()
    }

    /// Decodes a row of `unnamed.parquet`. Returns `None` if its path does not have the form of
    /// [`Self::path`].
    pub(crate) fn from_row(row: Row) -> Option<Self> {
        let (device, inode) =
            std::str::from_utf8(&row.path).ok()?.strip_prefix('/')?.split_once('.')?;
        let key = (device.parse().ok()?, inode.parse().ok()?);
        (Self::path(key) == row.path).then_some(Self { key, row })
    }
}

/// Bytes of initial content that the trace holds, and where.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Origin {
    /// The file, as in [`Row::file`], or the bytes, as in [`super::Change::file`].
    pub file: u32,
    /// The offset of the first byte in the file.
    pub offset: u64,
    /// The number of bytes.
    pub len: u64,
    /// [`trace::Call::seq`] of the call that moved them.
    pub seq: u64,
    /// The offset of the first byte in the call's data, which are all its data payloads one after
    /// the other.
    pub at: u64,
}
