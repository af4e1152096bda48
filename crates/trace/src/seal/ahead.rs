//! Sealing along: what the journals hold is sealed while they are being written, so that little is
//! left to do when the recording ends.
//!
//! Invariant: what is sealed along is provisional. It is not in `trace.json`, the journals keep
//! everything, and recovery of the trace removes it and begins anew; it counts from the moment
//! that the sealing which takes it over is durable, as all else that is sealed. What goes wrong
//! here costs the time that it was to save.

use super::state::SealState;
use super::{Limits, Place};
use crate::document::Document;
use crate::error::Error;
use crate::semantics::Inference;
use crate::storage::Provisional;
use rustix::fs::StatVfs;
use std::os::fd::{AsFd, OwnedFd};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

/// The least room that is left on the disk, for the journals and for other programs.
const MIN_FREE_BYTES: u64 = 256 << 20;
/// The same as a share of the disk.
const MIN_FREE_SHARE: u64 = 16;

/// A sealing that goes along with a recording.
pub struct SealAhead {
    work: SealState,
    files: Arc<Provisional>,
    dir: OwnedFd,
    path: PathBuf,
    limits: Limits,
}

impl SealAhead {
    pub(crate) fn new(
        dir: OwnedFd,
        path: PathBuf,
        files: Arc<Provisional>,
        document: &Document,
        inference: Box<dyn Inference>,
        limits: Limits,
    ) -> Result<Self, Error> {
        let place = Place { storage: &*files, dir: dir.as_fd(), path: &path };
        let work = SealState::new(&place, document, inference, true)?;
        Ok(Self { work, files, dir, path, limits })
    }

    /// Bytes of the journals that are not merged yet.
    pub fn bytes_behind(&self) -> Result<u64, Error> {
        Ok(self.work.total()?.saturating_sub(self.work.position()))
    }

    /// Goes on with what was recorded until then (ns of CLOCK_MONOTONIC): until then the journals'
    /// files hold everything. Ends early when `go_on` says so, which is asked often. After an error
    /// there is nothing to go on with, and nothing left of it.
    pub fn seal_until(&mut self, until: u64, go_on: impl FnMut() -> bool) -> Result<(), Error> {
        let sealed = self.seal(until, go_on);
        if sealed.is_err() {
            self.files.take_back();
        }
        sealed
    }

    fn seal(&mut self, until: u64, mut go_on: impl FnMut() -> bool) -> Result<(), Error> {
        self.work.refresh()?;
        loop {
            self.check_free_space()?;
            let place = Place { storage: &*self.files, dir: self.dir.as_fd(), path: &self.path };
            let mut asked = self.work.position();
            let full = self.work.fill(&place, self.limits, until, |position| {
                if position - asked < ASK_EVERY {
                    return true;
                }
                asked = position;
                go_on()
            })?;
            if !full {
                return Ok(());
            }
            let window = self.work.window();
            self.work.segments.write(&place, self.work.clock_offset, &window)?;
        }
    }

    /// Gives everything back if the disk is nearly full: no other write is to fail because of this.
    fn check_free_space(&self) -> Result<(), Error> {
        let StatVfs { f_bavail, f_blocks, f_frsize, .. } =
            rustix::fs::fstatvfs(&self.dir).map_err(|e| Error::io("read", &self.path)(e.into()))?;
        if f_bavail * f_frsize < MIN_FREE_BYTES.max(f_blocks * f_frsize / MIN_FREE_SHARE) {
            self.files.take_back();
        }
        if self.files.is_taken_back() {
            Err(Error::Full { trace: self.path.clone() })
        } else {
            Ok(())
        }
    }

    /// What is done so far, to be finished, and whether space was wanting. `None`: it is of no
    /// use.
    pub(super) fn take_over(mut self, place: &Place<'_>, document: &Document) -> Option<SealState> {
        let kept = self.files.keep().is_ok_and(|kept| kept);
        (kept && self.work.finish_growing(place, document).is_ok()).then_some(self.work)
    }

    pub(super) fn full(&self) -> Arc<AtomicBool> {
        self.files.full()
    }
}

/// Whether to go on is asked after so many bytes of journal.
const ASK_EVERY: u64 = 256 << 10;
