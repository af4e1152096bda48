//! A thread that issues the calls of a traced thread, one after the other, as that thread: in its working directory, with its umask, as its user.

use crate::handlers;
use crate::issue::{Real, Scratch, raw};
use crate::job::{Issue, Job};
use crate::latency::Times;
use crate::order::Due;
use crate::pacer::Clock;
use crate::report::Divergence;
use crate::shared::{KEPT, Shared, kind};
use crate::verify::Difference;
use crate::{OnDivergence, Pace, Verify};
use crossbeam_channel::{Receiver, Sender};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Arc, PoisonError};
use std::time::{Duration, Instant};
use trace::world::{Credentials, Directory};

/// What an open file keeps of its open's flags: access mode, append, non-blocking, direct, directory, no access time, path only.
pub(crate) const OPEN_FLAGS: u32 = 0o3 | 0o2000 | 0o4000 | 0o40000 | 0o200_000 | 0o1_000_000 | 0o10_000_000;
const O_PATH_DIRECTORY: u32 = 0o10_000_000 | 0o200_000 | 0o2_000_000;

/// What came of a call.
pub(crate) enum Outcome {
    /// It was performed; what differs.
    Issued(Option<Difference>),
    /// It could not be.
    Skipped(&'static str),
}

pub(crate) struct Executor {
    pub shared: Arc<Shared>,
    pub scratch: Scratch,
    /// Where this thread is; `None`: not known.
    pub cwd: Option<Arc<Directory<Real>>>,
    pub umask: u32,
    credentials: Option<Arc<Credentials>>,
    times: Times,
}

/// Opens a directory to go back to later.
pub(crate) fn open_directory(path: &[u8]) -> i64 {
    raw::open(path, O_PATH_DIRECTORY)
}

/// Opens descriptors whose open was left out.
fn reopen(issue: &Issue) {
    for descriptor in issue.bound.fds.iter().flatten().filter(|d| d.real.get() < 0 && d.real.after() == 0 && d.file.is_stored()) {
        let fd = raw::open(&descriptor.file.path, descriptor.file.status() & OPEN_FLAGS);
        if fd >= 0 {
            raw::seek(fd as i32, issue.bound.offset.unwrap_or(0), 0);
            descriptor.real.set(fd as i32);
        }
    }
}

/// Brings near what the jobs after the first of these need: another thread made it, long ago perhaps.
fn ahead(jobs: &[Job]) {
    let call = |at: usize| Some(&jobs.get(at)?.issue.as_ref()?.call);
    if let Some(call) = call(2) {
        raw::prefetch(std::ptr::from_ref::<trace::Call>(call));
    }
    if let Some(call) = call(1) {
        raw::prefetch(call.pieces.as_ptr());
    }
}

impl Executor {
    /// Performs jobs until their sender is gone. What is done goes back: memory is freed by the thread that took it, or the two would wait for each other's heap.
    pub fn run(shared: &Arc<Shared>, jobs: &Receiver<Vec<Job>>, back: &Sender<Vec<Job>>) {
        let work = || {
            // A working directory and a umask of this thread alone.
            nix::sched::unshare(nix::sched::CloneFlags::CLONE_FS).map_err(|e| format!("unshare(CLONE_FS): {e}"))?;
            if !shared.powers.any_user && !shared.powers.capabilities {
                raw::drop_capabilities();
            }
            let scratch = Scratch::new().ok_or("no memory for an executor")?;
            let mut this = Self { shared: shared.clone(), scratch, cwd: None, umask: u32::MAX, credentials: None, times: Times::default() };
            if shared.options.timing {
                raw::measure();
            }
            let mut clock = Clock::new(shared.options.pace != Pace::Asap);
            let mut done = Vec::new();
            while !shared.is_open() && !shared.frontier.is_broken() {
                std::thread::park_timeout(Duration::from_millis(100));
            }
            for mut handful in jobs {
                for at in 0..handful.len() {
                    ahead(&handful[at..]);
                    this.perform(shared, &mut handful[at], &mut clock);
                    if shared.frontier.is_broken() {
                        return Ok(());
                    }
                }
                if shared.options.preload {
                    done.push(handful);
                } else {
                    let _ended = back.send(handful);
                }
            }
            shared.add_late(&clock.late);
            shared.times.lock().unwrap_or_else(PoisonError::into_inner).add(this.times);
            Ok::<(), String>(())
        };
        let failed = match catch_unwind(AssertUnwindSafe(work)) {
            Ok(Ok(())) => return,
            Ok(Err(why)) => why,
            Err(panic) => panic.downcast_ref::<&str>().map(|s| (*s).to_owned()).or_else(|| panic.downcast_ref::<String>().cloned()).unwrap_or_default(),
        };
        shared.broken.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(failed);
        shared.frontier.break_off();
    }

    /// Does a job when it is its turn, unless something has gone wrong.
    fn perform(&mut self, shared: &Shared, job: &mut Job, clock: &mut Clock) {
        shared.frontier.wait(job.after);
        for other in &job.needs {
            shared.frontier.wait_one(*other);
        }
        let tid = job.issue.as_ref().map_or(0, |issue| issue.call.tid);
        if job.due != Due::Now {
            clock.wait(job.due, tid, *shared.begun.get_or_init(Instant::now), &shared.stop);
        }
        if shared.frontier.is_broken() {
            return;
        }
        match &mut job.issue {
            Some(_) if shared.stopping() => shared.left_undone(),
            Some(issue) => self.call(job.number, issue),
            None => {}
        }
        job.issue.iter_mut().for_each(Issue::let_go);
        job.release.clear();
        clock.done(job.due, tid);
        shared.bytes.fetch_sub(job.bytes, Relaxed);
        shared.frontier.complete(job.number);
    }

    /// Performs a call.
    fn call(&mut self, number: u64, issue: &mut Issue) {
        self.become_caller(issue);
        if self.shared.options.selection.leaves_out() {
            reopen(issue);
        }
        let outcome = handlers::perform(self, issue);
        if let Some(took) = raw::measured().filter(|took| *took > 0) {
            self.times.enter(issue.shape.name, took);
        }
        self.scratch.clear();
        match outcome {
            Outcome::Issued(Some(difference)) if self.shared.options.verify > Verify::None && !issue.early => self.report(number, issue, difference),
            Outcome::Issued(_) => {}
            Outcome::Skipped(why) => {
                self.shared.left_out(&issue.call, &issue.bound, why);
                *self.shared.refused.lock().unwrap_or_else(PoisonError::into_inner).entry(why).or_default() += 1;
            }
        }
    }

    /// Goes where the traced thread was, and takes on what it was.
    fn become_caller(&mut self, issue: &Issue) {
        if let Some(who) = &issue.credentials
            && self.shared.powers.any_user
            && !self.credentials.as_ref().is_some_and(|c| Arc::ptr_eq(c, who))
        {
            raw::become_user(who);
            self.credentials = Some(who.clone());
        }
        if let Some(cwd) = &issue.bound.cwd
            && !self.cwd.as_ref().is_some_and(|c| Arc::ptr_eq(c, cwd))
        {
            if cwd.real.get() < 0 {
                let fd = open_directory(&cwd.path);
                if fd >= 0 {
                    cwd.real.set(fd as i32);
                }
            }
            raw::fchdir(cwd.real.get());
            self.cwd = Some(cwd.clone());
        }
        if issue.bound.umask != self.umask {
            raw::umask(issue.bound.umask);
            self.umask = issue.bound.umask;
        }
    }

    fn report(&self, number: u64, issue: &Issue, difference: Difference) {
        let mut found = self.shared.found.lock().unwrap_or_else(PoisonError::into_inner);
        *found.by_kind.entry(kind(&difference.what).to_owned()).or_default() += 1;
        if self.shared.options.on_divergence == OnDivergence::Stop {
            self.shared.stop.store(true, Relaxed);
        }
        if found.kept.len() >= KEPT {
            found.more += 1;
            return;
        }
        let Difference { what, expected, got } = difference;
        let bound = &issue.bound;
        let file = bound.paths.values().map(|p| &**p).next();
        let file = file.or_else(|| bound.fds.iter().flatten().chain(bound.closed.first()).map(|d| &*d.file.path).next()).unwrap_or_default();
        let file = String::from_utf8_lossy(file).into_owned();
        found.kept.push((number, Divergence { seq: issue.call.seq, tid: issue.call.tid, call: issue.shape.name, file, what, expected, got }));
    }
}
