//! The file system of the recorded machine, which shows after the recording what calls did not
//! show.

use super::node::{Attributes, Observed};
use super::row::FileType;
use rustix::fd::OwnedFd;
use std::sync::Arc;

/// The longest timer tick: time stamps of files may be earlier than the change by that much.
const TICK_NANOS: u64 = 10_000_000;

/// The recorded machine's file system, for a recording that has just ended on it. Names are reached
/// without following any symbolic link, and nothing is opened that could block or act.
pub trait Machine: std::fmt::Debug + Send + Sync {
    /// Returns the file at this path. Fails with `NOENT` if there is none.
    fn find(&self, path: &[u8]) -> rustix::io::Result<Found>;
    /// Opens the file at this path for reading.
    fn open(&self, path: &[u8]) -> rustix::io::Result<OwnedFd>;
    /// Returns the names in a directory except `.` and `..`, as far as they can be read: the first
    /// thousand.
    fn list(&self, path: &[u8]) -> Vec<Vec<u8>>;
}

/// A file found on the live file system.
#[derive(Clone, Debug)]
pub struct Found {
    /// What it is.
    pub kind: FileType,
    /// Permissions, set-ID bits and the sticky bit.
    pub mode: u32,
    /// Owner.
    pub uid: u32,
    /// Group.
    pub gid: u32,
    /// Size in bytes.
    pub size: u64,
    /// Device (`makedev` form) and inode.
    pub id: (u64, u64),
    /// The number of hard links.
    pub links: u32,
    /// The target of a symbolic link.
    pub target: Option<Vec<u8>>,
    /// The time of birth, in nanoseconds of `CLOCK_REALTIME`; 0: unknown.
    pub born: u64,
    /// The time of the last change of its content or its inode (`st_ctime`), likewise.
    pub changed: u64,
}

impl Found {
    /// Returns this as an observation, without the times.
    pub(super) fn observed(self) -> Observed {
        Observed {
            kind: self.kind,
            attributes: Attributes {
                mode: Some(self.mode),
                uid: Some(self.uid),
                gid: Some(self.gid),
                size: Some(self.size),
            },
            id: Some(self.id),
            links: Some(self.links),
            target: self.target,
            not_directory: false,
        }
    }
}

/// What inference asks of the live file system.
pub trait FileSystem {
    /// Returns what is at the path, if nothing about it has changed since the recording began.
    fn unchanged(&mut self, _path: &[u8]) -> Option<Observed> {
        None
    }
    /// Returns what is at the path, if it was created before the recording began. Its type and
    /// target have not changed, and it was probably there.
    fn older(&mut self, _path: &[u8]) -> Option<Observed> {
        None
    }
    /// Returns whether two paths are hard links of one file.
    fn same(&mut self, _a: &[u8], _b: &[u8]) -> bool {
        false
    }
    /// Returns the device and inode of what is at the path, whenever it was created.
    fn id(&mut self, _path: &[u8]) -> Option<(u64, u64)> {
        None
    }
    /// Returns the names in a directory, as far as they can be read.
    fn list(&mut self, _path: &[u8]) -> Vec<Vec<u8>> {
        Vec::new()
    }
}

/// Stands for a file system that cannot be looked at: there is nothing at any path.
pub struct NoFileSystem;

impl Default for Box<dyn FileSystem> {
    fn default() -> Self {
        Box::new(NoFileSystem) as Self
    }
}

impl FileSystem for NoFileSystem {}

/// A machine, and when the recording of it began.
pub struct RecordedMachine {
    machine: Arc<dyn Machine>,
    /// When the recording began, less a timer tick, in nanoseconds of `CLOCK_REALTIME`.
    began: u64,
    /// The last path that was looked at, and the file there.
    last: Option<(Vec<u8>, Option<Found>)>,
}

impl RecordedMachine {
    /// Creates the view for a recording that began at `began` nanoseconds of `CLOCK_REALTIME`.
    pub fn new(machine: Arc<dyn Machine>, began: u64) -> Self {
        Self { machine, began: began.saturating_sub(TICK_NANOS), last: None }
    }

    /// Returns what is at the path. The last result is cached.
    fn find(&mut self, path: &[u8]) -> Option<Found> {
        if let Some((last, found)) = &self.last
            && last == path
        {
            return found.clone();
        }
        let found = self.machine.find(path).ok();
        self.last = Some((path.to_vec(), found.clone()));
        found
    }
}

impl FileSystem for RecordedMachine {
    fn unchanged(&mut self, path: &[u8]) -> Option<Observed> {
        let began = self.began;
        self.find(path).filter(|f| f.changed < began).map(Found::observed)
    }
    fn older(&mut self, path: &[u8]) -> Option<Observed> {
        let began = self.began;
        self.find(path)
            .filter(|f| f.born != 0 && f.born < began || f.changed < began)
            .map(Found::observed)
    }
    fn same(&mut self, a: &[u8], b: &[u8]) -> bool {
        let several = |f: &Found| f.links > 1 && f.kind != FileType::Directory;
        let Some(id) = self.find(a).filter(several).map(|f| f.id) else { return false };
        self.find(b).is_some_and(|f| f.id == id)
    }
    fn id(&mut self, path: &[u8]) -> Option<(u64, u64)> {
        Some(self.find(path)?.id)
    }
    fn list(&mut self, path: &[u8]) -> Vec<Vec<u8>> {
        self.machine.list(path)
    }
}
