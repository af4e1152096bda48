//! What the engine knows that it did not see, and the proof that there is nothing of the kind.
//!
//! A trace is complete only if each call that was entered has its exit or its thread's end, and
//! each thread one birth and one end. The kernel's stops say so by themselves: an exit without an
//! entry, an entry within a call, a call that made a thread which was not reported. Whatever
//! contradicts the rule is counted here and becomes a reason of the verdict.

/// Counts of what is missing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Missing {
    /// Calls of which only the exit was seen.
    pub entries: u64,
    /// Calls of which neither the exit nor their thread's end was seen.
    pub exits: u64,
    /// Children of which the kernel did not tell us.
    pub children: u64,
    /// Threads of which it is not known what they share with which others.
    pub births: u64,
    /// Threads whose end was not seen.
    pub ends: u64,
    /// Filters installed in threads that ran meanwhile (`--seccomp`).
    pub filters: u64,
}

impl Missing {
    /// The reasons why the trace is incomplete; none if nothing is missing.
    pub fn reasons(self) -> Vec<String> {
        [
            (self.entries, "calls returned without a start"),
            (self.exits, "calls have no return"),
            (
                self.children,
                "threads or processes that the kernel did not report were not followed",
            ),
            (self.births, "threads or processes started in an unknown way"),
            (self.ends, "threads have no end"),
            (
                self.filters,
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
        let some = Missing { exits: 2, births: 1, ..Missing::default() };
        let reasons = some.reasons();
        assert_eq!(reasons.len(), 2);
        assert!(reasons[0].starts_with("2 calls have no return"));
    }
}
