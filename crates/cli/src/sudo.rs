//! Under sudo, the recorded command and the files it leaves belong to the user who called sudo.

use anyhow::{Context, Result};
use nix::unistd::{Gid, Uid, User, getgrouplist};
use std::ffi::CString;
use std::ffi::OsString;
use std::path::{Path, PathBuf};

/// The user who called sudo.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Caller {
    /// User.
    pub uid: u32,
    /// Main group.
    pub gid: u32,
    /// Supplementary groups.
    pub groups: Vec<u32>,
    /// Name and home directory, if the user database knows them.
    known: Option<(String, PathBuf)>,
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
    let user = User::from_uid(Uid::from_raw(uid)).ok().flatten();
    let groups = user.as_ref().and_then(|user| {
        getgrouplist(&CString::new(user.name.as_str()).ok()?, Gid::from_raw(gid)).ok()
    });
    let groups = groups.map_or(vec![gid], |groups| groups.into_iter().map(Gid::as_raw).collect());
    Some(Caller { uid, gid, groups, known: user.map(|user| (user.name, user.dir)) })
}

impl Caller {
    /// Our environment, with the caller's name and home in place of root's.
    pub fn environment(&self) -> Vec<(OsString, OsString)> {
        let mut environment: Vec<(OsString, OsString)> = std::env::vars_os().collect();
        if let Some((name, home)) = &self.known {
            for (key, value) in &mut environment {
                match key.to_str() {
                    Some("USER" | "LOGNAME") => *value = name.into(),
                    Some("HOME") => *value = home.into(),
                    _ => {}
                }
            }
        }
        environment
    }
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
