//! What the engine failed to observe.
//!
//! A trace is complete only if each call that was entered has its exit or the end of its thread,
//! and each thread has one start and one end. Contradictions to that are visible in the stops that
//! the kernel reports: an exit without an entry, an entry within a call, a call that made a thread
//! which was not reported. They are counted here, and each count above 0 is a reason why the trace
//! is incomplete.

/// Counts of what was not observed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Missing {
    /// Calls of which only the exit was seen.
    pub entries: u64,
    /// Calls of which neither the exit nor the end of their thread was seen.
    pub exits: u64,
    /// Children that the kernel did not report.
    pub children: u64,
    /// Threads of which it is not known how they were made, and so what they share with other
    /// threads.
    pub unknown_origins: u64,
    /// Threads whose end was not seen.
    pub ends: u64,
    /// Seccomp filters that were installed in other threads while those ran (`--seccomp`).
    pub filters_in_running_threads: u64,
}

impl Missing {
    /// Returns the reasons why the trace is incomplete, one sentence each; none if nothing is
    /// missing.
    pub fn reasons(self) -> Vec<String> {
        [
            (self.entries, "calls returned without a start"),
            (self.exits, "calls have no return"),
            (
                self.children,
                "threads or processes that the kernel did not report were not followed",
            ),
            (self.unknown_origins, "threads or processes started in an unknown way"),
            (self.ends, "threads have no end"),
            (
                self.filters_in_running_threads,
                "seccomp filters were installed in other threads, and may have answered calls \
                 that were not recorded: record without --seccomp",
            ),
        ]
        .into_iter()
        .filter(|(count, _)| *count > 0)
        .map(|(count, what)| format!("{count} {what}"))
        .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_kind_is_a_reason() {
        assert_eq!(Missing::default().reasons(), Vec::<String>::new());
        let some = Missing { exits: 2, unknown_origins: 1, ..Missing::default() };
        let reasons = some.reasons();
        assert_eq!(reasons.len(), 2);
        assert!(reasons[0].starts_with("2 calls have no return"));
    }
}
