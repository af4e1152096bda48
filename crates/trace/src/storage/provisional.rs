//! Files that are only useful if recording ends well: what is sealed while recording goes on. If
//! the disk fills up, a writer of a journal discards them to get space, from any thread; after that
//! nothing more can be written here.
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

#[derive(Default)]
struct Files {
    /// Whether the files were discarded.
    discarded: bool,
    /// Whether there were files to discard.
    had_files: bool,
    /// Whether the files are kept because recording has ended.
    kept: bool,
    /// All files that were created. A file that is still being written has a sink.
    sinks: BTreeMap<String, Option<Box<dyn Sink>>>,
    full: Arc<AtomicBool>,
}

fn lock(files: &Mutex<Files>) -> MutexGuard<'_, Files> {
    files.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Returns the error of a write after the files were discarded.
fn discarded_error() -> io::Error {
    io::Error::other("disk space was needed for the recording")
}

fn is_full(e: &io::Error) -> bool {
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

    /// Wraps the sink of a journal: if the disk is full, it discards these files and tries once
    /// more.
    pub fn priority_sink(self: &Arc<Self>, sink: Box<dyn Sink>) -> Box<dyn Sink> {
        Box::new(PrioritySink { sink, others: Arc::clone(self), has_retried: false })
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
    fn detect_full<T>(&self, result: io::Result<T>) -> io::Result<T> {
        if result.as_ref().is_err_and(is_full) {
            self.full.store(true, Relaxed);
        }
        result
    }
}

struct ProvisionalSink {
    files: Arc<Mutex<Files>>,
    name: String,
}

impl ProvisionalSink {
    /// Calls `work` with the file's sink, and whether the files are kept for good. Fails if they
    /// were discarded.
    fn with_sink<T>(
        &self,
        work: impl FnOnce(&mut dyn Sink, bool) -> io::Result<T>,
    ) -> io::Result<T> {
        let mut files = lock(&self.files);
        let kept = files.kept;
        let sink =
            files.sinks.get_mut(&self.name).and_then(Option::as_mut).ok_or_else(discarded_error)?;
        let result = work(&mut **sink, kept);
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
    others: Arc<Provisional>,
    /// Whether a write was already repeated after discarding the files. It happens only once.
    has_retried: bool,
}

impl PrioritySink {
    /// Writes, and tries once more if the disk is full and discarding the provisional files freed
    /// space.
    fn retry_after_freeing<T>(
        &mut self,
        mut write: impl FnMut(&mut dyn Sink) -> io::Result<T>,
    ) -> io::Result<T> {
        match write(&mut *self.sink) {
            Err(e) if is_full(&e) && !self.has_retried && self.others.discard() => {
                self.has_retried = true;
                write(&mut *self.sink)
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
