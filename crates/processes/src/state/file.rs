//! Descriptors, and what they refer to: open files, inodes, directories.

use crate::mounts::Mounts;
use linux_raw_sys::general::{O_APPEND, S_IFDIR, S_IFLNK, S_IFMT, S_IFREG};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering::Relaxed};
use trace::record::{FdSnapshot, Identity};

/// What all open files of one inode share.
#[derive(Debug, Default)]
pub struct Inode {
    /// Device and inode number on the recorded machine; (0, 0) if they are not known.
    pub key: (u64, u64),
    /// The size in bytes as far as it is known: that of its latest open, changed by the writes and
    /// truncations since.
    size: AtomicU64,
}

impl Inode {
    /// Creates an inode with this device and inode number, and this size.
    pub(crate) fn new(key: (u64, u64), size: u64) -> Self {
        Self { key, size: AtomicU64::new(size) }
    }
    /// Returns the current size in bytes.
    pub fn size(&self) -> u64 {
        self.size.load(Relaxed)
    }
    /// Sets the size.
    pub(crate) fn set_size(&self, size: u64) {
        self.size.store(size, Relaxed);
    }
    /// Sets the size if it is larger than the known one.
    pub(crate) fn grow(&self, size: u64) {
        self.size.fetch_max(size, Relaxed);
    }
}

/// An open file: what the kernel calls `struct file`. Duplicates and forked copies of a descriptor
/// share one, with its offset.
#[derive(Debug)]
pub struct OpenFile {
    /// Unique within one [`crate::Processes`].
    pub id: u64,
    /// The path when it was opened, as the recorder saw it; `pipe:[1]` and the like for what has
    /// none.
    pub path: Box<[u8]>,
    /// Its identity when it was opened; all zeros if that is unknown.
    pub identity: Identity,
    /// Its inode.
    pub inode: Arc<Inode>,
    offset: AtomicU64,
    status: AtomicU32,
    /// The process to which it refers, if it is a pidfd (pidfd_open(2)); 0: none.
    pidfd_process: AtomicU32,
    is_stored: bool,
    is_elsewhere: bool,
}

impl OpenFile {
    /// Creates an open file. `path` is the one that the recorder saw; `status` are the flags of the
    /// open; `elsewhere` is whether it is on a file system that the program mounted.
    pub(crate) fn new(
        id: u64,
        path: &[u8],
        identity: Identity,
        inode: Arc<Inode>,
        status: u32,
        mounts: &Mounts,
        elsewhere: bool,
    ) -> Self {
        let not_stored = elsewhere
            || path.starts_with(b"/memfd:")
            || crate::mounts::is_virtual_magic(identity.fs_type)
            || (path.first() == Some(&b'/') && mounts.is_virtual(path));
        let stored = !not_stored && matches!(identity.mode & S_IFMT, S_IFREG | S_IFDIR | S_IFLNK);
        Self {
            id,
            path: path.into(),
            identity,
            inode,
            offset: AtomicU64::new(identity.offset),
            status: AtomicU32::new(status),
            pidfd_process: AtomicU32::new(0),
            is_stored: stored,
            is_elsewhere: elsewhere,
        }
    }
    /// Returns whether a call can have used this file through its descriptor, given the snapshot
    /// from the kernel. Numbers that came from stat(2) are not compared, as some file systems
    /// (overlayfs, btrfs) return others than their inodes have.
    pub fn may_match(&self, snapshot: FdSnapshot) -> bool {
        let Identity { dev, ino, .. } = self.identity;
        snapshot.known().is_none_or(|snapshot| {
            self.identity.was_created().is_none()
                || (dev, ino) == (u64::from(snapshot.dev), snapshot.ino)
        })
    }
    /// Returns whether the file has the device and inode of `identity`, as far as both are known.
    pub fn matches_identity(&self, identity: &Identity) -> bool {
        let known = (identity.dev, identity.ino);
        [self.inode.key, known].contains(&(0, 0)) || self.inode.key == known
    }
    /// Returns the offset that calls without a position of their own use.
    pub fn offset(&self) -> u64 {
        self.offset.load(Relaxed)
    }
    /// Sets the offset that calls without a position of their own use.
    pub(crate) fn set_offset(&self, offset: u64) {
        self.offset.store(offset, Relaxed);
    }
    /// Returns the status flags (`O_*`) as far as they are known: those of its open and of later
    /// `F_SETFL`.
    pub fn status(&self) -> u32 {
        self.status.load(Relaxed)
    }
    /// Sets the status flags (`O_*`).
    pub(crate) fn set_status(&self, status: u32) {
        self.status.store(status, Relaxed);
    }
    /// Returns the process that the descriptor refers to, if it is a pidfd.
    pub(crate) fn process(&self) -> Option<u32> {
        Some(self.pidfd_process.load(Relaxed)).filter(|pid| *pid != 0)
    }
    /// Notes that this is a pidfd of the process `pid`.
    pub(crate) fn set_process(&self, pid: u32) {
        self.pidfd_process.store(pid, Relaxed);
    }
    /// Returns whether writes go to the end of the file.
    pub fn appends(&self) -> bool {
        self.status() & O_APPEND != 0
    }
    /// Returns `S_IFREG`, `S_IFDIR` and so on; 0 if it is not known or an anonymous inode.
    pub fn file_type(&self) -> u32 {
        self.identity.mode & S_IFMT
    }
    /// Returns whether the file is on a file system that the program mounted.
    pub fn is_elsewhere(&self) -> bool {
        self.is_elsewhere
    }
    /// Returns whether it is a regular file, a directory or a symbolic link of a file system that
    /// stores them (not procfs, sysfs and the like, nor in memory). Only on such files a replay can
    /// perform calls.
    pub fn is_stored(&self) -> bool {
        self.is_stored
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use trace::record::CREATED_KNOWN;

    #[test]
    fn what_was_seen_tells_files_apart() {
        let file = |created| {
            let identity =
                Identity { dev: 0x801, ino: 7, mode: 0o100_644, created, ..Identity::default() };
            OpenFile::new(
                1,
                b"/f",
                identity,
                Arc::new(Inode::new((0x801, 7), 0)),
                0,
                &Mounts::default(),
                false,
            )
        };
        let seen = |dev, ino| FdSnapshot { dev, ino, mode: 0o100_644, ..FdSnapshot::default() };
        let (told, asked) = (file(CREATED_KNOWN), file(0));
        assert!(told.may_match(seen(0x801, 7)) && told.may_match(FdSnapshot::default()));
        assert!(!told.may_match(seen(0x801, 8)) && !told.may_match(seen(0x802, 7)));
        // What `stat` said may be another number for the same file.
        assert!(asked.may_match(seen(0x17, 8)));
    }
}

/// A descriptor, from the call that created it until it is closed in all tables that inherited it.
#[derive(Debug)]
pub struct Descriptor<T> {
    /// Unique within one [`crate::Processes`].
    pub id: u64,
    /// The open file to which it refers.
    pub file: Arc<OpenFile>,
    /// What the user of this crate attaches.
    pub real: T,
}

/// A working directory or root.
#[derive(Debug)]
pub struct Directory<T> {
    /// Its absolute path, as the recorder saw it.
    pub path: Box<[u8]>,
    /// Its path in the mount namespace of its process ([`crate::MountView`]).
    pub(crate) view: Box<[u8]>,
    /// Whether it is on a file system that the program mounted. `path` then is no path in the
    /// recorder's view.
    pub elsewhere: bool,
    /// What the user of this crate attaches.
    pub real: T,
}
