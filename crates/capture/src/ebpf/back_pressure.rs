//! The second stage of back-pressure (the first one is in `bpf/back_pressure.h`): when a ring is
//! nearly full although calls are delayed, all recorded processes are stopped until it is nearly
//! empty.
//!
//! They are stopped by the freezer of a cgroup: the one made for the command, or the one that is
//! recorded. If there is none, and for processes that were attached to, they are stopped with
//! ptrace. Both interrupt waits (`epoll_wait` returns EINTR), so this is the last resort. A
//! recording of the whole machine has the first stage only, since the recorder needs the processes
//! that it would stop.

mod freezer;

use super::libbpf_error::refused;
use super::load::Probe;
use super::mapped::Mapped;
use super::rings::{Consumers, Cpus, Ring, WrittenUntil};
use super::skel::types::cpu_state;
use crate::Error;
use crate::ptrace::stop_process::{StoppedProcesses, interrupt_processes};
use crate::threads::scheduling::use_realtime_policy;
use libbpf_rs::{Iter, Link, MapHandle};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use std::io::Read;
use std::mem::offset_of;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

pub(super) use freezer::Cgroup;

/// How often the rings are checked while the processes are stopped.
const CHECK_EVERY: Timespec = Timespec { tv_sec: 0, tv_nsec: 2_000_000 };
/// If nothing was written for this long, writing may depend on a stopped process: all are resumed.
const STALLED: Duration = Duration::from_secs(5);

/// How the recorded processes are stopped.
pub(super) enum StopMethod {
    /// All of them are in this cgroup, which is frozen.
    Freezer(Cgroup),
    /// The probe lists them, and each one is stopped with ptrace.
    Seize(Link),
}

/// The method, for several threads: one after the other stops the processes.
pub(super) type SharedStopMethod = Arc<Mutex<StopMethod>>;

impl StopMethod {
    /// Returns the method for the processes in the probe's scope: the freezer if they are in
    /// `cgroup`, else ptrace. Fails if the probe cannot list them.
    pub fn choose(probe: &Probe<'_>, cgroup: Option<Cgroup>) -> Result<Self, Error> {
        match cgroup {
            Some(cgroup) => Ok(Self::Freezer(cgroup)),
            None => probe
                .skel
                .progs
                .in_scope
                .attach()
                .map(Self::Seize)
                .map_err(refused("attach the eBPF program to the list of processes")),
        }
    }

    /// Stops all recorded processes until the result is dropped. Returns `None` if that is not
    /// possible.
    pub(super) fn stop_all(&mut self) -> Option<AllStopped<'_>> {
        match self {
            Self::Freezer(cgroup) => cgroup.freeze().then_some(AllStopped::Frozen(cgroup)),
            Self::Seize(in_scope) => {
                let mut bytes = Vec::new();
                Iter::new(in_scope).ok()?.read_to_end(&mut bytes).ok()?;
                let processes =
                    bytes.as_chunks().0.iter().map(|p| i32::from_ne_bytes(*p)).collect();
                interrupt_processes(processes).ok().map(AllStopped::StoppedProcesses)
            }
        }
    }
}

/// All recorded processes are stopped while this exists.
pub(super) enum AllStopped<'a> {
    Frozen(&'a Cgroup),
    StoppedProcesses(#[expect(dead_code, reason = "lets go when it is dropped")] StoppedProcesses),
}

impl Drop for AllStopped<'_> {
    fn drop(&mut self) {
        if let Self::Frozen(cgroup) = self {
            cgroup.thaw();
        }
    }
}

/// The thread that stops and resumes the recorded processes.
pub(super) struct Throttle {
    /// An eventfd, written to end the thread.
    stop: OwnedFd,
    /// Returns for how long processes were stopped.
    thread: JoinHandle<Duration>,
}

/// The work of that thread.
struct Watcher {
    method: SharedStopMethod,
    /// The ring in which the probe says that a CPU's ring is nearly full.
    alarms: MapHandle,
    /// The page with the consumer position of that ring.
    consumer_page: Mapped,
    cpus: Arc<Cpus>,
    written: Arc<WrittenUntil>,
    /// How many bytes should be in a ring at most.
    ring_bytes: u64,
}

impl Throttle {
    /// Starts the thread.
    pub fn start(
        probe: &Probe<'_>,
        consumers: &Consumers,
        method: SharedStopMethod,
    ) -> Result<Self, Error> {
        let page = rustix::param::page_size();
        let alarms = MapHandle::try_from(&probe.skel.maps.alarms)
            .map_err(refused("duplicate a descriptor"))?;
        let consumer_page = Mapped::new(&alarms, 0, page, true)?;
        let watcher = Watcher {
            method,
            alarms,
            consumer_page,
            cpus: Arc::clone(&consumers.cpus),
            written: Arc::clone(&consumers.written),
            ring_bytes: probe.ring_bytes as u64,
        };
        let stop = rustix::event::eventfd(0, rustix::event::EventfdFlags::CLOEXEC)
            .map_err(|e| Error::refused("create an eventfd")(e.into()))?;
        let stop_copy = stop.try_clone().map_err(Error::refused("duplicate a descriptor"))?;
        let thread = std::thread::Builder::new()
            .name("throttle".to_owned())
            .spawn(move || watcher.run(&stop_copy));
        Ok(Self { stop, thread: thread.map_err(Error::refused("start a thread"))? })
    }
    /// Ends the thread. Returns for how long processes were stopped in total.
    pub fn finish(self) -> Duration {
        let _ = rustix::io::write(&self.stop, &1u64.to_ne_bytes());
        self.thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    }
}

impl Watcher {
    /// Waits for alarms and handles them, until `stop` is readable. Returns for how long processes
    /// were stopped.
    fn run(mut self, stop: &OwnedFd) -> Duration {
        use_realtime_policy();
        let mut stopped_for = Duration::ZERO;
        loop {
            for cpu in 0..self.written.rings.len() {
                self.cpus
                    .word(cpu, offset_of!(cpu_state, alarm_at))
                    .store(self.ring_bytes / 4 * 3, Ordering::SeqCst);
            }
            let mut fds = [
                PollFd::new(stop, PollFlags::IN),
                PollFd::from_borrowed_fd(self.alarms.as_fd(), PollFlags::IN),
            ];
            let woken = poll(&mut fds, None);
            if woken.is_ok() && fds[0].revents().contains(PollFlags::IN) {
                return stopped_for;
            }
            self.forget_alarms();
            if self.written.fullest_ring_bytes() >= self.ring_bytes / 8 * 5 {
                stopped_for += self.stop_until_drained(stop);
            }
        }
    }

    /// Discards all pending alarms; that there are any is all that matters.
    fn forget_alarms(&self) {
        // The producer position is on the page behind. The consumer position is set to it.
        if let Ok(producer_page) =
            Mapped::new(&self.alarms, rustix::param::page_size(), rustix::param::page_size(), false)
        {
            self.consumer_page
                .word(0)
                .store(producer_page.word(0).load(Ordering::Acquire), Ordering::Release);
        }
    }

    /// Stops all processes until the rings are nearly empty, writing stalls, or `stop` is readable.
    /// Returns for how long they were stopped.
    fn stop_until_drained(&mut self, stop: &OwnedFd) -> Duration {
        let (begin, written) = (Instant::now(), Arc::clone(&self.written));
        let method = Arc::clone(&self.method);
        let mut method = method.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(_stopped) = method.stop_all() else { return Duration::ZERO };
        let consumed = || written.rings.iter().map(Ring::consumed).sum::<u64>();
        let (mut last_consumed, mut last_progress) = (consumed(), begin);
        while written.fullest_ring_bytes() > self.ring_bytes / 8
            && last_progress.elapsed() < STALLED
        {
            let mut fds = [PollFd::new(stop, PollFlags::IN)];
            if poll(&mut fds, Some(&CHECK_EVERY)).is_ok_and(|n| n > 0) {
                break;
            }
            if consumed() != last_consumed {
                (last_consumed, last_progress) = (consumed(), Instant::now());
            }
        }
        begin.elapsed()
    }
}
