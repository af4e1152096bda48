//! Scheduling policies (sched(7)) of the recorder's own threads.

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
