//! The directory in which a replay happens: found, looked at and used through one descriptor.
//!
//! The owner of a directory above it may replace it at any moment. So a path is resolved one
//! component at a time, a symbolic link that another user may have made is refused, and nothing
//! looks at the name again: what was checked is what is used.

use rustix::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use rustix::fs::{
    Dir, FileType, Mode, OFlags, Stat, fchmod, fstat, mkdirat, open, openat, readlinkat,
};
use rustix::io::Errno;
use std::collections::VecDeque;
use std::ffi::OsStr;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Symbolic links on the way (path_resolution(7)).
const LINKS: usize = 40;
/// Directories above.
const ABOVE: usize = 4096;
const SEARCH: OFlags =
    OFlags::PATH.union(OFlags::DIRECTORY).union(OFlags::NOFOLLOW).union(OFlags::CLOEXEC);

/// The directory of a replay, held by a descriptor.
#[derive(Clone, Debug)]
pub struct Root {
    dir: Arc<OwnedFd>,
    path: PathBuf,
    secluded: bool,
}

impl Root {
    /// Opens the directory `path`, which must exist.
    pub fn open(path: &Path) -> io::Result<Self> {
        Self::of(&walk(path, false)?, path)
    }

    /// Opens the directory `path`. Missing directories on the way are created, the last one for its
    /// owner alone.
    pub fn make(path: &Path) -> io::Result<Self> {
        Self::of(&walk(path, true)?, path)
    }

    /// Creates the directory `path`, which must not exist and which only its owner can enter, and
    /// the root in it. Whatever modes a replay sets in the root, other users cannot enter it.
    pub fn fresh(path: &Path) -> io::Result<Self> {
        let name = path.file_name().ok_or(io::ErrorKind::InvalidInput)?;
        let above = match path.parent() {
            Some(above) if above != Path::new("") => walk(above, false)?,
            _ => walk(Path::new("."), false)?,
        };
        let outer = make(&above, name, Mode::RWXU)?;
        Self::of(&make(&outer, OsStr::new("root"), Mode::RWXU)?, &path.join("root"))
    }

    /// Creates the root of an open directory. `named` is the path by which it was opened, in case
    /// it is too deep for a path of its own (`PATH_MAX`).
    fn of(dir: &OwnedFd, named: &Path) -> io::Result<Self> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let dir = openat(dir, ".", flags, Mode::empty())?;
        let path = match std::fs::read_link(format!("/proc/self/fd/{}", dir.as_raw_fd())) {
            Err(e) if e.raw_os_error() == Some(Errno::NAMETOOLONG.raw_os_error()) => {
                named.to_owned()
            }
            path => path?,
        };
        Ok(Self { secluded: is_secluded(&dir)?, path, dir: Arc::new(dir) })
    }

    /// Returns the path of the directory when it was opened, for messages.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Returns whether only root or this user can enter a directory above it, so that modes inside
    /// are of no use to others.
    pub fn is_secluded(&self) -> bool {
        self.secluded
    }

    /// Returns the mode of the root, if only its owner can enter it.
    pub fn closed(&self) -> io::Result<Option<Mode>> {
        let mode = fstat(&self.dir)?.st_mode & 0o7777;
        Ok((mode & 0o077 == 0).then_some(Mode::from_raw_mode(mode)))
    }

    /// Sets the mode of the root.
    pub fn close(&self, mode: Mode) -> io::Result<()> {
        Ok(fchmod(&self.dir, mode)?)
    }

    /// Returns whether the root is empty.
    pub fn is_empty(&self) -> io::Result<bool> {
        for entry in Dir::read_from(&self.dir)? {
            if !matches!(entry?.file_name().to_bytes(), b"." | b"..") {
                return Ok(false);
            }
        }
        Ok(true)
    }
}

impl AsFd for Root {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.dir.as_fd()
    }
}

/// Returns whether this user owns the file.
fn is_ours(stat: &Stat) -> bool {
    stat.st_uid == 0 || stat.st_uid == rustix::process::geteuid().as_raw()
}

/// Returns whether only root and this user can create names in this directory, or at least others
/// cannot change these names.
fn is_trusted(stat: &Stat) -> bool {
    is_ours(stat) && (stat.st_mode & 0o002 == 0 || stat.st_mode & 0o1000 != 0)
}

/// Resolves `path`, and creates missing directories if `create` is set. A symbolic link is followed
/// only if no other user can have created it.
fn walk(path: &Path, create: bool) -> io::Result<OwnedFd> {
    let parts = |path: &[u8]| -> Vec<Vec<u8>> {
        path.split(|b| *b == b'/')
            .filter(|p| !matches!(*p, b"" | b"."))
            .map(<[u8]>::to_vec)
            .collect()
    };
    let start = |path: &[u8]| {
        open(if path.first() == Some(&b'/') { "/" } else { "." }, SEARCH, Mode::empty())
    };
    let path = path.as_os_str().as_bytes();
    if path.is_empty() {
        return Err(io::ErrorKind::NotFound.into());
    }
    let mut at = start(path)?;
    let mut trusted = is_trusted(&fstat(&at)?);
    let mut rest: VecDeque<Vec<u8>> = parts(path).into();
    let mut links = 0;
    while let Some(part) = rest.pop_front() {
        let name = OsStr::from_bytes(&part);
        let found = openat(&at, name, SEARCH.difference(OFlags::DIRECTORY), Mode::empty());
        let next = match found {
            Err(Errno::NOENT) if create && part != b".." => {
                let mode = if rest.is_empty() { Mode::RWXU } else { Mode::from_raw_mode(0o777) };
                let next = make(&at, name, mode)?;
                if !trusted && fstat(&next)?.st_uid != rustix::process::geteuid().as_raw() {
                    return Err(refused(name, "was replaced by another user while it was created"));
                }
                next
            }
            found => found?,
        };
        let stat = fstat(&next)?;
        if FileType::from_raw_mode(stat.st_mode) == FileType::Symlink {
            links += 1;
            if links > LINKS {
                return Err(Errno::LOOP.into());
            }
            if !trusted || !is_ours(&stat) {
                return Err(refused(name, "is a symbolic link that another user can change"));
            }
            let target = readlinkat(&next, "", Vec::new())?.into_bytes();
            if target.first() == Some(&b'/') {
                at = start(&target)?;
                trusted = is_trusted(&fstat(&at)?);
            }
            parts(&target).into_iter().rev().for_each(|part| rest.push_front(part));
        } else if FileType::from_raw_mode(stat.st_mode) != FileType::Directory {
            return Err(Errno::NOTDIR.into());
        } else {
            trusted &= is_trusted(&stat);
            at = next;
        }
    }
    Ok(at)
}

fn refused(name: &OsStr, why: &str) -> io::Error {
    let text = format!("{} {why}: name the directory itself", name.display());
    io::Error::new(io::ErrorKind::PermissionDenied, text)
}

/// Creates a directory and opens it, never through a link that replaced it in between.
fn make(dir: &OwnedFd, name: &OsStr, mode: Mode) -> io::Result<OwnedFd> {
    mkdirat(dir, name, mode)?;
    Ok(openat(dir, name, SEARCH, Mode::empty())?)
}

/// Returns whether a directory above `dir` is closed to other users.
fn is_secluded(dir: &OwnedFd) -> io::Result<bool> {
    let mut below = fstat(dir)?;
    let mut at = openat(dir, "..", SEARCH, Mode::empty());
    for _ in 0..ABOVE {
        // What we cannot look at may be anything.
        let Ok(above) = &at else { return Ok(false) };
        let stat = fstat(above)?;
        if (stat.st_dev, stat.st_ino) == (below.st_dev, below.st_ino) {
            return Ok(false);
        }
        if stat.st_mode & 0o077 == 0 && is_ours(&stat) {
            return Ok(true);
        }
        below = stat;
        at = openat(above, "..", SEARCH, Mode::empty());
    }
    Ok(false)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests;
