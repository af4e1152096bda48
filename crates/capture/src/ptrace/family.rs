//! Threads and processes: how they begin, become other programs, and end.

use super::stopped::{Stopped, Until};
use super::thread::{Phase, Thread};
use super::tracer::Tracer;
use crate::memory::read_u64;
use crate::out::now;
use crate::present;
use nix::libc;
use std::os::unix::fs::MetadataExt;
use std::time::Duration;
use trace::record::{PieceKind, RecordKind};

/// A child that stopped is held so long for its parent's stop; after that the parent is dead, and procfs is asked.
const ORPHANED: Duration = Duration::from_millis(300);

impl Tracer {
    /// A thread has made another one.
    pub fn fork(&mut self, stopped: Stopped) {
        let tid = stopped.tid();
        if let (Ok(child), Some(parent)) = (stopped.message(), self.threads.get(&tid)) {
            let call = parent.call().or_else(|| stopped.registers().ok());
            let flags = call.map_or(0, |(number, args)| clone_flags(tid, number, &args));
            let (parent_pid, thread) = (parent.pid, flags & libc::CLONE_THREAD as u64 != 0);
            let pid = if thread { parent_pid } else { child };
            self.born(pid, child, [parent_pid as u64, tid as u64, flags, u64::from(!thread), 0, 0]);
        }
        let until = self.inside(tid);
        stopped.resume(until, 0);
    }

    fn born(&mut self, pid: i32, tid: i32, args: [u64; 6]) {
        self.out.event(RecordKind::Start, now(), pid, tid, args);
        self.threads.insert(tid, Thread::new(pid, tid));
        if let Some(at) = self.early.iter().position(|(s, _, _)| s.tid() == tid) {
            let (stopped, stop, _) = self.early.swap_remove(at);
            self.stopped(stopped, stop);
        }
    }

    /// Children whose parents died before they could tell us of them.
    pub fn release_orphans(&mut self) {
        while let Some(at) = self.early.iter().position(|(_, _, since)| since.elapsed() > ORPHANED)
        {
            let tid = self.early[at].0.tid();
            let pid = present::status_number(tid, "Tgid:").unwrap_or(tid);
            let parent = present::status_number(tid, "PPid:").unwrap_or(0);
            let args = if pid == tid {
                [parent as u64, parent as u64, 0, 1, 0, 0]
            } else {
                [pid as u64, pid as u64, present::SHARED_BY_THREADS, 0, 0, 0]
            };
            self.born(pid, tid, args);
        }
    }

    /// A process runs a new program. The thread that called has taken the process's number; the others are gone.
    pub fn exec(&mut self, stopped: Stopped) {
        let pid = stopped.tid();
        let former = stopped.message().unwrap_or(pid);
        let time = now();
        if former != pid {
            // The leader disappeared without a word; its number now means the caller.
            if let Some(mut leader) = self.threads.remove(&pid) {
                self.unfinished(&mut leader);
            }
            if let Some(mut caller) = self.threads.remove(&former) {
                caller.tid = pid;
                self.threads.insert(pid, caller);
            }
        }
        if self.launching {
            self.launching = false;
            let begin = match self.threads.get(&pid).map(|t| &t.phase) {
                Some(Phase::In(exec)) => exec.entered,
                _ => time,
            };
            self.out.event(RecordKind::Start, begin, pid, pid, [0, 0, 0, 1, 0, 0]);
            present::tell(&mut self.out, &mut self.files, begin, pid, pid);
        }
        let program = present::executable(pid);
        self.out.event_with(
            RecordKind::Exec,
            time,
            pid,
            pid,
            [former as u64, 0, 0, 0, 0, 0],
            &[(0, PieceKind::String, &program)],
        );
        self.tell_of_privileges(pid);
        let until = self.inside(pid);
        stopped.resume(until, 0);
    }

    /// A set-user-ID program that an ordinary user traces does not change its user (execve(2)).
    fn tell_of_privileges(&mut self, pid: i32) {
        // SAFETY: takes nothing.
        let we = unsafe { libc::geteuid() };
        if we == 0 {
            return;
        }
        let Ok(m) = std::fs::metadata(format!("/proc/{pid}/exe")) else { return };
        // SAFETY: takes nothing.
        let group = unsafe { libc::getegid() };
        let changes = (m.mode() & libc::S_ISUID != 0 && m.uid() != we)
            || (m.mode() & libc::S_ISGID != 0 && m.mode() & libc::S_IXGRP != 0 && m.gid() != group);
        if changes {
            let name = String::from_utf8_lossy(&present::executable(pid)).into_owned();
            let text = format!(
                "{name} is set-user-ID or set-group-ID: traced by an ordinary user it runs without the privileges of its owner; record as root to keep them"
            );
            self.note(pid, pid, text);
        }
    }

    /// A thread is about to end: the call that it is in will not return.
    pub fn ending(&mut self, stopped: Stopped) {
        if let Some(mut thread) = self.threads.remove(&stopped.tid()) {
            self.unfinished(&mut thread);
            self.threads.insert(thread.tid, thread);
        }
        stopped.resume(Until::Event, 0);
    }

    /// A thread has ended.
    pub fn ended(&mut self, tid: i32, status: i32) {
        if let Some(at) = self.early.iter().position(|(s, _, _)| s.tid() == tid) {
            // Killed while it was held; its parent's stop may still come, and its start would then follow its end.
            let (stopped, _, _) = self.early.swap_remove(at);
            stopped.resume(Until::Event, 0);
        }
        if let Some(mut thread) = self.threads.remove(&tid) {
            self.unfinished(&mut thread);
            let last = !self.threads.values().any(|t| t.pid == thread.pid);
            if !self.launching {
                self.out.event(
                    RecordKind::Exit,
                    now(),
                    thread.pid,
                    tid,
                    [u64::from(status as u32), u64::from(last), 0, 0, 0, 0],
                );
            }
            self.joining_ended(thread.pid, tid);
        }
        if self.main == Some(tid) {
            self.main_ended(status);
        }
    }
}

fn clone_flags(tid: i32, number: u64, args: &[u64; 6]) -> u64 {
    match number as i64 {
        libc::SYS_clone => args[0] & 0xffff_ffff,
        libc::SYS_clone3 => read_u64(tid, args[0]).unwrap_or(0),
        libc::SYS_vfork => (libc::CLONE_VM | libc::CLONE_VFORK | libc::SIGCHLD) as u64,
        _ => libc::SIGCHLD as u64,
    }
}
