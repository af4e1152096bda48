//! A directory tree under a root: every name is reached from the root's descriptor without
//! following a link, whatever the name says.

use rustix::fd::OwnedFd;
use rustix::fs::{CWD, Mode, OFlags, ResolveFlags, openat2};
use std::ffi::OsStr;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

/// Longest piece of a path that is given to the kernel at once (`PATH_MAX` is 4096).
const PIECE: usize = 2048;

/// An open root.
pub struct Tree {
    root: OwnedFd,
    /// The directory used last, with its path.
    last: Option<(Vec<u8>, OwnedFd)>,
}

impl Tree {
    /// Opens the tree below `root`.
    pub fn open(root: &Path) -> io::Result<Self> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        Ok(Self {
            root: openat2(CWD, root, flags, Mode::empty(), ResolveFlags::empty())?,
            last: None,
        })
    }

    /// Returns the descriptor of the root.
    pub fn root(&self) -> &OwnedFd {
        &self.root
    }

    /// Returns the directory that holds the last component of `path`, and that component. `path` is
    /// absolute, as in the manifest. Fails for the root, which has no name.
    pub fn parent<'a>(&mut self, path: &'a [u8]) -> io::Result<(&OwnedFd, &'a OsStr)> {
        let slash = path.iter().rposition(|&b| b == b'/').ok_or(io::ErrorKind::InvalidInput)?;
        let (dir, name) = (&path[..slash], &path[slash + 1..]);
        if name.is_empty() || name == b"." || name == b".." {
            return Err(io::ErrorKind::InvalidInput.into());
        }
        if dir.is_empty() {
            // The caller may replace the directory used last under this name.
            self.last = None;
            return Ok((&self.root, OsStr::from_bytes(name)));
        }
        if self.last.as_ref().is_none_or(|(last, _)| last != dir) {
            // A tree is visited parents first. From the parent, a deep one costs no square.
            let last = self.last.as_ref();
            let last = last.and_then(|(last, fd)| Some((fd, dir.strip_prefix(&last[..])?)));
            let (from, rest) =
                last.filter(|(_, rest)| rest.starts_with(b"/")).unwrap_or((&self.root, dir));
            let fd = descend(from, rest)?;
            self.last = Some((dir.to_vec(), fd));
        }
        match &self.last {
            Some((_, fd)) => Ok((fd, OsStr::from_bytes(name))),
            None => Err(io::ErrorKind::NotFound.into()),
        }
    }

    /// Opens the file at `path` itself, never what a link there leads to.
    pub fn get(&mut self, path: &[u8], flags: OFlags) -> io::Result<OwnedFd> {
        if path == b"/" {
            return below(&self.root, OsStr::new("."), flags);
        }
        let (dir, name) = self.parent(path)?;
        below(dir, name, flags)
    }
}

/// Opens a name, or a relative path, below `dir` without following links.
fn below(dir: &OwnedFd, name: &OsStr, flags: OFlags) -> io::Result<OwnedFd> {
    let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS | ResolveFlags::NO_MAGICLINKS;
    // openat2(2) refuses flags that mean nothing together.
    let harmless = if flags.contains(OFlags::PATH) {
        OFlags::empty()
    } else {
        OFlags::NONBLOCK | OFlags::NOCTTY
    };
    Ok(openat2(
        dir,
        name,
        flags | harmless | OFlags::NOFOLLOW | OFlags::CLOEXEC,
        Mode::empty(),
        resolve,
    )?)
}

/// Opens the directory at the path `dir` below `from`, in pieces that are short enough for the
/// kernel.
fn descend(from: &OwnedFd, dir: &[u8]) -> io::Result<OwnedFd> {
    let mut at: Option<OwnedFd> = None;
    let mut rest = dir;
    while let Some(start) = rest.iter().position(|&b| b != b'/') {
        rest = &rest[start..];
        let mut end = rest.len().min(PIECE);
        if end < rest.len() {
            end = rest[..end]
                .iter()
                .rposition(|&b| b == b'/')
                .unwrap_or_else(|| rest.iter().position(|&b| b == b'/').unwrap_or(rest.len()));
        }
        at = Some(below(
            at.as_ref().unwrap_or(from),
            OsStr::from_bytes(&rest[..end]),
            OFlags::PATH | OFlags::DIRECTORY,
        )?);
        rest = &rest[end..];
    }
    at.ok_or_else(|| io::ErrorKind::InvalidInput.into())
}
