//! Operations of io_uring. The programs that record them are loaded when the first ring is created,
//! so that programs without rings do not wait for that. All recorded processes are stopped meanwhile.

use super::back_pressure::{SharedStopMethod, StopMethod};
use super::load::{Probe, UringLoader, UringProbe};
use super::mapped::Mapped;
use super::skel::types::common_state;
use super::skel::uring::types::operation;
use crate::Error;
use crate::records::{RecordSize, RecordWriter, monotonic_ns};
use crate::threads::scheduling::{use_normal_policy, use_realtime_policy};
use rustix::event::{EventfdFlags, PollFd, PollFlags, eventfd, poll};
use std::mem::{MaybeUninit, offset_of};
use std::os::fd::{AsFd, OwnedFd};
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;
use trace::record::{BY_CONTRACT, Header, NO_EXIT, RecordKind};

/// A state of the programs (`enum uring_state` of `bpf/record.h`): they record.
const ATTACHED: u64 = 1;
/// A state of the programs: the kernel does not accept them.
const IMPOSSIBLE: u64 = 2;
/// A state of the programs: they are being loaded, and all recorded processes are stopped.
const LOADING: u64 = 3;
/// A bit of an operation's `sqe_flags`: success is not reported.
const SKIP_SUCCESS: u8 = 1 << 6;

/// The thread that loads the programs and keeps them.
pub(super) struct UringThread {
    stop: OwnedFd,
    thread: JoinHandle<Result<Vec<operation>, Error>>,
    /// `struct common_state`, shared with the probe.
    common: Arc<Mapped>,
}

impl UringThread {
    /// Starts the thread. It loads the programs when a first ring is created, and stops the recorded
    /// processes by `method` meanwhile. Without a method it loads them now, and they are attached
    /// when this returns if the kernel accepts them.
    pub fn start(
        probe: &mut Probe<'_>,
        common: &Arc<Mapped>,
        method: Option<SharedStopMethod>,
    ) -> Result<Self, Error> {
        let loader = probe.take_uring_loader();
        let stop = eventfd(0, EventfdFlags::CLOEXEC)
            .map_err(|e| Error::refused("create an eventfd")(e.into()))?;
        let stopped = stop.try_clone().map_err(Error::refused("duplicate a descriptor"))?;
        let shared = Arc::clone(common);
        let at_once = method.is_none();
        let thread = std::thread::Builder::new()
            .name("uring".to_owned())
            .spawn(move || run(&loader, &shared, &stopped, method.as_deref()))
            .map_err(Error::refused("start a thread"))?;
        let state = common.word(offset_of!(common_state, uring_state));
        while at_once && state.load(Ordering::Acquire) == 0 && !thread.is_finished() {
            std::thread::sleep(Duration::from_millis(1));
        }
        Ok(Self { stop, thread, common: Arc::clone(common) })
    }

    /// Detaches the programs, and writes a record of each operation that has not completed. Returns
    /// why operations were not recorded, if a ring was used whose operations were not.
    pub fn finish(self, out: &mut RecordWriter) -> Option<String> {
        let _ = rustix::io::write(&self.stop, &1u64.to_ne_bytes());
        let ended = self.thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic));
        let is_lacking =
            self.common.word(offset_of!(common_state, uring_late)).load(Ordering::Acquire) != 0;
        match ended {
            Ok(operations) => {
                write_records(&operations, out);
                is_lacking.then(|| {
                    "a ring of io_uring was used before its operations could be recorded: the \
                     machine was too busy"
                        .to_owned()
                })
            }
            Err(e) => is_lacking.then(|| format!("operations of io_uring are not recorded: {e}")),
        }
    }
}

/// The work of the thread. Returns the operations that are under way at the end.
fn run(
    loader: &UringLoader,
    common: &Mapped,
    stop: &OwnedFd,
    method: Option<&Mutex<StopMethod>>,
) -> Result<Vec<operation>, Error> {
    let decide = |state| {
        common.word(offset_of!(common_state, uring_state)).store(state, Ordering::SeqCst);
    };
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
    let all_stopped = method.as_mut().and_then(|method| method.stop_all());
    if all_stopped.is_some() {
        decide(LOADING);
    }
    use_normal_policy();
    let mut object = MaybeUninit::uninit();
    let probe = loader.load(&mut object).inspect_err(|_| decide(IMPOSSIBLE))?;
    decide(ATTACHED);
    drop(all_stopped);
    drop(method);
    let mut stopped = [PollFd::new(stop, PollFlags::IN)];
    while poll(&mut stopped, None).is_err() {}
    Ok(UringProbe::finish(probe))
}

/// Writes a record of each operation. One whose success is not reported counts as successful.
fn write_records(operations: &[operation], out: &mut RecordWriter) {
    let left = monotonic_ns();
    for operation in operations {
        let call = &operation.call;
        let unreported = operation.sqe_flags & SKIP_SUCCESS != 0;
        let ret = if operation.returns_bytes != 0 { call.args[2] as i64 } else { 0 };
        out.begin(
            Header {
                kind: RecordKind::Call as u8,
                flags: if unreported { BY_CONTRACT } else { NO_EXIT },
                pid: operation.pid,
                tid: call.tid,
                nr: call.nr,
                entered: call.entered,
                left,
                ret: if unreported { ret } else { 0 },
                args: call.args,
                ..Header::default()
            },
            RecordSize::Small,
        );
        out.end();
    }
}
