//! A thread that issues the calls of a traced thread, one after the other, as that thread: in its working directory, with its umask, as its user.

use crate::Verify;
use crate::frontier::Frontier;
use crate::handlers;
use crate::issue::{Real, Scratch, raw};
use crate::job::{Issue, Job, Task};
use crate::latency::Times;
use crate::order::Due;
use crate::pacer::{Clock, histogram};
use crate::report::Divergence;
use crate::sandbox::Powers;
use crate::unperformed::Unperformed;
use crate::verify::{Difference, Listings, Rules};
use crossbeam_channel::Receiver;
use hdrhistogram::Histogram;
use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::{Duration, Instant};
use trace::Call;
use trace::world::{Bound, Credentials, Directory, Mounts};

/// Divergences that are kept; more are counted.
const KEPT: usize = 10_000;
/// What an open file keeps of its open's flags: access mode, append, non-blocking, direct, directory, no access time, path only.
pub(crate) const OPEN_FLAGS: u32 = 0o3 | 0o2000 | 0o4000 | 0o40000 | 0o200_000 | 0o1_000_000 | 0o10_000_000;
const O_PATH_DIRECTORY: u32 = 0o10_000_000 | 0o200_000 | 0o2_000_000;

/// Whether executors may begin.
#[derive(Default)]
pub(crate) struct Gate(pub AtomicBool);

/// What came out differently.
#[derive(Default)]
pub(crate) struct Found {
    /// With the numbers of their calls.
    pub kept: Vec<(u64, Divergence)>,
    /// More than are kept.
    pub more: u64,
    /// All, by what differed.
    pub by_kind: BTreeMap<String, u64>,
}

/// What all executors and the dispatcher share.
pub(crate) struct Shared {
    pub frontier: Frontier,
    pub listings: Listings,
    /// Recorded bytes that are held by calls dispatched and not done.
    pub bytes: AtomicU64,
    pub rules: Rules,
    pub powers: Powers,
    pub verify: Verify,
    /// The first divergence ends the replay.
    pub stop_at_first: bool,
    /// Calls are due at some time.
    pub paced: bool,
    /// When the first call was dispatched.
    pub begun: OnceLock<Instant>,
    /// Executors wait until this is open.
    pub gate: Gate,
    /// Opens may have been left out.
    pub selective: bool,
    /// All calls are dispatched before the first is performed: their memory is given back afterwards.
    pub preloaded: bool,
    /// Calls are measured.
    pub timing: bool,
    /// What they took.
    pub times: Mutex<Times>,
    /// How late calls began, if they were due at some time.
    pub late: Mutex<Option<Histogram<u64>>>,
    pub found: Mutex<Found>,
    /// Reasons why calls could not be issued after all.
    pub refused: Mutex<std::collections::BTreeMap<&'static str, u64>>,
    /// Clones that were performed by copying.
    pub copied: AtomicU64,
    /// Files that calls changed which nobody performed.
    pub unperformed: Mutex<Unperformed>,
    /// The recorded machine's mounts.
    pub mounts: Mounts,
    /// No call is to begin any more.
    pub stop: AtomicBool,
    /// Beginnings of threads may be missing.
    pub torn: bool,
    /// What went wrong inside.
    pub broken: Mutex<Option<String>>,
}

impl Shared {
    /// Whether executors may begin.
    pub fn is_open(&self) -> bool {
        self.gate.0.load(Relaxed)
    }

    /// Whether the replay is to end before its last call.
    pub fn stopping(&self) -> bool {
        self.stop.load(Relaxed)
    }

    /// A call is not performed as the replay ends.
    fn left_undone(&self) {
        *self.refused.lock().unwrap_or_else(PoisonError::into_inner).entry("the replay ended").or_default() += 1;
    }

    fn add_late(&self, late: &Histogram<u64>) {
        if !late.is_empty() {
            let mut all = self.late.lock().unwrap_or_else(PoisonError::into_inner);
            // Both have the same bounds.
            let _ = all.get_or_insert_with(histogram).add(late);
        }
    }

    /// A call is performed by no one.
    pub fn left_out(&self, call: &Call, bound: &Bound<Real>, why: &str) {
        self.unperformed.lock().unwrap_or_else(PoisonError::into_inner).note(call, bound, &self.mounts, why);
    }
}

/// The kind of a difference: which byte it begins at is not among it.
fn kind(what: &str) -> &str {
    if what.starts_with("byte ") { "data" } else { what }
}

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

impl Executor {
    /// Performs jobs until their sender is gone.
    pub fn run(shared: &Arc<Shared>, jobs: &Receiver<Job>) {
        let work = || {
            // A working directory and a umask of this thread alone.
            nix::sched::unshare(nix::sched::CloneFlags::CLONE_FS).map_err(|e| format!("unshare(CLONE_FS): {e}"))?;
            if !shared.powers.any_user && !shared.powers.capabilities {
                raw::drop_capabilities();
            }
            let scratch = Scratch::new().ok_or("no memory for an executor")?;
            let mut this = Self { shared: shared.clone(), scratch, cwd: None, umask: u32::MAX, credentials: None, times: Times::default() };
            if shared.timing {
                raw::measure();
            }
            let mut clock = Clock::new(shared.paced);
            let mut done = Vec::new();
            while !shared.is_open() && !shared.frontier.is_broken() {
                std::thread::park_timeout(Duration::from_millis(100));
            }
            for job in jobs {
                shared.frontier.wait(job.after);
                for other in &job.needs {
                    shared.frontier.wait_one(*other);
                }
                if job.due != Due::Now {
                    clock.wait(job.due, job.tid, *shared.begun.get_or_init(Instant::now), &shared.stop);
                }
                if shared.frontier.is_broken() {
                    break;
                }
                let (number, bytes) = (job.number, job.bytes);
                match job.task {
                    Task::Release(descriptors) => drop(descriptors),
                    Task::Call(_) if shared.stopping() => shared.left_undone(),
                    Task::Call(issue) => {
                        let issue = this.call(number, issue);
                        if shared.preloaded {
                            done.push(issue);
                        }
                    }
                }
                clock.done(job.due, job.tid);
                shared.bytes.fetch_sub(bytes, Relaxed);
                shared.frontier.complete(number);
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

    /// Performs a call; what is left of it.
    fn call(&mut self, number: u64, mut issue: Box<Issue>) -> Arc<Call> {
        self.become_caller(&issue);
        if self.shared.selective {
            reopen(&issue);
        }
        let outcome = handlers::perform(self, &mut issue);
        if let Some(took) = raw::measured().filter(|took| *took > 0) {
            self.times.enter(issue.shape.name, took);
        }
        self.scratch.clear();
        match outcome {
            Outcome::Issued(Some(difference)) if self.shared.verify > Verify::None && !issue.early => self.report(number, &issue, difference),
            Outcome::Issued(_) => {}
            Outcome::Skipped(why) => {
                self.shared.left_out(&issue.call, &issue.bound, why);
                *self.shared.refused.lock().unwrap_or_else(PoisonError::into_inner).entry(why).or_default() += 1;
            }
        }
        issue.call
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
        if self.shared.stop_at_first {
            self.shared.stop.store(true, Relaxed);
        }
        if found.kept.len() >= KEPT {
            found.more += 1;
            return;
        }
        let Difference { what, expected, got } = difference;
        let bound = &issue.bound;
        let file = bound.paths.iter().flatten().map(|p| &**p).next();
        let file = file.or_else(|| bound.fds.iter().flatten().chain(bound.closed.first()).map(|d| &*d.file.path).next()).unwrap_or_default();
        let file = String::from_utf8_lossy(file).into_owned();
        found.kept.push((number, Divergence { seq: issue.call.seq, tid: issue.call.tid, call: issue.shape.name, file, what, expected, got }));
    }
}
