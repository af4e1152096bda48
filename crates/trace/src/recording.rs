//! A trace that is being written.
//!
//! `T.ra/` is locked (flock) from the moment it is made until it is sealed or dropped: a process
//! that finds a trace in state `recording` and can lock it knows that its recorder is dead.
//! Journals are not known to the recording: what lies in `T.ra/journal/` when sealing begins
//! counts, so nothing that an engine wrote can be forgotten.

use crate::document::{About, Document, Durable, End, NAME, State, Summary};
use crate::error::Error;
use crate::journal::Journal;
use crate::seal::{Limits, Place, SealAhead, SealOptions};
use crate::semantics::{Progress, Semantics};
use crate::storage::{Disk, Provisional, Storage, directory, directory_at};
use std::hash::{BuildHasher, Hasher};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

/// Where the journals lie.
const JOURNAL: &str = "journal";

/// A trace that is being written.
pub struct Recording {
    path: PathBuf,
    dir: OwnedFd,
    document: Document,
    storage: Arc<dyn Storage>,
    /// Where is written what is sealed while the journals are.
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
    /// Makes the directory `path` and its `trace.json`, for the owner alone. `semantics`: what the
    /// calls mean, for sealing.
    pub fn create(path: &Path, about: About, semantics: Arc<dyn Semantics>) -> Result<Self, Error> {
        let recording = Self::create_with(Arc::new(Disk), path, about, semantics, Durable::Later)?;
        recording.make_durable();
        Ok(recording)
    }

    /// Has another thread wait until the directory and its document are durable: the recording
    /// begins meanwhile. If that fails, a crash of the machine may cost the trace.
    fn make_durable(&self) {
        let file = crate::storage::file_at(&self.dir, NAME);
        if let (Ok(file), Ok(dir)) = (file, reopen(&self.dir, &self.path)) {
            let sync = move || {
                let _best = file.sync_data().and_then(|()| Disk.sync_dir(dir.as_fd()));
            };
            let _none = std::thread::Builder::new().name("sync".to_owned()).spawn(sync);
        }
    }

    /// The same on other storage.
    pub fn create_on(
        storage: Arc<dyn Storage>,
        path: &Path,
        about: About,
        semantics: Arc<dyn Semantics>,
    ) -> Result<Self, Error> {
        Self::create_with(storage, path, about, semantics, Durable::Now)
    }

    fn create_with(
        storage: Arc<dyn Storage>,
        path: &Path,
        about: About,
        semantics: Arc<dyn Semantics>,
        durable: Durable,
    ) -> Result<Self, Error> {
        match make_directory(path) {
            Err(e) if e.kind() == std::io::ErrorKind::AlreadyExists => {
                return Err(Error::Exists(path.to_owned()));
            }
            other => other.map_err(Error::io("create", path))?,
        }
        Self::begin(storage, path, about, semantics, durable).inspect_err(|_| {
            // Nothing is recorded: nothing is left behind.
            let _ = std::fs::remove_dir_all(path);
        })
    }

    fn begin(
        storage: Arc<dyn Storage>,
        path: &Path,
        about: About,
        semantics: Arc<dyn Semantics>,
        durable: Durable,
    ) -> Result<Self, Error> {
        let dir = made_directory(path).map_err(Error::io("open", path))?;
        lock(&dir, path)?;
        rustix::fs::mkdirat(&dir, JOURNAL, rustix::fs::Mode::RWXU)
            .map_err(|e| Error::io("create", path.join(JOURNAL))(e.into()))?;
        let recording = format!("{:016x}", std::hash::RandomState::new().build_hasher().finish());
        let document =
            Document { state: State::Recording, recording, about, ..Document::default() };
        document.write(&*storage, dir.as_fd(), path, durable)?;
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

    /// The journal of stream number `stream`; each number once.
    pub fn journal(&self, stream: u32) -> Result<Journal, Error> {
        let path = self.path.join(JOURNAL);
        let dir = crate::storage::directory(&self.path_in_dir(JOURNAL))
            .map_err(Error::io("open", &path))?;
        let journal = Journal::create_on(
            &*self.storage,
            dir.as_fd(),
            &path,
            stream,
            self.document.recording(),
        )?;
        Ok(journal.on_sink(|sink| self.provisional.priority_sink(sink)))
    }

    /// Has segments end at these limits.
    pub fn limit(&mut self, limits: Limits) {
        self.limits = limits;
    }

    /// Begins to seal while the journals are being written; those that are written from the
    /// beginning must have been made. At most once. Segments have at most about `bytes` of data, or
    /// fewer.
    pub fn seal_ahead(&self, bytes: u64) -> Result<SealAhead, Error> {
        SealAhead::new(
            reopen(&self.dir, &self.path)?,
            self.path.clone(),
            Arc::clone(&self.provisional),
            &self.document,
            self.semantics.begin(),
            Limits {
                bytes: self.limits.bytes.min(usize::try_from(bytes).unwrap_or(usize::MAX)),
                ..self.limits
            },
        )
    }

    /// What was sealed along, for [`Recording::seal`] to go on with. `None`: nothing came of it,
    /// and its room is given back.
    pub fn keep_sealed_ahead(&self, sealed_ahead: Option<SealAhead>) {
        if sealed_ahead.is_none() {
            self.provisional.take_back();
        }
        *self.sealed_ahead.lock().unwrap_or_else(PoisonError::into_inner) = sealed_ahead;
    }

    /// A file of eight bytes for [`crate::journal::COMPLETE`], to be mapped: what is stored there
    /// outlives a recorder that is killed.
    pub fn written_until(&self) -> Result<std::fs::File, Error> {
        let path = self.path_in_dir(JOURNAL).join(crate::journal::COMPLETE);
        let make = || {
            let file = std::fs::File::options()
                .read(true)
                .write(true)
                .create_new(true)
                .mode(0o600)
                .open(&path)?;
            file.set_len(8)?;
            Ok(file)
        };
        let shown = self.path.join(JOURNAL).join(crate::journal::COMPLETE);
        make().map_err(Error::io("create", shown))
    }

    /// A name in the trace's directory that no change of names leads elsewhere.
    fn path_in_dir(&self, name: &str) -> PathBuf {
        PathBuf::from(format!("/proc/self/fd/{}", self.dir.as_raw_fd())).join(name)
    }

    /// The trace's directory.
    pub fn dir(&self) -> &Path {
        &self.path
    }

    /// Makes segments of the journals, infers the files' states, and then removes the journals. If
    /// this fails, or the process dies, the journals are whole and [`recover`] does it again. All
    /// journals must be finished or dropped.
    pub fn seal(mut self, end: End, progress: Progress<'_>) -> Result<Summary, Error> {
        self.document.state = State::Sealing;
        self.document.end = Some(end);
        // On a full disk the note that the recording has ended in order is lost, and the recording
        // is not.
        let _ = self.document.write(&*self.storage, self.dir.as_fd(), &self.path, Durable::Whole);
        let sealed_ahead = self.sealed_ahead.into_inner().unwrap_or_else(PoisonError::into_inner);
        let place = Place { storage: &*self.storage, dir: self.dir.as_fd(), path: &self.path };
        crate::seal::seal(
            place,
            self.document,
            SealOptions { recovered: false, limits: self.limits },
            &*self.semantics,
            sealed_ahead,
            progress,
        )
        .map(|d| d.summary)
    }
}

/// Seals a trace whose recorder has died, and says whether that was so. Its verdict is `incomplete`
/// unless the recording had ended in order. Of a sealed trace, what may be left of its journals is
/// removed.
pub fn recover(
    path: &Path,
    semantics: &dyn Semantics,
    progress: Progress<'_>,
) -> Result<bool, Error> {
    recover_on(&Disk, path, semantics, progress)
}

/// The same on other storage.
pub fn recover_on(
    storage: &dyn Storage,
    path: &Path,
    semantics: &dyn Semantics,
    progress: Progress<'_>,
) -> Result<bool, Error> {
    let dir = directory(path).map_err(Error::io("open", path))?;
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
        let how = SealOptions { recovered: true, ..SealOptions::default() };
        let place = Place { storage, dir: dir.as_fd(), path };
        crate::seal::seal(place, document, how, semantics, None, progress).map(drop)
    };
    let _ = rustix::fs::flock(&dir, rustix::fs::FlockOperation::Unlock);
    sealed.map(|()| true)
}

fn make_directory(path: &Path) -> std::io::Result<()> {
    use std::os::unix::fs::DirBuilderExt;
    std::fs::DirBuilder::new().mode(0o700).create(path)
}

/// Opens a directory that [`make_directory`] has just made: the owner of the one above may have put
/// another thing in its place.
fn made_directory(path: &Path) -> std::io::Result<OwnedFd> {
    let other = || {
        let text = "it was replaced by another directory";
        std::io::Error::new(std::io::ErrorKind::PermissionDenied, text)
    };
    let dir = directory_at(rustix::fs::CWD, path)?;
    for entry in rustix::fs::Dir::read_from(&dir)? {
        if !matches!(entry?.file_name().to_bytes(), b"." | b"..") {
            return Err(other());
        }
    }
    Ok(dir)
}

/// The same directory, without its lock: its holder may live longer than the recording.
fn reopen(dir: &OwnedFd, path: &Path) -> Result<OwnedFd, Error> {
    directory_at(dir, ".").map_err(Error::io("open", path))
}

fn lock(dir: &OwnedFd, path: &Path) -> Result<(), Error> {
    match rustix::fs::flock(dir, rustix::fs::FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => Ok(()),
        Err(rustix::io::Errno::WOULDBLOCK) => Err(Error::Busy(path.to_owned())),
        Err(e) => Err(Error::io("lock", path)(e.into())),
    }
}
