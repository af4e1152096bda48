//! Holding a running process still for as long as its descriptor table is read, so that what is told of it is true at one moment.
//!
//! With ptrace's interrupts, which neither the process nor its parent sees (SIGSTOP they would). Letting go is automatic: when the value is dropped.

use crate::ptrace::stopped::{Stop, Stopped, Waited, take_hold, wait};
use crate::{Error, present};
use std::io;
use std::time::{Duration, Instant};

/// A thread that cannot stop (it waits for a disk, or for a vforked child) is not waited for longer than this.
const PATIENCE: Duration = Duration::from_secs(2);

/// A process that stands still.
pub(super) struct Held {
    pub process: i32,
    /// Its threads.
    pub threads: Vec<i32>,
    stopped: Vec<(Stopped, Stop)>,
}

/// Takes hold of all threads of a process.
pub(super) fn hold(pid: i32) -> Result<Held, Error> {
    let refuse = |source| Error::Join { pid, source };
    let process = present::status_number(pid, "Tgid:").ok_or_else(|| refuse(io::ErrorKind::NotFound.into()))?;
    let mut seized = take_hold(process, |_| false).map_err(refuse)?;
    let (mut stopped, mut awaited) = (Vec::new(), seized.clone());
    let deadline = Instant::now() + PATIENCE;
    while !awaited.is_empty() && Instant::now() < deadline {
        match wait(false) {
            Waited::Stopped(one, stop) => {
                awaited.remove(&one.tid());
                seized.insert(one.tid());
                stopped.push((one, stop));
            }
            Waited::Ended(tid, _) => {
                awaited.remove(&tid);
                seized.remove(&tid);
            }
            Waited::Interrupted | Waited::Nothing => std::thread::sleep(Duration::from_micros(200)),
            Waited::Nobody => break,
        }
    }
    Ok(Held { process, threads: seized.into_iter().collect(), stopped })
}

impl Drop for Held {
    fn drop(&mut self) {
        for (stopped, stop) in self.stopped.drain(..) {
            stopped.detach(if let Stop::Signal(signal) = stop { signal } else { 0 });
        }
    }
}
