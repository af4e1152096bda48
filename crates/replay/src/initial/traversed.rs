//! Directories that the program only passed through: their modes are not known, so they are their
//! owner's alone here. Where root replays and the program acts as another user as well, those must
//! let that user pass.

use model::files::{FileType, Final, Row};
use model::processes::Credentials;
use rustix::fs::{Mode, OFlags, fchmod, fstat};
use sandbox::{Privileges, Tree};
use std::path::Path;
use std::sync::{Mutex, PoisonError};

/// How the initial state is made.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CreateOptions {
    /// Nothing is made that lets others act as its owner.
    pub withhold: bool,
    /// The program acts as another user than root.
    pub other_users: bool,
}

impl CreateOptions {
    /// Returns the mode for a directory whose recorded mode is not known, and which now has the
    /// mode `now`.
    pub(super) fn mode_or_default(self, now: u32) -> u32 {
        now | if self.other_users { 0o011 } else { 0 }
    }
}

/// Directories that may have to let others pass.
#[derive(Debug, Default)]
pub(crate) struct TraversedDirectories(Mutex<Vec<Vec<u8>>>);

impl TraversedDirectories {
    /// Collects the directories of a manifest whose modes are not known, unless the replay can
    /// enter them anyway.
    pub fn new(rows: &[Row], privileges: Privileges) -> Self {
        if !privileges.any_user || privileges.other_users {
            return Self::default();
        }
        let mode_or_default = |row: &&Row| {
            let initial = row.initial.as_ref();
            let is_known = matches!(&row.last, Final::Present(state, _) if state.mode.is_some());
            !is_known && initial.is_some_and(|s| s.kind == FileType::Directory && s.mode.is_none())
        };
        Self(Mutex::new(rows.iter().filter(mode_or_default).map(|row| row.path.clone()).collect()))
    }

    /// Lets the user `who` search the directories. Called before a thread acts as that user.
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
            let mode = CreateOptions { other_users: true, ..CreateOptions::default() }
                .mode_or_default(stat.st_mode & 0o7777);
            let _best = fchmod(&dir, Mode::from_raw_mode(mode));
        }
    }
}
