//! What processes that were not recorded did to files that the program used: done again right
//! before the call that found it.
//!
//! The bytes that came are in one file without a name, one stretch for each change, which is filled
//! with the initial state. A change is made when all calls dispatched before are done, so that in
//! any order the calls that saw the earlier state have seen it.

use super::OutsideRanges;
use crate::Error;
use crate::report::Others;
use ahash::HashMap;
use model::files::{Change, ChangeKind, FileType, State};
use rustix::fd::OwnedFd;
use rustix::fs::{
    AtFlags, Dir, FileType as Type, Gid, Mode, OFlags, SeekFrom, Uid, XattrFlags, fchmod, fchown,
    fsetxattr, fstat, ftruncate, mkdirat, mknodat, openat, renameat, seek, statat, symlinkat,
    unlinkat,
};
use sandbox::Tree;
use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

/// Bytes copied at once.
const CHUNK: usize = 1 << 18;
/// Files named in the report.
const SHOWN: usize = 20;
/// The largest depth of a tree that is removed.
const DEPTH: usize = 4096;
/// Under this name a file is made that then takes another one's place.
const NEW: &str = ".comes-in-its-place";

/// The changes to come.
#[derive(Default)]
pub(crate) struct Outside {
    /// By the number of the call before which they happened.
    by_call: HashMap<u64, Vec<Change>>,
    /// What came, and where each change's part stands in it.
    bytes: Option<OwnedFd>,
    outside_data: OutsideRanges,
    files: BTreeSet<Vec<u8>>,
    /// What the report says.
    pub others: Others,
}

impl Outside {
    /// Creates the list of changes to make. `bytes` is the file with the data of the changes, at
    /// the ranges in `outside_data`.
    pub fn new(changes: Vec<Change>, bytes: Option<OwnedFd>, outside_data: OutsideRanges) -> Self {
        let mut by_call: HashMap<u64, Vec<Change>> = HashMap::default();
        for change in changes {
            by_call.entry(change.before).or_default().push(change);
        }
        Self { by_call, bytes, outside_data, ..Self::default() }
    }

    /// Returns whether there are changes to make before this call.
    pub fn has_changes_before(&self, seq: u64) -> bool {
        !self.by_call.is_empty() && self.by_call.contains_key(&seq)
    }

    /// Makes the changes that come before this call.
    pub fn apply(&mut self, seq: u64, root: &Path) -> Result<(), Error> {
        for change in self.by_call.remove(&seq).unwrap_or_default() {
            let name = trace::text::escape(&change.path);
            // Directories may have moved since the last one.
            let mut tree = Tree::open(root).map_err(|e| Error::Root(root.to_owned(), e))?;
            let line = match self.apply_change(&mut tree, &change) {
                // It is so already.
                Ok(false) => continue,
                Ok(true) => {
                    self.others.changes += 1;
                    format!("{name}: {} before call {seq}", change.done.name())
                }
                Err(e) => {
                    self.others.failed += 1;
                    format!("{name}: {} before call {seq}, but not here: {e}", change.done.name())
                }
            };
            if self.files.insert(change.path) {
                self.others.files += 1;
                if self.others.lines.len() < SHOWN {
                    self.others.lines.push(line);
                }
            }
        }
        Ok(())
    }

    /// Makes one change. Returns false if the tree is already in the state after it.
    fn apply_change(&self, tree: &mut Tree, change: &Change) -> io::Result<bool> {
        let (dir, name) = tree.parent(&change.path)?;
        let there = statat(dir, name, AtFlags::SYMLINK_NOFOLLOW);
        match (change.done, &change.state) {
            (ChangeKind::Removed, _) if there.is_err() => Ok(false),
            (ChangeKind::Removed, _) => remove(dir, name, DEPTH).map(|()| true),
            (ChangeKind::Made, Some(_)) if there.is_ok() => Ok(false),
            (ChangeKind::Made, Some(state)) => self.make(dir, name, state, change).map(|()| true),
            (ChangeKind::Replaced, Some(state)) => {
                let new = OsStr::new(NEW);
                self.make(dir, new, state, change)?;
                renameat(dir, new, dir, name)?;
                Ok(true)
            }
            (ChangeKind::Resized, Some(State { size: Some(to), .. })) => {
                let file = tree.get(&change.path, OFlags::RDWR)?;
                let is = fstat(&file)?.st_size as u64;
                if is == *to {
                    return Ok(false);
                }
                ftruncate(&file, *to)?;
                self.fill(&file, change)?;
                Ok(true)
            }
            _ => Ok(false),
        }
    }

    /// Creates the file that an unrecorded process created, with its content and attributes.
    fn make(&self, dir: &OwnedFd, name: &OsStr, state: &State, change: &Change) -> io::Result<()> {
        let directory = state.kind == FileType::Directory;
        match state.kind {
            FileType::Directory => mkdirat(dir, name, Mode::RWXU)?,
            FileType::Link => {
                let target = state.target.as_deref().filter(|t| !t.is_empty()).unwrap_or(b"?");
                return Ok(symlinkat(OsStr::from_bytes(target), dir, name)?);
            }
            FileType::Fifo => mknodat(dir, name, Type::Fifo, Mode::RUSR | Mode::WUSR, 0)?,
            FileType::Socket => mknodat(dir, name, Type::Socket, Mode::RUSR | Mode::WUSR, 0)?,
            FileType::Char | FileType::Block => return Err(io::ErrorKind::Unsupported.into()),
            FileType::Regular | FileType::Unknown => {}
        }
        if matches!(state.kind, FileType::Fifo | FileType::Socket) {
            return Ok(());
        }
        let options = if directory {
            OFlags::RDONLY | OFlags::DIRECTORY
        } else {
            OFlags::CREATE | OFlags::EXCL | OFlags::WRONLY
        };
        let flags = options | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let file = openat(dir, name, flags, Mode::RUSR | Mode::WUSR)?;
        if !directory {
            ftruncate(&file, state.size.unwrap_or(0))?;
            self.fill(&file, change)?;
        }
        if rustix::process::geteuid().is_root() {
            fchown(&file, state.uid.map(Uid::from_raw), state.gid.map(Gid::from_raw))?;
        }
        for (name, value) in &state.xattrs {
            // As in the initial state: what this file system refuses is left out.
            let _ = fsetxattr(&file, OsStr::from_bytes(name), value, XattrFlags::empty());
        }
        let default = if directory { 0o755 } else { 0o644 };
        Ok(fchmod(&file, Mode::from_raw_mode(state.mode.unwrap_or(default)))?)
    }

    /// Copies the data of a change into a file. Holes stay holes.
    fn fill(&self, file: &OwnedFd, change: &Change) -> io::Result<()> {
        let part = change.file.and_then(|number| self.outside_data.get(&number));
        let (Some(from), Some(part)) = (&self.bytes, part) else { return Ok(()) };
        let (mut at, end) = (part.base, part.base + part.len);
        let mut buffer = vec![0u8; CHUNK];
        while at < end {
            at = match seek(from, SeekFrom::Data(at)) {
                Ok(data) => data,
                Err(rustix::io::Errno::NXIO) => break,
                Err(_) => at,
            };
            if at >= end {
                break;
            }
            let want = (end - at).min(CHUNK as u64) as usize;
            let n = rustix::io::pread(from, &mut buffer[..want], at)?;
            if n == 0 {
                break;
            }
            super::write_at(file, &buffer[..n], at - part.base + part.from)?;
            at += n as u64;
        }
        Ok(())
    }
}

/// Removes a name and everything below it.
fn remove(dir: &OwnedFd, name: &OsStr, depth: usize) -> io::Result<()> {
    let stat = statat(dir, name, AtFlags::SYMLINK_NOFOLLOW)?;
    if FileType::of_mode(stat.st_mode) != FileType::Directory {
        return Ok(unlinkat(dir, name, AtFlags::empty())?);
    }
    if depth == 0 {
        return Err(io::ErrorKind::InvalidInput.into());
    }
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let below = openat(dir, name, flags, Mode::empty())?;
    for entry in Dir::read_from(&below)? {
        let entry = entry?;
        let name = entry.file_name().to_bytes();
        if name != b"." && name != b".." {
            remove(&below, OsStr::from_bytes(name), depth - 1)?;
        }
    }
    Ok(unlinkat(dir, name, AtFlags::REMOVEDIR)?)
}
