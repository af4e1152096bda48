//! Sealing while the program is recorded, by a thread that runs on idle CPUs (SCHED_IDLE).
//!
//! It has nothing to do before much of the journals waits, and leaves the machine to others unless
//! a CPU is to spare and the recording is in no hurry. At the end it gets the normal policy, if
//! that is permitted; if it takes too long even so, it is left to itself, its files are removed,
//! and everything is sealed afterwards.

use super::scheduling::set_policy;
use super::spare_cpu::SpareCpu;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, sync_channel};
use std::thread::JoinHandle;
use std::time::Duration;
use trace::{Recording, SealAhead};

/// What an engine knows of its journals.
pub(crate) trait JournalProgress: Send + 'static {
    /// Until when (ns of CLOCK_MONOTONIC) their files hold everything.
    fn written_until(&mut self) -> u64;
    /// Whether the threads that write them need the CPUs.
    fn is_busy(&self) -> bool;
}

/// How often the thread looks whether there is something to do.
const CHECK_EVERY: Duration = Duration::from_millis(50);
/// It is waited for so long at the end.
const WAIT_AT_END: Duration = Duration::from_secs(5);

/// The thread.
pub(crate) struct SealAheadThread {
    stop: Arc<AtomicBool>,
    tid: i32,
    thread: JoinHandle<()>,
    result: Receiver<Option<SealAhead>>,
}

impl SealAheadThread {
    /// Starts it; it works when so many bytes wait. `None`: it cannot be, and nothing is lost. All
    /// journals must have been made.
    pub fn start(
        recording: &Recording,
        journals: impl JournalProgress,
        bytes: u64,
    ) -> Option<Self> {
        if bytes == 0 {
            return None;
        }
        let sealer = recording.seal_ahead(2 * bytes).ok()?;
        let stop = Arc::new(AtomicBool::new(false));
        let asked = Arc::clone(&stop);
        let (send_tid, tid) = sync_channel(1);
        let (send_result, result) = sync_channel(1);
        let run = move || {
            // What signals say is for the engine's threads.
            block_signals();
            let _sent = send_tid.send(rustix::thread::gettid().as_raw_nonzero().get());
            let sealer = if set_policy(0, libc::SCHED_IDLE) {
                follow(&asked, sealer, journals, bytes)
            } else {
                None
            };
            let _ignored = send_result.send(sealer);
        };
        let thread = std::thread::Builder::new().name("seal".to_owned()).spawn(run).ok()?;
        Some(Self { stop, tid: tid.recv().ok()?, thread, result })
    }

    /// The thread's number.
    pub fn tid(&self) -> i32 {
        self.tid
    }

    /// Asks it to end.
    pub fn stop(&self) {
        self.stop.store(true, Ordering::Release);
        if !self.thread.is_finished() {
            // If that is not permitted, it waits until a CPU is idle.
            set_policy(self.tid, libc::SCHED_OTHER);
        }
        self.thread.thread().unpark();
    }

    /// Ends it, and leaves what it did to the recording.
    pub fn finish(self, recording: &Recording) {
        self.stop();
        recording.keep_sealed_ahead(self.result.recv_timeout(WAIT_AT_END).unwrap_or_default());
    }
}

impl Drop for SealAheadThread {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Release);
    }
}

/// Blocks all signals in the calling thread.
fn block_signals() {
    // SAFETY: all zeros is a value of the set, which is filled before it is used.
    unsafe {
        let mut all: libc::sigset_t = std::mem::zeroed();
        libc::sigfillset(&mut all);
        libc::pthread_sigmask(libc::SIG_SETMASK, &all, std::ptr::null_mut());
    }
}

fn follow(
    stop: &AtomicBool,
    mut sealer: SealAhead,
    mut journals: impl JournalProgress,
    bytes: u64,
) -> Option<SealAhead> {
    let stop = || stop.load(Ordering::Acquire);
    let mut cpu = SpareCpu::new();
    while !stop() {
        let free = cpu.is_available() && !journals.is_busy();
        if free && sealer.bytes_behind().ok()? >= bytes {
            let until = journals.written_until();
            sealer
                .seal_until(until, || !stop() && cpu.is_available() && !journals.is_busy())
                .ok()?;
        }
        std::thread::park_timeout(CHECK_EVERY);
    }
    Some(sealer)
}
