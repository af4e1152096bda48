//! The path of a directory whose path is longer than `PATH_MAX`. procfs shows none, so the path is
//! found by going up from directory to directory and looking each one up in its parent.

use rustix::fd::OwnedFd;
use rustix::fs::{AtFlags, Dir, Mode, OFlags, Stat, fstat, openat, statat};
use std::ffi::CStr;

/// How many levels are searched at most.
const MAX_LEVELS: usize = 8192;

/// Returns the path of the directory that the magic link `link` leads to, or `None` if it has none
/// or a parent directory cannot be searched.
pub(crate) fn path_by_walking_up(link: &CStr) -> Option<Vec<u8>> {
    let open = |dir: &OwnedFd, name: &CStr, flags| {
        openat(dir, name, flags | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty()).ok()
    };
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let mut directory = openat(rustix::fs::CWD, link, flags, Mode::empty()).ok()?;
    let mut current = fstat(&directory).ok()?;
    let mut names: Vec<Vec<u8>> = Vec::new();
    for _ in 0..MAX_LEVELS {
        let parent = open(&directory, c"..", OFlags::RDONLY)?;
        let stat = fstat(&parent).ok()?;
        if is_same_file(&stat, &current) {
            let path = names.iter().rev().fold(Vec::new(), |p, name| [&p[..], b"/", name].concat());
            return Some(if path.is_empty() { b"/".to_vec() } else { path });
        }
        names.push(find_name(&parent, &current)?);
        (directory, current) = (parent, stat);
    }
    None
}

/// Returns whether both are the same file.
fn is_same_file(a: &Stat, b: &Stat) -> bool {
    (a.st_dev, a.st_ino) == (b.st_dev, b.st_ino)
}

/// Returns the name of a directory in its parent. Entries with the inode number of the directory
/// are tried first, then all others: a mount point is listed with another number.
fn find_name(parent: &OwnedFd, child: &Stat) -> Option<Vec<u8>> {
    let find = |all: bool| {
        Dir::read_from(parent).ok()?.filter_map(Result::ok).find_map(|entry| {
            let name = entry.file_name();
            if name == c"." || name == c".." || !(all || entry.ino() == child.st_ino) {
                return None;
            }
            let found = statat(parent, name, AtFlags::SYMLINK_NOFOLLOW).ok()?;
            is_same_file(&found, child).then(|| name.to_bytes().to_vec())
        })
    };
    find(false).or_else(|| find(true))
}

#[cfg(test)]
mod tests {
    use super::*;
    use rustix::fs::mkdirat;
    use std::os::fd::AsRawFd;
    use std::os::unix::ffi::OsStrExt;

    #[test]
    fn up_from_where_no_path_leads() {
        let place = tempfile::tempdir().expect("a directory");
        let top = place.path().canonicalize().expect("its path");
        let mut path = top.as_os_str().as_bytes().to_vec();
        let flags = OFlags::RDONLY | OFlags::DIRECTORY;
        let mut dir = openat(rustix::fs::CWD, &top, flags, Mode::empty()).expect("to open it");
        for level in 0..20u8 {
            let name = [b'a' + level; 250];
            mkdirat(&dir, &name[..], Mode::RWXU).expect("a directory");
            dir = openat(&dir, &name[..], flags, Mode::empty()).expect("to open it");
            path.push(b'/');
            path.extend_from_slice(&name);
        }
        let link = format!("/proc/self/fd/{}\0", dir.as_raw_fd());
        let link = CStr::from_bytes_with_nul(link.as_bytes()).expect("a string");
        assert_eq!(path_by_walking_up(link), Some(path));
        assert_eq!(path_by_walking_up(c"/proc").as_deref(), Some(&b"/proc"[..]));
        assert_eq!(path_by_walking_up(c"/").as_deref(), Some(&b"/"[..]));
        assert_eq!(path_by_walking_up(c"/proc/self/nothing"), None);
    }
}
