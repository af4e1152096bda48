//! The file operations that writing a trace needs, each on an open directory.
//!
//! Everything that writes goes through [`Storage`], so that a test can make the n-th operation
//! fail. Files are created with `O_EXCL`, never through a symbolic link, and only their owner can
//! read them: a trace holds the data of the recorded program.

mod log;
mod provisional;

pub(crate) use log::cached_bytes;
pub(crate) use provisional::Provisional;
use rustix::fs::{AtFlags, Mode, OFlags};
use std::fs::File;
use std::io::{self, Write};
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

/// A file that is being written.
pub trait Sink: Write + Send {
    /// Makes everything that was written durable.
    fn sync(&mut self) -> io::Result<()>;
}

impl Sink for File {
    fn sync(&mut self) -> io::Result<()> {
        self.sync_data()
    }
}

/// Operations on the files in a directory.
pub trait Storage: Send + Sync {
    /// Creates a file; an existing file of that name is removed first.
    fn create(&self, dir: BorrowedFd<'_>, name: &str) -> io::Result<Box<dyn Sink>>;
    /// Creates a file that grows long and is not read soon.
    fn create_log(&self, dir: BorrowedFd<'_>, name: &str) -> io::Result<Box<dyn Sink>> {
        self.create(dir, name)
    }
    /// Renames `from` to `to`. The change is atomic, and durable on return.
    fn rename(&self, dir: BorrowedFd<'_>, from: &str, to: &str) -> io::Result<()>;
    /// Renames `from` to `to`. The change is atomic, and becomes durable with the next sync of the
    /// directory.
    fn replace(&self, dir: BorrowedFd<'_>, from: &str, to: &str) -> io::Result<()> {
        self.rename(dir, from, to)
    }
    /// Removes a file. It is no error if there is none.
    fn remove(&self, dir: BorrowedFd<'_>, name: &str) -> io::Result<()>;
    /// Makes the names in the directory durable.
    fn sync_dir(&self, dir: BorrowedFd<'_>) -> io::Result<()>;
}

/// The file system of the machine.
pub struct Disk;

impl Disk {
    /// Creates a file that only its owner can read; an existing file of that name is removed first.
    fn new_file(&self, dir: BorrowedFd<'_>, name: &str) -> io::Result<File> {
        self.remove(dir, name)?;
        let flags =
            OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        Ok(rustix::fs::openat(dir, name, flags, Mode::RUSR | Mode::WUSR)?.into())
    }
}

impl Storage for Disk {
    fn create(&self, dir: BorrowedFd<'_>, name: &str) -> io::Result<Box<dyn Sink>> {
        Ok(Box::new(self.new_file(dir, name)?))
    }
    fn create_log(&self, dir: BorrowedFd<'_>, name: &str) -> io::Result<Box<dyn Sink>> {
        Ok(Box::new(log::Log::new(self.new_file(dir, name)?)))
    }
    fn rename(&self, dir: BorrowedFd<'_>, from: &str, to: &str) -> io::Result<()> {
        self.replace(dir, from, to)?;
        self.sync_dir(dir)
    }
    fn replace(&self, dir: BorrowedFd<'_>, from: &str, to: &str) -> io::Result<()> {
        Ok(rustix::fs::renameat(dir, from, dir, to)?)
    }
    fn remove(&self, dir: BorrowedFd<'_>, name: &str) -> io::Result<()> {
        match rustix::fs::unlinkat(dir, name, AtFlags::empty()) {
            Err(rustix::io::Errno::NOENT) | Ok(()) => Ok(()),
            Err(e) => Err(e.into()),
        }
    }
    fn sync_dir(&self, dir: BorrowedFd<'_>) -> io::Result<()> {
        Ok(rustix::fs::fsync(dir)?)
    }
}

/// Opens the directory `path`.
pub fn open_directory(path: &std::path::Path) -> io::Result<std::os::fd::OwnedFd> {
    Ok(rustix::fs::open(path, OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())?)
}

/// Opens the directory `name` in `dir`. Fails if `name` is a symbolic link.
pub(crate) fn open_directory_at(
    dir: impl AsFd,
    name: impl rustix::path::Arg,
) -> io::Result<std::os::fd::OwnedFd> {
    Ok(rustix::fs::openat(
        dir,
        name,
        OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC,
        Mode::empty(),
    )?)
}

/// Opens the regular file `name` in `dir` for reading. Fails if it is a symbolic link or another
/// type of file; opening a pipe could block.
pub(crate) fn open_file_at(dir: impl AsFd, name: &str) -> io::Result<File> {
    let file = File::from(rustix::fs::openat(
        dir,
        name,
        OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC,
        Mode::empty(),
    )?);
    if !file.metadata()?.is_file() {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "not a regular file"));
    }
    Ok(file)
}

/// Returns whether the error says that there is no room for more: the disk or the quota is full, or
/// RLIMIT_FSIZE is reached.
pub(crate) fn is_full(e: &io::Error) -> bool {
    use io::ErrorKind::{FileTooLarge, QuotaExceeded, StorageFull};
    matches!(e.kind(), StorageFull | QuotaExceeded | FileTooLarge)
}

/// Passes all operations on to another storage, and remembers whether one failed because the disk
/// was full. A writer in between may lose the cause of an error, as Parquet's writer sometimes
/// does.
pub(crate) struct FullDetectingStorage<'a> {
    storage: &'a dyn Storage,
    full: Arc<AtomicBool>,
}

/// A file of [`FullDetectingStorage`].
struct FullDetectingSink {
    sink: Box<dyn Sink>,
    full: Arc<AtomicBool>,
}

impl<'a> FullDetectingStorage<'a> {
    /// Wraps `storage`. `full` is set when an operation fails because the disk is full; others may
    /// set it, too.
    pub fn new(storage: &'a dyn Storage, full: Arc<AtomicBool>) -> Self {
        Self { storage, full }
    }
    /// Returns whether an operation has failed because the disk was full.
    pub fn was_full(&self) -> bool {
        self.full.load(Relaxed)
    }
}

/// Sets `full` if `result` is an error that says that the disk is full. Returns `result`.
fn detect_full<T>(full: &AtomicBool, result: io::Result<T>) -> io::Result<T> {
    if let Err(e) = &result
        && is_full(e)
    {
        full.store(true, Relaxed);
    }
    result
}

impl Write for FullDetectingSink {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        detect_full(&self.full, self.sink.write(bytes))
    }
    fn flush(&mut self) -> io::Result<()> {
        detect_full(&self.full, self.sink.flush())
    }
}

impl Sink for FullDetectingSink {
    fn sync(&mut self) -> io::Result<()> {
        detect_full(&self.full, self.sink.sync())
    }
}

impl Storage for FullDetectingStorage<'_> {
    fn create(&self, dir: BorrowedFd<'_>, name: &str) -> io::Result<Box<dyn Sink>> {
        let sink = detect_full(&self.full, self.storage.create(dir, name))?;
        Ok(Box::new(FullDetectingSink { sink, full: self.full.clone() }))
    }
    fn rename(&self, dir: BorrowedFd<'_>, from: &str, to: &str) -> io::Result<()> {
        detect_full(&self.full, self.storage.rename(dir, from, to))
    }
    fn remove(&self, dir: BorrowedFd<'_>, name: &str) -> io::Result<()> {
        detect_full(&self.full, self.storage.remove(dir, name))
    }
    fn sync_dir(&self, dir: BorrowedFd<'_>) -> io::Result<()> {
        detect_full(&self.full, self.storage.sync_dir(dir))
    }
}
