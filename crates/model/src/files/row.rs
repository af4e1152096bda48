//! A row of the manifest: one name, before and after.

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
    /// Returns the word for the type in tables and messages.
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
    /// Returns the type with this name.
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
    /// Returns whether replay can create it. Devices are not replayed.
    pub const fn performed(self) -> bool {
        matches!(self, Self::Regular | Self::Directory | Self::Link | Self::Fifo | Self::Socket)
    }
}

/// A file that a name leads to. What is not known is `None`.
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
    /// Bytes; of regular files, and of symbolic links whose target is not known.
    pub size: Option<u64>,
    /// Links that it has, counted or not by names in the manifest; not of directories.
    pub links: Option<u32>,
    /// Where a symbolic link leads; `None`: no call has read it.
    pub target: Option<Vec<u8>>,
    /// Names with the same number are links to one file; `None` where there is one name only.
    pub group: Option<u32>,
    /// Extended attributes, by name.
    pub xattrs: Vec<(Vec<u8>, Vec<u8>)>,
}

impl State {
    /// Creates the state of a file of this type, of which nothing else is known.
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
    /// These, as (offset, bytes), in order.
    Extents(Vec<(u64, u64)>),
}

/// What the recorded machine showed under a name when the recording ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Final {
    /// The recording did not end in order, or the name could not be looked at: why.
    Unknown(String),
    /// Nothing.
    Absent,
    /// A file.
    Present(State, Content),
}

/// A regular file's content, as far as it can be compared.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Content {
    /// Not a regular file.
    None,
    /// Its known bytes.
    Hash(Digest),
    /// It cannot be compared: why.
    Not(String),
}

/// The known bytes of a regular file, stated without holding them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Digest {
    /// Which bytes were hashed.
    pub known: Known,
    /// Large holes, as (offset, bytes): known to be zeros, and not hashed. Empty with
    /// [`Known::Whole`].
    pub zeros: Vec<(u64, u64)>,
    /// The BLAKE3 of the hashed bytes, one extent after the other.
    pub hash: [u8; 32],
}

/// A name that the trace touched. Paths are absolute and without `.`, `..`, symbolic links or a
/// trailing slash, in the recorder's view of the file system.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Row {
    /// The name.
    pub path: Vec<u8>,
    /// The number by which `initial.parquet` means the file that stood here at first.
    pub file: Option<u32>,
    /// What stood here at first; `None`: nothing.
    pub initial: Option<State>,
    /// Of its bytes, as (offset, bytes): shown to be holes.
    pub holes: Vec<(u64, u64)>,
    /// Of its bytes, as (offset, bytes): shown to be allocated.
    pub allocated: Vec<(u64, u64)>,
    /// What stood here at last.
    pub last: Final,
}

/// A file that was open when the recording began and had lost its name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unnamed {
    /// Device and inode, as the descriptor's identity tells them.
    pub key: (u64, u64),
    /// What it was. The path is `/DEVICE.INODE`, and leads nowhere.
    pub row: Row,
}

impl Unnamed {
    /// Returns the path that stands for a nameless file in the table.
    pub(super) fn path(key: (u64, u64)) -> Vec<u8> {
        format!("/{}.{}", key.0, key.1).into_bytes()
    }

    /// Returns the file that a row of the table stands for. Returns `None` if its path is not one
    /// of [`Self::path`].
    pub(crate) fn of(row: Row) -> Option<Self> {
        let (device, inode) =
            std::str::from_utf8(&row.path).ok()?.strip_prefix('/')?.split_once('.')?;
        let key = (device.parse().ok()?, inode.parse().ok()?);
        (Self::path(key) == row.path).then_some(Self { key, row })
    }
}

/// Where bytes of initial content stand in the trace.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Origin {
    /// [`Row::file`].
    pub file: u32,
    /// First byte of the file.
    pub offset: u64,
    /// Bytes.
    pub len: u64,
    /// [`trace::Call::seq`] of the call that moved them.
    pub seq: u64,
    /// Where they begin in the call's data: all its data payloads one after the other.
    pub at: u64,
}
