//! The path of a directory that lies deeper than `PATH_MAX`: procfs shows none, so it is found by
//! going up, directory by directory, and looking each up in the one above.

use rustix::fd::OwnedFd;
use rustix::fs::{AtFlags, Dir, Mode, OFlags, Stat, fstat, openat, statat};
use std::ffi::CStr;

/// A directory that lies deeper is not looked for.
const LEVELS: usize = 8192;

/// The path of the directory that `link` leads to; `None` if it has none, or cannot be found.
pub(crate) fn path_by_walking_up(link: &CStr) -> Option<Vec<u8>> {
    let open = |dir: &OwnedFd, name: &CStr, flags| {
        openat(dir, name, flags | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty()).ok()
    };
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let mut at = openat(rustix::fs::CWD, link, flags, Mode::empty()).ok()?;
    let mut is = fstat(&at).ok()?;
    let mut names: Vec<Vec<u8>> = Vec::new();
    for _ in 0..LEVELS {
        let above = open(&at, c"..", OFlags::RDONLY)?;
        let stat = fstat(&above).ok()?;
        if same(&stat, &is) {
            let path = names.iter().rev().fold(Vec::new(), |p, name| [&p[..], b"/", name].concat());
            return Some(if path.is_empty() { b"/".to_vec() } else { path });
        }
        names.push(name_in(&above, &is)?);
        (at, is) = (above, stat);
    }
    None
}

fn same(a: &Stat, b: &Stat) -> bool {
    (a.st_dev, a.st_ino) == (b.st_dev, b.st_ino)
}

/// The name of a directory in the one above. The numbers in a listing are tried first: those of
/// mount points are others.
fn name_in(above: &OwnedFd, is: &Stat) -> Option<Vec<u8>> {
    let find = |all: bool| {
        Dir::read_from(above).ok()?.filter_map(Result::ok).find_map(|entry| {
            let name = entry.file_name();
            if name == c"." || name == c".." || !(all || entry.ino() == is.st_ino) {
                return None;
            }
            let found = statat(above, name, AtFlags::SYMLINK_NOFOLLOW).ok()?;
            same(&found, is).then(|| name.to_bytes().to_vec())
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
