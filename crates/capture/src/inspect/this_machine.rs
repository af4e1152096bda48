//! Looking up files of this machine for the model.

use model::files::{FileType, Found, Machine};
use rustix::fd::{AsFd, BorrowedFd, OwnedFd};
use rustix::fs::{
    AtFlags, CWD, Dir, Mode, OFlags, ResolveFlags, StatxFlags, openat2, readlinkat, statx,
};

/// The machine that this process runs on. Paths are opened without following any symbolic link
/// (`openat2` with `RESOLVE_NO_SYMLINKS`).
#[derive(Clone, Copy, Debug)]
pub struct ThisMachine;

impl Machine for ThisMachine {
    fn find(&self, path: &[u8]) -> rustix::io::Result<Found> {
        read_metadata(&open(path, OFlags::PATH)?)
    }
    fn open(&self, path: &[u8]) -> rustix::io::Result<OwnedFd> {
        open(path, OFlags::RDONLY)
    }
    fn list(&self, path: &[u8]) -> Vec<Vec<u8>> {
        let listing = open(path, OFlags::RDONLY | OFlags::DIRECTORY).and_then(Dir::new);
        let names = listing
            .into_iter()
            .flatten()
            .filter_map(|e| Some(e.ok()?.file_name().to_bytes().to_vec()));
        names.filter(|n| n != b"." && n != b"..").take(1000).collect()
    }
}

/// The longest part of a path that is given to the kernel at once (`PATH_MAX` is 4096).
const MAX_PATH_PART: usize = 2048;

/// Opens an absolute path without following any symbolic link and without blocking. A path longer
/// than `PATH_MAX` is opened in several steps, each relative to the directory of the one before.
fn open(path: &[u8], flags: OFlags) -> rustix::io::Result<OwnedFd> {
    let (mut rest, mut at) = (path, None::<OwnedFd>);
    while rest.len() > MAX_PATH_PART {
        let Some(end) =
            rest[..MAX_PATH_PART].iter().rposition(|&b| b == b'/').filter(|end| *end > 0)
        else {
            return Err(rustix::io::Errno::NAMETOOLONG);
        };
        let dir = at.as_ref().map_or(CWD, AsFd::as_fd);
        at = Some(open_at(dir, &rest[..end], OFlags::PATH | OFlags::DIRECTORY)?);
        rest = &rest[end + 1..];
    }
    open_at(at.as_ref().map_or(CWD, AsFd::as_fd), rest, flags)
}

/// Opens a path relative to `dir`, without following any symbolic link and without blocking.
fn open_at(dir: BorrowedFd<'_>, path: &[u8], flags: OFlags) -> rustix::io::Result<OwnedFd> {
    let resolve = ResolveFlags::NO_SYMLINKS | ResolveFlags::NO_MAGICLINKS;
    // openat2(2) rejects these flags together with O_PATH.
    let nonblocking = if flags.contains(OFlags::PATH) {
        OFlags::empty()
    } else {
        OFlags::NONBLOCK | OFlags::NOCTTY
    };
    openat2(
        dir,
        path,
        flags | nonblocking | OFlags::NOFOLLOW | OFlags::CLOEXEC,
        Mode::empty(),
        resolve,
    )
}

/// Returns the metadata of an open file and, of a symbolic link, its target.
fn read_metadata(fd: &OwnedFd) -> rustix::io::Result<Found> {
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
        kind,
        mode: u32::from(s.stx_mode) & 0o7777,
        uid: s.stx_uid,
        gid: s.stx_gid,
        size: s.stx_size,
        id: (rustix::fs::makedev(s.stx_dev_major, s.stx_dev_minor), s.stx_ino),
        links: s.stx_nlink,
        target,
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
        let mut dir = ThisMachine.open(&path).expect("the directory");
        let name = [b'n'; 250];
        for _ in 0..20 {
            mkdirat(&dir, &name[..], Mode::RWXU).expect("a directory");
            let flags = OFlags::RDONLY | OFlags::DIRECTORY;
            dir = openat(&dir, &name[..], flags, Mode::empty()).expect("to open it");
            path.push(b'/');
            path.extend_from_slice(&name);
        }
        let deep = ThisMachine.find(&path).expect("the deepest one");
        assert_eq!(deep.id, read_metadata(&dir).expect("what it is").id);
        path.extend_from_slice(b"/nothing");
        assert_eq!(ThisMachine.find(&path).err(), Some(rustix::io::Errno::NOENT));
    }
}
