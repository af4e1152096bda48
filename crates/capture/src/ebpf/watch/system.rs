//! What a recording asks the system: which processes there are, and whether one still exists.

use crate::inspect::procfs;
use std::os::fd::OwnedFd;
use std::path::Path;
use std::time::Duration;

/// Returns all processes except the recorder and kernel threads.
pub(super) fn processes() -> Vec<i32> {
    let names = std::fs::read_dir("/proc").into_iter().flatten();
    let pids = names.filter_map(|e| e.ok()?.file_name().to_str()?.parse::<i32>().ok());
    pids.filter(|pid| {
        pid.unsigned_abs() != std::process::id() && !procfs::executable_path(*pid).is_empty()
    })
    .collect()
}

/// Returns the processes of a cgroup and of the cgroups below it.
pub(super) fn members(cgroup: &Path) -> Vec<i32> {
    let own = std::fs::read_to_string(cgroup.join("cgroup.procs")).unwrap_or_default();
    let mut all: Vec<i32> = own.lines().filter_map(|pid| pid.parse().ok()).collect();
    for below in std::fs::read_dir(cgroup).into_iter().flatten().filter_map(Result::ok) {
        if below.file_type().is_ok_and(|t| t.is_dir()) {
            all.extend(members(&below.path()));
        }
    }
    all
}

/// Returns how many CPUs are online.
pub(super) fn cpus_online() -> u64 {
    // SAFETY: takes a number.
    u64::try_from(unsafe { libc::sysconf(libc::_SC_NPROCESSORS_ONLN) }).unwrap_or(1)
}

/// Returns a pidfd of the process, or `None` if there is no such process.
pub(super) fn process_descriptor(pid: i32) -> Option<OwnedFd> {
    rustix::process::pidfd_open(
        rustix::process::Pid::from_raw(pid)?,
        rustix::process::PidfdFlags::empty(),
    )
    .ok()
}

/// Returns whether the process exists.
pub(super) fn exists(pid: i32) -> bool {
    use rustix::io::Errno;
    use rustix::process::{Pid, test_kill_process};
    Pid::from_raw(pid)
        .is_some_and(|pid| matches!(test_kill_process(pid), Ok(()) | Err(Errno::PERM)))
}

/// Waits until the process ends, a signal arrives, or the time has passed.
pub(super) fn wait(process: Option<&OwnedFd>, timeout: Duration) {
    use rustix::event::{PollFd, PollFlags, Timespec, poll};
    let timeout = Timespec { tv_sec: 0, tv_nsec: timeout.as_nanos() as i64 };
    let mut fds: Vec<PollFd<'_>> =
        process.map(|p| PollFd::new(p, PollFlags::IN)).into_iter().collect();
    let _ = poll(&mut fds, Some(&timeout));
}
