//! Operations of io_uring and libaio. The programs that record them are loaded when the first ring
//! or context is created, so that other programs do not wait for that. All recorded processes are
//! stopped meanwhile.

use super::back_pressure::SharedStopMethod;
use super::load::Loader;
use super::mapped::Mapped;
use crate::Error;
use crate::records::{RecordSize, RecordWriter};
use crate::threads::scheduling::{OwnCpus, stay_on, use_normal_policy, use_realtime_policy};
use rustix::event::{EventfdFlags, PollFd, PollFlags, eventfd, poll};
use rustix::thread::{CpuSet, sched_getaffinity};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;
use trace::record::Header;

/// A state of the programs (`enum on_demand_state` of `bpf/record.h`): they record.
const ATTACHED: u64 = 1;
/// A state of the programs: the kernel does not accept them.
const IMPOSSIBLE: u64 = 2;
/// A state of the programs: they are being loaded, and all recorded processes are stopped.
const LOADING: u64 = 3;

/// The threads that load the programs of one part and keep them: two, on different CPUs
/// ([`OwnCpus`]), of which the first one that is scheduled does the work.
pub(super) struct OnDemand {
    stop: OwnedFd,
    threads: Vec<JoinHandle<Result<Vec<Header>, Error>>>,
    /// `struct common_state`, shared with the probe.
    common: Arc<Mapped>,
    /// What the programs record.
    name: &'static str,
    /// The offset of the word that says whether what they record was used too early, and what that
    /// is.
    used_early: (usize, &'static str),
}

impl OnDemand {
    /// Starts the threads. They load the programs when these are first needed, and stop the
    /// recorded processes by `method` meanwhile. Without a method, and if there is only one CPU,
    /// the programs are loaded now, and they are attached when this returns if the kernel accepts
    /// them.
    pub fn start<L: Loader>(
        loader: L,
        common: &Arc<Mapped>,
        method: Option<SharedStopMethod>,
    ) -> Result<Self, Error> {
        let stop = eventfd(0, EventfdFlags::CLOEXEC)
            .map_err(|e| Error::refused("create an eventfd")(e.into()))?;
        let cpus = OwnCpus::of_thread();
        let method = method.filter(|_| !cpus.is_single());
        let threads = if method.is_some() { 2 } else { 1 };
        let shared = Arc::new(Shared {
            loader,
            common: Arc::clone(common),
            stop: stop.try_clone().map_err(Error::refused("duplicate a descriptor"))?,
            method,
            is_begun: AtomicBool::new(false),
        });
        let [thread_name, name] = L::NAMES;
        let start = |half| {
            let shared = Arc::clone(&shared);
            std::thread::Builder::new()
                .name(thread_name.to_owned())
                .spawn(move || shared.run(&half))
                .map_err(Error::refused("start a thread"))
        };
        let threads =
            cpus.halves().into_iter().take(threads).map(start).collect::<Result<Vec<_>, _>>()?;
        let is_decided = || common.word(L::STATE).load(Ordering::Acquire) != 0;
        while shared.method.is_none() && !is_decided() && !threads[0].is_finished() {
            std::thread::sleep(Duration::from_millis(1));
        }
        Ok(Self { stop, threads, common: Arc::clone(common), name, used_early: (L::LATE, L::USED) })
    }

    /// Detaches the programs, and writes a record of each operation that has not completed. Returns
    /// why operations were not recorded, if a ring or context was used whose operations were not.
    pub fn finish(self, out: &mut RecordWriter) -> Option<String> {
        let _ = rustix::io::write(&self.stop, &1u64.to_ne_bytes());
        let ended = self
            .threads
            .into_iter()
            .map(|thread| thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)));
        let ended = ended.collect::<Result<Vec<_>, _>>();
        let (flag_offset, used) = self.used_early;
        let is_lacking = self.common.word(flag_offset).load(Ordering::Acquire) != 0;
        match ended {
            Ok(records) => {
                for header in records.into_iter().flatten() {
                    out.begin(header, RecordSize::Small);
                    out.end();
                }
                is_lacking.then(|| {
                    format!(
                        "{used} was used before its operations could be recorded: the machine was \
                         too busy"
                    )
                })
            }
            Err(e) => is_lacking.then(|| {
                let cause = std::error::Error::source(&e).map(|s| format!(": {s}"));
                let cause = cause.unwrap_or_default();
                format!("operations of {} are not recorded: {e}{cause}", self.name)
            }),
        }
    }
}

/// What the threads of one part share.
struct Shared<L> {
    loader: L,
    common: Arc<Mapped>,
    /// An eventfd that is readable when the recording ends.
    stop: OwnedFd,
    method: Option<SharedStopMethod>,
    /// Whether one of them does the work.
    is_begun: AtomicBool,
}

impl<L: Loader> Shared<L> {
    /// Does the work of a thread: loads the programs when they are needed, and keeps them until the
    /// recording ends. Returns the records of the operations that are under way at the end.
    fn run(&self, half: &CpuSet) -> Result<Vec<Header>, Error> {
        let mut method = None;
        if let Some(shared_method) = &self.method {
            if !self.wait_until_needed(half) {
                return Ok(Vec::new());
            }
            method = Some(shared_method.lock().unwrap_or_else(PoisonError::into_inner));
        }
        let is_needed = method.is_some();
        let all_stopped = method.as_mut().and_then(|method| method.stop_all());
        if all_stopped.is_some() {
            self.set_state(LOADING);
        }
        use_normal_policy();
        let mut object = MaybeUninit::uninit();
        let probe = self.loader.load(&mut object).inspect_err(|_| {
            self.set_state(IMPOSSIBLE);
            if is_needed {
                self.common.word(L::LATE).store(1, Ordering::SeqCst);
            }
        })?;
        self.set_state(ATTACHED);
        drop(all_stopped);
        drop(method);
        let mut stopped = [PollFd::new(&self.stop, PollFlags::IN)];
        while poll(&mut stopped, None).is_err() {}
        Ok(L::finish(probe))
    }

    /// Waits until the programs are needed. Returns whether this thread is to load them: not at the
    /// end of the recording, nor if the other one does.
    fn wait_until_needed(&self, half: &CpuSet) -> bool {
        let all_cpus = sched_getaffinity(None);
        stay_on(half);
        use_realtime_policy();
        let alarms = self.loader.shared().alarms.as_fd();
        let mut events = [
            PollFd::new(&self.stop, PollFlags::IN),
            PollFd::from_borrowed_fd(alarms, PollFlags::IN),
        ];
        while poll(&mut events, None).is_err() {}
        if events[0].revents().contains(PollFlags::IN) || self.is_begun.swap(true, Ordering::SeqCst)
        {
            return false;
        }
        if let Ok(all_cpus) = all_cpus {
            stay_on(&all_cpus);
        }
        true
    }

    /// Sets the state of the programs, which the probe reads.
    fn set_state(&self, state: u64) {
        self.common.word(L::STATE).store(state, Ordering::SeqCst);
    }
}
