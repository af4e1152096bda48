//! A trace that is being recorded.
//!
//! The directory of the trace is locked with flock(2) from its creation until the trace is sealed
//! or dropped. A process that finds a trace in state `recording` and can lock it knows that the
//! recorder has died. Sealing reads every journal in the directory `journal/`, whether or not this
//! process created it, so that nothing an engine wrote is forgotten.

use crate::document::{Document, Durability, NAME, RecordingEnd, RecordingInfo, State, Summary};
use crate::error::Error;
use crate::journal::Journal;
use crate::seal::{Limits, OutputDir, SealAhead, SealOptions};
use crate::semantics::{Progress, Semantics};
use crate::storage::{Disk, Provisional, Storage, open_directory, open_directory_at};
use std::hash::{BuildHasher, Hasher};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

/// The name of the directory with the journals.
const JOURNAL: &str = "journal";

/// A trace that is being recorded.
pub struct Recording {
    path: PathBuf,
    dir: OwnedFd,
    document: Document,
    storage: Arc<dyn Storage>,
    /// Writes the files that are sealed while recording goes on.
    provisional: Arc<Provisional>,
    sealed_ahead: Mutex<Option<SealAhead>>,
    semantics: Arc<dyn Semantics>,
    limits: Limits,
}

impl AsFd for Recording {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.dir.as_fd()
    }
}

impl Recording {
    /// Creates the directory `path`, accessible by its owner only, and its `trace.json`.
    /// `semantics` interprets the calls when the trace is sealed. Fails if `path` exists. The new
    /// files survive a crash of the machine only after a moment, since they are synced in the
    /// background.
    pub fn create(
        path: &Path,
        info: RecordingInfo,
        semantics: Arc<dyn Semantics>,
    ) -> Result<Self, Error> {
        let recording = Self::create_directory_and_begin(
            Arc::new(Disk),
            path,
            info,
            semantics,
            Durability::None,
        )?;
        recording.sync_in_background();
        Ok(recording)
    }

    /// Starts a thread that syncs the directory and its document, so that recording can begin
    /// meanwhile. Errors are ignored: they only matter if the machine crashes.
    fn sync_in_background(&self) {
        let file = crate::storage::open_file_at(&self.dir, NAME);
        if let (Ok(file), Ok(dir)) = (file, reopen(&self.dir, &self.path)) {
            let sync = move || {
                let _ignored = file.sync_data().and_then(|()| Disk.sync_dir(dir.as_fd()));
            };
            let _ignored = std::thread::Builder::new().name("sync".to_owned()).spawn(sync);
        }
    }

    /// Creates a trace as [`Recording::create`] does, on other storage and synced before it
    /// returns.
    pub fn create_on(
        storage: Arc<dyn Storage>,
        path: &Path,
        info: RecordingInfo,
        semantics: Arc<dyn Semantics>,
    ) -> Result<Self, Error> {
        Self::create_directory_and_begin(storage, path, info, semantics, Durability::Immediate)
    }

    /// Creates the directory, locks it and writes the document. Removes the directory again on an
    /// error.
    fn create_directory_and_begin(
        storage: Arc<dyn Storage>,
        path: &Path,
        info: RecordingInfo,
        semantics: Arc<dyn Semantics>,
        durability: Durability,
    ) -> Result<Self, Error> {
        match make_directory(path) {
            Err(e) if e.kind() == std::io::ErrorKind::AlreadyExists => {
                return Err(Error::Exists(path.to_owned()));
            }
            other => other.map_err(Error::io("create", path))?,
        }
        Self::begin(storage, path, info, semantics, durability).inspect_err(|_| {
            // Nothing is recorded yet, so that nothing is lost.
            let _ = std::fs::remove_dir_all(path);
        })
    }

    /// Locks the new directory `path`, and writes its document and the directory for the journals.
    fn begin(
        storage: Arc<dyn Storage>,
        path: &Path,
        info: RecordingInfo,
        semantics: Arc<dyn Semantics>,
        durability: Durability,
    ) -> Result<Self, Error> {
        let dir = open_new_directory(path).map_err(Error::io("open", path))?;
        lock(&dir, path)?;
        rustix::fs::mkdirat(&dir, JOURNAL, rustix::fs::Mode::RWXU)
            .map_err(|e| Error::io("create", path.join(JOURNAL))(e.into()))?;
        let recording = format!("{:016x}", std::hash::RandomState::new().build_hasher().finish());
        let document = Document { state: State::Recording, recording, info, ..Document::default() };
        document.write(&*storage, dir.as_fd(), path, durability)?;
        let provisional = Arc::new(Provisional::new(Arc::clone(&storage), reopen(&dir, path)?));
        Ok(Self {
            path: path.to_owned(),
            dir,
            document,
            storage,
            provisional,
            sealed_ahead: Mutex::default(),
            semantics,
            limits: Limits::default(),
        })
    }

    /// Creates the journal of stream number `stream`. Each number may be used once.
    pub fn journal(&self, stream: u32) -> Result<Journal, Error> {
        let path = self.path.join(JOURNAL);
        let dir = crate::storage::open_directory(&self.path_in_dir(JOURNAL))
            .map_err(Error::io("open", &path))?;
        let journal = Journal::create_on(
            &*self.storage,
            dir.as_fd(),
            &path,
            stream,
            self.document.recording_id(),
        )?;
        Ok(journal.with_wrapped_sink(|sink| self.provisional.priority_sink(sink)))
    }

    /// Sets the limits at which a segment is full.
    pub fn set_limits(&mut self, limits: Limits) {
        self.limits = limits;
    }

    /// Starts to seal the trace while it is recorded. Journals that are written from the beginning
    /// must exist already. Segments have at most about `bytes` of data. May be called once.
    pub fn seal_ahead(&self, bytes: u64) -> Result<SealAhead, Error> {
        SealAhead::new(
            reopen(&self.dir, &self.path)?,
            self.path.clone(),
            Arc::clone(&self.provisional),
            &self.document,
            self.semantics.new_inference(),
            Limits {
                bytes: self.limits.bytes.min(usize::try_from(bytes).unwrap_or(usize::MAX)),
                ..self.limits
            },
        )
    }

    /// Keeps what was sealed ahead, for [`Recording::seal`] to continue with. `None` says that
    /// sealing ahead failed: its files are removed.
    pub fn keep_sealed_ahead(&self, sealed_ahead: Option<SealAhead>) {
        if sealed_ahead.is_none() {
            self.provisional.discard();
        }
        *self.sealed_ahead.lock().unwrap_or_else(PoisonError::into_inner) = sealed_ahead;
    }

    /// Creates the file [`crate::journal::COMPLETE`] with a length of eight bytes, for the recorder
    /// to map. What is stored in the mapping survives if the recorder is killed.
    pub fn written_until(&self) -> Result<std::fs::File, Error> {
        let path = self.path_in_dir(JOURNAL).join(crate::journal::COMPLETE);
        let create = || {
            let file = std::fs::File::options()
                .read(true)
                .write(true)
                .create_new(true)
                .mode(0o600)
                .open(&path)?;
            file.set_len(8)?;
            Ok(file)
        };
        let displayed = self.path.join(JOURNAL).join(crate::journal::COMPLETE);
        create().map_err(Error::io("create", displayed))
    }

    /// Returns a path of the file `name` in the trace's directory that stays valid if the directory
    /// is renamed.
    fn path_in_dir(&self, name: &str) -> PathBuf {
        PathBuf::from(format!("/proc/self/fd/{}", self.dir.as_raw_fd())).join(name)
    }

    /// Returns the path of the trace's directory.
    pub fn dir(&self) -> &Path {
        &self.path
    }

    /// Turns the journals into segments, infers the states of files, and removes the journals.
    /// Returns the summary of the trace. All journals must be finished or dropped. If this fails or
    /// the process dies, the journals are complete, and [`recover`] can seal them.
    pub fn seal(mut self, end: RecordingEnd, progress: Progress<'_>) -> Result<Summary, Error> {
        self.document.state = State::Sealing;
        self.document.end = Some(end);
        // If the disk is full, the statement that the recording ended in order is lost, but no
        // record is.
        let _ = self.document.write(
            &*self.storage,
            self.dir.as_fd(),
            &self.path,
            Durability::WithDirectory,
        );
        let sealed_ahead = self.sealed_ahead.into_inner().unwrap_or_else(PoisonError::into_inner);
        let output = OutputDir { storage: &*self.storage, dir: self.dir.as_fd(), path: &self.path };
        crate::seal::seal(
            output,
            self.document,
            SealOptions { recovered: false, limits: self.limits },
            &*self.semantics,
            sealed_ahead,
            progress,
        )
        .map(|d| d.summary)
    }
}

/// Seals a trace whose recorder has died. Returns true if it did so, false if the trace was sealed
/// already (journals that were left are removed). The verdict is `incomplete` unless the recording
/// had ended in order. Fails if another process is recording the trace.
pub fn recover(
    path: &Path,
    semantics: &dyn Semantics,
    progress: Progress<'_>,
) -> Result<bool, Error> {
    recover_on(&Disk, path, semantics, progress)
}

/// Recovers a trace as [`recover`] does, on other storage.
pub fn recover_on(
    storage: &dyn Storage,
    path: &Path,
    semantics: &dyn Semantics,
    progress: Progress<'_>,
) -> Result<bool, Error> {
    let dir = open_directory(path).map_err(Error::io("open", path))?;
    if Document::load(dir.as_fd(), path)?.state == State::Sealed {
        // The recorder may have died between sealing and this.
        let _ = crate::seal::remove_journals(storage, dir.as_fd());
        return Ok(false);
    }
    lock(&dir, path)?;
    // Read under the lock: another process may have sealed it in the meantime.
    let document = Document::load(dir.as_fd(), path)?;
    let sealed = if document.state == State::Sealed {
        Ok(())
    } else {
        let options = SealOptions { recovered: true, ..SealOptions::default() };
        let output = OutputDir { storage, dir: dir.as_fd(), path };
        crate::seal::seal(output, document, options, semantics, None, progress).map(drop)
    };
    let _ = rustix::fs::flock(&dir, rustix::fs::FlockOperation::Unlock);
    sealed.map(|()| true)
}

fn make_directory(path: &Path) -> std::io::Result<()> {
    use std::os::unix::fs::DirBuilderExt;
    std::fs::DirBuilder::new().mode(0o700).create(path)
}

/// Opens a directory that [`make_directory`] has just created, and fails if it is not empty: the
/// owner of the parent directory may have replaced it.
fn open_new_directory(path: &Path) -> std::io::Result<OwnedFd> {
    let replaced = || {
        let text = "it was replaced by another directory";
        std::io::Error::new(std::io::ErrorKind::PermissionDenied, text)
    };
    let dir = open_directory_at(rustix::fs::CWD, path)?;
    for entry in rustix::fs::Dir::read_from(&dir)? {
        if !matches!(entry?.file_name().to_bytes(), b"." | b"..") {
            return Err(replaced());
        }
    }
    Ok(dir)
}

/// Opens the same directory again. The new descriptor does not hold the lock, since its user may
/// keep it for longer than the recording lasts.
fn reopen(dir: &OwnedFd, path: &Path) -> Result<OwnedFd, Error> {
    open_directory_at(dir, ".").map_err(Error::io("open", path))
}

/// Takes the lock of the trace's directory. Fails with [`Error::Busy`] if another process holds it.
fn lock(dir: &OwnedFd, path: &Path) -> Result<(), Error> {
    match rustix::fs::flock(dir, rustix::fs::FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => Ok(()),
        Err(rustix::io::Errno::WOULDBLOCK) => Err(Error::Busy(path.to_owned())),
        Err(e) => Err(Error::io("lock", path)(e.into())),
    }
}
