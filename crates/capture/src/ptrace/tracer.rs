//! The tracer's loop: wait for a stop, record what it shows, resume the thread.

mod attach;
mod calls;
mod fork_exec_exit;
mod mappings;

use super::affinity::{BackgroundSealer, CpuAffinity};
use super::aio::AioTracker;
use super::births::NewThreads;
use super::missing::Missing;
use super::steps::Scratch;
use super::stopped::{CallInfo, ResumeUntil, Stop, Stopped, WaitMode, WaitResult, wait_for_tracee};
use super::thread::{Phase, Thread};
use crate::inspect::open_files::OpenFiles;
use crate::mapped_files::MappedFiles;
use crate::plans::Plans;
use crate::records::{RecordWriter, monotonic_ns};
use crate::signals::{EndRequests, Handlers, stop_recorder};
use crate::{Options, Outcome, ProgramEnd};
use attach::Attaching;
use std::collections::HashMap;
use std::time::{Duration, Instant};
use trace::journal::Journal;
use trace::record::RecordKind;

/// The tracer: all traced threads, and where their records go.
pub(super) struct Tracer {
    /// All traced threads, by thread ID.
    pub threads: HashMap<i32, Thread>,
    /// New threads that stopped or ended before their creators' stops were reported.
    pub new_threads: NewThreads<(Stopped, Stop)>,
    /// Counts of what was not observed.
    pub missing: Missing,
    /// After how many wake-ups by [`WAKE_SIGNAL`](crate::signals::WAKE_SIGNAL) stops that report a
    /// new thread are handled; 0: at once. Tests use it to simulate a loaded machine.
    fork_report_delay: u32,
    /// Stops that are delayed so, with the number of wake-ups that are left.
    pub delayed_forks: Vec<(u32, Stopped)>,
    /// Whether some thread may have a seccomp filter of the program.
    pub any_program_filter: bool,
    /// Processes of which not all threads have stopped for the first time, by process ID.
    pub attaching: HashMap<i32, Attaching>,
    /// The journal.
    pub out: RecordWriter,
    /// The capture plan of each system call.
    pub plans: Plans,
    /// Memory that is reused for each call.
    pub scratch: Scratch,
    /// The call of the thread that stopped last.
    pub info: CallInfo,
    /// Open files that were seen at the start.
    pub files: OpenFiles,
    /// Binds this thread to the tracee's CPU while that is faster.
    pub affinity: CpuAffinity,
    /// The installed signal handlers.
    pub handlers: Handlers,
    /// Operations of libaio that are under way.
    pub aio: AioTracker,
    /// Files that are mapped shared.
    pub mapped_files: MappedFiles,
    /// How many shared mappings of files were created; each gets this count as its number.
    pub mapping_count: u32,
    /// How a thread is resumed that is in no call to be recorded.
    pub default_resume: ResumeUntil,
    /// The process ID of the command, or of the only process that was attached to.
    pub main: Option<i32>,
    /// Whether that is the recorder's child. Signals to the recorder are meant for it then.
    pub main_is_child: bool,
    /// Whether the recorder's child has not executed the command yet.
    pub launching: bool,
    /// How the main program ended.
    pub end: ProgramEnd,
    /// Messages for the user.
    pub notes: Vec<String>,
    /// If all threads are being detached: when to stop waiting for them.
    pub detach_deadline: Option<Instant>,
    /// Whether threads were detached that still ran.
    pub detached: bool,
    /// How often the user has asked to end the recording.
    end_requests: EndRequests,
    /// When the terminal last stopped the recorder's process group.
    stop_requested: Option<Instant>,
}

/// How long to wait for threads that do not stop to be detached. The kernel detaches them when the
/// tracer's thread ends.
const DETACH_TIMEOUT: Duration = Duration::from_secs(2);

impl Tracer {
    /// Creates a tracer without threads. Installs the signal handlers, and starts the thread that
    /// changes the affinity of this one, which wakes it regularly.
    pub fn new(options: &Options, journal: Journal, sealer: BackgroundSealer) -> Self {
        let handlers = Handlers::install();
        Self {
            threads: HashMap::new(),
            new_threads: NewThreads::new(),
            missing: Missing::default(),
            fork_report_delay: options.fork_report_delay,
            delayed_forks: Vec::new(),
            any_program_filter: false,
            attaching: HashMap::new(),
            out: RecordWriter::new(journal),
            mapped_files: MappedFiles::new(options),
            mapping_count: 0,
            plans: Plans::new(options),
            scratch: Scratch::new(),
            info: CallInfo::default(),
            files: OpenFiles::default(),
            affinity: CpuAffinity::start(sealer, &handlers),
            handlers,
            aio: AioTracker::new(),
            default_resume: if options.seccomp { ResumeUntil::Event } else { ResumeUntil::Call },
            main: None,
            main_is_child: false,
            launching: false,
            end: ProgramEnd::Running,
            notes: Vec::new(),
            detach_deadline: None,
            detached: false,
            end_requests: EndRequests::default(),
            stop_requested: None,
        }
    }

    /// Records until no thread is left, or until the user ends the recording.
    pub fn run(&mut self) {
        loop {
            if self.handlers.has_received() {
                self.handle_wakeup();
            }
            if self
                .detach_deadline
                .is_some_and(|until| self.threads.is_empty() || Instant::now() > until)
            {
                self.detached |= !self.threads.is_empty();
                // If the journal has failed there is nothing to record, but the shell still waits
                // for the recorder to exit with the command's status.
                let shell_waits = self.out.has_failed()
                    && self.main_is_child
                    && matches!(self.end, ProgramEnd::Running)
                    && self.end_requests.times() < 2;
                if !shell_waits {
                    return;
                }
            }
            match self.wait() {
                WaitResult::Stopped(stopped, stop) => self.handle_stop(stopped, stop),
                WaitResult::Ended(tid, status) => self.handle_end(tid, status),
                WaitResult::Interrupted | WaitResult::Nothing => {}
                WaitResult::NoTracees => return,
            }
        }
    }

    /// Waits for the next stop, end or signal; polls first if that is faster.
    fn wait(&mut self) -> WaitResult {
        if self.affinity.polls_first() {
            match self.affinity.poll(|| wait_for_tracee(WaitMode::Poll)) {
                WaitResult::Nothing => {}
                result => return result,
            }
        } else if self.affinity.is_bound() {
            match wait_for_tracee(WaitMode::Poll) {
                WaitResult::Nothing => self.affinity.note_miss(),
                result => {
                    self.affinity.note_hit();
                    return result;
                }
            }
        }
        wait_for_tracee(WaitMode::Block)
    }

    /// Handles a stop: records what it shows and resumes the thread, or keeps it stopped until it
    /// is known what it is.
    pub fn handle_stop(&mut self, stopped: Stopped, stop: Stop) {
        self.affinity.note_stop(stopped.tid());
        self.scratch.strings.forget();
        if !self.delayed_forks.is_empty() {
            self.delayed_forks.retain(|(_, other)| other.tid() != stopped.tid());
        }
        let Some(thread) = self.threads.get_mut(&stopped.tid()) else {
            // "The new child may stop before the parent's event is reported" (ptrace(2)): keep it
            // stopped until its parent is known.
            return if self.detach_deadline.is_some() {
                stopped.detach(0);
            } else {
                self.new_threads.stopped(stopped.tid(), (stopped, stop), monotonic_ns());
            };
        };
        if self.attaching.contains_key(&thread.pid) {
            let pid = thread.pid;
            return self.keep_stopped(pid, stopped, stop);
        }
        if let Some((changed, flags)) = thread.flags_to_restore.take() {
            let _ = changed.store(&stopped, flags);
        }
        let was_stopped = std::mem::replace(&mut thread.stopped, matches!(stop, Stop::Group(_)));
        if self.detach_deadline.is_some() {
            return self.detach_one(stopped, stop);
        }
        match stop {
            Stop::Call => self.handle_call_stop(stopped),
            Stop::Seccomp => self.handle_seccomp_stop(stopped),
            Stop::Fork if self.fork_report_delay > 0 => {
                self.delayed_forks.push((self.fork_report_delay, stopped));
            }
            Stop::Fork => self.handle_fork(stopped),
            Stop::Exec => self.handle_exec(stopped),
            Stop::Ending => self.handle_exit_stop(stopped),
            Stop::Group(_) => {
                let is_main = self.main == Some(thread.pid);
                stopped.listen();
                if is_main && !was_stopped {
                    self.stop_with_command();
                }
            }
            Stop::Signal(signal) => {
                let (code, sender) = stopped.signal_origin().unwrap_or((0, 0));
                let args = [signal as u64, i64::from(code) as u64, sender as u64, 0, 0, 0];
                self.out.write_event(
                    RecordKind::Signal,
                    monotonic_ns(),
                    thread.pid,
                    thread.tid,
                    args,
                );
                let until = self.resume_mode(stopped.tid());
                stopped.resume(until, signal);
            }
            Stop::VforkDone | Stop::Trap => {
                let until = self.resume_mode(stopped.tid());
                stopped.resume(until, 0);
            }
        }
    }

    /// Returns how to resume a thread: one that is in a call that is recorded or makes threads, or
    /// that has a seccomp filter of the program, stops at the next entry or exit.
    pub fn resume_mode(&self, tid: i32) -> ResumeUntil {
        match self.threads.get(&tid) {
            Some(t)
                if t.clone_call.is_some()
                    || t.has_program_filter
                    || matches!(t.phase, Phase::InCall(_)) =>
            {
                ResumeUntil::Call
            }
            _ => self.default_resume,
        }
    }

    /// Handles signals of the user, and what is due after some time: flushes the journal, reports
    /// delayed stops and orphans, and stops waiting for threads that do not stop.
    fn handle_wakeup(&mut self) {
        let received = self.handlers.take_received();
        self.out.flush();
        if self.out.has_failed() {
            self.begin_detach();
        }
        let command =
            self.main.filter(|_| self.main_is_child && matches!(self.end, ProgramEnd::Running));
        if self.end_requests.count(received, command) {
            self.begin_detach();
        }
        if received.stop {
            self.stop_requested = Some(Instant::now());
            self.stop_with_command();
        }
        self.handle_delayed_forks();
        self.release_orphans(None);
        self.give_up_on_unstopped();
    }

    /// Handles delayed stops that are due.
    fn handle_delayed_forks(&mut self) {
        for (ticks, stopped) in std::mem::take(&mut self.delayed_forks) {
            if ticks > 0 {
                self.delayed_forks.push((ticks - 1, stopped));
            } else {
                self.handle_fork(stopped);
            }
        }
    }

    /// Stops the recorder if the terminal has asked for it within the last second and the command
    /// has stopped, so that the shell sees the recorder stopped. The command may ignore the signal;
    /// then the recorder goes on as well.
    fn stop_with_command(&mut self) {
        let recent = self.stop_requested.is_some_and(|t| t.elapsed() < Duration::from_secs(1));
        let stopped = self.main.and_then(|m| self.threads.get(&m)).is_some_and(|t| t.stopped);
        if recent && stopped && self.main_is_child {
            self.stop_requested = None;
            self.out.flush();
            stop_recorder();
        }
    }

    /// Begins to detach all threads.
    pub fn begin_detach(&mut self) {
        if self.detach_deadline.is_some() {
            return;
        }
        self.detach_deadline = Some(Instant::now() + DETACH_TIMEOUT);
        for (_, stopped) in std::mem::take(&mut self.delayed_forks) {
            self.detach_one(stopped, Stop::Fork);
        }
        for (stopped, _) in self.new_threads.drain() {
            stopped.detach(0);
        }
        for attaching in std::mem::take(&mut self.attaching).into_values() {
            for (stopped, stop) in attaching.held {
                self.detach_one(stopped, stop);
            }
        }
        for tid in self.threads.keys() {
            let _ = super::stopped::interrupt(*tid);
        }
    }

    /// Records the pending call of a stopped thread as unfinished, and detaches the thread.
    fn detach_one(&mut self, stopped: Stopped, stop: Stop) {
        if stop == Stop::Fork
            && let (Ok(child), Some(parent)) =
                (stopped.event_message(), self.threads.get(&stopped.tid()))
        {
            // The child is traced already, and stops by itself.
            let flags_to_restore = parent.clone_call.and_then(|call| call.patched_in_child());
            let child = Thread { flags_to_restore, ..Thread::new(parent.pid, child) };
            self.threads.insert(child.tid, child);
        }
        if let Some(mut thread) = self.threads.remove(&stopped.tid()) {
            if matches!(stop, Stop::Call) {
                self.record_exit_before_detach(&stopped, &mut thread);
            }
            if let Some(clone_call) = &mut thread.clone_call {
                clone_call.restore_untraced(&stopped);
            }
            self.write_unfinished_call(&mut thread);
            self.detached = true;
        }
        stopped.detach(if let Stop::Signal(signal) = stop { signal } else { 0 });
    }

    /// Ends the recording: records pending calls as unfinished, and writes the journal to stable
    /// storage.
    pub fn finish(mut self) -> Outcome {
        for mut thread in std::mem::take(&mut self.threads).into_values() {
            // A thread that is still listed when all have ended has ended unseen.
            self.missing.ends += u64::from(self.detach_deadline.is_none());
            self.write_unfinished_call(&mut thread);
        }
        self.aio.finish(&mut self.out);
        self.mapped_files.finish(&mut self.out);
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

    /// Adds a message for the user, in the outcome and in the trace, unless it was added before.
    pub fn add_note(&mut self, pid: i32, tid: i32, text: String) {
        if !self.notes.contains(&text) {
            self.out.write_event_with(
                RecordKind::Note,
                monotonic_ns(),
                pid,
                tid,
                [0; 6],
                &[(0, trace::record::PayloadKind::String, text.as_bytes())],
            );
            self.notes.push(text);
        }
    }

    /// Sets how the main program ended, from its wait status.
    pub fn set_program_end(&mut self, status: i32) {
        self.end = if libc::WIFEXITED(status) {
            ProgramEnd::Exited(libc::WEXITSTATUS(status))
        } else {
            ProgramEnd::Signaled(libc::WTERMSIG(status))
        };
    }
}
