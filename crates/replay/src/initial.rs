//! Makes the initial state of a trace's files under the replay's root.
//!
//! Every name is reached through [`Tree`], never through a link: a trace cannot lead out of the root. Devices are not made. Attributes are set last,
//! children before their directories, so that no permission is in the way. Memory does not grow with the content: one buffer of the trace at a time.

mod look;
pub(crate) mod outside;
mod passages;
pub(crate) mod unnamed;

pub use self::look::look;
pub use self::passages::How;
pub(crate) use self::passages::Passages;

use crate::Progress;
use crate::sandbox::Tree;
use crate::sandbox::{CAPABILITY, SET_ID};
use crate::source::{Cause, Source};
use ::model::files::{Change, Copied, FileType, Origin, Row, State};
use ahash::HashMap;
use rustix::fd::OwnedFd;
use rustix::fs::{
    AtFlags, FileType as Type, Gid, Mode, OFlags, Uid, XattrFlags, chownat, fchmod, fchown,
    fsetxattr, ftruncate, linkat, mkdirat, mknodat, openat, symlinkat,
};
use std::collections::VecDeque;
use std::ffi::OsStr;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use trace::Item;
use trace::record::PieceKind;

/// Files kept open while content is written.
const OPEN_FILES: usize = 64;

/// A stretch of the file that holds what others brought.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Part {
    /// Where it begins in that file.
    pub base: u64,
    /// Where it belongs in the file that was changed.
    pub from: u64,
    /// Its bytes.
    pub len: u64,
}

/// The stretches, by the numbers by which `initial.parquet` means them.
pub(crate) type Brought = HashMap<u32, Part>;

/// Lays out what others brought, one stretch behind the other; how long all together are.
pub(crate) fn lay_out(changes: &[Change]) -> (Brought, u64) {
    let (mut brought, mut base) = (Brought::default(), 0u64);
    for change in changes {
        let size = change.state.as_ref().and_then(|state| state.size).unwrap_or(0);
        let len = size.saturating_sub(change.from);
        let (Some(number), Some(end)) = (change.file, base.checked_add(len)) else { continue };
        if len > 0 {
            brought.insert(number, Part { base, from: change.from, len });
            base = end;
        }
    }
    (brought, base)
}

/// What was made.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Prepared {
    /// Names, directories included.
    pub names: u64,
    /// Names of devices, which were not made.
    pub skipped: u64,
    /// Bytes of content written.
    pub bytes: u64,
    /// Bytes that no call of the trace brought: zeros without blocks.
    pub assumed: u64,
    /// Owners and attributes that this file system or this user could not set.
    pub refused: u64,
    /// Symbolic links of which nobody read where they led: they lead nowhere.
    pub unread: u64,
    /// Files without their set-user-ID and set-group-ID bits or file capabilities.
    pub withheld: u64,
    /// By inode: links that a file had under names that the trace does not know, and which it therefore does not have here.
    pub links_elsewhere: HashMap<u64, u64>,
}

/// Why a state could not be made.
#[derive(Debug, thiserror::Error)]
pub enum PrepareError {
    /// The root could not be opened.
    #[error("cannot open the root {0}")]
    Root(String, #[source] io::Error),
    /// A file or directory could not be made.
    #[error("cannot {what} {path}")]
    Make {
        /// What was tried.
        what: &'static str,
        /// The name, under the root.
        path: String,
        /// The cause.
        #[source]
        source: io::Error,
    },
    /// The user wants it to end.
    #[error("interrupted")]
    Interrupted,
    /// The trace could not be read.
    #[error("cannot read the trace")]
    Trace(#[source] Cause),
    /// The trace does not hold the bytes that it refers to.
    #[error("initial content of file {file} is not in the data of call {seq}")]
    Content {
        /// [`Row::file`].
        file: u32,
        /// The call.
        seq: u64,
    },
}

/// Makes what stood at first under `root`, an empty directory. `rows` is the trace's manifest.
/// `brought`: what others brought later, and the row of the file that is to hold it.
pub(crate) fn prepare(
    source: &dyn Source,
    rows: &[Row],
    brought: Option<(&Brought, &Row)>,
    root: &Path,
    how: How,
    progress: &dyn Progress,
) -> Result<Prepared, PrepareError> {
    let contents = Contents {
        copied: source.snapshot().map_err(PrepareError::Trace)?,
        origins: source.origins().map_err(PrepareError::Trace)?,
        items: || source.items(),
    };
    prepare_from(rows, brought, contents, root, how, progress)
}

/// Where the contents of files come from.
struct Contents<C, O, F> {
    /// The snapshot.
    copied: C,
    /// The rows of `initial.parquet`, in their order.
    origins: O,
    /// Gives the trace in reading order with its data, of which no more is read than the origins
    /// need.
    items: F,
}

/// The same from parts.
fn prepare_from<C, O, F, I>(
    rows: &[Row],
    brought: Option<(&Brought, &Row)>,
    contents: Contents<C, O, F>,
    root: &Path,
    how: How,
    progress: &dyn Progress,
) -> Result<Prepared, PrepareError>
where
    C: Iterator<Item = Result<Copied, Cause>>,
    O: Iterator<Item = Result<Origin, Cause>>,
    F: FnOnce() -> Result<I, Cause>,
    I: Iterator<Item = Result<Item, Cause>>,
{
    let tree = Tree::open(root).map_err(|e| PrepareError::Root(root.display().to_string(), e))?;
    let mut maker = Maker {
        tree,
        rows,
        brought,
        done: Prepared::default(),
        groups: HashMap::default(),
        open: VecDeque::new(),
        zeros: vec![0; 1 << 16],
    };
    // Each name is made, and at the end given its attributes.
    let mut steps: u64 = 0;
    let mut step = || {
        steps += 1;
        if !steps.is_multiple_of(64) {
            return Ok(());
        }
        progress.preparing(steps, rows.len() as u64 * 2);
        if progress.is_unwanted() { Err(PrepareError::Interrupted) } else { Ok(()) }
    };
    for row in rows {
        step()?;
        if let Some(state) = &row.initial {
            maker.make(row, state).map_err(|(what, source)| failed(what, &row.path, source))?;
        }
    }
    maker.paste(contents.copied)?;
    let mut origins = contents.origins.peekable();
    if origins.peek().is_some() {
        maker.fill(origins, (contents.items)().map_err(PrepareError::Trace)?)?;
    }
    maker.open.clear();
    maker.done.assumed = maker.done.assumed.saturating_sub(maker.done.bytes);
    for row in rows.iter().rev() {
        step()?;
        if let Some(state) = &row.initial {
            maker
                .dress(row, state, how)
                .map_err(|source| failed("set the attributes of", &row.path, source))?;
        }
    }
    Ok(maker.done)
}

fn failed(what: &'static str, path: &[u8], source: io::Error) -> PrepareError {
    PrepareError::Make { what, path: trace::text::escape(path), source }
}

struct Maker<'a> {
    tree: Tree,
    rows: &'a [Row],
    /// Which origins are no initial content, and the row of the file that they go to.
    brought: Option<(&'a Brought, &'a Row)>,
    done: Prepared,
    /// The first name of each link group.
    groups: HashMap<u32, &'a Row>,
    open: VecDeque<(u32, OwnedFd)>,
    zeros: Vec<u8>,
}

impl<'a> Maker<'a> {
    fn make(&mut self, row: &'a Row, state: &State) -> Result<(), (&'static str, io::Error)> {
        if row.path == b"/" {
            return Ok(());
        }
        let first = state.group.and_then(|group| self.groups.get(&group).copied());
        if let Some(first) = first {
            let (old, name) = self.tree.parent(&first.path).map_err(|e| ("link", e))?;
            let (old, old_name) = (old.try_clone().map_err(|e| ("link", e))?, name);
            let (dir, name) =
                self.tree.parent(&row.path).map_err(|e| ("open the directory of", e))?;
            linkat(&old, old_name, dir, name, AtFlags::empty()).map_err(|e| ("link", e.into()))?;
            self.done.names += 1;
            return Ok(());
        }
        if let Some(group) = state.group {
            self.groups.insert(group, row);
        }
        let (dir, name) = self.tree.parent(&row.path).map_err(|e| ("open the directory of", e))?;
        match state.kind {
            FileType::Directory => match mkdirat(dir, name, Mode::RWXU) {
                Err(rustix::io::Errno::EXIST) => {
                    self.tree
                        .get(&row.path, OFlags::PATH | OFlags::DIRECTORY)
                        .map_err(|e| ("create directory", e))?;
                }
                other => other.map_err(|e| ("create directory", e.into()))?,
            },
            FileType::Link => {
                let target = match state.target.as_deref().filter(|t| !t.is_empty()) {
                    Some(target) => target.to_vec(),
                    None => {
                        self.done.unread += 1;
                        nowhere(state.size)
                    }
                };
                symlinkat(OsStr::from_bytes(&target), dir, name)
                    .map_err(|e| ("create symbolic link", e.into()))?;
            }
            FileType::Fifo => mknodat(dir, name, Type::Fifo, Mode::RUSR | Mode::WUSR, 0)
                .map_err(|e| ("create FIFO", e.into()))?,
            FileType::Regular | FileType::Unknown => {
                let flags = OFlags::CREATE
                    | OFlags::EXCL
                    | OFlags::WRONLY
                    | OFlags::NOFOLLOW
                    | OFlags::CLOEXEC;
                let file = openat(dir, name, flags, Mode::RUSR | Mode::WUSR)
                    .map_err(|e| ("create file", e.into()))?;
                let holes = trace::total(row.holes.iter().map(|(_, len)| *len));
                let unknown = state.size.unwrap_or(0).saturating_sub(holes);
                self.done.assumed = self.done.assumed.saturating_add(unknown);
                ftruncate(&file, state.size.unwrap_or(0))
                    .map_err(|e| ("set the size of", e.into()))?;
                for &(offset, len) in &row.allocated {
                    let end = offset.saturating_add(len).min(state.size.unwrap_or(0));
                    self.done.bytes = self.done.bytes.saturating_add(end.saturating_sub(offset));
                    write_zeros(&file, &self.zeros, offset, end)
                        .map_err(|e| ("allocate blocks of", e))?;
                }
            }
            FileType::Socket => mknodat(dir, name, Type::Socket, Mode::RUSR | Mode::WUSR, 0)
                .map_err(|e| ("create socket", e.into()))?,
            FileType::Char | FileType::Block => {
                self.done.skipped += 1;
                return Ok(());
            }
        }
        self.done.names += 1;
        Ok(())
    }

    /// Writes what the snapshot holds.
    fn paste(
        &mut self,
        copied: impl Iterator<Item = Result<Copied, Cause>>,
    ) -> Result<(), PrepareError> {
        let rows: &'a [Row] = self.rows;
        let by_file: HashMap<u32, &'a Row> =
            rows.iter().rev().filter_map(|r| Some((r.file?, r))).collect();
        for copied in copied {
            let Copied { file, offset, len, bytes } = copied.map_err(PrepareError::Trace)?;
            let Some(row) = by_file
                .get(&file)
                .filter(|row| row.initial.as_ref().is_some_and(|s| s.kind == FileType::Regular))
            else {
                continue;
            };
            match bytes {
                Some(bytes) => self
                    .put(row, file, offset, &bytes)
                    .map_err(|e| failed("write the initial content of", &row.path, e))?,
                // A hole is known to be one.
                None => self.done.assumed = self.done.assumed.saturating_sub(len),
            }
        }
        Ok(())
    }

    /// Copies the initial content out of the trace: both come in the same order.
    fn fill(
        &mut self,
        origins: impl Iterator<Item = Result<Origin, Cause>>,
        items: impl Iterator<Item = Result<Item, Cause>>,
    ) -> Result<(), PrepareError> {
        let rows: &'a [Row] = self.rows;
        let by_file: HashMap<u32, &'a Row> =
            rows.iter().rev().filter_map(|r| Some((r.file?, r))).collect();
        let mut calls = items.filter_map(|item| match item {
            Ok(Item::Call(call)) => Some(Ok(call)),
            Ok(Item::Event(_)) => None,
            Err(e) => Some(Err(PrepareError::Trace(e))),
        });
        let mut call = None;
        for origin in origins {
            let origin = origin.map_err(PrepareError::Trace)?;
            let missing = || PrepareError::Content { file: origin.file, seq: origin.seq };
            while call.as_ref().is_none_or(|c: &trace::Call| c.seq != origin.seq) {
                call = Some(calls.next().ok_or_else(missing)??);
            }
            // A file that had lost its name when the recording began has no row.
            let part = self.brought.and_then(|(parts, row)| Some((parts.get(&origin.file)?, row)));
            let row = part.map(|(_, row)| row).or_else(|| by_file.get(&origin.file).copied());
            let (Some(call), Some(row)) = (&call, row) else { continue };
            if row.initial.as_ref().is_none_or(|s| s.kind != FileType::Regular) {
                continue;
            }
            let mut at = origin.at;
            let mut offset = origin.offset;
            let mut left = origin.len;
            if let Some((part, _)) = part {
                let Some(within) = offset.checked_sub(part.from).filter(|at| *at < part.len) else {
                    continue;
                };
                offset = part.base + within;
                left = left.min(part.len - within);
            }
            for piece in call.pieces.iter().filter(|p| p.kind == PieceKind::Data) {
                if left == 0 {
                    break;
                }
                let bytes = piece.bytes.as_slice();
                let Some(part) = usize::try_from(at).ok().and_then(|at| bytes.get(at..)) else {
                    at -= bytes.len() as u64;
                    continue;
                };
                let part = &part[..part.len().min(usize::try_from(left).unwrap_or(usize::MAX))];
                self.put(row, origin.file, offset, part)
                    .map_err(|e| failed("write the initial content of", &row.path, e))?;
                offset += part.len() as u64;
                left -= part.len() as u64;
                at = 0;
            }
            if left > 0 {
                return Err(missing());
            }
        }
        Ok(())
    }

    /// Writes `bytes`, leaving out what must stay a hole.
    fn put(&mut self, row: &Row, file: u32, offset: u64, bytes: &[u8]) -> io::Result<()> {
        let index = match self.open.iter().position(|(f, _)| *f == file) {
            Some(index) => index,
            None => {
                if self.open.len() >= OPEN_FILES {
                    self.open.pop_front();
                }
                self.open.push_back((file, self.tree.get(&row.path, OFlags::WRONLY)?));
                self.open.len() - 1
            }
        };
        let fd = &self.open[index].1;
        let end = offset.checked_add(bytes.len() as u64).ok_or(io::ErrorKind::InvalidData)?;
        let mut from = offset;
        for (start, stop) in
            row.holes.iter().map(|&(s, n)| (s, s.saturating_add(n))).chain([(end, end)])
        {
            let until = start.min(end);
            if from < until {
                write_at(fd, &bytes[(from - offset) as usize..(until - offset) as usize], from)?;
                self.done.bytes += until - from;
            }
            from = from.max(stop.min(end));
        }
        Ok(())
    }

    fn dress(&mut self, row: &'a Row, state: &State, how: How) -> io::Result<()> {
        if !state.kind.performed() && state.kind != FileType::Unknown {
            return Ok(());
        }
        let owner = (state.uid.map(Uid::from_raw), state.gid.map(Gid::from_raw));
        let root = rustix::process::geteuid().is_root();
        if matches!(state.kind, FileType::Link | FileType::Fifo | FileType::Socket) {
            let (dir, name) = self.tree.parent(&row.path)?;
            if root
                && (owner.0.is_some() || owner.1.is_some())
                && chownat(dir, name, owner.0, owner.1, AtFlags::SYMLINK_NOFOLLOW).is_err()
            {
                self.done.refused += 1;
            }
            if let (FileType::Fifo | FileType::Socket, Some(mode)) = (state.kind, state.mode) {
                let mode = if how.withhold { mode & !SET_ID } else { mode };
                rustix::fs::chmodat(dir, name, Mode::from_raw_mode(mode), AtFlags::empty())?;
            }
            return Ok(());
        }
        if state
            .group
            .is_some_and(|g| self.groups.get(&g).is_some_and(|first| first.path != row.path))
        {
            return Ok(()); // dressed under its first name
        }
        let fd = self.tree.get(&row.path, OFlags::RDONLY)?;
        self.done.links_elsewhere.extend(links_elsewhere(&fd, state)?);
        if root
            && (owner.0.is_some() || owner.1.is_some())
            && fchown(&fd, owner.0, owner.1).is_err()
        {
            self.done.refused += 1;
        }
        let mut withheld = false;
        for (name, value) in &state.xattrs {
            if how.withhold && *name == CAPABILITY {
                withheld = true;
            } else if fsetxattr(&fd, OsStr::from_bytes(name), value, XattrFlags::empty()).is_err() {
                self.done.refused += 1;
            }
        }
        let mode = match (state.mode, state.kind) {
            (Some(mode), FileType::Directory) => mode,
            (Some(mode), _) if how.withhold && mode & SET_ID != 0 => {
                withheld = true;
                mode & !SET_ID
            }
            (Some(mode), _) => mode,
            // Made for its owner alone, or the root, as it was found.
            (None, FileType::Directory) => how.unknown(rustix::fs::fstat(&fd)?.st_mode & 0o7777),
            (None, _) => 0o644,
        };
        fchmod(&fd, Mode::from_raw_mode(mode))?;
        self.done.withheld += u64::from(withheld);
        Ok(())
    }
}

/// A target of this size that does not exist, and cannot be created.
fn nowhere(size: Option<u64>) -> Vec<u8> {
    let mut target = vec![b'?'; size.unwrap_or(3).clamp(1, 4095) as usize];
    if target.len() > 2 {
        target[1] = b'/';
    }
    target
}

/// The inode and the number of links that a file had under names that the trace does not know.
fn links_elsewhere(fd: &OwnedFd, state: &State) -> io::Result<Option<(u64, u64)>> {
    let Some(links) = state.links.filter(|_| state.kind != FileType::Directory) else {
        return Ok(None);
    };
    let stat = rustix::fs::fstat(fd)?;
    Ok(u64::from(links)
        .checked_sub(stat.st_nlink)
        .filter(|n| *n > 0)
        .map(|elsewhere| (stat.st_ino, elsewhere)))
}

pub(crate) fn write_at(fd: &OwnedFd, mut bytes: &[u8], mut offset: u64) -> io::Result<()> {
    while !bytes.is_empty() {
        let n = rustix::io::pwrite(fd, bytes, offset)?;
        if n == 0 {
            return Err(io::ErrorKind::WriteZero.into());
        }
        bytes = &bytes[n..];
        offset += n as u64;
    }
    Ok(())
}

fn write_zeros(fd: &OwnedFd, zeros: &[u8], mut offset: u64, end: u64) -> io::Result<()> {
    while offset < end {
        let n = (end - offset).min(zeros.len() as u64);
        write_at(fd, &zeros[..n as usize], offset)?;
        offset += n;
    }
    Ok(())
}

#[cfg(test)]
mod model;
#[cfg(test)]
mod tests;
#[cfg(test)]
pub(crate) mod tests_support;
