//! Directories that the program only ever passed through: nobody told their modes, so they are
//! their owner's alone here. Where root replays and the program acts as another user as well, those
//! must let that user pass.

use crate::sandbox::{Powers, Tree};
use model::files::{FileType, Final, Row};
use model::world::Credentials;
use rustix::fs::{Mode, OFlags, fchmod, fstat};
use std::path::Path;
use std::sync::{Mutex, PoisonError};

/// How the initial state is made.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct How {
    /// Nothing is made that lets others act as its owner.
    pub withhold: bool,
    /// The program acts as another user than root.
    pub others: bool,
}

impl How {
    /// The mode of a directory of which nobody told it, and which has this one now.
    pub(super) fn unknown(self, now: u32) -> u32 {
        now | if self.others { 0o011 } else { 0 }
    }
}

/// Directories that may have to let others pass.
#[derive(Debug, Default)]
pub(crate) struct Passages(Mutex<Vec<Vec<u8>>>);

impl Passages {
    /// Those of a manifest, unless they are open anyway.
    pub fn new(rows: &[Row], powers: Powers) -> Self {
        if !powers.any_user || powers.others {
            return Self::default();
        }
        let unknown = |row: &&Row| {
            let initial = row.initial.as_ref();
            let told = matches!(&row.last, Final::Present(state, _) if state.mode.is_some());
            !told && initial.is_some_and(|s| s.kind == FileType::Directory && s.mode.is_none())
        };
        Self(Mutex::new(rows.iter().filter(unknown).map(|row| row.path.clone()).collect()))
    }

    /// A thread is about to act as `who`.
    pub fn open_for(&self, who: &Credentials) {
        if who.euid == 0 {
            return;
        }
        let closed = std::mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner));
        let Ok(mut tree) = Tree::open(Path::new("/")) else { return };
        for path in closed {
            // What has another mode or name by now is the program's own affair.
            let Ok(dir) = tree.get(&path, OFlags::RDONLY | OFlags::DIRECTORY) else { continue };
            let Ok(stat) = fstat(&dir) else { continue };
            let mode = How { others: true, ..How::default() }.unknown(stat.st_mode & 0o7777);
            let _best = fchmod(&dir, Mode::from_raw_mode(mode));
        }
    }
}
