//! A thread that issues the calls of a traced thread, one after the other, as that thread: in its
//! working directory, with its umask, as its user.

use super::clock::{Clock, Due};
use super::job::{Job, Work};
use super::pool::STACK_SIZE;
use super::ring::RingStart;
use super::shared::{MAX_DIVERGENCES, Shared, divergence_kind};
use crate::issue::prepared::{CallResult, PreparedCall};
use crate::issue::thread::ExecutorThread;
use crate::issue::{RealFd, procfs, raw};
use crate::report::{Divergence, LatencyHistograms};
use crate::verify::Mismatch;
use crate::{OnDivergence, Verify};
use crossbeam_channel::{Receiver, Sender};
use model::processes::Descriptor;
use sandbox::unshare_directory;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Arc, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

pub(crate) struct Executor {
    shared: Arc<Shared>,
    pub(super) index: usize,
    pub(super) thread: ExecutorThread,
    pub(super) clock: Clock,
    pub(super) times: LatencyHistograms,
    /// All calls below this number are done.
    pub(super) done_below: u64,
    /// The descriptor of the previous call, unless that had a handler, and its real number.
    pub(super) descriptor: Option<Arc<Descriptor<RealFd>>>,
    pub(super) fd: i32,
    /// The threads of rings that use its descriptors.
    rings: Vec<JoinHandle<()>>,
}

/// Does the work of an executor's thread. An error or a panic ends the replay.
pub(super) fn run_guarded(shared: &Shared, work: impl FnOnce() -> Result<(), String>) {
    let failed = match catch_unwind(AssertUnwindSafe(work)) {
        Ok(Ok(())) => return,
        Ok(Err(why)) => why,
        Err(panic) => panic
            .downcast_ref::<&str>()
            .map(|s| (*s).to_owned())
            .or_else(|| panic.downcast_ref::<String>().cloned())
            .unwrap_or_default(),
    };
    shared.abort(failed);
}

/// Waits until the replay of calls begins or is aborted.
pub(super) fn wait_to_begin(shared: &Shared) {
    while !shared.has_begun() && !shared.completion.is_aborted() {
        std::thread::park_timeout(Duration::from_millis(100));
    }
}

/// Prefetches the memory that the next jobs need. Each level is prefetched only once the one that
/// points to it is in the cache.
fn prefetch_ahead(jobs: &[Job]) {
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
    /// Performs jobs until their sender is gone. Completed jobs are returned, so that the thread
    /// that allocated their memory frees it. With `own_table`, unshares the descriptor table first,
    /// and signals when that is done.
    pub fn run(
        shared: &Arc<Shared>,
        index: usize,
        jobs: &Receiver<Vec<Job>>,
        returned: &Sender<Vec<Job>>,
        own_table: Option<Sender<()>>,
    ) {
        run_guarded(shared, || {
            let own_table = own_table
                .filter(|_| raw::unshare_descriptors())
                .is_some_and(|own_table| own_table.send(()).is_ok());
            let mut this = Self::new(shared, index)?;
            let mut done = Vec::new();
            wait_to_begin(shared);
            for mut batch in jobs {
                if this.batch(shared, &mut batch)? {
                    return Ok(());
                }
                if shared.options.preload {
                    done.push(batch);
                } else {
                    let _ended = returned.send(batch);
                }
            }
            this.rings.drain(..).for_each(|ring| drop(ring.join()));
            if own_table {
                raw::close_all_descriptors();
            }
            this.add_times();
            Ok(())
        });
    }

    /// Adds what was measured to the results.
    pub(super) fn add_times(self) {
        self.shared.add_lateness(&self.clock.lateness);
        self.shared.times.lock().unwrap_or_else(PoisonError::into_inner).merge(self.times);
    }

    /// Sets the calling thread up as an executor. Fails if it cannot get a working directory of its
    /// own, or memory.
    pub(super) fn new(shared: &Arc<Shared>, index: usize) -> Result<Self, String> {
        // A working directory and a umask of this thread alone.
        unshare_directory().map_err(|e| format!("unshare(CLONE_FS): {e}"))?;
        if !shared.privileges.any_user && !shared.privileges.capabilities {
            raw::drop_capabilities();
        }
        let thread =
            ExecutorThread::new(shared.context.clone()).ok_or("no memory for an executor")?;
        if shared.options.timing {
            raw::start_timing();
        }
        Ok(Self {
            shared: shared.clone(),
            index,
            thread,
            clock: Clock::new(shared.options.is_paced()),
            times: LatencyHistograms::default(),
            done_below: 0,
            descriptor: None,
            fd: -1,
            rings: Vec::new(),
        })
    }

    /// Performs jobs one after the other. Returns whether the replay was aborted, so that the
    /// remaining ones were not performed.
    fn batch(&mut self, shared: &Shared, batch: &mut [Job]) -> Result<bool, String> {
        let index = self.index;
        shared.completion.advance(index, batch.first().map_or(0, |job| job.number), 0);
        for at in 0..batch.len() {
            prefetch_ahead(&batch[at..]);
            let (job, later) = batch[at..].split_first_mut().ok_or("a job is missing")?;
            let next = later.first();
            let next_keeps_descriptor = next.is_some_and(|next| {
                matches!(next.work, Work::Call(PreparedCall { same_descriptor: true, .. }))
            });
            let next = next.map_or(job.number + 1, |next| next.number);
            let bytes = job.bytes();
            let result = self.perform(shared, job);
            if shared.completion.is_aborted() {
                return Ok(true);
            }
            // Other executors need not wait for the comparison, unless it may end the replay.
            let at_once =
                next_keeps_descriptor && shared.options.on_divergence != OnDivergence::Stop;
            if at_once {
                shared.completion.advance(index, next, bytes);
            }
            if let Work::Call(call) = &mut job.work {
                if let Some(result) = result {
                    self.finish_call(shared, job.number, job.tid, call, result);
                }
                call.let_go();
            }
            if !next_keeps_descriptor {
                self.descriptor = None;
            }
            if !at_once {
                shared.completion.advance(index, next, bytes);
            }
        }
        shared.completion.idle(index);
        Ok(false)
    }

    /// Performs a job once the jobs that it depends on are done and it is due. Returns the result
    /// of a call, which is not compared yet.
    #[inline(always)]
    fn perform(&mut self, shared: &Shared, job: &mut Job) -> Option<CallResult> {
        if job.after > self.done_below {
            shared.completion.wait_below(job.after);
            self.done_below = job.after;
        }
        if let Some(extras) = &job.extras {
            extras.dependencies.iter().for_each(|other| shared.completion.wait_for_call(*other));
            if extras.due != Due::Now {
                let started = *shared.started.get_or_init(Instant::now);
                self.clock.wait(extras.due, job.tid, started, &shared.stop);
            }
        }
        if shared.completion.is_aborted() {
            return None;
        }
        if let Some(credentials) = job
            .extras
            .as_ref()
            .and_then(|extras| extras.credentials.as_ref())
            .filter(|_| shared.privileges.any_user)
        {
            raw::set_credentials(credentials);
        }
        let result = match &mut job.work {
            Work::Call(call) => self.call(shared, call),
            Work::Release(released) => {
                released.clear();
                None
            }
            Work::StartRing(start) => {
                self.start_ring(start.take());
                None
            }
        };
        self.clock.done(job.due(), job.tid);
        result
    }

    /// Starts the thread of a ring.
    #[cold]
    fn start_ring(&mut self, start: Option<Box<RingStart>>) {
        match start.map(|start| start.spawn(STACK_SIZE)) {
            Some(Ok(thread)) => self.rings.push(thread),
            Some(Err(why)) => self.shared.abort(format!("cannot start a thread: {why}")),
            None => {}
        }
    }

    /// Performs a call with the descriptor that it uses. Returns `None` without performing it if
    /// the replay is to end.
    #[inline(always)]
    pub(super) fn call(&mut self, shared: &Shared, call: &mut PreparedCall) -> Option<CallResult> {
        // Most are only read: all of them together do not fit a cache.
        if !call.same_descriptor {
            self.descriptor = call.descriptor.take();
            self.fd = self.descriptor.as_ref().map_or(-1, |descriptor| descriptor.real.get());
        }
        if shared.stopping() {
            shared.count_not_begun();
            return None;
        }
        let result = call.perform(self.descriptor.is_some(), self.fd, &mut self.thread);
        if matches!(result, CallResult::Handled(_)) && procfs::cwd_is_lost() {
            let why = "a working directory was closed while a call was made from elsewhere";
            shared.abort(why.to_owned());
        }
        if shared.options.timing {
            self.record_latency(call.expected.spec.name);
        }
        Some(result)
    }

    /// Compares the result of a call, unless its handler did, and records a divergence.
    #[inline(always)]
    pub(super) fn finish_call(
        &mut self,
        shared: &Shared,
        number: u64,
        tid: u32,
        call: &PreparedCall,
        result: CallResult,
    ) {
        match call.compare(result, &self.thread) {
            Ok(None) => {}
            Ok(Some(difference)) => self.report(number, tid, call, difference),
            Err(why) => {
                if let Some(handled) = call.as_handled() {
                    shared.note_unperformed(&handled.call, &handled.operands, why);
                }
                shared.count_refused(why);
            }
        }
        self.thread.scratch.clear();
    }

    /// Adds the time that the call just performed took to the histogram of its name, if times are
    /// measured.
    fn record_latency(&mut self, name: &'static str) {
        if let Some(took) = raw::take_elapsed().filter(|took| *took > 0) {
            self.times.record(name, took);
        }
    }

    /// Adds a divergence of the call to the results. Stops the replay if the user wants that.
    #[cold]
    fn report(&self, number: u64, tid: u32, call: &PreparedCall, difference: Mismatch) {
        let mut divergences =
            self.shared.divergences.lock().unwrap_or_else(PoisonError::into_inner);
        *divergences.by_kind.entry(divergence_kind(&difference.what).to_owned()).or_default() += 1;
        let compared = self.shared.options.verify > Verify::None;
        if compared && self.shared.options.on_divergence == OnDivergence::Stop {
            self.shared.stop.store(true, Relaxed);
        }
        if divergences.kept.len() >= MAX_DIVERGENCES {
            divergences.dropped += 1;
            return;
        }
        let Mismatch { what, expected, got, failed } = difference;
        let file = trace::text::escape(call.path(self.descriptor.as_deref()));
        let (seq, call) = (call.seq, call.expected.spec.name);
        divergences
            .kept
            .push((number, Divergence { seq, tid, call, file, what, expected, got, failed }));
    }
}
