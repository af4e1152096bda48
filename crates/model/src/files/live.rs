//! The recorded machine's file system, looked at after the recording.
//!
//! Names are reached without following any symbolic link (`openat2` with `RESOLVE_NO_SYMLINKS`), and nothing is opened that could block or act.

use super::node::{Attributes, Seen};
use super::row::FileType;
use rustix::fd::{AsFd, BorrowedFd, OwnedFd};
use rustix::fs::{
    AtFlags, CWD, Dir, Mode, OFlags, ResolveFlags, StatxFlags, openat2, readlinkat, statx,
};

/// Kernel time stamps are as coarse as the timer tick.
const TICK_NANOS: u64 = 10_000_000;

/// What inference asks of the live file system.
pub trait Look {
    /// What stands there, if nothing about it has changed since the recording began.
    fn unchanged(&mut self, path: &[u8]) -> Option<Seen>;
    /// What stands there, if it was made before the recording began: its type and target are as they were, and it probably stood there.
    fn older(&mut self, path: &[u8]) -> Option<Seen>;
    /// Whether two names are links to one file.
    fn same(&mut self, a: &[u8], b: &[u8]) -> bool;
    /// Device and inode of what stands there, whenever it came there.
    fn id(&mut self, path: &[u8]) -> Option<(u64, u64)>;
    /// The names in a directory, as far as they can be read.
    fn list(&mut self, path: &[u8]) -> Vec<Vec<u8>>;
}

/// No file system to look at.
pub struct Blind;

impl Look for Blind {
    fn unchanged(&mut self, _: &[u8]) -> Option<Seen> {
        None
    }
    fn older(&mut self, _: &[u8]) -> Option<Seen> {
        None
    }
    fn same(&mut self, _: &[u8], _: &[u8]) -> bool {
        false
    }
    fn id(&mut self, _: &[u8]) -> Option<(u64, u64)> {
        None
    }
    fn list(&mut self, _: &[u8]) -> Vec<Vec<u8>> {
        Vec::new()
    }
}

/// The file system that this program sees.
pub struct Here {
    began: u64,
    last: Option<(Vec<u8>, Option<Found>)>,
}

/// A file found on the live file system.
#[derive(Clone, Debug)]
pub struct Found {
    /// What it is.
    pub seen: Seen,
    /// Birth and change: nanoseconds of `CLOCK_REALTIME`; a birth of 0 is unknown.
    pub born: u64,
    /// Change of anything about it.
    pub changed: u64,
}

impl Here {
    /// For a recording that began at `began` nanoseconds of `CLOCK_REALTIME`.
    pub fn new(began: u64) -> Self {
        Self { began: began.saturating_sub(TICK_NANOS), last: None }
    }

    fn find(&mut self, path: &[u8]) -> Option<Found> {
        if let Some((last, found)) = &self.last
            && last == path
        {
            return found.clone();
        }
        let found = open(path, OFlags::PATH).ok().and_then(|fd| inspect(&fd).ok());
        self.last = Some((path.to_vec(), found.clone()));
        found
    }
}

impl Look for Here {
    fn unchanged(&mut self, path: &[u8]) -> Option<Seen> {
        let began = self.began;
        self.find(path).filter(|f| f.changed < began).map(|f| f.seen)
    }
    fn older(&mut self, path: &[u8]) -> Option<Seen> {
        let began = self.began;
        self.find(path)
            .filter(|f| f.born != 0 && f.born < began || f.changed < began)
            .map(|f| f.seen)
    }
    fn same(&mut self, a: &[u8], b: &[u8]) -> bool {
        let several = |f: &Found| f.seen.links > Some(1) && f.seen.kind != FileType::Directory;
        let Some(id) = self.find(a).filter(several).and_then(|f| f.seen.id) else { return false };
        self.find(b).is_some_and(|f| f.seen.id == Some(id))
    }
    fn id(&mut self, path: &[u8]) -> Option<(u64, u64)> {
        self.find(path)?.seen.id
    }
    fn list(&mut self, path: &[u8]) -> Vec<Vec<u8>> {
        let listing = open(path, OFlags::RDONLY | OFlags::DIRECTORY).and_then(Dir::new);
        let names = listing
            .into_iter()
            .flatten()
            .filter_map(|e| Some(e.ok()?.file_name().to_bytes().to_vec()));
        names.filter(|n| n != b"." && n != b"..").take(1000).collect()
    }
}

/// Longest piece of a path that is given to the kernel at once (`PATH_MAX` is 4096).
const PIECE: usize = 2048;

/// Opens an absolute path without following any link and without blocking. It may be longer than
/// `PATH_MAX`: then it is walked piece by piece, from descriptor to descriptor.
pub fn open(path: &[u8], flags: OFlags) -> rustix::io::Result<OwnedFd> {
    let (mut rest, mut at) = (path, None::<OwnedFd>);
    while rest.len() > PIECE {
        let Some(end) = rest[..PIECE].iter().rposition(|&b| b == b'/').filter(|end| *end > 0)
        else {
            return Err(rustix::io::Errno::NAMETOOLONG);
        };
        let dir = at.as_ref().map_or(CWD, AsFd::as_fd);
        at = Some(open_at(dir, &rest[..end], OFlags::PATH | OFlags::DIRECTORY)?);
        rest = &rest[end + 1..];
    }
    open_at(at.as_ref().map_or(CWD, AsFd::as_fd), rest, flags)
}

fn open_at(dir: BorrowedFd<'_>, path: &[u8], flags: OFlags) -> rustix::io::Result<OwnedFd> {
    let resolve = ResolveFlags::NO_SYMLINKS | ResolveFlags::NO_MAGICLINKS;
    // openat2(2) refuses flags that mean nothing together.
    let harmless = if flags.contains(OFlags::PATH) {
        OFlags::empty()
    } else {
        OFlags::NONBLOCK | OFlags::NOCTTY
    };
    openat2(
        dir,
        path,
        flags | harmless | OFlags::NOFOLLOW | OFlags::CLOEXEC,
        Mode::empty(),
        resolve,
    )
}

/// What an open file is.
pub fn inspect(fd: &OwnedFd) -> rustix::io::Result<Found> {
    let s = statx(
        fd,
        c"",
        AtFlags::EMPTY_PATH | AtFlags::SYMLINK_NOFOLLOW,
        StatxFlags::BASIC_STATS | StatxFlags::BTIME,
    )?;
    let kind = FileType::of_mode(u32::from(s.stx_mode));
    let target = if kind == FileType::Link {
        Some(readlinkat(fd, c"", Vec::new())?.into_bytes())
    } else {
        None
    };
    let nanos = |t: rustix::fs::StatxTimestamp| {
        (t.tv_sec.max(0) as u64).saturating_mul(1_000_000_000) + u64::from(t.tv_nsec)
    };
    let born = if s.stx_mask & StatxFlags::BTIME.bits() != 0 { nanos(s.stx_btime) } else { 0 };
    Ok(Found {
        seen: Seen {
            kind,
            attributes: Attributes {
                mode: Some(u32::from(s.stx_mode) & 0o7777),
                uid: Some(s.stx_uid),
                gid: Some(s.stx_gid),
                size: Some(s.stx_size),
            },
            id: Some((rustix::fs::makedev(s.stx_dev_major, s.stx_dev_minor), s.stx_ino)),
            links: Some(s.stx_nlink),
            target,
            leaf: false,
        },
        born,
        changed: nanos(s.stx_ctime),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use rustix::fs::{mkdirat, openat};

    #[test]
    fn a_path_may_be_longer_than_path_max() {
        let place = tempfile::tempdir().expect("a directory");
        let mut path =
            place.path().canonicalize().expect("its path").into_os_string().into_encoded_bytes();
        let mut dir = open(&path, OFlags::RDONLY).expect("the directory");
        let name = [b'n'; 250];
        for _ in 0..20 {
            mkdirat(&dir, &name[..], Mode::RWXU).expect("a directory");
            let flags = OFlags::RDONLY | OFlags::DIRECTORY;
            dir = openat(&dir, &name[..], flags, Mode::empty()).expect("to open it");
            path.push(b'/');
            path.extend_from_slice(&name);
        }
        let deep = inspect(&open(&path, OFlags::PATH).expect("the deepest one"));
        let this = inspect(&dir).expect("what it is");
        assert_eq!(deep.expect("what it is").seen.id, this.seen.id);
        assert!(Here::new(u64::MAX).unchanged(&path).is_some());
        path.extend_from_slice(b"/nothing");
        assert_eq!(open(&path, OFlags::PATH).err(), Some(rustix::io::Errno::NOENT));
    }
}
