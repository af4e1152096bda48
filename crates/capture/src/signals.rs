//! Signals that the recorder gets.

mod ctrl_c;
mod fatal;
mod handlers;

pub(crate) use ctrl_c::EndRequests;
pub use fatal::{LineWiper, exit_by_signal};
pub(crate) use handlers::{Handlers, NUDGE, stop_ourselves};
pub use handlers::{SignalListener, is_signal_ignored};
