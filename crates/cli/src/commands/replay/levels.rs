//! What one can choose of a replay, in the words of the command line.

use clap::ValueEnum;

/// [`replay::Order`].
#[derive(ValueEnum, Clone, Copy, Debug, PartialEq, Eq)]
pub enum Order {
    /// Earlier calls of its own thread
    Thread,
    /// All calls that had returned before it started
    Overlap,
    /// Earlier calls on the same file, name, directory or descriptor
    Resource,
    /// All earlier calls: one call at a time, in the order of their returns
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

/// [`replay::Operations`] of io_uring.
#[derive(ValueEnum, Clone, Copy, Debug, PartialEq, Eq)]
pub enum Uring {
    /// A ring for each recorded ring, of the same depth
    Ring,
    /// Plain system calls, in as many threads as operations were under way at once
    Calls,
}

impl From<Uring> for replay::Operations {
    fn from(uring: Uring) -> Self {
        match uring {
            Uring::Ring => Self::Real,
            Uring::Calls => Self::Calls,
        }
    }
}

/// [`replay::Operations`] of libaio.
#[derive(ValueEnum, Clone, Copy, Debug, PartialEq, Eq)]
pub enum Aio {
    /// A context for each recorded context, of the same depth
    Context,
    /// Plain system calls, in as many threads as operations were under way at once
    Calls,
}

impl From<Aio> for replay::Operations {
    fn from(aio: Aio) -> Self {
        match aio {
            Aio::Context => Self::Real,
            Aio::Calls => Self::Calls,
        }
    }
}

/// [`replay::Verify`].
#[derive(ValueEnum, Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verify {
    /// Nothing
    None,
    /// Results, errors and the final tree
    Result,
    /// The same, and all data read
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
    /// Print the first ones and count all
    Warn,
    /// Stop at the first one
    Stop,
    /// Only count them: the final tree decides the exit status
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
