//! Operations of io_uring and libaio. The programs that record them are loaded when the first ring
//! or context is created, so that other programs do not wait for that; the thread that creates it
//! waits.

use super::load::Loader;
use super::mapped::Mapped;
use crate::Error;
use crate::records::{RecordSize, RecordWriter};
use crate::threads::scheduling::use_greatest_weight;
use rustix::event::{EventfdFlags, PollFd, PollFlags, eventfd, poll};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::thread::JoinHandle;
use trace::record::Header;

/// A state of the programs (`enum on_demand_state` of `bpf/record.h`): they record.
const ATTACHED: u64 = 1;
/// A state of the programs: the kernel does not accept them.
const IMPOSSIBLE: u64 = 2;

/// The thread that loads the programs and keeps them.
pub(super) struct OnDemandThread {
    stop: OwnedFd,
    thread: JoinHandle<Result<Vec<Header>, Error>>,
    /// What the programs record.
    name: &'static str,
}

impl OnDemandThread {
    /// Starts the thread. `at_once`: it loads the programs now, since they may be needed already.
    pub fn start<L: Loader>(loader: L, common: &Arc<Mapped>, at_once: bool) -> Result<Self, Error> {
        let stop = eventfd(0, EventfdFlags::CLOEXEC)
            .map_err(|e| Error::refused("create an eventfd")(e.into()))?;
        let stopped = stop.try_clone().map_err(Error::refused("duplicate a descriptor"))?;
        let common = Arc::clone(common);
        let [thread_name, name] = L::NAMES;
        let thread = std::thread::Builder::new()
            .name(thread_name.to_owned())
            .spawn(move || run(&loader, &common, &stopped, at_once))
            .map_err(Error::refused("start a thread"))?;
        Ok(Self { stop, thread, name })
    }

    /// Detaches the programs, and writes a record of each operation that has not completed. Returns
    /// why operations were not recorded, if the kernel did not accept the programs.
    pub fn finish(self, out: &mut RecordWriter) -> Option<String> {
        let _ = rustix::io::write(&self.stop, &1u64.to_ne_bytes());
        let ended = self.thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic));
        match ended {
            Ok(records) => {
                for header in records {
                    out.begin(header, RecordSize::Small);
                    out.end();
                }
                None
            }
            Err(e) => Some(format!("operations of {} are not recorded: {e}", self.name)),
        }
    }
}

/// The work of the thread. Returns the records of the operations that are under way at the end.
fn run<L: Loader>(
    loader: &L,
    common: &Mapped,
    stop: &OwnedFd,
    at_once: bool,
) -> Result<Vec<Header>, Error> {
    let decide = |state| common.word(L::STATE).store(state, Ordering::SeqCst);
    let mut wake = [
        PollFd::new(stop, PollFlags::IN),
        PollFd::from_borrowed_fd(loader.alarms().as_fd(), PollFlags::IN),
    ];
    if !at_once {
        // With the normal policy: the kernel would let a real-time thread wait for the CPU of the
        // thread that waits for it, though another CPU is idle.
        use_greatest_weight();
        while poll(&mut wake, None).is_err() {}
        if wake[0].revents().contains(PollFlags::IN) {
            return Ok(Vec::new());
        }
    }
    let mut object = MaybeUninit::uninit();
    let probe = loader.load(&mut object).inspect_err(|_| decide(IMPOSSIBLE))?;
    decide(ATTACHED);
    let mut stopped = [PollFd::new(stop, PollFlags::IN)];
    while poll(&mut stopped, None).is_err() {}
    Ok(L::finish(probe))
}
