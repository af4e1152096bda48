//! Where a trace's bytes go: the few operations on a directory that writing one needs, each through
//! a held descriptor of the directory.
//!
//! Everything that writes goes through [`Storage`], so that a test can make the n-th operation
//! fail. New files are created anew (`O_EXCL`, never through a link) and readable by their owner
//! alone: a trace holds the data of the program.

mod log;
mod provisional;

pub(crate) use log::window;
pub(crate) use provisional::Provisional;
use rustix::fs::{AtFlags, Mode, OFlags};
use std::fs::File;
use std::io::{self, Write};
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

/// A file that is being written.
pub trait Sink: Write + Send {
    /// Makes what was written durable.
    fn sync(&mut self) -> io::Result<()>;
}

impl Sink for File {
    fn sync(&mut self) -> io::Result<()> {
        self.sync_data()
    }
}

/// The operations on a directory.
pub trait Storage: Send + Sync {
    /// A new file; one of that name goes first.
    fn create(&self, dir: BorrowedFd<'_>, name: &str) -> io::Result<Box<dyn Sink>>;
    /// A new file that grows long and is not read soon.
    fn create_log(&self, dir: BorrowedFd<'_>, name: &str) -> io::Result<Box<dyn Sink>> {
        self.create(dir, name)
    }
    /// `from` becomes `to`, at once and durably.
    fn rename(&self, dir: BorrowedFd<'_>, from: &str, to: &str) -> io::Result<()>;
    /// The same, durable with whatever is made durable in the directory next.
    fn replace(&self, dir: BorrowedFd<'_>, from: &str, to: &str) -> io::Result<()> {
        self.rename(dir, from, to)
    }
    /// Removes a file; that there is none is no error.
    fn remove(&self, dir: BorrowedFd<'_>, name: &str) -> io::Result<()>;
    /// Makes names durable.
    fn sync_dir(&self, dir: BorrowedFd<'_>) -> io::Result<()>;
}

/// The file system.
pub struct Disk;

impl Disk {
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

/// Opens a directory by path, to go on through the descriptor.
pub fn directory(path: &std::path::Path) -> io::Result<std::os::fd::OwnedFd> {
    Ok(rustix::fs::open(path, OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())?)
}

/// Opens a directory within a directory, not through a link.
pub(crate) fn directory_at(
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

/// Opens a regular file within a directory, not through a link; anything else (a pipe would block)
/// is refused.
pub(crate) fn file_at(dir: impl AsFd, name: &str) -> io::Result<File> {
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

/// Whether there is no room for more: the disk, the quota, or RLIMIT_FSIZE does not allow it.
pub(crate) fn is_full(e: &io::Error) -> bool {
    use io::ErrorKind::{FileTooLarge, QuotaExceeded, StorageFull};
    matches!(e.kind(), StorageFull | QuotaExceeded | FileTooLarge)
}

/// Storage that remembers whether it was full: what writes through it may not pass the reason on
/// (Parquet's writer does not always).
pub(crate) struct NotesFull<'a> {
    storage: &'a dyn Storage,
    full: Arc<AtomicBool>,
}

struct NotesFullSink {
    sink: Box<dyn Sink>,
    full: Arc<AtomicBool>,
}

impl<'a> NotesFull<'a> {
    /// `full` says so of others, too.
    pub fn new(storage: &'a dyn Storage, full: Arc<AtomicBool>) -> Self {
        Self { storage, full }
    }
    /// Whether an operation failed for want of space.
    pub fn was_full(&self) -> bool {
        self.full.load(Relaxed)
    }
}

fn note_full<T>(full: &AtomicBool, done: io::Result<T>) -> io::Result<T> {
    if let Err(e) = &done
        && is_full(e)
    {
        full.store(true, Relaxed);
    }
    done
}

impl Write for NotesFullSink {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        note_full(&self.full, self.sink.write(bytes))
    }
    fn flush(&mut self) -> io::Result<()> {
        note_full(&self.full, self.sink.flush())
    }
}

impl Sink for NotesFullSink {
    fn sync(&mut self) -> io::Result<()> {
        note_full(&self.full, self.sink.sync())
    }
}

impl Storage for NotesFull<'_> {
    fn create(&self, dir: BorrowedFd<'_>, name: &str) -> io::Result<Box<dyn Sink>> {
        let sink = note_full(&self.full, self.storage.create(dir, name))?;
        Ok(Box::new(NotesFullSink { sink, full: self.full.clone() }))
    }
    fn rename(&self, dir: BorrowedFd<'_>, from: &str, to: &str) -> io::Result<()> {
        note_full(&self.full, self.storage.rename(dir, from, to))
    }
    fn remove(&self, dir: BorrowedFd<'_>, name: &str) -> io::Result<()> {
        note_full(&self.full, self.storage.remove(dir, name))
    }
    fn sync_dir(&self, dir: BorrowedFd<'_>) -> io::Result<()> {
        note_full(&self.full, self.storage.sync_dir(dir))
    }
}
