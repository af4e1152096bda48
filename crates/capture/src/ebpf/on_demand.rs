//! Operations of io_uring and libaio. The programs that record them are loaded when the first ring
//! or context is created, so that other programs do not wait for that. All recorded processes are
//! stopped meanwhile.

use super::back_pressure::{SharedStopMethod, StopMethod};
use super::load::Loader;
use super::mapped::Mapped;
use crate::Error;
use crate::records::{RecordSize, RecordWriter};
use crate::threads::scheduling::{use_normal_policy, use_realtime_policy};
use rustix::event::{EventfdFlags, PollFd, PollFlags, eventfd, poll};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;
use trace::record::Header;

/// A state of the programs (`enum on_demand_state` of `bpf/record.h`): they record.
const ATTACHED: u64 = 1;
/// A state of the programs: the kernel does not accept them.
const IMPOSSIBLE: u64 = 2;
/// A state of the programs: they are being loaded, and all recorded processes are stopped.
const LOADING: u64 = 3;

/// The thread that loads the programs and keeps them.
pub(super) struct OnDemandThread {
    stop: OwnedFd,
    thread: JoinHandle<Result<Vec<Header>, Error>>,
    /// `struct common_state`, shared with the probe.
    common: Arc<Mapped>,
    /// What the programs record.
    name: &'static str,
    /// The offset of the word that says whether what they record was used too early, and what that
    /// is.
    late: (usize, &'static str),
}

impl OnDemandThread {
    /// Starts the thread. It loads the programs when they are first needed, and stops the recorded
    /// processes by `method` meanwhile. Without a method it loads them now, and they are attached
    /// when this returns if the kernel accepts them.
    pub fn start<L: Loader>(
        loader: L,
        common: &Arc<Mapped>,
        method: Option<SharedStopMethod>,
    ) -> Result<Self, Error> {
        let stop = eventfd(0, EventfdFlags::CLOEXEC)
            .map_err(|e| Error::refused("create an eventfd")(e.into()))?;
        let stopped = stop.try_clone().map_err(Error::refused("duplicate a descriptor"))?;
        let shared = Arc::clone(common);
        let at_once = method.is_none();
        let [thread_name, name] = L::NAMES;
        let thread = std::thread::Builder::new()
            .name(thread_name.to_owned())
            .spawn(move || run(&loader, &shared, &stopped, method.as_deref()))
            .map_err(Error::refused("start a thread"))?;
        let state = common.word(L::STATE);
        while at_once && state.load(Ordering::Acquire) == 0 && !thread.is_finished() {
            std::thread::sleep(Duration::from_millis(1));
        }
        Ok(Self { stop, thread, common: Arc::clone(common), name, late: (L::LATE, L::USED) })
    }

    /// Detaches the programs, and writes a record of each operation that has not completed. Returns
    /// why operations were not recorded, if a ring or context was used whose operations were not.
    pub fn finish(self, out: &mut RecordWriter) -> Option<String> {
        let _ = rustix::io::write(&self.stop, &1u64.to_ne_bytes());
        let ended = self.thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic));
        let (late, used) = self.late;
        let is_lacking = self.common.word(late).load(Ordering::Acquire) != 0;
        match ended {
            Ok(records) => {
                for header in records {
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

/// The work of the thread. Returns the records of the operations that are under way at the end.
fn run<L: Loader>(
    loader: &L,
    common: &Mapped,
    stop: &OwnedFd,
    method: Option<&Mutex<StopMethod>>,
) -> Result<Vec<Header>, Error> {
    let decide = |state| common.word(L::STATE).store(state, Ordering::SeqCst);
    let mut method = match method {
        None => None,
        Some(method) => {
            use_realtime_policy();
            let mut wake = [
                PollFd::new(stop, PollFlags::IN),
                PollFd::from_borrowed_fd(loader.alarms().as_fd(), PollFlags::IN),
            ];
            while poll(&mut wake, None).is_err() {}
            if wake[0].revents().contains(PollFlags::IN) {
                return Ok(Vec::new());
            }
            Some(method.lock().unwrap_or_else(PoisonError::into_inner))
        }
    };
    let is_needed = method.is_some();
    let all_stopped = method.as_mut().and_then(|method| method.stop_all());
    if all_stopped.is_some() {
        decide(LOADING);
    }
    use_normal_policy();
    let mut object = MaybeUninit::uninit();
    let probe = loader.load(&mut object).inspect_err(|_| {
        decide(IMPOSSIBLE);
        if is_needed {
            common.word(L::LATE).store(1, Ordering::SeqCst);
        }
    })?;
    decide(ATTACHED);
    drop(all_stopped);
    drop(method);
    let mut stopped = [PollFd::new(stop, PollFlags::IN)];
    while poll(&mut stopped, None).is_err() {}
    Ok(L::finish(probe))
}
