//! Order: which calls a call waits for.

pub(crate) mod conflicts;
pub(crate) mod presence;
pub(crate) mod proof;
pub(crate) mod proven;
pub(crate) mod undecided;

/// Which calls must be done before a call is issued. `docs/replay-semantics.md` has the rules.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Order {
    /// Those of its thread, of the thread's parent before it was born, and those that opened its descriptors: what else depends on the order is a race.
    Thread,
    /// All that had returned before it began.
    #[default]
    Overlap,
    /// Those of its thread, and those on the same file, name, directory, offset or descriptor that it conflicts with.
    Resource,
    /// All that returned before it did: one at a time.
    Strict,
}

impl Order {
    /// Whether a call waits for single calls, and not for all before one.
    pub(crate) const fn waits_for_single_calls(self) -> bool {
        matches!(self, Self::Thread | Self::Resource)
    }
}
