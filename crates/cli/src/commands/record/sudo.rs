//! Under sudo, the recorded command and its files belong to the user that called sudo.

use anyhow::{Context, Result};
#[cfg(not(target_feature = "crt-static"))]
use nix::unistd::{User, getgrouplist};
use rustix::fs::{AtFlags, Dir, FileType, Gid, Mode, OFlags, Uid, chownat, fstat, openat};
#[cfg(not(target_feature = "crt-static"))]
use std::ffi::CString;
use std::ffi::OsString;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

/// The user that called sudo.
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

/// Returns the user that called sudo, if this process is root because of it.
pub fn sudo_caller() -> Option<Caller> {
    if !rustix::process::geteuid().is_root() {
        return None;
    }
    let id = |name| std::env::var(name).ok()?.parse::<u32>().ok();
    let (uid, gid) = (id("SUDO_UID")?, id("SUDO_GID")?);
    if uid == 0 {
        return None;
    }
    let user = look_up_user(uid, gid);
    let (known, groups) = match user {
        Some(user) => (Some((user.name, user.home)), user.groups),
        None => (None, vec![gid]),
    };
    Some(Caller { uid, gid, groups, known })
}

/// What the user database knows of a user.
#[derive(Debug, PartialEq, Eq)]
struct Known {
    name: String,
    home: PathBuf,
    groups: Vec<u32>,
}

/// Looks up a user's name, home directory and groups in the system's user database.
#[cfg(not(target_feature = "crt-static"))]
fn look_up_user(uid: u32, gid: u32) -> Option<Known> {
    let user = User::from_uid(nix::unistd::Uid::from_raw(uid)).ok().flatten()?;
    let name = CString::new(user.name.as_str()).ok()?;
    let groups = getgrouplist(&name, nix::unistd::Gid::from_raw(gid))
        .map_or(vec![gid], |groups| groups.into_iter().map(nix::unistd::Gid::as_raw).collect());
    Some(Known { name: user.name, home: user.dir, groups })
}

#[cfg(target_feature = "crt-static")]
use user_by_programs as user;

/// Looks up a user with getent(1) and id(1). A static program needs this, as its libc cannot load
/// the system's user database.
#[cfg(any(test, target_feature = "crt-static"))]
fn look_up_user_by_programs(uid: u32, gid: u32) -> Option<Known> {
    let said = |program: &str, args: &[&str]| {
        let output = std::process::Command::new(program).args(args).output().ok()?;
        output.status.success().then(|| String::from_utf8(output.stdout).ok())?
    };
    let entry = said("getent", &["passwd", &uid.to_string()])?;
    let mut fields = entry.trim_end().split(':');
    let (name, home) = (fields.next()?.to_owned(), fields.nth(4)?.into());
    let groups = said("id", &["-G", &name]).map_or(vec![gid], |groups| {
        groups.split_whitespace().filter_map(|group| group.parse().ok()).collect()
    });
    Some(Known { name, home, groups })
}

impl Caller {
    /// Returns the environment of this process, with the caller's name and home directory in place
    /// of root's.
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
    /// Changes the owner of the directory `dir`, which this process made, and of all files in it to
    /// the caller. `shown` is the directory's name for messages; it may have another one by now.
    pub fn give_directory(&self, dir: &OwnedFd, shown: &Path) -> Result<()> {
        let context = || format!("cannot give {} to user {}", shown.display(), self.uid);
        self.give_tree(dir).with_context(context)
    }

    /// Changes the owner of a directory and all that this process made in it. The directory itself
    /// comes last, so that until then only root can put anything into it.
    fn give_tree(&self, dir: &OwnedFd) -> std::io::Result<()> {
        let us = rustix::process::geteuid().as_raw();
        let itself = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let list = openat(dir, ".", OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty())?;
        for entry in Dir::new(list)? {
            let entry = entry?;
            if matches!(entry.file_name().to_bytes(), b"." | b"..") {
                continue;
            }
            let file = openat(dir, entry.file_name(), itself, Mode::empty())?;
            let stat = fstat(&file)?;
            match FileType::from_raw_mode(stat.st_mode) {
                FileType::Directory if stat.st_uid == us => self.give_tree(&file)?,
                // Another name of it may be anywhere.
                FileType::RegularFile if stat.st_uid == us && stat.st_nlink == 1 => {
                    self.give_file(&file)?;
                }
                _ => {}
            }
        }
        self.give_file(dir)
    }

    /// Changes the owner of a single file to the caller.
    fn give_file(&self, file: &OwnedFd) -> std::io::Result<()> {
        let (uid, gid) = (Uid::from_raw(self.uid), Gid::from_raw(self.gid));
        Ok(chownat(file, "", Some(uid), Some(gid), AtFlags::EMPTY_PATH)?)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test may stop at the first surprise")]
mod tests {
    use super::*;
    use std::fs;
    use std::os::unix::fs::{MetadataExt, symlink};

    /// The name leads elsewhere by the time that the trace is given away, and links to what is not
    /// ours lie in it.
    #[test]
    fn what_we_made_and_nothing_else() {
        assert!(rustix::process::geteuid().is_root(), "giving files away needs root");
        let caller = Caller { uid: 65534, gid: 65534, groups: Vec::new(), known: None };
        let place = tempfile::tempdir().unwrap();
        let at = |name: &str| place.path().join(name);
        let owner = |name: &str| fs::symlink_metadata(at(name)).unwrap().uid();
        fs::create_dir_all(at("t.ra/journal")).unwrap();
        fs::create_dir(at("root")).unwrap();
        for file in ["t.ra/trace.json", "t.ra/journal/00000", "root/secret", "root/hard"] {
            fs::write(at(file), "").unwrap();
        }
        fs::hard_link(at("root/hard"), at("t.ra/hard")).unwrap();
        symlink(at("root/secret"), at("t.ra/link")).unwrap();
        let dir = OwnedFd::from(fs::File::open(at("t.ra")).unwrap());
        fs::rename(at("t.ra"), at("moved")).unwrap();
        symlink(at("root"), at("t.ra")).unwrap();

        caller.give_directory(&dir, &at("t.ra")).unwrap();
        for ours in ["moved", "moved/trace.json", "moved/journal", "moved/journal/00000"] {
            assert_eq!(owner(ours), 65534, "{ours}");
        }
        for other in ["root", "root/secret", "root/hard", "moved/link"] {
            assert_eq!(owner(other), 0, "{other}");
        }
    }

    #[test]
    fn a_static_program_finds_the_same_users() {
        for uid in [0, 65534] {
            let found = look_up_user(uid, uid);
            assert!(found.is_some());
            assert_eq!(look_up_user_by_programs(uid, uid), found);
        }
        assert_eq!(look_up_user_by_programs(4_000_000_000, 0), None);
    }
}
