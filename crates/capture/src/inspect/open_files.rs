//! Tells open files (open file descriptions of POSIX) apart with kcmp(2).

use super::procfs::Info;
use std::collections::HashMap;

/// Process, descriptor, what the descriptor tells, key.
type Representative = (i32, i32, Info, u64);

/// Tells open files apart: descriptors of one open file share its offset.
#[derive(Default)]
pub(crate) struct OpenFiles {
    /// By device and inode: one descriptor of each open file, and the file's key.
    seen: HashMap<(u64, u64), Vec<Representative>>,
    next: u64,
}

/// `KCMP_FILE` (`include/uapi/linux/kcmp.h`).
const KCMP_FILE: i32 = 0;

impl OpenFiles {
    pub fn key(&mut self, pid: i32, fd: i32, info: Info, inode: (u64, u64)) -> u64 {
        let alike = self.seen.entry(inode).or_default();
        for (other, its, was, key) in alike.iter() {
            // SAFETY: takes numbers.
            let order = unsafe { libc::syscall(libc::SYS_kcmp, pid, *other, KCMP_FILE, fd, *its) };
            // Where the kernel does not compare for us, what looks the same is taken for the same.
            if order == 0 || (order < 0 && *was == info) {
                return *key;
            }
        }
        self.next += 1;
        alike.push((pid, fd, info, self.next));
        self.next
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
            files.key(me, std::os::fd::AsRawFd::as_raw_fd(f), Info::default(), (1, ino))
        };
        let first = key(&file, 1);
        assert_eq!(key(&again, 1), first);
        assert_ne!(key(&other, 2), first);
    }
}
