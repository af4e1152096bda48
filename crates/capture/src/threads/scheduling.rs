//! Scheduling policies and CPUs (sched(7)) of the recorder's own threads.

use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};

/// The CPUs that the recorder may use. While an eBPF program waits on a CPU, nothing else runs
/// there, not even a real-time thread. What such a program waits for is done by two threads, one in
/// each half of the CPUs: one of them is scheduled.
pub(crate) struct OwnCpus {
    cpus: Vec<usize>,
}

impl OwnCpus {
    /// Returns the CPUs of the calling thread; none if they are not known.
    pub fn of_thread() -> Self {
        let set = sched_getaffinity(None).unwrap_or_default();
        Self { cpus: (0..CpuSet::MAX_CPU).filter(|cpu| set.is_set(*cpu)).collect() }
    }

    /// Returns whether there is only one.
    pub fn is_single(&self) -> bool {
        self.cpus.len() == 1
    }

    /// Returns the two halves. If there is only one CPU, the second one is empty.
    pub fn halves(&self) -> [CpuSet; 2] {
        [0, 1].map(|first| {
            let mut half = CpuSet::new();
            self.cpus.iter().skip(first).step_by(2).for_each(|cpu| half.set(*cpu));
            half
        })
    }
}

/// Makes the calling thread run on these CPUs only. Without one it remains where it may run.
pub(crate) fn stay_on(cpus: &CpuSet) {
    let _ = sched_setaffinity(None, cpus);
}

/// Sets the scheduling policy of thread `tid` (0: the calling thread), with the lowest priority of
/// that policy. Returns whether that was permitted.
pub(crate) fn set_policy(tid: i32, policy: i32) -> bool {
    let parameters = libc::sched_param { sched_priority: i32::from(policy == libc::SCHED_FIFO) };
    // SAFETY: the structure lives for the call.
    unsafe { libc::sched_setscheduler(tid, policy, &raw const parameters) == 0 }
}

/// Makes the calling thread a real-time thread, which runs before all threads with normal policies;
/// programs that keep CPUs busy may be many. It should do little work. Returns whether that was
/// permitted.
pub(crate) fn use_realtime_policy() -> bool {
    set_policy(0, libc::SCHED_FIFO)
}

/// Gives the calling thread the normal policy again.
pub(crate) fn use_normal_policy() {
    set_policy(0, libc::SCHED_OTHER);
}
