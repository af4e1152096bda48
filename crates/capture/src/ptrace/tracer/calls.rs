//! Stops at the entry and the exit of calls.

use super::Tracer;
use crate::command::seccomp::{self, AUDIT_ARCH_X86_64, X32_SYSCALL_BIT, installs_filter};
use crate::mapped_files::{MappingUse, synced_addresses};
use crate::plans::REGISTERS_ONLY;
use crate::ptrace::clone::CloneCall;
use crate::ptrace::steps::CallAtStop;
use crate::ptrace::stopped::{ENTRY, EXIT, ResumeUntil, SECCOMP, Stopped};
use crate::ptrace::thread::{PendingCall, Phase, Thread};
use crate::records::{EntrySink, RecordSize, monotonic_ns};
use abi::plan::MAPPING;
use trace::record::{
    AT_EXIT, COMPAT, Header, NO_ENTRY, NO_EXIT, NOT_EXECUTED, PayloadKind, RecordKind,
};

/// Returns the header of a call's record. `left` is when it returned, in nanoseconds.
fn header(thread: &Thread, call: &PendingCall, left: u64, ret: i64, flags: u8) -> Header {
    Header {
        kind: RecordKind::Call as u8,
        flags: call.flags | flags,
        pid: thread.pid as u32,
        tid: call.tid as u32,
        nr: call.number,
        entered: call.entered,
        left,
        ret,
        args: call.args,
        ..Header::default()
    }
}

/// Borrows what operations of libaio are captured with.
macro_rules! aio_sinks {
    ($tracer:ident) => {
        crate::ptrace::aio::Sinks {
            plans: &$tracer.plans,
            scratch: &mut $tracer.scratch,
            out: &mut $tracer.out,
        }
    };
}
pub(super) use aio_sinks;

impl Tracer {
    /// Handles a stop at the entry or the exit of a call.
    pub fn handle_call_stop(&mut self, stopped: Stopped) {
        if stopped.call_info(&mut self.info).is_err() {
            // The thread was killed, and its end will be reported.
            return stopped.resume(ResumeUntil::Call, 0);
        }
        let until = match self.info.op {
            ENTRY => self.handle_entry(&stopped),
            EXIT => self.handle_exit(&stopped),
            _ => self.resume_mode(stopped.tid()),
        };
        stopped.resume(until, 0);
    }

    /// Handles a stop at a call that a seccomp filter sends to the tracer (`--seccomp`).
    pub fn handle_seccomp_stop(&mut self, stopped: Stopped) {
        let tid = stopped.tid();
        let is_recorders =
            stopped.event_message().is_ok_and(|tag| tag == i32::from(seccomp::filter_tag()));
        if !is_recorders {
            // A filter of the program sends the call to its tracer. Without the recorder there is
            // none, and the call fails (seccomp(2)).
            let _ = stopped.fail_call(libc::ENOSYS);
            let until = self.resume_mode(tid);
            return stopped.resume(until, 0);
        }
        // A thread that stops at every call has stopped at this one before.
        let is_entered = self.threads.get(&tid).is_some_and(|t| {
            t.has_program_filter && matches!(t.phase, Phase::InCall(_) | Phase::Skipped)
        });
        if is_entered || stopped.call_info(&mut self.info).is_err() || self.info.op != SECCOMP {
            let until = self.resume_mode(tid);
            return stopped.resume(until, 0);
        }
        let until = self.handle_entry(&stopped);
        stopped.resume(until, 0);
    }

    /// Handles the entry of a call: captures the payloads that its plan has for the entry, and
    /// keeps the call as pending. Returns how to resume the thread.
    fn handle_entry(&mut self, stopped: &Stopped) -> ResumeUntil {
        let mut entered = monotonic_ns();
        let tid = stopped.tid();
        let [number, args @ .., _] = self.info.words;
        let arch = self.info.arch;
        if self.default_resume == ResumeUntil::Event && installs_filter(arch, number, &args) {
            self.note_filter_install(tid, number, &args);
        }
        let Some(thread) = self.threads.get_mut(&tid) else { return self.default_resume };
        if let Phase::InCall(_) = thread.phase {
            self.missing.exits += 1;
            if let Some(mut thread) = self.threads.remove(&tid) {
                self.write_unfinished_call(&mut thread);
                self.threads.insert(tid, thread);
            }
        }
        let Some(thread) = self.threads.get_mut(&tid) else { return self.default_resume };
        let native = arch == AUDIT_ARCH_X86_64 && number < X32_SYSCALL_BIT;
        if self.launching && !(native && matches!(number as i64, libc::SYS_execve)) {
            thread.phase = Phase::Skipped;
            return self.default_resume;
        }
        thread.clone_call = CloneCall::from_entry(tid, arch, number, &args, entered);
        if let Some(clone_call) = &mut thread.clone_call {
            clone_call.clear_untraced(stopped, arch, number, &args);
        }
        let (plan, flags) = if native {
            (self.plans.find_plan(number, &args), 0)
        } else {
            (Some(REGISTERS_ONLY), COMPAT)
        };
        let pid = thread.pid;
        let is_aio = native && self.aio.enter_call(tid, pid, number, &args, &mut aio_sinks!(self));
        let Some(thread) = self.threads.get_mut(&tid) else { return self.default_resume };
        let Some(plan) = plan else {
            thread.phase = Phase::Skipped;
            return if is_aio { ResumeUntil::Call } else { self.resume_mode(tid) };
        };
        if self.plans.get(plan).mapping == Some(MappingUse::Sync) && !self.mapped_files.is_empty() {
            let addresses = synced_addresses(number, &args);
            self.mapped_files.write_changes(pid, tid, addresses.as_ref(), &mut self.out);
            entered = monotonic_ns();
        }
        let pending = PendingCall { tid, number: number as u32, flags, plan, args, entered };
        thread.entry_payloads.clear();
        let entry = &self.plans.get(plan).entry;
        if !entry.is_empty() {
            let header = header(thread, &pending, 0, 0, 0);
            let mut sink =
                EntrySink { kept: &mut thread.entry_payloads, out: &mut self.out, header };
            CallAtStop { tid, pid: thread.pid, args: &args, result: None }.capture(
                entry,
                &mut self.scratch,
                &mut sink,
            );
        }
        thread.phase = Phase::InCall(pending);
        ResumeUntil::Call
    }

    /// Handles the exit of a call: captures its payloads and writes its record. Returns how to
    /// resume the thread.
    fn handle_exit(&mut self, stopped: &Stopped) -> ResumeUntil {
        let left = monotonic_ns();
        let tid = stopped.tid();
        let ret = self.info.words[0] as i64;
        let Some(pid) = self.threads.get(&tid).map(|t| t.pid) else { return self.default_resume };
        self.aio.leave_call(tid, pid, ret, &mut aio_sinks!(self));
        let Some(thread) = self.threads.get_mut(&tid) else { return self.default_resume };
        // If a filter sends SIGSYS, the result register has the number of the call.
        let syscall =
            if let Phase::InCall(pending) = &thread.phase { pending.number } else { u32::MAX };
        let trapped = ret == i64::from(syscall) && stopped.ends_in_seccomp_sigsys(syscall);
        if let Some(mut clone_call) = thread.clone_call.take() {
            clone_call.restore_untraced(stopped);
            clone_call.reported |= trapped;
            // The call made a child that the kernel did not report.
            self.missing.children += u64::from(ret > 0 && !clone_call.reported);
        }
        let until = if thread.has_program_filter { ResumeUntil::Call } else { self.default_resume };
        let pending = match std::mem::replace(&mut thread.phase, Phase::UserCode) {
            Phase::InCall(pending) => pending,
            Phase::Skipped | Phase::New => return until,
            // The entry of the call was not seen.
            Phase::UserCode => {
                self.missing.entries += 1;
                let Ok((number, args)) = stopped.registers() else { return until };
                let Some(plan) = self.plans.find_plan(number, &args) else { return until };
                thread.entry_payloads.clear();
                PendingCall {
                    tid,
                    number: number as u32,
                    flags: NO_ENTRY,
                    plan,
                    args,
                    entered: left,
                }
            }
        };
        if self.launching {
            // An exec that failed: the child reports the error.
            return until;
        }
        if trapped {
            let flags = NOT_EXECUTED | NO_EXIT;
            self.out.begin(header(thread, &pending, left, 0, flags), RecordSize::Small);
            thread.entry_payloads.put_into(&mut self.out);
            self.out.end();
            return until;
        }
        let steps = &self.plans.get(pending.plan).exit;
        let call = CallAtStop { tid, pid: thread.pid, args: &pending.args, result: Some(ret) };
        let size = call.record_size(steps);
        self.out.begin(header(thread, &pending, left, ret, 0), size);
        thread.entry_payloads.put_into(&mut self.out);
        call.capture(steps, &mut self.scratch, &mut self.out);
        let maps = self.plans.get(pending.plan).mapping == Some(MappingUse::Map);
        if maps
            && abi::errno_of(ret).is_none()
            && let Some(mapping_number) = self.begin_mapping(pid, &pending, ret)
        {
            let bytes = mapping_number.to_le_bytes();
            self.out.put_whole_payload(MAPPING, PayloadKind::Bytes, AT_EXIT, &bytes);
        }
        self.out.end();
        self.update_mapped_files(pid, &pending, ret);
        if self.out.has_failed() {
            self.begin_detach();
        }
        until
    }

    /// Notes that a thread is about to install a seccomp filter, by the call with this system call
    /// number. From now on it stops at every call, and so do the other threads of its process if
    /// they get the filter too (`SECCOMP_FILTER_FLAG_TSYNC`). Until then these may make calls that
    /// the filter answers and that are not recorded, which is counted.
    fn note_filter_install(&mut self, tid: i32, syscall: u64, args: &[u64; 6]) {
        self.any_program_filter = true;
        let Some(pid) = self.threads.get(&tid).map(|thread| thread.pid) else { return };
        let for_all_threads =
            syscall as i64 == libc::SYS_seccomp && args[1] & libc::SECCOMP_FILTER_FLAG_TSYNC != 0;
        for thread in self.threads.values_mut().filter(|thread| thread.pid == pid) {
            if thread.tid == tid {
                thread.has_program_filter = true;
            } else if for_all_threads && !thread.has_program_filter {
                // It runs now, and does not stop at calls before its next stop.
                thread.has_program_filter = true;
                self.missing.filters_in_running_threads += 1;
                if matches!(thread.phase, Phase::Skipped) {
                    thread.phase = Phase::UserCode;
                }
            }
        }
    }

    /// Writes the record of a thread's pending call, which will not be seen to return.
    pub fn write_unfinished_call(&mut self, thread: &mut Thread) {
        if let Phase::InCall(pending) = std::mem::replace(&mut thread.phase, Phase::UserCode)
            && !self.launching
        {
            self.out
                .begin(header(thread, &pending, pending.entered, 0, NO_EXIT), RecordSize::Small);
            thread.entry_payloads.put_into(&mut self.out);
            self.out.end();
        }
    }

    /// Records the exit of a thread's pending call, if that is the last stop before the thread is
    /// detached.
    pub fn record_exit_before_detach(&mut self, stopped: &Stopped, thread: &mut Thread) {
        if stopped.call_info(&mut self.info).is_ok()
            && self.info.op == EXIT
            && !self.out.has_failed()
        {
            // `handle_exit` looks up the thread in the list.
            let (tid, listed) =
                (thread.tid, std::mem::replace(thread, Thread::new(thread.pid, thread.tid)));
            self.threads.insert(tid, listed);
            self.handle_exit(stopped);
            if let Some(handled) = self.threads.remove(&tid) {
                *thread = handled;
            }
        }
    }
}
