//! The loop: wait for a stop, understand it, record it, let the thread go on.

mod attach;
mod calls;
mod fork_exec_exit;

use super::affinity::{BackgroundSealer, CpuAffinity};
use super::births::Births;
use super::missing::Missing;
use super::steps::Scratch;
use super::stopped::{CallInfo, ResumeUntil, Stop, Stopped, WaitResult, wait};
use super::thread::{Phase, Thread};
use crate::inspect::open_files::OpenFiles;
use crate::plans::Plans;
use crate::records::{RecordWriter, now};
use crate::signals::{EndRequests, Handlers, stop_ourselves};
use crate::{Options, Outcome, ProgramEnd};
use attach::Joining;
use std::collections::HashMap;
use std::time::{Duration, Instant};
use trace::journal::Journal;
use trace::record::RecordKind;

/// Everything that the engine knows.
pub(super) struct Tracer {
    pub threads: HashMap<i32, Thread>,
    /// Threads that showed themselves before their parents told us of them.
    pub births: Births<(Stopped, Stop)>,
    /// What we know that we did not see.
    pub missing: Missing,
    /// Stops that tell of a birth are looked at so many ticks later: a test's way to load.
    fork_report_delay: u32,
    pub late: Vec<(u32, Stopped)>,
    /// A thread may have a seccomp filter that is not ours.
    pub filters: bool,
    pub joining: HashMap<i32, Joining>,
    pub out: RecordWriter,
    pub plans: Plans,
    pub scratch: Scratch,
    pub info: CallInfo,
    pub files: OpenFiles,
    pub affinity: CpuAffinity,
    pub handlers: Handlers,
    /// How a thread goes on that is in its own code.
    pub until: ResumeUntil,
    /// The command's process, or the only one that we joined.
    pub main: Option<i32>,
    /// Whether it is our child: signals to us are meant for it.
    pub ours: bool,
    /// The command has not been executed yet.
    pub launching: bool,
    /// How it ended.
    pub end: ProgramEnd,
    pub notes: Vec<String>,
    /// All threads are being let go, until then.
    pub leaving: Option<Instant>,
    pub detached: bool,
    end_requests: EndRequests,
    stop_asked: Option<Instant>,
}

/// After this long we no longer wait for a thread that does not stop: the kernel lets go of it when
/// our thread ends.
const PATIENCE: Duration = Duration::from_secs(2);

impl Tracer {
    pub fn new(options: &Options, journal: Journal, sealer: BackgroundSealer) -> Self {
        let handlers = Handlers::install();
        Self {
            threads: HashMap::new(),
            births: Births::new(),
            missing: Missing::default(),
            fork_report_delay: options.fork_report_delay,
            late: Vec::new(),
            filters: false,
            joining: HashMap::new(),
            out: RecordWriter::new(journal),
            plans: Plans::new(options),
            scratch: Scratch::new(),
            info: CallInfo::default(),
            files: OpenFiles::default(),
            affinity: CpuAffinity::start(sealer, &handlers),
            handlers,
            until: if options.seccomp { ResumeUntil::Event } else { ResumeUntil::Call },
            main: None,
            ours: false,
            launching: false,
            end: ProgramEnd::Running,
            notes: Vec::new(),
            leaving: None,
            detached: false,
            end_requests: EndRequests::default(),
            stop_asked: None,
        }
    }

    /// Watches until no thread is left, or until the recording is to end.
    pub fn run(&mut self) {
        loop {
            if self.handlers.any() {
                self.tick();
            }
            if self.leaving.is_some_and(|until| self.threads.is_empty() || Instant::now() > until) {
                self.detached |= !self.threads.is_empty();
                // Without a journal there is nothing to watch, but the shell still waits for the
                // command, and for its status from us.
                let awaited = self.out.failed()
                    && self.ours
                    && matches!(self.end, ProgramEnd::Running)
                    && self.end_requests.times() < 2;
                if !awaited {
                    return;
                }
            }
            match self.wait() {
                WaitResult::Stopped(stopped, stop) => self.stopped(stopped, stop),
                WaitResult::Ended(tid, status) => self.ended(tid, status),
                WaitResult::Interrupted | WaitResult::Nothing => {}
                WaitResult::NoTracees => return,
            }
        }
    }

    fn wait(&mut self) -> WaitResult {
        if self.affinity.polls_first() {
            match self.affinity.poll(|| wait(false)) {
                WaitResult::Nothing => {}
                something => return something,
            }
        } else if self.affinity.is_bound() {
            match wait(false) {
                WaitResult::Nothing => self.affinity.next_stop_was_late(),
                something => {
                    self.affinity.next_stop_was_there();
                    return something;
                }
            }
        }
        wait(true)
    }

    pub fn stopped(&mut self, stopped: Stopped, stop: Stop) {
        self.affinity.note_stop(stopped.tid());
        self.scratch.strings.forget();
        if !self.late.is_empty() {
            self.late.retain(|(_, other)| other.tid() != stopped.tid());
        }
        let Some(thread) = self.threads.get_mut(&stopped.tid()) else {
            // "The new child may stop before the parent's event is reported": hold it until we know
            // whose child it is.
            return if self.leaving.is_some() {
                stopped.detach(0);
            } else {
                self.births.stopped(stopped.tid(), (stopped, stop), now());
            };
        };
        if self.joining.contains_key(&thread.pid) {
            let pid = thread.pid;
            return self.joined(pid, stopped, stop);
        }
        if let Some((changed, flags)) = thread.to_restore.take() {
            let _ = changed.store(&stopped, flags);
        }
        let was_stopped = std::mem::replace(&mut thread.stopped, matches!(stop, Stop::Group(_)));
        if self.leaving.is_some() {
            return self.leave_one(stopped, stop);
        }
        match stop {
            Stop::Call => self.call(stopped),
            Stop::Seccomp => self.asked(stopped),
            Stop::Fork if self.fork_report_delay > 0 => {
                self.late.push((self.fork_report_delay, stopped))
            }
            Stop::Fork => self.fork(stopped),
            Stop::Exec => self.exec(stopped),
            Stop::Ending => self.ending(stopped),
            Stop::Group(_) => {
                let main = self.main == Some(thread.pid);
                stopped.listen();
                if main && !was_stopped {
                    self.stop_with_the_command();
                }
            }
            Stop::Signal(signal) => {
                let (code, sender) = stopped.sender().unwrap_or((0, 0));
                let args = [signal as u64, i64::from(code) as u64, sender as u64, 0, 0, 0];
                self.out.event(RecordKind::Signal, now(), thread.pid, thread.tid, args);
                let until = self.inside(stopped.tid());
                stopped.resume(until, signal);
            }
            Stop::VforkDone | Stop::Trap => {
                let until = self.inside(stopped.tid());
                stopped.resume(until, 0);
            }
        }
    }

    /// How a thread goes on from where it is: one that is in a call that we record, or that makes
    /// threads, stops at its exit.
    pub fn inside(&self, tid: i32) -> ResumeUntil {
        match self.threads.get(&tid) {
            Some(t)
                if t.clone_call.is_some() || t.filtered || matches!(t.phase, Phase::InCall(_)) =>
            {
                ResumeUntil::Call
            }
            _ => self.until,
        }
    }

    /// Something happened outside: time has passed, or the user wants something.
    fn tick(&mut self) {
        let arrived = self.handlers.take();
        self.out.flush();
        if self.out.failed() {
            self.leave();
        }
        let command = self.main.filter(|_| self.ours && matches!(self.end, ProgramEnd::Running));
        if self.end_requests.count(arrived, command) {
            self.leave();
        }
        if arrived.stop {
            self.stop_asked = Some(Instant::now());
            self.stop_with_the_command();
        }
        self.report_late_births();
        self.release_orphans(None);
        self.hurry_joining();
    }

    fn report_late_births(&mut self) {
        for (ticks, stopped) in std::mem::take(&mut self.late) {
            if ticks > 0 {
                self.late.push((ticks - 1, stopped));
            } else {
                self.fork(stopped);
            }
        }
    }

    /// When the terminal stops the command and us, our shell must see us stopped; but not before
    /// the command has stopped, which may not want to.
    fn stop_with_the_command(&mut self) {
        let recent = self.stop_asked.is_some_and(|t| t.elapsed() < Duration::from_secs(1));
        let stopped = self.main.and_then(|m| self.threads.get(&m)).is_some_and(|t| t.stopped);
        if recent && stopped && self.ours {
            self.stop_asked = None;
            self.out.flush();
            stop_ourselves();
        }
    }

    /// Begins to let go of all threads.
    pub fn leave(&mut self) {
        if self.leaving.is_some() {
            return;
        }
        self.leaving = Some(Instant::now() + PATIENCE);
        for (_, stopped) in std::mem::take(&mut self.late) {
            self.leave_one(stopped, Stop::Fork);
        }
        for (stopped, _) in self.births.drain() {
            stopped.detach(0);
        }
        for joining in std::mem::take(&mut self.joining).into_values() {
            for (stopped, stop) in joining.held {
                self.leave_one(stopped, stop);
            }
        }
        for tid in self.threads.keys() {
            let _ = super::stopped::interrupt(*tid);
        }
    }

    fn leave_one(&mut self, stopped: Stopped, stop: Stop) {
        if stop == Stop::Fork
            && let (Ok(child), Some(parent)) = (stopped.message(), self.threads.get(&stopped.tid()))
        {
            // It is watched from its birth, and stops by itself.
            let to_restore = parent.clone_call.and_then(|m| m.patched_in_child());
            let child = Thread { to_restore, ..Thread::new(parent.pid, child) };
            self.threads.insert(child.tid, child);
        }
        if let Some(mut thread) = self.threads.remove(&stopped.tid()) {
            if matches!(stop, Stop::Call) {
                self.call_before_leaving(&stopped, &mut thread);
            }
            if let Some(clone_call) = &mut thread.clone_call {
                clone_call.restore_untraced(&stopped);
            }
            self.unfinished(&mut thread);
            self.detached = true;
        }
        stopped.detach(if let Stop::Signal(signal) = stop { signal } else { 0 });
    }

    /// Ends the recording.
    pub fn finish(mut self) -> Outcome {
        for mut thread in std::mem::take(&mut self.threads).into_values() {
            // A thread that is left when all have ended has ended unseen.
            self.missing.ends += u64::from(self.leaving.is_none());
            self.unfinished(&mut thread);
        }
        drop(self.affinity);
        drop(self.handlers);
        let journal_error = self.out.finish();
        Outcome {
            end: self.end,
            notes: self.notes,
            delay: Duration::ZERO,
            detached: self.detached,
            journal_error,
            missing: self.missing.reasons(),
        }
    }

    /// Says something to the user, once.
    pub fn note(&mut self, pid: i32, tid: i32, text: String) {
        if !self.notes.contains(&text) {
            self.out.event_with(
                RecordKind::Note,
                now(),
                pid,
                tid,
                [0; 6],
                &[(0, trace::record::PayloadKind::String, text.as_bytes())],
            );
            self.notes.push(text);
        }
    }

    /// The wait status of the main program becomes ours.
    pub fn main_ended(&mut self, status: i32) {
        self.end = if libc::WIFEXITED(status) {
            ProgramEnd::Exited(libc::WEXITSTATUS(status))
        } else {
            ProgramEnd::Signaled(libc::WTERMSIG(status))
        };
    }
}
