//! Threads and processes: how they begin, become other programs, and end.

use super::Tracer;
use crate::command::seccomp::ARCH;
use crate::inspect::procfs;
use crate::ptrace::births::{Early, Maker, Origin};
use crate::ptrace::clone::Making;
use crate::ptrace::stopped::{Stop, Stopped, Until};
use crate::ptrace::thread::{Phase, Thread};
use crate::records::{at_start, now};
use nix::libc;
use std::os::unix::fs::MetadataExt;
use trace::record::{PayloadKind, RecordKind};

/// A thread that showed itself before its maker told of it, at this stop.
type Held = Early<(Stopped, Stop)>;

/// The status that an orphan's process is found by.
const PROCESS: &str = "Tgid:";

impl Tracer {
    /// A thread has made another one.
    pub fn fork(&mut self, stopped: Stopped) {
        let tid = stopped.tid();
        // Killed at this very stop it tells nothing: its child is found when that shows itself.
        if let (Some(thread), Ok(child)) = (self.threads.get_mut(&tid), stopped.message()) {
            let mut making = thread.making.unwrap_or_else(|| {
                // It was in the call when we came.
                let call = stopped.registers().ok();
                call.and_then(|(number, args)| Making::of(tid, ARCH, number, &args, 0))
                    .unwrap_or_else(|| Making::new(libc::SIGCHLD as u64, 0))
            });
            let maker = Maker { pid: thread.pid, tid, making };
            making.told = true;
            making.cover(&stopped);
            thread.making = Some(making);
            let (filtered, early) = (thread.filtered, self.births.told(child));
            self.born(child, &maker, filtered, early);
        }
        let until = self.inside(tid);
        stopped.resume(until, 0);
    }

    /// A thread begins; what came of it before its maker told of it comes now.
    fn born(&mut self, tid: i32, maker: &Maker, filtered: bool, early: Option<Held>) {
        let thread = maker.making.is_thread();
        let pid = if thread { maker.pid } else { tid };
        let args =
            [maker.pid as u64, maker.tid as u64, maker.making.flags, u64::from(!thread), 0, 0];
        let repair = maker.making.in_child();
        self.begins(Thread { repair, filtered, ..Thread::new(pid, tid) }, args, early);
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
            Some(Early { ended: Some(status), .. }) => self.ended(tid, status),
            Some(Early { held: Some((stopped, stop)), .. }) => self.stopped(stopped, stop),
            _ => {}
        }
    }

    /// Children whose makers died before they could tell us of them. `dying`: this one's end is not
    /// recorded yet, so that what its child has of it is still known.
    pub fn release_orphans(&mut self, dying: Option<i32>) {
        while self.births.waits() {
            let (threads, joining) = (&self.threads, &self.joining);
            let may_tell = |time| {
                threads.values().any(|t| {
                    joining.contains_key(&t.pid) || (t.may_tell(time) && !procfs::is_dead(t.tid))
                })
            };
            let process = |tid| procfs::status_number(tid, PROCESS);
            let Some((child, origin)) = self.births.orphan(may_tell, process) else { return };
            match origin {
                Origin::Maker(maker) => {
                    let known = maker.making.is_thread()
                        || dying == Some(maker.tid)
                        || self.threads.contains_key(&maker.tid);
                    self.missing.births += u64::from(!known);
                    self.born(child.tid, &maker, self.filters, Some(child));
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
        if let Some(making) = thread.making.filter(|m| !m.told) {
            self.births.maker_died(Maker { pid: thread.pid, tid: thread.tid, making });
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
                Some(Phase::In(exec)) => exec.entered,
                _ => time,
            };
            self.out.event(RecordKind::Start, begin, pid, pid, [0, 0, 0, 1, 0, 0]);
            at_start::tell(&mut self.out, &mut self.files, begin, pid, pid);
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
            let name = trace::text::escape(&procfs::executable(pid));
            let text = format!(
                "{name} is set-user-ID or set-group-ID: traced by an ordinary user it runs without the privileges of its owner; record as root to keep them"
            );
            self.note(pid, pid, text);
        }
    }

    /// A thread is about to end: the call that it is in will not return.
    pub fn ending(&mut self, stopped: Stopped) {
        if let Some(mut thread) = self.threads.remove(&stopped.tid()) {
            let maker = thread.making.as_mut().filter(|m| !m.told).map(|making| {
                making.told = true;
                Maker { pid: thread.pid, tid: thread.tid, making: *making }
            });
            self.unfinished(&mut thread);
            let (tid, filtered) = (thread.tid, thread.filtered);
            self.threads.insert(tid, thread);
            if let Some(maker) = maker {
                self.tell_for(maker, filtered);
            }
        }
        stopped.resume(Until::Event, 0);
    }

    /// A maker was killed before it could tell of a child. It is at its last stop, and the kernel
    /// still knows whose child is whose.
    fn tell_for(&mut self, mut maker: Maker, filtered: bool) {
        let children = procfs::children(maker.pid, maker.tid);
        match children.into_iter().find(|child| !self.threads.contains_key(child)) {
            Some(child) => {
                let early = self.births.told(child);
                self.born(child, &maker, filtered, early);
            }
            // There is none, or it is a thread, or another one's child (CLONE_PARENT). Its maker
            // cannot tell any more; the first thread of a process does not even end before others.
            None => {
                maker.making.told = false;
                self.births.maker_died(maker);
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
            // Its maker's stop may still come.
            self.births.ended(tid, status, now());
        }
        if self.main == Some(tid) {
            self.main_ended(status);
        }
    }
}
