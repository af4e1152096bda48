//! A thread that issues the calls of a traced thread, one after the other, as that thread: in its working directory, with its umask, as its user.

use crate::frontier::Frontier;
use crate::handlers;
use crate::issue::{Real, Scratch, raw};
use crate::job::{Issue, Job, Task};
use crate::report::Divergence;
use crate::sandbox::Powers;
use crate::unperformed::Unperformed;
use crate::verify::{Difference, Listings, Rules};
use crossbeam_channel::Receiver;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, PoisonError};
use trace::Call;
use trace::world::{Bound, Credentials, Directory, Mounts};

/// Divergences that are kept; more are counted.
const KEPT: usize = 10_000;
const O_PATH_DIRECTORY: u32 = 0o10_000_000 | 0o200_000 | 0o2_000_000;

/// What all executors and the dispatcher share.
pub(crate) struct Shared {
    pub frontier: Frontier,
    pub listings: Listings,
    /// Recorded bytes that are held by calls dispatched and not done.
    pub bytes: AtomicU64,
    pub rules: Rules,
    pub powers: Powers,
    pub verify: bool,
    /// Divergences with the numbers of their calls, and how many more there were.
    pub found: Mutex<(Vec<(u64, Divergence)>, u64)>,
    /// Reasons why calls could not be issued after all.
    pub refused: Mutex<std::collections::BTreeMap<&'static str, u64>>,
    /// Clones that were performed by copying.
    pub copied: AtomicU64,
    /// Files that calls changed which nobody performed.
    pub unperformed: Mutex<Unperformed>,
    /// The recorded machine's mounts.
    pub mounts: Mounts,
    /// What went wrong inside.
    pub broken: Mutex<Option<String>>,
}

impl Shared {
    /// A call is performed by no one.
    pub fn left_out(&self, call: &Call, bound: &Bound<Real>, why: &str) {
        self.unperformed.lock().unwrap_or_else(PoisonError::into_inner).note(call, bound, &self.mounts, why);
    }
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
}

/// Opens a directory to go back to later.
pub(crate) fn open_directory(path: &[u8]) -> i64 {
    raw::open(path, O_PATH_DIRECTORY)
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
            let mut this = Self { shared: shared.clone(), scratch, cwd: None, umask: u32::MAX, credentials: None };
            for job in jobs {
                shared.frontier.wait(job.after);
                if shared.frontier.is_broken() {
                    break;
                }
                let (number, bytes) = (job.number, job.bytes);
                match job.task {
                    Task::Release(descriptors) => drop(descriptors),
                    Task::Call(issue) => this.call(number, issue),
                }
                shared.bytes.fetch_sub(bytes, Relaxed);
                shared.frontier.complete(number);
            }
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

    fn call(&mut self, number: u64, mut issue: Box<Issue>) {
        self.become_caller(&issue);
        let outcome = handlers::perform(self, &mut issue);
        self.scratch.clear();
        match outcome {
            Outcome::Issued(Some(difference)) if self.shared.verify => self.report(number, &issue, difference),
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
        if found.0.len() >= KEPT {
            found.1 += 1;
            return;
        }
        let Difference { what, expected, got } = difference;
        let bound = &issue.bound;
        let file = bound.paths.iter().flatten().map(|p| &**p).next();
        let file = file.or_else(|| bound.fds.iter().flatten().chain(bound.closed.first()).map(|d| &*d.file.path).next()).unwrap_or_default();
        let file = String::from_utf8_lossy(file).into_owned();
        found.0.push((number, Divergence { seq: issue.call.seq, tid: issue.call.tid, call: issue.shape.name, file, what, expected, got }));
    }
}
