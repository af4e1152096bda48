//! How threads and processes start, execute programs, and end.

use super::Tracer;
use super::calls::aio_sinks;
use crate::command::seccomp::AUDIT_ARCH_X86_64;
use crate::inspect::procfs;
use crate::ptrace::births::{Origin, Parent, UnreportedChild};
use crate::ptrace::clone::CloneCall;
use crate::ptrace::stopped::{ResumeUntil, Stop, Stopped};
use crate::ptrace::thread::{Phase, Thread};
use crate::records::{at_start, monotonic_ns};
use std::os::unix::fs::MetadataExt;
use trace::record::{PayloadKind, RecordKind};

/// A thread that stopped or ended before its creator's stop was reported, with its stop.
type ObservedThread = UnreportedChild<(Stopped, Stop)>;

/// The field of `/proc/TID/status` that has the process ID of a thread.
const PROCESS_ID_FIELD: &str = "Tgid:";

impl Tracer {
    /// Handles the stop of a thread that has made another one: records the start of the new thread.
    pub fn handle_fork(&mut self, stopped: Stopped) {
        let tid = stopped.tid();
        // A thread that was killed at this stop reports nothing; its child is handled when that
        // stops.
        if let (Some(thread), Ok(child)) = (self.threads.get_mut(&tid), stopped.event_message()) {
            let mut clone_call = thread.clone_call.unwrap_or_else(|| {
                // It was in the call when it was attached to.
                let call = stopped.registers().ok();
                call.and_then(|(number, args)| {
                    CloneCall::from_entry(tid, AUDIT_ARCH_X86_64, number, &args, 0)
                })
                .unwrap_or_else(|| CloneCall::new(libc::SIGCHLD as u64, 0))
            });
            let parent = Parent { pid: thread.pid, tid, clone_call };
            clone_call.reported = true;
            clone_call.restore_untraced(&stopped);
            thread.clone_call = Some(clone_call);
            let has_program_filter = thread.has_program_filter;
            let observed = self.new_threads.reported(child);
            self.start_child(child, &parent, has_program_filter, observed);
        }
        let until = self.resume_mode(tid);
        stopped.resume(until, 0);
    }

    /// Records the start of thread `tid`, which `parent` has made, and handles its stop or end if
    /// that was reported before (`observed`).
    fn start_child(
        &mut self,
        tid: i32,
        parent: &Parent,
        has_program_filter: bool,
        observed: Option<ObservedThread>,
    ) {
        let is_thread = parent.clone_call.is_thread();
        let pid = if is_thread { parent.pid } else { tid };
        let args = [
            parent.pid as u64,
            parent.tid as u64,
            parent.clone_call.flags,
            u64::from(!is_thread),
            0,
            0,
        ];
        let flags_to_restore = parent.clone_call.patched_in_child();
        let shares_memory = !is_thread && parent.clone_call.shares_memory();
        if !is_thread && !shares_memory {
            self.mapped_files.fork(parent.pid, pid);
        }
        let thread =
            Thread { flags_to_restore, has_program_filter, shares_memory, ..Thread::new(pid, tid) };
        self.start_thread(thread, args, observed);
    }

    /// Writes the `Start` record of a thread with these arguments, adds it to the traced threads,
    /// and handles its stop or end if that was reported before (`observed`).
    fn start_thread(&mut self, thread: Thread, args: [u64; 6], observed: Option<ObservedThread>) {
        let tid = thread.tid;
        self.out.write_event(RecordKind::Start, monotonic_ns(), thread.pid, tid, args);
        if let Some(mut before) = self.threads.insert(tid, thread) {
            // The ID is used again, and the end of the thread that had it was not seen.
            self.missing.ends += 1;
            self.write_unfinished_call(&mut before);
        }
        match observed {
            Some(UnreportedChild { exit_status: Some(status), .. }) => self.handle_end(tid, status),
            Some(UnreportedChild { stop: Some((stopped, stop)), .. }) => {
                self.handle_stop(stopped, stop);
            }
            _ => {}
        }
    }

    /// Records the starts of threads whose creators were killed before they could report them.
    /// `ending`: a thread whose end is not recorded yet, so that its children can still be recorded
    /// as its own.
    pub fn release_orphans(&mut self, ending: Option<i32>) {
        while self.new_threads.has_unreported() {
            let (threads, attaching) = (&self.threads, &self.attaching);
            let may_report_child = |time| {
                threads.values().any(|t| {
                    attaching.contains_key(&t.pid)
                        || (t.may_report_child(time) && !procfs::is_dead(t.tid))
                })
            };
            let process = |tid| procfs::read_status_number(tid, PROCESS_ID_FIELD);
            let Some((child, origin)) = self.new_threads.take_orphan(may_report_child, process)
            else {
                return;
            };
            match origin {
                Origin::Parent(parent) => {
                    let is_parent_recorded = parent.clone_call.is_thread()
                        || ending == Some(parent.tid)
                        || self.threads.contains_key(&parent.tid);
                    self.missing.unknown_origins += u64::from(!is_parent_recorded);
                    self.start_child(child.tid, &parent, self.any_program_filter, Some(child));
                }
                Origin::Unknown => {
                    let tid = child.tid;
                    let pid = procfs::read_status_number(tid, PROCESS_ID_FIELD).unwrap_or(tid);
                    let parent = procfs::read_status_number(tid, "PPid:").unwrap_or(0) as u64;
                    let args = if pid == tid {
                        [parent, parent, 0, 1, 0, 0]
                    } else {
                        [pid as u64, pid as u64, at_start::THREAD_CLONE_FLAGS, 0, 0, 0]
                    };
                    self.missing.unknown_origins += 1;
                    let has_program_filter = self.any_program_filter;
                    let thread = Thread { has_program_filter, ..Thread::new(pid, tid) };
                    self.start_thread(thread, args, Some(child));
                }
            }
        }
    }

    /// Handles that a thread does not exist any more: writes its pending call as unfinished, and
    /// keeps it as the possible parent of a thread that is not reported yet.
    fn remove_thread(&mut self, mut thread: Thread) {
        if let Some(clone_call) = thread.clone_call.filter(|call| !call.reported) {
            self.new_threads.parent_died(Parent { pid: thread.pid, tid: thread.tid, clone_call });
        }
        self.write_unfinished_call(&mut thread);
    }

    /// Handles the stop of a process that has executed a program. The thread that called has got
    /// the process ID as its thread ID; all others have ended.
    pub fn handle_exec(&mut self, stopped: Stopped) {
        let pid = stopped.tid();
        let former_tid = stopped.event_message().unwrap_or(pid);
        let time = monotonic_ns();
        if former_tid != pid {
            // The leader has ended without a stop; its thread ID is now that of the caller.
            if let Some(leader) = self.threads.remove(&pid) {
                self.remove_thread(leader);
            }
            if let Some(mut caller) = self.threads.remove(&former_tid) {
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
            self.out.write_event(RecordKind::Start, begin, pid, pid, [0, 0, 0, 1, 0, 0]);
            at_start::write_state(&mut self.out, &mut self.files, begin, pid, pid);
        }
        self.aio.forget_process(pid, &mut self.out);
        self.mapped_files.end_process(pid, pid, &mut self.out);
        if let Some(thread) = self.threads.get_mut(&pid) {
            thread.shares_memory = false;
        }
        let program = procfs::executable_path(pid);
        let effective = procfs::effective_ids(pid);
        let (euid, egid) = effective.unwrap_or_default();
        self.out.write_event_with(
            RecordKind::Exec,
            time,
            pid,
            pid,
            [former_tid as u64, euid, egid, u64::from(effective.is_some()), 0, 0],
            &[(0, PayloadKind::String, &program)],
        );
        self.note_lost_privileges(pid);
        let until = self.resume_mode(pid);
        stopped.resume(until, 0);
    }

    /// Adds a message if the program is set-user-ID or set-group-ID, since a program that an
    /// ordinary user traces does not change its user (execve(2)).
    fn note_lost_privileges(&mut self, pid: i32) {
        let user = rustix::process::geteuid().as_raw();
        if user == 0 {
            return;
        }
        let Ok(m) = std::fs::metadata(format!("/proc/{pid}/exe")) else { return };
        let group = rustix::process::getegid().as_raw();
        let changes = (m.mode() & libc::S_ISUID != 0 && m.uid() != user)
            || (m.mode() & libc::S_ISGID != 0 && m.mode() & libc::S_IXGRP != 0 && m.gid() != group);
        if changes {
            let name = trace::text::escape(&procfs::executable_path(pid));
            let text = format!(
                "{name} is set-user-ID or set-group-ID: traced by an ordinary user it runs \
                 without the privileges of its owner; record as root to keep them"
            );
            self.add_note(pid, pid, text);
        }
    }

    /// Handles the exit stop of a thread: its pending call will not return.
    pub fn handle_exit_stop(&mut self, stopped: Stopped) {
        if let Some(pid) = self.threads.get(&stopped.tid()).map(|t| t.pid) {
            self.aio.read_rings(stopped.tid(), pid, &mut aio_sinks!(self));
        }
        if let Some(mut thread) = self.threads.remove(&stopped.tid()) {
            let parent =
                thread.clone_call.as_mut().filter(|call| !call.reported).map(|clone_call| {
                    clone_call.reported = true;
                    Parent { pid: thread.pid, tid: thread.tid, clone_call: *clone_call }
                });
            self.write_unfinished_call(&mut thread);
            let (tid, has_program_filter) = (thread.tid, thread.has_program_filter);
            self.threads.insert(tid, thread);
            if let Some(parent) = parent {
                self.report_child_of(parent, has_program_filter);
            }
        }
        stopped.resume(ResumeUntil::Event, 0);
    }

    /// Records the start of the child that a killed thread has made and not reported. The thread is
    /// at its exit stop, so procfs still lists its children.
    fn report_child_of(&mut self, mut parent: Parent, has_program_filter: bool) {
        let children = procfs::list_children(parent.pid, parent.tid);
        match children.into_iter().find(|child| !self.threads.contains_key(child)) {
            Some(child) => {
                let observed = self.new_threads.reported(child);
                self.start_child(child, &parent, has_program_filter, observed);
            }
            // There is none, or it is a thread, or another process's child (CLONE_PARENT). Its
            // creator cannot report it any more. The first thread of a process does not even end
            // before the others.
            None => {
                parent.clone_call.reported = false;
                self.new_threads.parent_died(parent);
            }
        }
    }

    /// Handles the end of a thread, with its wait status.
    pub fn handle_end(&mut self, tid: i32, status: i32) {
        self.delayed_forks.retain(|(_, stopped)| stopped.tid() != tid);
        if let Some(thread) = self.threads.remove(&tid) {
            let pid = thread.pid;
            self.remove_thread(thread);
            self.release_orphans(Some(tid));
            let is_last = !self.threads.values().any(|t| t.pid == pid);
            if is_last {
                self.aio.forget_process(pid, &mut self.out);
                self.mapped_files.end_process(pid, tid, &mut self.out);
            }
            if !self.launching {
                self.out.write_event(
                    RecordKind::Exit,
                    monotonic_ns(),
                    pid,
                    tid,
                    [u64::from(status as u32), u64::from(is_last), 0, 0, 0, 0],
                );
            }
            self.note_end_while_attaching(pid, tid);
        } else if self.detach_deadline.is_none() {
            // The stop that reports its creation may still come.
            self.new_threads.ended(tid, status, monotonic_ns());
        }
        if self.main == Some(tid) {
            self.set_program_end(status);
        }
    }
}
