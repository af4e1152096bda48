//! Threads and processes: how they begin, become other programs, and end.

use super::Tracer;
use crate::command::seccomp::ARCH;
use crate::inspect::procfs;
use crate::ptrace::births::{Origin, Parent, UnreportedChild};
use crate::ptrace::clone::CloneCall;
use crate::ptrace::stopped::{ResumeUntil, Stop, Stopped};
use crate::ptrace::thread::{Phase, Thread};
use crate::records::{at_start, now};
use std::os::unix::fs::MetadataExt;
use trace::record::{PayloadKind, RecordKind};

/// A thread that showed itself before its parent told of it, at this stop.
type Held = UnreportedChild<(Stopped, Stop)>;

/// The status that an orphan's process is found by.
const PROCESS: &str = "Tgid:";

impl Tracer {
    /// A thread has made another one.
    pub fn fork(&mut self, stopped: Stopped) {
        let tid = stopped.tid();
        // Killed at this very stop it tells nothing: its child is found when that shows itself.
        if let (Some(thread), Ok(child)) = (self.threads.get_mut(&tid), stopped.message()) {
            let mut clone_call = thread.clone_call.unwrap_or_else(|| {
                // It was in the call when we came.
                let call = stopped.registers().ok();
                call.and_then(|(number, args)| CloneCall::of(tid, ARCH, number, &args, 0))
                    .unwrap_or_else(|| CloneCall::new(libc::SIGCHLD as u64, 0))
            });
            let parent = Parent { pid: thread.pid, tid, clone_call };
            clone_call.reported = true;
            clone_call.restore_untraced(&stopped);
            thread.clone_call = Some(clone_call);
            let (filtered, early) = (thread.filtered, self.births.reported(child));
            self.born(child, &parent, filtered, early);
        }
        let until = self.inside(tid);
        stopped.resume(until, 0);
    }

    /// A thread begins; what came of it before its parent told of it comes now.
    fn born(&mut self, tid: i32, parent: &Parent, filtered: bool, early: Option<Held>) {
        let thread = parent.clone_call.is_thread();
        let pid = if thread { parent.pid } else { tid };
        let args = [
            parent.pid as u64,
            parent.tid as u64,
            parent.clone_call.flags,
            u64::from(!thread),
            0,
            0,
        ];
        let to_restore = parent.clone_call.patched_in_child();
        self.begins(Thread { to_restore, filtered, ..Thread::new(pid, tid) }, args, early);
    }

    fn begins(&mut self, thread: Thread, args: [u64; 6], early: Option<Held>) {
        let tid = thread.tid;
        self.out.event(RecordKind::Start, now(), thread.pid, tid, args);
        if let Some(mut before) = self.threads.insert(tid, thread) {
            // The number is used again, and we have not seen its thread end.
            self.missing.ends += 1;
            self.unfinished(&mut before);
        }
        match early {
            Some(UnreportedChild { ended: Some(status), .. }) => self.ended(tid, status),
            Some(UnreportedChild { held: Some((stopped, stop)), .. }) => {
                self.stopped(stopped, stop);
            }
            _ => {}
        }
    }

    /// Children whose parents died before they could tell us of them. `dying`: this one's end is
    /// not recorded yet, so that what its child has of it is still known.
    pub fn release_orphans(&mut self, dying: Option<i32>) {
        while self.births.is_any_pending() {
            let (threads, joining) = (&self.threads, &self.joining);
            let may_tell = |time| {
                threads.values().any(|t| {
                    joining.contains_key(&t.pid) || (t.may_tell(time) && !procfs::is_dead(t.tid))
                })
            };
            let process = |tid| procfs::status_number(tid, PROCESS);
            let Some((child, origin)) = self.births.orphan(may_tell, process) else { return };
            match origin {
                Origin::Parent(parent) => {
                    let known = parent.clone_call.is_thread()
                        || dying == Some(parent.tid)
                        || self.threads.contains_key(&parent.tid);
                    self.missing.births += u64::from(!known);
                    self.born(child.tid, &parent, self.filters, Some(child));
                }
                Origin::Unknown => {
                    let tid = child.tid;
                    let pid = procfs::status_number(tid, PROCESS).unwrap_or(tid);
                    let parent = procfs::status_number(tid, "PPid:").unwrap_or(0) as u64;
                    let args = if pid == tid {
                        [parent, parent, 0, 1, 0, 0]
                    } else {
                        [pid as u64, pid as u64, at_start::SHARED_BY_THREADS, 0, 0, 0]
                    };
                    self.missing.births += 1;
                    let filtered = self.filters;
                    let thread = Thread { filtered, ..Thread::new(pid, tid) };
                    self.begins(thread, args, Some(child));
                }
            }
        }
    }

    /// A thread is no more. A call that it was in will not return.
    fn gone(&mut self, mut thread: Thread) {
        if let Some(clone_call) = thread.clone_call.filter(|m| !m.reported) {
            self.births.parent_died(Parent { pid: thread.pid, tid: thread.tid, clone_call });
        }
        self.unfinished(&mut thread);
    }

    /// A process runs a new program. The thread that called has taken the process's number; the
    /// others are gone.
    pub fn exec(&mut self, stopped: Stopped) {
        let pid = stopped.tid();
        let former = stopped.message().unwrap_or(pid);
        let time = now();
        if former != pid {
            // The leader disappeared without a word; its number now means the caller.
            if let Some(leader) = self.threads.remove(&pid) {
                self.gone(leader);
            }
            if let Some(mut caller) = self.threads.remove(&former) {
                caller.tid = pid;
                self.threads.insert(pid, caller);
            }
        }
        if self.launching {
            self.launching = false;
            let begin = match self.threads.get(&pid).map(|t| &t.phase) {
                Some(Phase::InCall(exec)) => exec.entered,
                _ => time,
            };
            self.out.event(RecordKind::Start, begin, pid, pid, [0, 0, 0, 1, 0, 0]);
            at_start::state_of(&mut self.out, &mut self.files, begin, pid, pid);
        }
        let program = procfs::executable(pid);
        let effective = procfs::effective(pid);
        let (euid, egid) = effective.unwrap_or_default();
        self.out.event_with(
            RecordKind::Exec,
            time,
            pid,
            pid,
            [former as u64, euid, egid, u64::from(effective.is_some()), 0, 0],
            &[(0, PayloadKind::String, &program)],
        );
        self.note_lost_privileges(pid);
        let until = self.inside(pid);
        stopped.resume(until, 0);
    }

    /// A set-user-ID program that an ordinary user traces does not change its user (execve(2)).
    fn note_lost_privileges(&mut self, pid: i32) {
        let we = rustix::process::geteuid().as_raw();
        if we == 0 {
            return;
        }
        let Ok(m) = std::fs::metadata(format!("/proc/{pid}/exe")) else { return };
        let group = rustix::process::getegid().as_raw();
        let changes = (m.mode() & libc::S_ISUID != 0 && m.uid() != we)
            || (m.mode() & libc::S_ISGID != 0 && m.mode() & libc::S_IXGRP != 0 && m.gid() != group);
        if changes {
            let name = trace::text::escape(&procfs::executable(pid));
            let text = format!(
                "{name} is set-user-ID or set-group-ID: traced by an ordinary user it runs \
                 without the privileges of its owner; record as root to keep them"
            );
            self.note(pid, pid, text);
        }
    }

    /// A thread is about to end: the call that it is in will not return.
    pub fn ending(&mut self, stopped: Stopped) {
        if let Some(mut thread) = self.threads.remove(&stopped.tid()) {
            let parent = thread.clone_call.as_mut().filter(|m| !m.reported).map(|clone_call| {
                clone_call.reported = true;
                Parent { pid: thread.pid, tid: thread.tid, clone_call: *clone_call }
            });
            self.unfinished(&mut thread);
            let (tid, filtered) = (thread.tid, thread.filtered);
            self.threads.insert(tid, thread);
            if let Some(parent) = parent {
                self.report_for(parent, filtered);
            }
        }
        stopped.resume(ResumeUntil::Event, 0);
    }

    /// A parent was killed before it could tell of a child. It is at its last stop, and the kernel
    /// still knows whose child is whose.
    fn report_for(&mut self, mut parent: Parent, filtered: bool) {
        let children = procfs::children(parent.pid, parent.tid);
        match children.into_iter().find(|child| !self.threads.contains_key(child)) {
            Some(child) => {
                let early = self.births.reported(child);
                self.born(child, &parent, filtered, early);
            }
            // There is none, or it is a thread, or another one's child (CLONE_PARENT). Its parent
            // cannot tell any more; the first thread of a process does not even end before others.
            None => {
                parent.clone_call.reported = false;
                self.births.parent_died(parent);
            }
        }
    }

    /// A thread has ended.
    pub fn ended(&mut self, tid: i32, status: i32) {
        self.late.retain(|(_, stopped)| stopped.tid() != tid);
        if let Some(thread) = self.threads.remove(&tid) {
            let pid = thread.pid;
            self.gone(thread);
            self.release_orphans(Some(tid));
            let last = !self.threads.values().any(|t| t.pid == pid);
            if !self.launching {
                self.out.event(
                    RecordKind::Exit,
                    now(),
                    pid,
                    tid,
                    [u64::from(status as u32), u64::from(last), 0, 0, 0, 0],
                );
            }
            self.joining_ended(pid, tid);
        } else if self.leaving.is_none() {
            // Its parent's stop may still come.
            self.births.ended(tid, status, now());
        }
        if self.main == Some(tid) {
            self.main_ended(status);
        }
    }
}
