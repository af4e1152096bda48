//! Entries and exits of calls.

use super::seccomp::{ARCH, X32};
use super::steps::End;
use super::stopped::{ENTRY, EXIT, SECCOMP, Stopped, Until};
use super::thread::{Pending, Phase, Thread};
use super::tracer::Tracer;
use crate::out::{AtEntry, now};
use nix::libc;
use trace::record::{COMPAT, Header, NO_ENTRY, NO_EXIT, RecordKind};

fn header(thread: &Thread, p: &Pending, left: u64, ret: i64, flags: u8) -> Header {
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
            return stopped.resume(Until::Call, 0);
        }
        let until = match self.info.op {
            ENTRY | SECCOMP => self.entry(stopped.tid()),
            EXIT => self.exit(&stopped),
            _ => self.inside(stopped.tid()),
        };
        stopped.resume(until, 0);
    }

    /// How it goes on.
    fn entry(&mut self, tid: i32) -> Until {
        let entered = now();
        let [number, args @ .., _] = self.info.words;
        let Some(thread) = self.threads.get_mut(&tid) else { return self.until };
        let native = self.info.arch == ARCH && number < X32;
        if self.launching && !(native && matches!(number as i64, libc::SYS_execve)) {
            thread.phase = Phase::Skipped(number, args);
            return self.until;
        }
        let (steps, flags) =
            if native { (self.plans.find(number, &args), 0) } else { (Some(0), COMPAT) };
        let Some(steps) = steps else {
            thread.phase = Phase::Skipped(number, args);
            return self.until;
        };
        let pending = Pending { tid, number: number as u32, flags, steps, args, entered };
        thread.waiting.clear();
        let entry = &self.plans.steps(steps).entry;
        if !entry.is_empty() {
            let header = header(thread, &pending, 0, 0, 0);
            let mut sink = AtEntry { waiting: &mut thread.waiting, out: &mut self.out, header };
            End { tid, pid: thread.pid, args: &args, result: None }.take(
                entry,
                &mut self.scratch,
                &mut sink,
            );
        }
        thread.phase = Phase::In(pending);
        Until::Call
    }

    /// How it goes on.
    fn exit(&mut self, stopped: &Stopped) -> Until {
        let left = now();
        let tid = stopped.tid();
        let ret = self.info.words[0] as i64;
        let Some(thread) = self.threads.get_mut(&tid) else { return self.until };
        let pending = match std::mem::replace(&mut thread.phase, Phase::Out) {
            Phase::In(pending) => pending,
            Phase::Skipped(..) | Phase::New => return self.until,
            // We have not seen it begin.
            Phase::Out => {
                let Ok((number, args)) = stopped.registers() else { return self.until };
                let Some(steps) = self.plans.find(number, &args) else { return self.until };
                thread.waiting.clear();
                Pending { tid, number: number as u32, flags: NO_ENTRY, steps, args, entered: left }
            }
        };
        if self.launching {
            // An exec that failed: the child tells us why.
            return self.until;
        }
        let steps = &self.plans.steps(pending.steps).exit;
        let end = End { tid, pid: thread.pid, args: &pending.args, result: Some(ret) };
        self.out.begin(
            header(thread, &pending, left, ret, 0),
            !steps.is_empty() && end.is_large(steps),
        );
        thread.waiting.put(&mut self.out);
        end.take(steps, &mut self.scratch, &mut self.out);
        self.out.end();
        if self.out.failed() {
            self.leave();
        }
        self.until
    }

    /// A call that will not be seen to return.
    pub fn unfinished(&mut self, thread: &mut Thread) {
        if let Phase::In(pending) = std::mem::replace(&mut thread.phase, Phase::Out)
            && !self.launching
        {
            self.out.begin(header(thread, &pending, pending.entered, 0, NO_EXIT), false);
            thread.waiting.put(&mut self.out);
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
