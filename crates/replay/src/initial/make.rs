//! Makes names, and gives them their attributes when their content is there.

use super::{CreateOptions, CreatedFiles, OutsideRanges, links_elsewhere};
use ahash::HashMap;
use model::files::{FileType, Row, State};
use rustix::fd::OwnedFd;
use rustix::fs::{
    AtFlags, FileType as Type, Gid, Mode, OFlags, Uid, XattrFlags, chownat, fchmod, fchown,
    fsetxattr, ftruncate, linkat, mkdirat, mknodat, openat, symlinkat,
};
use sandbox::{CAPABILITY, SET_ID, Tree};
use std::collections::VecDeque;
use std::ffi::OsStr;
use std::io;
use std::os::unix::ffi::OsStrExt;

pub(super) struct TreeBuilder<'a> {
    pub tree: Tree,
    pub rows: &'a [Row],
    /// Which origins are no initial content, and the row of the file that they go to.
    pub outside_data: Option<(&'a OutsideRanges, &'a Row)>,
    pub done: CreatedFiles,
    /// The first name of each link group.
    pub link_groups: HashMap<u32, &'a Row>,
    pub open: VecDeque<(u32, OwnedFd)>,
    pub zeros: Vec<u8>,
}

impl<'a> TreeBuilder<'a> {
    /// Creates a name with a file of the right type and size, without attributes.
    pub fn make(&mut self, row: &'a Row, state: &State) -> Result<(), (&'static str, io::Error)> {
        if row.path == b"/" {
            return Ok(());
        }
        let first = state.group.and_then(|group| self.link_groups.get(&group).copied());
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
            self.link_groups.insert(group, row);
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
                        dangling_target(state.size)
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
                let holes = trace::saturating_sum(row.holes.iter().map(|(_, len)| *len));
                let mode_or_default = state.size.unwrap_or(0).saturating_sub(holes);
                self.done.assumed = self.done.assumed.saturating_add(mode_or_default);
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

    /// Sets the owner, mode, extended attributes and times of a name.
    pub fn set_attributes(
        &mut self,
        row: &'a Row,
        state: &State,
        options: CreateOptions,
    ) -> io::Result<()> {
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
                let mode = if options.withhold { mode & !SET_ID } else { mode };
                rustix::fs::chmodat(dir, name, Mode::from_raw_mode(mode), AtFlags::empty())?;
            }
            return Ok(());
        }
        if state
            .group
            .is_some_and(|g| self.link_groups.get(&g).is_some_and(|first| first.path != row.path))
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
            if options.withhold && *name == CAPABILITY {
                withheld = true;
            } else if fsetxattr(&fd, OsStr::from_bytes(name), value, XattrFlags::empty()).is_err() {
                self.done.refused += 1;
            }
        }
        let mode = match (state.mode, state.kind) {
            (Some(mode), FileType::Directory) => mode,
            (Some(mode), _) if options.withhold && mode & SET_ID != 0 => {
                withheld = true;
                mode & !SET_ID
            }
            (Some(mode), _) => mode,
            // Made for its owner alone, or the root, as it was found.
            (None, FileType::Directory) => {
                options.mode_or_default(rustix::fs::fstat(&fd)?.st_mode & 0o7777)
            }
            (None, _) => 0o644,
        };
        fchmod(&fd, Mode::from_raw_mode(mode))?;
        self.done.withheld += u64::from(withheld);
        Ok(())
    }
}

/// Returns a target of this size for a symbolic link. It does not exist, and cannot be created.
fn dangling_target(size: Option<u64>) -> Vec<u8> {
    let mut target = vec![b'?'; size.unwrap_or(3).clamp(1, 4095) as usize];
    if target.len() > 2 {
        target[1] = b'/';
    }
    target
}

/// Writes all of `bytes` at `offset`.
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

/// Writes zeros from `offset` to `end`.
fn write_zeros(fd: &OwnedFd, zeros: &[u8], mut offset: u64, end: u64) -> io::Result<()> {
    while offset < end {
        let n = (end - offset).min(zeros.len() as u64);
        write_at(fd, &zeros[..n as usize], offset)?;
        offset += n;
    }
    Ok(())
}
