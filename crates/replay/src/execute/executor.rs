//! A thread that issues the calls of a traced thread, one after the other, as that thread: in its
//! working directory, with its umask, as its user.

use super::clock::{Clock, Due};
use super::job::{Job, Work};
use super::shared::{KEPT, Shared, kind};
use crate::issue::prepared::{Come, Prepared};
use crate::issue::thread::Thread;
use crate::issue::{Real, procfs, raw};
use crate::report::{Divergence, Times};
use crate::verify::Difference;
use crate::{OnDivergence, Verify};
use crossbeam_channel::{Receiver, Sender};
use model::world::Descriptor;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Arc, PoisonError};
use std::time::{Duration, Instant};

pub(crate) struct Executor {
    shared: Arc<Shared>,
    lane: usize,
    thread: Thread,
    clock: Clock,
    times: Times,
    /// All calls below this number are done.
    waited: u64,
    /// The descriptor of the call before, unless that had a handler, and the real one.
    held: Option<Arc<Descriptor<Real>>>,
    real: i32,
}

/// Brings near what the jobs after the first of these need: another thread made it, long ago
/// perhaps. Each is looked at only when it is near itself.
fn ahead(jobs: &[Job]) {
    if let Some(job) = jobs.get(3) {
        raw::prefetch(std::ptr::from_ref::<Job>(job));
    }
    if let Some(Work::Call(call)) = jobs.get(2).map(|job| &job.work) {
        call.prefetch();
    }
    if let Some(Work::Call(call)) = jobs.get(1).map(|job| &job.work) {
        call.prefetch_further();
    }
}

impl Executor {
    /// Performs the jobs of `lane` until their sender is gone. What is done goes back: memory is
    /// freed by the thread that took it, or the two would wait for each other's heap. `own`: its
    /// descriptor table is to be its own, and it says when it is.
    pub fn run(
        shared: &Arc<Shared>,
        lane: usize,
        jobs: &Receiver<Vec<Job>>,
        back: &Sender<Vec<Job>>,
        own: Option<Sender<()>>,
    ) {
        let work = || {
            let own = own.filter(|_| raw::own_table()).is_some_and(|own| own.send(()).is_ok());
            let mut this = Self::new(shared, lane)?;
            let mut done = Vec::new();
            while !shared.is_open() && !shared.frontier.is_broken() {
                std::thread::park_timeout(Duration::from_millis(100));
            }
            for mut handful in jobs {
                if this.handful(shared, &mut handful)? {
                    return Ok(());
                }
                if shared.options.preload {
                    done.push(handful);
                } else {
                    let _ended = back.send(handful);
                }
            }
            if own {
                raw::close_all();
            }
            shared.add_late(&this.clock.late);
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
        shared.break_off(failed);
    }

    /// In the thread that is to be the executor.
    fn new(shared: &Arc<Shared>, lane: usize) -> Result<Self, String> {
        // A working directory and a umask of this thread alone.
        nix::sched::unshare(nix::sched::CloneFlags::CLONE_FS)
            .map_err(|e| format!("unshare(CLONE_FS): {e}"))?;
        if !shared.powers.any_user && !shared.powers.capabilities {
            raw::drop_capabilities();
        }
        let thread = Thread::new(shared.common.clone()).ok_or("no memory for an executor")?;
        if shared.options.timing {
            raw::measure();
        }
        Ok(Self {
            shared: shared.clone(),
            lane,
            thread,
            clock: Clock::new(shared.options.is_paced()),
            times: Times::default(),
            waited: 0,
            held: None,
            real: -1,
        })
    }

    /// Does jobs one after the other. Whether something has gone wrong.
    fn handful(&mut self, shared: &Shared, handful: &mut [Job]) -> Result<bool, String> {
        let lane = self.lane;
        shared.frontier.come_to(lane, handful.first().map_or(0, |job| job.number), 0);
        for at in 0..handful.len() {
            ahead(&handful[at..]);
            let (job, later) = handful[at..].split_first_mut().ok_or("a job is missing")?;
            let next = later.first();
            let keeps = next
                .is_some_and(|next| matches!(next.work, Work::Call(Prepared { same: true, .. })));
            let next = next.map_or(job.number + 1, |next| next.number);
            let bytes = job.bytes();
            let come = self.perform(shared, job);
            if shared.frontier.is_broken() {
                return Ok(true);
            }
            // Others need not wait for the comparison, unless it may end the replay.
            let at_once = keeps && shared.options.on_divergence != OnDivergence::Stop;
            if at_once {
                shared.frontier.come_to(lane, next, bytes);
            }
            if let Work::Call(call) = &mut job.work {
                if let Some(come) = come {
                    self.settle(shared, job.number, job.tid, call, come);
                }
                call.let_go();
            }
            if !keeps {
                self.held = None;
            }
            if !at_once {
                shared.frontier.come_to(lane, next, bytes);
            }
        }
        shared.frontier.idle(lane);
        Ok(false)
    }

    /// Does a job when it is its turn, unless something has gone wrong. What a call came to is not
    /// settled yet.
    #[inline(always)]
    fn perform(&mut self, shared: &Shared, job: &mut Job) -> Option<Come> {
        if job.after > self.waited {
            shared.frontier.wait(job.after);
            self.waited = job.after;
        }
        if let Some(rare) = &job.rare {
            rare.needs.iter().for_each(|other| shared.frontier.wait_one(*other));
            if rare.due != Due::Now {
                let begun = *shared.begun.get_or_init(Instant::now);
                self.clock.wait(rare.due, job.tid, begun, &shared.stop);
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
        let come = match &mut job.work {
            Work::Call(call) => self.call(shared, call),
            Work::Release(gone) => {
                gone.clear();
                None
            }
        };
        self.clock.done(job.due(), job.tid);
        come
    }

    /// Performs a call, unless the replay is to end.
    #[inline(always)]
    fn call(&mut self, shared: &Shared, call: &mut Prepared) -> Option<Come> {
        // Most are not written to: all of them are more than a cache holds.
        if !call.same {
            self.held = call.meant.take();
            self.real = self.held.as_ref().map_or(-1, |descriptor| descriptor.real.get());
        }
        if shared.stopping() {
            shared.left_undone();
            return None;
        }
        let come = call.perform(self.held.is_some(), self.real, &mut self.thread);
        if matches!(come, Come::Handled(_)) && procfs::is_lost() {
            let why = "a working directory was closed while a call was made from elsewhere";
            shared.break_off(why.to_owned());
        }
        if shared.options.timing {
            self.note_time(call.expected.shape.name);
        }
        Some(come)
    }

    /// Compares what a call came to, unless its handler has, and tells of it.
    fn settle(&mut self, shared: &Shared, number: u64, tid: u32, call: &Prepared, come: Come) {
        match call.differs(come, &self.thread) {
            Ok(None) => {}
            Ok(Some(difference)) => self.report(number, tid, call, difference),
            Err(why) => {
                if let Some(handled) = call.as_handled() {
                    shared.left_out(&handled.call, &handled.bound, why);
                }
                shared.refuse(why);
            }
        }
        self.thread.scratch.clear();
    }

    fn note_time(&mut self, name: &'static str) {
        if let Some(took) = raw::measured().filter(|took| *took > 0) {
            self.times.enter(name, took);
        }
    }

    #[cold]
    fn report(&self, number: u64, tid: u32, call: &Prepared, difference: Difference) {
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
        let file = trace::text::escape(call.path(self.held.as_deref()));
        let (seq, call) = (call.seq, call.expected.shape.name);
        found.kept.push((number, Divergence { seq, tid, call, file, what, expected, got, failed }));
    }
}
