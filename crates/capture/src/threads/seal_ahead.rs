//! Sealing while the program is recorded: a thread converts what the journals hold into finished
//! Parquet segments, so that less is left to do at the end. It runs on idle CPUs (SCHED_IDLE).
//!
//! The thread waits until the journals have enough bytes that are not sealed, and works only while
//! a CPU is idle and the recording does not need the CPUs. At the end of the recording it gets the
//! normal policy, if that is permitted, and is waited for. If it takes too long even then, it is
//! abandoned, its files are removed, and everything is sealed afterwards.

use super::scheduling::set_policy;
use super::spare_cpu::SpareCpu;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, sync_channel};
use std::thread::JoinHandle;
use std::time::Duration;
use trace::{Recording, SealAhead};

/// How far the journals of an engine have been written.
pub(crate) trait JournalProgress: Send + 'static {
    /// Returns the time (nanoseconds of CLOCK_MONOTONIC) until which the journal files hold all
    /// records.
    fn written_until(&mut self) -> u64;
    /// Returns whether the threads that write the journals need the CPUs.
    fn is_busy(&self) -> bool;
}

/// How long the thread sleeps between two checks whether there is something to seal.
const CHECK_EVERY: Duration = Duration::from_millis(50);
/// How long the end of a recording waits for the thread.
const WAIT_AT_END: Duration = Duration::from_secs(5);

/// The thread that seals while the program is recorded.
pub(crate) struct SealAheadThread {
    /// Whether the thread is to end.
    stop: Arc<AtomicBool>,
    tid: i32,
    thread: JoinHandle<()>,
    /// Receives what the thread has sealed when it ends; `None` after an error.
    result: Receiver<Option<SealAhead>>,
}

impl SealAheadThread {
    /// Starts the thread, which seals whenever the journals have at least `min_bytes` that are not
    /// sealed. All journals must have been created. Returns `None` if `min_bytes` is 0 or the
    /// thread cannot be started; everything is sealed after the recording then.
    pub fn start(
        recording: &Recording,
        journals: impl JournalProgress,
        min_bytes: u64,
    ) -> Option<Self> {
        if min_bytes == 0 {
            return None;
        }
        let sealer = recording.seal_ahead(2 * min_bytes).ok()?;
        let stop = Arc::new(AtomicBool::new(false));
        let stop_copy = Arc::clone(&stop);
        let (send_tid, tid) = sync_channel(1);
        let (send_result, result) = sync_channel(1);
        let run = move || {
            // Signals are for the threads of the engine.
            block_signals();
            let _sent = send_tid.send(rustix::thread::gettid().as_raw_nonzero().get());
            let sealer = if set_policy(0, libc::SCHED_IDLE) {
                seal_while_recording(&stop_copy, sealer, journals, min_bytes)
            } else {
                None
            };
            let _ignored = send_result.send(sealer);
        };
        let thread = std::thread::Builder::new().name("seal".to_owned()).spawn(run).ok()?;
        Some(Self { stop, tid: tid.recv().ok()?, thread, result })
    }

    /// Returns the thread's ID.
    pub fn tid(&self) -> i32 {
        self.tid
    }

    /// Asks the thread to end. Does not wait.
    pub fn stop(&self) {
        self.stop.store(true, Ordering::Release);
        if !self.thread.is_finished() {
            // If that is not permitted, the thread ends when a CPU is idle.
            set_policy(self.tid, libc::SCHED_OTHER);
        }
        self.thread.thread().unpark();
    }

    /// Ends the thread, and hands the segments that it has sealed to `recording`. Waits for at most
    /// [`WAIT_AT_END`].
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

/// Runs the thread's loop until `stop` is set. Whenever the journals have at least `min_bytes` that
/// are not sealed, it converts them into finished Parquet segments, as long as a CPU is idle and
/// the threads that write the journals do not need the CPUs. Returns `sealer`, which has the
/// segments, or `None` after an error.
fn seal_while_recording(
    stop: &AtomicBool,
    mut sealer: SealAhead,
    mut journals: impl JournalProgress,
    min_bytes: u64,
) -> Option<SealAhead> {
    let is_stopped = || stop.load(Ordering::Acquire);
    let mut spare_cpu = SpareCpu::new();
    while !is_stopped() {
        let may_work = spare_cpu.is_available() && !journals.is_busy();
        if may_work && sealer.bytes_behind().ok()? >= min_bytes {
            let end_time = journals.written_until();
            sealer
                .seal_until(end_time, || {
                    !is_stopped() && spare_cpu.is_available() && !journals.is_busy()
                })
                .ok()?;
        }
        std::thread::park_timeout(CHECK_EVERY);
    }
    Some(sealer)
}
