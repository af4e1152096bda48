//! The identity of an open file or a directory, read while the program is stopped, before it can
//! change the file.

use super::deep_path::path_by_walking_up;
use linux_raw_sys::general::{PATH_MAX, S_IFDIR, S_IFMT};
use rustix::buffer::spare_capacity;
use rustix::fs::{AtFlags, CWD, StatxFlags, makedev, readlinkat_raw, statfs, statx};
use std::ffi::CStr;
use std::io::Write;
use trace::record::{DELETED_SUFFIX, Identity, NAME_REMOVED};

/// Returns the identity of the file that the magic link `link` of procfs leads to, and appends the
/// path that the link shows to `path`. Fields that cannot be read stay 0.
pub(crate) fn read_identity(link: std::fmt::Arguments<'_>, path: &mut Vec<u8>) -> Identity {
    let mut name = [0u8; 64];
    let mut rest = &mut name[..63];
    let mut identity = Identity::default();
    if rest.write_fmt(link).is_err() {
        return identity;
    }
    let Ok(name) = CStr::from_bytes_until_nul(&name) else { return identity };
    let mask = StatxFlags::BASIC_STATS | StatxFlags::BTIME;
    if let Ok(x) = statx(CWD, name, AtFlags::STATX_DONT_SYNC, mask) {
        identity.dev = makedev(x.stx_dev_major, x.stx_dev_minor);
        identity.ino = x.stx_ino;
        identity.size = x.stx_size;
        identity.mode = u32::from(x.stx_mode);
        identity.links = x.stx_nlink;
        (identity.uid, identity.gid) = (x.stx_uid, x.stx_gid);
        identity.rdev = makedev(x.stx_rdev_major, x.stx_rdev_minor);
        if x.stx_mask & StatxFlags::BTIME.bits() != 0 {
            identity.born = u64::try_from(x.stx_btime.tv_sec).unwrap_or(0) * 1_000_000_000
                + u64::from(x.stx_btime.tv_nsec);
        }
    }
    if let Ok(fs) = statfs(name) {
        identity.fs_type = fs.f_type as u32;
    }
    let start = path.len();
    path.reserve(PATH_MAX as usize);
    let shown = readlinkat_raw(CWD, name, spare_capacity(path));
    if shown.is_err() && identity.mode & S_IFMT == S_IFDIR {
        path.extend(path_by_walking_up(name).unwrap_or_default());
    }
    if path[start..].ends_with(DELETED_SUFFIX)
        && identity.mode != 0
        && !path_leads_to(&path[start..], &identity)
    {
        identity.created |= NAME_REMOVED;
    }
    identity
}

/// Returns whether `path` leads to this file.
fn path_leads_to(path: &[u8], identity: &Identity) -> bool {
    use std::os::unix::ffi::OsStrExt;
    use std::os::unix::fs::MetadataExt;
    let found = std::fs::symlink_metadata(std::ffi::OsStr::from_bytes(path));
    identity.links > 0
        && found.is_ok_and(|m| {
            // Some file systems show another device for a path than for a descriptor.
            m.ino() == identity.ino && m.mode() == identity.mode
        })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::fd::AsRawFd;
    use std::os::unix::ffi::OsStrExt;
    use std::os::unix::fs::MetadataExt;

    #[test]
    fn a_name_that_is_gone_is_told_by_the_file_and_not_by_the_text() {
        let place = tempfile::tempdir().expect("a directory");
        let (name, other) = (place.path().join("x (deleted)"), place.path().join("other"));
        let lost = |file: &std::fs::File| {
            let mut path = Vec::new();
            let identity =
                read_identity(format_args!("/proc/self/fd/{}", file.as_raw_fd()), &mut path);
            identity.lost_name(&path).map(<[u8]>::to_vec)
        };
        let file = std::fs::File::create(&name).expect("a file");
        assert_eq!(lost(&file), None, "it is called so");
        std::fs::hard_link(&name, &other).expect("a second name");
        std::fs::remove_file(&name).expect("to remove the first");
        assert_eq!(lost(&file), Some(name.as_os_str().as_encoded_bytes().to_vec()));
        std::fs::write(&name, b"").expect("another file");
        let shown = [name.as_os_str().as_encoded_bytes(), DELETED_SUFFIX].concat();
        std::fs::write(std::path::Path::new(std::ffi::OsStr::from_bytes(&shown)), b"")
            .expect("a file with the name that is shown");
        assert!(lost(&file).is_some(), "another inode has the name");
        std::fs::remove_file(&other).expect("to remove the second");
        assert!(lost(&file).is_some());
    }

    #[test]
    fn a_file_and_nothing() {
        let file = tempfile::NamedTempFile::new().expect("a file");
        let mut path = Vec::new();
        let identity =
            read_identity(format_args!("/proc/self/fd/{}", file.as_file().as_raw_fd()), &mut path);
        let m = file.as_file().metadata().expect("its metadata");
        assert_eq!(
            (identity.dev, identity.ino, identity.mode, identity.size),
            (m.dev(), m.ino(), m.mode(), 0)
        );
        assert_eq!(path, file.path().as_os_str().as_encoded_bytes());
        path.clear();
        assert_eq!(
            read_identity(format_args!("/proc/self/fd/4000000"), &mut path),
            Identity::default()
        );
        assert!(path.is_empty());
    }
}
