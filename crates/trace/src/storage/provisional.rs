//! Files that are only useful if the recording ends in order: those that are sealed while it goes
//! on. If the disk is full, the writer of a journal discards them to free space, from any thread;
//! after that, writes to them fail.
//!
//! Invariant: none of these files is durable before [`Provisional::keep`], and no thread waits for
//! the disk before that.

use super::{Sink, Storage, open_file_at};
use std::collections::BTreeMap;
use std::io::{self, IoSlice, Write};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Storage in one directory whose files can be discarded at any time.
pub(crate) struct Provisional {
    storage: Arc<dyn Storage>,
    dir: OwnedFd,
    files: Arc<Mutex<Files>>,
}

/// The files of a [`Provisional`], and what was done with them.
#[derive(Default)]
struct Files {
    /// Whether the files were discarded.
    discarded: bool,
    /// Whether there were files to discard.
    had_files: bool,
    /// Whether the files are kept because recording has ended.
    kept: bool,
    /// The sinks of all files that were created, by name; `None`: the file is finished.
    sinks: BTreeMap<String, Option<Box<dyn Sink>>>,
    /// Set when an operation fails because the disk is full.
    full: Arc<AtomicBool>,
}

/// Locks the files, also if another thread panicked while it held the lock.
fn lock(files: &Mutex<Files>) -> MutexGuard<'_, Files> {
    files.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Returns the error of a write after the files were discarded.
fn discarded_error() -> io::Error {
    io::Error::other("disk space was needed for the recording")
}

/// Returns whether the error says that the disk or the quota is full, so that removing files helps.
fn is_disk_full(e: &io::Error) -> bool {
    matches!(e.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded)
}

impl Provisional {
    /// Creates storage for files in the directory `dir`.
    pub fn new(storage: Arc<dyn Storage>, dir: OwnedFd) -> Self {
        Self { storage, dir, files: Arc::default() }
    }

    /// Returns the flag that is set when an operation fails because the disk is full.
    pub fn full_flag(&self) -> Arc<AtomicBool> {
        Arc::clone(&lock(&self.files).full)
    }

    /// Removes all files, including those that are being written. Returns whether this freed space,
    /// now or in an earlier call. Once the files are kept, nothing is removed, and the result is
    /// false.
    pub fn discard(&self) -> bool {
        let mut files = lock(&self.files);
        if files.kept {
            return false;
        }
        files.discarded = true;
        let sinks = std::mem::take(&mut files.sinks);
        files.had_files |= !sinks.is_empty();
        for (name, sink) in sinks {
            // The space of a file is free once it is closed.
            drop(sink);
            // A file that cannot be removed now is removed when the trace is sealed.
            let _ = self.storage.remove(self.dir.as_fd(), &name);
        }
        files.had_files
    }

    /// Returns whether the files were discarded.
    pub fn is_discarded(&self) -> bool {
        lock(&self.files).discarded
    }

    /// Syncs the files that are finished. From now on files cannot be discarded, and writing is
    /// durable. Returns false if the files were discarded already.
    pub fn keep(&self) -> io::Result<bool> {
        let finished: Vec<String> = {
            let mut files = lock(&self.files);
            files.kept = !files.discarded;
            files
                .sinks
                .iter()
                .filter(|(_, sink)| sink.is_none())
                .map(|(name, _)| name.clone())
                .collect()
        };
        finished.iter().try_for_each(|name| open_file_at(&self.dir, name)?.sync_data())?;
        Ok(lock(&self.files).kept)
    }

    /// Wraps the sink of a journal: when the disk is full for the first time, the returned sink
    /// discards these files and tries once more.
    pub fn priority_sink(self: &Arc<Self>, sink: Box<dyn Sink>) -> Box<dyn Sink> {
        Box::new(PrioritySink { sink, provisional: Arc::clone(self), has_retried: false })
    }
}

impl Storage for Provisional {
    /// Creates the file with [`Storage::create_log`], since there are many, and none is read before
    /// recording ends.
    fn create(&self, dir: BorrowedFd<'_>, name: &str) -> io::Result<Box<dyn Sink>> {
        let mut files = lock(&self.files);
        if files.discarded {
            return Err(discarded_error());
        }
        let created = self.storage.create_log(dir, name);
        let sink = files.detect_full(created)?;
        files.sinks.insert(name.to_owned(), Some(sink));
        Ok(Box::new(ProvisionalSink { files: Arc::clone(&self.files), name: name.to_owned() }))
    }
    fn rename(&self, dir: BorrowedFd<'_>, from: &str, to: &str) -> io::Result<()> {
        self.storage.rename(dir, from, to)
    }
    fn remove(&self, dir: BorrowedFd<'_>, name: &str) -> io::Result<()> {
        lock(&self.files).sinks.remove(name);
        self.storage.remove(dir, name)
    }
    fn sync_dir(&self, dir: BorrowedFd<'_>) -> io::Result<()> {
        self.storage.sync_dir(dir)
    }
}

impl Files {
    /// Sets `full` if `result` is an error that says that the disk is full. Returns `result`.
    fn detect_full<T>(&self, result: io::Result<T>) -> io::Result<T> {
        if result.as_ref().is_err_and(is_disk_full) {
            self.full.store(true, Relaxed);
        }
        result
    }
}

/// A file of a [`Provisional`], of which a write fails once the files were discarded.
struct ProvisionalSink {
    files: Arc<Mutex<Files>>,
    name: String,
}

impl ProvisionalSink {
    /// Calls `operation` with the file's sink, and with whether the files are kept for good. Fails
    /// if the files were discarded.
    fn with_sink<T>(
        &self,
        operation: impl FnOnce(&mut dyn Sink, bool) -> io::Result<T>,
    ) -> io::Result<T> {
        let mut files = lock(&self.files);
        let kept = files.kept;
        let sink =
            files.sinks.get_mut(&self.name).and_then(Option::as_mut).ok_or_else(discarded_error)?;
        let result = operation(&mut **sink, kept);
        files.detect_full(result)
    }
}

impl Write for ProvisionalSink {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.with_sink(|sink, _| sink.write(bytes))
    }
    fn flush(&mut self) -> io::Result<()> {
        self.with_sink(|sink, _| sink.flush())
    }
}

impl Sink for ProvisionalSink {
    fn sync(&mut self) -> io::Result<()> {
        self.with_sink(|sink, kept| if kept { sink.sync() } else { Ok(()) })
    }
}

impl Drop for ProvisionalSink {
    fn drop(&mut self) {
        if let Some(sink) = lock(&self.files).sinks.get_mut(&self.name) {
            *sink = None;
        }
    }
}

/// The sink of a journal, which takes precedence over provisional files.
struct PrioritySink {
    sink: Box<dyn Sink>,
    /// The files that are discarded if the disk is full.
    provisional: Arc<Provisional>,
    /// Whether an operation was already repeated after the files were discarded. This is done once.
    has_retried: bool,
}

impl PrioritySink {
    /// Calls `operation` with the sink of the journal. If it fails because the disk is full,
    /// discards the provisional files, and calls it once more if that freed space. This is done
    /// only for the first such failure of this sink.
    fn retry_after_freeing<T>(
        &mut self,
        mut operation: impl FnMut(&mut dyn Sink) -> io::Result<T>,
    ) -> io::Result<T> {
        match operation(&mut *self.sink) {
            Err(e) if is_disk_full(&e) && !self.has_retried && self.provisional.discard() => {
                self.has_retried = true;
                operation(&mut *self.sink)
            }
            other => other,
        }
    }
}

impl Write for PrioritySink {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.retry_after_freeing(|sink| sink.write(bytes))
    }
    fn write_vectored(&mut self, parts: &[IoSlice<'_>]) -> io::Result<usize> {
        self.retry_after_freeing(|sink| sink.write_vectored(parts))
    }
    fn flush(&mut self) -> io::Result<()> {
        self.sink.flush()
    }
}

impl Sink for PrioritySink {
    fn sync(&mut self) -> io::Result<()> {
        self.retry_after_freeing(|sink| sink.sync())
    }
}
