//! Entries and exits of calls.

use super::Tracer;
use crate::command::seccomp::{self, ARCH, X32, installs_filter};
use crate::ptrace::clone::CloneCall;
use crate::ptrace::steps::CallAtStop;
use crate::ptrace::stopped::{ENTRY, EXIT, ResumeUntil, SECCOMP, Stopped};
use crate::ptrace::thread::{PendingCall, Phase, Thread};
use crate::records::{EntrySink, now};
use trace::record::{COMPAT, Header, NO_ENTRY, NO_EXIT, NOT_EXECUTED, RecordKind};

fn header(thread: &Thread, p: &PendingCall, left: u64, ret: i64, flags: u8) -> Header {
    Header {
        kind: RecordKind::Call as u8,
        flags: p.flags | flags,
        pid: thread.pid as u32,
        tid: p.tid as u32,
        nr: p.number,
        entered: p.entered,
        left,
        ret,
        args: p.args,
        ..Header::default()
    }
}

impl Tracer {
    /// A thread stopped at a call.
    pub fn call(&mut self, stopped: Stopped) {
        if stopped.call_info(&mut self.info).is_err() {
            // Dying: nothing is to be learnt from it, and its end will be reported.
            return stopped.resume(ResumeUntil::Call, 0);
        }
        let until = match self.info.op {
            ENTRY => self.entry(&stopped),
            EXIT => self.exit(&stopped),
            _ => self.inside(stopped.tid()),
        };
        stopped.resume(until, 0);
    }

    /// A seccomp filter asks us about a call (`--seccomp`).
    pub fn asked(&mut self, stopped: Stopped) {
        let tid = stopped.tid();
        let ours = stopped.message().is_ok_and(|tag| tag == i32::from(seccomp::tag()));
        if !ours {
            // A filter of the program asks its tracer, and it has none (seccomp(2)).
            let _ = stopped.answer(libc::ENOSYS);
            let until = self.inside(tid);
            return stopped.resume(until, 0);
        }
        // One that stops at every call has told of this one already.
        let known = self
            .threads
            .get(&tid)
            .is_some_and(|t| t.filtered && matches!(t.phase, Phase::InCall(_) | Phase::Skipped));
        if known || stopped.call_info(&mut self.info).is_err() || self.info.op != SECCOMP {
            let until = self.inside(tid);
            return stopped.resume(until, 0);
        }
        let until = self.entry(&stopped);
        stopped.resume(until, 0);
    }

    /// How it goes on.
    fn entry(&mut self, stopped: &Stopped) -> ResumeUntil {
        let entered = now();
        let tid = stopped.tid();
        let [number, args @ .., _] = self.info.words;
        let arch = self.info.arch;
        if self.until == ResumeUntil::Event && installs_filter(arch, number, &args) {
            self.filter_comes(tid, number, &args);
        }
        let Some(thread) = self.threads.get_mut(&tid) else { return self.until };
        if let Phase::InCall(_) = thread.phase {
            self.missing.exits += 1;
            if let Some(mut thread) = self.threads.remove(&tid) {
                self.unfinished(&mut thread);
                self.threads.insert(tid, thread);
            }
        }
        let Some(thread) = self.threads.get_mut(&tid) else { return self.until };
        let native = arch == ARCH && number < X32;
        if self.launching && !(native && matches!(number as i64, libc::SYS_execve)) {
            thread.phase = Phase::Skipped;
            return self.until;
        }
        thread.clone_call = CloneCall::of(tid, arch, number, &args, entered);
        if let Some(clone_call) = &mut thread.clone_call {
            clone_call.clear_untraced(stopped, arch, number, &args);
        }
        let (steps, flags) =
            if native { (self.plans.find(number, &args), 0) } else { (Some(0), COMPAT) };
        let Some(steps) = steps else {
            thread.phase = Phase::Skipped;
            return self.inside(tid);
        };
        let pending = PendingCall { tid, number: number as u32, flags, steps, args, entered };
        thread.entry_payloads.clear();
        let entry = &self.plans.steps(steps).entry;
        if !entry.is_empty() {
            let header = header(thread, &pending, 0, 0, 0);
            let mut sink =
                EntrySink { waiting: &mut thread.entry_payloads, out: &mut self.out, header };
            CallAtStop { tid, pid: thread.pid, args: &args, result: None }.take(
                entry,
                &mut self.scratch,
                &mut sink,
            );
        }
        thread.phase = Phase::InCall(pending);
        ResumeUntil::Call
    }

    /// How it goes on.
    fn exit(&mut self, stopped: &Stopped) -> ResumeUntil {
        let left = now();
        let tid = stopped.tid();
        let ret = self.info.words[0] as i64;
        let Some(thread) = self.threads.get_mut(&tid) else { return self.until };
        // A filter that sends SIGSYS puts the number back where a result stands.
        let number =
            if let Phase::InCall(pending) = &thread.phase { pending.number } else { u32::MAX };
        let trapped = ret == i64::from(number) && stopped.ends_in_seccomp_sigsys(number);
        if let Some(mut clone_call) = thread.clone_call.take() {
            clone_call.restore_untraced(stopped);
            clone_call.reported |= trapped;
            // It made a child, and the kernel did not tell us of it.
            self.missing.children += u64::from(ret > 0 && !clone_call.reported);
        }
        let until = if thread.filtered { ResumeUntil::Call } else { self.until };
        let pending = match std::mem::replace(&mut thread.phase, Phase::RecordWriter) {
            Phase::InCall(pending) => pending,
            Phase::Skipped | Phase::New => return until,
            // We have not seen it begin.
            Phase::RecordWriter => {
                self.missing.entries += 1;
                let Ok((number, args)) = stopped.registers() else { return until };
                let Some(steps) = self.plans.find(number, &args) else { return until };
                thread.entry_payloads.clear();
                PendingCall {
                    tid,
                    number: number as u32,
                    flags: NO_ENTRY,
                    steps,
                    args,
                    entered: left,
                }
            }
        };
        if self.launching {
            // An exec that failed: the child tells us why.
            return until;
        }
        if trapped {
            let flags = NOT_EXECUTED | NO_EXIT;
            self.out.begin(header(thread, &pending, left, 0, flags), false);
            thread.entry_payloads.put(&mut self.out);
            self.out.end();
            return until;
        }
        let steps = &self.plans.steps(pending.steps).exit;
        let end = CallAtStop { tid, pid: thread.pid, args: &pending.args, result: Some(ret) };
        self.out.begin(
            header(thread, &pending, left, ret, 0),
            !steps.is_empty() && end.is_large(steps),
        );
        thread.entry_payloads.put(&mut self.out);
        end.take(steps, &mut self.scratch, &mut self.out);
        self.out.end();
        if self.out.failed() {
            self.leave();
        }
        until
    }

    /// A thread is about to get a filter of its own: from now on it stops at every call, as do the
    /// other threads of its process if they get it too.
    fn filter_comes(&mut self, tid: i32, number: u64, args: &[u64; 6]) {
        self.filters = true;
        let Some(pid) = self.threads.get(&tid).map(|t| t.pid) else { return };
        let all =
            number as i64 == libc::SYS_seccomp && args[1] & libc::SECCOMP_FILTER_FLAG_TSYNC != 0;
        for thread in self.threads.values_mut().filter(|t| t.pid == pid) {
            if thread.tid == tid {
                thread.filtered = true;
            } else if all && !thread.filtered {
                // It runs to its next stop without another one until then.
                thread.filtered = true;
                self.missing.filters += 1;
                if matches!(thread.phase, Phase::Skipped) {
                    thread.phase = Phase::RecordWriter;
                }
            }
        }
    }

    /// A call that will not be seen to return.
    pub fn unfinished(&mut self, thread: &mut Thread) {
        if let Phase::InCall(pending) = std::mem::replace(&mut thread.phase, Phase::RecordWriter)
            && !self.launching
        {
            self.out.begin(header(thread, &pending, pending.entered, 0, NO_EXIT), false);
            thread.entry_payloads.put(&mut self.out);
            self.out.end();
        }
    }

    /// The last stop before we leave may be the exit of the call under way.
    pub fn call_before_leaving(&mut self, stopped: &Stopped, thread: &mut Thread) {
        if stopped.call_info(&mut self.info).is_ok() && self.info.op == EXIT && !self.out.failed() {
            let (tid, mine) =
                (thread.tid, std::mem::replace(thread, Thread::new(thread.pid, thread.tid)));
            self.threads.insert(tid, mine);
            self.exit(stopped);
            if let Some(back) = self.threads.remove(&tid) {
                *thread = back;
            }
        }
    }
}
