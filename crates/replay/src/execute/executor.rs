//! A thread that issues the calls of a traced thread, one after the other, as that thread: in its working directory, with its umask, as its user.

use super::clock::{Clock, Due};
use super::job::{Job, Work};
use super::shared::{KEPT, Shared, kind};
use crate::issue::call::{Issue, Outcome};
use crate::issue::short::{Come, Short};
use crate::issue::thread::{Thread, reach, reopen, starts_here};
use crate::issue::{Real, handlers, procfs, raw};
use crate::report::Divergence;
use crate::report::Times;
use crate::verify::Difference;
use crate::{OnDivergence, Verify};
use crossbeam_channel::{Receiver, Sender};
use model::world::{Descriptor, To};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Arc, PoisonError};
use std::time::{Duration, Instant};

pub(crate) struct Executor {
    shared: Arc<Shared>,
    thread: Thread,
    times: Times,
    /// All calls below this number are done.
    waited: u64,
    /// The descriptor of the short call before, and the real one.
    held: Option<Arc<Descriptor<Real>>>,
    real: i32,
}

/// Why a call is not performed whose working directory cannot be reached: elsewhere its names mean
/// other files.
const ASTRAY: &str = "no working directory";

/// Brings near what the jobs after the first of these need: another thread made it, long ago perhaps. Each is looked at only when it is near itself.
fn ahead(jobs: &[Job]) {
    if let Some(job) = jobs.get(3) {
        raw::prefetch(std::ptr::from_ref::<Job>(job));
    }
    match jobs.get(2).map(|job| &job.work) {
        Some(Work::Short(short)) => short.prefetch(),
        Some(Work::Call(issue)) => raw::prefetch(std::ptr::from_ref::<Issue>(issue)),
        _ => {}
    }
    if let Some(Work::Call(issue)) = jobs.get(1).map(|job| &job.work) {
        raw::prefetch(Arc::as_ptr(&issue.call));
    }
}

impl Executor {
    /// Performs the jobs of `lane` until their sender is gone. What is done goes back: memory is freed by the thread that took it, or the two would wait for each
    /// other's heap. `own`: its descriptor table is to be its own, and it says when it is.
    pub fn run(
        shared: &Arc<Shared>,
        lane: usize,
        jobs: &Receiver<Vec<Job>>,
        back: &Sender<Vec<Job>>,
        own: Option<Sender<()>>,
    ) {
        let work = || {
            let own = own.filter(|_| raw::own_table()).is_some_and(|own| own.send(()).is_ok());
            // A working directory and a umask of this thread alone.
            nix::sched::unshare(nix::sched::CloneFlags::CLONE_FS)
                .map_err(|e| format!("unshare(CLONE_FS): {e}"))?;
            if !shared.powers.any_user && !shared.powers.capabilities {
                raw::drop_capabilities();
            }
            let thread = Thread::new(shared.common.clone()).ok_or("no memory for an executor")?;
            let mut this = Self {
                shared: shared.clone(),
                thread,
                times: Times::default(),
                waited: 0,
                held: None,
                real: -1,
            };
            if shared.options.timing {
                raw::measure();
            }
            let mut clock = Clock::new(shared.options.is_paced());
            let mut done = Vec::new();
            while !shared.is_open() && !shared.frontier.is_broken() {
                std::thread::park_timeout(Duration::from_millis(100));
            }
            for mut handful in jobs {
                shared.frontier.come_to(lane, handful.first().map_or(0, |job| job.number), 0);
                for at in 0..handful.len() {
                    ahead(&handful[at..]);
                    let (job, later) = handful[at..].split_first_mut().ok_or("a job is missing")?;
                    let next = later.first();
                    let keeps = next.is_some_and(|next| {
                        matches!(next.work, Work::Short(Short { same: true, .. }))
                    });
                    let next = next.map_or(job.number + 1, |next| next.number);
                    let bytes = job.bytes();
                    let come = this.perform(shared, job, &mut clock);
                    if shared.frontier.is_broken() {
                        return Ok(());
                    }
                    // Others need not wait for the comparison, unless it may end the replay.
                    let at_once = keeps && shared.options.on_divergence != OnDivergence::Stop;
                    if at_once {
                        shared.frontier.come_to(lane, next, bytes);
                    }
                    if let (Work::Short(short), Some(come)) = (&job.work, come) {
                        this.compare(shared, job.number, job.tid, short, come);
                    }
                    if !keeps {
                        this.held = None;
                    }
                    if !at_once {
                        shared.frontier.come_to(lane, next, bytes);
                    }
                }
                shared.frontier.idle(lane);
                if shared.options.preload {
                    done.push(handful);
                } else {
                    let _ended = back.send(handful);
                }
            }
            if own {
                raw::close_all();
            }
            shared.add_late(&clock.late);
            shared.times.lock().unwrap_or_else(PoisonError::into_inner).add(this.times);
            Ok::<(), String>(())
        };
        let failed = match catch_unwind(AssertUnwindSafe(work)) {
            Ok(Ok(())) => return,
            Ok(Err(why)) => why,
            Err(panic) => panic
                .downcast_ref::<&str>()
                .map(|s| (*s).to_owned())
                .or_else(|| panic.downcast_ref::<String>().cloned())
                .unwrap_or_default(),
        };
        shared.broken.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(failed);
        shared.frontier.break_off();
    }

    /// Does a job when it is its turn, unless something has gone wrong. What a short call brought is not compared yet.
    #[inline(always)]
    fn perform(&mut self, shared: &Shared, job: &mut Job, clock: &mut Clock) -> Option<Come> {
        if job.after > self.waited {
            shared.frontier.wait(job.after);
            self.waited = job.after;
        }
        if let Some(rare) = &job.rare {
            rare.needs.iter().for_each(|other| shared.frontier.wait_one(*other));
            if rare.due != Due::Now {
                clock.wait(
                    rare.due,
                    job.tid,
                    *shared.begun.get_or_init(Instant::now),
                    &shared.stop,
                );
            }
        }
        if shared.frontier.is_broken() {
            return None;
        }
        if let Some(who) =
            job.rare.as_ref().and_then(|rare| rare.who.as_ref()).filter(|_| shared.powers.any_user)
        {
            raw::become_user(who);
        }
        let mut come = None;
        match &mut job.work {
            Work::Short(short) => come = self.short(shared, short),
            Work::Call(issue) => {
                if shared.stopping() {
                    shared.left_undone();
                } else {
                    self.call(job.number, issue);
                }
                issue.let_go();
            }
            Work::Release(gone) => gone.clear(),
        }
        clock.done(job.due(), job.tid);
        come
    }

    /// Performs a call that was translated beforehand.
    #[inline(always)]
    fn short(&mut self, shared: &Shared, short: &mut Short) -> Option<Come> {
        // Most are not written to: all of them are more than a cache holds.
        if !short.same {
            self.held = short.meant.take();
            self.real = self.held.as_ref().map_or(-1, |descriptor| descriptor.real.get());
        }
        if shared.stopping() {
            shared.left_undone();
            return None;
        }
        if let Some(place) = short.place().and_then(Option::take) {
            self.thread.go_to(place.cwd.as_ref(), place.umask);
        }
        if self.thread.astray && self.held.is_none() && short.starts_here() {
            shared.refuse(ASTRAY);
            return None;
        }
        let come = short.perform(self.real, &mut self.thread.scratch);
        if shared.options.timing {
            self.note_time(short.expected.shape.name);
        }
        Some(come)
    }

    /// Compares what a short call brought.
    fn compare(&mut self, shared: &Shared, number: u64, tid: u32, short: &Short, come: Come) {
        match short.compare(come, &self.thread.scratch, shared.options.verify, &shared.common.rules)
        {
            Ok(None) => {}
            Ok(Some(difference)) => {
                let file =
                    short.path().or(self.held.as_ref().map(|d| &*d.file.path)).unwrap_or_default();
                self.report(number, short.seq, tid, short.expected.shape.name, file, difference);
            }
            Err(_) => shared.refuse("larger than any call"),
        }
        self.thread.scratch.clear();
    }

    fn note_time(&mut self, name: &'static str) {
        if let Some(took) = raw::measured().filter(|took| *took > 0) {
            self.times.enter(name, took);
        }
    }

    /// Performs a call.
    fn call(&mut self, number: u64, issue: &mut Issue) {
        self.thread.go_to(issue.bound.cwd.as_ref(), issue.bound.umask);
        for way in issue.bound.through.values() {
            if let To::Directory(directory) = &way.to {
                reach(directory);
            }
        }
        if self.shared.options.selection.leaves_out() {
            reopen(issue);
        }
        let outcome = if self.thread.astray && starts_here(issue) {
            Outcome::Skipped(ASTRAY)
        } else {
            handlers::perform(&mut self.thread, issue)
        };
        if procfs::is_lost() {
            let why = "a working directory was closed while a call was made from elsewhere";
            let mut broken = self.shared.broken.lock().unwrap_or_else(PoisonError::into_inner);
            broken.get_or_insert_with(|| why.to_owned());
            self.shared.frontier.break_off();
        }
        self.note_time(issue.shape.name);
        self.thread.scratch.clear();
        match outcome {
            Outcome::Issued(Some(difference))
                if !issue.early
                    && (self.shared.options.verify > Verify::None || difference.failed) =>
            {
                let bound = &issue.bound;
                let file = bound.paths.values().map(|p| &**p).next();
                let file = file
                    .or_else(|| {
                        bound
                            .fds
                            .iter()
                            .flatten()
                            .chain(bound.closed.first())
                            .map(|d| &*d.file.path)
                            .next()
                    })
                    .unwrap_or_default();
                self.report(
                    number,
                    issue.call.seq,
                    issue.call.tid,
                    issue.shape.name,
                    file,
                    difference,
                );
            }
            Outcome::Issued(_) => {}
            Outcome::Skipped(why) => {
                self.shared.left_out(&issue.call, &issue.bound, why);
                self.shared.refuse(why);
            }
        }
    }

    #[cold]
    fn report(
        &self,
        number: u64,
        seq: u64,
        tid: u32,
        call: &'static str,
        file: &[u8],
        difference: Difference,
    ) {
        let mut found = self.shared.found.lock().unwrap_or_else(PoisonError::into_inner);
        *found.by_kind.entry(kind(&difference.what).to_owned()).or_default() += 1;
        let compared = self.shared.options.verify > Verify::None;
        if compared && self.shared.options.on_divergence == OnDivergence::Stop {
            self.shared.stop.store(true, Relaxed);
        }
        if found.kept.len() >= KEPT {
            found.more += 1;
            return;
        }
        let Difference { what, expected, got, failed } = difference;
        let file = trace::text::escape(file);
        found.kept.push((number, Divergence { seq, tid, call, file, what, expected, got, failed }));
    }
}
