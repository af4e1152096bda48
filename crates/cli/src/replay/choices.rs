//! What one can choose of a replay, in the words of the command line.

use clap::ValueEnum;

/// [`replay::Order`].
#[derive(ValueEnum, Clone, Copy, Debug, PartialEq, Eq)]
pub enum Order {
    /// Those of its own thread before it; what else the order decides is a race
    Thread,
    /// All that had returned before it began
    Overlap,
    /// Those on the same file, name, directory or descriptor
    Resource,
    /// All before it: one call at a time, in the order of their returns
    Strict,
}

impl From<Order> for replay::Order {
    fn from(order: Order) -> Self {
        match order {
            Order::Thread => Self::Thread,
            Order::Overlap => Self::Overlap,
            Order::Resource => Self::Resource,
            Order::Strict => Self::Strict,
        }
    }
}

/// [`replay::Verify`].
#[derive(ValueEnum, Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verify {
    /// Nothing: only perform it
    None,
    /// Results and errors, and the final tree
    Result,
    /// All bytes that calls bring, too
    Data,
}

impl From<Verify> for replay::Verify {
    fn from(verify: Verify) -> Self {
        match verify {
            Verify::None => Self::None,
            Verify::Result => Self::Result,
            Verify::Data => Self::Data,
        }
    }
}

/// [`replay::OnDivergence`].
#[derive(ValueEnum, Clone, Copy, Debug, PartialEq, Eq)]
pub enum OnDivergence {
    /// Print the first ones, and count all
    Warn,
    /// End the replay at the first one
    Stop,
    /// Count them, but let the exit status be that of the final tree
    Ignore,
}

impl From<OnDivergence> for replay::OnDivergence {
    fn from(what: OnDivergence) -> Self {
        match what {
            OnDivergence::Warn => Self::Warn,
            OnDivergence::Stop => Self::Stop,
            OnDivergence::Ignore => Self::Ignore,
        }
    }
}
