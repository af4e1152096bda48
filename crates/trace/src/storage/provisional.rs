//! Files that are of use only if all goes well: what is sealed while the recording goes on. A
//! writer that needs the space takes it back, from any thread, and from then on nothing more can be
//! written here.
//!
//! Invariant: nothing of this is durable before [`Provisional::keep`], and no thread waits for the
//! disk before that.

use super::{Sink, Storage, file_at};
use std::collections::BTreeMap;
use std::io::{self, IoSlice, Write};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Storage in one directory that can be taken back.
pub(crate) struct Provisional {
    storage: Arc<dyn Storage>,
    dir: OwnedFd,
    files: Arc<Mutex<Files>>,
}

#[derive(Default)]
struct Files {
    taken_back: bool,
    /// There was something to take.
    any: bool,
    /// The recording has ended.
    kept: bool,
    /// All that were made; those that are being written have a sink.
    sinks: BTreeMap<String, Option<Box<dyn Sink>>>,
    full: Arc<AtomicBool>,
}

fn lock(files: &Mutex<Files>) -> MutexGuard<'_, Files> {
    files.lock().unwrap_or_else(PoisonError::into_inner)
}

fn gone() -> io::Error {
    io::Error::other("disk space was needed for the recording")
}

fn is_full(e: &io::Error) -> bool {
    matches!(e.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded)
}

impl Provisional {
    /// Files in `dir`.
    pub fn new(storage: Arc<dyn Storage>, dir: OwnedFd) -> Self {
        Self { storage, dir, files: Arc::default() }
    }

    /// Whether an operation failed for want of space.
    pub fn full(&self) -> Arc<AtomicBool> {
        Arc::clone(&lock(&self.files).full)
    }

    /// Removes all files, those that are being written too. Whether that gave room, now or earlier;
    /// nothing is taken once they are kept.
    pub fn take_back(&self) -> bool {
        let mut files = lock(&self.files);
        if files.kept {
            return false;
        }
        files.taken_back = true;
        let all = std::mem::take(&mut files.sinks);
        files.any |= !all.is_empty();
        for (name, sink) in all {
            // Its room is free when it is closed.
            drop(sink);
            // What stays is removed when the trace is sealed.
            let _ = self.storage.remove(self.dir.as_fd(), &name);
        }
        files.any
    }

    /// Whether it was.
    pub fn is_taken_back(&self) -> bool {
        lock(&self.files).taken_back
    }

    /// From now on what was written stays, and writing is durable. False: it was taken back.
    pub fn keep(&self) -> io::Result<bool> {
        let done: Vec<String> = {
            let mut files = lock(&self.files);
            files.kept = !files.taken_back;
            files
                .sinks
                .iter()
                .filter(|(_, sink)| sink.is_none())
                .map(|(name, _)| name.clone())
                .collect()
        };
        done.iter().try_for_each(|name| file_at(&self.dir, name)?.sync_data())?;
        Ok(lock(&self.files).kept)
    }

    /// A journal that takes the room of these files when there is no other.
    pub fn priority_sink(self: &Arc<Self>, sink: Box<dyn Sink>) -> Box<dyn Sink> {
        Box::new(PrioritySink { sink, others: Arc::clone(self), has_retried: false })
    }
}

impl Storage for Provisional {
    /// Not read before the end, and many: they are written like logs.
    fn create(&self, dir: BorrowedFd<'_>, name: &str) -> io::Result<Box<dyn Sink>> {
        let mut files = lock(&self.files);
        if files.taken_back {
            return Err(gone());
        }
        let made = self.storage.create_log(dir, name);
        let sink = files.note_full(made)?;
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
    fn note_full<T>(&self, done: io::Result<T>) -> io::Result<T> {
        if done.as_ref().is_err_and(is_full) {
            self.full.store(true, Relaxed);
        }
        done
    }
}

struct ProvisionalSink {
    files: Arc<Mutex<Files>>,
    name: String,
}

impl ProvisionalSink {
    fn on<T>(&self, work: impl FnOnce(&mut dyn Sink, bool) -> io::Result<T>) -> io::Result<T> {
        let mut files = lock(&self.files);
        let kept = files.kept;
        let sink = files.sinks.get_mut(&self.name).and_then(Option::as_mut).ok_or_else(gone)?;
        let done = work(&mut **sink, kept);
        files.note_full(done)
    }
}

impl Write for ProvisionalSink {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.on(|sink, _| sink.write(bytes))
    }
    fn flush(&mut self) -> io::Result<()> {
        self.on(|sink, _| sink.flush())
    }
}

impl Sink for ProvisionalSink {
    fn sync(&mut self) -> io::Result<()> {
        self.on(|sink, kept| if kept { sink.sync() } else { Ok(()) })
    }
}

impl Drop for ProvisionalSink {
    fn drop(&mut self) {
        if let Some(sink) = lock(&self.files).sinks.get_mut(&self.name) {
            *sink = None;
        }
    }
}

struct PrioritySink {
    sink: Box<dyn Sink>,
    others: Arc<Provisional>,
    /// It has tried again.
    has_retried: bool,
}

impl PrioritySink {
    fn retry_after_freeing<T>(
        &mut self,
        mut write: impl FnMut(&mut dyn Sink) -> io::Result<T>,
    ) -> io::Result<T> {
        match write(&mut *self.sink) {
            Err(e) if is_full(&e) && !self.has_retried && self.others.take_back() => {
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
