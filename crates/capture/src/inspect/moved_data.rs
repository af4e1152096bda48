//! Data that the kernel moved from file to file without passing the program's memory: read from the
//! source, or from where they went if the source does not keep what it gives (a pipe, a socket, a
//! file that the kernel makes up).
//!
//! Only regular files: what went from a pipe into a socket is gone. The program stands still, but
//! others may have written to the file since; then the trace holds what is there now.

use super::memory::read_u64;
use rustix::process::{Pid, PidfdFlags, PidfdGetfdFlags, pidfd_getfd, pidfd_open};
use std::fs::{File, Metadata};
use std::os::fd::OwnedFd;
use std::os::unix::fs::{FileExt, MetadataExt, OpenOptionsExt};
use std::path::Path;

/// A range of a regular file of another process, up to the file's end.
pub(crate) struct FileRange {
    file: File,
    from: u64,
    end: u64,
}

/// Where in the file the range begins.
#[derive(Clone, Copy, Debug)]
pub(crate) enum RangeStart {
    /// At its first byte.
    FileStart,
    /// `moved` bytes before the descriptor's offset.
    FdOffset,
    /// `moved` bytes before the offset at this address.
    At(u64),
}

impl FileRange {
    /// The file of descriptor `fd`, from where `moved` bytes were taken.
    pub fn open(tid: i32, pid: i32, fd: i32, start: RangeStart, moved: u64) -> Option<Self> {
        let file = File::from(duplicate(pid, fd).or_else(|| reopen(tid, fd))?);
        Self::new(file, tid, fd, start, moved)
    }
    /// The file of descriptor `fd`, to where `moved` bytes went.
    pub fn landed(tid: i32, pid: i32, fd: i32, start: RangeStart, moved: u64) -> Option<Self> {
        // The program's own descriptor need not be one for reading.
        let file = File::from(reopen(tid, fd).or_else(|| duplicate(pid, fd))?);
        Self::new(file, tid, fd, start, moved)
    }
    /// The file of descriptor `fd`, from byte `from`.
    pub fn from(tid: i32, pid: i32, fd: i32, from: u64) -> Option<Self> {
        Self::open(tid, pid, fd, RangeStart::FileStart, 0).map(|source| Self { from, ..source })
    }
    fn new(file: File, tid: i32, fd: i32, start: RangeStart, moved: u64) -> Option<Self> {
        let metadata = file.metadata().ok()?;
        if !metadata.is_file() {
            return None;
        }
        let after = match start {
            RangeStart::FileStart => moved,
            // The position is asked of the program's descriptor: a file that was opened anew has
            // its own.
            RangeStart::FdOffset => position(tid, fd)?,
            RangeStart::At(pointer) => read_u64(tid, pointer)?,
        };
        Some(Self { file, from: after.saturating_sub(moved), end: metadata.size() })
    }
    /// The regular file with this inode, from a place on: that of descriptor `fd` or, if the
    /// program has closed that meanwhile, that of this name; `landed`: the descriptor need not be
    /// one for reading.
    pub fn of_inode(
        tid: i32,
        pid: i32,
        fd: i32,
        from: u64,
        inode: u64,
        landed: bool,
        name: &Path,
    ) -> Option<Self> {
        let is_it = |metadata: &Metadata| metadata.is_file() && metadata.ino() == inode;
        let of = |fd: Option<OwnedFd>| {
            let file = File::from(fd?);
            let metadata = file.metadata().ok().filter(is_it)?;
            Some(Self { file, from, end: metadata.size() })
        };
        let named = || {
            std::fs::symlink_metadata(name).ok().filter(is_it)?;
            // Another file may have the name by now, whose opening must neither wait nor do
            // anything.
            let plain = File::options()
                .read(true)
                .custom_flags(libc::O_NOFOLLOW | libc::O_NONBLOCK)
                .open(name);
            plain.ok().map(OwnedFd::from)
        };
        let first = if landed { reopen(tid, fd) } else { duplicate(pid, fd) };
        of(first)
            .or_else(|| of(if landed { duplicate(pid, fd) } else { reopen(tid, fd) }))
            .or_else(|| of(named()))
    }
    /// Bytes from here to the file's end.
    pub fn rest(&self) -> u64 {
        self.end.saturating_sub(self.from)
    }
    /// Reads at a distance from the range's beginning; how many bytes could be read.
    pub fn read(&mut self, at: u64, into: &mut [u8]) -> usize {
        let mut got = 0;
        while got < into.len() {
            match self.file.read_at(&mut into[got..], self.from + at + got as u64) {
                Ok(n) if n > 0 => got += n,
                _ => break,
            }
        }
        got
    }
}

/// Whether descriptor `fd` leads to a regular file with so many bytes. Those that the kernel makes
/// up have none, as far as they tell.
pub(crate) fn is_file_of(tid: i32, fd: i32, bytes: u64) -> bool {
    std::fs::metadata(format!("/proc/{tid}/fd/{fd}"))
        .is_ok_and(|m| m.is_file() && m.size() >= bytes)
}

/// A copy of the process's descriptor: needs no permission to open the file, which may have no name
/// any more.
fn duplicate(pid: i32, fd: i32) -> Option<OwnedFd> {
    let process = pidfd_open(Pid::from_raw(pid)?, PidfdFlags::empty()).ok()?;
    pidfd_getfd(process, fd, PidfdGetfdFlags::empty()).ok()
}

fn reopen(tid: i32, fd: i32) -> Option<OwnedFd> {
    let path = format!("/proc/{tid}/fd/{fd}");
    // Opening a FIFO or a device could wait, or do something.
    if !std::fs::metadata(&path).ok()?.is_file() {
        return None;
    }
    File::open(path).ok().map(OwnedFd::from)
}

fn position(tid: i32, fd: i32) -> Option<u64> {
    super::procfs::descriptor_info(tid, fd).map(|i| i.position)
}
