//! Joining processes that run already.
//!
//! All threads of a process are made to stop before its descriptor table is read, so that what it tells is true at one moment, and what each thread does
//! from then on is seen. New threads of a thread that we hold are ours from their birth.

use super::stopped::{Stop, Stopped, interrupt, seize};
use super::thread::Thread;
use super::tracer::Tracer;
use crate::Error;
use crate::out::now;
use crate::present;
use nix::libc;
use std::collections::HashSet;
use std::io;
use std::time::{Duration, Instant};
use trace::record::RecordKind;

/// A process of which not all threads have stopped yet.
pub(super) struct Joining {
    awaited: HashSet<i32>,
    pub held: Vec<(Stopped, Stop)>,
    since: Instant,
}

/// A thread that cannot stop (it waits for a disk, or for a vforked child) is not waited for longer than this.
const PATIENCE: Duration = Duration::from_secs(2);

impl Tracer {
    /// Takes hold of all threads of a process.
    pub fn join(&mut self, pid: i32) -> Result<(), Error> {
        let refuse = |source| Error::Join { pid, source };
        let process = present::status_number(pid, "Tgid:").ok_or_else(|| refuse(io::ErrorKind::NotFound.into()))?;
        let mut awaited = HashSet::new();
        let mut first_refusal = None;
        loop {
            let mut more = false;
            let tasks = std::fs::read_dir(format!("/proc/{process}/task")).map_err(refuse)?;
            for tid in tasks.filter_map(|t| t.ok()?.file_name().to_str()?.parse::<i32>().ok()) {
                if self.threads.contains_key(&tid) {
                    continue;
                }
                match seize(tid) {
                    Ok(()) => {
                        let _ = interrupt(tid);
                        self.threads.insert(tid, Thread::new(process, tid));
                        awaited.insert(tid);
                        more = true;
                    }
                    // A thread that was born of one that we hold is ours already; one that has just ended is nobody's.
                    Err(e) => first_refusal = first_refusal.or(Some(e)),
                }
            }
            if !more {
                break;
            }
        }
        if awaited.is_empty() {
            return Err(refuse(first_refusal.unwrap_or_else(|| io::Error::from_raw_os_error(libc::ESRCH))));
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
        let late: Vec<i32> = self.joining.iter().filter(|(_, j)| j.since.elapsed() > PATIENCE).map(|(pid, _)| *pid).collect();
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
        let mut tids: Vec<i32> = self.threads.values().filter(|t| t.pid == pid).map(|t| t.tid).collect();
        tids.sort_unstable_by_key(|tid| (*tid != pid, *tid));
        let shared = (libc::CLONE_VM | libc::CLONE_FS | libc::CLONE_FILES | libc::CLONE_SIGHAND | libc::CLONE_THREAD) as u64;
        for (i, tid) in tids.iter().enumerate() {
            let args = if i == 0 { [0, 0, 0, 1, 0, 0] } else { [0, 0, shared, 0, 0, 0] };
            self.out.event(RecordKind::Start, time, pid, *tid, args);
            if i == 0 {
                present::tell(&mut self.out, &mut self.files, time, pid, *tid);
            }
        }
        for (stopped, stop) in joining.held {
            self.stopped(stopped, stop);
        }
    }
}
