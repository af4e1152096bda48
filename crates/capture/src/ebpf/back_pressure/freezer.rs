//! Cgroups (version 2) that are frozen and thawed: the processes in them see it only by the time
//! that passes, and by waits that it interrupts (`epoll_wait` returns EINTR).
//!
//! A second process thaws what we froze should we be killed meanwhile.
use std::fs::File;
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// A cgroup that can be frozen.
pub(in crate::ebpf) struct Cgroup {
    path: PathBuf,
    /// Where its processes go at the end, if we made it.
    above: Option<PathBuf>,
    freeze: File,
    /// Thaws it should we be killed.
    guard: Option<OwnedFd>,
}

/// The root of the cgroups of version 2, and ours.
fn own_cgroup() -> Option<(PathBuf, PathBuf)> {
    let mounts = std::fs::read_to_string("/proc/self/mounts").ok()?;
    let root = PathBuf::from(
        mounts
            .lines()
            .map(|l| l.split(' ').collect::<Vec<_>>())
            .find(|m| m.get(2) == Some(&"cgroup2"))?[1],
    );
    let ours = std::fs::read_to_string("/proc/self/cgroup")
        .ok()?
        .lines()
        .find_map(|l| l.strip_prefix("0::/").map(str::to_owned))?;
    let ours = root.join(ours);
    Some((root, ours))
}

impl Cgroup {
    /// Makes one below ours. `None`: this machine has none, or not for us.
    pub fn make() -> Option<Self> {
        let (_, above) = own_cgroup()?;
        remove_stale(&above);
        let path = above.join(format!("{NAME}{}", std::process::id()));
        std::fs::create_dir(&path).ok()?;
        let freeze = File::options().read(true).write(true).open(path.join("cgroup.freeze"));
        let Ok(freeze) = freeze else {
            let _best = std::fs::remove_dir(&path);
            return None;
        };
        Some(Self { path, above: Some(above), freeze, guard: None })
    }

    /// Its directory, for a process that is to begin in it.
    pub fn directory(&self) -> Option<File> {
        File::open(&self.path).ok()
    }

    /// Puts a process into it. Whether it could be done.
    pub fn take(&self, pid: i32) -> bool {
        std::fs::write(self.path.join("cgroup.procs"), pid.to_string()).is_ok()
    }

    /// One that is there. `None`: it holds ourselves, or may not be frozen by us.
    pub fn at(path: &Path) -> Option<Self> {
        let path = path.canonicalize().ok()?;
        let (_, ours) = own_cgroup()?;
        if ours.canonicalize().ok()?.starts_with(&path) {
            return None;
        }
        let freeze =
            File::options().read(true).write(true).open(path.join("cgroup.freeze")).ok()?;
        Some(Self { path, above: None, freeze, guard: None })
    }

    /// Freezes it, unless it is frozen already. Whether it was frozen by this call.
    pub fn freeze(&mut self) -> bool {
        let mut was = [0];
        if self.freeze.read_at(&mut was, 0).is_err() || was == *b"1" {
            return false;
        }
        if self.guard.is_none() {
            self.guard = thaw_if_killed(&self.freeze);
        }
        self.guard.is_some() && self.freeze.write_at(b"1", 0).is_ok()
    }

    /// Thaws it.
    pub fn thaw(&self) {
        let _best = self.freeze.write_at(b"0", 0);
    }
}

impl Drop for Cgroup {
    fn drop(&mut self) {
        let Some(above) = &self.above else { return };
        self.thaw();
        // Processes that go on without us go back to the cgroup above.
        let left = std::fs::read_to_string(self.path.join("cgroup.procs")).unwrap_or_default();
        for pid in left.lines() {
            let _best = std::fs::write(above.join("cgroup.procs"), pid);
        }
        // A process that has just ended is in its cgroup for another moment.
        for _ in 0..50 {
            if std::fs::remove_dir(&self.path).is_ok() {
                return;
            }
            std::thread::sleep(Duration::from_millis(2));
        }
    }
}

/// A cgroup is named for its recorder.
const NAME: &str = "reanimator-";

/// Recorders that were killed left their cgroups; those that are empty can be removed.
fn remove_stale(above: &Path) {
    for entry in std::fs::read_dir(above).into_iter().flatten().filter_map(Result::ok) {
        let recorder =
            entry.file_name().to_str().and_then(|n| n.strip_prefix(NAME)?.parse::<u32>().ok());
        if recorder.is_some_and(|pid| !Path::new(&format!("/proc/{pid}")).exists()) {
            let _best = std::fs::remove_dir(entry.path());
        }
    }
}

/// A process that thaws the cgroup when we are gone: it waits for the end of a pipe whose other end
/// is the result.
fn thaw_if_killed(freeze: &File) -> Option<OwnedFd> {
    let (read, write) = rustix::pipe::pipe_with(rustix::pipe::PipeFlags::CLOEXEC).ok()?;
    let (read_fd, freeze) = (read.as_raw_fd(), freeze.as_raw_fd());
    // SAFETY: the child makes nothing but system calls on numbers and a byte of its stack, as it
    // must after a fork of a process with threads.
    unsafe {
        match libc::fork() {
            -1 => return None,
            0 => {
                libc::setsid();
                // Nothing of ours is to live on in it but these two, the kernel's program least of
                // all.
                libc::dup2(read_fd, 0);
                libc::dup2(freeze, 1);
                libc::syscall(libc::SYS_close_range, 2, u32::MAX, 0);
                let mut byte = 0u8;
                while libc::read(0, (&raw mut byte).cast(), 1) == -1
                    && *libc::__errno_location() == libc::EINTR
                {}
                libc::pwrite(1, b"0".as_ptr().cast(), 1, 0);
                libc::_exit(0);
            }
            _ => {}
        }
    }
    Some(write)
}
