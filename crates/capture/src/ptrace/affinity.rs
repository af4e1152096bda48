//! Running the tracer on the CPU of the tracee.
//!
//! Most of what a ptrace stop costs is the wake-up of another, sleeping CPU: the kernel puts a
//! resumed thread on an idle CPU rather than on ours, which is busy with us. So while the program
//! stops often and CPUs are idle, our thread is bound to the tracee's CPU and takes the policy
//! SCHED_IDLE: a CPU that runs nothing else counts as idle, the tracee is woken there, takes it
//! over at once, and gives it back at its next stop. The tracee itself is never touched: its
//! affinity and policy are its own. Now and then the tracee moves all the same; then its next stop
//! is not there yet when we ask for it, a few times in a row, and we go after it at once. The price
//! is that any other thread that wants that CPU gets it before us, so a second thread watches: when
//! no CPU is idle (then waking is cheap anyway), or when we get nowhere, our thread is as any
//! other. A tracer that may not return from SCHED_IDLE (it takes privileges) polls for the next
//! stop for a moment instead of sleeping, which saves one of two wake-ups.
//!
//! The same second thread nudges ours every 50 ms, so that it writes its journal and hears the
//! user.

use super::stopped::WaitResult;
use crate::command::inherited;
use crate::signals::{Handlers, NUDGE};
use crate::threads::scheduling::set_policy;
use crate::threads::spare_cpu::number_in;
use rustix::thread::{CpuSet, Pid, sched_getaffinity, sched_setaffinity};
use std::fs::File;
use std::sync::atomic::{AtomicBool, AtomicI32, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// How often the second thread looks.
const UPDATE_EVERY: Duration = Duration::from_millis(20);
/// How often ours is nudged.
const NUDGE_EVERY: Duration = Duration::from_millis(50);
/// Idle CPUs are counted over so long.
const MEASURE_EVERY: Duration = Duration::from_millis(100);
/// The next stop is polled for so long.
const POLL: Duration = Duration::from_micros(60);
/// So many stops in a look are often.
const MANY_STOPS: u64 = 40;

#[derive(Default)]
struct Shared {
    stops: AtomicU64,
    last: AtomicI32,
    polls: AtomicBool,
    live: AtomicBool,
    done: AtomicBool,
    /// The CPU that our thread is bound to; [`ANYWHERE`].
    cpu: AtomicUsize,
    /// Where our thread may run.
    allowed: OnceLock<CpuSet>,
    sealer: BackgroundSealer,
}

/// The thread that seals ahead, which runs on CPUs that are idle otherwise.
#[derive(Default)]
pub(super) struct BackgroundSealer {
    /// That thread: a CPU which it runs on is idle.
    pub tid: Option<i32>,
    /// Says to it that the program stops often: each stop is a wake-up, which another thread delays
    /// whatever its policy, and ours may have the same.
    pub busy: Arc<AtomicBool>,
}

impl Shared {
    fn allows(&self, cpu: usize) -> bool {
        self.allowed.get().is_some_and(|set| set.is_set(cpu))
    }
}

const ANYWHERE: usize = usize::MAX;

/// The second thread.
pub(super) struct CpuAffinity {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
    /// So many stops in a row were not there yet when we asked for them,
    misses: u32,
    /// and after so many we look where the tracee is.
    patience: u32,
}

/// The least of [`CpuAffinity::patience`].
const MISSES: u32 = 3;

impl CpuAffinity {
    /// Starts it, for the thread that calls. It nudges at once, so the handlers must be in place.
    pub fn start(sealer: BackgroundSealer, _: &Handlers) -> Self {
        inherited::unblock(NUDGE);
        let shared =
            Arc::new(Shared { cpu: AtomicUsize::new(ANYWHERE), sealer, ..Shared::default() });
        let tracer = rustix::thread::gettid().as_raw_nonzero().get();
        let theirs = Arc::clone(&shared);
        let thread = std::thread::Builder::new()
            .name("near".to_owned())
            .spawn(move || watch(&theirs, tracer))
            .ok();
        Self { shared, thread, misses: 0, patience: MISSES }
    }
    /// From now on our thread may be moved. Not before the command was forked: it would inherit
    /// what is ours.
    pub fn begin(&self) {
        self.shared.live.store(true, Ordering::Release);
        if let Some(t) = &self.thread {
            t.thread().unpark();
        }
    }
    /// A thread stopped.
    pub fn note_stop(&self, tid: i32) {
        self.shared.last.store(tid, Ordering::Relaxed);
        // Only this thread writes it.
        self.shared.stops.store(self.shared.stops.load(Ordering::Relaxed) + 1, Ordering::Relaxed);
    }
    /// Whether we are where the tracee was: its next stop should be there before we ask for it.
    pub fn is_bound(&self) -> bool {
        self.shared.cpu.load(Ordering::Relaxed) != ANYWHERE
    }
    /// The next stop was there when we asked for it.
    pub fn next_stop_was_there(&mut self) {
        self.misses = 0;
    }
    /// It was not: the tracee runs elsewhere, or waits for something.
    pub fn next_stop_was_late(&mut self) {
        self.misses += 1;
        if self.misses < self.patience {
            return;
        }
        self.misses = 0;
        let ours = self.shared.cpu.load(Ordering::Relaxed);
        match cpu_of(self.shared.last.load(Ordering::Relaxed)) {
            Some(cpu) if cpu != ours && self.shared.allows(cpu) && bind_to(0, cpu) => {
                self.patience = MISSES;
                // Should the other thread have let us go meanwhile, it will again.
                self.shared.cpu.store(cpu, Ordering::Relaxed);
            }
            // It is here, and waits.
            _ => self.patience = (2 * self.patience).min(1 << 10),
        }
    }
    /// Whether to poll before sleeping.
    pub fn polls_first(&self) -> bool {
        self.shared.polls.load(Ordering::Relaxed)
    }
    /// Polls for a moment.
    pub fn poll(&self, mut poll: impl FnMut() -> WaitResult) -> WaitResult {
        let begin = Instant::now();
        while begin.elapsed() < POLL {
            for _ in 0..4 {
                match poll() {
                    WaitResult::Nothing => std::hint::spin_loop(),
                    something => return something,
                }
            }
        }
        WaitResult::Nothing
    }
}

impl Drop for CpuAffinity {
    fn drop(&mut self) {
        self.shared.done.store(true, Ordering::Release);
        if let Some(t) = self.thread.take() {
            t.thread().unpark();
            // It only ends by `done`.
            let _ = t.join();
        }
    }
}

fn watch(shared: &Shared, tracer: i32) {
    let mut placement: Option<Placement> = None;
    let mut nudged: Option<Instant> = None;
    while !shared.done.load(Ordering::Acquire) {
        if nudged.is_none_or(|last| last.elapsed() >= NUDGE_EVERY) {
            nudged = Some(Instant::now());
            // SAFETY: takes numbers.
            unsafe { libc::syscall(libc::SYS_tgkill, libc::getpid(), tracer, NUDGE) };
        }
        if shared.live.load(Ordering::Acquire) {
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

/// Where our thread may run, and where it does.
struct Placement {
    tracer: i32,
    /// Whether there is anything to choose.
    possible: bool,
    can_return: bool,
    near_tracee: bool,
    stops_seen: u64,
    delay: u64,
    schedstat: Option<File>,
    uptime: Option<File>,
    /// How long the thread ran that runs on CPUs which are idle otherwise.
    idle_thread: Option<File>,
    counted: Instant,
    idle: u64,
    /// CPUs idle on average, when last counted.
    idle_cpus: f64,
    rest_until: Instant,
}

impl Placement {
    fn new(tracer: i32, shared: &Shared) -> Self {
        let allowed = sched_getaffinity(Pid::from_raw(tracer)).ok();
        // SAFETY: takes a number.
        let policy = unsafe { libc::sched_getscheduler(tracer) };
        let choice = allowed.as_ref().is_some_and(|set| set.count() > 1);
        if let Some(set) = allowed {
            let _ = shared.allowed.set(set);
        }
        let possible = choice && policy == libc::SCHED_OTHER;
        let mut placement = Self {
            tracer,
            possible,
            can_return: possible
                && std::thread::spawn(|| {
                    set_policy(0, libc::SCHED_IDLE) && set_policy(0, libc::SCHED_OTHER)
                })
                .join()
                .unwrap_or(false),
            near_tracee: false,
            stops_seen: 0,
            delay: 0,
            schedstat: schedstat(tracer),
            idle_thread: shared.sealer.tid.and_then(schedstat),
            uptime: File::open("/proc/uptime").ok(),
            counted: Instant::now(),
            idle: 0,
            idle_cpus: 0.0,
            rest_until: Instant::now(),
        };
        placement.idle = placement.idle_time();
        // Until it can be counted: nothing runs but us, our program, and the thread that asks.
        if runnable() <= 3 {
            placement.idle_cpus = 1.0;
        }
        placement
    }

    fn update(&mut self, shared: &Shared) {
        if !self.possible {
            return;
        }
        let stops = shared.stops.load(Ordering::Relaxed);
        let new = stops - std::mem::replace(&mut self.stops_seen, stops);
        let delay = number_in(self.schedstat.as_ref(), 1).map_or(0, |d| d as u64);
        let waited = delay.saturating_sub(std::mem::replace(&mut self.delay, delay));
        let passed = self.counted.elapsed();
        if passed >= MEASURE_EVERY {
            let idle = self.idle_time();
            let more = idle.saturating_sub(std::mem::replace(&mut self.idle, idle));
            self.idle_cpus = more as f64 / 100.0 / passed.as_secs_f64();
            self.counted = Instant::now();
        }
        shared.sealer.busy.store(new >= MANY_STOPS / 4, Ordering::Relaxed);
        let starved =
            self.near_tracee && new < MANY_STOPS / 4 && waited > UPDATE_EVERY.as_nanos() as u64 / 2;
        if starved {
            self.rest_until = Instant::now() + 2 * MEASURE_EVERY;
        }
        if starved || self.idle_cpus < 0.3 {
            self.restore(shared);
        } else if new >= MANY_STOPS && self.idle_cpus > 0.5 && Instant::now() >= self.rest_until {
            self.follow_tracee(shared);
        }
    }

    fn follow_tracee(&mut self, shared: &Shared) {
        if !self.can_return {
            shared.polls.store(true, Ordering::Relaxed);
            self.near_tracee = true;
            return;
        }
        let cpu = cpu_of(shared.last.load(Ordering::Relaxed));
        let Some(cpu) = cpu.filter(|cpu| shared.allows(*cpu)) else { return };
        if shared.cpu.load(Ordering::Relaxed) != cpu && bind_to(self.tracer, cpu) {
            shared.cpu.store(cpu, Ordering::Relaxed);
        }
        if !self.near_tracee {
            self.near_tracee = set_policy(self.tracer, libc::SCHED_IDLE);
        }
    }

    fn restore(&mut self, shared: &Shared) {
        shared.polls.store(false, Ordering::Relaxed);
        if std::mem::replace(&mut self.near_tracee, false) && self.can_return {
            set_policy(self.tracer, libc::SCHED_OTHER);
        }
        if shared.cpu.swap(ANYWHERE, Ordering::Relaxed) != ANYWHERE
            && let Some(allowed) = shared.allowed.get()
        {
            bind(self.tracer, allowed);
        }
    }

    /// Idle time of all CPUs together, in hundredths of a second.
    fn idle_time(&self) -> u64 {
        let thread = number_in(self.idle_thread.as_ref(), 0).map_or(0.0, |ns| ns / 1e9);
        number_in(self.uptime.as_ref(), 1).map_or(0, |seconds| ((seconds + thread) * 100.0) as u64)
    }
}

/// Of a thread of ours: how long it ran, and waited for a CPU, in nanoseconds.
fn schedstat(tid: i32) -> Option<File> {
    File::open(format!("/proc/self/task/{tid}/schedstat")).ok()
}

fn bind(tid: i32, set: &CpuSet) -> bool {
    sched_setaffinity(Pid::from_raw(tid), set).is_ok()
}

/// Binds a thread (0: the one that asks) to a CPU below [`CpuSet::MAX_CPU`].
fn bind_to(tid: i32, cpu: usize) -> bool {
    let mut one = CpuSet::new();
    one.set(cpu);
    bind(tid, &one)
}

/// Threads that run or want to, on the whole machine.
fn runnable() -> u32 {
    let text = std::fs::read_to_string("/proc/loadavg").unwrap_or_default();
    text.split_whitespace()
        .nth(3)
        .and_then(|f| f.split('/').next()?.parse().ok())
        .unwrap_or(u32::MAX)
}

/// The CPU that a thread ran on last (field 39 of `/proc/TID/stat`, the 37th after the name).
fn cpu_of(tid: i32) -> Option<usize> {
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
        assert!(cpu_of(me).is_some_and(|c| c < 4096));
        assert!(runnable() >= 1);
        assert!(number_in(File::open("/proc/uptime").ok().as_ref(), 0).is_some_and(|up| up > 0.0));
    }
}
