//! Attaching to running processes.
//!
//! All threads of a process are stopped before its descriptors are read, so that the records are of
//! one moment and everything that each thread does afterwards is recorded. New threads of a traced
//! thread are traced from their start.

use super::Tracer;
use crate::Error;
use crate::inspect::procfs;
use crate::ptrace::stopped::{Stop, Stopped, TRACE_OPTIONS, seize_threads};
use crate::ptrace::thread::Thread;
use crate::records::{at_start, monotonic_ns};
use std::collections::HashSet;
use std::io;
use std::time::{Duration, Instant};

/// A process of which not all threads have stopped for the first time.
pub(in crate::ptrace) struct Attaching {
    /// Threads that have not stopped.
    awaited: HashSet<i32>,
    /// Threads that have stopped.
    pub held: Vec<(Stopped, Stop)>,
    /// When they were seized.
    since: Instant,
}

/// How long to wait for threads that do not stop, since they wait for a disk or for a child of
/// vfork(2).
const STOP_TIMEOUT: Duration = Duration::from_secs(2);

impl Tracer {
    /// Seizes all threads of the process that `pid` belongs to. Fails if there is no such process
    /// or it may not be traced.
    pub fn attach(&mut self, pid: i32) -> Result<(), Error> {
        let refuse = |source| Error::Attach { pid, source };
        let process = procfs::read_status_number(pid, "Tgid:")
            .ok_or_else(|| refuse(io::Error::from_raw_os_error(libc::ESRCH)))?;
        let awaited = seize_threads(process, TRACE_OPTIONS, |tid| self.threads.contains_key(&tid))
            .map_err(refuse)?;
        for tid in &awaited {
            self.threads.insert(*tid, Thread::new(process, *tid));
        }
        self.attaching
            .insert(process, Attaching { awaited, held: Vec::new(), since: Instant::now() });
        Ok(())
    }

    /// Keeps a thread of a process that is being attached to stopped.
    pub fn keep_stopped(&mut self, pid: i32, stopped: Stopped, stop: Stop) {
        let tid = stopped.tid();
        if let Some(attaching) = self.attaching.get_mut(&pid) {
            attaching.awaited.remove(&tid);
            attaching.held.push((stopped, stop));
        }
        self.complete_attach(pid);
    }

    /// Notes that a thread of a process that is being attached to has ended.
    pub fn note_end_while_attaching(&mut self, pid: i32, tid: i32) {
        if let Some(attaching) = self.attaching.get_mut(&pid) {
            attaching.awaited.remove(&tid);
        }
        self.complete_attach(pid);
    }

    /// Stops waiting for threads that have not stopped within [`STOP_TIMEOUT`].
    pub fn give_up_on_unstopped(&mut self) {
        let late: Vec<i32> = self
            .attaching
            .iter()
            .filter(|(_, attaching)| attaching.since.elapsed() > STOP_TIMEOUT)
            .map(|(pid, _)| *pid)
            .collect();
        for pid in late {
            if let Some(attaching) = self.attaching.get_mut(&pid) {
                attaching.awaited.clear();
            }
            self.complete_attach(pid);
        }
    }

    /// Records the state of the process and handles the stops of its threads, if all of them have
    /// stopped.
    fn complete_attach(&mut self, pid: i32) {
        if !self.attaching.get(&pid).is_some_and(|attaching| attaching.awaited.is_empty()) {
            return;
        }
        let Some(attaching) = self.attaching.remove(&pid) else { return };
        let time = monotonic_ns();
        let tids = self.threads.values().filter(|t| t.pid == pid).map(|t| t.tid).collect();
        at_start::write_process(&mut self.out, &mut self.files, time, pid, tids);
        for (stopped, stop) in attaching.held {
            self.handle_stop(stopped, stop);
        }
    }
}
