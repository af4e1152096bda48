//! Under sudo, the recorded command and the files it leaves belong to the user who called sudo.

use anyhow::{Context, Result};
use nix::unistd::{Gid, Uid, User, getgrouplist};
use std::ffi::CString;
use std::path::Path;

/// The user who called sudo.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Caller {
    /// User.
    pub uid: u32,
    /// Main group.
    pub gid: u32,
    /// Supplementary groups.
    pub groups: Vec<u32>,
}

/// The user who called sudo, if we are root because of it.
pub fn caller() -> Option<Caller> {
    if !Uid::effective().is_root() {
        return None;
    }
    let id = |name| std::env::var(name).ok()?.parse::<u32>().ok();
    let (uid, gid) = (id("SUDO_UID")?, id("SUDO_GID")?);
    if uid == 0 {
        return None;
    }
    let groups = User::from_uid(Uid::from_raw(uid)).ok().flatten().and_then(|user| {
        let name = CString::new(user.name).ok()?;
        getgrouplist(&name, Gid::from_raw(gid)).ok()
    });
    let groups = groups.map_or(vec![gid], |groups| groups.into_iter().map(Gid::as_raw).collect());
    Some(Caller { uid, gid, groups })
}

impl Caller {
    /// Gives the caller everything under `path`, without following links.
    pub fn own(&self, path: &Path) -> Result<()> {
        let context = || format!("cannot give {} to user {}", path.display(), self.uid);
        std::os::unix::fs::lchown(path, Some(self.uid), Some(self.gid)).with_context(context)?;
        if path.symlink_metadata().with_context(context)?.is_dir() {
            for entry in std::fs::read_dir(path).with_context(context)? {
                self.own(&entry.with_context(context)?.path())?;
            }
        }
        Ok(())
    }
}
