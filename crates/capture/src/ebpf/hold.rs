//! Holding a running process still for as long as its descriptor table is read, so that what is told of it is true at one moment.
//!
//! With ptrace's interrupts, which neither the process nor its parent sees (SIGSTOP they would). Letting go is automatic: when the value is dropped.

use crate::ptrace::stopped::{Stop, Stopped, Waited, interrupt, seize, wait};
use crate::{Error, present};
use nix::libc;
use std::collections::HashSet;
use std::io;
use std::time::{Duration, Instant};

/// What threads of a process share.
pub(super) const SHARED: u64 = (libc::CLONE_VM | libc::CLONE_FS | libc::CLONE_FILES | libc::CLONE_SIGHAND | libc::CLONE_THREAD) as u64;

/// A thread that cannot stop (it waits for a disk, or for a vforked child) is not waited for longer than this.
const PATIENCE: Duration = Duration::from_secs(2);

/// A process that stands still.
pub(super) struct Held {
    pub process: i32,
    /// Its threads, the first one first.
    pub threads: Vec<i32>,
    stopped: Vec<(Stopped, Stop)>,
}

/// Takes hold of all threads of a process.
pub(super) fn hold(pid: i32) -> Result<Held, Error> {
    let refuse = |source| Error::Join { pid, source };
    let process = present::status_number(pid, "Tgid:").ok_or_else(|| refuse(io::ErrorKind::NotFound.into()))?;
    let (mut seized, mut refusal) = (HashSet::new(), None);
    loop {
        let before = seized.len();
        let tasks = std::fs::read_dir(format!("/proc/{process}/task")).map_err(refuse)?;
        for tid in tasks.filter_map(|t| t.ok()?.file_name().to_str()?.parse::<i32>().ok()) {
            if seized.contains(&tid) {
                continue;
            }
            match seize(tid) {
                Ok(()) => {
                    let _ = interrupt(tid);
                    seized.insert(tid);
                }
                // One that was born of a thread that we hold is ours already, and one that has just ended is nobody's.
                Err(e) => refusal = refusal.or(Some(e)),
            }
        }
        if seized.len() == before {
            break;
        }
    }
    if seized.is_empty() {
        return Err(refuse(refusal.unwrap_or_else(|| io::Error::from_raw_os_error(libc::ESRCH))));
    }
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
    let mut threads: Vec<i32> = seized.into_iter().collect();
    threads.sort_unstable_by_key(|tid| (*tid != process, *tid));
    Ok(Held { process, threads, stopped })
}

impl Drop for Held {
    fn drop(&mut self) {
        for (stopped, stop) in self.stopped.drain(..) {
            stopped.detach(if let Stop::Signal(signal) = stop { signal } else { 0 });
        }
    }
}
