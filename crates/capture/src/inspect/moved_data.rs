//! Data that the kernel moved between files without copying them to the program's memory
//! (sendfile(2), splice(2)). They are read from the source file, or from the destination if the
//! source does not keep what was read from it (a pipe, a socket, a file of procfs).
//!
//! Only regular files are read: what went from a pipe into a socket cannot be read any more. The
//! program is stopped, but other programs may have written to the file since; the trace has the
//! file's present content then.

use super::memory::read_u64;
use rustix::process::{Pid, PidfdFlags, PidfdGetfdFlags, pidfd_getfd, pidfd_open};
use std::fs::{File, Metadata};
use std::os::fd::OwnedFd;
use std::os::unix::fs::{FileExt, MetadataExt, OpenOptionsExt};
use std::path::Path;

/// The part of a regular file from an offset on to its end.
pub(crate) struct FileRange {
    file: File,
    /// The offset of the first byte.
    from: u64,
    /// The size of the file.
    end: u64,
}

/// Where the data that a call moved begin in the file.
#[derive(Clone, Copy, Debug)]
pub(crate) enum RangeStart {
    /// At the beginning of the file.
    FileStart,
    /// `moved` bytes before the present offset of the descriptor.
    FdOffset,
    /// `moved` bytes before the offset that the program has in its memory at this address.
    At(u64),
}

impl FileRange {
    /// Opens the file of descriptor `fd`, out of which `moved` bytes were moved. Returns `None` if
    /// it is no regular file or cannot be opened.
    pub fn open_source(tid: i32, pid: i32, fd: i32, start: RangeStart, moved: u64) -> Option<Self> {
        let file = File::from(duplicate(pid, fd).or_else(|| reopen(tid, fd))?);
        Self::locate(file, tid, fd, start, moved)
    }
    /// Opens the file of descriptor `fd`, into which `moved` bytes were moved. Returns `None` if it
    /// is no regular file or cannot be opened.
    pub fn open_destination(
        tid: i32,
        pid: i32,
        fd: i32,
        start: RangeStart,
        moved: u64,
    ) -> Option<Self> {
        // The program's descriptor may be open for writing only.
        let file = File::from(reopen(tid, fd).or_else(|| duplicate(pid, fd))?);
        Self::locate(file, tid, fd, start, moved)
    }
    /// Opens the file of descriptor `fd` from the offset `from` on. Returns `None` if it is no
    /// regular file or cannot be opened.
    pub fn open_at(tid: i32, pid: i32, fd: i32, from: u64) -> Option<Self> {
        Self::open_source(tid, pid, fd, RangeStart::FileStart, 0)
            .map(|source| Self { from, ..source })
    }
    /// Returns the range of an opened file that begins where `start` says. Returns `None` if it is
    /// no regular file, or the offset cannot be read.
    fn locate(file: File, tid: i32, fd: i32, start: RangeStart, moved: u64) -> Option<Self> {
        let metadata = file.metadata().ok()?;
        if !metadata.is_file() {
            return None;
        }
        let end_offset = match start {
            RangeStart::FileStart => moved,
            // The offset is that of the program's descriptor, since a file that was opened again
            // has its own.
            RangeStart::FdOffset => fd_offset(tid, fd)?,
            RangeStart::At(pointer) => read_u64(tid, pointer)?,
        };
        Some(Self { file, from: end_offset.saturating_sub(moved), end: metadata.size() })
    }
    /// Opens the regular file with this inode number from the offset `from` on: the file of
    /// descriptor `fd` or, if the program has closed that meanwhile, the file with this name.
    /// `write_only`: the descriptor may be open for writing only. Returns `None` if neither is that
    /// file.
    pub fn open_by_inode(
        tid: i32,
        pid: i32,
        fd: i32,
        from: u64,
        inode: u64,
        write_only: bool,
        name: &Path,
    ) -> Option<Self> {
        let is_wanted = |metadata: &Metadata| metadata.is_file() && metadata.ino() == inode;
        let check = |fd: Option<OwnedFd>| {
            let file = File::from(fd?);
            let metadata = file.metadata().ok().filter(is_wanted)?;
            Some(Self { file, from, end: metadata.size() })
        };
        let named = || {
            std::fs::symlink_metadata(name).ok().filter(is_wanted)?;
            // Another file may have the name by now. Opening it must neither block nor have side
            // effects.
            let plain = File::options()
                .read(true)
                .custom_flags(libc::O_NOFOLLOW | libc::O_NONBLOCK)
                .open(name);
            plain.ok().map(OwnedFd::from)
        };
        let first = if write_only { reopen(tid, fd) } else { duplicate(pid, fd) };
        check(first)
            .or_else(|| check(if write_only { duplicate(pid, fd) } else { reopen(tid, fd) }))
            .or_else(|| check(named()))
    }
    /// Returns the file.
    pub fn into_file(self) -> File {
        self.file
    }
    /// Returns how many bytes the file has from here on.
    pub fn remaining(&self) -> u64 {
        self.end.saturating_sub(self.from)
    }
    /// Reads into `into`, from `position` bytes after the start of the range on. Returns how many
    /// bytes could be read.
    pub fn read(&mut self, position: u64, into: &mut [u8]) -> usize {
        let mut done = 0;
        while done < into.len() {
            match self.file.read_at(&mut into[done..], self.from + position + done as u64) {
                Ok(read) if read > 0 => done += read,
                _ => break,
            }
        }
        done
    }
}

/// Returns whether descriptor `fd` leads to a regular file with at least this many bytes. Files
/// that the kernel generates have a size of 0.
pub(crate) fn has_regular_file(tid: i32, fd: i32, bytes: u64) -> bool {
    std::fs::metadata(format!("/proc/{tid}/fd/{fd}"))
        .is_ok_and(|m| m.is_file() && m.size() >= bytes)
}

/// Duplicates a descriptor of another process with pidfd_getfd(2). This needs no permission to open
/// the file, and works for a file without a name.
fn duplicate(pid: i32, fd: i32) -> Option<OwnedFd> {
    let process = pidfd_open(Pid::from_raw(pid)?, PidfdFlags::empty()).ok()?;
    pidfd_getfd(process, fd, PidfdGetfdFlags::empty()).ok()
}

/// Opens the file of a descriptor of another process for reading, if it is a regular file.
pub(crate) fn reopen(tid: i32, fd: i32) -> Option<OwnedFd> {
    let path = format!("/proc/{tid}/fd/{fd}");
    // Opening a FIFO or a device could block or have side effects.
    if !std::fs::metadata(&path).ok()?.is_file() {
        return None;
    }
    File::open(path).ok().map(OwnedFd::from)
}

/// Returns the file offset of a descriptor of another process, or `None` if it cannot be read.
fn fd_offset(tid: i32, fd: i32) -> Option<u64> {
    super::procfs::read_fdinfo(tid, fd).map(|i| i.offset)
}
