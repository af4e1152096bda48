//! Telling open files (open file descriptions, as POSIX says) apart with kcmp(2).

use super::procfs::FdInfo;
use std::collections::HashMap;

/// A descriptor of an open file: process, descriptor, its fdinfo, and the key of the open file.
type Representative = (i32, i32, FdInfo, u64);

/// The open files that were seen. Descriptors of one open file share its offset.
#[derive(Default)]
pub(crate) struct OpenFiles {
    /// One descriptor of each open file, by device and inode.
    representatives: HashMap<(u64, u64), Vec<Representative>>,
    /// The last key that was given out.
    last_key: u64,
}

/// Compares whether two descriptors refer to one open file (`include/uapi/linux/kcmp.h`).
const KCMP_FILE: i32 = 0;

impl OpenFiles {
    /// Returns a number that is the same for all descriptors of one open file. `inode` is the
    /// device and inode number of the file.
    pub fn key_of(&mut self, pid: i32, fd: i32, info: FdInfo, inode: (u64, u64)) -> u64 {
        let candidates = self.representatives.entry(inode).or_default();
        for (other, other_fd, other_info, key) in candidates.iter() {
            // SAFETY: takes numbers.
            let order =
                unsafe { libc::syscall(libc::SYS_kcmp, pid, *other, KCMP_FILE, fd, *other_fd) };
            // Where kcmp(2) is not permitted, descriptors with equal fdinfo are taken for one open
            // file.
            if order == 0 || (order < 0 && *other_info == info) {
                return *key;
            }
        }
        self.last_key += 1;
        candidates.push((pid, fd, info, self.last_key));
        self.last_key
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn descriptors_of_one_open_file() {
        let file = tempfile::tempfile().expect("a file");
        let (again, other) =
            (file.try_clone().expect("a duplicate"), tempfile::tempfile().expect("another"));
        let me = std::process::id() as i32;
        let mut files = OpenFiles::default();
        let mut key = |f: &std::fs::File, ino| {
            files.key_of(me, std::os::fd::AsRawFd::as_raw_fd(f), FdInfo::default(), (1, ino))
        };
        let first = key(&file, 1);
        assert_eq!(key(&again, 1), first);
        assert_ne!(key(&other, 2), first);
    }
}
