//! Seals what the journals hold while they are being written, so that little is left to do when
//! recording ends.
//!
//! Invariant: what is sealed ahead is provisional. It is not listed in `trace.json`, the journals
//! keep all records, and recovery removes the files and starts again. The files count once the
//! final sealing has used them and is durable. An error here only costs time.

use super::state::SealState;
use super::{Limits, OutputDir};
use crate::document::Document;
use crate::error::Error;
use crate::semantics::Inference;
use crate::storage::Provisional;
use rustix::fs::StatVfs;
use std::os::fd::{AsFd, OwnedFd};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

/// Free space, in bytes, that sealing ahead leaves on the disk for the journals and other programs.
const MIN_FREE_BYTES: u64 = 256 << 20;
/// Sealing ahead also leaves one part in this many of the disk free.
const MIN_FREE_SHARE: u64 = 16;

/// Seals a trace while it is recorded.
pub struct SealAhead {
    state: SealState,
    files: Arc<Provisional>,
    dir: OwnedFd,
    path: PathBuf,
    limits: Limits,
}

impl SealAhead {
    /// Creates the state for sealing while the recording runs. The sealed segments are written to
    /// `files`, from which they can be discarded again.
    pub(crate) fn new(
        dir: OwnedFd,
        path: PathBuf,
        files: Arc<Provisional>,
        document: &Document,
        inference: Box<dyn Inference>,
        limits: Limits,
    ) -> Result<Self, Error> {
        let output = OutputDir { storage: &*files, dir: dir.as_fd(), path: &path };
        let state = SealState::new(&output, document, inference, true)?;
        Ok(Self { state, files, dir, path, limits })
    }

    /// Returns how many bytes of the journals were not read yet.
    pub fn bytes_behind(&self) -> Result<u64, Error> {
        Ok(self.state.journal_bytes()?.saturating_sub(self.state.position()))
    }

    /// Seals the records that were written up to the time `until` (`CLOCK_MONOTONIC`, nanoseconds).
    /// The journal files must hold all records up to then. Stops early when `go_on`, which is
    /// called often, returns false. After an error the files are removed, and this must not be
    /// called again.
    pub fn seal_until(&mut self, until: u64, go_on: impl FnMut() -> bool) -> Result<(), Error> {
        let sealed = self.seal(until, go_on);
        if sealed.is_err() {
            self.files.discard();
        }
        sealed
    }

    /// Does the work of [`SealAhead::seal_until`].
    fn seal(&mut self, until: u64, mut go_on: impl FnMut() -> bool) -> Result<(), Error> {
        self.state.refresh()?;
        loop {
            self.check_free_space()?;
            let output =
                OutputDir { storage: &*self.files, dir: self.dir.as_fd(), path: &self.path };
            let mut last_asked = self.state.position();
            let full = self.state.fill(&output, self.limits, until, |position| {
                if position - last_asked < ASK_EVERY {
                    return true;
                }
                last_asked = position;
                go_on()
            })?;
            if !full {
                return Ok(());
            }
            let window = self.state.take_window();
            self.state.segments.write(&output, self.state.clock_offset, &window)?;
        }
    }

    /// Fails, and removes all files, if the disk is nearly full, so that no other write fails
    /// because of them.
    fn check_free_space(&self) -> Result<(), Error> {
        let StatVfs { f_bavail, f_blocks, f_frsize, .. } =
            rustix::fs::fstatvfs(&self.dir).map_err(|e| Error::io("read", &self.path)(e.into()))?;
        if f_bavail * f_frsize < MIN_FREE_BYTES.max(f_blocks * f_frsize / MIN_FREE_SHARE) {
            self.files.discard();
        }
        if self.files.is_discarded() {
            Err(Error::Full { trace: self.path.clone() })
        } else {
            Ok(())
        }
    }

    /// Returns the state, so that the final sealing continues from it, or `None` if the files were
    /// removed.
    pub(super) fn take_over(
        mut self,
        output: &OutputDir<'_>,
        document: &Document,
    ) -> Option<SealState> {
        let kept = self.files.keep().is_ok_and(|kept| kept);
        (kept && self.state.finish_growing(output, document).is_ok()).then_some(self.state)
    }

    /// Returns the flag that is set when the disk is full.
    pub(super) fn full_flag(&self) -> Arc<AtomicBool> {
        self.files.full_flag()
    }
}

/// `go_on` is called each time this many bytes of journal were read.
const ASK_EVERY: u64 = 256 << 10;
