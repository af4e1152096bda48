//! Joining processes that run already.
//!
//! All threads of a process are made to stop before its descriptor table is read, so that what it
//! tells is true at one moment, and what each thread does from then on is seen. New threads of a
//! thread that we hold are ours from their birth.

use super::Tracer;
use crate::Error;
use crate::inspect::procfs;
use crate::ptrace::stopped::{Stop, Stopped, TRACE_OPTIONS, seize_threads};
use crate::ptrace::thread::Thread;
use crate::records::{at_start, now};
use std::collections::HashSet;
use std::io;
use std::time::{Duration, Instant};

/// A process of which not all threads have stopped yet.
pub(in crate::ptrace) struct Joining {
    awaited: HashSet<i32>,
    pub held: Vec<(Stopped, Stop)>,
    since: Instant,
}

/// A thread that cannot stop (it waits for a disk, or for a vforked child) is not waited for longer
/// than this.
const PATIENCE: Duration = Duration::from_secs(2);

impl Tracer {
    /// Takes hold of all threads of a process.
    pub fn join(&mut self, pid: i32) -> Result<(), Error> {
        let refuse = |source| Error::Attach { pid, source };
        let process = procfs::status_number(pid, "Tgid:")
            .ok_or_else(|| refuse(io::Error::from_raw_os_error(libc::ESRCH)))?;
        let awaited = seize_threads(process, TRACE_OPTIONS, |tid| self.threads.contains_key(&tid))
            .map_err(refuse)?;
        for tid in &awaited {
            self.threads.insert(*tid, Thread::new(process, *tid));
        }
        self.joining.insert(process, Joining { awaited, held: Vec::new(), since: Instant::now() });
        Ok(())
    }

    /// One of them stopped, for whatever reason.
    pub fn joined(&mut self, pid: i32, stopped: Stopped, stop: Stop) {
        let tid = stopped.tid();
        if let Some(joining) = self.joining.get_mut(&pid) {
            joining.awaited.remove(&tid);
            joining.held.push((stopped, stop));
        }
        self.complete(pid);
    }

    /// One of them ended.
    pub fn joining_ended(&mut self, pid: i32, tid: i32) {
        if let Some(joining) = self.joining.get_mut(&pid) {
            joining.awaited.remove(&tid);
        }
        self.complete(pid);
    }

    /// No longer waits for those that do not stop.
    pub fn hurry_joining(&mut self) {
        let late: Vec<i32> = self
            .joining
            .iter()
            .filter(|(_, j)| j.since.elapsed() > PATIENCE)
            .map(|(pid, _)| *pid)
            .collect();
        for pid in late {
            if let Some(joining) = self.joining.get_mut(&pid) {
                joining.awaited.clear();
            }
            self.complete(pid);
        }
    }

    fn complete(&mut self, pid: i32) {
        if !self.joining.get(&pid).is_some_and(|j| j.awaited.is_empty()) {
            return;
        }
        let Some(joining) = self.joining.remove(&pid) else { return };
        let time = now();
        let tids = self.threads.values().filter(|t| t.pid == pid).map(|t| t.tid).collect();
        at_start::process(&mut self.out, &mut self.files, time, pid, tids);
        for (stopped, stop) in joining.held {
            self.stopped(stopped, stop);
        }
    }
}
