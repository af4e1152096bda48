//! A place where operations are done for real.

use super::FIRST_FD;
use super::op::Op;
use rustix::fd::OwnedFd;
use rustix::fs::{self, AtFlags, Mode, OFlags, Stat};
use rustix::io::Errno;
use std::collections::BTreeSet;
use std::path::Path;

/// What an operation shows to the program.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Outcome {
    pub ret: i64,
    pub bytes: Vec<u8>,
    pub names: BTreeSet<(Vec<u8>, u8)>,
    /// Type and mode, size (of files), links (of files).
    pub stat: Option<(u32, i64, u64)>,
}

/// A place where operations are done: a working directory and descriptors.
pub(super) struct Place {
    pub base: OwnedFd,
    pub fds: Vec<Option<OwnedFd>>,
    pub raw: Option<Stat>,
    pub listing: Vec<u8>,
}
impl Place {
    pub fn new(base: &Path) -> Self {
        Self {
            base: fs::open(base, OFlags::PATH | OFlags::DIRECTORY, Mode::empty()).unwrap(),
            fds: Vec::new(),
            raw: None,
            listing: Vec::new(),
        }
    }

    fn fd(&self, slot: usize) -> Result<&OwnedFd, Errno> {
        self.fds.get(slot).and_then(Option::as_ref).ok_or(Errno::BADF)
    }

    pub fn perform(&mut self, op: &Op) -> Outcome {
        let mut out = Outcome::default();
        match self.attempt(op, &mut out) {
            Ok(ret) => out.ret = ret,
            Err(e) => out.ret = -i64::from(e.raw_os_error()),
        }
        out
    }

    fn attempt(&mut self, op: &Op, out: &mut Outcome) -> Result<i64, Errno> {
        self.raw = None;
        match op {
            Op::Open(path, flags) => {
                let fd = fs::openat(
                    &self.base,
                    path,
                    OFlags::from_bits_retain(*flags) | OFlags::CLOEXEC,
                    Mode::from_raw_mode(0o640),
                )?;
                self.raw = Some(fs::fstat(&fd)?);
                let slot = self.fds.iter().position(Option::is_none).unwrap_or(self.fds.len());
                self.fds.resize_with(self.fds.len().max(slot + 1), || None);
                self.fds[slot] = Some(fd);
                return Ok((slot + FIRST_FD) as i64);
            }
            Op::Read(slot, len, at) => {
                let mut buffer = vec![0; *len];
                let n = match at {
                    Some(at) => rustix::io::pread(self.fd(*slot)?, &mut buffer[..], *at)?,
                    None => rustix::io::read(self.fd(*slot)?, &mut buffer[..])?,
                };
                buffer.truncate(n);
                out.bytes = buffer;
                return Ok(n as i64);
            }
            Op::Write(slot, len, at) => {
                let bytes = pattern(*len);
                let n = match at {
                    Some(at) => rustix::io::pwrite(self.fd(*slot)?, &bytes, *at)?,
                    None => rustix::io::write(self.fd(*slot)?, &bytes)?,
                };
                return Ok(n as i64);
            }
            Op::Seek(slot, to) => {
                return Ok(fs::seek(self.fd(*slot)?, fs::SeekFrom::Start(*to))? as i64);
            }
            Op::Resize(slot, len) => fs::ftruncate(self.fd(*slot)?, *len)?,
            Op::Truncate(path, len) => {
                let path = std::ffi::CString::new(path.as_bytes()).unwrap();
                // truncate(2) takes no directory descriptor.
                let fd = fs::openat(
                    &self.base,
                    &*path,
                    OFlags::WRONLY | OFlags::CLOEXEC | OFlags::NONBLOCK,
                    Mode::empty(),
                )?;
                fs::ftruncate(fd, *len)?;
            }
            Op::Mkdir(path) => fs::mkdirat(&self.base, path, Mode::from_raw_mode(0o750))?,
            Op::Rmdir(path) => fs::unlinkat(&self.base, path, AtFlags::REMOVEDIR)?,
            Op::Unlink(path) => fs::unlinkat(&self.base, path, AtFlags::empty())?,
            Op::Rename(from, to) => fs::renameat(&self.base, from, &self.base, to)?,
            Op::Link(from, to) => fs::linkat(&self.base, from, &self.base, to, AtFlags::empty())?,
            Op::Symlink(target, path) => fs::symlinkat(target, &self.base, path)?,
            Op::Readlink(path) => {
                out.bytes = fs::readlinkat(&self.base, path, Vec::new())?.into_bytes();
                return Ok(out.bytes.len() as i64);
            }
            Op::Stat(path, follow) => self.stat(path, *follow, out)?,
            Op::List(slot) => return self.list(*slot, out),
            Op::Chmod(path, mode) => {
                fs::chmodat(&self.base, path, Mode::from_raw_mode(*mode), AtFlags::empty())?;
            }
            Op::Close(slot) => {
                self.fd(*slot)?;
                self.fds[*slot] = None;
            }
        }
        Ok(0)
    }

    fn stat(&mut self, path: &str, follow: bool, out: &mut Outcome) -> Result<(), Errno> {
        let stat = fs::statat(
            &self.base,
            path,
            if follow { AtFlags::empty() } else { AtFlags::SYMLINK_NOFOLLOW },
        )?;
        let directory = stat.st_mode & 0o170_000 == 0o040_000;
        out.stat = Some((
            stat.st_mode,
            if directory { 0 } else { stat.st_size },
            if directory { 0 } else { stat.st_nlink },
        ));
        self.raw = Some(stat);
        Ok(())
    }

    /// From its beginning, whatever was read before.
    fn list(&mut self, slot: usize, out: &mut Outcome) -> Result<i64, Errno> {
        let fd = fs::openat(
            self.fd(slot)?,
            ".",
            OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC,
            Mode::empty(),
        )?;
        self.listing.clear();
        let mut buffer = vec![std::mem::MaybeUninit::uninit(); 1 << 16];
        let mut raw = fs::RawDir::new(&fd, &mut buffer);
        while let Some(entry) = raw.next() {
            let entry = entry?;
            let name = entry.file_name().to_bytes();
            let kind = entry.file_type() as u8;
            let kind = [
                (fs::FileType::Directory, 4),
                (fs::FileType::RegularFile, 8),
                (fs::FileType::Symlink, 10),
            ]
            .into_iter()
            .find(|k| k.0 == entry.file_type())
            .map_or(kind, |k| k.1);
            let len = (19 + name.len() + 1).next_multiple_of(8);
            let start = self.listing.len();
            self.listing.extend_from_slice(&entry.ino().to_le_bytes());
            self.listing.extend_from_slice(&[0; 8]);
            self.listing.extend_from_slice(&(len as u16).to_le_bytes());
            self.listing.push(kind);
            self.listing.extend_from_slice(name);
            self.listing.resize(start + len, 0);
            out.names.insert((name.to_vec(), kind));
        }
        Ok(self.listing.len() as i64)
    }
}

/// The bytes that a write of this length writes.
pub(super) fn pattern(len: usize) -> Vec<u8> {
    (0..len).map(|i| (len * 7 + i * 13) as u8 | 1).collect()
}
