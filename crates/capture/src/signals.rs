//! How the recorder handles signals that are sent to it.

mod ctrl_c;
mod fatal;
mod handlers;

pub(crate) use ctrl_c::EndRequests;
pub use fatal::{LineWiper, exit_by_signal};
pub(crate) use handlers::{Handlers, WAKE_SIGNAL, stop_recorder};
pub use handlers::{SignalListener, is_signal_ignored};
