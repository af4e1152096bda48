//! Freezing and thawing cgroups (version 2). The processes in them notice it only by the time that
//! passes, and by waits that are interrupted (`epoll_wait` returns EINTR).
//!
//! A second process thaws a frozen cgroup if the recorder is killed.
use std::fs::File;
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// A cgroup that can be frozen.
pub(in crate::ebpf) struct Cgroup {
    /// Its directory.
    path: PathBuf,
    /// The parent cgroup, to which its processes are moved at the end; only if the recorder made
    /// this cgroup.
    parent: Option<PathBuf>,
    /// Its file `cgroup.freeze`.
    freeze: File,
    /// Closing this, as when the recorder is killed, makes a second process thaw the cgroup.
    guard: Option<OwnedFd>,
}

/// Returns the directories of the root cgroup (version 2) and of the recorder's cgroup, or `None`
/// if there are none.
fn own_cgroup() -> Option<(PathBuf, PathBuf)> {
    let mounts = std::fs::read_to_string("/proc/self/mounts").ok()?;
    let root = PathBuf::from(
        mounts
            .lines()
            .map(|l| l.split(' ').collect::<Vec<_>>())
            .find(|m| m.get(2) == Some(&"cgroup2"))?[1],
    );
    let own = std::fs::read_to_string("/proc/self/cgroup")
        .ok()?
        .lines()
        .find_map(|l| l.strip_prefix("0::/").map(str::to_owned))?;
    let own = root.join(own);
    Some((root, own))
}

impl Cgroup {
    /// Creates a cgroup below the recorder's. Returns `None` if the machine has no cgroups of
    /// version 2 or this is not permitted.
    pub fn create() -> Option<Self> {
        let (_, parent) = own_cgroup()?;
        remove_stale(&parent);
        let path = parent.join(format!("{NAME_PREFIX}{}", std::process::id()));
        std::fs::create_dir(&path).ok()?;
        let freeze = File::options().read(true).write(true).open(path.join("cgroup.freeze"));
        let Ok(freeze) = freeze else {
            let _best = std::fs::remove_dir(&path);
            return None;
        };
        Some(Self { path, parent: Some(parent), freeze, guard: None })
    }

    /// Opens its directory, for a process that is to begin in it.
    pub fn directory(&self) -> Option<File> {
        File::open(&self.path).ok()
    }

    /// Moves a process into the cgroup. Returns whether that succeeded.
    pub fn add_process(&self, pid: i32) -> bool {
        std::fs::write(self.path.join("cgroup.procs"), pid.to_string()).is_ok()
    }

    /// Opens an existing cgroup. Returns `None` if the recorder is in it or may not freeze it.
    pub fn open(path: &Path) -> Option<Self> {
        let path = path.canonicalize().ok()?;
        let (_, own) = own_cgroup()?;
        if own.canonicalize().ok()?.starts_with(&path) {
            return None;
        }
        let freeze =
            File::options().read(true).write(true).open(path.join("cgroup.freeze")).ok()?;
        Some(Self { path, parent: None, freeze, guard: None })
    }

    /// Freezes the cgroup. Returns false if it is frozen already or cannot be frozen.
    pub fn freeze(&mut self) -> bool {
        let mut state = [0];
        if self.freeze.read_at(&mut state, 0).is_err() || state == *b"1" {
            return false;
        }
        if self.guard.is_none() {
            self.guard = thaw_if_killed(&self.freeze);
        }
        self.guard.is_some() && self.freeze.write_at(b"1", 0).is_ok()
    }

    /// Thaws the cgroup. Errors are ignored.
    pub fn thaw(&self) {
        let _best = self.freeze.write_at(b"0", 0);
    }
}

impl Drop for Cgroup {
    fn drop(&mut self) {
        let Some(parent) = &self.parent else { return };
        self.thaw();
        // Processes that still run are moved to the parent cgroup.
        let left = std::fs::read_to_string(self.path.join("cgroup.procs")).unwrap_or_default();
        for pid in left.lines() {
            let _best = std::fs::write(parent.join("cgroup.procs"), pid);
        }
        // A process that has just ended remains in its cgroup for a moment.
        for _ in 0..50 {
            if std::fs::remove_dir(&self.path).is_ok() {
                return;
            }
            std::thread::sleep(Duration::from_millis(2));
        }
    }
}

/// The name of a cgroup begins with this, followed by the recorder's process ID.
const NAME_PREFIX: &str = "reanimator-";

/// Removes empty cgroups below `parent` of recorders that were killed.
fn remove_stale(parent: &Path) {
    for entry in std::fs::read_dir(parent).into_iter().flatten().filter_map(Result::ok) {
        let recorder = entry
            .file_name()
            .to_str()
            .and_then(|n| n.strip_prefix(NAME_PREFIX)?.parse::<u32>().ok());
        if recorder.is_some_and(|pid| !Path::new(&format!("/proc/{pid}")).exists()) {
            let _best = std::fs::remove_dir(entry.path());
        }
    }
}

/// Forks a process that thaws the cgroup when the recorder has ended: it waits for the end of a
/// pipe, whose other end is returned. Returns `None` if it cannot be made.
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
                // All other descriptors are closed, above all those that keep the probe in the
                // kernel.
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
