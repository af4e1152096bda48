//! Sealing while the program is recorded, by a thread that runs when nobody else wants a CPU
//! (SCHED_IDLE).
//!
//! It has nothing to do before much of the journals waits, and leaves the machine to others unless
//! a CPU is to spare and the recording is in no hurry. At the end it is as urgent as anybody, if we
//! may say so; if it takes too long even so, it is left to itself, its files are removed, and
//! everything is sealed afterwards.

use super::scheduling::policy_of;
use super::spare_cpu::Spare;
use nix::libc;
use nix::sys::signal::{SigSet, SigmaskHow, pthread_sigmask};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, sync_channel};
use std::thread::JoinHandle;
use std::time::Duration;
use trace::{Along, Recording};

/// What an engine knows of its journals.
pub(crate) trait Tide: Send + 'static {
    /// Until when (ns of CLOCK_MONOTONIC) their files hold everything.
    fn until(&mut self) -> u64;
    /// Whether those who write them need the machine for themselves.
    fn in_a_hurry(&self) -> bool;
}

/// How often the thread looks whether there is something to do.
const LOOK: Duration = Duration::from_millis(50);
/// It is waited for so long at the end.
const PATIENCE: Duration = Duration::from_secs(5);

/// The thread.
pub(crate) struct Sealing {
    stop: Arc<AtomicBool>,
    tid: i32,
    thread: JoinHandle<()>,
    done: Receiver<Option<Along>>,
}

impl Sealing {
    /// Starts it; it works when so many bytes wait. `None`: it cannot be, and nothing is lost. All
    /// journals must have been made.
    pub fn start(recording: &Recording, tide: impl Tide, bytes: u64) -> Option<Self> {
        if bytes == 0 {
            return None;
        }
        let along = recording.follow(2 * bytes).ok()?;
        let stop = Arc::new(AtomicBool::new(false));
        let theirs = Arc::clone(&stop);
        let (tell, told) = sync_channel(1);
        let (hand_over, done) = sync_channel(1);
        let run = move || {
            // What signals say is for the engine's threads.
            let _ = pthread_sigmask(SigmaskHow::SIG_SETMASK, Some(&SigSet::all()), None);
            // SAFETY: takes nothing.
            let _told = tell.send(unsafe { libc::gettid() });
            let along = if policy_of(0, libc::SCHED_IDLE) {
                follow(&theirs, along, tide, bytes)
            } else {
                None
            };
            let _nobody_waits = hand_over.send(along);
        };
        let thread = std::thread::Builder::new().name("seal".to_owned()).spawn(run).ok()?;
        Some(Self { stop, tid: told.recv().ok()?, thread, done })
    }

    /// The thread's number.
    pub fn tid(&self) -> i32 {
        self.tid
    }

    /// Asks it to end.
    pub fn stop(&self) {
        self.stop.store(true, Ordering::Release);
        if !self.thread.is_finished() {
            // Who may not waits for its turn.
            policy_of(self.tid, libc::SCHED_OTHER);
        }
        self.thread.thread().unpark();
    }

    /// Ends it, and leaves what it did to the recording.
    pub fn finish(self, recording: &Recording) {
        self.stop();
        recording.followed(self.done.recv_timeout(PATIENCE).unwrap_or_default());
    }
}

impl Drop for Sealing {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Release);
    }
}

fn follow(stop: &AtomicBool, mut along: Along, mut tide: impl Tide, bytes: u64) -> Option<Along> {
    let stop = || stop.load(Ordering::Acquire);
    let mut spare = Spare::new();
    while !stop() {
        let free = spare.is_enough() && !tide.in_a_hurry();
        if free && along.behind().ok()? >= bytes {
            let until = tide.until();
            along.go(until, || !stop() && spare.is_enough() && !tide.in_a_hurry()).ok()?;
        }
        std::thread::park_timeout(LOOK);
    }
    Some(along)
}
