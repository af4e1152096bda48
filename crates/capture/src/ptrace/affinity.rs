//! Running the tracer on the CPU of the tracee.
//!
//! Most of the cost of a ptrace stop is the wake-up of another, sleeping CPU: the kernel puts a
//! resumed thread on an idle CPU rather than on the tracer's, which is busy with the tracer. So
//! while the program stops often and CPUs are idle, the tracer is bound to the tracee's CPU and has
//! the policy SCHED_IDLE. A CPU that runs nothing else counts as idle, so the tracee is woken
//! there, preempts the tracer at once, and yields the CPU at its next stop. Affinity and policy of
//! the tracee are never changed. Sometimes the tracee moves to another CPU all the same; then
//! several of its stops in a row are not pending when the tracer asks for them, and the tracer is
//! bound to the new CPU. The price is that any other thread which wants that CPU gets it before the
//! tracer. So a second thread watches: when no CPU is idle (waking one is cheap then), or when the
//! tracer gets too little CPU time, the tracer gets its normal policy and affinity back. A tracer
//! that may not return from SCHED_IDLE (that takes privileges) polls for the next stop for a moment
//! instead of sleeping, which saves one of two wake-ups.
//!
//! The same second thread sends the tracer a signal every 50 ms, so that it flushes its journal and
//! checks for signals of the user.

use super::stopped::WaitResult;
use crate::command::inherited;
use crate::signals::{Handlers, WAKE_SIGNAL};
use crate::threads::scheduling::set_policy;
use crate::threads::spare_cpu::read_number;
use rustix::thread::{CpuSet, Pid, sched_getaffinity, sched_setaffinity};
use std::fs::File;
use std::sync::atomic::{AtomicBool, AtomicI32, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// How often the second thread checks.
const UPDATE_EVERY: Duration = Duration::from_millis(20);
/// How often the tracer gets a signal.
const SIGNAL_EVERY: Duration = Duration::from_millis(50);
/// The period over which idle CPUs are counted.
const MEASURE_EVERY: Duration = Duration::from_millis(100);
/// For how long the tracer polls for the next stop before it sleeps.
const POLL_TIME: Duration = Duration::from_micros(60);
/// With this many stops per [`UPDATE_EVERY`] the program stops often.
const MANY_STOPS: u64 = 40;

/// What the tracer and the second thread share.
#[derive(Default)]
struct Shared {
    /// How many stops there were.
    stop_count: AtomicU64,
    /// The thread that stopped last.
    last_stopped: AtomicI32,
    /// Whether the tracer is to poll for the next stop before it sleeps.
    should_poll: AtomicBool,
    /// Whether the tracer may be moved.
    may_move: AtomicBool,
    /// Whether the second thread is to end.
    done: AtomicBool,
    /// The CPU that the tracer is bound to, or [`NOT_BOUND`].
    bound_cpu: AtomicUsize,
    /// The CPUs that the tracer was allowed to run on before it was bound.
    allowed_cpus: OnceLock<CpuSet>,
    sealer: BackgroundSealer,
}

/// The thread that seals while the program is recorded, which runs on CPUs that are idle otherwise.
#[derive(Default)]
pub(super) struct BackgroundSealer {
    /// Its thread ID. A CPU that it runs on counts as idle.
    pub tid: Option<i32>,
    /// Tells it that the program stops often, so that it pauses: each stop wakes a thread, which
    /// another thread on that CPU delays whatever its policy is.
    pub busy: Arc<AtomicBool>,
}

impl Shared {
    /// Returns whether the tracer may run on this CPU; false while that is not known.
    fn is_allowed(&self, cpu: usize) -> bool {
        self.allowed_cpus.get().is_some_and(|set| set.is_set(cpu))
    }
}

/// A value of [`Shared::bound_cpu`]: the tracer is bound to no CPU.
const NOT_BOUND: usize = usize::MAX;

/// The tracer's handle of the second thread. Dropping it ends that thread.
pub(super) struct CpuAffinity {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
    /// How many stops in a row were not pending when the tracer asked for them.
    misses: u32,
    /// After this many misses the tracer looks for the tracee's CPU.
    miss_limit: u32,
}

/// The least value of [`CpuAffinity::miss_limit`].
const MIN_MISS_LIMIT: u32 = 3;

impl CpuAffinity {
    /// Starts the second thread for the calling thread, the tracer. It sends its first signal at
    /// once, so the handlers must be installed.
    pub fn start(sealer: BackgroundSealer, _: &Handlers) -> Self {
        inherited::unblock(WAKE_SIGNAL);
        let shared = Arc::new(Shared {
            bound_cpu: AtomicUsize::new(NOT_BOUND),
            sealer,
            ..Shared::default()
        });
        let tracer = rustix::thread::gettid().as_raw_nonzero().get();
        let shared_with_thread = Arc::clone(&shared);
        let thread = std::thread::Builder::new()
            .name("affinity".to_owned())
            .spawn(move || watch(&shared_with_thread, tracer))
            .ok();
        Self { shared, thread, misses: 0, miss_limit: MIN_MISS_LIMIT }
    }
    /// Allows the second thread to change affinity and policy of the tracer. Must not be called
    /// before the command has been forked, which would inherit affinity and policy.
    pub fn begin(&self) {
        self.shared.may_move.store(true, Ordering::Release);
        if let Some(thread) = &self.thread {
            thread.thread().unpark();
        }
    }
    /// Counts a stop of thread `tid`.
    pub fn note_stop(&self, tid: i32) {
        self.shared.last_stopped.store(tid, Ordering::Relaxed);
        // Only this thread writes it.
        self.shared
            .stop_count
            .store(self.shared.stop_count.load(Ordering::Relaxed) + 1, Ordering::Relaxed);
    }
    /// Returns whether the tracer is bound to the tracee's CPU, so that the next stop should be
    /// pending before the tracer asks for it.
    pub fn is_bound(&self) -> bool {
        self.shared.bound_cpu.load(Ordering::Relaxed) != NOT_BOUND
    }
    /// Notes that the next stop was pending when the tracer asked for it.
    pub fn note_hit(&mut self) {
        self.misses = 0;
    }
    /// Notes that the next stop was not pending when the tracer asked for it: the tracee runs on
    /// another CPU, or it waits. After several such misses in a row this binds the tracer to the
    /// CPU that the tracee ran on last. If that is the same CPU, the limit of misses is doubled, up
    /// to 1024.
    pub fn note_miss(&mut self) {
        self.misses += 1;
        if self.misses < self.miss_limit {
            return;
        }
        self.misses = 0;
        let current = self.shared.bound_cpu.load(Ordering::Relaxed);
        match last_cpu_of(self.shared.last_stopped.load(Ordering::Relaxed)) {
            Some(cpu) if cpu != current && self.shared.is_allowed(cpu) && bind_to(0, cpu) => {
                self.miss_limit = MIN_MISS_LIMIT;
                // If the second thread has released the tracer meanwhile, it does so again.
                self.shared.bound_cpu.store(cpu, Ordering::Relaxed);
            }
            // The tracee is on the tracer's CPU, and waits.
            _ => self.miss_limit = (2 * self.miss_limit).min(1 << 10),
        }
    }
    /// Returns whether the tracer is to poll before it sleeps.
    pub fn polls_first(&self) -> bool {
        self.shared.should_poll.load(Ordering::Relaxed)
    }
    /// Calls `poll` until it returns something other than [`WaitResult::Nothing`], for at most
    /// [`POLL_TIME`].
    pub fn poll(&self, mut poll: impl FnMut() -> WaitResult) -> WaitResult {
        let begin = Instant::now();
        while begin.elapsed() < POLL_TIME {
            for _ in 0..4 {
                match poll() {
                    WaitResult::Nothing => std::hint::spin_loop(),
                    result => return result,
                }
            }
        }
        WaitResult::Nothing
    }
}

impl Drop for CpuAffinity {
    fn drop(&mut self) {
        self.shared.done.store(true, Ordering::Release);
        if let Some(thread) = self.thread.take() {
            thread.thread().unpark();
            // The thread ends only after `done` was set.
            let _ = thread.join();
        }
    }
}

/// Runs the loop of the second thread, which serves the thread `tracer`.
fn watch(shared: &Shared, tracer: i32) {
    let mut placement: Option<Placement> = None;
    let mut signaled: Option<Instant> = None;
    while !shared.done.load(Ordering::Acquire) {
        if signaled.is_none_or(|last| last.elapsed() >= SIGNAL_EVERY) {
            signaled = Some(Instant::now());
            // SAFETY: takes numbers.
            unsafe { libc::syscall(libc::SYS_tgkill, libc::getpid(), tracer, WAKE_SIGNAL) };
        }
        if shared.may_move.load(Ordering::Acquire) {
            match &mut placement {
                Some(placement) => placement.update(shared),
                None => placement = Some(Placement::new(tracer, shared)),
            }
        }
        std::thread::park_timeout(UPDATE_EVERY);
    }
    if let Some(placement) = &mut placement {
        placement.restore(shared);
    }
}

/// Affinity and policy of the tracer, and the measurements that they depend on.
struct Placement {
    tracer: i32,
    /// Whether anything may be changed: the tracer may run on several CPUs and has the normal
    /// policy.
    may_change: bool,
    /// Whether the tracer may return from SCHED_IDLE to the normal policy.
    can_return: bool,
    /// Whether the tracer has SCHED_IDLE, or polls if it could not return from that.
    follows_tracee: bool,
    /// The number of stops at the last check.
    last_stops: u64,
    /// For how many nanoseconds the tracer had waited for a CPU at the last check.
    last_wait_ns: u64,
    /// The tracer's schedstat file.
    schedstat: Option<File>,
    /// `/proc/uptime`
    uptime: Option<File>,
    /// The schedstat file of the thread that seals while recording, whose CPU time counts as idle
    /// time.
    sealer_schedstat: Option<File>,
    /// When idle CPUs were last counted.
    counted_at: Instant,
    /// The idle time then; see [`Placement::idle_time`].
    last_idle_time: u64,
    /// How many CPUs were idle on average when last counted.
    idle_cpus: f64,
    /// The tracer does not follow the tracee before this time.
    not_before: Instant,
}

impl Placement {
    /// Starts measuring for the thread `tracer`.
    fn new(tracer: i32, shared: &Shared) -> Self {
        let allowed_cpus = sched_getaffinity(Pid::from_raw(tracer)).ok();
        // SAFETY: takes a number.
        let policy = unsafe { libc::sched_getscheduler(tracer) };
        let has_choice = allowed_cpus.as_ref().is_some_and(|set| set.count() > 1);
        if let Some(set) = allowed_cpus {
            let _ = shared.allowed_cpus.set(set);
        }
        let may_change = has_choice && policy == libc::SCHED_OTHER;
        let mut placement = Self {
            tracer,
            may_change,
            can_return: may_change
                && std::thread::spawn(|| {
                    set_policy(0, libc::SCHED_IDLE) && set_policy(0, libc::SCHED_OTHER)
                })
                .join()
                .unwrap_or(false),
            follows_tracee: false,
            last_stops: 0,
            last_wait_ns: 0,
            schedstat: open_schedstat(tracer),
            sealer_schedstat: shared.sealer.tid.and_then(open_schedstat),
            uptime: File::open("/proc/uptime").ok(),
            counted_at: Instant::now(),
            last_idle_time: 0,
            idle_cpus: 0.0,
            not_before: Instant::now(),
        };
        placement.last_idle_time = placement.idle_time();
        // Until CPUs are counted: if only the tracer, the program and this thread run, one is idle.
        if count_runnable_threads() <= 3 {
            placement.idle_cpus = 1.0;
        }
        placement
    }

    /// Measures, and has the tracer follow the tracee or gives it its policy and affinity back, as
    /// the measurements say. Also tells the thread that seals whether the program stops often.
    fn update(&mut self, shared: &Shared) {
        if !self.may_change {
            return;
        }
        let stops = shared.stop_count.load(Ordering::Relaxed);
        let new_stops = stops - std::mem::replace(&mut self.last_stops, stops);
        let wait_ns = read_number(self.schedstat.as_ref(), 1).map_or(0, |ns| ns as u64);
        let waited = wait_ns.saturating_sub(std::mem::replace(&mut self.last_wait_ns, wait_ns));
        let elapsed = self.counted_at.elapsed();
        if elapsed >= MEASURE_EVERY {
            let idle = self.idle_time();
            let new_idle = idle.saturating_sub(std::mem::replace(&mut self.last_idle_time, idle));
            self.idle_cpus = new_idle as f64 / 100.0 / elapsed.as_secs_f64();
            self.counted_at = Instant::now();
        }
        shared.sealer.busy.store(new_stops >= MANY_STOPS / 4, Ordering::Relaxed);
        let starved = self.follows_tracee
            && new_stops < MANY_STOPS / 4
            && waited > UPDATE_EVERY.as_nanos() as u64 / 2;
        if starved {
            self.not_before = Instant::now() + 2 * MEASURE_EVERY;
        }
        if starved || self.idle_cpus < 0.3 {
            self.restore(shared);
        } else if new_stops >= MANY_STOPS
            && self.idle_cpus > 0.5
            && Instant::now() >= self.not_before
        {
            self.follow_tracee(shared);
        }
    }

    /// Binds the tracer to the tracee's CPU, with SCHED_IDLE; or has it poll, if it could not
    /// return from that policy.
    fn follow_tracee(&mut self, shared: &Shared) {
        if !self.can_return {
            shared.should_poll.store(true, Ordering::Relaxed);
            self.follows_tracee = true;
            return;
        }
        let cpu = last_cpu_of(shared.last_stopped.load(Ordering::Relaxed));
        let Some(cpu) = cpu.filter(|cpu| shared.is_allowed(*cpu)) else { return };
        if shared.bound_cpu.load(Ordering::Relaxed) != cpu && bind_to(self.tracer, cpu) {
            shared.bound_cpu.store(cpu, Ordering::Relaxed);
        }
        if !self.follows_tracee {
            self.follows_tracee = set_policy(self.tracer, libc::SCHED_IDLE);
        }
    }

    /// Ends what [`Self::follow_tracee`] began: gives the tracer the normal policy and the affinity
    /// that it had before, or makes it stop polling. What was not changed is left as it is.
    fn restore(&mut self, shared: &Shared) {
        shared.should_poll.store(false, Ordering::Relaxed);
        if std::mem::replace(&mut self.follows_tracee, false) && self.can_return {
            set_policy(self.tracer, libc::SCHED_OTHER);
        }
        if shared.bound_cpu.swap(NOT_BOUND, Ordering::Relaxed) != NOT_BOUND
            && let Some(allowed_cpus) = shared.allowed_cpus.get()
        {
            set_affinity(self.tracer, allowed_cpus);
        }
    }

    /// Returns the idle time of all CPUs together since the start of the machine, in hundredths of
    /// a second. The CPU time of the thread that seals counts as idle time.
    fn idle_time(&self) -> u64 {
        let sealer = read_number(self.sealer_schedstat.as_ref(), 0).map_or(0.0, |ns| ns / 1e9);
        read_number(self.uptime.as_ref(), 1)
            .map_or(0, |seconds| ((seconds + sealer) * 100.0) as u64)
    }
}

/// Opens the schedstat file of a thread of this process. Its first two numbers are for how long the
/// thread ran and waited for a CPU, in nanoseconds.
fn open_schedstat(tid: i32) -> Option<File> {
    File::open(format!("/proc/self/task/{tid}/schedstat")).ok()
}

/// Sets the affinity of a thread (0: the calling thread). Returns whether that succeeded.
fn set_affinity(tid: i32, cpus: &CpuSet) -> bool {
    sched_setaffinity(Pid::from_raw(tid), cpus).is_ok()
}

/// Binds a thread (0: the calling thread) to a CPU below [`CpuSet::MAX_CPU`]. Returns whether that
/// succeeded.
fn bind_to(tid: i32, cpu: usize) -> bool {
    let mut one = CpuSet::new();
    one.set(cpu);
    set_affinity(tid, &one)
}

/// Returns how many threads of the machine are running or runnable, or `u32::MAX` if that cannot be
/// read.
fn count_runnable_threads() -> u32 {
    let text = std::fs::read_to_string("/proc/loadavg").unwrap_or_default();
    text.split_whitespace()
        .nth(3)
        .and_then(|field| field.split('/').next()?.parse().ok())
        .unwrap_or(u32::MAX)
}

/// Returns the CPU that a thread ran on last (field 39 of `/proc/TID/stat`, the 37th after the
/// name).
fn last_cpu_of(tid: i32) -> Option<usize> {
    let text = std::fs::read_to_string(format!("/proc/{tid}/stat")).ok()?;
    text[text.rfind(')')? + 1..]
        .split_whitespace()
        .nth(36)?
        .parse()
        .ok()
        .filter(|cpu| *cpu < CpuSet::MAX_CPU)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_procfs_tells() {
        let me = rustix::thread::gettid().as_raw_nonzero().get();
        assert!(last_cpu_of(me).is_some_and(|c| c < 4096));
        assert!(count_runnable_threads() >= 1);
        assert!(
            read_number(File::open("/proc/uptime").ok().as_ref(), 0).is_some_and(|up| up > 0.0)
        );
    }
}
