//! The second stage of back-pressure: when a ring is nearly full although calls are delayed, everybody who produces is stopped until it is nearly empty.
//!
//! With the freezer of a cgroup that the command is put into (cgroup v2): nobody sees it but by the time that passes, and waits that it interrupts (`epoll_wait` returns
//! EINTR); so it is the last resort. A second process thaws the cgroup should we be killed meanwhile. Where there is no such cgroup, and for processes that were
//! joined, there is the first stage only.

use super::complete::Complete;
use super::consumer::{Consumers, Cpus};
use super::load::{Probe, refused};
use super::ring::{Mapped, Ring};
use super::skel::types::cpu_state;
use crate::Error;
use libbpf_rs::{MapCore, MapHandle};
use nix::libc;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use std::fs::File;
use std::mem::offset_of;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::os::unix::fs::FileExt;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// While they are stopped, the rings are looked at so often.
const LOOK: Timespec = Timespec { tv_sec: 0, tv_nsec: 2_000_000 };

/// A cgroup of the command's own.
pub(super) struct Cgroup {
    path: PathBuf,
    above: PathBuf,
    freeze: File,
}

impl Cgroup {
    /// Makes one below ours, and puts a process into it. `None`: this machine has none, or not for us.
    pub fn of(pid: i32) -> Option<Self> {
        let mounts = std::fs::read_to_string("/proc/self/mounts").ok()?;
        let mount = mounts.lines().map(|l| l.split(' ').collect::<Vec<_>>()).find(|m| m.get(2) == Some(&"cgroup2"))?[1].to_owned();
        let ours = std::fs::read_to_string("/proc/self/cgroup").ok()?.lines().find_map(|l| l.strip_prefix("0::/").map(str::to_owned))?;
        let above = PathBuf::from(mount).join(ours);
        remove_those_of_the_dead(&above);
        let path = above.join(format!("{NAME}{}", std::process::id()));
        std::fs::create_dir(&path).ok()?;
        let made = || {
            let freeze = File::options().write(true).open(path.join("cgroup.freeze")).ok()?;
            std::fs::write(path.join("cgroup.procs"), pid.to_string()).ok()?;
            Some(freeze)
        };
        let Some(freeze) = made() else {
            let _best = std::fs::remove_dir(&path);
            return None;
        };
        Some(Self { path, above, freeze })
    }
    fn set(&self, frozen: bool) {
        let _best = self.freeze.write_at(if frozen { b"1" } else { b"0" }, 0);
    }
}

impl Drop for Cgroup {
    fn drop(&mut self) {
        self.set(false);
        // Who goes on without us goes back to where he came from.
        let left = std::fs::read_to_string(self.path.join("cgroup.procs")).unwrap_or_default();
        for pid in left.lines() {
            let _best = std::fs::write(self.above.join("cgroup.procs"), pid);
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

/// Recorders that were killed left their cgroups; those in which nobody is any more can be removed.
fn remove_those_of_the_dead(above: &std::path::Path) {
    for entry in std::fs::read_dir(above).into_iter().flatten().filter_map(Result::ok) {
        let recorder = entry.file_name().to_str().and_then(|n| n.strip_prefix(NAME)?.parse::<u32>().ok());
        if recorder.is_some_and(|pid| !std::path::Path::new(&format!("/proc/{pid}")).exists()) {
            let _best = std::fs::remove_dir(entry.path());
        }
    }
}

/// The thread that stops and continues.
pub(super) struct Throttle {
    stop: OwnedFd,
    thread: JoinHandle<Duration>,
}

struct Watcher {
    cgroup: Cgroup,
    alarms: MapHandle,
    taken: Mapped,
    cpus: Arc<Cpus>,
    complete: Arc<Complete>,
    ring_bytes: u64,
    guard: Option<OwnedFd>,
}

impl Throttle {
    /// Starts it.
    pub fn start(probe: &Probe<'_>, consumers: &Consumers, cgroup: Cgroup) -> Result<Self, Error> {
        let page = rustix::param::page_size();
        let id = probe.skel.maps.alarms.info().map_err(refused("find a ring"))?.info.id;
        let alarms = MapHandle::from_map_id(id).map_err(refused("open a ring"))?;
        let taken = Mapped::new(&alarms, 0, page, true)?;
        let watcher = Watcher {
            cgroup,
            alarms,
            taken,
            cpus: Arc::clone(&consumers.cpus),
            complete: Arc::clone(&consumers.complete),
            ring_bytes: probe.ring_bytes as u64,
            guard: None,
        };
        let stop = rustix::event::eventfd(0, rustix::event::EventfdFlags::CLOEXEC).map_err(|e| Error::refused("make an eventfd")(e.into()))?;
        let ours = stop.try_clone().map_err(Error::refused("copy a descriptor"))?;
        let thread = std::thread::Builder::new().name("throttle".to_owned()).spawn(move || watcher.run(&ours));
        Ok(Self { stop, thread: thread.map_err(Error::refused("start a thread"))? })
    }
    /// Ends it; how long they were stopped.
    pub fn finish(self) -> Duration {
        let _ = rustix::io::write(&self.stop, &1u64.to_ne_bytes());
        self.thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    }
}

impl Watcher {
    fn run(mut self, stop: &OwnedFd) -> Duration {
        first_of_all();
        let mut all = Duration::ZERO;
        loop {
            for cpu in 0..self.complete.rings.len() {
                self.cpus.word(cpu, offset_of!(cpu_state, alarm_at)).store(self.ring_bytes / 4 * 3, Ordering::SeqCst);
            }
            let mut fds = [PollFd::new(stop, PollFlags::IN), PollFd::from_borrowed_fd(self.alarms.as_fd(), PollFlags::IN)];
            let woken = poll(&mut fds, None);
            if woken.is_ok() && fds[0].revents().contains(PollFlags::IN) {
                return all;
            }
            self.hear();
            if self.fullest() >= self.ring_bytes / 8 * 5 {
                all += self.hold(stop);
            }
        }
    }

    /// Forgets what the alarms say: that there is one is all.
    fn hear(&self) {
        // The kernel's position is on the page behind ours; what it has produced is what we have taken now.
        if let Ok(theirs) = Mapped::new(&self.alarms, rustix::param::page_size(), rustix::param::page_size(), false) {
            self.taken.word(0).store(theirs.word(0).load(Ordering::Acquire), Ordering::Release);
        }
    }

    fn fullest(&self) -> u64 {
        let fill = |ring: &Ring| ring.produced().saturating_sub(ring.consumed());
        self.complete.rings.iter().map(fill).max().unwrap_or(0)
    }

    /// Holds everybody until the rings are nearly empty.
    fn hold(&mut self, stop: &OwnedFd) -> Duration {
        let begin = Instant::now();
        if self.guard.is_none() {
            self.guard = guard(&self.cgroup.freeze);
        }
        if self.guard.is_none() {
            return Duration::ZERO;
        }
        self.cgroup.set(true);
        while self.fullest() > self.ring_bytes / 8 {
            let mut fds = [PollFd::new(stop, PollFlags::IN)];
            if poll(&mut fds, Some(&LOOK)).is_ok_and(|n| n > 0) {
                break;
            }
        }
        self.cgroup.set(false);
        begin.elapsed()
    }
}

/// Lets our thread run before all that is not of real time: whom it is to stop may be many, and each fills the ring for as long as it has a CPU. There is little that it does.
fn first_of_all() {
    let least = libc::sched_param { sched_priority: 1 };
    // SAFETY: the structure lives for the call. Who may not asks in vain, and waits for its turn.
    let _best = unsafe { libc::sched_setscheduler(0, libc::SCHED_FIFO, &raw const least) };
}

/// A process that thaws the cgroup when we are gone: it waits for the end of a pipe whose other end is the result.
fn guard(freeze: &File) -> Option<OwnedFd> {
    let (read, write) = rustix::pipe::pipe_with(rustix::pipe::PipeFlags::CLOEXEC).ok()?;
    let (read_fd, freeze) = (read.as_raw_fd(), freeze.as_raw_fd());
    // SAFETY: the child makes nothing but system calls on numbers and a byte of its stack, as it must after a fork of a process with threads.
    unsafe {
        match libc::fork() {
            -1 => return None,
            0 => {
                libc::setsid();
                // Nothing of ours is to live on in it but these two, the kernel's program least of all.
                libc::dup2(read_fd, 0);
                libc::dup2(freeze, 1);
                libc::syscall(libc::SYS_close_range, 2, u32::MAX, 0);
                let mut byte = 0u8;
                while libc::read(0, (&raw mut byte).cast(), 1) == -1 && *libc::__errno_location() == libc::EINTR {}
                libc::pwrite(1, b"0".as_ptr().cast(), 1, 0);
                libc::_exit(0);
            }
            _ => {}
        }
    }
    Some(write)
}
