//! Scheduling policies (sched(7)) of the recorder's own threads.

/// Gives thread `tid` (0: the one that asks) a policy, with the least priority that it has. Whether
/// that was allowed.
pub(crate) fn set_policy(tid: i32, policy: i32) -> bool {
    let parameters = libc::sched_param { sched_priority: i32::from(policy == libc::SCHED_FIFO) };
    // SAFETY: the structure lives for the call.
    unsafe { libc::sched_setscheduler(tid, policy, &raw const parameters) == 0 }
}

/// Lets our thread run before all that is not of real time: programs that keep a CPU until it has
/// done what it is to do may be many. There should be little that it does. Whether that was
/// permitted.
pub(crate) fn run_before_others() -> bool {
    set_policy(0, libc::SCHED_FIFO)
}

/// Lets our thread run when its turn comes, again.
pub(crate) fn run_as_others() {
    set_policy(0, libc::SCHED_OTHER);
}
